// Normalisation where a slice is rows of spatial elements, or rows with an affine along them.
#include <limpid/ops/norm/kernels/paired_rows.hpp>
#include <limpid/ops/norm/kernels/short_rows.hpp>

namespace limpid::kernels {
namespace {

// ---- forward -------------------------------------------------------------------------------------------------------

/// y = (x - mean) * rstd * gamma + beta: float32 in its own arithmetic where its range allows, else rounded once.
/// Products of float32 numbers cannot leave the range of double, so there rstd * gamma is one factor, and the mean's
/// low part, a mere constant, goes with beta; in float64 they might.
template <class T>
void apply_run(const T* LIMPID_RESTRICT x, T* LIMPID_RESTRICT y, index_t n, const Slice& slice, double gamma,
               double beta, bool streamed) {
  constexpr int W = kLanes<T>;
  if constexpr (sizeof(T) == 4) {
    const double factor = slice.rstd * gamma;
    if (suits_singles(slice.mean, factor)) {
      const SingleLanes affine(single_affine(slice.mean, slice.lo, factor, beta));
      return write_steps(streamed, y, n, [&](index_t i, auto k) { return affine(load_singles_step(x + i, k)); });
    }
    const Lanes<W> mean(slice.mean), a(factor), b(beta - slice.lo * factor);
    write_steps<false>(y, n, [&](index_t i, auto k) { return fma(load_step(x + i, k) - mean, a, b); });
  } else {
    const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), a(gamma), b(beta);
    write_steps(streamed, y, n, [&](index_t i, auto k) { return fma(((load_step(x + i, k) - mean) - lo) * r, a, b); });
  }
}

template <class T>
void apply_run_along(const T* LIMPID_RESTRICT x, T* LIMPID_RESTRICT y, index_t n, const Slice& slice,
                     const T* LIMPID_RESTRICT gamma, const T* LIMPID_RESTRICT beta) {
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

/// y of elements [begin, end) of slice q.
template <class T>
void apply_range(const NormRows<T>& p, const Place& at, index_t begin, index_t end) {
  const Slice slice = saved(p, at.q);
  const T* x = p.x + start(p.x_stride, at);
  T* y = p.y + start(p.y_stride, at);
  const index_t affine = at.inner * p.affine_inner;
  pieces(p.len, begin, end, [&](index_t row, index_t offset, index_t count) {
    const T* x_row = x + row * p.x_stride.row + offset * p.x_stride.element;
    T* y_row = y + row * p.y_stride.row + offset;
    runs(x_row, p.x_stride.element, count, [&](const T* run, index_t i, index_t n) {
      const index_t c = affine + (p.along ? offset + i : row * p.affine_row);
      if (p.along)
        apply_run_along(run, y_row + i, n, slice, p.gamma ? p.gamma + c : nullptr, p.beta ? p.beta + c : nullptr);
      else
        apply_run(run, y_row + i, n, slice, value_or(p.gamma, c, 1), value_or(p.beta, c, 0), p.stream);
    });
  });
}

template <class T>
void forward(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  const auto y_of = [&](const Place& at) { apply_range(p, at, 0, p.slice_size()); };
  if constexpr (sizeof(T) == 4) {
    if (p.moments && p.slice_size() <= kShortSlice && p.sum_rows == 1 && p.x_stride.element == 1)
      return short_forward(p, begin, end, y_of);
    if (suits_pairs(p)) return paired_forward(p, begin, end, y_of);
  }
  each_slice(p, begin, end, [&](const Place& at) {
    if (p.moments) {
      const SliceView<T> view = sum_view(p, at);
      write_stats(p.stats, at.q, slice_moments(view, p.center), view, p.center, p.eps);
    }
    if (p.y) y_of(at);
  });
  if (p.stream) end_stream();
}

template <class T>
void moments(const NormRows<T>& p, index_t begin, index_t end, double* partials) noexcept {
  const index_t blocks = p.blocks();
  for (index_t b = begin; b < end; ++b) {
    const SliceView<T> view = sum_view(p, place(p, b / blocks));
    const index_t i = (b % blocks) * kNormBlock, j = i + kNormBlock < view.size() ? i + kNormBlock : view.size();
    const Moments m = block_moments(view, i, j, static_cast<double>(view.x[0]), p.center);
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
    write_stats(p.stats, q, all, sum_view(p, place(p, q)), p.center, p.eps);
  }
}

template <class T>
void apply(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  const index_t blocks = p.blocks(), size = p.slice_size();
  for (index_t b = begin; b < end; ++b) {
    const index_t i = (b % blocks) * kNormBlock;
    apply_range(p, place(p, b / blocks), i, i + kNormBlock < size ? i + kNormBlock : size);
  }
  if (p.stream) end_stream();
}

// ---- backward ------------------------------------------------------------------------------------------------------
//
// Over the M = D * S elements of a slice, with xhat = (x - mean) * rstd:
//   dx = rstd * (gamma * dy - m1 - xhat * m2),  m1 = sum(gamma * dy) / M,  m2 = sum(gamma * dy * xhat) / M.
// gamma is constant along a row, so both sums follow from the row's sum dy and sum dy * xhat, which are also its share
// of dbeta and dgamma. Forward mode is the same with the tangent of x for dy, but that gamma stands outside the sums,
//   dx = rstd * gamma * (dy - m1 - xhat * m2) + slope * xhat + offset,  m1 = sum(dy) / M,  m2 = sum(dy * xhat) / M.

/// float32 products stay in the range of double, so the sums and coefficients may be of deviations from the mean's high
/// part alone; rstd and the low part enter them afterwards, not element by element.
template <class T>
constexpr bool kLate = sizeof(T) == 4;

template <class T>
Sums reduce_run(const NormRows<T>& p, const Slice& slice, const T* x, const T* LIMPID_RESTRICT dy, index_t count) {
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
      if constexpr (!kLate<T>) d = (d - lo) * r;
      total = total + g;
      products = fma(g, d, products);
    });
  });
  const double dy_sum = sum(total), product = sum(products);
  return {dy_sum, kLate<T> ? (product - slice.lo * dy_sum) * slice.rstd : product};
}

/// The terms of a row of channel c. What is absent is -0, which changes no bit of what it is added to.
template <class T>
GradientTerms gradient_terms(const NormRows<T>& p, double rstd, index_t c, double m1, double m2) {
  const double gamma = value_or(p.gamma, c, 1), outer = p.outside ? gamma : 1;
  return {rstd * gamma, -rstd * (outer * m2) + value_or(p.slope, c, -0.0),
          -rstd * (outer * m1) + value_or(p.offset, c, -0.0)};
}

/// dx_run of float32 in its own arithmetic; returns whether that suits.
bool single_dx_run(const NormRows<float>& p, const Slice& slice, const float* x, const float* LIMPID_RESTRICT dy,
                   float* LIMPID_RESTRICT dx, index_t count, const GradientTerms& terms) {
  const SingleDeviations deviations(slice.mean, slice.lo, slice.rstd);
  const SingleGradient gradient(deviations, terms);
  if (!gradient.suits) return false;
  runs(x, p.x_stride.element, count, [&](const float* run, index_t offset, index_t n) {
    gradient.write(deviations, run, dy + offset, dx + offset, n, p.stream);
  });
  return true;
}

template <class T>
void dx_run(const NormRows<T>& p, const Slice& slice, const T* x, const T* LIMPID_RESTRICT dy, T* LIMPID_RESTRICT dx,
            index_t count, const GradientTerms& terms) {
  constexpr int W = kLanes<T>;
  if constexpr (sizeof(T) == 4)
    if (single_dx_run(p, slice, x, dy, dx, count, terms)) return;
  const double factor = kLate<T> ? terms.q * slice.rstd : terms.q;
  const double constant = kLate<T> ? terms.k - slice.lo * factor : terms.k;
  const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), a(terms.a), c1(constant), c2(factor);
  runs(x, p.x_stride.element, count, [&](const T* run, index_t offset, index_t n) {
    write_steps(p.stream, dx + offset, n, [&](index_t i, auto k) {
      Lanes<W> d = load_step(run + i, k) - mean;
      if constexpr (!kLate<T>) d = (d - lo) * r;
      return fma(load_step(dy + offset + i, k), a, fma(d, c2, c1));
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
  return {p.x + start(p.x_stride, at) + row * p.x_stride.row + offset * p.x_stride.element,
          start(p.y_stride, at) + row * p.y_stride.row + offset, left < kNormBlock ? left : kNormBlock};
}

template <class T>
void backward_slice(const NormRows<T>& p, const Place& slice_at) {
  const index_t affine = slice_at.inner * p.affine_inner;
  // Sums without gamma need not keep rows apart: where x is dense they see one.
  const bool flat = p.outside && p.sum_rows == 1;
  const index_t rows = flat ? 1 : p.rows, row_blocks = flat ? p.blocks() : p.row_blocks(),
                len = flat ? p.sum_len : p.len;
  const double size = static_cast<double>(p.slice_size());
  const Slice slice = saved(p, slice_at.q);
  double m1 = 0, m2 = 0;
  for (index_t row = 0; row < rows; ++row) {
    Sums sums;
    for (index_t b = 0; b < row_blocks; ++b) {
      const RowBlock<T> at = row_block(p, slice_at, row, b, len);
      const Sums part = reduce_run(p, slice, at.x, p.dy + at.y, at.count);
      sums.dy += part.dy;
      sums.dy_xhat += part.dy_xhat;
    }
    const double inner = p.outside ? 1 : value_or(p.gamma, affine + row * p.affine_row, 1);
    m1 += inner * sums.dy;
    m2 += inner * sums.dy_xhat;
    if (p.sum_dy) {
      p.sum_dy[slice_at.q * p.rows + row] = sums.dy;
      p.sum_dy_xhat[slice_at.q * p.rows + row] = sums.dy_xhat;
    }
  }
  if (!p.dx) return;
  m1 = p.center ? m1 / size : 0;
  m2 /= size;
  for (index_t row = 0; row < p.rows; ++row) {
    const RowBlock<T> at = row_block(p, slice_at, row, 0, p.len);
    dx_run(p, slice, at.x, p.dy + at.y, p.dx + at.y, p.len,
           gradient_terms(p, slice.rstd, affine + row * p.affine_row, m1, m2));
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
  if (p.stream) end_stream();
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
    const Sums sums = reduce_run(p, saved(p, slice.q), at.x, p.dy + at.y, at.count);
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
    dx_run(p, slice, at.x, p.dy + at.y, p.dx + at.y, at.count,
           gradient_terms(p, slice.rstd, c, p.m1[place.q], p.m2[place.q]));
  });
  if (p.stream) end_stream();
}

/// gamma along the row: it goes inside the sums, and each element adds to its own channel's dbeta and dgamma.
template <class T>
void backward_along(const NormRows<T>& p, index_t begin, index_t end, double* dbeta, double* dgamma) noexcept {
  constexpr int W = kLanes<T>;
  each_slice(p, begin, end, [&](const Place& slice_at) {
    const Slice slice = saved(p, slice_at.q);
    const index_t affine = slice_at.inner * p.affine_inner, at = start(p.y_stride, slice_at);
    const T* x = p.x + start(p.x_stride, slice_at);
    const T* LIMPID_RESTRICT dy = p.dy + at;
    const T* LIMPID_RESTRICT gamma = p.gamma ? p.gamma + affine : nullptr;
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
      const Lanes<W> weighted = g * gamma_at(c, k);
      total = total + weighted;
      products = fma(weighted, xhat, products);
      if (!dbeta) return;
      add_step(dbeta + affine + c, g, k);
      add_step(dgamma + affine + c, g * xhat, k);
    });
    if (!p.dx) return;

    T* LIMPID_RESTRICT out = p.dx + at;
    const double size = static_cast<double>(p.len);
    const Lanes<W> m1(p.center ? -sum(total) / size : 0.0), m2(-sum(products) / size);
    each_step([&](index_t c, auto k, const Lanes<W>& g, const Lanes<W>& xhat) {
      store_step(out + c, fma(g, gamma_at(c, k), fma(xhat, m2, m1)) * r, k);
    });
  });
}

/// dx = through_x * gamma + (xhat * slope + offset) of a run whose first element is one of channel c.
template <class T>
void tangent_run(const NormRows<T>& p, const Slice& slice, const GradientTerms& through_x, index_t c, const T* x,
                 const T* LIMPID_RESTRICT dy, T* LIMPID_RESTRICT dx, index_t n) {
  constexpr int W = kLanes<T>;
  const T *gamma = p.gamma ? p.gamma + c : nullptr, *slope = p.slope ? p.slope + c : nullptr,
          *offset = p.offset ? p.offset + c : nullptr;
  if constexpr (sizeof(T) == 4) {
    const SingleDeviations deviations(slice.mean, slice.lo, slice.rstd);
    if (const SingleGradient gradient(deviations, through_x); gradient.suits) {
      const Singles scale(deviations.scale), shift(deviations.shift), a(gradient.a), c1(gradient.c1), c2(gradient.c2);
      const Singles unscaled(static_cast<float>(deviations.unscaled)), zero(0), one(1),
          rest(static_cast<float>(deviations.rest * deviations.unscaled));
      return write_steps(p.stream, dx, n, [&](index_t i, auto k) {
        const auto at = [&](const float* values, const Singles& absent) {
          return values ? load_singles_step(values + i, k) : absent;
        };
        const Singles d = fma(load_singles_step(x + i, k), scale, shift);
        const Singles through = fma(load_singles_step(dy + i, k), a, fma(d, c2, c1)), xhat = fma(d, unscaled, rest);
        return fma(through, at(gamma, one), fma(xhat, at(slope, zero), at(offset, zero)));
      });
    }
  }
  const Lanes<W> mean(slice.mean), lo(slice.lo), r(slice.rstd), a(through_x.a), q(through_x.q), constant(through_x.k),
      zero(0.0), one(1.0);
  write_steps(p.stream, dx, n, [&](index_t i, auto k) {
    const auto at = [&](const T* values, const Lanes<W>& absent) { return values ? load_step(values + i, k) : absent; };
    const Lanes<W> xhat = ((load_step(x + i, k) - mean) - lo) * r;
    const Lanes<W> through = fma(load_step(dy + i, k), a, fma(xhat, q, constant));
    return fma(through, at(gamma, one), fma(xhat, at(slope, zero), at(offset, zero)));
  });
}

template <class T>
void tangent_along(const NormRows<T>& p, index_t begin, index_t end) noexcept {
  each_slice(p, begin, end, [&](const Place& place) {
    const Slice slice = saved(p, place.q);
    const T *x = p.x + start(p.x_stride, place), *dy = p.dy + start(p.y_stride, place);
    T* dx = p.dx + start(p.y_stride, place);
    const Sums sums = reduce_run(p, slice, x, dy, p.len);
    const double size = static_cast<double>(p.len), m1 = p.center ? sums.dy / size : 0, m2 = sums.dy_xhat / size;
    const GradientTerms through_x{slice.rstd, -slice.rstd * m2, -slice.rstd * m1};
    runs(x, p.x_stride.element, p.len, [&](const T* run, index_t i, index_t n) {
      tangent_run(p, slice, through_x, place.inner * p.affine_inner + i, run, dy + i, dx + i, n);
    });
  });
  if (p.stream) end_stream();
}

template <class T>
constexpr NormRowKernels<T> kRows = {forward<T>, moments<T>, finish<T>,         apply<T>,        backward<T>,
                                     reduce<T>,  dx<T>,      backward_along<T>, tangent_along<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const NormRowKernels<float> norm_rows_float = kRows<float>;
const NormRowKernels<double> norm_rows_double = kRows<double>;
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
