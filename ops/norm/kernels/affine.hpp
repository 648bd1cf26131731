// y = (x - mean) * rstd * gamma + beta in float32 arithmetic, and what all kernels do to get rstd, gamma and beta.
// Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/lanes.hpp>

namespace limpid::kernels {
namespace {

/// Whether a loop over elements may work with d = x - mean, the mean's high part alone, in place of xhat: sums and
/// coefficients take rstd and the mean's low part in afterwards, once per row or column. Products of float32 numbers
/// stay in the range of double; those of float64 would not.
template <class T>
constexpr bool kPlainDeviations = sizeof(T) == 4;

/// p[i], such as a channel's gamma, or what stands for it where there is none.
inline double value_or(const float* p, index_t i, double absent) { return p ? static_cast<double>(p[i]) : absent; }
inline double value_or(const double* p, index_t i, double absent) { return p ? p[i] : absent; }

/// rstd: 1 / sqrt(var + eps), and 0 where var + eps is 0, by no division by 0, for that would raise an exception. One
/// number's choice is arithmetic, for of two branches the compiler makes one, division and all; so does GCC of two
/// selects by one mask. The divisor of vectors is at least what no root of a double is below, and NaN where that is.
inline double inverse_stddev(double var, double eps) {
  const double v = var + eps;
  return 1.0 / (__builtin_sqrt(v) + static_cast<double>(v == 0)) * static_cast<double>(v != 0);
}
inline Vec inverse_stddev(const Vec& var, const Vec& eps) {
  const Vec zero(0.0), v = var + eps, divisor = xsimd::max(Vec(1e-170), xsimd::sqrt(v));
  return xsimd::select(v == zero, zero, Vec(1.0) / divisor);
}

/// y = (x - mean) * a + beta in float32 arithmetic, where a = rstd * gamma and the mean are sums of two floats:
///
///   d = x - mean,   s = fma(d, a, beta),   y = s + fma(d, a_lo, c)   with c = -mean_lo * a.
///
/// With u = 2^-24: d is exact where x is within a factor of 2 of the mean (Sterbenz), and off by at most u |d|
/// elsewhere, where mean_lo, at most u |mean|, is below 2 u |d|. mean being the float nearest to the true mean, no
/// other float is closer to it than |d| / 2, so d a + c does not cancel. All of a's error is in a_lo's rounding, u^2
/// |a|. Of size = max(|y|, |xhat gamma|, |beta|), of which s is at most u-ish off y, that leaves u |d a| < 1 ulp for d,
/// 1/2 ulp for s and 1/2 ulp for y: 2 ulp, of which the first is not there where c matters, when c's own rounding,
/// at most u |c| < 1 ulp, takes its place. Outside the range of a below, float32's exponents do not hold a_lo or d.
struct SingleAffine {
  float mean, a, a_lo, beta, c;
};

inline bool suits_singles(double mean, double a) {
  const double size = __builtin_fabs(a), offset = __builtin_fabs(mean);
  // Spelled so that a NaN suits: it gives NaN, and stays in its slice.
  return kFused && !(offset > 0x1p100) & !(size > 0x1p100) & (!(size < 0x1p-90) | (size == 0));
}

inline SingleAffine single_affine(double mean, double mean_lo, double a, double beta) {
  SingleAffine s;
  s.mean = static_cast<float>(mean);
  s.a = static_cast<float>(a);
  s.a_lo = static_cast<float>(a - static_cast<double>(s.a));
  s.beta = static_cast<float>(beta);
  s.c = static_cast<float>(((static_cast<double>(s.mean) - mean) - mean_lo) * a);
  return s;
}

/// The means and a = rstd * gamma of sixteen slices or columns side by side.
struct StepAffine {
  const Lanes<16>&mean, &mean_lo, &a;
};

/// single_affine() of sixteen, member by member in arrays of `pitch` floats; returns whether all of them suit. beta:
/// sixteen floats or doubles.
template <class Beta>
inline bool single_affines(const StepAffine& step, const Beta& beta, float* to, index_t pitch) {
  const auto& [mean, mean_lo, a] = step;
  store(to, mean);
  store(to + pitch, a);
  store(to + 2 * pitch, a - load(to + pitch));
  store(to + 3 * pitch, beta);
  store(to + 4 * pitch, ((load(to) - mean) - mean_lo) * a);
  const Vec most(0x1p100), least(0x1p-90), zero(0.0);
  auto misfit = zero > zero;
  for (int i = 0; i < Lanes<16>::count; ++i) {  // suits_singles of each
    const Vec size = xsimd::abs(a.v[i]);
    misfit = misfit || xsimd::max(size, xsimd::abs(mean.v[i])) > most || (size < least && size > zero);
  }
  return kFused && !xsimd::any(misfit);
}

/// An affine of each lane of a step, or one for all of them.
struct SingleLanes {
  Singles mean, a, a_lo, beta, c;
  SingleLanes() = default;
  explicit SingleLanes(const SingleAffine& s) : mean(s.mean), a(s.a), a_lo(s.a_lo), beta(s.beta), c(s.c) {}
  /// A step of affines that single_affines() wrote.
  SingleLanes(const float* at, index_t pitch)
      : mean(load_singles(at)),
        a(load_singles(at + pitch)),
        a_lo(load_singles(at + 2 * pitch)),
        beta(load_singles(at + 3 * pitch)),
        c(load_singles(at + 4 * pitch)) {}

  Singles operator()(const Singles& x) const {
    Singles y;
    for (int i = 0; i < Singles::count; ++i) {
      const Singles::Batch d = x.v[i] - mean.v[i];
      y.v[i] = fused(d, a.v[i], beta.v[i]) + fused(d, a_lo.v[i], c.v[i]);
    }
    return y;
  }
};

/// single_affines() in registers; returns whether all of them suit.
inline bool step_affines(const StepAffine& step, const Lanes<16>& beta, SingleLanes& to) {
  const auto& [mean, mean_lo, a] = step;
  to.mean = narrow(mean);
  to.a = narrow(a);
  to.a_lo = narrow(a - widen(to.a));
  to.beta = narrow(beta);
  to.c = narrow(Lanes<16>(0.0) - ((mean - widen(to.mean)) + mean_lo) * a);
  const Vec most(0x1p100), least(0x1p-90), zero(0.0);
  bool suit = true;
  for (int i = 0; i < Lanes<16>::count; ++i) {  // suits_singles of each
    const Vec size = xsimd::abs(a.v[i]);
    suit = suit && !xsimd::any(xsimd::abs(mean.v[i]) > most || size > most || (size < least && size > zero));
  }
  return suit;
}

}  // namespace
}  // namespace limpid::kernels
