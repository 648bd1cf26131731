// Sums and means, and the two transposes that broadcasting needs.
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/driver.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid {

using detail::require_defined;
using detail::throw_error;

namespace {

struct SumNode final : Node {
  Shape shape, kept;  // x's, and the same with reduced axes of size 1
  const char* name() const noexcept override { return "sum"; }
  // y_k = sum_r x_kr over reduced r:  dx_kr = dy_k
  Tensors backward(const Tensors& dy) override { return {expand(reshape(dy[0], kept), shape)}; }
  Tensors jvp(const Tensors& dx) override { return {reshape(sum_to(dx[0], kept), outputs()[0].shape())}; }
};

struct MeanNode final : Node {
  Shape shape, kept;
  const char* name() const noexcept override { return "mean"; }
  // y_k = (sum_r x_kr) / M over the M reduced r:  dx_kr = dy_k / M
  Tensors backward(const Tensors& dy) override { return {expand(reshape(div(dy[0], count()), kept), shape)}; }
  Tensors jvp(const Tensors& dx) override { return {reshape(div(sum_to(dx[0], kept), count()), outputs()[0].shape())}; }
  double count() const {
    return static_cast<double>(shape.numel()) / static_cast<double>(std::max<int64_t>(kept.numel(), 1));
  }
};

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdims) {
  const detail::OpScope scope("sum");
  require_defined("sum", x);
  const Axes over = normalize_axes(axes, x.dim(), "sum");
  Tensor y = detail::reduced_like(x, over, keepdims, is_floating_point(x.dtype()) ? x.dtype() : int64);
  detail::sum_into(y, x, over);
  if (auto* node = record<SumNode>(y, x)) {
    node->shape = x.shape();
    node->kept = detail::reduced_shape(x.shape(), over, true);
  }
  return y;
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdims) {
  const detail::OpScope scope("mean");
  require_defined("mean", x);
  if (!is_floating_point(x.dtype())) return mean(x.to(float32), axes, keepdims);
  const Axes over = normalize_axes(axes, x.dim(), "mean");
  Tensor y = detail::reduced_like(x, over, keepdims, x.dtype());
  int64_t count = 1;
  for (int64_t axis : over) count *= x.shape()[static_cast<std::size_t>(axis)];
  detail::sum_into(y, x, over, static_cast<double>(count));
  if (auto* node = record<MeanNode>(y, x)) {
    node->shape = x.shape();
    node->kept = detail::reduced_shape(x.shape(), over, true);
  }
  return y;
}

Tensor nansum(const Tensor& x, const Axes& axes, bool keepdims) {
  require_defined("nansum", x);
  return sum(is_floating_point(x.dtype()) ? where(isnan(x), 0, x) : x, axes, keepdims);
}

Tensor nanmean(const Tensor& x, const Axes& axes, bool keepdims) {
  require_defined("nanmean", x);
  if (is_half(x.dtype())) return nanmean(x.to(float32), axes, keepdims).to(x.dtype());
  return nansum(x, axes, keepdims) / sum(logical_not(isnan(x)), axes, keepdims);
}

Tensor count_nonzero(const Tensor& x, const Axes& axes, bool keepdims) {
  require_defined("count_nonzero", x);
  return sum(ne(x, 0), axes, keepdims);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  require_defined("sum_to", x);
  if (x.shape() == shape) return x;
  const std::size_t lead = x.shape().size() - std::min(shape.size(), x.shape().size());
  bool fits = shape.size() <= x.shape().size();
  Axes over;
  for (std::size_t i = 0; fits && i < x.shape().size(); ++i) {
    const int64_t size = x.shape()[i], to = i < lead ? 1 : shape[i - lead];
    if (i < lead || size != to) over.push_back(static_cast<int64_t>(i));
    fits = to == size || to == 1;
  }
  if (!fits) throw_error<ShapeError>("sum_to: expected a shape that broadcasts to x's ", x.shape(), ", got ", shape);
  return reshape(sum(x, over, true), shape);
}

Tensor detail::unbroadcast(const Tensor& dy, const Shape& shape) { return sum_to(dy, shape); }

}  // namespace limpid
