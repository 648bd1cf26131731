// Transcendental functions and what is built from them, on xsimd batches where those are accurate to about two units in
// the last place, and by the C library outside that domain (measured against long double: xsimd's exp loses subnormal
// results and the last octave before infinity, its log subnormal arguments, its erf both ends and some digits).
#include <limpid/ops/elementwise/kernels/batches.hpp>
#include <limpid/ops/elementwise/kernels/erf.hpp>
#include <limpid/ops/elementwise/kernels/exp.hpp>

#include <cmath>
#include <limits>

namespace limpid::kernels {
namespace {

struct Exp : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    return xsimd::exp(x);
  }
  static double reference(double x) noexcept { return ::exp(x); }
};

struct Log {
  static constexpr int safe = 1;
  template <class B>
  static B f(B x) noexcept {
    return xsimd::log(x);
  }
  template <class B>
  static auto trusted(B x) noexcept {
    using Limits = std::numeric_limits<typename B::value_type>;
    return (x >= B(Limits::min())) & (x <= B(Limits::max()));
  }
  static double reference(double x) noexcept { return ::log(x); }
};

struct Tanh : TrustedEverywhere {
  template <class B>
  static B f(B x) noexcept {
    return xsimd::tanh(xsimd::min(xsimd::max(x, B(-20)), B(20)));  // beyond, 1 to the last digit
  }
  static double reference(double x) noexcept { return ::tanh(x); }
};

struct Erf {
  static constexpr int safe = 0;
  template <class B>
  static B f(B x) noexcept {
    if constexpr (is_double<B>)
      return erf_of(x);
    else
      return xsimd::erf(x);
  }
  template <class B>
  static auto trusted(B x) noexcept {
    if constexpr (is_double<B>) {
      return TrustedEverywhere::trusted(x);
    } else {
      const B a = xsimd::abs(x);
      return (a == B(0)) | ((a >= B(1e-34f)) & (a <= B(8)));
    }
  }
  static double reference(double x) noexcept { return ::erf(x); }
};

// 1 / (1 + e^-x); below, where e^-x may overflow, e^x / (1 + e^x).
struct Sigmoid : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    return B(1) / (B(1) + xsimd::exp(-x));
  }
  static double reference(double x) noexcept { return x < 0 ? ::exp(x) / (1 + ::exp(x)) : 1 / (1 + ::exp(-x)); }
};

// x sigmoid(x). Far below 0 it is x e^x, formed so that a subnormal e^x costs no digits.
struct Silu : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    return x / (B(1) + xsimd::exp(-x));
  }
  static double reference(double x) noexcept {
    if (x >= 0) return x / (1 + ::exp(-x));
    if (x < -1500) return -0.0;
    const double root = ::exp(x / 2);
    return x * root / (1 + root * root) * root;
  }
};

// z = beta x as high + low: a rounded product would cost digits in the tail, where e^z is the result.
template <class B>
struct Scaled {
  B high, low;
  Scaled(B x, B beta) noexcept : high(beta * x), low(product_error(beta, x, high)) {}
};
inline double product_low(double beta, double x) noexcept {
  const double z = beta * x;
  return std::abs(z) <= std::numeric_limits<double>::max() ? std::fma(beta, x, -z) : 0;
}
struct TrustedAsScaled {
  static constexpr int safe = 0;
  template <class B>
  static auto trusted(B x, B beta) noexcept {
    return (xsimd::abs(beta * x) <= exp_limit<B>()) & (xsimd::max(xsimd::abs(x), beta) <= B(1e30f));
  }
};

// max(z, 0) + log(1 + e^-|z|) over beta, for z = beta x.
struct Softplus : TrustedAsScaled {
  template <class B>
  static B f(B x, B beta) noexcept {
    const Scaled<B> z(x, beta);
    const B e = xsimd::exp(-xsimd::abs(z.high)), e_low = e * xsimd::select(z.high < B(0), -z.low, z.low);
    return (xsimd::max(z.high, B(0)) + xsimd::log1p(e - e_low)) / beta;
  }
  static double reference(double x, double beta) noexcept {
    const double z = beta * x, low = product_low(beta, x), e = ::exp(z < 0 ? z : -z);
    return ((z < 0 ? 0 : z) + ::log1p(e - e * (z < 0 ? -low : low))) / beta;
  }
};

// log(sigmoid(x)) = min(x, 0) - log(1 + e^-|x|).
struct LogSigmoid : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    return xsimd::min(x, B(0)) - xsimd::log1p(xsimd::exp(-xsimd::abs(x)));
  }
  static double reference(double x) noexcept { return x < 0 ? x - ::log1p(::exp(x)) : -::log1p(::exp(-x)); }
};

struct Elu : TrustedAsExp {
  template <class B>
  static B f(B x, B alpha) noexcept {
    return xsimd::select(x > B(0), x, alpha * xsimd::expm1(xsimd::min(x, B(0))));
  }
  static double reference(double x, double alpha) noexcept { return x > 0 ? x : alpha * ::expm1(x); }
};

// x Phi(x) = x erfc(-x / sqrt 2) / 2: no cancellation in the lower tail.
struct Gelu : TrustedEverywhere {
  template <class B>
  static B f(B x) noexcept {
    return gelu_of(x);
  }
  static double reference(double x) noexcept { return x + x; }  // NaN
};

// ---- derivatives, where nothing cancels: each as a function of e^-|x|, or as a multiple of the distance from its root

// 1 - tanh(x)^2 = 4 e^-2|x| / (1 + e^-2|x|)^2 and sigmoid(x) sigmoid(-x) = e^-|x| / (1 + e^-|x|)^2. xsimd's exp takes
// twice the time. A root of e is squared, lest e leave the range before the result does.
struct TanhSlope {
  static double f(double x) noexcept {
    const double root = exp_down(-std::abs(x)), sech = 2 * root / (1 + root * root);
    return sech * sech;
  }
};
struct SigmoidSlope {
  static double f(double x) noexcept {
    const double root = exp_down(-0.5 * std::abs(x)), part = root / (1 + root * root);
    return part * part;
  }
};

// p(x) e^-(x^2 / divisor) for a polynomial p. A rounded square would cost digits in the tails, and a subnormal power,
// multiplied by a large p.
template <int divisor, class Weight>
struct Bell {
  static constexpr int safe = 0;
  template <class B>
  static auto trusted(B x) noexcept {
    return xsimd::abs(x) <= B((is_double<B> ? 26 : 9) + (divisor == 1 ? 0 : 3));
  }
  template <class B>
  static B f(B x) noexcept {
    const ExactSquare<B> square(x);
    const B scale(typename B::value_type(1.0 / divisor)), power = xsimd::exp(-(square.high * scale));
    return Weight::f(x) * (power - power * (square.low * scale));
  }
  static double reference(double x) noexcept {
    if (std::abs(x) > 100) return 0;
    const double high = x * x / divisor, low = std::fma(x, x, -(x * x)) / divisor, root = ::exp(-0.5 * high);
    return Weight::reference(x) * (root - root * low) * root;
  }
};

// 2 / sqrt pi, and -2 x times that: the first and the second derivative of erf.
struct ErfWeight {
  static constexpr double reference(double) noexcept { return 1.12837916709551257390; }
  template <class B>
  static B f(B) noexcept {
    return B(static_cast<typename B::value_type>(reference(0)));
  }
};
struct ErfCurveWeight {
  static constexpr double reference(double x) noexcept { return -2 * x * ErfWeight::reference(0); }
  template <class B>
  static B f(B x) noexcept {
    return B(-2) * x * ErfWeight::f(x);
  }
};
// 1 / sqrt(2 pi), and (sqrt 2 - x) (sqrt 2 + x) times that: the normal density and the second derivative of gelu.
struct DensityWeight {
  static constexpr double reference(double) noexcept { return 0.39894228040143267794; }
  template <class B>
  static B f(B) noexcept {
    return B(static_cast<typename B::value_type>(reference(0)));
  }
};
struct GeluCurveWeight {
  static constexpr double root = 1.4142135623730951, low = -9.667293313452913e-17;
  static constexpr double reference(double x) noexcept { return (2 - x * x) * DensityWeight::reference(0); }
  template <class B>
  static B f(B x) noexcept {
    return distance(x, root, low) * distance(-x, root, low) * DensityWeight::f(x);
  }
};

// (e^d - 1) / d by its series, for |d| up to 1/2.
constexpr double kExpm1Over[] = {1.0,
                                 0.5,
                                 0.16666666666666666,
                                 0.041666666666666664,
                                 0.008333333333333333,
                                 0.001388888888888889,
                                 0.0001984126984126984,
                                 2.48015873015873e-05,
                                 2.7557319223985893e-06,
                                 2.755731922398589e-07,
                                 2.505210838544172e-08,
                                 2.08767569878681e-09,
                                 1.6059043836821613e-10,
                                 1.1470745597729725e-11,
                                 7.647163731819816e-13};

// s (1 + x t) for s = sigmoid(x) and t = sigmoid(-x): with e = e^-|x| it is (1 + e (1 + x)) / (1 + e)^2 above 0 and
// e (1 + x + e) / (1 + e)^2 below. There 1 + x + e^x has the root r; with d = x - r it is d + e^r (e^d - 1), two terms
// of one sign.
struct SiluSlope : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    using T = typename B::value_type;
    const B e = xsimd::exp(-xsimd::abs(x)), u = B(1) + e, d = distance(x, -1.2784645427610737, -1.0946994183093437e-16);
    const B beside = xsimd::min(xsimd::max(d, B(-1)), B(1));
    const B at_root = d + B(static_cast<T>(0.2784645427610738)) * (beside * polynomial(kExpm1Over, beside));
    const B below = e * xsimd::select(xsimd::abs(d) < B(0.5f), at_root, (B(1) + x) + e);
    return xsimd::select(x < B(0), below, B(1) + e * (B(1) + x)) / (u * u);
  }
  static double reference(double x) noexcept {
    if (x >= 0) return 1;
    if (x < -1500) return -0.0;
    const double root = ::exp(x / 2);
    return root * (1 + x) * root;
  }
};

// s t (2 - x tanh(x / 2)), silu's second derivative. With e = e^-|x|, s t = e / (1 + e)^2 and the other factor is
// (2 - |x| + e (2 + |x|)) / (1 + e). That sum has the root r; with d = |x| - r it is -d (1 - e) + (r - 2) (e^-d - 1).
struct SiluCurve : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    using T = typename B::value_type;
    const B a = xsimd::abs(x), e = xsimd::exp(-a), u = B(1) + e;
    const B d = distance(a, 2.3993572805154675, 1.8464872855353363e-16), back = xsimd::min(xsimd::max(-d, B(-1)), B(1));
    const B at_root = B(static_cast<T>(0.39935728051546765)) * (back * polynomial(kExpm1Over, back)) - d * (B(1) - e);
    const B bend = xsimd::select(xsimd::abs(d) < B(0.5f), at_root, (B(2) - a) + e * (B(2) + a));
    return e * bend / (u * u * u);
  }
  static double reference(double x) noexcept {
    if (std::abs(x) > 1500) return -0.0;
    const double root = ::exp(-0.5 * std::abs(x));
    return root * (2 - std::abs(x)) * root;
  }
};

// 1 / (1 + e^-z) for z = beta x.
struct SoftplusSlope : TrustedAsScaled {
  template <class B>
  static B f(B x, B beta) noexcept {
    const Scaled<B> z(x, beta);
    const B e = xsimd::exp(-z.high);
    return B(1) / (B(1) + (e - e * z.low));
  }
  static double reference(double x, double beta) noexcept {
    const double y = Sigmoid::reference(beta * x);
    return y < 1 ? y + y * product_low(beta, x) : y;
  }
};

// sigmoid(-x).
struct LogSigmoidSlope : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    return B(1) / (B(1) + xsimd::exp(x));
  }
  static double reference(double x) noexcept { return Sigmoid::reference(-x); }
};

struct EluSlope : TrustedAsExp {
  template <class B>
  static B f(B x, B alpha) noexcept {
    return xsimd::select(x > B(0), B(1), alpha * xsimd::exp(xsimd::min(x, B(0))));
  }
  static double reference(double x, double alpha) noexcept { return x > 0 ? 1 : alpha * ::exp(x); }
};

struct GeluSlope {
  static constexpr int safe = 0;
  template <class B>
  static auto trusted(B x) noexcept {
    return x >= B(std::numeric_limits<double>::lowest());
  }
  template <class B>
  static B f(B x) noexcept {
    return gelu_slope_of(x);
  }
  static double reference(double x) noexcept { return x < 0 ? -0.0 : x; }  // -infinity and NaN
};

// dy times what F gives for x and the parameters.
template <class F>
struct ChainedLoop {
  template <class T>
  static void run(int64_t count, T* y, const T* dy, const T* x) noexcept {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) y[i] = chain(dy[i], F::f(x[i]));
  }
};

// clang-format off
struct Sqrt { template <class T> static T f(T x) noexcept { return std::sqrt(x); } };
struct Rsqrt { template <class T> static T f(T x) noexcept { return T{1} / std::sqrt(x); } };
struct Reciprocal { template <class T> static T f(T x) noexcept { return T{1} / x; } };
// clang-format on

template <class F>
constexpr KernelRow unary = float_row<F, 1>;
template <class F>
constexpr KernelRow binary = float_row<F, 2>;
template <class F, std::size_t arity = 2>
constexpr KernelRow gradient = float_row<ChainedBatches<F>, arity>;

}  // namespace

namespace LIMPID_KERNEL_ISA {

const FunctionKernels function_kernels{
    .exp = unary<Batches<Exp>>,
    .log = unary<Batches<Log>>,
    .sqrt = unary<Loop<Sqrt>>,
    .rsqrt = unary<Loop<Rsqrt>>,
    .reciprocal = unary<Loop<Reciprocal>>,
    .tanh = double_row<Batches<Tanh>, 1>,
    .sigmoid = unary<Batches<Sigmoid>>,
    .erf = unary<Batches<Erf>>,
    .gelu = double_row<Batches<Gelu>, 1>,
    .silu = unary<Batches<Silu>>,
    .logsigmoid = double_row<Batches<LogSigmoid>, 1>,
    .elu = binary<Batches<Elu>>,
    .softplus = binary<Batches<Softplus>>,
    .tanh_slope = double_row<Loop<TanhSlope>, 1>,
    .sigmoid_slope = double_row<Loop<SigmoidSlope>, 1>,
    .erf_slope = unary<Batches<Bell<1, ErfWeight>>>,
    .gelu_slope = double_row<Batches<GeluSlope>, 1>,
    .silu_slope = unary<Batches<SiluSlope>>,
    .erf_curve = unary<Batches<Bell<1, ErfCurveWeight>>>,
    .gelu_curve = unary<Batches<Bell<2, GeluCurveWeight>>>,
    .silu_curve = unary<Batches<SiluCurve>>,
    .normal_density = unary<Batches<Bell<2, DensityWeight>>>,
    .softplus_slope = binary<Batches<SoftplusSlope>>,
    .tanh_gradient = double_row<ChainedLoop<TanhSlope>, 2>,
    .sigmoid_gradient = double_row<ChainedLoop<SigmoidSlope>, 2>,
    .erf_gradient = gradient<Bell<1, ErfWeight>>,
    .gelu_gradient = double_row<ChainedBatches<GeluSlope>, 2>,
    .silu_gradient = gradient<SiluSlope>,
    .logsigmoid_gradient = gradient<LogSigmoidSlope>,
    .softplus_gradient = gradient<SoftplusSlope, 3>,
    .elu_gradient = gradient<EluSlope, 3>,
};

}  // namespace LIMPID_KERNEL_ISA
}  // namespace limpid::kernels
