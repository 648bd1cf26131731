// Transcendental functions and what is built from them, on xsimd batches where those are accurate to about two units in
// the last place, and by the C library outside that domain (measured against long double: xsimd's exp loses subnormal
// results and the last octave before infinity, its log subnormal arguments, its erf both ends and some digits).
#include <limpid/ops/elementwise/kernels/erf.hpp>
#include <limpid/ops/elementwise/kernels/strip.hpp>

#include <limpid/core/kernels/simd.hpp>

#include <cmath>
#include <limits>

namespace limpid::kernels {
namespace {

// A function F has f(batch...), accurate where trusted(batch...) holds, and reference(double...) for all other x.
template <class F>
struct Batches {
  template <class T, class... P>
  static void run(int64_t count, T* y, const T* x, const P*... p) noexcept {
    constexpr auto size = static_cast<int64_t>(xsimd::batch<T>::size);
    int64_t i = 0;
    for (; i + size <= count; i += size) step(y + i, x + i, p + i...);
    if (i < count) tail(count - i, y + i, Padded<T>(x + i, count - i), Padded<P>(p + i, count - i)...);
  }

 private:
  template <class T>
  struct Padded {
    T values[xsimd::batch<T>::size];
    Padded(const T* x, int64_t count) noexcept {
      for (int64_t i = 0; i < static_cast<int64_t>(xsimd::batch<T>::size); ++i) values[i] = x[i < count ? i : 0];
    }
  };

  template <class T, class... P>
  static void step(T* y, const T* x, const P*... p) noexcept {
    using B = xsimd::batch<T>;
    const B v = B::load_unaligned(x);
    const B result = F::f(v, B::load_unaligned(p)...);
    const auto trusted = F::trusted(v, B::load_unaligned(p)...);
    if (xsimd::all(trusted))
      result.store_unaligned(y);
    else
      repair(y, result, xsimd::select(trusted, B(T{1}), B(T{0})), x, p...);
  }

  // y may be x: each element is read before it is written.
  template <class T, class B, class... P>
  [[gnu::noinline, gnu::cold]] static void repair(T* y, B result, B trusted, const T* x, const P*... p) noexcept {
    T values[B::size], good[B::size];
    result.store_unaligned(values);
    trusted.store_unaligned(good);
    for (std::size_t k = 0; k < B::size; ++k)
      y[k] = good[k] != 0 ? values[k] : static_cast<T>(F::reference(double{x[k]}, double{p[k]}...));
  }

  template <class T, class... P>
  static void tail(int64_t count, T* y, Padded<T> x, Padded<P>... p) noexcept {
    T values[xsimd::batch<T>::size];
    step(values, x.values, p.values...);
    for (int64_t i = 0; i < count; ++i) y[i] = values[i];
  }
};

template <class B>
constexpr bool is_double = std::is_same_v<typename B::value_type, double>;

// |x| up to which exp neither overflows nor leaves the normal numbers.
template <class B>
B exp_limit() noexcept {
  if constexpr (is_double<B>)
    return B(708.0);
  else
    return B(87.0f);
}

struct TrustedAsExp {
  template <class B, class... P>
  static auto trusted(B x, P...) noexcept {
    return xsimd::abs(x) <= exp_limit<B>();
  }
};

struct TrustedEverywhere {
  template <class B>
  static auto trusted(B x) noexcept {
    return x == x;  // NaN takes the long way
  }
};

struct Exp : TrustedAsExp {
  template <class B>
  static B f(B x) noexcept {
    return xsimd::exp(x);
  }
  static double reference(double x) noexcept { return ::exp(x); }
};

struct Log {
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
    return xsimd::tanh(x);
  }
  static double reference(double x) noexcept { return ::tanh(x); }
};

struct Erf {
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

// dy (2 / sqrt pi) e^-(x^2).
struct ErfGradient {
  static constexpr double scale = 1.12837916709551257390;
  template <class B>
  static auto trusted(B, B x) noexcept {
    return x * x <= exp_limit<B>();
  }
  template <class B>
  static B f(B dy, B x) noexcept {
    return dy * (B(static_cast<typename B::value_type>(scale)) * xsimd::exp(-(x * x)));
  }
  static double reference(double dy, double x) noexcept { return dy * (scale * ::exp(-(x * x))); }
};

// dy s (1 + x t) for s = sigmoid(x) and t = e^-x s.
struct SiluGradient {
  template <class B>
  static auto trusted(B, B x) noexcept {
    return xsimd::abs(x) <= exp_limit<B>();
  }
  template <class B>
  static B f(B dy, B x) noexcept {
    const B e = xsimd::exp(-x), s = B(1) / (B(1) + e);
    return dy * (s * (B(1) + x * (e * s)));
  }
  static double reference(double dy, double x) noexcept {
    return dy * (Sigmoid::reference(x) * (1 + x * Sigmoid::reference(-x)));
  }
};

// max(z, 0) + log(1 + e^-|z|) over beta, for z = beta x.
struct Softplus {
  template <class B>
  static auto trusted(B x, B beta) noexcept {
    return xsimd::abs(beta * x) <= exp_limit<B>();
  }
  template <class B>
  static B f(B x, B beta) noexcept {
    const B z = beta * x;
    return (xsimd::max(z, B(0)) + xsimd::log1p(xsimd::exp(-xsimd::abs(z)))) / beta;
  }
  static double reference(double x, double beta) noexcept {
    const double z = beta * x;
    return ((z < 0 ? 0 : z) + ::log1p(::exp(z < 0 ? z : -z))) / beta;
  }
};

struct SoftplusGradient {
  template <class B>
  static auto trusted(B, B x, B beta) noexcept {
    return xsimd::abs(beta * x) <= exp_limit<B>();
  }
  template <class B>
  static B f(B dy, B x, B beta) noexcept {
    return dy * Sigmoid::f(beta * x);
  }
  static double reference(double dy, double x, double beta) noexcept { return dy * Sigmoid::reference(beta * x); }
};

struct Elu : TrustedAsExp {
  template <class B>
  static B f(B x, B alpha) noexcept {
    return xsimd::select(x > B(0), x, alpha * xsimd::expm1(xsimd::min(x, B(0))));
  }
  static double reference(double x, double alpha) noexcept { return x > 0 ? x : alpha * ::expm1(x); }
};

struct EluGradient {
  template <class B>
  static auto trusted(B, B x, B) noexcept {
    return xsimd::abs(x) <= exp_limit<B>();
  }
  template <class B>
  static B f(B dy, B x, B alpha) noexcept {
    return xsimd::select(x > B(0), dy, dy * (alpha * xsimd::exp(xsimd::min(x, B(0)))));
  }
  static double reference(double dy, double x, double alpha) noexcept { return x > 0 ? dy : dy * (alpha * ::exp(x)); }
};

// x Phi(x) = x erfc(-x / sqrt 2) / 2: no cancellation in the lower tail.
struct Gelu : TrustedEverywhere {
  template <class B>
  static B f(B x) noexcept {
    return gelu_of(x);
  }
  static double reference(double x) noexcept { return x + x; }  // NaN
};

// The same in double for a float result, to which xsimd's erfc suffices: half the time.
struct GeluOfFloat {
  static constexpr double root_half = 0.70710678118654752440;
  template <class B>
  static B f(B x) noexcept {
    return B(0.5) * x * xsimd::erfc(x * B(-root_half));
  }
  template <class B>
  static auto trusted(B x) noexcept {
    return (x >= B(-8.0)) & (x <= B(30.0));
  }
  static double reference(double x) noexcept { return x < -40 ? -0.0 : 0.5 * x * ::erfc(x * -root_half); }
};

// F in double, rounded once: for a float F whose own error is amplified.
template <class F>
struct Widened {
  static void run(int64_t count, float* y, const float* x) noexcept {
    double wide[block_size];
    for (int64_t begin = 0; begin < count; begin += block_size) {
      const int64_t n = count - begin < block_size ? count - begin : block_size;
      for (int64_t i = 0; i < n; ++i) wide[i] = double{x[begin + i]};
      Batches<F>::run(n, wide, wide);
      for (int64_t i = 0; i < n; ++i) y[begin + i] = static_cast<float>(wide[i]);
    }
  }
};

// clang-format off
struct Sqrt { template <class T> static T f(T x) noexcept { return std::sqrt(x); } };
struct Rsqrt { template <class T> static T f(T x) noexcept { return T{1} / std::sqrt(x); } };
struct Reciprocal { template <class T> static T f(T x) noexcept { return T{1} / x; } };
// clang-format on

template <class Float, class Double = Float>
constexpr KernelRow unary = float_row<Float, 1, Double>;
template <class F>
constexpr KernelRow binary = float_row<F, 2>;
template <class F>
constexpr KernelRow ternary = float_row<F, 3>;

}  // namespace

namespace LIMPID_KERNEL_ISA {

const FunctionKernels function_kernels{
    .exp = unary<Batches<Exp>>,
    .log = unary<Batches<Log>>,
    .sqrt = unary<Loop<Sqrt>>,
    .rsqrt = unary<Loop<Rsqrt>>,
    .reciprocal = unary<Loop<Reciprocal>>,
    .tanh = unary<Batches<Tanh>>,
    .sigmoid = unary<Batches<Sigmoid>>,
    .erf = unary<Batches<Erf>>,
    .gelu = unary<Widened<GeluOfFloat>, Batches<Gelu>>,
    .silu = unary<Batches<Silu>>,
    .elu = binary<Batches<Elu>>,
    .softplus = binary<Batches<Softplus>>,
    .erf_gradient = binary<Batches<ErfGradient>>,
    .silu_gradient = binary<Batches<SiluGradient>>,
    .softplus_gradient = ternary<Batches<SoftplusGradient>>,
    .elu_gradient = ternary<Batches<EluGradient>>,
};

}  // namespace LIMPID_KERNEL_ISA
}  // namespace limpid::kernels
