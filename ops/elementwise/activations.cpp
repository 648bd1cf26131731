// Activations.
#include <limpid/autograd/node.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/elementwise/detail/unary.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::ArithmeticRow;
using detail::chain;
using detail::FunctionRow;
using detail::in_double;
using detail::infinity;
using detail::Keeps;
using detail::Parametric;
using detail::parametric;
using detail::Unary;
using detail::unary;
using kernels::arithmetic;
namespace ranges = detail::ranges;

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

// s t for s = sigmoid(x) and t = sigmoid(-x); t - s = -tanh(x / 2)
Tensor sigmoid_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sigmoid_backward",
      .kernel = &FunctionRow::sigmoid_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return sigmoid_slope(x) * -tanh(0.5 * x); },
  };
  return unary<row>(operand);
}

// phi(x), the density of the normal distribution
Tensor normal_density(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_backward",
      .kernel = &FunctionRow::normal_density,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return normal_density(x) * -x; },
  };
  return unary<row>(operand);
}

// phi(x) (2 - x^2)
Tensor gelu_curve(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_backward",
      .kernel = &FunctionRow::gelu_curve,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return normal_density(x) * (x * (square(x) - 4)); },
  };
  return unary<row>(operand);
}

// Phi(x) + x phi(x)
Tensor gelu_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_backward",
      .kernel = &FunctionRow::gelu_slope,
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
      .kernel = &FunctionRow::silu_curve,
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
      .kernel = &FunctionRow::silu_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return silu_curve(x); },
  };
  return unary<row>(operand);
}

// sigmoid(beta x), whose derivative is beta sigmoid(beta x) sigmoid(-beta x)
Tensor softplus_slope(const Tensor& operand, double beta) {
  static constexpr Parametric row{
      .op = "softplus_backward",
      .kernel = &FunctionRow::softplus_slope,
      .slope = [](const Tensor& x, double b) { return b * softplus_slope(x, b) * softplus_slope(-x, b); },
  };
  return parametric<row>(operand, beta);
}

// ---- the rest, element by element in double: none is the hot loop of a model

// x / (1 + |x|)
double softsign_rule(double x) noexcept {
  return std::abs(x) > 1 ? std::copysign(1 / (1 + 1 / std::abs(x)), x) : x / (1 + std::abs(x));
}

// x (x + 3) / 6 between -3 and 3
double hardswish_rule(double x) noexcept { return x <= -3 ? -0.0 : x < 3 ? x * (x + 3) / 6 : x; }

// What the quotient q of x and alpha was rounded by. Of infinity it is no number.
double rounded_off(double q, double x, double alpha) noexcept { return -std::fma(q, alpha, -x) / alpha; }
// e^(x / alpha) of an x below 0: at 0 an alpha that its dtype has rounded to 0 would make 0 / 0 of it.
double celu_power(double x, double alpha) noexcept {
  const double q = x / alpha, power = std::exp(q);
  return power > 0 ? power + power * rounded_off(q, x, alpha) : power;
}
double celu_rule(double x, double alpha) noexcept {
  if (!(x < 0)) return x;
  const double q = x / alpha, power = std::expm1(q);
  return alpha * (power > -1 ? power + (power + 1) * rounded_off(q, x, alpha) : power);
}
double celu_slope_rule(double x, double alpha) noexcept { return x >= 0 ? 1 : celu_power(x, alpha); }

// x tanh(log(1 + e^x)) = x n / (n + 2) for n = e (e + 2), e = e^x. Far below 0 it is x e^x, formed so that a subnormal
// power costs no digits.
double mish_rule(double x) noexcept {
  if (x > 25) return x;
  if (x < -1500) return -0.0;
  if (x < -40) {
    const double root = std::exp(0.5 * x);
    return x * root * root;
  }
  const double e = std::exp(x), n = e * (e + 2);
  return x * (n / (n + 2));
}

// e w / (e^2 + 2 e + 2)^2 for w = 4 (x + 1) + 4 e^2 + e^3 + e (4 x + 6), which has the root r; with d = x - r and
// p = e^r it is 4 d + 4 p^2 (e^2d - 1) + p^3 (e^3d - 1) + p ((4 r + 6) (e^d - 1) + 4 d e^d), terms of one sign.
double mish_slope_rule(double x) noexcept {
  if (x > 25) return 1;
  if (x < -1500) return -0.0;
  if (x < -40) {
    const double root = std::exp(0.5 * x);
    return root * (x + 1) * root;
  }
  constexpr double r = -1.1924312145154952, r_low = -4.8484829848031044e-17, p = 0.3034825352815289;
  const double e = std::exp(x), d = (x - r) - r_low, bottom = e * (e + 2) + 2;
  const double near = 4 * d + 4 * p * p * std::expm1(2 * d) + p * p * p * std::expm1(3 * d) +
                      p * (1.2302751419380191 * std::expm1(d) + 4 * d * std::exp(d));
  const double w = std::abs(d) < 0.5 ? near : 4 * (x + 1) + e * (4 * x + 6 + e * (4 + e));
  return e * w / (bottom * bottom);
}

// x sigmoid(z) for z = a x + b x^3: a = 2 sqrt(2 / pi) and b = 0.044715 a of D. Hendrycks and K. Gimpel, "Gaussian
// Error Linear Units" (2016).
constexpr double kGeluA = 1.5957691216057308, kGeluALow = -9.96930880911092e-17, kGeluB = 0.07135481627260025,
                 kGeluBLow = -6.175149918155315e-19;
// e^-|z| as the square of a root, with what z was rounded by, which its tail would show.
double gelu_tanh_root(double x) noexcept {
  const double q = x * x, q_low = std::fma(x, x, -q), t = kGeluB * q,
               t_low = std::fma(kGeluB, q, -t) + kGeluB * q_low + kGeluBLow * q + kGeluALow, w = kGeluA + t,
               w_low = (t < kGeluA ? (kGeluA - w) + t : (t - w) + kGeluA) + t_low, z = std::abs(x) * w,
               z_low = std::fma(std::abs(x), w, -z) + std::abs(x) * w_low, root = std::exp(-0.5 * z);
  return root - root * (0.5 * z_low);
}
double gelu_tanh_rule(double x) noexcept {
  if (std::abs(x) > 40) return x > 0 ? x : -0.0;
  const double root = gelu_tanh_root(x), e = root * root;
  return x < 0 ? x * root / (1 + e) * root : x / (1 + e);
}

// With e = e^-|z| and z' = a + 3 b x^2: (1 + e x z' / (1 + e)) / (1 + e) above 0, and e (1 + e + x z') / (1 + e)^2
// below. There 1 + e + x z' has the root r; with d = x - r and h = x^2 + x r + r^2 it is p (e^(d (a + b h)) - 1) + d (a
// + 3 b h) for p = e^z(r), two terms of one sign.
double gelu_tanh_slope_rule(double x) noexcept {
  if (std::abs(x) > 40) return x > 0 ? 1 : -0.0;
  const double root = gelu_tanh_root(x), e = root * root, u = 1 + e, slope = kGeluA + 3 * kGeluB * x * x;
  if (x >= 0) return (1 + e * x * slope / u) / u;
  constexpr double r = -0.7524614220710163, r_low = 3.635560509207687e-17, p = 0.29195521191476714;
  const double d = (x - r) - r_low, h = x * x + x * r + r * r;
  const double near = p * std::expm1(d * (kGeluA + kGeluB * h)) + d * (kGeluA + 3 * kGeluB * h);
  return root * (std::abs(d) < 0.5 ? near : u + x * slope) / (u * u) * root;
}

Tensor celu_slope(const Tensor& operand, double alpha) {
  static constexpr Parametric row{
      .op = "celu_backward",
      .kernel = in_double<celu_slope_rule, 2>,
      .slope = [](const Tensor& x, double a) { return where(gt(x, 0), 0, celu_slope(x, a) / a); },
  };
  return parametric<row>(operand, alpha);
}

// t + x t' for t = tanh(y), y = softplus(x); with s = sigmoid(x) its derivative is (1 - t^2) s (2 + x (1 - s - 2 t s)),
// and 1 - t^2 is 1 / cosh(y)^2
Tensor mish_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "mish_backward",
      .kernel = in_double<mish_slope_rule>,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& k) {  // in double, for the terms cancel
            const Tensor x = k.to(float64), y = softplus(x), s = sigmoid(x);
            return chain(square(reciprocal(cosh(y))) * s, 2 + x * (sigmoid(-x) - 2 * tanh(y) * s)).to(k.dtype());
          },
  };
  return unary<row>(operand);
}

// s + x s t z' for s = sigmoid(z), t = sigmoid(-z); its derivative is s t (2 z' + x (z'' - z'^2 tanh(z / 2)))
Tensor gelu_tanh_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_tanh_backward",
      .kernel = in_double<gelu_tanh_slope_rule>,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& k) {  // in double, for the terms cancel
            const Tensor x = k.to(float64), x2 = square(x), z = x * (kGeluA + kGeluB * x2),
                         z1 = kGeluA + 3 * kGeluB * x2;
            return chain(sigmoid_slope(z), 2 * z1 + x * (6 * kGeluB * x - square(z1) * tanh(0.5 * z))).to(k.dtype());
          },
  };
  return unary<row>(operand);
}

}  // namespace

Tensor sigmoid(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sigmoid",
      .kernel = &FunctionRow::sigmoid,
      .keeps = Keeps::x,
      .slope = sigmoid_slope,
      .gradient = &FunctionRow::sigmoid_gradient,
  };
  return unary<row>(operand);
}

Tensor relu(const Tensor& operand) {
  static constexpr Unary row{
      .op = "relu",
      .kernel = &ArithmeticRow::relu,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor& y) { return gate(dy, y); },
  };
  return unary<row>(operand);
}

Tensor silu(const Tensor& operand) {
  static constexpr Unary row{
      .op = "silu",
      .kernel = &FunctionRow::silu,
      .keeps = Keeps::x,
      .slope = silu_slope,
      .gradient = &FunctionRow::silu_gradient,
  };
  return unary<row>(operand);
}

// x Phi(x), for the normal distribution Phi and its density phi.
Tensor gelu(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu",
      .kernel = &FunctionRow::gelu,
      .keeps = Keeps::x,
      .slope = gelu_slope,
      .gradient = &FunctionRow::gelu_gradient,
  };
  return unary<row>(operand);
}

Tensor leaky_relu(const Tensor& operand, double slope) {
  static constexpr Parametric row{
      .op = "leaky_relu",
      .kernel = &ArithmeticRow::leaky_relu,
      .slope = [](const Tensor& x, double s) { return where(gt(x, 0), ones_like(x), s); },
      .gradient = &ArithmeticRow::leaky_relu_gradient,
  };
  ranges::expect(row.op, {{"slope", slope, ranges::finite}});
  return parametric<row>(operand, slope);
}

Tensor elu(const Tensor& operand, double alpha) {
  // The clamp keeps e^x finite where the other branch holds, lest alpha 0 multiply its infinity.
  static constexpr Parametric row{
      .op = "elu",
      .kernel = &FunctionRow::elu,
      .slope = [](const Tensor& x, double a) { return where(gt(x, 0), 1, a * exp(clamp(x, -infinity, 0))); },
      .gradient = &FunctionRow::elu_gradient,
  };
  ranges::expect(row.op, {{"alpha", alpha, ranges::finite}});
  return parametric<row>(operand, alpha);
}

Tensor softplus(const Tensor& operand, double beta) {
  static constexpr Parametric row{
      .op = "softplus",
      .kernel = &FunctionRow::softplus,
      .slope = softplus_slope,
      .gradient = &FunctionRow::softplus_gradient,
  };
  ranges::expect(row.op, {{"beta", beta, ranges::finite_above_0}});
  return parametric<row>(operand, beta);
}

namespace {

struct HardtanhNode final : SymmetricNode {
  Saved x{*this, "x"};
  double low = 0, high = 0;
  const char* name() const noexcept override { return "hardtanh"; }
  // y_i = min(max(x_i, low), high):  dx_i = dy_i where low < x_i < high or x_i is NaN, as y_i then is, else 0.
  Tensors backward(const Tensors& dy) override { return {where(logical_or(le(x, low), ge(x, high)), 0, dy[0])}; }
};

}  // namespace

Tensor hardtanh(const Tensor& x, double low, double high) {
  detail::require_defined("hardtanh", x);
  ranges::expect("hardtanh", {{"low", low, ranges::finite}, {"high", high, {low, infinity, true}}});
  const DType dtype = detail::floating_type(x.dtype());
  const auto again = [&](const Tensor& z) { return hardtanh(z, low, high); };
  if (Tensor y = detail::promoted(dtype, x, again); y.defined()) return y;
  Tensor y = clamp(x.detach(), low, high);
  if (auto* node = record<HardtanhNode>(y, x)) {
    node->x = x;
    node->low = low;
    node->high = high;
  }
  return y;
}
Tensor relu6(const Tensor& x) {
  detail::require_defined("relu6", x);
  return hardtanh(x, 0, 6);
}
Tensor hardsigmoid(const Tensor& x) {
  detail::require_defined("hardsigmoid", x);
  if (Tensor y = detail::promoted(detail::floating_type(x.dtype()), x, hardsigmoid); y.defined()) return y;
  return hardtanh(x + 3, 0, 6) / 6;
}

Tensor hardswish(const Tensor& operand) {
  static constexpr Unary row{
      .op = "hardswish",
      .kernel = in_double<hardswish_rule>,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return where(le(x, -3), 0, where(ge(x, 3), 1, (x + 1.5) / 3)); },
  };
  return unary<row>(operand);
}

Tensor softsign(const Tensor& operand) {
  static constexpr Unary row{
      .op = "softsign",
      .kernel = in_double<softsign_rule>,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return square(reciprocal(1 + abs(x))); },
  };
  return unary<row>(operand);
}

Tensor mish(const Tensor& operand) {
  static constexpr Unary row{
      .op = "mish",
      .kernel = in_double<mish_rule>,
      .keeps = Keeps::x,
      .slope = mish_slope,
  };
  return unary<row>(operand);
}

Tensor gelu_tanh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "gelu_tanh",
      .kernel = in_double<gelu_tanh_rule>,
      .keeps = Keeps::x,
      .slope = gelu_tanh_slope,
  };
  return unary<row>(operand);
}

Tensor celu(const Tensor& operand, double alpha) {
  static constexpr Parametric row{
      .op = "celu",
      .kernel = in_double<celu_rule, 2>,
      .slope = celu_slope,
  };
  ranges::expect(row.op, {{"alpha", alpha, ranges::finite_above_0}});
  return parametric<row>(operand, alpha);
}

// The constants of G. Klambauer et al., "Self-Normalizing Neural Networks" (2017).
Tensor selu(const Tensor& x) {
  detail::require_defined("selu", x);
  if (Tensor y = detail::promoted(detail::floating_type(x.dtype()), x, selu); y.defined()) return y;
  return 1.0507009873554805 * elu(x, 1.6732632423543772);
}

Tensor logsigmoid(const Tensor& x) {
  static constexpr Unary row{
      .op = "logsigmoid",
      .kernel = &FunctionRow::logsigmoid,
      .keeps = Keeps::x,
      .slope = [](const Tensor& operand) { return sigmoid(-operand); },
      .gradient = &FunctionRow::logsigmoid_gradient,
  };
  return unary<row>(x);
}

}  // namespace limpid
