// The kernels behind the elementwise ops: one function per op and dtype, compiled per instruction set.
#pragma once
#include <limpid/core/dtype.hpp>
#include <limpid/core/kernels/tables.hpp>

#include <cstddef>
#include <cstdint>

namespace limpid::kernels {

/// A run of elements: y[i * y_step] = f(x[0][i * x_step[0]], ...) for i < count. Steps are in elements; step 0 repeats
/// one element. y may be one of the operands, but must not overlap them otherwise.
struct Strip {
  int64_t count;
  void* y;
  int64_t y_step;
  const void* x[4];
  int64_t x_step[4];
};
using StripKernel = void (*)(const Strip&) noexcept;
/// The same for contiguous runs, where so few elements would cost less than to fill a Strip in: y[i] = f(a[i], b[i]).
using BinaryRun = void (*)(int64_t count, void* y, const void* a, const void* b) noexcept;
using TernaryRun = void (*)(int64_t count, void* y, const void* a, const void* b, const void* c) noexcept;

/// f by dtype of the operands (the last, where they differ); null where it has none.
template <class Kernel>
struct ByDType {
  Kernel by_dtype[8];
  Kernel operator[](DType dtype) const noexcept { return by_dtype[static_cast<std::size_t>(dtype)]; }
};
using KernelRow = ByDType<StripKernel>;

/// Made of operations that round correctly, in one order: the same bits on every instruction set, each of which has a
/// version; pow and the remainders are the C library's. Integers wrap; for bool + is or, * is and.
struct ArithmeticKernels {
  KernelRow add, sub, mul, div, remainder, fmod, floor_divide, pow, maximum, minimum;
  KernelRow add_scaled;                     ///< a + b * c
  KernelRow chain, chain_both, chain_over;  ///< of floats: a * b and a / b, 0 where a is 0; or where either is
  KernelRow sub_chain;                      ///< of floats: a - chain(b, c)
  KernelRow eq, ne, lt, le, gt, ge;         ///< of T, giving bool
  KernelRow neg, abs, sign, square, relu;
  KernelRow floor, ceil, trunc, round;  ///< round: to the nearest, to the even one of two
  KernelRow leaky_relu;                 ///< of float32 and float64: x, slope
  KernelRow isfinite;                   ///< of T, giving bool
  KernelRow clamp;                      ///< x, low, high
  KernelRow where;                      ///< bool, T, T
  KernelRow gate;                       ///< dy where y > 0 or NaN, else 0
  KernelRow pow_slope;                  ///< of floats: a, b: the derivative of a^b by a

  // Derivatives in one pass, of float32 and float64: dx from dy and what forward kept; dy from da, db and the operands.
  KernelRow sqrt_gradient, rsqrt_gradient, reciprocal_gradient;  ///< dy, y
  KernelRow abs_gradient, square_gradient;                       ///< dy, x
  KernelRow div_gradient;                                        ///< dy, y, b: that of b in y = a / b
  KernelRow leaky_relu_gradient;                                 ///< dy, x, slope
  KernelRow clamp_gradient;                                      ///< dy, x, low, high
  KernelRow maximum_gradient, minimum_gradient;  ///< dy, a, b: that of a; half where a = b or both are NaN
  KernelRow mul_tangent;                         ///< da, b, db, a: da b + a db
  KernelRow div_tangent;                         ///< da, db, y, b: (da - y db) / b
  KernelRow maximum_tangent, minimum_tangent;    ///< da, db, a, b: that of the one chosen, half of both where a = b

  // Of float32 and float64.
  ByDType<BinaryRun> add_run, sub_run, mul_run, div_run, chain_run, chain_over_run;
  ByDType<TernaryRun> add_chain_run;  ///< sum + chain(dy, d)
};

/// Those of float32 that are fits of limpid's own: the same bits with AVX2 and AVX-512, each of which has a version.
struct FittedKernels {
  StripKernel tanh, gelu, logsigmoid;
  StripKernel tanh_slope, sigmoid_slope, gelu_slope;           ///< x
  StripKernel tanh_gradient, sigmoid_gradient, gelu_gradient;  ///< dy, x
};

/// Of float32 and float64, accurate to a few units in the last place over the whole range. There is no AVX-512 version:
/// the math library's differs from AVX2's in the last bit. Where FittedKernels have one of float32, functions() has
/// that in its place.
struct FunctionKernels {
  KernelRow exp, log, sqrt, rsqrt, reciprocal, tanh, sigmoid, erf, gelu, silu, logsigmoid;
  KernelRow elu;       ///< x, alpha
  KernelRow softplus;  ///< x, beta

  // Derivatives. Each slope is accurate as its function is, tails and roots included; the gradient is chain(dy, slope).
  KernelRow tanh_slope, sigmoid_slope, erf_slope, gelu_slope, silu_slope;  ///< x
  KernelRow erf_curve, gelu_curve, silu_curve;                             ///< x: the second derivative
  KernelRow normal_density;                                                ///< x
  KernelRow softplus_slope;                                                ///< x, beta
  KernelRow tanh_gradient, sigmoid_gradient, erf_gradient, gelu_gradient, silu_gradient,
      logsigmoid_gradient;      ///< dy, x
  KernelRow softplus_gradient;  ///< dy, x, beta
  KernelRow elu_gradient;       ///< dy, x, alpha
};

/// Of float32 and float64: the C library's functions, see kernels/library.cpp.
struct LibraryKernels {
  KernelRow exp2, expm1, log2, log10, log1p, erfc;
  KernelRow sin, cos, tan, asin, acos, atan;
  KernelRow sinh, cosh, asinh, acosh, atanh;
  KernelRow atan2, hypot;  ///< of two operands
};

/// The tables of the instruction set in use.
const ArithmeticKernels& arithmetic() noexcept;
const FunctionKernels& functions() noexcept;
const LibraryKernels& library() noexcept;

LIMPID_DECLARE_KERNELS(ArithmeticKernels, arithmetic_kernels)
LIMPID_DECLARE_KERNELS(FittedKernels, fitted_kernels)
// clang-format off
namespace baseline { extern const FunctionKernels function_kernels; extern const LibraryKernels library_kernels; }
namespace avx2     { extern const FunctionKernels function_kernels; extern const LibraryKernels library_kernels; }
namespace avx512   { using avx2::function_kernels; using avx2::library_kernels; }
namespace neon     { extern const FunctionKernels function_kernels; extern const LibraryKernels library_kernels; }
// clang-format on

}  // namespace limpid::kernels
