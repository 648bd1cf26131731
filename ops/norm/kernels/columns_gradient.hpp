// Backward of columns: sums of dy and dy * xhat, and dx. Included by norm_columns.cpp only.
//
// Per channel, sum dy and sum dy * xhat over S; with gamma inside, their sums over a group's D channels give
//   dx = rstd * (gamma * dy - m1 - xhat * m2),  m1 = sum(gamma * dy) / M,  m2 = sum(gamma * dy * xhat) / M,  M = D * S;
// in forward mode, with gamma outside, dx = rstd * gamma * (dy - m1 - xhat * m2) + slope * xhat + offset.
#pragma once
#include <limpid/ops/norm/kernels/gradient.hpp>
#include <limpid/ops/norm/kernels/tiles.hpp>

namespace limpid::kernels {
namespace {

/// What reduce and dx need of a sample: dx = dy * a + xhat * q + k.
///
/// float32 is done in its own arithmetic, with deviations normalised but for a factor in [1, 2):
///
///   d = fma(x, scale, shift) = (x - m) * scale,   m the float nearest to the mean, scale the power of two below rstd.
///
/// One rounding, since scale * m is exact; |d| is at most |xhat| or so, and products with dy stay in range where dy
/// does. What d lacks, (m - mean) * scale, enters sums and coefficients in double.
struct GradientArrays {
  double *mean, *lo, *rstd;
  double *a, *k, *q;
  double* rest;      ///< (m - mean) * scale
  double* unscaled;  ///< rstd / scale; NaN where rstd or mean * rstd leave float32's range, and doubles do the work.
  float *scale, *shift;
  float *single_a, *single_k, *single_q;  ///< The same three for d instead of xhat; a is NaN where doubles do the work.
  float* hard;                            ///< Per step, whether it has such a column.
};
template <class T>
GradientArrays gradient_arrays(const NormColumns<T>& p, double* at) {
  const auto array = [&](int i) { return coefficient_array(p, at, i); };
  const auto floats = [&](int i) { return reinterpret_cast<float*>(array(8)) + i * p.pitch; };
  return {array(0), array(1),  array(2),  array(3),  array(4),  array(5),  array(6),
          array(7), floats(0), floats(1), floats(2), floats(3), floats(4), floats(5)};
}

/// Of a step of columns: d, and what belongs to it in double.
struct StepDeviations {
  Lanes<16> scale, shift, rest, unscaled;

  StepDeviations(const Lanes<16>& mean, const Lanes<16>& lo, const Lanes<16>& rstd) {
    const Vec exponent(__builtin_bit_cast(double, 0x7FF0'0000'0000'0000)), zero(0.0), one(1.0);
    const Vec most(0x1p120), least(0x1p-120), nan(__builtin_nan(""));
    const Lanes<16> m = widen(narrow(mean));
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const Vec below = xsimd::select(rstd.v[i] == zero, one, rstd.v[i] & exponent);
      const auto suits = below <= most && below >= least && xsimd::abs(m.v[i]) * below <= most;
      scale.v[i] = xsimd::select(suits, below, one);
      unscaled.v[i] = xsimd::select(suits, rstd.v[i] / below, nan);
    }
    shift = Lanes<16>(0.0) - m * scale;
    rest = ((m - mean) - lo) * scale;
  }
};

template <class T>
void prepare(const NormColumns<T>& p, index_t n, double* coefficients) noexcept {
  load_statistics(p, n, coefficients);
  if constexpr (!kSingles<T>) return;
  const GradientArrays at = gradient_arrays(p, coefficients);
  for (index_t c = 0; c < p.pitch; c += 16) {
    const StepDeviations d(load_wide<16>(at.mean + c), load_wide<16>(at.lo + c), load_wide<16>(at.rstd + c));
    store(at.scale + c, d.scale);
    store(at.shift + c, d.shift);
    store_wide<16>(at.rest + c, d.rest);
    store_wide<16>(at.unscaled + c, d.unscaled);
  }
}

// ---- sums ----------------------------------------------------------------------------------------------------------

template <class T>
struct GradientMemory {
  const T* LIMPID_RESTRICT x;
  const T* LIMPID_RESTRICT dy;
  double* LIMPID_RESTRICT totals;
  double* LIMPID_RESTRICT products;
};

template <class T>
void reduce_wide(const NormColumns<T>& p, const BlockRows& rows, const GradientArrays& at,
                 const GradientMemory<T>& memory) {
  constexpr int W = kLanes<T>;
  tiles(p, rows, [&](index_t column, auto abreast, auto k, index_t row, index_t count) {
    for (index_t c = column; c < column + abreast * W; c += W) {
      const Lanes<W> mean = load_wide<W>(at.mean + c), lo = load_wide<W>(at.lo + c), r = load_wide<W>(at.rstd + c);
      const T* x = memory.x + row * p.x_row + c;
      const T* dy = memory.dy + row * p.width + c;
      Lanes<W> total = load_wide<W>(memory.totals + c), product = load_wide<W>(memory.products + c);
      for (index_t i = 0; i < count; ++i, x += p.x_row, dy += p.width) {
        const Lanes<W> g = load_step(dy, k);
        Lanes<W> d = load_step(x, k) - mean;
        if constexpr (!kLate<T>) d = (d - lo) * r;
        total = total + g;
        product = fma(g, d, product);
      }
      store_wide<W>(memory.totals + c, total);
      store_wide<W>(memory.products + c, product);
    }
  });
  if (kLate<T>)
    for (index_t c = 0; c < p.width; ++c)
      memory.products[c] = (memory.products[c] - at.lo[c] * memory.totals[c]) * at.rstd[c];
}

/// Sums of one column in doubles: of dy, and of dy * xhat.
inline Sums reduce_column(const NormColumns<float>& p, const BlockRows& rows, const float* x, const float* dy,
                          index_t c, double mean, double lo, double rstd) {
  double total = 0, product = 0;
  each_row(p, rows, c, [&](index_t row) {
    const auto g = static_cast<double>(dy[row * p.width + c]);
    total += g;
    product = __builtin_fma(g, static_cast<double>(x[row * p.x_row + c]) - mean, product);
  });
  return {total, (product - lo * total) * rstd};
}

/// Of float32 columns: (x - m) * scale = fma(x, scale, shift), and dx = dy * a + that * q + k.
struct SingleColumns {
  Singles scale, shift, a, q, k;

  Singles deviation(const Singles& x) const { return fma(x, scale, shift); }
};

/// Adds the rows of a tile to the sums of dy and dy * d.
///
/// Chains of rows are added in float32 and then in double, so that with u = 2^-24 and sizes that are sums of magnitudes
/// the first sum is off by 3 u of its size and the second by 8 u: u for d, 4 u for the products' sum and 3 u, of sum
/// |dy| |m - mean|, for the rest of d; since no float is nearer to the mean than m, that size is none above the other.
template <int K, class N>
[[gnu::always_inline]] inline void reduce_rows(const NormColumns<float>& p, const SingleColumns* columns,
                                               const float* x, const float* dy, Ahead<float> ahead_x,
                                               Ahead<float> ahead_dy, index_t count, N k, Lanes<16>* total,
                                               Lanes<16>* product) {
  constexpr int W = kLanes<float>;
  const index_t x_row = p.x_row, dy_row = p.width;
  const auto chain = [&](index_t length) {
    Singles sum[K], dot[K];
    unrolled<K>([&](auto j) { sum[j] = dot[j] = Singles(0.0F); });
    for (; length > 0; --length, x += x_row, dy += dy_row) {  // not unrolled: rows met in turns are not met in order
      fetch_lines<K>(ahead_x);
      fetch_lines<K>(ahead_dy);
      unrolled<K>([&](auto j) {
        const Singles g = load_singles_step(dy + j * W, k);
        sum[j] = add(sum[j], g);
        dot[j] = fma(g, columns[j].deviation(load_singles_step(x + j * W, k)), dot[j]);
      });
    }
    unrolled<K>([&](auto j) {
      total[j] = total[j] + widen(sum[j]);
      product[j] = product[j] + widen(dot[j]);
    });
  };
  for (; count >= kRowChain; count -= kRowChain) chain(kRowChain);
  for (; count > 0; --count) chain(1);
}

inline void reduce_single(const NormColumns<float>& p, const BlockRows& rows, const GradientArrays& at,
                          const GradientMemory<float>& memory) {
  constexpr int W = kLanes<float>;
  tiles(p, rows, [&](index_t c, auto abreast, auto k, index_t row, index_t count) {
    constexpr int K = abreast;
    Lanes<W> total[K], product[K];
    SingleColumns columns[K];
    for (int j = 0; j < K; ++j) {
      total[j] = load_wide<W>(memory.totals + c + j * W);
      product[j] = load_wide<W>(memory.products + c + j * W);
      columns[j].scale = load_singles(at.scale + c + j * W);
      columns[j].shift = load_singles(at.shift + c + j * W);
    }
    const float* x = memory.x + row * p.x_row + c;
    const float* dy = memory.dy + row * p.width + c;
    reduce_rows<K>(p, columns, x, dy, rows_ahead(x, p.width, p.x_row), rows_ahead(dy, p.width, p.width), count, k,
                   total, product);
    for (int j = 0; j < K; ++j) {
      store_wide<W>(memory.totals + c + j * W, total[j]);
      store_wide<W>(memory.products + c + j * W, product[j]);
    }
  });
  // What leaves float32's range, if it is not the data, may be in that of double.
  const Vec zero(0.0);
  bool finite = true;
  for (index_t c = 0; c < p.pitch; c += kVec) {
    const Vec total = Vec::load_unaligned(memory.totals + c), rest = Vec::load_unaligned(at.rest + c);
    Vec product = fmadd(rest, total, Vec::load_unaligned(memory.products + c));
    product = product * Vec::load_unaligned(at.unscaled + c);
    product.store_unaligned(memory.products + c);
    finite = finite && xsimd::all(total - total == zero && product - product == zero);
  }
  for (index_t c = 0; !finite && c < p.width; ++c) {
    if (Sums{memory.totals[c], memory.products[c]}.suits()) continue;
    const Sums sums = reduce_column(p, rows, memory.x, memory.dy, c, at.mean[c], at.lo[c], at.rstd[c]);
    memory.totals[c] = sums.dy;
    memory.products[c] = sums.dy_xhat;
  }
}

template <class T>
void reduce(const NormColumns<T>& p, index_t n, index_t block, const double* coefficients, double* partials) noexcept {
  for (index_t c = 0; c < 2 * p.pitch; ++c) partials[c] = 0;
  const GradientMemory<T> memory = {p.x + n * p.x_sample, p.dy + n * p.y_sample, partials, partials + p.pitch};
  const GradientArrays at = gradient_arrays(p, const_cast<double*>(coefficients));
  if constexpr (kSingles<T>)
    reduce_single(p, block_rows(p, block), at, memory);
  else
    reduce_wide(p, block_rows(p, block), at, memory);
}

// ---- dx ------------------------------------------------------------------------------------------------------------

/// Sums the blocks of a sample, then its folded copies, into the first C of the first block's arrays.
template <class T>
void sum_all(const NormColumns<T>& p, double* partials) {
  double* LIMPID_RESTRICT sums = partials;
  for (index_t b = 1; b < p.blocks; ++b) {
    const double* LIMPID_RESTRICT more = partials + b * kNormSumArrays * p.pitch;
    for (index_t c = 0; c < kNormSumArrays * p.pitch; ++c) sums[c] += more[c];
  }
  const index_t channels = p.g * p.d;
  for (index_t from = channels; from < p.width; from += channels)
    for (index_t c = 0; c < channels; ++c) {
      sums[c] += sums[from + c];
      sums[p.pitch + c] += sums[p.pitch + from + c];
    }
}

/// a, k and q of each channel.
template <class T>
void gradient_terms(const NormColumns<T>& p, const double* partials, const GradientArrays& at) {
  const double each = 1 / static_cast<double>(p.d * p.s), keep = p.center ? each : 0;
  const double* LIMPID_RESTRICT totals = partials;
  const double* LIMPID_RESTRICT products = partials + p.pitch;
  const double* LIMPID_RESTRICT rstd = at.rstd;
  double* LIMPID_RESTRICT a = at.a;
  double* LIMPID_RESTRICT k = at.k;
  double* LIMPID_RESTRICT q = at.q;
  each_value(p.gamma, 1, p.g * p.d, [&](index_t c, double gamma) { a[c] = rstd[c] * gamma; });
  if (p.d == 1)
    each_value(p.gamma, 1, p.g, [&](index_t c, double gamma) {
      k[c] = -rstd[c] * (gamma * totals[c] * keep);
      q[c] = -rstd[c] * (gamma * products[c] * each);
    });
  const T *inner = p.outside ? nullptr : p.gamma, *outer = p.outside ? p.gamma : nullptr;
  for (index_t g = 0; p.d > 1 && g < p.g; ++g) {
    const index_t begin = g * p.d, end = begin + p.d;
    double m1 = 0, m2 = 0;
    for (index_t c = begin; c < end; ++c) {
      const double gamma = value_or(inner, c, 1);
      m1 += gamma * totals[c];
      m2 += gamma * products[c];
    }
    for (index_t c = begin; c < end; ++c) {
      const double minus_r = -rstd[c] * value_or(outer, c, 1);
      k[c] = minus_r * (m1 * keep);
      q[c] = minus_r * (m2 * each);
    }
  }
  if (p.slope) each_value(p.slope, 0, p.g * p.d, [&](index_t c, double slope) { q[c] += slope; });
  if (p.offset) each_value(p.offset, 0, p.g * p.d, [&](index_t c, double offset) { k[c] += offset; });
}

/// The terms of a step for float32, and which columns they do not suit: factors lose no digits to denormals and no
/// product overflows where the result does not.
struct StepTerms {
  Lanes<16> a, q, k;
  bool suit = true;  ///< All of them; a is NaN of one that does not.

  StepTerms(const Lanes<16>& slope, const Lanes<16>& along, const Lanes<16>& constant)
      : a(slope),
        q(along),
        k(constant) {
    const Vec zero(0.0), most(0x1p100), least(0x1p-100), top(0x1p120), nan(__builtin_nan(""));
    const auto fits = [&](const Vec& factor) {
      const Vec size = xsimd::abs(factor);
      return size <= most && (size >= least || size == zero);
    };
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const auto suits = fits(a.v[i]) && fits(q.v[i]) && xsimd::abs(k.v[i]) <= top;
      suit = suit && xsimd::all(suits);
      a.v[i] = xsimd::select(suits, a.v[i], nan);
    }
  }
};

template <class T>
void single_terms(const NormColumns<T>& p, const GradientArrays& at) {
  for (index_t c = 0; c < p.pitch; c += 16) {
    const Lanes<16> q = load_wide<16>(at.q + c) * load_wide<16>(at.unscaled + c);
    const StepTerms terms(load_wide<16>(at.a + c), q, fma(q, load_wide<16>(at.rest + c), load_wide<16>(at.k + c)));
    store(at.single_a + c, terms.a);
    store(at.single_q + c, terms.q);
    store(at.single_k + c, terms.k);
    at.hard[c / 16] = terms.suit ? 0 : 1;
  }
}

template <class T>
void finish_sums(const NormColumns<T>& p, index_t, double* partials, double* coefficients) noexcept {
  sum_all(p, partials);
  if (!p.dx) return;
  const GradientArrays at = gradient_arrays(p, coefficients);
  gradient_terms(p, partials, at);
  unfold(at.a, p.g * p.d, p.pitch, 3);
  if constexpr (kSingles<T>) single_terms(p, at);
}

template <bool Streamed, class T>
void dx_wide(const NormColumns<T>& p, const BlockRows& rows, const GradientArrays& at, const T* LIMPID_RESTRICT x,
             const T* LIMPID_RESTRICT dy, T* LIMPID_RESTRICT out) {
  constexpr int W = kLanes<T>;
  tiles(p, rows, [&](index_t column, auto abreast, auto k, index_t row, index_t count) {
    for (index_t c = column; c < column + abreast * W; c += W) {
      const Lanes<W> a = load_wide<W>(at.a + c);
      const T* x_at = x + row * p.x_row + c;
      const T* dy_at = dy + row * p.width + c;
      T* to = out + row * p.width + c;
      const Lanes<W> mean = load_wide<W>(at.mean + c), lo = load_wide<W>(at.lo + c), r = load_wide<W>(at.rstd + c);
      Lanes<W> q = load_wide<W>(at.q + c), constant = load_wide<W>(at.k + c);
      if constexpr (kLate<T>) {  // q for x - mean instead of xhat
        q = q * r;
        constant = constant - lo * q;
      }
      for (index_t i = 0; i < count; ++i, x_at += p.x_row, dy_at += p.width, to += p.width) {
        Lanes<W> d = load_step(x_at, k) - mean;
        if constexpr (!kLate<T>) d = (d - lo) * r;
        write_step<Streamed>(to, fma(load_step(dy_at, k), a, fma(d, q, constant)), k);
      }
    }
  });
}

/// dx of one column in doubles.
inline void dx_column(const NormColumns<float>& p, const BlockRows& rows, const float* x, const float* dy, float* out,
                      index_t c, double mean, double lo, double rstd, double a, double q, double k) {
  const double along = q * rstd, constant = k - lo * along;
  each_row(p, rows, c, [&](index_t row) {
    const auto g = static_cast<double>(dy[row * p.width + c]);
    const double d = static_cast<double>(x[row * p.x_row + c]) - mean;
    out[row * p.width + c] = static_cast<float>(__builtin_fma(g, a, __builtin_fma(d, along, constant)));
  });
}

/// dx of the rows of a tile. With u = 2^-24: d, the three terms and the two sums are rounded once each, so dx is off by
/// less than 4 u of the sum of the magnitudes of its terms.
template <bool Streamed, int K, class N>
[[gnu::always_inline]] inline void dx_rows(const NormColumns<float>& p, const SingleColumns* columns, const float* x,
                                           const float* dy, Ahead<float> ahead_x, Ahead<float> ahead_dy, index_t count,
                                           N k, float* LIMPID_RESTRICT to) {
  constexpr int W = kLanes<float>;
  const index_t x_row = p.x_row, row = p.width;
  for (index_t i = 0; i < count; ++i, x += x_row, dy += row, to += row) {
    fetch_lines<K>(ahead_x);
    fetch_lines<K>(ahead_dy);
    unrolled<K>([&](auto j) {
      const SingleColumns& column = columns[j];
      const Singles along = fma(column.deviation(load_singles_step(x + j * W, k)), column.q, column.k);
      write_step<Streamed>(to + j * W, fma(load_singles_step(dy + j * W, k), column.a, along), k);
    });
  }
}

template <bool Streamed>
void dx_single(const NormColumns<float>& p, const BlockRows& rows, const GradientArrays& at,
               const float* LIMPID_RESTRICT x, const float* LIMPID_RESTRICT dy, float* LIMPID_RESTRICT out) {
  constexpr int W = kLanes<float>;
  tiles(p, rows, [&](index_t c, auto abreast, auto k, index_t row, index_t count) {
    constexpr int K = abreast;
    SingleColumns columns[K];
    const float* x_at = x + row * p.x_row + c;
    const float* dy_at = dy + row * p.width + c;
    float* to = out + row * p.width + c;
    for (int j = 0; j < K; ++j) {
      columns[j].a = load_singles(at.single_a + c + j * W);
      columns[j].scale = load_singles(at.scale + c + j * W);
      columns[j].shift = load_singles(at.shift + c + j * W);
      columns[j].q = load_singles(at.single_q + c + j * W);
      columns[j].k = load_singles(at.single_k + c + j * W);
    }
    dx_rows<Streamed, K>(p, columns, x_at, dy_at, rows_ahead(x_at, p.width, p.x_row),
                         rows_ahead(dy_at, p.width, p.width), count, k, to);
  });
  each_hard_column(p, at.hard, [&](index_t c) {
    if (at.single_a[c] == at.single_a[c]) return;
    dx_column(p, rows, x, dy, out, c, at.mean[c], at.lo[c], at.rstd[c], at.a[c], at.q[c], at.k[c]);
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
  const GradientArrays at = gradient_arrays(p, const_cast<double*>(coefficients));
  const T* x = p.x + n * p.x_sample;
  const T* dy = p.dy + n * p.y_sample;
  T* out = p.dx + n * p.y_sample;
  for (index_t block = end; block-- > begin;) {
    const BlockRows rows = block_rows(p, block);
    p.stream ? dx_block<true>(p, rows, at, x, dy, out) : dx_block<false>(p, rows, at, x, dy, out);
  }
  if (p.stream) end_stream();
}

}  // namespace
}  // namespace limpid::kernels
