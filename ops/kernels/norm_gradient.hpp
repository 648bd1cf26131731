// Backward of float32 rows in float32 arithmetic. Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/kernels/norm_write.hpp>

namespace limpid::kernels {
namespace {

/// Of some elements: sum of dy, and of dy * xhat.
struct Sums {
  double dy = 0, dy_xhat = 0;
};

/// Normalised deviations of one slice in float32, but for a factor in [1, 2):
///
///   d = fma(x, scale, shift) = (x - m) * scale,   m the float nearest to the mean, scale the power of two below rstd.
///
/// One rounding, since scale * m is exact; |d| is at most |xhat|, so that products with dy stay in range where dy does.
/// What d lacks, m - mean times the sum of what d was multiplied with, is added afterwards in double.
struct SingleDeviations {
  float scale, shift;
  double rest;      ///< (m - mean) * scale
  double unscaled;  ///< rstd / scale
  bool suits;       ///< Where rstd, its reciprocal or mean * rstd leave float32's range, doubles do the work.

  SingleDeviations(double mean, double mean_lo, double rstd) {
    const double below = rstd == 0 ? 1 : power_below(rstd);
    const auto m = static_cast<float>(mean);
    suits = kFused && !(below > 0x1p120) && !(below < 0x1p-120) && !(__builtin_fabs(mean) * below > 0x1p120);
    scale = suits ? static_cast<float>(below) : 1;
    shift = -m * scale;
    rest = ((static_cast<double>(m) - mean) - mean_lo) * below;
    unscaled = rstd / below;
  }

  static double power_below(double value) {
    return __builtin_bit_cast(double, __builtin_bit_cast(std::uint64_t, value) & 0x7FF0'0000'0000'0000U);
  }
};

inline Singles multiply(const Singles& a, const Singles& b) {
  Singles out;
  for (int i = 0; i < Singles::count; ++i) out.v[i] = a.v[i] * b.v[i];
  return out;
}
inline Singles add(const Singles& a, const Singles& b) {
  Singles out;
  for (int i = 0; i < Singles::count; ++i) out.v[i] = a.v[i] + b.v[i];
  return out;
}
inline Singles fma(const Singles& a, const Singles& b, const Singles& c) {
  Singles out;
  for (int i = 0; i < Singles::count; ++i) out.v[i] = fmadd(a.v[i], b.v[i], c.v[i]);
  return out;
}

/// The sums over n elements. Four steps at a time are added in float32 and then in double, so that with u = 2^-24 and
/// sizes that are sums of magnitudes the first is off by 3 u of its size and the second by 8 u: u for d, 4 u for the
/// products' sum and 3 u, of sum |dy| |m - mean|, for the rest of d; since no float is nearer to the mean than m, that
/// size is none above the other.
Sums single_sums(const SingleDeviations& deviations, const float* LIMPID_RESTRICT x, const float* LIMPID_RESTRICT dy,
                 index_t n) {
  constexpr int W = 16, kChain = 4;
  const Singles scale(deviations.scale), shift(deviations.shift);
  Lanes<W> total(0.0), products(0.0);
  index_t i = 0;
  for (; i + kChain * W <= n; i += kChain * W) {
    Singles sum = load_singles(dy + i), product = multiply(sum, fma(load_singles(x + i), scale, shift));
    for (int k = 1; k < kChain; ++k) {
      const Singles g = load_singles(dy + i + k * W);
      sum = add(sum, g);
      product = fma(g, fma(load_singles(x + i + k * W), scale, shift), product);
    }
    total = total + widen(sum);
    products = products + widen(product);
  }
  steps<W>(n - i, [&](index_t j, auto k) {
    const Singles g = load_singles_step(dy + i + j, k);
    total = total + widen(g);
    products = products + widen(multiply(g, fma(load_singles_step(x + i + j, k), scale, shift)));
  });
  const double dy_sum = sum(total);
  return {dy_sum, (sum(products) + deviations.rest * dy_sum) * deviations.unscaled};
}

/// dx = dy * a + (d * c2 + c1), with a = rstd * gamma and c1, c2 that follow from m1 and m2.
struct SingleGradient {
  float a, c1, c2;
  bool suits;

  SingleGradient(const SingleDeviations& deviations, double rstd, double gamma, double m1, double m2) {
    const double slope = rstd * gamma, along = -rstd * m2 * deviations.unscaled;
    const double constant = -rstd * m1 + deviations.rest * along;
    suits = deviations.suits && fits(slope) && fits(along) && !(__builtin_fabs(constant) > 0x1p120);
    a = static_cast<float>(slope);
    c1 = static_cast<float>(constant);
    c2 = static_cast<float>(along);
  }

  /// Spelled so that a NaN fits: it gives NaN.
  static bool fits(double factor) {
    const double size = __builtin_fabs(factor);
    return !(size > 0x1p100) && (!(size < 0x1p-100) || size == 0);
  }
};

}  // namespace
}  // namespace limpid::kernels
