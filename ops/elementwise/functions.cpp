// Functions of one operand: a table, one row per op, each the body of its function.
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/elementwise/kernels/strip.hpp>

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace limpid {

namespace ranges = detail::ranges;
using kernels::arithmetic;
using kernels::functions;

namespace {

// dy where y > 0 or NaN, else 0: relu's derivative in one pass, and linear in dy.
Tensor gate(const Tensor& dy, const Tensor& y);

struct GateNode final : SymmetricNode {
  Saved y{*this, "y"};
  const char* name() const noexcept override { return "relu_backward"; }
  // z_i = dy_i [not y_i <= 0]:  d(dy)_i = dz_i [not y_i <= 0];  y alone decides, and gets none.
  Tensors backward(const Tensors& dz) override { return {gate(dz[0], y)}; }
};

Tensor gate(const Tensor& dy, const Tensor& y) {
  Tensor z = detail::map({"relu_backward", arithmetic().gate, y.dtype()}, dy, y);
  if (auto* node = record<GateNode>(z, dy)) node->y = y;
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
  // One of three tells the derivative, in differentiable functions, so that it serves derivatives of any order.
  Tensor (*slope)(const Tensor& kept) = nullptr;                 ///< f': dx = chain(dy, f')
  Tensor (*inverse_slope)(const Tensor& kept) = nullptr;         ///< 1 / f', where that is nearer at hand
  Tensor (*dx)(const Tensor& dy, const Tensor& kept) = nullptr;  ///< dx itself, of what chooses and multiplies nothing
  Kernel gradient = {};                                          ///< dx of dy and what is kept, in one pass

  Tensor pull_back(const Tensor& dy, const Tensor& k) const {
    return slope ? detail::chain(dy, slope(k)) : inverse_slope ? detail::chain_over(dy, inverse_slope(k)) : dx(dy, k);
  }
};

template <const Unary& row>
struct UnaryNode final : SymmetricNode {
  Saved kept{*this, row.keeps == Keeps::x ? "x" : "y"};
  const char* name() const noexcept override { return row.op; }
  Tensors backward(const Tensors& dy) override {
    const Tensor k = kept;
    if (const kernels::KernelRow& f = row.gradient.get(); f[k.dtype()] && !is_grad_enabled())
      return {detail::map({row.op, f, k.dtype()}, dy[0], k)};
    return {row.pull_back(dy[0], k)};
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
    if (is_grad_enabled() || !f[k.dtype()]) return {detail::chain(dy[0], row.slope(k, p))};
    return {detail::map({row.op, f, k.dtype()}, dy[0], k, detail::Operand(row.op, p, k.dtype()))};
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
    node->p = detail::stored(row.op, p, dtype).to_double();
  }
  return y;
}

using A = kernels::ArithmeticKernels;
using F = kernels::FunctionKernels;
constexpr double pi = std::numbers::pi;
constexpr double infinity = std::numeric_limits<double>::infinity();

// ---- derivatives that are no composition of others: rows of their own

// 1 - tanh(x)^2
Tensor tanh_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "tanh_backward",
      .kernel = &F::tanh_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return tanh_slope(x) * (-2 * tanh(x)); },
  };
  return unary<row>(operand);
}

// s t for s = sigmoid(x) and t = sigmoid(-x); t - s = -tanh(x / 2)
Tensor sigmoid_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sigmoid_backward",
      .kernel = &F::sigmoid_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return sigmoid_slope(x) * -tanh(0.5 * x); },
  };
  return unary<row>(operand);
}

Tensor erf_curve(const Tensor& x);

// (2 / sqrt pi) e^-(x^2)
Tensor erf_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erf_backward",
      .kernel = &F::erf_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return erf_curve(x); },
  };
  return unary<row>(operand);
}

// (2 / sqrt pi) (-2 x) e^-(x^2)
Tensor erf_curve(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erf_backward",
      .kernel = &F::erf_curve,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return erf_slope(x) * (4 * square(x) - 2); },
  };
  return unary<row>(operand);
}

// phi(x), the density of the normal distribution
Tensor normal_density(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_backward",
      .kernel = &F::normal_density,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return normal_density(x) * -x; },
  };
  return unary<row>(operand);
}

// phi(x) (2 - x^2)
Tensor gelu_curve(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_backward",
      .kernel = &F::gelu_curve,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return normal_density(x) * (x * (square(x) - 4)); },
  };
  return unary<row>(operand);
}

// Phi(x) + x phi(x)
Tensor gelu_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_backward",
      .kernel = &F::gelu_slope,
      .keeps = Keeps::x,
      .slope = gelu_curve,
  };
  return unary<row>(operand);
}

// s t (2 - x u) for s and t as above and u = tanh(x / 2) = s - t: by s' = s t and u' = 2 s t its derivative is
// s t (x u^2 - 3 u - 2 x s t)
Tensor silu_curve(const Tensor& operand) {
  static constexpr Unary row{
      .op = "silu_backward",
      .kernel = &F::silu_curve,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& x) {
            const Tensor p = sigmoid_slope(x), u = tanh(0.5 * x);
            const Tensor first = u * (x * u - 3), second = 2 * (x * p);
            return p * (first - second);
          },
  };
  return unary<row>(operand);
}

// s (1 + x t)
Tensor silu_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "silu_backward",
      .kernel = &F::silu_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return silu_curve(x); },
  };
  return unary<row>(operand);
}

// sigmoid(beta x), whose derivative is beta sigmoid(beta x) sigmoid(-beta x)
Tensor softplus_slope(const Tensor& operand, double beta) {
  static constexpr Parametric row{
      .op = "softplus_backward",
      .kernel = &F::softplus_slope,
      .slope = [](const Tensor& x, double b) { return b * softplus_slope(x, b) * softplus_slope(-x, b); },
  };
  return parametric<row>(operand, beta);
}

}  // namespace

// ---- the table

Tensor exp(const Tensor& operand) {
  static constexpr Unary row{
      .op = "exp",
      .kernel = &F::exp,
      .keeps = Keeps::y,
      .slope = [](const Tensor& y) { return y; },
  };
  return unary<row>(operand);
}

Tensor log(const Tensor& operand) {
  static constexpr Unary row{
      .op = "log",
      .kernel = &F::log,
      .keeps = Keeps::x,
      .inverse_slope = [](const Tensor& x) { return x; },
  };
  return unary<row>(operand);
}

Tensor sqrt(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sqrt",
      .kernel = &F::sqrt,
      .keeps = Keeps::y,
      .inverse_slope = [](const Tensor& y) { return 2 * y; },
      .gradient = &A::sqrt_gradient,
  };
  return unary<row>(operand);
}

Tensor rsqrt(const Tensor& operand) {
  static constexpr Unary row{
      .op = "rsqrt",
      .kernel = &F::rsqrt,
      .keeps = Keeps::y,
      .slope =
          [](const Tensor& y) {
            // Compilers may record the terms of one expression in any order, in which their gradients are then summed.
            const Tensor y2 = square(y);
            return -0.5 * y * y2;
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
      .slope = [](const Tensor& y) { return -square(y); },
      .gradient = &A::reciprocal_gradient,
  };
  return unary<row>(operand);
}

Tensor abs(const Tensor& operand) {
  static constexpr Unary row{
      .op = "abs",
      .kernel = &A::abs,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return sign(x); },
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
      .slope = [](const Tensor& x) { return 2 * x; },
      .gradient = &A::square_gradient,
  };
  return unary<row>(operand);
}

Tensor sin(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sin",
      .kernel = c_library<::sinf, ::sin>,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return cos(x); },
  };
  return unary<row>(operand);
}

Tensor cos(const Tensor& operand) {
  static constexpr Unary row{
      .op = "cos",
      .kernel = c_library<::cosf, ::cos>,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return -sin(x); },
  };
  return unary<row>(operand);
}

// It keeps x: of y, which rounds to 1, the tails of the derivative could not be told.
Tensor tanh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "tanh",
      .kernel = &F::tanh,
      .keeps = Keeps::x,
      .slope = tanh_slope,
      .gradient = &F::tanh_gradient,
  };
  return unary<row>(operand);
}

Tensor sigmoid(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sigmoid",
      .kernel = &F::sigmoid,
      .keeps = Keeps::x,
      .slope = sigmoid_slope,
      .gradient = &F::sigmoid_gradient,
  };
  return unary<row>(operand);
}

Tensor erf(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erf",
      .kernel = &F::erf,
      .keeps = Keeps::x,
      .slope = erf_slope,
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
      .slope = silu_slope,
      .gradient = &F::silu_gradient,
  };
  return unary<row>(operand);
}

// x Phi(x), for the normal distribution Phi and its density phi.
Tensor gelu(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu",
      .kernel = &F::gelu,
      .keeps = Keeps::x,
      .slope = gelu_slope,
      .gradient = &F::gelu_gradient,
  };
  return unary<row>(operand);
}

Tensor leaky_relu(const Tensor& operand, double slope) {
  static constexpr Parametric row{
      .op = "leaky_relu",
      .kernel = &A::leaky_relu,
      .slope = [](const Tensor& x, double s) { return where(gt(x, 0), ones_like(x), s); },
      .gradient = &A::leaky_relu_gradient,
  };
  ranges::expect(row.op, {{"slope", slope, ranges::finite}});
  return parametric<row>(operand, slope);
}

Tensor elu(const Tensor& operand, double alpha) {
  // The clamp keeps e^x finite where the other branch holds, lest alpha 0 multiply its infinity.
  static constexpr Parametric row{
      .op = "elu",
      .kernel = &F::elu,
      .slope = [](const Tensor& x, double a) { return where(gt(x, 0), 1, a * exp(clamp(x, -infinity, 0))); },
      .gradient = &F::elu_gradient,
  };
  ranges::expect(row.op, {{"alpha", alpha, ranges::finite}});
  return parametric<row>(operand, alpha);
}

Tensor softplus(const Tensor& operand, double beta) {
  static constexpr Parametric row{
      .op = "softplus",
      .kernel = &F::softplus,
      .slope = softplus_slope,
      .gradient = &F::softplus_gradient,
  };
  ranges::expect(row.op, {{"beta", beta, ranges::finite_above_0}});
  return parametric<row>(operand, beta);
}

// ---- clamp

namespace {

struct ClampNode final : SymmetricNode {
  Saved x{*this, "x"};
  Scalar low = 0, high = 0;
  const char* name() const noexcept override { return "clamp"; }
  // y_i = min(max(x_i, low), high):  dx_i = dy_i where low <= x_i <= high or x_i is NaN, as y_i then is, else 0.
  Tensors backward(const Tensors& dy) override {
    const DType dtype = x.peek().dtype();
    if (!is_grad_enabled())
      return {detail::map({name(), arithmetic().clamp_gradient, dtype}, dy[0], x.get(),
                          detail::Operand(name(), low, dtype), detail::Operand(name(), high, dtype))};
    return {where(logical_or(lt(x, low), gt(x, high)), 0, dy[0])};
  }
};

// Whether a <= b, exactly; false of NaN.
bool are_ordered(Scalar a, Scalar b) {
  const double x = a.to_double(), y = b.to_double();
  if (x != y || (a.is_floating() && b.is_floating())) return x <= y;
  return detail::whole_of(a) <= detail::whole_of(b);  // one is an integer, which may have been rounded to the other
}

}  // namespace

Tensor clamp(const Tensor& x, Scalar low, Scalar high) {
  detail::require_defined("clamp", x);
  const bool whole = !is_floating_point(x.dtype());
  // Integers within [0.5, 2.5] are those within [1, 2].
  const Scalar first = whole && low.is_floating() ? std::ceil(low.to_double()) : low;
  const Scalar last = whole && high.is_floating() ? std::floor(high.to_double()) : high;
  if (!are_ordered(low, high))
    detail::throw_error<ValueError>("clamp: expected low <= high, got ", detail::text_of(low), " and ",
                                    detail::text_of(high));
  // As the elements are, which they may become: float32 has no 1e300.
  const Scalar least = detail::saturated("clamp", first, x.dtype()), most = detail::saturated("clamp", last, x.dtype());
  if (whole ? !(are_ordered(first, last) && are_ordered(first, least) && are_ordered(most, last))
            : std::isinf(least.to_double()) && least.to_double() == most.to_double() &&
                  std::isfinite(low.to_double()) && std::isfinite(high.to_double()))
    detail::throw_error<ValueError>("clamp: expected bounds between which ", x.dtype(), " has a number, got ",
                                    detail::text_of(low), " and ", detail::text_of(high));
  if (Tensor y = detail::promoted(x.dtype(), x, [&](const Tensor& p) { return clamp(p, least, most); }); y.defined())
    return y;
  Tensor y = detail::map({"clamp", arithmetic().clamp, x.dtype()}, x, detail::Operand("clamp", least, x.dtype()),
                         detail::Operand("clamp", most, x.dtype()));
  if (auto* node = record<ClampNode>(y, x)) {
    node->x = x;
    node->low = least;
    node->high = most;
  }
  return y;
}

}  // namespace limpid
