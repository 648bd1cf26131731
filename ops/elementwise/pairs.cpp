// Functions of two floating-point operands, as rows of a table, and what is composed of others.
#include <limpid/ops/elementwise/detail/pairs.hpp>

#include <limpid/autograd/node.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/unary.hpp>

#include <cmath>
#include <numbers>

namespace limpid {

using detail::chain;
using detail::chain_over;
using detail::in_double;
using detail::LibraryRow;
using detail::require_defined;

namespace {

/// One row of the table of functions y_i = f(a_i, b_i); integers are converted to float32.
struct Pair {
  const char* op;
  detail::Kernel kernel;
  // The derivatives, in differentiable functions, so that they serve derivatives of any order.
  Tensor (*slope_a)(const Tensor& a, const Tensor& b);
  Tensor (*slope_b)(const Tensor& a, const Tensor& b);
};

template <const Pair& row>
struct PairNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"};
  const char* name() const noexcept override { return row.op; }
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? chain(dy[0], row.slope_a(a, b)) : Tensor(),
            needs(1) ? chain(dy[0], row.slope_b(a, b)) : Tensor()};
  }
};

template <const Pair& row>
Tensor pair(const Tensor& a, const Tensor& b) {
  require_defined(row.op, a);
  require_defined(row.op, b);
  const DType dtype = detail::floating_type(promote_types(a.dtype(), b.dtype()));
  if (Tensor y = detail::promoted(dtype, a, b, pair<row>); y.defined()) return y;
  Tensor y = detail::map({row.op, row.kernel.get(), dtype}, a, b);
  if (auto* node = record<PairNode<row>>(y, a, b)) {
    node->a = a;
    node->b = b;
  }
  return y;
}

// ---- rules of derivatives, with limits at infinity

// b / (a^2 + b^2); 0 at the origin.
double atan2_slope_rule(double a, double b) noexcept {
  const double h = std::hypot(a, b);
  return h == 0 || std::isinf(h) ? 0 : b / h / h;
}
// a / hypot(a, b); 0 at the origin.
double hypot_slope_rule(double a, double b) noexcept {
  const double h = std::hypot(a, b);
  if (h == 0) return 0;
  if (std::isinf(a)) return std::copysign(std::isinf(b) ? std::sqrt(0.5) : 1.0, a);
  return a / h;
}

double logaddexp_rule(double a, double b) noexcept {
  if (a == b) return a + std::numbers::ln2;  // infinities, too
  const double most = a > b ? a : b, least = a > b ? b : a;
  return most + std::log1p(std::exp(least - most));
}
// sigmoid(a - b), with what the difference was rounded by, which its tails would show.
double logaddexp_slope_rule(double a, double b) noexcept {
  if (a == b) return 0.5;
  const double d = a - b, e = std::exp(-std::abs(d));
  if (std::isinf(d) || e == 0) return d > 0 ? 1 : d < 0 ? e : d;
  const double part = d - a, low = (a - (d - part)) - (b + part);
  const double y = d > 0 ? 1 / (1 + e) : e / (1 + e);
  return y + y * (d > 0 ? e / (1 + e) : 1 / (1 + e)) * low;
}

// With p = b / (a^2 + b^2) and q = a / (a^2 + b^2):  dp/da = -2 p q,  dp/db = (q - p) (q + p).
Tensor atan2_slope(const Tensor& y, const Tensor& x) {
  static constexpr Pair row{
      .op = "atan2_backward",
      .kernel = in_double<atan2_slope_rule, 2>,
      .slope_a = [](const Tensor& a, const Tensor& b) { return -2 * atan2_slope(a, b) * atan2_slope(b, a); },
      .slope_b =
          [](const Tensor& a, const Tensor& b) {
            const Tensor p = atan2_slope(a, b), q = atan2_slope(b, a), difference = q - p;
            return difference * (q + p);
          },
  };
  return pair<row>(y, x);
}

// With p = a / h and q = b / h for h = hypot(a, b):  dp/da = q^2 / h,  dp/db = -p q / h.
Tensor hypot_slope(const Tensor& x, const Tensor& y) {
  static constexpr Pair row{
      .op = "hypot_backward",
      .kernel = in_double<hypot_slope_rule, 2>,
      .slope_a = [](const Tensor& a, const Tensor& b) { return chain_over(square(hypot_slope(b, a)), hypot(a, b)); },
      .slope_b =
          [](const Tensor& a, const Tensor& b) {
            const Tensor p = hypot_slope(a, b), q = hypot_slope(b, a);
            return -chain_over(p * q, hypot(a, b));
          },
  };
  return pair<row>(x, y);
}

}  // namespace

// With p = sigmoid(a - b) and q = sigmoid(b - a):  dp/da = p q,  dp/db = -p q.
Tensor detail::logaddexp_share(const Tensor& x, const Tensor& y) {
  static constexpr Pair row{
      .op = "logaddexp_backward",
      .kernel = in_double<logaddexp_slope_rule, 2>,
      .slope_a =
          [](const Tensor& a, const Tensor& b) {
            const Tensor p = detail::logaddexp_share(a, b);
            return p * detail::logaddexp_share(b, a);
          },
      .slope_b =
          [](const Tensor& a, const Tensor& b) {
            const Tensor p = detail::logaddexp_share(a, b);
            return -(p * detail::logaddexp_share(b, a));
          },
  };
  return pair<row>(x, y);
}

namespace {

double xlogy_rule(double x, double y) noexcept { return x == 0 && !std::isnan(y) ? 0 : x * std::log(y); }

}  // namespace

Tensor atan2(const Tensor& y, const Tensor& x) {
  static constexpr Pair row{
      .op = "atan2",
      .kernel = &LibraryRow::atan2,
      .slope_a = atan2_slope,
      .slope_b = [](const Tensor& a, const Tensor& b) { return -atan2_slope(b, a); },
  };
  return pair<row>(y, x);
}

Tensor hypot(const Tensor& x, const Tensor& y) {
  static constexpr Pair row{
      .op = "hypot",
      .kernel = &LibraryRow::hypot,
      .slope_a = hypot_slope,
      .slope_b = [](const Tensor& a, const Tensor& b) { return hypot_slope(b, a); },
  };
  return pair<row>(x, y);
}

Tensor logaddexp(const Tensor& x, const Tensor& y) {
  static constexpr Pair row{
      .op = "logaddexp",
      .kernel = in_double<logaddexp_rule, 2>,
      .slope_a = detail::logaddexp_share,
      .slope_b = [](const Tensor& a, const Tensor& b) { return detail::logaddexp_share(b, a); },
  };
  return pair<row>(x, y);
}

Tensor xlogy(const Tensor& x, const Tensor& y) {
  static constexpr Pair row{
      .op = "xlogy",
      .kernel = in_double<xlogy_rule, 2>,
      .slope_a = [](const Tensor& a, const Tensor& b) { return log(where(logical_and(eq(a, 0), le(b, 0)), 1, b)); },
      .slope_b = [](const Tensor& a, const Tensor& b) { return chain_over(a, b); },
  };
  return pair<row>(x, y);
}

Tensor lerp(const Tensor& start, const Tensor& end, double weight) {
  require_defined("lerp", start);
  require_defined("lerp", end);
  broadcast_shapes(start.shape(), end.shape(), "lerp");  // whose message names it
  const auto at = [weight](const Tensor& a, const Tensor& b) { return lerp(a, b, weight); };
  const DType dtype = detail::floating_type(promote_types(start.dtype(), end.dtype()));
  if (Tensor y = detail::promoted(dtype, start, end, at); y.defined()) return y;
  detail::stored("lerp", weight, dtype);  // which refuses it by name
  const Tensor way = end - start;
  return weight < 0.5 ? start + weight * way : end - (1 - weight) * way;
}

Tensor lerp(const Tensor& start, const Tensor& end, const Tensor& weight) {
  require_defined("lerp", start);
  require_defined("lerp", end);
  require_defined("lerp", weight);
  broadcast_shapes(broadcast_shapes(start.shape(), end.shape(), "lerp"), weight.shape(), "lerp");
  const DType dtype = detail::floating_type(promote_types(promote_types(start.dtype(), end.dtype()), weight.dtype())),
              compute = detail::compute_type(dtype);
  const Tensor a = start.to(compute), b = end.to(compute), w = weight.to(compute), is_near = lt(w, 0.5);
  return (where(is_near, a, b) + where(is_near, w, w - 1) * (b - a)).to(dtype);  // from the nearer end
}

}  // namespace limpid
