// Backward of float32 rows in float32 arithmetic. Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/kernels/norm_write.hpp>

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

/// The sums of a slice's elements, run by run. Four steps at a time are added in float32 and then in double, so that
/// with u = 2^-24 and sizes that are sums of magnitudes the first is off by 3 u of its size and the second by 8 u: u
/// for d, 4 u for the products' sum and 3 u, of sum |dy| |m - mean|, for the rest of d; since no float is nearer to the
/// mean than m, that size is none above the other. Runs but for the last are of whole chains.
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
      Singles sum = load_singles(dy + i), dot = multiply(sum, fma(load_singles(x + i), scale, shift));
      for (int k = 1; k < kChain; ++k) {
        const Singles g = load_singles(dy + i + k * W);
        sum = kernels::add(sum, g);
        dot = fma(g, fma(load_singles(x + i + k * W), scale, shift), dot);
      }
      all = all + widen(sum);
      dots = dots + widen(dot);
    }
    steps<W>(n - i, [&](index_t j, auto k) {
      const Singles g = load_singles_step(dy + i + j, k);
      all = all + widen(g);
      dots = dots + widen(multiply(g, fma(load_singles_step(x + i + j, k), scale, shift)));
    });
    total = all;
    products = dots;
  }

  Sums finish(const SingleDeviations& d) const { return d.complete(sum(total), sum(products)); }
};

/// dx = dy * a + (d * c2 + c1), with a = rstd * gamma and c1, c2 that follow from m1 and m2.
struct SingleGradient {
  float a = 0, c1 = 0, c2 = 0;
  bool suits = false;

  SingleGradient(const SingleDeviations& deviations, double rstd, double gamma, double m1, double m2) {
    const double slope = rstd * gamma, along = -rstd * m2 * deviations.unscaled;
    const double constant = -rstd * m1 + deviations.rest * along;
    suits = deviations.suits && fits(slope) && fits(along) && !(__builtin_fabs(constant) > 0x1p120);
    a = static_cast<float>(slope);
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
