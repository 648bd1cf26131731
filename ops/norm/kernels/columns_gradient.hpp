// Backward of columns: sums of dy and dy * xhat, and dx. A part of columns.cpp.
//
// Per channel, sum dy and sum dy * xhat over S; with a = gamma * dy, their sums over a group's D channels give
//   dx = rstd * (a - <a> - xhat * <a xhat>),  <a> = sum(a) / M,  <a xhat> = sum(a * xhat) / M,  M = D * S;
// in forward mode, with gamma outside, dx = rstd * gamma * (dy - <dy> - xhat * <dy xhat>) + slope * xhat + offset.
#pragma once
#include <limpid/ops/norm/kernels/gradient.hpp>
#include <limpid/ops/norm/kernels/tiles.hpp>

namespace limpid::kernels {
namespace {

/// What reduce and dx need of a sample: its coefficients, as arrays over the columns. Of each column
///
///   dx = dy * of_dy + xhat * of_xhat + constant,
///
/// and in float32 arithmetic, with d for xhat (see StepDeviations), d = x * scale + shift and
///
///   dx = dy * single_of_dy + (d * single_of_d + single_constant).
struct GradientArrays {
  double *mean, *lo, *rstd;
  double *of_dy, *constant, *of_xhat;
  double *rest, *unscaled;  ///< What d lacks of xhat; unscaled is NaN where float32 does not suit.
  float *scale, *shift;
  float *single_of_dy, *single_constant, *single_of_d;  ///< The first is NaN where doubles do the work.
  float* needs_doubles;                                 ///< Per step, whether it has such a column.

  GradientArrays(const NormColumnGeometry& p, double* coefficients)
      : mean(coefficients),
        lo(mean + p.pitch),
        rstd(lo + p.pitch),
        of_dy(rstd + p.pitch),
        constant(of_dy + p.pitch),
        of_xhat(constant + p.pitch),
        rest(of_xhat + p.pitch),
        unscaled(rest + p.pitch),
        scale(reinterpret_cast<float*>(unscaled + p.pitch)),
        shift(scale + p.pitch),
        single_of_dy(shift + p.pitch),
        single_constant(single_of_dy + p.pitch),
        single_of_d(single_constant + p.pitch),
        needs_doubles(single_of_d + p.pitch) {}
};

/// d = x * scale + shift of a step of columns.
inline Lanes<16> shift_of(const StepDeviations& d) { return Lanes<16>(0.0) - d.m * d.scale; }

template <class T>
void prepare(const NormColumns<T>& p, index_t n, double* coefficients) noexcept {
  load_statistics(p, n, coefficients);
  if constexpr (!kSingles<T>) return;
  const GradientArrays at(p, coefficients);
  for (index_t c = 0; c < p.pitch; c += 16) {
    const StepDeviations d(load_wide<16>(at.mean + c), load_wide<16>(at.lo + c), load_wide<16>(at.rstd + c));
    store(at.scale + c, d.scale);
    store(at.shift + c, shift_of(d));
    store_wide<16>(at.rest + c, d.rest);
    store_wide<16>(at.unscaled + c, d.unscaled);
  }
}

// ---- sums ----------------------------------------------------------------------------------------------------------

template <class T>
struct GradientMemory {
  const T* __restrict x;
  const T* __restrict dy;
  double* __restrict totals;
  double* __restrict products;
};

template <class T>
void reduce_wide(const NormColumns<T>& p, const BlockRows& rows, const GradientArrays& at,
                 const GradientMemory<T>& memory) {
  constexpr int W = kLanes<T>;
  tiles<T>(p, rows, [&](index_t column, auto abreast, auto k, index_t row, index_t count) {
    for (index_t c = column; c < column + abreast * W; c += W) {
      const Lanes<W> mean = load_wide<W>(at.mean + c), lo = load_wide<W>(at.lo + c), r = load_wide<W>(at.rstd + c);
      const T* x = memory.x + row * p.x_row + c;
      const T* dy = memory.dy + row * p.width + c;
      Lanes<W> total = load_wide<W>(memory.totals + c), product = load_wide<W>(memory.products + c);
      for (index_t i = 0; i < count; ++i, x += p.x_row, dy += p.width) {
        const Lanes<W> g = load_step(dy, k);
        Lanes<W> d = load_step(x, k) - mean;
        if constexpr (!kPlainDeviations<T>) d = (d - lo) * r;
        total = total + g;
        product = fma(g, d, product);
      }
      store_wide<W>(memory.totals + c, total);
      store_wide<W>(memory.products + c, product);
    }
  });
  if (kPlainDeviations<T>)
    for (index_t c = 0; c < p.width; ++c)
      memory.products[c] = (memory.products[c] - at.lo[c] * memory.totals[c]) * at.rstd[c];
}

/// One column's statistics.
struct ColumnStats {
  double mean, lo, rstd;
};

/// Sums of one column in doubles: of dy, and of dy * xhat.
inline Sums reduce_column(const NormColumnGeometry& p, const BlockRows& rows, const SampleMemory& sample, index_t c,
                          const ColumnStats& stats) {
  double total = 0, product = 0;
  each_row(p, rows, c, [&](index_t row) {
    const auto g = static_cast<double>(sample.dy[row * p.width + c]);
    total += g;
    product = __builtin_fma(g, static_cast<double>(sample.x[row * p.x_row + c]) - stats.mean, product);
  });
  return {total, (product - stats.lo * total) * stats.rstd};
}

/// Of a step of float32 columns: d = x * scale + shift, and dx = dy * of_dy + (d * of_d + constant).
struct SingleColumns {
  Singles scale, shift, of_dy, of_d, constant;

  Singles deviation(const Singles& x) const { return fma(x, scale, shift); }
};

/// Of K steps of columns: sums of dy and of dy * d.
template <int K>
struct GradientSums {
  Lanes<16> total[K], product[K];
};

/// Adds the rows of a tile to the sums of its columns.
///
/// Chains of rows are added in float32 and then in double, so that with u = 2^-24 and sizes that are sums of magnitudes
/// the first sum is off by 3 u of its size and the second by 8 u: u for d, 4 u for the products' sum and 3 u, of sum
/// |dy| |m - mean|, for the rest of d; since no float is nearer to the mean than m, that size is none above the other.
template <int K, class N>
[[gnu::always_inline]] inline void reduce_rows(TileRows<float> x, TileRows<float> dy, const SingleColumns* columns, N k,
                                               GradientSums<K>& sums) {
  constexpr int W = kLanes<float>;
  const auto chain = [&](index_t length) {
    Singles sum[K], dot[K];
    unrolled<K>([&](auto j) { sum[j] = dot[j] = Singles(0.0F); });
    // Not unrolled: rows met in turns are not met in order.
    for (; length > 0; --length, x.at += x.step, dy.at += dy.step) {
      fetch_lines<K>(x.ahead);
      fetch_lines<K>(dy.ahead);
      unrolled<K>([&](auto j) {
        const Singles g = load_singles_step(dy.at + j * W, k);
        sum[j] = sum[j] + g;
        dot[j] = fma(g, columns[j].deviation(load_singles_step(x.at + j * W, k)), dot[j]);
      });
    }
    unrolled<K>([&](auto j) {
      sums.total[j] = sums.total[j] + widen(sum[j]);
      sums.product[j] = sums.product[j] + widen(dot[j]);
    });
  };
  index_t count = x.count;
  for (; count >= kRowChain; count -= kRowChain) chain(kRowChain);
  for (; count > 0; --count) chain(1);
}

inline void reduce_single(const NormColumnGeometry& p, const BlockRows& rows, const GradientArrays& at,
                          const GradientMemory<float>& memory) {
  constexpr int W = kLanes<float>;
  tiles<float>(p, rows, [&](index_t c, auto abreast, auto k, index_t row, index_t count) {
    constexpr int K = abreast;
    GradientSums<K> sums;
    SingleColumns columns[K];
    for (int j = 0; j < K; ++j) {
      sums.total[j] = load_wide<W>(memory.totals + c + j * W);
      sums.product[j] = load_wide<W>(memory.products + c + j * W);
      columns[j].scale = load_singles(at.scale + c + j * W);
      columns[j].shift = load_singles(at.shift + c + j * W);
    }
    const float* x = memory.x + row * p.x_row + c;
    const float* dy = memory.dy + row * p.width + c;
    reduce_rows<K>({x, p.x_row, count, rows_ahead(x, p.width, p.x_row)},
                   {dy, p.width, count, rows_ahead(dy, p.width, p.width)}, columns, k, sums);
    for (int j = 0; j < K; ++j) {
      store_wide<W>(memory.totals + c + j * W, sums.total[j]);
      store_wide<W>(memory.products + c + j * W, sums.product[j]);
    }
  });
  // What leaves float32's range, if it is not the data, may be in that of double.
  const Vec zero(0.0);
  bool finite = true;
  for (index_t c = 0; c < p.pitch; c += kVec) {
    const Vec total = Vec::load_unaligned(memory.totals + c), rest = Vec::load_unaligned(at.rest + c);
    Vec product = fused(rest, total, Vec::load_unaligned(memory.products + c));
    product = product * Vec::load_unaligned(at.unscaled + c);
    product.store_unaligned(memory.products + c);
    finite = finite && xsimd::all(total - total == zero && product - product == zero);
  }
  for (index_t c = 0; !finite && c < p.width; ++c) {
    if (Sums{memory.totals[c], memory.products[c]}.suits()) continue;
    const Sums sums = reduce_column(p, rows, {memory.x, memory.dy, nullptr}, c, {at.mean[c], at.lo[c], at.rstd[c]});
    memory.totals[c] = sums.dy;
    memory.products[c] = sums.dy_xhat;
  }
}

template <class T>
void reduce(const NormColumns<T>& p, index_t n, index_t block, const double* coefficients, double* partials) noexcept {
  for (index_t c = 0; c < 2 * p.pitch; ++c) partials[c] = 0;
  const GradientMemory<T> memory = {p.in.x + n * p.x_sample, p.in.dy + n * p.y_sample, partials, partials + p.pitch};
  const GradientArrays at(p, const_cast<double*>(coefficients));
  if constexpr (kSingles<T>)
    reduce_single(p, block_rows(p, block), at, memory);
  else
    reduce_wide(p, block_rows(p, block), at, memory);
}

// ---- dx ------------------------------------------------------------------------------------------------------------

/// Sums the blocks of a sample, then the columns that repeat a channel, into the first C of the first block's arrays.
inline void sum_all(const NormColumnGeometry& p, double* partials) {
  double* __restrict sums = partials;
  for (index_t b = 1; b < p.blocks; ++b) {
    const double* __restrict more = partials + b * kNormSumArrays * p.pitch;
    for (index_t c = 0; c < kNormSumArrays * p.pitch; ++c) sums[c] += more[c];
  }
  const index_t channels = p.g * p.d;
  for (index_t from = channels; from < p.width; from += channels)
    for (index_t c = 0; c < channels; ++c) {
      sums[c] += sums[from + c];
      sums[p.pitch + c] += sums[p.pitch + from + c];
    }
}

/// of_dy, of_xhat and constant of each channel.
template <class T>
void gradient_terms(const NormColumns<T>& p, const double* partials, const GradientArrays& at) {
  const double each = 1 / static_cast<double>(p.d * p.s), keep = p.mode.center ? each : 0;
  const double* __restrict totals = partials;
  const double* __restrict products = partials + p.pitch;
  const double* __restrict rstd = at.rstd;
  double* __restrict of_dy = at.of_dy;
  double* __restrict constant = at.constant;
  double* __restrict of_xhat = at.of_xhat;
  each_value(p.in.gamma, 1, p.g * p.d, [&](index_t c, double gamma) { of_dy[c] = rstd[c] * gamma; });
  if (p.d == 1)
    each_value(p.in.gamma, 1, p.g, [&](index_t c, double gamma) {
      constant[c] = -rstd[c] * (gamma * totals[c] * keep);
      of_xhat[c] = -rstd[c] * (gamma * products[c] * each);
    });
  const T* gamma = p.in.gamma;
  const T *inner = p.mode.gamma_outside ? nullptr : gamma, *outer = p.mode.gamma_outside ? gamma : nullptr;
  for (index_t g = 0; p.d > 1 && g < p.g; ++g) {
    const index_t begin = g * p.d, end = begin + p.d;
    double sum_a = 0, sum_a_xhat = 0;
    for (index_t c = begin; c < end; ++c) {
      const double weight = value_or(inner, c, 1);
      sum_a += weight * totals[c];
      sum_a_xhat += weight * products[c];
    }
    for (index_t c = begin; c < end; ++c) {
      const double minus_r = -rstd[c] * value_or(outer, c, 1);
      constant[c] = minus_r * (sum_a * keep);
      of_xhat[c] = minus_r * (sum_a_xhat * each);
    }
  }
  if (p.in.slope) each_value(p.in.slope, 0, p.g * p.d, [&](index_t c, double slope) { of_xhat[c] += slope; });
  if (p.in.offset) each_value(p.in.offset, 0, p.g * p.d, [&](index_t c, double offset) { constant[c] += offset; });
}

/// The terms of a step for float32, and which columns they do not suit: factors lose no digits to denormals and no
/// product overflows where the result does not.
struct StepTerms {
  Lanes<16> of_dy, of_d, constant;
  bool suit = true;  ///< All of them; of_dy is NaN of one that does not.

  StepTerms(const Lanes<16>& dy_factor, const Lanes<16>& d_factor, const Lanes<16>& rest)
      : of_dy(dy_factor),
        of_d(d_factor),
        constant(rest) {
    const Vec zero(0.0), most(0x1p100), least(0x1p-100), top(0x1p120), nan(__builtin_nan(""));
    const auto fits = [&](const Vec& factor) {
      const Vec size = xsimd::abs(factor);
      return size <= most && (size >= least || size == zero);
    };
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const auto suits = fits(of_dy.v[i]) && fits(of_d.v[i]) && xsimd::abs(constant.v[i]) <= top;
      suit = suit && xsimd::all(suits);
      of_dy.v[i] = xsimd::select(suits, of_dy.v[i], nan);
    }
  }
};

inline void single_terms(const NormColumnGeometry& p, const GradientArrays& at) {
  for (index_t c = 0; c < p.pitch; c += 16) {
    const Lanes<16> of_d = load_wide<16>(at.of_xhat + c) * load_wide<16>(at.unscaled + c);
    const StepTerms terms(load_wide<16>(at.of_dy + c), of_d,
                          fma(of_d, load_wide<16>(at.rest + c), load_wide<16>(at.constant + c)));
    store(at.single_of_dy + c, terms.of_dy);
    store(at.single_of_d + c, terms.of_d);
    store(at.single_constant + c, terms.constant);
    at.needs_doubles[c / 16] = terms.suit ? 0 : 1;
  }
}

template <class T>
void finish_sums(const NormColumns<T>& p, index_t, double* partials, double* coefficients) noexcept {
  sum_all(p, partials);
  if (!p.out.dx) return;
  const GradientArrays at(p, coefficients);
  gradient_terms(p, partials, at);
  repeat_channels(at.of_dy, p.g * p.d, p.pitch, 3);
  if constexpr (kSingles<T>) single_terms(p, at);
}

template <bool Streamed, class T>
void dx_wide(const NormColumns<T>& p, const BlockRows& rows, const GradientArrays& at, const T* __restrict x,
             const T* __restrict dy, T* __restrict out) {
  constexpr int W = kLanes<T>;
  tiles<T>(p, rows, [&](index_t column, auto abreast, auto k, index_t row, index_t count) {
    for (index_t c = column; c < column + abreast * W; c += W) {
      const Lanes<W> of_dy = load_wide<W>(at.of_dy + c);
      const T* x_at = x + row * p.x_row + c;
      const T* dy_at = dy + row * p.width + c;
      T* to = out + row * p.width + c;
      const Lanes<W> mean = load_wide<W>(at.mean + c), lo = load_wide<W>(at.lo + c), r = load_wide<W>(at.rstd + c);
      Lanes<W> factor = load_wide<W>(at.of_xhat + c), constant = load_wide<W>(at.constant + c);
      if constexpr (kPlainDeviations<T>) {  // of x - mean instead of xhat
        factor = factor * r;
        constant = constant - lo * factor;
      }
      for (index_t i = 0; i < count; ++i, x_at += p.x_row, dy_at += p.width, to += p.width) {
        Lanes<W> d = load_step(x_at, k) - mean;
        if constexpr (!kPlainDeviations<T>) d = (d - lo) * r;
        write_step<Streamed>(to, fma(load_step(dy_at, k), of_dy, fma(d, factor, constant)), k);
      }
    }
  });
}

/// dx of one column in doubles.
inline void dx_column(const NormColumnGeometry& p, const BlockRows& rows, const SampleMemory& sample, index_t c,
                      const ColumnStats& stats, const GradientTerms& terms) {
  const double factor = terms.of_xhat * stats.rstd, constant = terms.constant - stats.lo * factor;
  each_row(p, rows, c, [&](index_t row) {
    const auto g = static_cast<double>(sample.dy[row * p.width + c]);
    const double d = static_cast<double>(sample.x[row * p.x_row + c]) - stats.mean;
    sample.out[row * p.width + c] =
        static_cast<float>(__builtin_fma(g, terms.of_dy, __builtin_fma(d, factor, constant)));
  });
}

/// dx of the rows of a tile, from `to` on. With u = 2^-24: d, the three terms and the two sums are rounded once each,
/// so dx is off by less than 4 u of the sum of the magnitudes of its terms.
template <bool Streamed, int K, class N>
[[gnu::always_inline]] inline void dx_rows(TileRows<float> x, TileRows<float> dy, const SingleColumns* columns, N k,
                                           float* __restrict to) {
  constexpr int W = kLanes<float>;
  for (index_t i = 0; i < x.count; ++i, x.at += x.step, dy.at += dy.step, to += dy.step) {
    fetch_lines<K>(x.ahead);
    fetch_lines<K>(dy.ahead);
    unrolled<K>([&](auto j) {
      const SingleColumns& column = columns[j];
      const Singles rest = fma(column.deviation(load_singles_step(x.at + j * W, k)), column.of_d, column.constant);
      write_step<Streamed>(to + j * W, fma(load_singles_step(dy.at + j * W, k), column.of_dy, rest), k);
    });
  }
}

template <bool Streamed>
void dx_single(const NormColumnGeometry& p, const BlockRows& rows, const GradientArrays& at, const float* __restrict x,
               const float* __restrict dy, float* __restrict out) {
  constexpr int W = kLanes<float>;
  tiles<float>(p, rows, [&](index_t c, auto abreast, auto k, index_t row, index_t count) {
    constexpr int K = abreast;
    SingleColumns columns[K];
    const float* x_at = x + row * p.x_row + c;
    const float* dy_at = dy + row * p.width + c;
    float* to = out + row * p.width + c;
    for (int j = 0; j < K; ++j) {
      columns[j].of_dy = load_singles(at.single_of_dy + c + j * W);
      columns[j].scale = load_singles(at.scale + c + j * W);
      columns[j].shift = load_singles(at.shift + c + j * W);
      columns[j].of_d = load_singles(at.single_of_d + c + j * W);
      columns[j].constant = load_singles(at.single_constant + c + j * W);
    }
    dx_rows<Streamed, K>({x_at, p.x_row, count, rows_ahead(x_at, p.width, p.x_row)},
                         {dy_at, p.width, count, rows_ahead(dy_at, p.width, p.width)}, columns, k, to);
  });
  each_marked_column(p, at.needs_doubles, [&](index_t c) {
    if (at.single_of_dy[c] == at.single_of_dy[c]) return;
    dx_column(p, rows, {x, dy, out}, c, {at.mean[c], at.lo[c], at.rstd[c]},
              {at.of_dy[c], at.of_xhat[c], at.constant[c]});
  });
}

template <bool Streamed, class T>
void dx_block(const NormColumns<T>& p, const BlockRows& rows, const GradientArrays& at, const T* x, const T* dy,
              T* out) {
  if constexpr (kSingles<T>)
    dx_single<Streamed>(p, rows, at, x, dy, out);
  else
    dx_wide<Streamed>(p, rows, at, x, dy, out);
}

template <class T>
void dx(const NormColumns<T>& p, index_t n, index_t begin, index_t end, const double* coefficients) noexcept {
  const GradientArrays at(p, const_cast<double*>(coefficients));
  const T* x = p.in.x + n * p.x_sample;
  const T* dy = p.in.dy + n * p.y_sample;
  T* out = p.out.dx + n * p.y_sample;
  for (index_t block = end; block-- > begin;) {
    const BlockRows rows = block_rows(p, block);
    p.mode.stream ? dx_block<true>(p, rows, at, x, dy, out) : dx_block<false>(p, rows, at, x, dy, out);
  }
  if (p.mode.stream) end_stream();
}

}  // namespace
}  // namespace limpid::kernels
