// Arithmetic, comparisons and choices.
#include <limpid/ops/elementwise/kernels/chain.hpp>
#include <limpid/ops/elementwise/kernels/strip.hpp>

#include <cmath>
#include <limits>
#include <type_traits>

namespace limpid::kernels {
namespace {

template <class T>
constexpr bool is_bool = std::is_same_v<T, bool>;
template <class T>
constexpr bool is_float = std::is_floating_point_v<T>;

// Integers are computed in an unsigned type, where overflow wraps.
template <class T>
struct Wide {
  using type = T;
};
template <class T>
requires std::is_integral_v<T>
struct Wide<T> {
  using type = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
};
template <class T>
typename Wide<T>::type wide(T x) noexcept {
  return static_cast<typename Wide<T>::type>(x);
}

// clang-format off
struct Add { template <class T> static T f(T a, T b) noexcept {
  if constexpr (is_bool<T>) return a | b; else return static_cast<T>(wide(a) + wide(b)); } };
struct Sub { template <class T> static T f(T a, T b) noexcept { return static_cast<T>(wide(a) - wide(b)); } };
struct Mul { template <class T> static T f(T a, T b) noexcept {
  if constexpr (is_bool<T>) return a & b; else return static_cast<T>(wide(a) * wide(b)); } };
struct Div { template <class T> static T f(T a, T b) noexcept { return a / b; } };
struct AddScaled { template <class T> static T f(T a, T b, T c) noexcept { return Add::f(a, Mul::f(b, c)); } };

struct Chain { template <class T> static T f(T dy, T d) noexcept { return chain(dy, d); } };
struct ChainBoth { template <class T> static T f(T a, T b) noexcept { return chain_both(a, b); } };
struct SubChain { template <class T> static T f(T a, T dy, T d) noexcept { return a - chain(dy, d); } };
struct ChainOver { template <class T> static T f(T dy, T d) noexcept { return chain_over(dy, d); } };
struct AddChain { template <class T> static T f(T sum, T dy, T d) noexcept { return sum + chain(dy, d); } };

// A NaN in a is asked for, and returned; one in b fails every comparison, and is returned.
struct Maximum { template <class T> static T f(T a, T b) noexcept { return a > b || a != a ? a : b; } };
struct Minimum { template <class T> static T f(T a, T b) noexcept { return a < b || a != a ? a : b; } };

struct Eq { template <class T> static bool f(T a, T b) noexcept { return a == b; } };
struct Ne { template <class T> static bool f(T a, T b) noexcept { return a != b; } };
struct Lt { template <class T> static bool f(T a, T b) noexcept { return a < b; } };
struct Le { template <class T> static bool f(T a, T b) noexcept { return a <= b; } };
struct Gt { template <class T> static bool f(T a, T b) noexcept { return a > b; } };
struct Ge { template <class T> static bool f(T a, T b) noexcept { return a >= b; } };

struct Neg { template <class T> static T f(T x) noexcept {
  if constexpr (is_float<T>) return -x; else return static_cast<T>(0u - wide(x)); } };
struct Abs { template <class T> static T f(T x) noexcept {
  if constexpr (is_float<T>) return std::abs(x); else return x < T{} ? Neg::f(x) : x; } };
struct Sign { template <class T> static T f(T x) noexcept {
  return x > T{} ? T{1} : x < T{} ? Neg::f(T{1}) : x; } };  // keeps NaN and the sign of zero
struct Square { template <class T> static T f(T x) noexcept { return Mul::f(x, x); } };
struct Relu { template <class T> static T f(T x) noexcept { return x <= T{} ? T{} : x; } };
// All by rint, which GCC turns into vectors; floor itself not, without -fno-trapping-math.
struct Round { template <class T> static T f(T x) noexcept {
  if constexpr (!is_float<T>) return x; else return std::rint(x); } };
struct Floor { template <class T> static T f(T x) noexcept {
  if constexpr (is_float<T>) {
    const T near = std::rint(x), below = near - 1;
    return near > x ? below : near;
  } else {
    return x;
  } } };
struct Ceil { template <class T> static T f(T x) noexcept {
  if constexpr (!is_float<T>) return x; else return -Floor::f(-x); } };
struct Trunc { template <class T> static T f(T x) noexcept {
  if constexpr (!is_float<T>) return x; else return std::copysign(Floor::f(std::abs(x)), x); } };
struct IsFinite { template <class T> static bool f(T x) noexcept {
  constexpr BitsOf<T> infinite = std::bit_cast<BitsOf<T>>(std::numeric_limits<T>::infinity());
  return (std::bit_cast<BitsOf<T>>(x) & infinite) != infinite; } };  // of bits: infinity - infinity would be an exception
struct Clamp { template <class T> static T f(T x, T low, T high) noexcept {
  const T above = x < low ? low : x;
  return above > high ? high : above; } };
// Of integers alone, by a mask: a jump would be mispredicted as often as not, and a bool not be vectorised.
struct Where { template <class T> static T f(uint8_t c, T a, T b) noexcept {
  const T mask = static_cast<T>(-static_cast<T>(c));
  return static_cast<T>((a & mask) | (b & static_cast<T>(~mask))); } };
// NaN comes from x, and so does its gradient.
struct Gate { template <class T> static T f(T dy, T y) noexcept { return y <= T{} ? T{} : dy; } };

struct SqrtGradient { template <class T> static T f(T dy, T y) noexcept { return chain_over(dy, T{2} * y); } };
struct RsqrtGradient { template <class T> static T f(T dy, T y) noexcept {
  return chain(dy, T{-0.5} * y * (y * y)); } };
struct ReciprocalGradient { template <class T> static T f(T dy, T y) noexcept { return -chain(dy, y * y); } };
struct DivGradient { template <class T> static T f(T dy, T y, T b) noexcept { return -chain(dy, y / b); } };
struct AbsGradient { template <class T> static T f(T dy, T x) noexcept { return chain(dy, Sign::f(x)); } };
struct SquareGradient { template <class T> static T f(T dy, T x) noexcept { return chain(dy, T{2} * x); } };
struct LeakyRelu { template <class T> static T f(T x, T slope) noexcept { return x > T{} ? x : slope * x; } };
struct LeakyReluGradient { template <class T> static T f(T dy, T x, T slope) noexcept {
  return chain(dy, x > T{} ? T{1} : slope); } };
struct ClampGradient { template <class T> static T f(T dy, T x, T low, T high) noexcept {
  return ((x < low) | (x > high)) ? T{} : dy; } };
// The part of dy that goes to a: all where it wins, half where it is b. One that is NaN wins over one that is not. By
// masks, which vectorise.
template <class T> BitsOf<T> wins(T a, T b) noexcept {
  const BitsOf<T> none{0}, all = ~none;
  return (a > b ? all : none) | ((a != a ? all : none) & (b == b ? all : none)); }
// x where the first mask is set, y where the second is, z elsewhere.
template <class T> T chosen(BitsOf<T> first, T x, BitsOf<T> second, T y, T z) noexcept {
  const auto bits = [](T value) { return std::bit_cast<BitsOf<T>>(value); };
  return std::bit_cast<T>((bits(x) & first) | (bits(y) & second) | (bits(z) & ~(first | second))); }
struct MaximumGradient { template <class T> static T f(T dy, T a, T b) noexcept {
  return chosen(wins(a, b), dy, wins(b, a), T{}, T{0.5} * dy); } };
struct MinimumGradient { template <class T> static T f(T dy, T a, T b) noexcept {
  return MaximumGradient::f(dy, -a, -b); } };
struct MulTangent { template <class T> static T f(T da, T b, T db, T a) noexcept {
  return chain(da, b) + chain(db, a); } };
struct DivTangent { template <class T> static T f(T da, T db, T y, T b) noexcept {
  return chain_over(da - chain(db, y), b); } };
struct MaximumTangent { template <class T> static T f(T da, T db, T a, T b) noexcept {
  return chosen(wins(a, b), da, wins(b, a), db, T{0.5} * da + T{0.5} * db); } };
struct MinimumTangent { template <class T> static T f(T da, T db, T a, T b) noexcept {
  return MaximumTangent::f(da, db, -a, -b); } };
// clang-format on

// The sign of a. The caller has seen to it that no integer b is 0, here and below.
struct Fmod {
  template <class T>
  static T f(T a, T b) noexcept {
    if constexpr (!is_float<T>)
      return wide(b) + 1u == 0 ? T{0}
                               : static_cast<T>(a % b);  // the quotient of the least integer by -1 would overflow
    else if constexpr (sizeof(T) == 4)
      return __builtin_fmodf(a, b);
    else
      return __builtin_fmod(a, b);
  }
};

// The sign of b, as Python and NumPy have it.
struct Remainder {
  template <class T>
  static T f(T a, T b) noexcept {
    if constexpr (is_float<T>) {
      const T r = Fmod::f(a, b);
      if (r == 0) return b < 0 ? T{-0.0} : T{0};
      return (r < 0) != (b < 0) && r == r ? r + b : r;
    } else {
      const T r = Fmod::f(a, b);
      return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
    }
  }
};

// a / b rounded down, as Python and NumPy have it: from the exact remainder, for the quotient may be rounded up to a
// whole number. By 0 it is infinite or NaN; by infinity 0 or -1.
struct FloorDivide {
  template <class T>
  static T f(T a, T b) noexcept {
    if constexpr (is_float<T>) {
      if (b == 0) return a / b;
      const T r = Fmod::f(a, b), quotient = (a - r) / b - (r != 0 && (r < 0) != (b < 0) ? T{1} : T{0});
      if (quotient == 0) return static_cast<T>(__builtin_copysign(0.0, double{a / b}));
      const T whole = static_cast<T>(__builtin_floor(double{quotient}));
      return quotient - whole > T{0.5} ? whole + 1 : whole;
    } else {
      if (wide(b) + 1u == 0) return static_cast<T>(0u - wide(a));
      const T quotient = static_cast<T>(a / b);
      return a % b != 0 && (a < 0) != (b < 0) ? static_cast<T>(quotient - 1) : quotient;
    }
  }
};

// Of integers for b >= 0.
struct Pow {
  template <class T>
  static T f(T a, T b) noexcept {
    if constexpr (is_float<T>) {
      if constexpr (sizeof(T) == 4)
        return __builtin_powf(a, b);
      else
        return __builtin_pow(a, b);
    } else {
      T result{1};
      for (;; a = Mul::f(a, a)) {
        if (b & 1) result = Mul::f(result, a);
        b = static_cast<T>(b >> 1);
        if (b == 0) return result;
      }
    }
  }
};

// b a^(b - 1), which is 0 for b = 0. Below 1/2 a rounded b - 1 would cost digits; there it is b a^b / a.
struct PowSlope {
  template <class T>
  static T f(T a, T b) noexcept {
    if (b == 0) return T{};
    if (b >= T{0.5} || a == 0 || !IsFinite::f(a)) return b * Pow::f(a, b - T{1});
    return b * Pow::f(a, b) / a;
  }
};

template <class F, std::size_t arity>
constexpr KernelRow floats = float_row<Loop<F>, arity>;
template <class F, std::size_t arity>
constexpr KernelRow numbers = number_row<Loop<F>, arity>;
template <class F>
constexpr KernelRow with_bool(KernelRow row) {
  row.by_dtype[0] = strip_over<Loop<F>, 2, bool>;
  return row;
}
// Flags are written as bytes, which the compiler vectorises.
template <class F>
constexpr KernelRow comparisons{{strip_over<Loop<F>, 2, bool>, strip_over<Loop<F>, 2, uint8_t>,
                                 strip_over<Loop<F>, 2, int32_t, uint8_t>, strip_over<Loop<F>, 2, int64_t, uint8_t>,
                                 nullptr, nullptr, strip_over<Loop<F>, 2, float, uint8_t>,
                                 strip_over<Loop<F>, 2, double, uint8_t>}};
template <class F>
constexpr KernelRow predicates{{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                strip_over<Loop<F>, 1, float, uint8_t>, strip_over<Loop<F>, 1, double, uint8_t>}};
template <class F>
constexpr ByDType<BinaryRun> float_runs{
    {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, binary_run<Loop<F>, float>, binary_run<Loop<F>, double>}};
// The chain rule's products of a few elements, by fours: compilers leave the last of a loop to scalars, where masks of
// bits are dear.
template <class F>
struct ByFours {
  template <class T, class... X>
  static void run(int64_t count, T* y, const X*... x) noexcept {
    if (count >= 16) return Loop<F>::run(count, y, x...);
    for (; count >= 4; count -= 4, y += 4, ((x += 4), ...)) {
      T block[4];
      for (int k = 0; k < 4; ++k) block[k] = F::f(x[k]...);
      for (int k = 0; k < 4; ++k) y[k] = block[k];
    }
    for (int64_t i = 0; i < count; ++i) y[i] = F::f(x[i]...);
  }
};
// Choosing moves bits: floats go by as integers of their size.
constexpr StripKernel where1 = strip<Loop<Where>, uint8_t, uint8_t, uint8_t, uint8_t>;
constexpr StripKernel where2 = strip<Loop<Where>, uint16_t, uint8_t, uint16_t, uint16_t>;
constexpr StripKernel where4 = strip<Loop<Where>, uint32_t, uint8_t, uint32_t, uint32_t>;
constexpr StripKernel where8 = strip<Loop<Where>, uint64_t, uint8_t, uint64_t, uint64_t>;

}  // namespace

namespace LIMPID_KERNEL_ISA {

const ArithmeticKernels arithmetic_kernels{
    .add = with_bool<Add>(numbers<Add, 2>),
    .sub = numbers<Sub, 2>,
    .mul = with_bool<Mul>(numbers<Mul, 2>),
    .div = floats<Div, 2>,
    .remainder = numbers<Remainder, 2>,
    .fmod = numbers<Fmod, 2>,
    .floor_divide = numbers<FloorDivide, 2>,
    .pow = numbers<Pow, 2>,
    .maximum = with_bool<Maximum>(numbers<Maximum, 2>),
    .minimum = with_bool<Minimum>(numbers<Minimum, 2>),
    .add_scaled = numbers<AddScaled, 3>,
    .chain = floats<Chain, 2>,
    .chain_both = floats<ChainBoth, 2>,
    .chain_over = floats<ChainOver, 2>,
    .sub_chain = floats<SubChain, 3>,
    .eq = comparisons<Eq>,
    .ne = comparisons<Ne>,
    .lt = comparisons<Lt>,
    .le = comparisons<Le>,
    .gt = comparisons<Gt>,
    .ge = comparisons<Ge>,
    .neg = numbers<Neg, 1>,
    .abs = numbers<Abs, 1>,
    .sign = numbers<Sign, 1>,
    .square = numbers<Square, 1>,
    .relu = numbers<Relu, 1>,
    .floor = numbers<Floor, 1>,
    .ceil = numbers<Ceil, 1>,
    .trunc = numbers<Trunc, 1>,
    .round = numbers<Round, 1>,
    .leaky_relu = floats<LeakyRelu, 2>,
    .isfinite = predicates<IsFinite>,
    .clamp = numbers<Clamp, 3>,
    .where = {{where1, where1, where4, where8, where2, where2, where4, where8}},
    .gate = floats<Gate, 2>,
    .pow_slope = floats<PowSlope, 2>,
    .sqrt_gradient = floats<SqrtGradient, 2>,
    .rsqrt_gradient = floats<RsqrtGradient, 2>,
    .reciprocal_gradient = floats<ReciprocalGradient, 2>,
    .abs_gradient = floats<AbsGradient, 2>,
    .square_gradient = floats<SquareGradient, 2>,
    .div_gradient = floats<DivGradient, 3>,
    .leaky_relu_gradient = floats<LeakyReluGradient, 3>,
    .clamp_gradient = floats<ClampGradient, 4>,
    .maximum_gradient = floats<MaximumGradient, 3>,
    .minimum_gradient = floats<MinimumGradient, 3>,
    .mul_tangent = floats<MulTangent, 4>,
    .div_tangent = floats<DivTangent, 4>,
    .maximum_tangent = floats<MaximumTangent, 4>,
    .minimum_tangent = floats<MinimumTangent, 4>,
    .add_run = float_runs<Add>,
    .sub_run = float_runs<Sub>,
    .mul_run = float_runs<Mul>,
    .div_run = float_runs<Div>,
    .chain_run = {{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, binary_run<ByFours<Chain>, float>,
                   binary_run<ByFours<Chain>, double>}},
    .chain_over_run = float_runs<ChainOver>,
    .add_chain_run = {{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, ternary_run<ByFours<AddChain>, float>,
                       ternary_run<ByFours<AddChain>, double>}},
};

}  // namespace LIMPID_KERNEL_ISA
}  // namespace limpid::kernels
