// Backward of float32 rows in float32 arithmetic. Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/write.hpp>

namespace limpid::kernels {
namespace {

/// Of some elements: sum of dy, and of dy * xhat.
struct Sums {
  double dy = 0, dy_xhat = 0;

  /// What has left float32's range, if it is not the data, may be in that of double.
  bool suits() const { return __builtin_isfinite(dy) && __builtin_isfinite(dy_xhat); }
};

/// Normalised deviations of one slice in float32, but for a factor in [1, 2):
///
///   d = fma(x, scale, shift) = (x - m) * scale,   m the float nearest to the mean, scale the power of two below rstd.
///
/// One rounding, since scale * m is exact; |d| is at most |xhat|, so that products with dy stay in range where dy does.
/// What d lacks, m - mean times the sum of what d was multiplied with, is added afterwards in double.
struct SingleDeviations {
  float scale = 1, shift = 0;
  double rest = 0;      ///< (m - mean) * scale
  double unscaled = 1;  ///< rstd / scale
  bool suits = false;   ///< Where rstd, its reciprocal or mean * rstd leave float32's range, doubles do the work.

  SingleDeviations(double mean, double mean_lo, double rstd) {
    const double below = rstd == 0 ? 1 : power_below(rstd);
    const auto m = static_cast<float>(mean);
    suits = kFused && !(below > 0x1p120) && !(below < 0x1p-120) && !(__builtin_fabs(mean) * below > 0x1p120);
    scale = suits ? static_cast<float>(below) : 1;
    shift = -m * scale;
    rest = ((static_cast<double>(m) - mean) - mean_lo) * below;
    unscaled = rstd / below;
  }

  /// The sums, of sum dy and sum dy * d.
  Sums complete(double dy, double dots) const { return {dy, (dots + rest * dy) * unscaled}; }

  static double power_below(double value) {
    return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, value) & 0x7FF0'0000'0000'0000U);
  }
};

template <class B>
inline StepOfSingles<B> multiply(const StepOfSingles<B>& a, const StepOfSingles<B>& b) {
  StepOfSingles<B> out;
  for (int i = 0; i < out.count; ++i) out.v[i] = a.v[i] * b.v[i];
  return out;
}
template <class B>
inline StepOfSingles<B> add(const StepOfSingles<B>& a, const StepOfSingles<B>& b) {
  StepOfSingles<B> out;
  for (int i = 0; i < out.count; ++i) out.v[i] = a.v[i] + b.v[i];
  return out;
}
template <class B>
inline StepOfSingles<B> fma(const StepOfSingles<B>& a, const StepOfSingles<B>& b, const StepOfSingles<B>& c) {
  StepOfSingles<B> out;
  for (int i = 0; i < out.count; ++i) out.v[i] = fmadd(a.v[i], b.v[i], c.v[i]);
  return out;
}

/// a, in registers: GCC would load it again for each use, which costs twice where rows do not begin cache lines.
inline Singles once(Singles a) {
#if defined(__AVX512F__)
  asm("" : "+v"(a.v[0].data));
#endif
  return a;
}

/// Sum over the lanes in one fixed tree, in float32.
template <class B>
inline float sum(const StepOfSingles<B>& a) {
  alignas(64) float lane[16];
  store(lane, a);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

/// to[j] = sum(v(j)) for j in [0, 16): the same tree over each, side by side.
template <class F>
LIMPID_INLINE inline void sum_sixteen(F&& v, float* to) {
#if defined(__AVX2__)
  const auto eight = [&](int j) LIMPID_INLINE {
    const HalfSingles a = v(j);
    return _mm256_add_ps(a.v[0], a.v[1]);
  };
  const auto fours = [](__m256 p, __m256 q) {
    return _mm256_add_ps(_mm256_permute2f128_ps(p, q, 0x20), _mm256_permute2f128_ps(p, q, 0x31));
  };
  const auto twos = [](__m256 p, __m256 q) {
    return _mm256_add_ps(_mm256_shuffle_ps(p, q, 0x44), _mm256_shuffle_ps(p, q, 0xEE));
  };
  const auto ones = [](__m256 p, __m256 q) {
    return _mm256_add_ps(_mm256_shuffle_ps(p, q, 0x88), _mm256_shuffle_ps(p, q, 0xDD));
  };
  const auto from = [&](int j) LIMPID_INLINE { return fours(eight(j), eight(j + 4)); };
  for (int j = 0; j < 16; j += 8) {
    const __m256 low = twos(from(j), from(j + 1));
    _mm256_storeu_ps(to + j, ones(low, twos(from(j + 2), from(j + 3))));
  }
#else
  for (int j = 0; j < 16; ++j) to[j] = sum(v(j));
#endif
}

/// The sums of a slice's elements, run by run: up to four steps at a time are added in float32, then in double. With
/// u = 2^-24 and sizes that are sums of magnitudes the first sum is off by 3 u of its size and the second by 8 u: u for
/// d, 4 u for the products' sum and 3 u, of sum |dy| |m - mean|, for the rest of d; since no float is nearer to the
/// mean than m, that size is none above the other. A row of one step is added in float32 throughout, in a tree of four
/// additions: 4 u and 10 u. Runs but for the last are of whole chains.
struct SingleSums {
  static constexpr int W = 16, kChain = 4;
  Singles scale, shift;
  Lanes<W> total{0.0}, products{0.0};

  explicit SingleSums(const SingleDeviations& d) : SingleSums(d.scale, d.shift) {}
  SingleSums(float power, float offset) : scale(power), shift(offset) {}

  template <class N>
  void add(const float* LIMPID_RESTRICT x, const float* LIMPID_RESTRICT dy, N n) {
    Lanes<W> all = total, dots = products;
    index_t i = 0;
    for (; i + kChain * W <= n; i += kChain * W) {
      Singles sum = once(load_singles(dy + i)), dot = multiply(sum, fma(load_singles(x + i), scale, shift));
      for (int k = 1; k < kChain; ++k) {
        const Singles g = once(load_singles(dy + i + k * W));
        sum = kernels::add(sum, g);
        dot = fma(g, fma(load_singles(x + i + k * W), scale, shift), dot);
      }
      all = all + widen(sum);
      dots = dots + widen(dot);
    }
    if (i < n) {
      Singles sum(0), dot(0);
      steps<W>(n - i, [&](index_t j, auto k) {
        const Singles g = load_singles_step(dy + i + j, k);
        sum = kernels::add(sum, g);
        dot = fma(g, fma(load_singles_step(x + i + j, k), scale, shift), dot);
      });
      all = all + widen(sum);
      dots = dots + widen(dot);
    }
    total = all;
    products = dots;
  }

  /// Of a row of n <= 16 elements: the terms of its two sums.
  template <class N>
  static HalfSingles terms(const float* dy, N n) {
    return load_singles_step<HalfSingles>(dy, n);
  }
  template <class N>
  static HalfSingles terms(const float* x, const float* dy, float scale, float shift, N n) {
    return multiply(load_singles_step<HalfSingles>(dy, n),
                    fma(load_singles_step<HalfSingles>(x, n), HalfSingles(scale), HalfSingles(shift)));
  }
  static Sums of_one_step(const SingleDeviations& d, const float* x, const float* dy, int n) {
    return d.complete(static_cast<double>(sum(terms(dy, n))),
                      static_cast<double>(sum(terms(x, dy, d.scale, d.shift, n))));
  }

  Sums finish(const SingleDeviations& d) const { return d.complete(kernels::sum(total), kernels::sum(products)); }
};

/// Of a row: dx = dy * a + xhat * q + k.
struct GradientTerms {
  double a = 0, q = 0, k = 0;
};

/// dx = dy * a + (d * c2 + c1).
struct SingleGradient {
  float a = 0, c1 = 0, c2 = 0;
  bool suits = false;

  SingleGradient(const SingleDeviations& deviations, const GradientTerms& terms) {
    const double along = terms.q * deviations.unscaled, constant = terms.k + deviations.rest * along;
    suits = deviations.suits && fits(terms.a) && fits(along) && !(__builtin_fabs(constant) > 0x1p120);
    a = static_cast<float>(terms.a);
    c1 = static_cast<float>(constant);
    c2 = static_cast<float>(along);
  }

  void write(const SingleDeviations& deviations, const float* x, const float* LIMPID_RESTRICT dy,
             float* LIMPID_RESTRICT dx, index_t n, bool streamed) const {
    const Singles scale(deviations.scale), shift(deviations.shift), slope(a), constant(c1), along(c2);
    write_steps(streamed, dx, n, [&](index_t i, auto k) {
      const Singles d = fma(load_singles_step(x + i, k), scale, shift);
      return fma(load_singles_step(dy + i, k), slope, fma(d, along, constant));
    });
  }

  /// Spelled so that a NaN fits: it gives NaN.
  static bool fits(double factor) {
    const double size = __builtin_fabs(factor);
    return !(size > 0x1p100) && (!(size < 0x1p-100) || size == 0);
  }
};

}  // namespace
}  // namespace limpid::kernels
