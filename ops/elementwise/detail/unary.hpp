// Functions of one operand, and of one and a number, as rows of a table: what its row says of a function is all of it.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/elementwise/kernels/strip.hpp>

namespace limpid::detail {

/// A kernel: of one of the tables, that of the instruction set in use; or a row of the file. None where there is none.
class Kernel {
 public:
  constexpr Kernel() = default;
  constexpr Kernel(kernels::KernelRow kernels::ArithmeticKernels::*row) : arithmetic_(row) {}
  constexpr Kernel(kernels::KernelRow kernels::FunctionKernels::*row) : function_(row) {}
  constexpr Kernel(kernels::KernelRow kernels::LibraryKernels::*row) : library_(row) {}
  constexpr Kernel(const kernels::KernelRow& row) : own_(&row) {}
  const kernels::KernelRow& get() const noexcept {
    return arithmetic_ ? kernels::arithmetic().*arithmetic_
           : function_ ? kernels::functions().*function_
           : library_  ? kernels::library().*library_
           : own_      ? *own_
                       : none;
  }

 private:
  static constexpr kernels::KernelRow none{};
  kernels::KernelRow kernels::ArithmeticKernels::*arithmetic_ = nullptr;
  kernels::KernelRow kernels::FunctionKernels::*function_ = nullptr;
  kernels::KernelRow kernels::LibraryKernels::*library_ = nullptr;
  const kernels::KernelRow* own_ = nullptr;
};

// Functions of floats and doubles, element by element.
template <float (*single)(float), double (*wide)(double)>
struct Called {
  static float f(float x) noexcept { return single(x); }
  static double f(double x) noexcept { return wide(x); }
};
template <float (*single)(float), double (*wide)(double)>
constexpr kernels::KernelRow called = kernels::float_row<kernels::Loop<Called<single, wide>>, 1>;

// A function of doubles, element by element; of floats rounded once.
template <auto function>
struct InDouble {
  template <class T, class... P>
  static T f(T x, P... p) noexcept {
    return static_cast<T>(function(double{x}, double{p}...));
  }
};
template <auto function, std::size_t arity = 1>
constexpr kernels::KernelRow in_double = kernels::float_row<kernels::Loop<InDouble<function>>, arity>;

enum class Keeps { x, y };

/// One row of the table of functions y_i = f(x_i).
struct Unary {
  const char* op;
  Kernel kernel;  ///< of floats alone, or of integers as well; those are converted to float32 where it is of floats
  Keeps keeps;    ///< which of the two the node keeps
  // One of three tells the derivative, in differentiable functions, so that it serves derivatives of any order.
  Tensor (*slope)(const Tensor& kept) = nullptr;                 ///< f': dx = chain(dy, f')
  Tensor (*inverse_slope)(const Tensor& kept) = nullptr;         ///< 1 / f', where that is nearer at hand
  Tensor (*dx)(const Tensor& dy, const Tensor& kept) = nullptr;  ///< dx itself, of what chooses and multiplies nothing
  Kernel gradient = {};                                          ///< dx of dy and what is kept, in one pass

  Tensor pull_back(const Tensor& dy, const Tensor& k) const {
    return slope ? chain(dy, slope(k)) : inverse_slope ? chain_over(dy, inverse_slope(k)) : dx(dy, k);
  }
};

template <const Unary& row>
struct UnaryNode final : SymmetricNode {
  Saved kept{*this, row.keeps == Keeps::x ? "x" : "y"};
  const char* name() const noexcept override { return row.op; }
  Tensors backward(const Tensors& dy) override {
    const Tensor k = kept;
    if (const kernels::KernelRow& f = row.gradient.get(); f[k.dtype()] && !is_grad_enabled())
      return {map({row.op, f, k.dtype()}, dy[0], k)};
    return {row.pull_back(dy[0], k)};
  }
};

template <const Unary& row>
Tensor unary(const Tensor& x) {
  require_defined(row.op, x);
  const kernels::KernelRow& f = row.kernel.get();
  const DType dtype = f[int64] ? x.dtype() : floating_type(x.dtype());
  if (Tensor y = promoted(dtype, x, unary<row>); y.defined()) return y;
  Tensor y = map({row.op, f, dtype}, x);
  if (auto* node = record<UnaryNode<row>>(y, x)) node->kept = row.keeps == Keeps::x ? x : y;
  return y;
}

/// One row of the table of functions y_i = f(x_i, p) for a number p, of which the node keeps x.
struct Parametric {
  const char* op;
  Kernel kernel;                               ///< of x, p
  Tensor (*slope)(const Tensor& x, double p);  ///< as in Unary
  Kernel gradient = {};                        ///< of dy, x, p
};

template <const Parametric& row>
struct ParametricNode final : SymmetricNode {
  Saved x{*this, "x"};
  double p = 0;
  const char* name() const noexcept override { return row.op; }
  Tensors backward(const Tensors& dy) override {
    const Tensor k = x;
    const kernels::KernelRow& f = row.gradient.get();
    if (is_grad_enabled() || !f[k.dtype()]) return {chain(dy[0], row.slope(k, p))};
    return {map({row.op, f, k.dtype()}, dy[0], k, Operand(row.op, p, k.dtype()))};
  }
};

template <const Parametric& row>
Tensor parametric(const Tensor& x, double p) {
  require_defined(row.op, x);
  const DType dtype = floating_type(x.dtype());
  if (Tensor y = promoted(dtype, x, [&](const Tensor& z) { return parametric<row>(z, p); }); y.defined()) return y;
  Tensor y = map({row.op, row.kernel.get(), dtype}, x, Operand(row.op, p, dtype));
  if (auto* node = record<ParametricNode<row>>(y, x)) {
    node->x = x;
    node->p = stored(row.op, p, dtype).to_double();
  }
  return y;
}

// For rows: the tables of kernels.
using ArithmeticRow = kernels::ArithmeticKernels;
using FunctionRow = kernels::FunctionKernels;
using LibraryRow = kernels::LibraryKernels;

}  // namespace limpid::detail
