#include <limpid/core/detail/enumeration.hpp>
#include <limpid/ops/loss.hpp>

#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/ops/detail/float_operands.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/softmax.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid {

using detail::chain;
using detail::throw_error;

namespace {

void require_reduction(const char* op, Reduction reduction) {
  detail::require_member(op, "Reduction", reduction, Reduction::none, "mean, sum or none");
}

Tensor reduced(const Tensor& losses, Reduction reduction) {
  switch (reduction) {
    case Reduction::mean: return mean(losses);
    case Reduction::sum: return sum(losses);
    case Reduction::none: break;
  }
  return losses;
}

void require_pair(const char* op, const Tensor& x, const Tensor& target, Reduction reduction) {
  require_reduction(op, reduction);
  detail::require_defined(op, "x", x);
  detail::require_defined(op, "target", target);
  if (x.shape() != target.shape())
    throw_error<ShapeError>(op, ": expected target of x's shape ", x.shape(), ", got ", target.shape());
  detail::require_float_dtypes(op, {{"x", &x}, {"target", &target}});
}

}  // namespace

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  require_pair("mse_loss", x, target, reduction);
  return reduced(square(x - target), reduction);
}

Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  require_pair("l1_loss", x, target, reduction);
  return reduced(abs(x - target), reduction);
}

Tensor huber_loss(const Tensor& x, const Tensor& target, double delta, Reduction reduction) {
  require_pair("huber_loss", x, target, reduction);
  detail::ranges::expect("huber_loss", {{"delta", delta, detail::ranges::finite_above_0}});
  // With c = d clamped to [-delta, delta], c (d - c / 2) is d^2 / 2 within and delta (|d| - delta / 2) beyond.
  const Tensor d = x - target, c = clamp(d, -delta, delta);
  return reduced(c * (d - 0.5 * c), reduction);
}

Tensor bce_with_logits(const Tensor& x, const Tensor& target, Reduction reduction) {
  require_pair("bce_with_logits", x, target, reduction);
  const Tensor t = detail::as_contiguous(detail::as_dtype(target, float64));
  for (int64_t i = 0; i < t.numel(); ++i)
    if (const double value = t.data<double>()[i]; !(value >= 0 && value <= 1))
      throw_error<ValueError>("bce_with_logits: expected targets in [0, 1], got ", value);
  // -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), a sum of two terms >= 0: nothing cancels. One of weight 0 is 0,
  // be it infinite.
  const Tensor of_zeros = chain(1 - target, softplus(x)), of_ones = chain(target, softplus(-x));
  return reduced(of_ones + of_zeros, reduction);
}

namespace {

// Checks x (N, C, *rest) against target (N, *rest); the targets as an index (N, 1, *rest) along axis 1.
Tensor class_index(const char* op, const Tensor& x, const Tensor& target, Reduction reduction) {
  require_reduction(op, reduction);
  detail::require_defined(op, "x", x);
  detail::require_defined(op, "target", target);
  if (x.dim() < 2) throw_error<ShapeError>(op, ": expected x of shape (N, C) or (N, C, *), got ", x.shape());
  Shape expected = x.shape();
  expected.erase(1);
  if (target.shape() != expected)
    throw_error<ShapeError>(op, ": expected target of shape ", expected, " for x of shape ", x.shape(), ", got ",
                            target.shape());
  detail::require_float_dtypes(op, {{"x", &x}});
  if (target.dtype() != int64) throw_error<DTypeError>(op, ": expected target of int64, got ", target.dtype());
  const Tensor index = detail::as_contiguous(target);
  for (int64_t i = 0; i < index.numel(); ++i)
    if (const int64_t c = index.data<int64_t>()[i]; c < 0 || c >= x.size(1))
      throw_error<ValueError>(op, ": expected targets in [0, ", x.size(1), "), got ", c);
  Shape shape = x.shape();
  shape[1] = 1;
  return reshape(index, shape);
}

// -x[n, index[n]] of shape (N, *rest).
Tensor picked(const Tensor& x, const Tensor& index) { return neg(squeeze(gather(x, 1, index), 1)); }

struct CrossEntropyNode final : Node {
  Saved log_p{*this, "log_p"}, index{*this, "index"};
  const char* name() const noexcept override { return "cross_entropy"; }
  // Outputs: loss_n = -l_n(t_n) and the log-probabilities l_nc = x_nc - log sum_k exp x_nk themselves, which are held
  // for backward and reach a user only as part of a second derivative. With p = exp l:
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

}  // namespace

Tensor nll_loss(const Tensor& x, const Tensor& target, Reduction reduction) {
  return reduced(picked(x, class_index("nll_loss", x, target, reduction)), reduction);
}

Tensor cross_entropy(const Tensor& x, const Tensor& target, Reduction reduction) {
  const Tensor index = class_index("cross_entropy", x, target, reduction);
  Tensors ys = [&]() -> Tensors {
    const NoGradGuard guard;
    const Tensor log_p = log_softmax(x, 1);
    return {picked(log_p, index), log_p};
  }();
  if (auto* node = record<CrossEntropyNode>(ys, {x})) {
    node->log_p = ys[1];
    node->index = index;
  }
  return reduced(ys[0], reduction);
}

}  // namespace limpid
