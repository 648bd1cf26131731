// Losses of pairs: of numbers, of distributions, and of binary targets.
#include <limpid/ops/loss.hpp>

#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/loss/detail/loss.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <limits>

namespace limpid {

using detail::chain;
using detail::infinity;
using detail::LossType;
using detail::throw_error;
namespace ranges = detail::ranges;

namespace {

// x and target of one shape, in the dtype that their loss is computed in.
struct Pair {
  LossType type;
  Tensor x, target;

  Pair(const char* op, const Tensor& x_any, const Tensor& target_any, Reduction reduction, bool any_target = false)
      : type(checked(op, x_any, target_any, reduction, any_target)),
        x(type(x_any)),
        target(type(target_any)) {}

 private:
  static LossType checked(const char* op, const Tensor& x, const Tensor& target, Reduction reduction, bool any_target) {
    detail::require_operands(op, reduction, {{"x", &x}, {"target", &target}});
    detail::require_one_shape(op, {{"x", &x}, {"target", &target}});
    return LossType(op, {{"x", &x}, {"target", &target, any_target}});
  }
};

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const Pair pair("mse_loss", x, target, reduction);
  return pair.type.reduced(square(pair.x - pair.target), reduction);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  const Pair pair("l1_loss", x, target, reduction);
  return pair.type.reduced(abs(pair.x - pair.target), reduction);
}

Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  const Pair pair("huber_loss", x, target, reduction);
  ranges::expect("huber_loss", {{"delta", delta, ranges::above_0}});
  // With c = d clamped to [-delta, delta], c (d - c / 2) is d^2 / 2 within and delta (|d| - delta / 2) beyond.
  const Tensor d = pair.x - pair.target, c = clamp(d, -delta, delta);
  return pair.type.reduced(c * (d - 0.5 * c), reduction);
}

Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta, Reduction reduction) {
  const Pair pair("smooth_l1_loss", x, target, reduction);
  ranges::expect("smooth_l1_loss", {{"beta", beta, ranges::at_least_0}});
  const Tensor d = pair.x - pair.target;
  const double width = d.dtype() == float32 ? static_cast<double>(static_cast<float>(beta)) : beta;
  if (width == 0) return pair.type.reduced(abs(d), reduction);
  const Tensor c = clamp(d, -width, width);
  return pair.type.reduced(c / width * (d - 0.5 * c), reduction);
}

Tensor poisson_nll_loss(const Tensor& x, const Tensor& target, const PoissonNLLOptions& options) {
  const auto& [log_input, full, eps, reduction] = options;
  const Pair pair("poisson_nll_loss", x, target, reduction, true);
  ranges::expect("poisson_nll_loss", {{"eps", eps, ranges::at_least_0}});
  const Tensor t = pair.target;
  Tensor losses = log_input ? exp(pair.x) - chain(t, pair.x) : pair.x - chain(t, log(pair.x + eps));
  if (full) {
    const Tensor is_above_1 = gt(t, 1), k = where(is_above_1, t, 1);
    losses = losses + where(is_above_1, k * log(k) - k + 0.5 * log(6.283185307179586 * k), 0);
  }
  return pair.type.reduced(losses, reduction);
}

Tensor gaussian_nll_loss(const Tensor& x, const Tensor& target, const Tensor& var, const GaussianNLLOptions& options) {
  const char* op = "gaussian_nll_loss";
  const auto& [full, eps, reduction] = options;
  detail::require_operands(op, reduction, {{"x", &x}, {"target", &target}, {"var", &var}});
  detail::require_one_shape(op, {{"x", &x}, {"target", &target}});
  Shape shape = x.shape(), without = x.shape();
  if (var.shape() != shape && shape.dim() > 0) {
    shape.back() = 1;
    without.pop_back();
  }
  if (var.shape() != shape && var.shape() != without)
    throw_error<ShapeError>(op, ": expected var of x's shape ", x.shape(),
                            ", or without its last axis, or with 1 there", ", got ", var.shape());
  const LossType type(op, {{"x", &x}, {"target", &target}, {"var", &var}});
  ranges::expect(op, {{"eps", eps, ranges::above_0}});
  const Tensor v_given = reshape(type(var), shape);
  if (v_given.dtype() == float32 && static_cast<float>(eps) == 0)
    throw_error<ValueError>(op, ": expected eps above 0 in float32, got ", eps);
  if (any(lt(v_given, 0)).item<bool>())
    throw_error<ValueError>(op, ": expected variances of at least 0, got ", min(v_given).item<double>());
  // What lacks to eps is added as a constant: the gradient goes through as if it had been there.
  const Tensor lacking = clamp_min(eps - v_given.detach(), 0), v = v_given + lacking;
  Tensor losses = 0.5 * (log(v) + square(type(x) - type(target)) / v);
  if (full) losses = losses + 0.9189385332046727;
  return type.reduced(losses, reduction);
}

Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction) {
  return kl_div(x, target, {.reduction = reduction});
}
Tensor kl_div(const Tensor& x, const Tensor& target, const KLDivOptions& options) {
  const auto& [log_target, reduction] = options;
  detail::require_member("kl_div", "Reduction", reduction, Reduction::batchmean, "mean, sum, none or batchmean");
  const bool is_batchmean = reduction == Reduction::batchmean;
  const Pair pair("kl_div", x, target, is_batchmean ? Reduction::sum : reduction);
  if (is_batchmean && x.dim() == 0) throw_error<ShapeError>("kl_div: expected x with a batch axis, got shape ()");
  Tensor losses;
  if (log_target) {
    // A probability of 0 adds nothing, and has no logarithm to differentiate.
    const Tensor none = eq(pair.target, -infinity), t = where(none, 0, pair.target);
    losses = chain(where(none, 0, exp(t)), where(none, 0, t - pair.x));
  } else {
    losses = xlogy(pair.target, pair.target) - chain(pair.target, pair.x);
  }
  if (!is_batchmean) return pair.type.reduced(losses, reduction);
  if (x.size(0) == 0) return pair.type.rounded(detail::mean_of_none(losses));
  return pair.type.rounded(sum(losses) / static_cast<double>(x.size(0)));
}

namespace {

// Whether a weight of binary losses says along which axis of x it lies.
bool is_plain(const Shape& weight, const Shape& x) {
  if (weight.numel() == 1 && weight.dim() <= x.dim()) return true;
  if (weight.dim() == 1 && x.dim() == 2) return weight[0] == x[1];
  if (weight.dim() != x.dim()) return false;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (weight[i] != 1 && weight[i] != x[i]) return false;
  return true;
}

// NumPy's rules alone would take two numbers meant for two classes along whichever axis is last, and of size 2.
void require_plain(const char* op, const char* name, const Tensor& weight, const Tensor& x) {
  if (weight.defined() && !is_plain(weight.shape(), x.shape()))
    throw_error<ShapeError>(op, ": expected ", name,
                            " of one element, of x's rank with x's size or 1 along each axis, or"
                            " (C,) for x of shape (N, C), got ",
                            weight.shape(), " for x of shape ", x.shape());
}

Tensor weighted(const Tensor& weight, const Tensor& losses) {
  return weight.defined() ? chain(expand(weight, losses.shape()), losses) : losses;
}

struct BinaryCrossEntropyNode final : Node {
  Saved x{*this, "x"}, target{*this, "target"};
  const char* name() const noexcept override { return "binary_cross_entropy"; }
  // y_i = -t_i log(x_i) - (1 - t_i) log(1 - x_i):  dx_i = dy_i (x_i - t_i) / (x_i (1 - x_i)),
  // dt_i = dy_i (log(1 - x_i) - log(x_i)), with logarithms and denominator kept from infinity and 0.
  Tensors backward(const Tensors& dy) override {
    const Tensor p = x;
    Tensors dx(2);
    if (needs(0)) dx[0] = chain(dy[0], (p - target) / clamp_min(p * (1 - p), 1e-12));
    if (needs(1)) dx[1] = chain(dy[0], log_of_no(p) - log_of_yes(p));
    return dx;
  }
  static Tensor log_of_yes(const Tensor& p) { return clamp_min(log(p), -100); }
  static Tensor log_of_no(const Tensor& p) { return clamp_min(log1p(-p), -100); }
};

}  // namespace

Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, Reduction reduction) {
  return binary_cross_entropy(x, target, {.reduction = reduction});
}
Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const BCEOptions& options) {
  const char* op = "binary_cross_entropy";
  const auto& [weight, reduction] = options;
  const Pair pair(op, x, target, reduction);
  require_plain(op, "weight", weight, x);
  const LossType type(op, {{"x", &x}, {"target", &target}, {"weight", &weight}});
  detail::require_probabilities(op, "x", x);
  detail::require_probabilities(op, "targets", target);
  const Tensor p = type(x), t = type(target);
  Tensor losses = [&] {
    const NoGradGuard guard;
    return -(t * BinaryCrossEntropyNode::log_of_yes(p)) - (1 - t) * BinaryCrossEntropyNode::log_of_no(p);
  }();
  if (auto* node = record<BinaryCrossEntropyNode>(losses, p, t)) {
    node->x = p;
    node->target = t;
  }
  return type.reduced(weighted(type(weight), losses), reduction);
}

Tensor bce_with_logits(const Tensor& x, const Tensor& target, Reduction reduction) {
  return bce_with_logits(x, target, {.reduction = reduction});
}
Tensor bce_with_logits(const Tensor& x, const Tensor& target, const BCEWithLogitsOptions& options) {
  const char* op = "bce_with_logits";
  const auto& [weight, pos_weight, reduction] = options;
  const Pair pair(op, x, target, reduction);
  require_plain(op, "weight", weight, x);
  require_plain(op, "pos_weight", pos_weight, x);
  const LossType type(op, {{"x", &x}, {"target", &target}, {"weight", &weight}, {"pos_weight", &pos_weight}});
  detail::require_probabilities(op, "targets", target);
  // -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), a sum of two terms >= 0: nothing cancels. One of weight 0 is 0,
  // be it infinite.
  const Tensor z = type(x), t = type(target), positive = weighted(type(pos_weight), t);
  const Tensor of_zeros = chain(1 - t, softplus(z)), of_ones = chain(positive, softplus(-z));
  return type.reduced(weighted(type(weight), of_ones + of_zeros), reduction);
}

}  // namespace limpid
