// Functions of one operand: a table, one row per op.
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>

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
  Tensor z = detail::map("relu_backward", arithmetic().gate, y.dtype(), y.dtype(), dy, y);
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
  Tensor z = detail::map("tanh_backward", arithmetic().tanh_gradient, y.dtype(), y.dtype(), dy, y);
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
  Tensor z = detail::map("silu_backward", functions().silu_gradient, x.dtype(), x.dtype(), dy, x);
  if (auto* node = record<SiluBackwardNode>(z, dy, x)) {
    node->x = x;
    if (node->needs(1)) node->dy = dy;
  }
  return z;
}

// y_i = f(x_i), in x's dtype; in float32 for integers where f is of floats alone. keep(node, x, y) saves one of them.
template <class N, class Keep>
Tensor unary(const kernels::KernelRow& f, const Tensor& x, Tensor (*self)(const Tensor&), Keep keep) {
  detail::require_defined(N::op, x);
  const DType dtype = f[int64] ? x.dtype() : detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, self); y.defined()) return y;
  Tensor y = detail::map(N::op, f, dtype, dtype, x);
  if (auto* node = record<N>(y, x)) keep(*node, x, y);
  return y;
}

constexpr double pi = std::numbers::pi;
constexpr double infinity = std::numeric_limits<double>::infinity();

// gelu'(x) = Phi(x) + x phi(x), for the normal distribution Phi and its density phi. Compilers may record the terms of
// one expression in any order, in which their gradients are then summed: here it is one.
Tensor gelu_slope(const Tensor& x) {
  const Tensor density = x * (std::sqrt(0.5 / pi) * exp(-0.5 * square(x)));
  return 0.5 + 0.5 * erf(std::sqrt(0.5) * x) + density;
}

constexpr kernels::KernelRow none{};

}  // namespace

// UNARY(op, kernel, gradient, kept, dx) defines Tensor op(const Tensor& x), y = op(x): its kernel, which of x and y its
// node keeps, and dx for a given dy, in differentiable functions, so that this line serves derivatives of any order.
// Where nothing is recorded, the kernel `gradient` says the same of dy and what is kept, in one pass; or there is none.
#define UNARY(OP, KERNEL, GRADIENT, KEPT, ...)                                                                      \
  namespace {                                                                                                       \
  struct OP##_node final : SymmetricNode {                                                                          \
    static constexpr const char* op = #OP;                                                                          \
    Saved saved{*this, #KEPT};                                                                                      \
    const char* name() const noexcept override { return op; }                                                       \
    Tensors backward(const Tensors& dys) override {                                                                 \
      [[maybe_unused]] const Tensor &dy = dys[0], KEPT = saved;                                                     \
      if (const kernels::KernelRow& f = GRADIENT; f[KEPT.dtype()] && !is_grad_enabled())                            \
        return {detail::map(op, f, KEPT.dtype(), KEPT.dtype(), dy, KEPT)};                                          \
      return {__VA_ARGS__};                                                                                         \
    }                                                                                                               \
  };                                                                                                                \
  }                                                                                                                 \
  Tensor OP(const Tensor& x) {                                                                                      \
    return unary<OP##_node>(                                                                                        \
        KERNEL, x, &OP, [](OP##_node& node, [[maybe_unused]] const Tensor& x_, [[maybe_unused]] const Tensor& y_) { \
          node.saved = KEPT##_;                                                                                     \
        });                                                                                                         \
  }

// clang-format off
//    op          kernel                  gradient                          keeps  dx
UNARY(exp,        functions().exp,        none,                             y,     dy * y)
UNARY(log,        functions().log,        none,                             x,     dy / x)
UNARY(sqrt,       functions().sqrt,       arithmetic().sqrt_gradient,       y,     dy / (2 * y))
UNARY(rsqrt,      functions().rsqrt,      arithmetic().rsqrt_gradient,      y,     dy * (-0.5 * y * square(y)))
UNARY(reciprocal, functions().reciprocal, arithmetic().reciprocal_gradient, y,     -(dy * square(y)))
UNARY(abs,        arithmetic().abs,       arithmetic().abs_gradient,        x,     dy * sign(x))
UNARY(sign,       arithmetic().sign,      none,                             y,     zeros_like(dy))
UNARY(square,     arithmetic().square,    arithmetic().square_gradient,     x,     dy * (2 * x))
UNARY(sin,        functions().sin,        none,                             x,     dy * cos(x))
UNARY(cos,        functions().cos,        none,                             x,     -(dy * sin(x)))
UNARY(tanh,       functions().tanh,       none,                             y,     tanh_backward(dy, y))
UNARY(sigmoid,    functions().sigmoid,    arithmetic().sigmoid_gradient,    y,     dy * (y * (1 - y)))
UNARY(erf,        functions().erf,        functions().erf_gradient,         x,     dy * (2 / std::sqrt(pi) * exp(-square(x))))
UNARY(relu,       arithmetic().relu,      none,                             y,     gate(dy, y))
UNARY(silu,       functions().silu,       none,                             x,     silu_backward(dy, x))
UNARY(gelu,       functions().gelu,       none,                             x,     dy * gelu_slope(x))
// clang-format on
#undef UNARY

// Activations with a parameter.

struct LeakyReluNode final : SymmetricNode {
  Saved x{*this, "x"};
  double slope = 0;
  const char* name() const noexcept override { return "leaky_relu"; }
  // y_i = x_i where x_i > 0, else s x_i:  dx_i = dy_i, or s dy_i.
  Tensors backward(const Tensors& dy) override {
    const DType dtype = x.peek().dtype();
    if (!is_grad_enabled())
      return {detail::map(name(), arithmetic().leaky_relu_gradient, dtype, dtype, dy[0], x.get(),
                          detail::Operand(name(), slope, dtype))};
    return {where(gt(x, 0), dy[0], slope * dy[0])};
  }
};

Tensor leaky_relu(const Tensor& x, double slope) {
  detail::require_defined("leaky_relu", x);
  const DType dtype = detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, [&](const Tensor& p) { return leaky_relu(p, slope); }); y.defined())
    return y;
  Tensor y =
      detail::map("leaky_relu", functions().leaky_relu, dtype, dtype, x, detail::Operand("leaky_relu", slope, dtype));
  if (auto* node = record<LeakyReluNode>(y, x)) {
    node->x = x;
    node->slope = slope;
  }
  return y;
}

struct EluNode final : SymmetricNode {
  Saved x{*this, "x"};
  double alpha = 1;
  const char* name() const noexcept override { return "elu"; }
  // y_i = x_i where x_i > 0, else a (e^x_i - 1):  dx_i = dy_i, or dy_i a e^x_i. The clamp keeps e^x finite where the
  // other branch holds, lest a second derivative multiply its infinity by 0.
  Tensors backward(const Tensors& dy) override {
    const DType dtype = x.peek().dtype();
    if (!is_grad_enabled())
      return {detail::map(name(), functions().elu_gradient, dtype, dtype, dy[0], x.get(),
                          detail::Operand(name(), alpha, dtype))};
    return {where(gt(x, 0), dy[0], dy[0] * (alpha * exp(clamp(x, -infinity, 0))))};
  }
};

Tensor elu(const Tensor& x, double alpha) {
  detail::require_defined("elu", x);
  const DType dtype = detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, [&](const Tensor& p) { return elu(p, alpha); }); y.defined()) return y;
  Tensor y = detail::map("elu", functions().elu, dtype, dtype, x, detail::Operand("elu", alpha, dtype));
  if (auto* node = record<EluNode>(y, x)) {
    node->x = x;
    node->alpha = alpha;
  }
  return y;
}

struct SoftplusNode final : SymmetricNode {
  Saved x{*this, "x"};
  double beta = 1;
  const char* name() const noexcept override { return "softplus"; }
  // y_i = log(1 + e^(b x_i)) / b:  dx_i = dy_i sigmoid(b x_i).
  Tensors backward(const Tensors& dy) override {
    const DType dtype = x.peek().dtype();
    if (!is_grad_enabled())
      return {detail::map(name(), functions().softplus_gradient, dtype, dtype, dy[0], x.get(),
                          detail::Operand(name(), beta, dtype))};
    return {dy[0] * sigmoid(beta * x.get())};
  }
};

Tensor softplus(const Tensor& x, double beta) {
  detail::require_defined("softplus", x);
  if (!(beta > 0)) detail::throw_error<ValueError>("softplus: expected beta above 0, got ", beta);
  const DType dtype = detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, [&](const Tensor& p) { return softplus(p, beta); }); y.defined()) return y;
  Tensor y = detail::map("softplus", functions().softplus, dtype, dtype, x, detail::Operand("softplus", beta, dtype));
  if (auto* node = record<SoftplusNode>(y, x)) {
    node->x = x;
    node->beta = beta;
  }
  return y;
}

struct ClampNode final : SymmetricNode {
  Saved x{*this, "x"};
  double low = 0, high = 0;
  const char* name() const noexcept override { return "clamp"; }
  // y_i = min(max(x_i, low), high):  dx_i = dy_i where low <= x_i <= high, else 0.
  Tensors backward(const Tensors& dy) override {
    const DType dtype = x.peek().dtype();
    if (!is_grad_enabled())
      return {detail::map(name(), arithmetic().clamp_gradient, dtype, dtype, dy[0], x.get(),
                          detail::Operand::saturated(low, dtype), detail::Operand::saturated(high, dtype))};
    return {where(logical_and(ge(x, low), le(x, high)), dy[0], 0)};
  }
};

Tensor clamp(const Tensor& x, double low, double high) {
  detail::require_defined("clamp", x);
  if (!(low <= high)) detail::throw_error<ValueError>("clamp: expected low <= high, got ", low, " and ", high);
  if (Tensor y = detail::promoted(x.dtype(), x, [&](const Tensor& p) { return clamp(p, low, high); }); y.defined())
    return y;
  // Integers within [0.5, 2.5] are those within [1, 2].
  const bool whole = !is_floating_point(x.dtype());
  const auto bottom = detail::Operand::saturated(whole ? std::ceil(low) : low, x.dtype());
  const auto top = detail::Operand::saturated(whole ? std::floor(high) : high, x.dtype());
  Tensor y = detail::map("clamp", arithmetic().clamp, x.dtype(), x.dtype(), x, bottom, top);
  if (auto* node = record<ClampNode>(y, x)) {
    node->x = x;
    node->low = low;
    node->high = high;
  }
  return y;
}

}  // namespace limpid
