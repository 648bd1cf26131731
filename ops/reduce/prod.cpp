// The product, whose gradient is exact at any number of zeros.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/reduce/detail/reduction_node.hpp>

namespace limpid {

using detail::reduced_count;
using detail::reduced_shape;
using detail::ReductionNode;

namespace {

// e_i = prod_{j != i} x_j along the last axis, without a division. A tree of products goes up pairwise; on the way down
// each half of a pair gets what its pair got, times the other half. Composed of differentiable ops, so that the
// derivatives of any order are exact at any number of zeros.
Tensor product_of_others(const Tensor& x) {
  const int64_t count = x.size(-1);
  if (count <= 1) return ones_like(x);
  const Tensor even = count % 2 ? pad(x, {0, 1}, PadMode::constant, 1) : x;
  Shape pairs = even.shape();
  pairs.back() = even.size(-1) / 2;
  pairs.push_back(2);
  const Tensor paired = reshape(even, pairs);
  const Tensor others = product_of_others(mul(select(paired, -1, 0), select(paired, -1, 1)));
  return slice(reshape(mul(unsqueeze(others, -1), flip(paired, -1)), even.shape()), -1, 0, count);
}

struct ProdNode final : ReductionNode {
  Saved x{*this, "x"};
  const char* name() const noexcept override { return "prod"; }
  // y_k = prod_r x_kr over reduced r:  dx_kr = dy_k prod_{s != r} x_ks
  Tensors backward(const Tensors& dy) override {
    // The reduced axes behind the others and merged, and back.
    const Axes order = detail::reduced_last(static_cast<int64_t>(shape.size()), axes);
    Axes back = order;
    for (std::size_t i = 0; i < order.size(); ++i) back[static_cast<std::size_t>(order[i])] = static_cast<int64_t>(i);
    const Tensor moved = permute(x, order);
    Shape flat = reduced_shape(shape, axes, false);
    flat.push_back(reduced_count(shape, axes));
    const Tensor others = product_of_others(reshape(moved, flat));
    return {detail::chain(kept(dy[0]), permute(reshape(others, moved.shape()), back))};
  }
};

}  // namespace

Tensor prod(const Tensor& x, const Axes& axes, bool keepdims) {
  const detail::OpScope scope("prod");
  detail::require_defined("prod", x);
  if (is_half(x.dtype())) return prod(x.to(float32), axes, keepdims).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), "prod");
  Tensor y = detail::reduced_like(x, over, keepdims, is_floating_point(x.dtype()) ? x.dtype() : int64);
  detail::prod_into(y, x, over);
  if (auto* node = detail::record_reduction<ProdNode>(y, x, over)) node->x = x;
  return y;
}

}  // namespace limpid
