// The variance, in two passes.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/reduce/detail/reduction_node.hpp>

#include <algorithm>

namespace limpid {

using detail::ReductionNode;

namespace {

struct VarNode final : ReductionNode {
  Saved x{*this, "x"};
  double freedom = 0;
  const char* name() const noexcept override { return "var"; }
  // y_k = (1/F) sum_r (x_kr - mean_k)^2 over reduced r:  dx_kr = dy_k (2/F) (x_kr - mean_k), for what the mean adds,
  // sum_r (x_kr - mean_k), is 0
  Tensors backward(const Tensors& dy) override {
    const Tensor a = x;
    return {detail::chain(detail::chain(kept(dy[0]), 2 / freedom), sub(a, mean(a, axes, true)))};
  }
  // dy_k = (2/F) sum_r (x_kr - mean_k) dx_kr
  Tensors jvp(const Tensors& dx) override {
    const Tensor a = x;
    const Tensor moved = sum(detail::chain(dx[0], sub(a, mean(a, axes, true))), axes);
    return {detail::chain(reshape(moved, outputs()[0].shape()), 2 / freedom)};
  }
};

}  // namespace

Tensor var(const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  const detail::OpScope scope("var");
  detail::require_defined("var", x);
  detail::ranges::expect("var", {{"correction", correction, detail::ranges::finite}});
  if (!is_floating_point(x.dtype())) return var(x.to(float32), axes, keepdims, correction);
  if (is_half(x.dtype())) return var(x.to(float32), axes, keepdims, correction).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), "var");
  const double count = static_cast<double>(detail::reduced_count(x.shape(), over));
  const double freedom = std::max(count - correction, 0.0);
  Tensor y = detail::reduced_like(x, over, keepdims, x.dtype());
  const Tensor centre = empty_like(y, float64);
  detail::mean_into(centre, x, over);
  detail::sum_squares_into(y, x, centre, over, freedom);
  if (auto* node = detail::record_reduction<VarNode>(y, x, over)) {
    node->x = x;
    node->freedom = freedom;
  }
  return y;
}

Tensor stddev(const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  detail::require_defined("stddev", x);
  detail::ranges::expect("stddev", {{"correction", correction, detail::ranges::finite}});
  const Tensor y = var(x, normalize_axes(axes, x.dim(), "stddev"), keepdims, correction);
  // At 0 the root's infinite derivative has nothing to meet: no element moves the variance there.
  const Tensor positive = y > 0;
  return where(positive, sqrt(where(positive, y, 1)), y);
}

}  // namespace limpid
