// Shape and order: the same memory seen otherwise. Each node's backward is the transposed view.
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <optional>

namespace limpid {

using detail::require_defined;
using detail::throw_error;

namespace {

std::size_t axis_of(const Tensor& x, int64_t axis, const char* op) {
  require_defined(op, x);
  return static_cast<std::size_t>(normalize_axis(axis, x.dim(), op));
}

Tensor view(const Tensor& x, Shape shape, Strides strides) {
  return detail::make_view(x, std::move(shape), std::move(strides), x.offset());
}

// Strides under which x's memory reads as `shape`, or nothing where a copy is needed. Walks both shapes from the back;
// axes of x that follow one another without a gap make one run, which axes of `shape` may cut anywhere.
std::optional<Strides> strides_under(const Tensor& x, const Shape& shape) {
  if (x.is_contiguous()) return contiguous_strides(shape);
  Strides strides(shape.size());
  std::size_t to = shape.size();
  for (std::size_t from = x.shape().size(); from > 0;) {
    int64_t step = x.strides()[--from], run = x.shape()[from];
    while (from > 0 && (x.shape()[from - 1] == 1 || x.strides()[from - 1] == run * step || run == 1)) {
      if (run == 1) step = x.strides()[from - 1];
      run *= x.shape()[--from];
    }
    for (; to > 0 && run % shape[to - 1] == 0 && (run > 1 || shape[to - 1] == 1); run /= shape[to]) {
      strides[--to] = step;
      step *= shape[to];
    }
    if (run != 1) return std::nullopt;
  }
  return strides;
}

// The shape that reshape was asked for, with -1 worked out.
Shape resolve(const Tensor& x, const Shape& shape) {
  Shape result = shape;
  int64_t known = 1, *unknown = nullptr;
  bool fits = true;
  for (int64_t& size : result) {
    if (size == -1 && !unknown)
      unknown = &size;
    else if (size < 0 || __builtin_mul_overflow(known, size, &known))
      fits = false;
  }
  if (fits && unknown) {
    fits = known != 0 && x.numel() % known == 0;
    if (fits) *unknown = x.numel() / known;
  } else if (fits) {
    fits = known == x.numel();
  }
  if (!fits)
    throw_error<ShapeError>("reshape: expected a shape of ", x.numel(), " elements, got ", shape, " for x of shape ",
                            x.shape());
  return result;
}

struct ReshapeNode final : Node {
  Shape shape;
  const char* name() const noexcept override { return "reshape"; }
  Tensors backward(const Tensors& dy) override { return {reshape(dy[0], shape)}; }
  Tensors jvp(const Tensors& dx) override { return {reshape(dx[0], outputs()[0].shape())}; }
};

Tensor recorded_reshape(Tensor y, const Tensor& x) {
  if (auto* node = record<ReshapeNode>(y, x)) node->shape = x.shape();
  return y;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  require_defined("reshape", x);
  const Shape to = resolve(x, shape);
  if (auto strides = strides_under(x, to)) return recorded_reshape(view(x, to, std::move(*strides)), x);
  Tensor y = empty(to, x.dtype());
  detail::copy_into(detail::make_view(y, x.shape(), contiguous_strides(x.shape()), 0), x);
  return recorded_reshape(std::move(y), x);
}

Tensor flatten(const Tensor& x, int64_t first, int64_t last) {
  require_defined("flatten", x);
  if (x.dim() == 0) return reshape(x, {1});
  const std::size_t a = axis_of(x, first, "flatten"), b = axis_of(x, last, "flatten");
  if (a > b)
    throw_error<ShapeError>("flatten: expected first at or before last, got axes ", first, " and ", last,
                            " for x of shape ", x.shape());
  Shape shape(x.shape().begin(), x.shape().begin() + a);
  shape.push_back(Shape(x.shape().begin() + a, x.shape().begin() + b + 1).numel());
  for (std::size_t i = b + 1; i < x.shape().size(); ++i) shape.push_back(x.shape()[i]);
  return reshape(x, shape);
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  require_defined("squeeze", x);
  const Axes given = normalize_axes(axes, x.dim(), "squeeze");
  Shape shape;
  Strides strides;
  for (std::size_t i = 0; i < x.shape().size(); ++i) {
    const bool named = std::binary_search(given.begin(), given.end(), static_cast<int64_t>(i));
    if (named && x.shape()[i] == 1) continue;
    if (named && !axes.empty())
      throw_error<ShapeError>("squeeze: expected axes of size 1, got axis ", i, " of shape ", x.shape());
    shape.push_back(x.shape()[i]);
    strides.push_back(x.strides()[i]);
  }
  return recorded_reshape(view(x, std::move(shape), std::move(strides)), x);
}

Tensor unsqueeze(const Tensor& x, int64_t axis) {
  require_defined("unsqueeze", x);
  const auto at = static_cast<std::size_t>(normalize_axis(axis, x.dim() + 1, "unsqueeze"));
  Shape shape = x.shape();
  Strides strides = x.strides();
  const int64_t step = at < shape.size() ? shape[at] * strides[at] : 1;
  shape.insert(at, 1);
  strides.insert(at, step);
  return recorded_reshape(view(x, std::move(shape), std::move(strides)), x);
}

namespace {

struct PermuteNode final : Node {
  Axes inverse;
  const char* name() const noexcept override { return "permute"; }
  // y_i = x_j with j[order[k]] = i[k]:  dx is dy under the inverse order
  Tensors backward(const Tensors& dy) override { return {permute(dy[0], inverse)}; }
  Tensors jvp(const Tensors& dx) override {
    Axes order = inverse;
    for (std::size_t i = 0; i < order.size(); ++i)
      order[static_cast<std::size_t>(inverse[i])] = static_cast<int64_t>(i);
    return {permute(dx[0], order)};
  }
};

}  // namespace

Tensor permute(const Tensor& x, const Axes& order) {
  require_defined("permute", x);
  const std::size_t dim = x.shape().size();
  if (order.size() != dim)
    throw_error<ShapeError>("permute: expected ", dim, " axes for x of shape ", x.shape(), ", got ", order.size());
  Shape shape(dim);
  Strides strides(dim);
  Axes inverse;
  inverse.resize(dim, -1);
  for (std::size_t k = 0; k < dim; ++k) {
    const auto axis = static_cast<std::size_t>(normalize_axis(order[k], x.dim(), "permute"));
    if (inverse[axis] >= 0) throw_error<ShapeError>("permute: expected each axis once, got axis ", axis, " twice");
    inverse[axis] = static_cast<int64_t>(k);
    shape[k] = x.shape()[axis];
    strides[k] = x.strides()[axis];
  }
  Tensor y = view(x, std::move(shape), std::move(strides));
  if (auto* node = record<PermuteNode>(y, x)) node->inverse = std::move(inverse);
  return y;
}

Tensor transpose(const Tensor& x, int64_t a, int64_t b) {
  const std::size_t i = axis_of(x, a, "transpose"), j = axis_of(x, b, "transpose");
  Axes order;
  for (int64_t axis = 0; axis < x.dim(); ++axis) order.push_back(axis);
  std::swap(order[i], order[j]);
  return permute(x, order);
}

namespace {

struct ExpandNode final : SymmetricNode {
  const char* name() const noexcept override { return "expand"; }
  // The transposed op is the sum over the axes that were repeated; the engine forms it for every broadcast operand.
  Tensors backward(const Tensors& dy) override { return {dy[0]}; }
};

}  // namespace

Tensor expand(const Tensor& x, const Shape& shape) {
  require_defined("expand", x);
  Shape to = shape;
  bool fits = to.size() >= x.shape().size();
  const std::size_t lead = fits ? to.size() - x.shape().size() : 0;
  for (std::size_t i = 0; fits && i < to.size(); ++i) {
    const int64_t size = i < lead ? -1 : x.shape()[i - lead];
    if (to[i] == -1) to[i] = size;
    fits = to[i] >= 0 && (i < lead || size == 1 || size == to[i]);
  }
  if (!fits)
    throw_error<ShapeError>("expand: expected a shape that x of shape ", x.shape(), " broadcasts to, got ", shape);
  Strides strides(to.size(), 0);
  for (std::size_t i = lead; i < to.size(); ++i)
    if (x.shape()[i - lead] == to[i]) strides[i] = x.strides()[i - lead];
  Tensor y = view(x, std::move(to), std::move(strides));
  record<ExpandNode>(y, x);
  return y;
}

Tensor detail::broadcast(const Tensor& dx, const Shape& shape) { return dx.shape() == shape ? dx : expand(dx, shape); }

namespace {

// y = x[..., start : stop : step, ...] along one axis;  dx is zero but for dx[..., start : stop : step, ...] = dy.
Tensor sliced(const Tensor& x, std::size_t axis, int64_t start, int64_t count, int64_t step);
Tensor unsliced(const Tensor& y, const Shape& shape, std::size_t axis, int64_t start, int64_t step);

struct Range {
  Shape shape;  ///< of the larger tensor
  std::size_t axis = 0;
  int64_t start = 0, step = 1;
};

struct SliceNode final : Node {
  Range range;
  const char* name() const noexcept override { return "slice"; }
  Tensors backward(const Tensors& dy) override {
    return {unsliced(dy[0], range.shape, range.axis, range.start, range.step)};
  }
  Tensors jvp(const Tensors& dx) override {
    return {sliced(dx[0], range.axis, range.start, outputs()[0].shape()[range.axis], range.step)};
  }
};

struct UnsliceNode final : Node {
  Range range;
  int64_t count = 0;
  const char* name() const noexcept override { return "slice_backward"; }
  Tensors backward(const Tensors& dy) override { return {sliced(dy[0], range.axis, range.start, count, range.step)}; }
  Tensors jvp(const Tensors& dx) override {
    return {unsliced(dx[0], range.shape, range.axis, range.start, range.step)};
  }
};

Tensor sliced(const Tensor& x, std::size_t axis, int64_t start, int64_t count, int64_t step) {
  Tensor y = detail::part_of(x, axis, start, count, step);
  if (auto* node = record<SliceNode>(y, x)) node->range = {x.shape(), axis, start, step};
  return y;
}

Tensor unsliced(const Tensor& y, const Shape& shape, std::size_t axis, int64_t start, int64_t step) {
  Tensor x = empty(shape, y.dtype(), shape.size() >= 3 ? y.memory_format() : MemoryFormat::contiguous);
  detail::fill(x, 0);
  detail::copy_into(detail::part_of(x, axis, start, y.shape()[axis], step), y);
  if (auto* node = record<UnsliceNode>(x, y)) {
    node->range = {shape, axis, start, step};
    node->count = y.shape()[axis];
  }
  return x;
}

}  // namespace

Tensor slice(const Tensor& x, int64_t axis, int64_t start, int64_t stop, int64_t step) {
  const std::size_t a = axis_of(x, axis, "slice");
  if (step < 1) throw_error<ValueError>("slice: expected a step of at least 1, got ", step);
  const int64_t size = x.shape()[a];
  const auto bound = [size](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  const int64_t first = bound(start), length = std::max<int64_t>(bound(stop) - first, 0);
  step = std::min(step, std::max<int64_t>(size, 1));  // a larger one picks the same and might overflow a stride
  return sliced(x, a, first, length / step + (length % step != 0), step);
}

Tensor select(const Tensor& x, int64_t axis, int64_t index) {
  const std::size_t a = axis_of(x, axis, "select");
  const int64_t size = x.shape()[a], at = index < 0 ? index + size : index;
  if (at < 0 || at >= size)
    throw_error<ValueError>("select: expected an index in [", -size, ", ", size, ") for axis ", a, " of shape ",
                            x.shape(), ", got ", index);
  return squeeze(sliced(x, a, at, 1, 1), static_cast<int64_t>(a));
}

Tensors split(const Tensor& x, const Shape& sizes, int64_t axis) {
  const std::size_t a = axis_of(x, axis, "split");
  int64_t rest = x.shape()[a];
  bool fits = true;
  for (int64_t size : sizes) {
    fits = fits && size >= 0 && size <= rest;
    rest -= fits ? size : 0;
  }
  if (!fits || rest != 0)
    throw_error<ShapeError>("split: expected sizes of at least 0 that add up to ", x.shape()[a], ", got ", sizes);
  Tensors ys;
  int64_t start = 0;
  for (int64_t size : sizes) {
    ys.push_back(sliced(x, a, start, size, 1));
    start += size;
  }
  return ys;
}

Tensors split(const Tensor& x, int64_t size, int64_t axis) {
  const std::size_t a = axis_of(x, axis, "split");
  const int64_t total = x.shape()[a];
  if (size < 1) throw_error<ValueError>("split: expected a size of at least 1, got ", size);
  Shape sizes;
  for (int64_t start = 0; start < total; start += sizes.back()) sizes.push_back(std::min(size, total - start));
  if (sizes.empty()) sizes.push_back(0);
  return split(x, sizes, axis);
}

}  // namespace limpid
