// The variance and its root, in two passes.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/reduce/detail/reduction_node.hpp>

#include <algorithm>
#include <type_traits>

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

struct StddevNode final : ReductionNode {
  Saved x{*this, "x"}, y{*this, "y"};
  double freedom = 0;
  const char* name() const noexcept override { return "stddev"; }
  // y_k = sqrt((1/F) sum_r (x_kr - mean_k)^2) over reduced r:  dx_kr = dy_k (1/F) (x_kr - mean_k) / y_k, whose quotient
  // is at most sqrt(F). Where y_k is 0 no element moves it.
  Tensors backward(const Tensors& dy) override {
    const Tensor a = x, root = kept(y), none = eq(root, 0);
    const Tensor slope = (a - mean(a, axes, true)) / where(none, 1, root);
    return {detail::chain(detail::chain(kept(dy[0]), 1 / freedom), where(none, 0, slope))};
  }
};

// The variance, or its root, of which not the variance is rounded: it may lie beyond the dtype where the root does not.
template <class N>
Tensor spread(const char* op, const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  constexpr bool is_root = std::is_same_v<N, StddevNode>;
  const detail::OpScope scope(op);
  detail::require_defined(op, x);
  detail::ranges::expect(op, {{"correction", correction, detail::ranges::finite}});
  const DType dtype = detail::floating_type(x.dtype());
  const auto again = [&](const Tensor& z) { return spread<N>(op, z, axes, keepdims, correction); };
  if (Tensor y = detail::promoted(dtype, x, again); y.defined()) return y;
  const Axes over = normalize_axes(axes, x.dim(), op);
  const double count = static_cast<double>(detail::reduced_count(x.shape(), over));
  const double freedom = std::max(count - correction, 0.0);
  Tensor y = detail::reduced_like(x, over, keepdims, dtype);
  const Tensor centre = empty_like(y, float64);
  detail::mean_into(centre, x, over);
  detail::sum_squares_into(y, x, centre, over, freedom, is_root);
  if (auto* node = detail::record_reduction<N>(y, x, over)) {
    node->x = x;
    if constexpr (is_root) node->y = y;
    node->freedom = freedom;
  }
  return y;
}

}  // namespace

Tensor var(const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  return spread<VarNode>("var", x, axes, keepdims, correction);
}

Tensor stddev(const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  return spread<StddevNode>("stddev", x, axes, keepdims, correction);
}

}  // namespace limpid
