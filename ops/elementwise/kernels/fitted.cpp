// Functions of float32 by fits of limpid's own, of operations that round alike wherever multiply-adds are fused. Far
// out, and for NaN, they are the C library's.
#include <limpid/ops/elementwise/kernels/batches.hpp>
#include <limpid/ops/elementwise/kernels/erf.hpp>
#include <limpid/ops/elementwise/kernels/power.hpp>

#include <cmath>

namespace limpid::kernels {
namespace {

// -m / (2 + m) for m = e^-2|x| - 1: half the time of xsimd's. What the divisor and the quotient were rounded by is put
// right, with the divisor's reciprocal to 4 %.
struct Tanh : TrustedEverywhere {
  template <class B>
  static B f(B x) noexcept {
    const B m = Power<B>(B(-2) * xsimd::min(xsimd::abs(x), B(20))).less_1(), divisor = B(2) + m;
    const B low = m - (divisor - B(2)), q = m / divisor, product = q * divisor;
    const B rest = ((m - product) - product_error(q, divisor, product)) - q * low;
    return xsimd::copysign(fused(rest, fused(divisor, B(-0.5f), B(1.457f)), q), x);
  }
  static double reference(double x) noexcept { return ::tanh(x); }
};

// log(sigmoid(x)) = min(x, 0) - log(1 + e^-|x|).
struct LogSigmoid : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    return xsimd::min(x, B(0)) - log1p_of_power(Power<B>(-xsimd::abs(x)).value());
  }
  static double reference(double x) noexcept { return x < 0 ? x - ::log1p(::exp(x)) : -::log1p(::exp(-x)); }
};

// x Phi(x) = x erfc(-x / sqrt 2) / 2: no cancellation in the lower tail.
struct Gelu {
  static constexpr int safe = 0;
  template <class B>
  static B f(B x) noexcept {
    return gelu_of_float(x);
  }
  template <class B>
  static auto trusted(B x) noexcept {
    return (x >= B(-13.0f)) & (x <= B(1e38f));
  }
  static double reference(double x) noexcept { return x < -40 ? -0.0 : 0.5 * x * ::erfc(x * -0.70710678118654752440); }
};

// 1 - tanh(x)^2 = 4 e^-2|x| / (1 + e^-2|x|)^2.
struct TanhSlope {
  static constexpr int safe = 0;
  template <class B>
  static auto trusted(B x) noexcept {
    return xsimd::abs(x) <= B(0.5f) * exp_limit<B>();
  }
  template <class B>
  static B f(B x) noexcept {
    const B e = Power<B>(B(-2) * xsimd::abs(x)).value(), u = B(1) + e;
    return B(4) * e / (u * u);
  }
  static double reference(double x) noexcept {
    const double sech = 2 * ::exp(-std::abs(x));  // so far out that 1 + e^-2|x| is 1
    return sech * sech;
  }
};

// sigmoid(x) sigmoid(-x) = e^-|x| / (1 + e^-|x|)^2.
struct SigmoidSlope : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    const B e = Power<B>(-xsimd::abs(x)).value(), u = B(1) + e;
    return e / (u * u);
  }
  static double reference(double x) noexcept { return ::exp(-std::abs(x)); }  // so far out that 1 + e^-|x| is 1
};

struct GeluSlope {
  static constexpr int safe = 0;
  template <class B>
  static auto trusted(B x) noexcept {
    return x >= B(-12);
  }
  template <class B>
  static B f(B x) noexcept {
    return gelu_slope_of(x);
  }
  static double reference(double x) noexcept {
    if (x < -40) return -0.0;
    return 0.5 * ::erfc(x * -0.70710678118654752440) + x * 0.39894228040143267794 * ::exp(-0.5 * x * x);
  }
};

template <class F>
constexpr StripKernel unary = strip<Batches<F>, float, float>;
template <class F>
constexpr StripKernel gradient = strip<ChainedBatches<F>, float, float, float>;

}  // namespace

namespace LIMPID_KERNEL_ISA {

const FittedKernels fitted_kernels{
    .tanh = unary<Tanh>,
    .gelu = unary<Gelu>,
    .logsigmoid = unary<LogSigmoid>,
    .tanh_slope = unary<TanhSlope>,
    .sigmoid_slope = unary<SigmoidSlope>,
    .gelu_slope = unary<GeluSlope>,
    .tanh_gradient = gradient<TanhSlope>,
    .sigmoid_gradient = gradient<SigmoidSlope>,
    .gelu_gradient = gradient<GeluSlope>,
};

}  // namespace LIMPID_KERNEL_ISA
}  // namespace limpid::kernels
