// Functions of one operand: a table, one row per op, each the body of its function.
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/elementwise/kernels/strip.hpp>

#include <cmath>
#include <limits>
#include <numbers>

namespace limpid {

using kernels::arithmetic;
using kernels::functions;

namespace {

// dy where y > 0, else 0: relu's derivative in one pass, and linear in dy.
Tensor gate(const Tensor& dy, const Tensor& y);

struct GateNode final : SymmetricNode {
  Saved y{*this, "y"};
  const char* name() const noexcept override { return "relu_backward"; }
  // z_i = dy_i [y_i > 0]:  d(dy)_i = dz_i [y_i > 0];  y alone decides, and gets none.
  Tensors backward(const Tensors& dz) override { return {gate(dz[0], y)}; }
};

Tensor gate(const Tensor& dy, const Tensor& y) {
  Tensor z = detail::map({"relu_backward", arithmetic().gate, y.dtype()}, dy, y);
  if (auto* node = record<GateNode>(z, dy)) node->y = y;
  return z;
}

// dy (1 - y^2): tanh's derivative in one pass, and linear in dy.
Tensor tanh_backward(const Tensor& dy, const Tensor& y);

struct TanhBackwardNode final : SymmetricNode {
  Saved dy{*this, "dy"}, y{*this, "y"};
  const char* name() const noexcept override { return "tanh_backward"; }
  // z_i = dy_i (1 - y_i^2):  d(dy)_i = dz_i (1 - y_i^2),  d(y)_i = -2 dz_i dy_i y_i.
  Tensors backward(const Tensors& dz) override {
    return {needs(0) ? tanh_backward(dz[0], y) : Tensor(), needs(1) ? mul(dz[0], mul(mul(dy, y), -2)) : Tensor()};
  }
};

Tensor tanh_backward(const Tensor& dy, const Tensor& y) {
  Tensor z = detail::map({"tanh_backward", arithmetic().tanh_gradient, y.dtype()}, dy, y);
  if (auto* node = record<TanhBackwardNode>(z, dy, y)) {
    node->y = y;
    if (node->needs(1)) node->dy = dy;
  }
  return z;
}

// dy s (1 + x t) for s = sigmoid(x) and t = 1 - s: silu's derivative in one pass, and linear in dy.
Tensor silu_backward(const Tensor& dy, const Tensor& x);

struct SiluBackwardNode final : SymmetricNode {
  Saved dy{*this, "dy"}, x{*this, "x"};
  const char* name() const noexcept override { return "silu_backward"; }
  // z_i = dy_i s_i (1 + x_i t_i), and d s_i / d x_i = s_i t_i = -d t_i / d x_i:
  //   d(dy)_i = dz_i s_i (1 + x_i t_i),  d(x)_i = dz_i dy_i s_i t_i (2 + x_i (t_i - s_i)).
  Tensors backward(const Tensors& dz) override {
    Tensor through_x;
    if (needs(1)) {
      const Tensor s = sigmoid(x), t = sigmoid(-x.get());
      through_x = mul(dz[0], mul(dy, s * t * (2 + x * (t - s))));
    }
    return {needs(0) ? silu_backward(dz[0], x) : Tensor(), through_x};
  }
};

Tensor silu_backward(const Tensor& dy, const Tensor& x) {
  Tensor z = detail::map({"silu_backward", functions().silu_gradient, x.dtype()}, dy, x);
  if (auto* node = record<SiluBackwardNode>(z, dy, x)) {
    node->x = x;
    if (node->needs(1)) node->dy = dy;
  }
  return z;
}

/// A kernel: of one of the tables, that of the instruction set in use; or a row of this file. None where there is none.
class Kernel {
 public:
  constexpr Kernel() = default;
  constexpr Kernel(kernels::KernelRow kernels::ArithmeticKernels::*row) : arithmetic_(row) {}
  constexpr Kernel(kernels::KernelRow kernels::FunctionKernels::*row) : function_(row) {}
  constexpr Kernel(const kernels::KernelRow& row) : own_(&row) {}
  const kernels::KernelRow& get() const noexcept {
    return arithmetic_ ? arithmetic().*arithmetic_ : function_ ? functions().*function_ : own_ ? *own_ : none;
  }

 private:
  static constexpr kernels::KernelRow none{};
  kernels::KernelRow kernels::ArithmeticKernels::*arithmetic_ = nullptr;
  kernels::KernelRow kernels::FunctionKernels::*function_ = nullptr;
  const kernels::KernelRow* own_ = nullptr;
};

// Functions of the C library, element by element: what they do in a call no instruction set of ours does faster.
template <float (*single)(float), double (*wide)(double)>
struct Called {
  static float f(float x) noexcept { return single(x); }
  static double f(double x) noexcept { return wide(x); }
};
template <float (*single)(float), double (*wide)(double)>
constexpr kernels::KernelRow c_library = kernels::float_row<kernels::Loop<Called<single, wide>>, 1>;

enum class Keeps { x, y };

/// One row of the table of functions y_i = f(x_i).
struct Unary {
  const char* op;
  Kernel kernel;  ///< of floats alone, or of integers as well; those are converted to float32 where it is of floats
  Keeps keeps;    ///< which of the two the node keeps
  /// dx for dy and what is kept, in differentiable functions, so that this line serves derivatives of any order.
  Tensor (*dx)(const Tensor& dy, const Tensor& kept);
  Kernel gradient = {};  ///< says the same in one pass, where nothing is recorded
};

template <const Unary& row>
struct UnaryNode final : SymmetricNode {
  Saved kept{*this, row.keeps == Keeps::x ? "x" : "y"};
  const char* name() const noexcept override { return row.op; }
  Tensors backward(const Tensors& dy) override {
    const Tensor k = kept;
    if (const kernels::KernelRow& f = row.gradient.get(); f[k.dtype()] && !is_grad_enabled())
      return {detail::map({row.op, f, k.dtype()}, dy[0], k)};
    return {row.dx(dy[0], k)};
  }
};

template <const Unary& row>
Tensor unary(const Tensor& x) {
  detail::require_defined(row.op, x);
  const kernels::KernelRow& f = row.kernel.get();
  const DType dtype = f[int64] ? x.dtype() : detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, unary<row>); y.defined()) return y;
  Tensor y = detail::map({row.op, f, dtype}, x);
  if (auto* node = record<UnaryNode<row>>(y, x)) node->kept = row.keeps == Keeps::x ? x : y;
  return y;
}

/// One row of the table of functions y_i = f(x_i, p) for a number p, of which the node keeps x.
struct Parametric {
  const char* op;
  Kernel kernel;                                              ///< of x, p
  Tensor (*dx)(const Tensor& dy, const Tensor& x, double p);  ///< as in Unary
  Kernel gradient;                                            ///< of dy, x, p
};

template <const Parametric& row>
struct ParametricNode final : SymmetricNode {
  Saved x{*this, "x"};
  double p = 0;
  const char* name() const noexcept override { return row.op; }
  Tensors backward(const Tensors& dy) override {
    const Tensor k = x;
    if (is_grad_enabled()) return {row.dx(dy[0], k, p)};
    return {detail::map({row.op, row.gradient.get(), k.dtype()}, dy[0], k, detail::Operand(row.op, p, k.dtype()))};
  }
};

template <const Parametric& row>
Tensor parametric(const Tensor& x, double p) {
  detail::require_defined(row.op, x);
  const DType dtype = detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, [&](const Tensor& z) { return parametric<row>(z, p); }); y.defined())
    return y;
  Tensor y = detail::map({row.op, row.kernel.get(), dtype}, x, detail::Operand(row.op, p, dtype));
  if (auto* node = record<ParametricNode<row>>(y, x)) {
    node->x = x;
    node->p = p;
  }
  return y;
}

using A = kernels::ArithmeticKernels;
using F = kernels::FunctionKernels;
constexpr double pi = std::numbers::pi;
constexpr double infinity = std::numeric_limits<double>::infinity();

}  // namespace

// ---- the table

Tensor exp(const Tensor& operand) {
  static constexpr Unary row{
      .op = "exp",
      .kernel = &F::exp,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor& y) { return dy * y; },
  };
  return unary<row>(operand);
}

Tensor log(const Tensor& operand) {
  static constexpr Unary row{
      .op = "log",
      .kernel = &F::log,
      .keeps = Keeps::x,
      .dx = [](const Tensor& dy, const Tensor& x) { return dy / x; },
  };
  return unary<row>(operand);
}

Tensor sqrt(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sqrt",
      .kernel = &F::sqrt,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor& y) { return dy / (2 * y); },
      .gradient = &A::sqrt_gradient,
  };
  return unary<row>(operand);
}

Tensor rsqrt(const Tensor& operand) {
  static constexpr Unary row{
      .op = "rsqrt",
      .kernel = &F::rsqrt,
      .keeps = Keeps::y,
      .dx =
          [](const Tensor& dy, const Tensor& y) {
            const Tensor y2 = square(y);  // recorded before the other y, as in gelu's
            return dy * (-0.5 * y * y2);
          },
      .gradient = &A::rsqrt_gradient,
  };
  return unary<row>(operand);
}

Tensor reciprocal(const Tensor& operand) {
  static constexpr Unary row{
      .op = "reciprocal",
      .kernel = &F::reciprocal,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor& y) { return -(dy * square(y)); },
      .gradient = &A::reciprocal_gradient,
  };
  return unary<row>(operand);
}

Tensor abs(const Tensor& operand) {
  static constexpr Unary row{
      .op = "abs",
      .kernel = &A::abs,
      .keeps = Keeps::x,
      .dx = [](const Tensor& dy, const Tensor& x) { return dy * sign(x); },
      .gradient = &A::abs_gradient,
  };
  return unary<row>(operand);
}

Tensor sign(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sign",
      .kernel = &A::sign,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor&) { return zeros_like(dy); },
  };
  return unary<row>(operand);
}

Tensor square(const Tensor& operand) {
  static constexpr Unary row{
      .op = "square",
      .kernel = &A::square,
      .keeps = Keeps::x,
      .dx = [](const Tensor& dy, const Tensor& x) { return dy * (2 * x); },
      .gradient = &A::square_gradient,
  };
  return unary<row>(operand);
}

Tensor sin(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sin",
      .kernel = c_library<::sinf, ::sin>,
      .keeps = Keeps::x,
      .dx = [](const Tensor& dy, const Tensor& x) { return dy * cos(x); },
  };
  return unary<row>(operand);
}

Tensor cos(const Tensor& operand) {
  static constexpr Unary row{
      .op = "cos",
      .kernel = c_library<::cosf, ::cos>,
      .keeps = Keeps::x,
      .dx = [](const Tensor& dy, const Tensor& x) { return -(dy * sin(x)); },
  };
  return unary<row>(operand);
}

Tensor tanh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "tanh",
      .kernel = &F::tanh,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor& y) { return tanh_backward(dy, y); },
  };
  return unary<row>(operand);
}

Tensor sigmoid(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sigmoid",
      .kernel = &F::sigmoid,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor& y) { return dy * (y * (1 - y)); },
      .gradient = &A::sigmoid_gradient,
  };
  return unary<row>(operand);
}

Tensor erf(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erf",
      .kernel = &F::erf,
      .keeps = Keeps::x,
      .dx = [](const Tensor& dy, const Tensor& x) { return dy * (2 / std::sqrt(pi) * exp(-square(x))); },
      .gradient = &F::erf_gradient,
  };
  return unary<row>(operand);
}

Tensor relu(const Tensor& operand) {
  static constexpr Unary row{
      .op = "relu",
      .kernel = &A::relu,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor& y) { return gate(dy, y); },
  };
  return unary<row>(operand);
}

Tensor silu(const Tensor& operand) {
  static constexpr Unary row{
      .op = "silu",
      .kernel = &F::silu,
      .keeps = Keeps::x,
      .dx = [](const Tensor& dy, const Tensor& x) { return silu_backward(dy, x); },
  };
  return unary<row>(operand);
}

// x Phi(x), for the normal distribution Phi and its density phi.
Tensor gelu(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu",
      .kernel = &F::gelu,
      .keeps = Keeps::x,
      .dx =
          [](const Tensor& dy, const Tensor& x) {
            // Phi(x) + x phi(x). Compilers may record the terms of one expression in any order, in which their
            // gradients are then summed: here it is one.
            const Tensor density = x * (std::sqrt(0.5 / pi) * exp(-0.5 * square(x)));
            return dy * (0.5 + 0.5 * erf(std::sqrt(0.5) * x) + density);
          },
  };
  return unary<row>(operand);
}

Tensor leaky_relu(const Tensor& operand, double slope) {
  static constexpr Parametric row{
      .op = "leaky_relu",
      .kernel = &A::leaky_relu,
      .dx = [](const Tensor& dy, const Tensor& x, double s) { return where(gt(x, 0), dy, s * dy); },
      .gradient = &A::leaky_relu_gradient,
  };
  return parametric<row>(operand, slope);
}

Tensor elu(const Tensor& operand, double alpha) {
  // The clamp keeps e^x finite where the other branch holds, lest a second derivative multiply its infinity by 0.
  static constexpr Parametric row{
      .op = "elu",
      .kernel = &F::elu,
      .dx = [](const Tensor& dy, const Tensor& x,
               double a) { return where(gt(x, 0), dy, dy * (a * exp(clamp(x, -infinity, 0)))); },
      .gradient = &F::elu_gradient,
  };
  return parametric<row>(operand, alpha);
}

Tensor softplus(const Tensor& operand, double beta) {
  static constexpr Parametric row{
      .op = "softplus",
      .kernel = &F::softplus,
      .dx = [](const Tensor& dy, const Tensor& x, double b) { return dy * sigmoid(b * x); },
      .gradient = &F::softplus_gradient,
  };
  detail::require_defined(row.op, operand);
  if (!(beta > 0)) detail::throw_error<ValueError>("softplus: expected beta above 0, got ", beta);
  return parametric<row>(operand, beta);
}

// ---- clamp

namespace {

struct ClampNode final : SymmetricNode {
  Saved x{*this, "x"};
  Scalar low = 0, high = 0;
  const char* name() const noexcept override { return "clamp"; }
  // y_i = min(max(x_i, low), high):  dx_i = dy_i where low <= x_i <= high, else 0.
  Tensors backward(const Tensors& dy) override {
    const DType dtype = x.peek().dtype();
    if (!is_grad_enabled())
      return {detail::map({name(), arithmetic().clamp_gradient, dtype}, dy[0], x.get(),
                          detail::Operand::saturated(name(), low, dtype),
                          detail::Operand::saturated(name(), high, dtype))};
    return {where(logical_and(ge(x, low), le(x, high)), dy[0], 0)};
  }
};

}  // namespace

Tensor clamp(const Tensor& x, Scalar low, Scalar high) {
  detail::require_defined("clamp", x);
  const bool whole = !is_floating_point(x.dtype());
  // Integers within [0.5, 2.5] are those within [1, 2].
  const Scalar least = whole && low.is_floating() ? std::ceil(low.to_double()) : low;
  const Scalar most = whole && high.is_floating() ? std::floor(high.to_double()) : high;
  const bool ordered =
      low.is_floating() || high.is_floating() ? low.to_double() <= high.to_double() : low.to_int64() <= high.to_int64();
  if (!ordered)
    detail::throw_error<ValueError>("clamp: expected low <= high, got ", low.to_double(), " and ", high.to_double());
  if (Tensor y = detail::promoted(x.dtype(), x, [&](const Tensor& p) { return clamp(p, low, high); }); y.defined())
    return y;
  Tensor y =
      detail::map({"clamp", arithmetic().clamp, x.dtype()}, x, detail::Operand::saturated("clamp", least, x.dtype()),
                  detail::Operand::saturated("clamp", most, x.dtype()));
  if (auto* node = record<ClampNode>(y, x)) {
    node->x = x;
    node->low = low;
    node->high = high;
  }
  return y;
}

}  // namespace limpid
