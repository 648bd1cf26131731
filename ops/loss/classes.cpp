// Losses of classes.
#include <limpid/ops/loss.hpp>

#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/loss/detail/loss.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/softmax.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid {

using detail::chain;
using detail::LossType;
using detail::throw_error;

namespace {

void require_classes(const char* op, const Tensor& x, const Tensor& weight) {
  if (x.dim() < 2) throw_error<ShapeError>(op, ": expected x of shape (N, C) or (N, C, *), got ", x.shape());
  if (weight.defined() && weight.shape() != Shape{x.size(1)})
    throw_error<ShapeError>(op, ": expected weight of shape ", Shape{x.size(1)}, " for x of shape ", x.shape(),
                            ", got ", weight.shape());
}

// Targets (N, *rest) of x (N, C, *rest).
struct Targets {
  Tensor index;       ///< (N, 1, *rest) along the axis of classes; 0 where ignored
  Tensor is_ignored;  ///< bool (N, *rest), undefined where none is
  int64_t counted = 0;

  Targets(const char* op, const Tensor& x, const Tensor& target, std::optional<int64_t> ignore, bool or_probabilities) {
    Shape expected = x.shape();
    expected.erase(1);
    if (target.shape() != expected)
      throw_error<ShapeError>(op, ": expected target of shape ", expected, " for x of shape ", x.shape(), ", got ",
                              target.shape());
    if (target.dtype() != int64)
      throw_error<DTypeError>(op, ": expected target of int64",
                              or_probabilities ? ", or probabilities of x's shape" : "", ", got ", target.dtype());
    Tensor flat = detail::as_contiguous(target);
    const int64_t* t = flat.data<int64_t>();
    for (int64_t i = 0; i < flat.numel(); ++i) {
      if (ignore && t[i] == *ignore) continue;
      if (t[i] < 0 || t[i] >= x.size(1))
        throw_error<ValueError>(op, ": expected targets in [0, ", x.size(1), "), got ", t[i]);
      ++counted;
    }
    if (counted != flat.numel()) {
      if (x.size(1) == 0) throw_error<ShapeError>(op, ": expected at least one class, got x of shape ", x.shape());
      is_ignored = eq(flat.detach(), *ignore);
      flat = where(is_ignored, 0, flat.detach());
    }
    Shape shape = x.shape();
    shape[1] = 1;
    index = reshape(flat, shape);
  }

  Tensor zeroed(const Tensor& x) const { return is_ignored.defined() ? where(is_ignored, 0, x) : x; }
  // What each target weighs.
  Tensor weights(const Tensor& weight) const {
    Shape shape = index.shape();
    shape.erase(1);
    return zeroed(reshape(index_select(weight, 0, reshape(index, {index.numel()})), shape));
  }
};

// The losses of targets, reduced: the mean is over what the targets weigh (undefined: 1 each), 0 where none weighs
// anything. Weights that cancel are no lack of targets: as PyTorch's, such a mean divides by 0.
Tensor reduced(const LossType& type, const Tensor& losses, const Targets& targets, const Tensor& weights,
               Reduction reduction) {
  if (reduction != Reduction::mean || (!weights.defined() && !targets.is_ignored.defined()))
    return type.reduced(losses, reduction);
  if (!weights.defined())
    return type.rounded(targets.counted ? sum(losses) / static_cast<double>(targets.counted)
                                        : detail::mean_of_none(losses));
  const Tensor total = sum(weights);
  const bool is_none = total.item<double>() == 0 && !any(weights).item<bool>();
  return type.rounded(is_none ? detail::mean_of_none(losses) : sum(losses) / total);
}

// -x[n, index[n]] of shape (N, *rest).
Tensor picked(const Tensor& x, const Tensor& index) { return neg(squeeze(gather(x, 1, index), 1)); }

struct CrossEntropyNode final : Node {
  Saved log_p{*this, "log_p"}, index{*this, "index"};
  const char* name() const noexcept override { return "cross_entropy"; }
  // Outputs: loss_n = -l_n(t_n) and the log-probabilities l_nc = x_nc - log sum_k exp x_nk themselves, which are held
  // for backward and reach a user only as part of a second derivative, or of smoothed targets. With p = exp l:
  //   dx_nc = (p_nc - [c = t_n]) dloss_n + dl_nc - p_nc sum_k dl_nk
  // where p_nt - 1 = -sum_{c != t} p_nc for a p_nt near 1, from which it would not be told.
  Tensors backward(const Tensors& dy) override {
    const Tensor l = log_p, p = exp(l);
    Tensor dx;
    if (dy[0].defined()) {
      const Tensor dloss = unsqueeze(dy[0], 1);
      const Tensor p_t = gather(p, 1, index), is_near_1 = gt(p_t, 0.5);
      if (any(is_near_1).item<bool>()) {
        const Tensor others = p - scatter_add(p.shape(), 1, index, p_t), sum_of_others = sum(others, 1, true);
        const Tensor dx_t = where(is_near_1, neg(chain(dloss, sum_of_others)), chain(dloss, p_t) - dloss);
        dx = chain(dloss, others) + scatter_add(p.shape(), 1, index, dx_t);
      } else {
        dx = chain(dloss, p) + scatter_add(p.shape(), 1, index, neg(dloss));
      }
    }
    if (dy[1].defined()) {
      const Tensor dl = detail::log_softmax_gradient(dy[1], p, 1);
      dx = dx.defined() ? dx + dl : dl;
    }
    return {dx};
  }
  // dl_nc = dx_nc - sum_k p_nk dx_nk,  dloss_n = -dl_n(t_n)
  Tensors jvp(const Tensors& dx) override {
    const Tensor p = exp(log_p), d = detail::from_heaviest(dx[0], p, 1);
    const Tensor dl = d - sum(chain(d, p), 1, true);
    return {picked(dl, index), dl};
  }
};

// The losses and log-probabilities of x.
Tensors losses_of(const Tensor& x, const Tensor& index) {
  Tensors ys = [&]() -> Tensors {
    const NoGradGuard guard;
    const Tensor log_p = log_softmax(x, 1);
    return {picked(log_p, index), log_p};
  }();
  if (auto* node = record<CrossEntropyNode>(ys, {x})) {
    node->log_p = ys[1];
    node->index = index;
  }
  return ys;
}

// weight (C,) along the axis of classes.
Tensor along_classes(const Tensor& weight, int64_t dim) {
  Shape shape(static_cast<std::size_t>(dim), 1);
  shape[1] = weight.size(0);
  return reshape(weight, shape);
}

// -sum_c weights_nc l_nc, where a weight of 0 counts as 0 be l infinite.
Tensor expected_loss(const Tensor& weights, const Tensor& log_p) {
  return neg(sum(chain(expand(weights, log_p.shape()), log_p), 1));
}

Tensor of_probabilities(const Tensor& x, const Tensor& target, const CrossEntropyOptions& options) {
  const char* op = "cross_entropy";
  const auto& [weight, ignore_index, smoothing, reduction] = options;
  if (ignore_index) throw_error<ValueError>(op, ": expected no ignore_index beside probabilities, got ", *ignore_index);
  const LossType type(op, {{"x", &x}, {"target", &target}, {"weight", &weight}});
  detail::require_probabilities(op, "targets", target);
  Tensor t = type(target);
  if (smoothing > 0) t = (1 - smoothing) * t + smoothing / static_cast<double>(x.size(1));
  if (weight.defined()) t = t * along_classes(type(weight), x.dim());
  return type.reduced(expected_loss(t, log_softmax(type(x), 1)), reduction);
}

}  // namespace

Tensor nll_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return nll_loss(x, target, {.reduction = reduction});
}
Tensor nll_loss(const Tensor& x, const Tensor& target, const NLLOptions& options) {
  const char* op = "nll_loss";
  const auto& [weight, ignore_index, reduction] = options;
  detail::require_operands(op, reduction, {{"x", &x}, {"target", &target}});
  require_classes(op, x, weight);
  const LossType type(op, {{"x", &x}, {"weight", &weight}});
  const Targets targets(op, x, target, ignore_index, false);
  Tensor losses = targets.zeroed(picked(type(x), targets.index)), weights;
  if (weight.defined()) {
    weights = targets.weights(type(weight));
    losses = chain(weights, losses);
  }
  return reduced(type, losses, targets, weights, reduction);
}

Tensor cross_entropy(const Tensor& x, const Tensor& target, Reduction reduction) {
  return cross_entropy(x, target, {.reduction = reduction});
}
Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyOptions& options) {
  const char* op = "cross_entropy";
  const auto& [weight, ignore_index, smoothing, reduction] = options;
  detail::require_operands(op, reduction, {{"x", &x}, {"target", &target}});
  require_classes(op, x, weight);
  detail::ranges::expect(op, {{"label_smoothing", smoothing, detail::ranges::fraction}});
  if (is_floating_point(target.dtype()) && target.shape() == x.shape()) return of_probabilities(x, target, options);

  const LossType type(op, {{"x", &x}, {"weight", &weight}});
  const Targets targets(op, x, target, ignore_index, true);
  const Tensors ys = losses_of(type(x), targets.index);
  Tensor losses = ys[0], weights;
  if (weight.defined()) {
    weights = targets.weights(type(weight));
    losses = chain(weights, losses);
  }
  if (smoothing > 0) {
    const Tensor of_all =
        weight.defined() ? expected_loss(along_classes(type(weight), x.dim()), ys[1]) : neg(sum(ys[1], 1));
    const Tensor smooth = of_all * (smoothing / static_cast<double>(x.size(1)));
    losses = smoothing < 1 ? losses * (1 - smoothing) + smooth : smooth;
  }
  return reduced(type, targets.zeroed(losses), targets, weights, reduction);
}

}  // namespace limpid
