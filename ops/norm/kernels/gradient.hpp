// Backward in float32 arithmetic: deviations, sums and coefficients of rows, and what columns share with them. Included
// by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/affine.hpp>

namespace limpid::kernels {
namespace {

/// Of some elements: sum of dy, and of dy * xhat.
struct Sums {
  double dy = 0, dy_xhat = 0;

  /// What has left float32's range, if it is not the data, may be in that of double. By bits: a comparison with NaN may
  /// signal an invalid operation, and NaN is but a mark here.
  bool suits() const {
    constexpr std::uint64_t infinity = 0x7FF0'0000'0000'0000U;
    return (__builtin_bit_cast(std::uint64_t, dy) & infinity) != infinity &&
           (__builtin_bit_cast(std::uint64_t, dy_xhat) & infinity) != infinity;
  }
};

/// float32 gradients are computed from normalised deviations in float32, which are xhat but for a factor in [1, 2):
///
///   d = fma(x, scale, shift) = (x - m) * scale,   m the float nearest to the mean, scale the power of two below rstd.
///
/// One rounding, since scale * m is exact; |d| is at most |xhat| or so, so that products with dy stay in range where dy
/// does. What d lacks, m - mean times the sum of what d was multiplied with, is added afterwards in double.
///
/// Takes rstd apart: scale, and unscaled = rstd / scale. Of an rstd of 0 they are 1 and 0.
inline void split_rstd(double rstd, double& scale, double& unscaled) {
  const auto bits = __builtin_bit_cast(std::uint64_t, rstd);
  scale = rstd == 0 ? 1 : __builtin_bit_cast(double, bits & 0x7FF0'0000'0000'0000U);
  unscaled = rstd == 0 ? 0 : __builtin_bit_cast(double, (bits & 0x000F'FFFF'FFFF'FFFFU) | 0x3FF0'0000'0000'0000U);
}
inline void split_rstd(const Vec& rstd, Vec& scale, Vec& unscaled) {
  const Vec exponent(__builtin_bit_cast(double, 0x7FF0'0000'0000'0000)), zero(0.0), one(1.0);
  const Vec fraction(__builtin_bit_cast(double, 0x000F'FFFF'FFFF'FFFF));
  scale = xsimd::select(rstd == zero, one, rstd & exponent);
  unscaled = xsimd::select(rstd == zero, zero, (rstd & fraction) | one);
}

/// The deviations of one slice.
struct SingleDeviations {
  float scale = 1, shift = 0;
  double rest = 0;      ///< (m - mean) * scale
  double unscaled = 1;  ///< rstd / scale
  bool suits = false;   ///< Where rstd, its reciprocal or mean * rstd leave float32's range, doubles do the work.

  SingleDeviations(double mean, double mean_lo, double rstd) {
    double power;
    split_rstd(rstd, power, unscaled);
    const auto m = static_cast<float>(mean);
    suits = kFused && !(power > 0x1p120) && !(power < 0x1p-120) && !(__builtin_fabs(mean) * power > 0x1p120);
    scale = suits ? static_cast<float>(power) : 1;
    shift = -m * scale;
    rest = ((static_cast<double>(m) - mean) - mean_lo) * power;
  }

  /// The sums, of sum dy and sum dy * d.
  Sums complete(double dy, double dots) const { return {dy, (dots + rest * dy) * unscaled}; }
};

/// The same of sixteen slices or columns side by side, in doubles; shift is left to the caller, who knows the sign of
/// its zeros. Of those that float32 does not suit, scale is 1 and unscaled NaN.
struct StepDeviations {
  Lanes<16> m, scale, rest, unscaled;
  bool suit = true;  ///< All of them.

  StepDeviations(const Lanes<16>& mean, const Lanes<16>& lo, const Lanes<16>& rstd) : m(widen(narrow(mean))) {
    const Vec most(0x1p120), least(0x1p-120), one(1.0), nan(__builtin_nan(""));
    for (int i = 0; i < Lanes<16>::count; ++i) {
      Vec power, fraction;
      split_rstd(rstd.v[i], power, fraction);
      const auto suits = power <= most && power >= least && xsimd::abs(m.v[i]) * power <= most;
      suit = suit && xsimd::all(suits);
      scale.v[i] = xsimd::select(suits, power, one);
      unscaled.v[i] = xsimd::select(suits, fraction, nan);
    }
    rest = ((m - mean) - lo) * scale;
  }
};

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
  for (int left = 8; left > 0; left /= 2)
    for (int i = 0; i < left; ++i) lane[i] += lane[i + left];
  return lane[0];
}

/// to[j] = sum(v(j)) for j in [0, 16): the same tree over each, side by side.
template <class F>
LIMPID_INLINE inline void sum_sixteen(F&& v, float* to) {
#if defined(__AVX2__)
  const auto eight = [&](int j) LIMPID_INLINE {
    const Singles256 a = v(j);
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
  void add(const float* __restrict x, const float* __restrict dy, N n) {
    Lanes<W> all = total, dots = products;
    index_t i = 0;
    for (; i + kChain * W <= n; i += kChain * W) {
      Singles sum = once(load_singles(dy + i)), dot = sum * fma(load_singles(x + i), scale, shift);
      for (int k = 1; k < kChain; ++k) {
        const Singles g = once(load_singles(dy + i + k * W));
        sum = sum + g;
        dot = fma(g, fma(load_singles(x + i + k * W), scale, shift), dot);
      }
      all = all + widen(sum);
      dots = dots + widen(dot);
    }
    if (i < n) {
      Singles sum(0), dot(0);
      steps<W>(n - i, [&](index_t j, auto k) {
        const Singles g = load_singles_step(dy + i + j, k);
        sum = sum + g;
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
  static Singles256 terms(const float* dy, N n) {
    return load_singles_step<Singles256>(dy, n);
  }
  template <class N>
  static Singles256 terms(const float* x, const float* dy, float scale, float shift, N n) {
    return load_singles_step<Singles256>(dy, n) *
           fma(load_singles_step<Singles256>(x, n), Singles256(scale), Singles256(shift));
  }
  static Sums of_one_step(const SingleDeviations& d, const float* x, const float* dy, int n) {
    return d.complete(static_cast<double>(sum(terms(dy, n))),
                      static_cast<double>(sum(terms(x, dy, d.scale, d.shift, n))));
  }

  Sums finish(const SingleDeviations& d) const { return d.complete(kernels::sum(total), kernels::sum(products)); }
};

/// Of a row: dx = dy * of_dy + xhat * of_xhat + constant.
struct GradientTerms {
  double of_dy = 0, of_xhat = 0, constant = 0;
};

/// The same with d for xhat: dx = dy * of_dy + (d * of_d + constant).
struct SingleGradient {
  float of_dy = 0, of_d = 0, constant = 0;
  bool suits = false;

  SingleGradient(const SingleDeviations& deviations, const GradientTerms& terms) {
    const double factor = terms.of_xhat * deviations.unscaled, rest = terms.constant + deviations.rest * factor;
    suits = deviations.suits && fits(terms.of_dy) && fits(factor) && !(__builtin_fabs(rest) > 0x1p120);
    of_dy = static_cast<float>(terms.of_dy);
    of_d = static_cast<float>(factor);
    constant = static_cast<float>(rest);
  }

  /// dx of n elements.
  void write(const SingleDeviations& deviations, const float* x, const float* __restrict dy, float* __restrict dx,
             index_t n, bool streamed) const {
    const Singles scale(deviations.scale), shift(deviations.shift), dy_factor(of_dy), d_factor(of_d), rest(constant);
    write_steps(streamed, dx, n, [&](index_t i, auto k) {
      const Singles d = fma(load_singles_step(x + i, k), scale, shift);
      return fma(load_singles_step(dy + i, k), dy_factor, fma(d, d_factor, rest));
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
