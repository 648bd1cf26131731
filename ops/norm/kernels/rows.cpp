// Normalisation where a slice is rows of spatial elements, or one row of channels.
#include <limpid/ops/norm/kernels/short_rows.hpp>

namespace limpid::kernels {
namespace {

// ---- forward -------------------------------------------------------------------------------------------------------

/// Of one row: its channel's gamma and beta.
struct RowAffine {
  double gamma, beta;
};
template <class T>
RowAffine row_affine(const NormOperands<T>& in, index_t c) {
  return {value_or(in.gamma, c, 1), value_or(in.beta, c, 0)};
}

/// y = (x - mean) * rstd * gamma + beta: float32 in its own arithmetic where its range allows, else rounded once.
/// Products of float32 numbers cannot leave the range of double, so there rstd * gamma is one factor, and the mean's
/// low part, a mere constant, goes with beta; in float64 they might.
template <class T>
void apply_run(const Slice& slice, const RowAffine& row, const T* __restrict x, T* __restrict y, index_t n,
               bool streamed) {
  constexpr int W = kLanes<T>;
  if constexpr (sizeof(T) == 4) {
    const double factor = slice.rstd * row.gamma;
    if (suits_singles(slice.mean, factor)) {
      const SingleLanes affine(single_affine(slice.mean, slice.lo, factor, row.beta));
      return write_steps(streamed, y, n, [&](index_t i, auto k) { return affine(load_singles_step(x + i, k)); });
    }
    const Lanes<W> mean(slice.mean), a(factor), b(row.beta - slice.lo * factor);
    write_steps<false>(y, n, [&](index_t i, auto k) { return fma(load_step(x + i, k) - mean, a, b); });
  } else {
    const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), a(row.gamma), b(row.beta);
    write_steps(streamed, y, n, [&](index_t i, auto k) { return fma(((load_step(x + i, k) - mean) - lo) * r, a, b); });
  }
}

/// The same of a channel row: gamma and beta, each perhaps null, have a number for each element.
template <class T>
void apply_channel_run(const Slice& slice, const T* __restrict gamma, const T* __restrict beta, const T* __restrict x,
                       T* __restrict y, index_t n) {
  constexpr int W = kLanes<T>;
  const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), one(1.0), zero(0.0);
  const auto loop = [&](auto gamma_at, auto beta_at) {
    steps<W>(n, [&](index_t i, auto k) {
      const Lanes<W> xhat = ((load_step(x + i, k) - mean) - lo) * r;
      store_step(y + i, fma(xhat, gamma_at(i, k), beta_at(i, k)), k);
    });
  };
  const auto ones = [&](index_t, auto) { return one; };
  const auto zeros = [&](index_t, auto) { return zero; };
  const auto gammas = [&](index_t i, auto k) { return load_step(gamma + i, k); };
  const auto betas = [&](index_t i, auto k) { return load_step(beta + i, k); };
  if (gamma && beta) return loop(gammas, betas);
  if (gamma) return loop(gammas, zeros);
  if (beta) return loop(ones, betas);
  loop(ones, zeros);
}

/// y of elements [begin, end) of a slice.
template <class T>
void apply_range(const NormRows<T>& p, const Place& at, index_t begin, index_t end) {
  const Slice slice = saved(p, at.q);
  const T* x = p.in.x + start(p.x_stride, at);
  T* y = p.out.y + start(p.y_stride, at);
  const T *gamma = p.in.gamma, *beta = p.in.beta;
  const index_t affine = at.inner * p.affine_inner;
  pieces(p.len, begin, end, [&](index_t row, index_t offset, index_t count) {
    const T* x_row = x + row * p.x_stride.row + offset * p.x_stride.element;
    T* y_row = y + row * p.y_stride.row + offset;
    runs(x_row, p.x_stride.element, count, [&](const T* run, index_t i, index_t n) {
      const index_t c = affine + (p.channel_rows ? offset + i : row * p.affine_row);
      if (p.channel_rows)
        apply_channel_run(slice, gamma ? gamma + c : nullptr, beta ? beta + c : nullptr, run, y_row + i, n);
      else
        apply_run(slice, row_affine(p.in, c), run, y_row + i, n, p.mode.stream);
    });
  });
}

// Long float32 rows in the caches: y of one slice while the moments of the next are taken. The first waits for memory,
// the second for arithmetic.

/// y = affine(x), and the moments of next, of n elements each.
Moments apply_beside_moments(const SingleLanes& affine, const float* __restrict x, float* __restrict y,
                             const float* __restrict next, index_t n, bool center) {
  const SliceView<float> view{next, 1, n, 0, 1};
  Moments all;
  for (index_t block = 0; block < n; block += kNormBlock) {
    const index_t end = block + kNormBlock < n ? block + kNormBlock : n;
    const bool plain = !center || starts_near_zero(view, block, end);
    const double guess = plain ? 0 : guess_mean(view, block, end, 0, 1);
    const Deviations<float>::Step from(guess);
    Deviations<float> deviations(guess);
    const auto both = [&](auto deviation) {
      steps<16>(end - block, [&](index_t i, auto k) {
        store_step(y + block + i, affine(load_singles_step(x + block + i, k)), k);
        deviations.add(deviation(Deviations<float>::load(next + block + i, k), k));
      });
    };
    plain ? both([&](const auto& element, auto) { return element; })
          : both([&](const auto& element, auto k) { return Deviations<float>::of(element, from, k); });
    Moments moments = deviations.finish(end - block, center);
    if (plain && center && !near_zero(moments)) moments = moments_about_mean<false>(view, block, end, 0, 1);
    merge(all, moments);
  }
  return all;
}

/// Whether slices are dense rows whose y stays in the caches.
bool suits_pairs(const NormRows<float>& p) {
  return !p.mode.given_stats && p.out.y && !p.mode.stream && p.rows == 1 && !p.channel_rows && p.x_stride.element == 1;
}

/// Statistics and y of slices [begin, end). fallback(place) writes y of one slice alone.
template <class F>
void paired_forward(const NormRows<float>& p, index_t begin, index_t end, F&& fallback) {
  const auto view = [&](const Place& at) { return sum_view(p, at); };
  Moments moments = slice_moments(view(place(p, begin)), p.mode.center);
  each_slice(p, begin, end, [&](const Place& at) {
    write_stats(p.stats, at.q, moments, view(at), p.mode.center, p.mode.eps);
    const Slice slice = saved(p, at.q);
    const index_t c = at.inner * p.affine_inner;
    const double factor = slice.rstd * value_or(p.in.gamma, c, 1);
    const bool last = at.q + 1 == end;
    if (last || !suits_singles(slice.mean, factor)) {
      fallback(at);
      if (!last) moments = slice_moments(view(place(p, at.q + 1)), p.mode.center);
      return;
    }
    const SingleLanes affine(single_affine(slice.mean, slice.lo, factor, value_or(p.in.beta, c, 0)));
    moments = apply_beside_moments(affine, p.in.x + start(p.x_stride, at), p.out.y + start(p.y_stride, at),
                                   view(place(p, at.q + 1)).x, p.len, p.mode.center);
  });
}

template <class T>
void forward(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  const auto y_of = [&](const Place& at) { apply_range(p, at, 0, p.slice_size()); };
  bool done = false;
  if constexpr (sizeof(T) == 4) {
    done = true;
    if (!p.mode.given_stats && p.slice_size() <= kShortSlice && p.sum_rows == 1 && p.x_stride.element == 1)
      short_forward(p, begin, end, y_of);
    else if (suits_pairs(p))
      paired_forward(p, begin, end, y_of);
    else
      done = false;
  }
  if (!done)
    each_slice(p, begin, end, [&](const Place& at) {
      if (!p.mode.given_stats) {
        const SliceView<T> view = sum_view(p, at);
        write_stats(p.stats, at.q, slice_moments(view, p.mode.center), view, p.mode.center, p.mode.eps);
      }
      if (p.out.y) y_of(at);
    });
  if (p.mode.stream) end_stream();
}

template <class T>
void moments(const NormRows<T>& p, index_t begin, index_t end, double* partials) noexcept {
  const index_t blocks = p.blocks();
  for (index_t b = begin; b < end; ++b) {
    const SliceView<T> view = sum_view(p, place(p, b / blocks));
    const index_t i = (b % blocks) * kNormBlock, j = i + kNormBlock < view.size() ? i + kNormBlock : view.size();
    const Moments m = block_moments(view, i, j, static_cast<double>(view.x[0]), p.mode.center);
    partials[3 * b] = m.mean;
    partials[3 * b + 1] = m.lo;
    partials[3 * b + 2] = m.m2;
  }
}

template <class T>
void finish(const NormRows<T>& p, index_t begin, index_t end, const double* partials) noexcept {
  const index_t blocks = p.blocks(), size = p.slice_size();
  for (index_t q = begin; q < end; ++q) {
    Moments all;
    for (index_t b = 0; b < blocks; ++b) {
      const double* m = partials + 3 * (q * blocks + b);
      const index_t count = b + 1 < blocks ? kNormBlock : size - b * kNormBlock;
      merge(all, {static_cast<double>(count), m[0], m[1], m[2]});
    }
    write_stats(p.stats, q, all, sum_view(p, place(p, q)), p.mode.center, p.mode.eps);
  }
}

template <class T>
void apply(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  const index_t blocks = p.blocks(), size = p.slice_size();
  for (index_t b = begin; b < end; ++b) {
    const index_t i = (b % blocks) * kNormBlock;
    apply_range(p, place(p, b / blocks), i, i + kNormBlock < size ? i + kNormBlock : size);
  }
  if (p.mode.stream) end_stream();
}

// ---- backward ------------------------------------------------------------------------------------------------------
//
// Over the M = D * S elements of a slice, with xhat = (x - mean) * rstd and a = gamma * dy:
//   dx = rstd * (a - <a> - xhat * <a xhat>),  <a> = sum(a) / M,  <a xhat> = sum(a * xhat) / M.
// gamma is constant along a row, so both means follow from the row's sum dy and sum dy * xhat, which are also its share
// of dbeta and dgamma. Forward mode is the same with the tangent of x for dy, but that gamma stands outside the sums,
//   dx = rstd * gamma * (dy - <dy> - xhat * <dy xhat>) + slope * xhat + offset.

template <class T>
Sums reduce_run(const NormRows<T>& p, const Slice& slice, const T* x, const T* __restrict dy, index_t count) {
  constexpr int W = kLanes<T>;
  if constexpr (sizeof(T) == 4)
    if (const SingleDeviations deviations(slice.mean, slice.lo, slice.rstd); deviations.suits) {
      SingleSums sums(deviations);
      Sums all;
      runs(x, p.x_stride.element, count, [&](const T* run, index_t offset, index_t n) {
        if (count <= SingleSums::W)
          all = SingleSums::of_one_step(deviations, run, dy, static_cast<int>(count));
        else
          sums.add(run, dy + offset, n);
      });
      if (count > SingleSums::W) all = sums.finish(deviations);
      if (all.suits()) return all;
    }
  const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd);
  Lanes<W> total(0.0), products(0.0);
  runs(x, p.x_stride.element, count, [&](const T* run, index_t offset, index_t n) {
    steps<W>(n, [&](index_t i, auto k) {
      const Lanes<W> g = load_step(dy + offset + i, k);
      Lanes<W> d = load_step(run + i, k) - mean;
      if constexpr (!kPlainDeviations<T>) d = (d - lo) * r;
      total = total + g;
      products = fma(g, d, products);
    });
  });
  const double dy_sum = sum(total), product = sum(products);
  return {dy_sum, kPlainDeviations<T> ? (product - slice.lo * dy_sum) * slice.rstd : product};
}

/// The means of a slice's a and a * xhat; of dy and dy * xhat where gamma is outside.
struct SliceMeans {
  double a, a_xhat;
};

/// The terms of a row of channel c. What is absent is -0, which changes no bit of what it is added to.
template <class T>
GradientTerms gradient_terms(const NormRows<T>& p, double rstd, index_t c, const SliceMeans& means) {
  const double gamma = value_or(p.in.gamma, c, 1), outer = p.mode.gamma_outside ? gamma : 1;
  return {rstd * gamma, -rstd * (outer * means.a_xhat) + value_or(p.in.slope, c, -0.0),
          -rstd * (outer * means.a) + value_or(p.in.offset, c, -0.0)};
}

/// What dx of a row's elements is made of.
struct RowGradient {
  Slice slice;
  GradientTerms terms;
};

/// dx_run of float32 in its own arithmetic; returns whether that suits.
bool single_dx_run(const NormRows<float>& p, const RowGradient& row, const float* x, const float* __restrict dy,
                   float* __restrict dx, index_t count) {
  const SingleDeviations deviations(row.slice.mean, row.slice.lo, row.slice.rstd);
  const SingleGradient gradient(deviations, row.terms);
  if (!gradient.suits) return false;
  runs(x, p.x_stride.element, count, [&](const float* run, index_t offset, index_t n) {
    gradient.write(deviations, run, dy + offset, dx + offset, n, p.mode.stream);
  });
  return true;
}

/// dx of `count` elements of a row.
template <class T>
void dx_run(const NormRows<T>& p, const RowGradient& row, const T* x, const T* __restrict dy, T* __restrict dx,
            index_t count) {
  constexpr int W = kLanes<T>;
  if constexpr (sizeof(T) == 4)
    if (single_dx_run(p, row, x, dy, dx, count)) return;
  const Slice& slice = row.slice;
  const GradientTerms& terms = row.terms;
  const double factor = kPlainDeviations<T> ? terms.of_xhat * slice.rstd : terms.of_xhat;
  const double rest = kPlainDeviations<T> ? terms.constant - slice.lo * factor : terms.constant;
  const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), of_dy(terms.of_dy), constant(rest), of_d(factor);
  runs(x, p.x_stride.element, count, [&](const T* run, index_t offset, index_t n) {
    write_steps(p.mode.stream, dx + offset, n, [&](index_t i, auto k) {
      Lanes<W> d = load_step(run + i, k) - mean;
      if constexpr (!kPlainDeviations<T>) d = (d - lo) * r;
      return fma(load_step(dy + offset + i, k), of_dy, fma(d, of_d, constant));
    });
  });
}

/// Where row block (row, block) of a slice with rows of len elements starts in x and in y's layout, and its length.
template <class T>
struct RowBlock {
  const T* x;
  index_t y, count;
};
template <class T>
RowBlock<T> row_block(const NormRows<T>& p, const Place& at, index_t row, index_t block, index_t len) {
  const index_t offset = block * kNormBlock, left = len - offset;
  return {p.in.x + start(p.x_stride, at) + row * p.x_stride.row + offset * p.x_stride.element,
          start(p.y_stride, at) + row * p.y_stride.row + offset, left < kNormBlock ? left : kNormBlock};
}

template <class T>
void backward_slice(const NormRows<T>& p, const Place& slice_at) {
  const index_t affine = slice_at.inner * p.affine_inner;
  // Sums without gamma need not keep rows apart: where x is dense they see one.
  const bool flat = p.mode.gamma_outside && p.sum_rows == 1;
  const index_t rows = flat ? 1 : p.rows, row_blocks = flat ? p.blocks() : p.row_blocks(),
                len = flat ? p.sum_len : p.len;
  const double size = static_cast<double>(p.slice_size());
  const Slice slice = saved(p, slice_at.q);
  SliceMeans means{0, 0};
  for (index_t row = 0; row < rows; ++row) {
    Sums sums;
    for (index_t b = 0; b < row_blocks; ++b) {
      const RowBlock<T> at = row_block(p, slice_at, row, b, len);
      const Sums part = reduce_run(p, slice, at.x, p.in.dy + at.y, at.count);
      sums.dy += part.dy;
      sums.dy_xhat += part.dy_xhat;
    }
    const double inner = p.mode.gamma_outside ? 1 : value_or(p.in.gamma, affine + row * p.affine_row, 1);
    means.a += inner * sums.dy;
    means.a_xhat += inner * sums.dy_xhat;
    if (p.sums.dy) {
      p.sums.dy[slice_at.q * p.rows + row] = sums.dy;
      p.sums.dy_xhat[slice_at.q * p.rows + row] = sums.dy_xhat;
    }
  }
  if (!p.out.dx) return;
  means.a = p.mode.center ? means.a / size : 0;
  means.a_xhat /= size;
  for (index_t row = 0; row < p.rows; ++row) {
    const RowBlock<T> at = row_block(p, slice_at, row, 0, p.len);
    dx_run(p, {slice, gradient_terms(p, slice.rstd, affine + row * p.affine_row, means)}, at.x, p.in.dy + at.y,
           p.out.dx + at.y, p.len);
  }
}

template <class T>
void backward(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  const auto slice = [&](const Place& at) { backward_slice(p, at); };
  bool done = false;
  if constexpr (sizeof(T) == 4) {
    done = kFused && p.rows == 1 && p.len <= kShortSlice && p.x_stride.element == 1;
    if (done) short_backward(p, begin, end, slice);
  }
  if (!done) each_slice(p, begin, end, slice);
  if (p.mode.stream) end_stream();
}

/// Calls f(slice, row, block, index) for row blocks [begin, end).
template <class T, class F>
void each_row_block(const NormRows<T>& p, index_t begin, index_t end, F&& f) {
  const index_t row_blocks = p.row_blocks();
  for (index_t b = begin; b < end; ++b) {
    const index_t row = b / row_blocks;
    f(place(p, row / p.rows), row % p.rows, b % row_blocks, b);
  }
}

template <class T>
void reduce(const NormRows<T>& p, index_t begin, index_t end, double* partials) noexcept {
  each_row_block(p, begin, end, [&](const Place& slice, index_t row, index_t block, index_t b) {
    const RowBlock<T> at = row_block(p, slice, row, block, p.len);
    const Sums sums = reduce_run(p, saved(p, slice.q), at.x, p.in.dy + at.y, at.count);
    partials[2 * b] = sums.dy;
    partials[2 * b + 1] = sums.dy_xhat;
  });
}

template <class T>
void dx(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  each_row_block(p, begin, end, [&](const Place& place, index_t row, index_t block, index_t) {
    const RowBlock<T> at = row_block(p, place, row, block, p.len);
    const Slice slice = saved(p, place.q);
    const index_t c = place.inner * p.affine_inner + row * p.affine_row;
    const SliceMeans means{p.means.a[place.q], p.means.a_xhat[place.q]};
    dx_run(p, {slice, gradient_terms(p, slice.rstd, c, means)}, at.x, p.in.dy + at.y, p.out.dx + at.y, at.count);
  });
  if (p.mode.stream) end_stream();
}

// ---- channel rows --------------------------------------------------------------------------------------------------

/// gamma runs along the row: it goes inside the sums, and each element adds to its own channel's dbeta and dgamma.
template <class T>
void channel_backward(const NormRows<T>& p, index_t begin, index_t end, double* dbeta, double* dgamma) noexcept {
  constexpr int W = kLanes<T>;
  each_slice(p, begin, end, [&](const Place& slice_at) {
    const Slice slice = saved(p, slice_at.q);
    const index_t affine = slice_at.inner * p.affine_inner, at = start(p.y_stride, slice_at);
    const T* x = p.in.x + start(p.x_stride, slice_at);
    const T* __restrict dy = p.in.dy + at;
    const T* __restrict gamma = p.in.gamma ? p.in.gamma + affine : nullptr;
    const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), one(1.0);
    const auto gamma_at = [&](index_t c, auto k) { return gamma ? load_step(gamma + c, k) : one; };
    // f(c, k, dy, xhat) for every step of the slice.
    const auto each_step = [&](auto&& f) {
      runs(x, p.x_stride.element, p.len, [&](const T* run, index_t offset, index_t n) {
        steps<W>(n, [&](index_t i, auto k) {
          f(offset + i, k, load_step(dy + offset + i, k), ((load_step(run + i, k) - mean) - lo) * r);
        });
      });
    };

    Lanes<W> total(0.0), products(0.0);
    each_step([&](index_t c, auto k, const Lanes<W>& g, const Lanes<W>& xhat) {
      const Lanes<W> a = g * gamma_at(c, k);
      total = total + a;
      products = fma(a, xhat, products);
      if (!dbeta) return;
      add_step(dbeta + affine + c, g, k);
      add_step(dgamma + affine + c, g * xhat, k);
    });
    if (!p.out.dx) return;

    T* __restrict out = p.out.dx + at;
    const double size = static_cast<double>(p.len);
    const Lanes<W> minus_a(p.mode.center ? -sum(total) / size : 0.0), minus_a_xhat(-sum(products) / size);
    each_step([&](index_t c, auto k, const Lanes<W>& g, const Lanes<W>& xhat) {
      store_step(out + c, fma(g, gamma_at(c, k), fma(xhat, minus_a_xhat, minus_a)) * r, k);
    });
  });
}

/// What moves y's elements in forward mode, beside x: a number of gamma, slope and offset for each, perhaps null.
template <class T>
struct ChannelTangents {
  const T *gamma, *slope, *offset;
  bool stream;

  ChannelTangents(const NormRows<T>& p, index_t c)
      : gamma(p.in.gamma ? p.in.gamma + c : nullptr),
        slope(p.in.slope ? p.in.slope + c : nullptr),
        offset(p.in.offset ? p.in.offset + c : nullptr),
        stream(p.mode.stream) {}
};

/// dx = through_x * gamma + (xhat * slope + offset) of n elements of a row, whose terms are those of through_x.
template <class T>
void tangent_run(const RowGradient& row, const ChannelTangents<T>& channels, const T* x, const T* __restrict dy,
                 T* __restrict dx, index_t n) {
  constexpr int W = kLanes<T>;
  const T *gamma = channels.gamma, *slope = channels.slope, *offset = channels.offset;
  const Slice& slice = row.slice;
  if constexpr (sizeof(T) == 4) {
    const SingleDeviations deviations(slice.mean, slice.lo, slice.rstd);
    if (const SingleGradient gradient(deviations, row.terms); gradient.suits) {
      const Singles scale(deviations.scale), shift(deviations.shift), of_dy(gradient.of_dy),
          constant(gradient.constant), of_d(gradient.of_d);
      const Singles unscaled(static_cast<float>(deviations.unscaled)), zero(0), one(1),
          rest(static_cast<float>(deviations.rest * deviations.unscaled));
      return write_steps(channels.stream, dx, n, [&](index_t i, auto k) {
        const auto at = [&](const float* values, const Singles& absent) {
          return values ? load_singles_step(values + i, k) : absent;
        };
        const Singles d = fma(load_singles_step(x + i, k), scale, shift);
        const Singles through = fma(load_singles_step(dy + i, k), of_dy, fma(d, of_d, constant)),
                      xhat = fma(d, unscaled, rest);
        return fma(through, at(gamma, one), fma(xhat, at(slope, zero), at(offset, zero)));
      });
    }
  }
  const GradientTerms& terms = row.terms;
  const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), of_dy(terms.of_dy), of_xhat(terms.of_xhat),
      constant(terms.constant), zero(0.0), one(1.0);
  write_steps(channels.stream, dx, n, [&](index_t i, auto k) {
    const auto at = [&](const T* values, const Lanes<W>& absent) { return values ? load_step(values + i, k) : absent; };
    const Lanes<W> xhat = ((load_step(x + i, k) - mean) - lo) * r;
    const Lanes<W> through = fma(load_step(dy + i, k), of_dy, fma(xhat, of_xhat, constant));
    return fma(through, at(gamma, one), fma(xhat, at(slope, zero), at(offset, zero)));
  });
}

template <class T>
void channel_tangent(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  each_slice(p, begin, end, [&](const Place& place) {
    const Slice slice = saved(p, place.q);
    const T *x = p.in.x + start(p.x_stride, place), *dy = p.in.dy + start(p.y_stride, place);
    T* dx = p.out.dx + start(p.y_stride, place);
    const Sums sums = reduce_run(p, slice, x, dy, p.len);
    const double size = static_cast<double>(p.len), mean_dy = p.mode.center ? sums.dy / size : 0,
                 mean_dy_xhat = sums.dy_xhat / size;
    const RowGradient through_x{slice, {slice.rstd, -slice.rstd * mean_dy_xhat, -slice.rstd * mean_dy}};
    runs(x, p.x_stride.element, p.len, [&](const T* run, index_t i, index_t n) {
      const ChannelTangents<T> channels(p, place.inner * p.affine_inner + i);
      tangent_run<T>(through_x, channels, run, dy + i, dx + i, n);
    });
  });
  if (p.mode.stream) end_stream();
}

template <class T>
constexpr NormRowKernels<T> kRows = {.forward = forward<T>,
                                     .moments = moments<T>,
                                     .finish = finish<T>,
                                     .apply = apply<T>,
                                     .backward = backward<T>,
                                     .reduce = reduce<T>,
                                     .dx = dx<T>,
                                     .channel_backward = channel_backward<T>,
                                     .channel_tangent = channel_tangent<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const NormRowKernels<float> norm_rows_float = kRows<float>;
const NormRowKernels<double> norm_rows_double = kRows<double>;
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
