// What makes new memory of old: joining, turning round, padding.
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid {

using detail::part_of;
using detail::require_defined;
using detail::throw_error;

namespace {

struct CatNode final : Node {
  int64_t axis = 0;
  Shape sizes;
  const char* name() const noexcept override { return "cat"; }
  // y is xs side by side:  dx_k is the piece of dy where x_k lies
  Tensors backward(const Tensors& dy) override {
    Tensors dxs(sizes.size());
    int64_t start = 0;
    for (std::size_t k = 0; k < sizes.size(); start += sizes[k++])
      if (needs(k)) dxs[k] = slice(dy[0], axis, start, start + sizes[k]);
    return dxs;
  }
  Tensors jvp(const Tensors& dxs) override {
    const Node::Output& y = outputs()[0];
    Tensors pieces = dxs;
    Shape shape = y.shape();
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      shape[static_cast<std::size_t>(axis)] = sizes[k];
      if (!pieces[k].defined()) pieces[k] = expand(zeros({}, y.dtype), shape);
    }
    return {cat(pieces, axis)};
  }
};

bool same_but_for(const Shape& a, const Shape& b, std::size_t axis) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = i == axis || a[i] == b[i];
  return same;
}

MemoryFormat common_format(const Tensors& xs) {
  bool any = false;
  for (const Tensor& x : xs) {
    if (!x.is_contiguous(MemoryFormat::channels_last)) return MemoryFormat::contiguous;
    any = any || !x.is_contiguous();
  }
  return any ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

void require_some(const char* op, const Tensors& xs) {
  if (xs.empty()) throw_error<ValueError>(op, ": expected at least one tensor, got none");
  for (const Tensor& x : xs) require_defined(op, x);
}

}  // namespace

Tensor cat(const Tensors& given, int64_t axis) {
  const detail::OpScope scope("cat");
  require_some("cat", given);
  const auto a = static_cast<std::size_t>(normalize_axis(axis, given[0].dim(), "cat"));
  Shape shape = given[0].shape(), sizes;
  DType dtype = given[0].dtype();
  shape[a] = 0;
  for (const Tensor& x : given) {
    if (!same_but_for(x.shape(), shape, a))
      throw_error<ShapeError>("cat: expected shapes that agree but for axis ", a, ", got ", given[0].shape(), " and ",
                              x.shape());
    dtype = promote_types(dtype, x.dtype());
    sizes.push_back(x.shape()[a]);
    shape[a] += sizes.back();
  }
  Tensors xs;
  for (const Tensor& x : given) xs.push_back(x.to(dtype));
  Tensors ys = {empty(shape, dtype, common_format(xs))};
  int64_t start = 0;
  for (const Tensor& x : xs) {
    detail::copy_into(part_of(ys[0], a, start, x.shape()[a]), x);
    start += x.shape()[a];
  }
  if (auto* node = record<CatNode>(ys, xs)) {
    node->axis = static_cast<int64_t>(a);
    node->sizes = sizes;
  }
  return ys[0];
}

Tensor stack(const Tensors& xs, int64_t axis) {
  require_some("stack", xs);
  const int64_t a = normalize_axis(axis, xs[0].dim() + 1, "stack");
  Tensors rows;
  for (const Tensor& x : xs) {
    if (x.shape() != xs[0].shape())
      throw_error<ShapeError>("stack: expected tensors of one shape, got ", xs[0].shape(), " and ", x.shape());
    rows.push_back(unsqueeze(x, a));
  }
  return cat(rows, a);
}

Tensor detail::stack_as(const Tensors& xs, const Shape& shape) { return reshape(stack(xs), shape); }

namespace {

struct FlipNode final : SymmetricNode {
  Axes axes;
  const char* name() const noexcept override { return "flip"; }
  // y_i = x_(n-1-i) along each axis:  dx_i = dy_(n-1-i)
  Tensors backward(const Tensors& dy) override { return {flip(dy[0], axes)}; }
};

}  // namespace

Tensor flip(const Tensor& x, const Axes& axes) {
  const detail::OpScope scope("flip");
  require_defined("flip", x);
  const Axes over = normalize_axes(axes, x.dim(), "flip");
  Tensor y = empty_like(x);
  if (x.numel() > 0) {
    Strides strides = x.strides();
    int64_t offset = x.offset();
    for (int64_t axis : over) {
      const auto a = static_cast<std::size_t>(axis);
      offset += (x.shape()[a] - 1) * strides[a];
      strides[a] = -strides[a];
    }
    detail::copy_into(y, detail::make_view(x, x.shape(), strides, offset));
  }
  if (x.dim() == 0) return record<FlipNode>(y, x), y;
  if (auto* node = record<FlipNode>(y, x)) node->axes = over;
  return y;
}

// ---- pad

namespace {

Tensor pad_constant(const Tensor& x, const Shape& before, const Shape& after, Scalar value);

struct PadNode final : Node {
  Shape before, sizes;
  const char* name() const noexcept override { return "pad"; }
  // y is x within a frame of constants:  dx is what lies within dy's frame
  Tensors backward(const Tensors& dy) override {
    Tensor dx = dy[0];
    for (std::size_t a = 0; a < sizes.size(); ++a)
      if (dx.shape()[a] != sizes[a]) dx = slice(dx, static_cast<int64_t>(a), before[a], before[a] + sizes[a]);
    return {dx};
  }
  Tensors jvp(const Tensors& dx) override {
    Shape after = outputs()[0].shape();
    for (std::size_t a = 0; a < sizes.size(); ++a) after[a] -= before[a] + sizes[a];
    return {pad_constant(dx[0], before, after, 0)};
  }
};

Tensor pad_constant(const Tensor& x, const Shape& before, const Shape& after, Scalar value) {
  // Crop first, so that what is left to do is to frame.
  Tensor inner = x;
  Shape shape = x.shape(), front(shape.size(), 0);
  for (std::size_t a = 0; a < shape.size(); ++a) {
    const int64_t size = shape[a], start = std::max<int64_t>(-before[a], 0),
                  end = size - std::max<int64_t>(-after[a], 0);
    if (start > 0 || end < size) inner = slice(inner, static_cast<int64_t>(a), start, end);
    front[a] = std::max<int64_t>(before[a], 0);
    shape[a] = size + before[a] + after[a];
  }
  Tensor y = empty(shape, x.dtype(), x.memory_format());
  detail::fill(y, value, "pad");
  Tensor middle = y;
  for (std::size_t a = 0; a < shape.size(); ++a) middle = part_of(middle, a, front[a], inner.shape()[a]);
  detail::copy_into(middle, inner);
  if (auto* node = record<PadNode>(y, inner)) {
    node->before = front;
    node->sizes = inner.shape();
  }
  return y;
}

// One axis of a pad that repeats elements: y_j = x_source(j) outside the middle, which is x itself.
struct Border {
  PadMode mode = PadMode::reflect;
  std::size_t axis = 0;
  int64_t before = 0, after = 0, size = 0;  // size: x's

  int64_t source(int64_t j) const {
    const int64_t i = j - before;
    if (mode == PadMode::replicate) return std::clamp<int64_t>(i, 0, size - 1);
    if (mode == PadMode::circular) return (i + size) % size;
    return i < 0 ? -i : i < size ? i : 2 * (size - 1) - i;
  }
  // f(j, source(j)) for each j outside the middle
  template <class F>
  void each(F&& f) const {
    for (int64_t j = 0; j < before; ++j) f(j, source(j));
    for (int64_t j = before + size; j < before + size + after; ++j) f(j, source(j));
  }
};

Tensor bordered(const Tensor& x, const Border& border);
Tensor unbordered(const Tensor& y, const Border& border);

struct BorderNode final : Node {
  Border border;
  const char* name() const noexcept override { return "pad"; }
  // y_j = x_source(j):  dx_i = sum of dy_j over j with source(j) = i
  Tensors backward(const Tensors& dy) override { return {unbordered(dy[0], border)}; }
  Tensors jvp(const Tensors& dx) override { return {bordered(dx[0], border)}; }
};

struct UnborderNode final : Node {
  Border border;
  const char* name() const noexcept override { return "pad_backward"; }
  // The transpose of a transpose.
  Tensors backward(const Tensors& dy) override { return {bordered(dy[0], border)}; }
  Tensors jvp(const Tensors& dx) override { return {unbordered(dx[0], border)}; }
};

Tensor bordered(const Tensor& x, const Border& border) {
  const std::size_t a = border.axis;
  Shape shape = x.shape();
  shape[a] += border.before + border.after;
  Tensor y = empty(shape, x.dtype(), x.memory_format());
  detail::copy_into(part_of(y, a, border.before, border.size), x);
  border.each([&](int64_t j, int64_t i) { detail::copy_into(part_of(y, a, j, 1), part_of(x, a, i, 1)); });
  if (auto* node = record<BorderNode>(y, x)) node->border = border;
  return y;
}

// y += x, of one shape
void add_into(const Tensor& y, const Tensor& x) {
  const detail::StridedLoop<2> loop(y.shape(), {y.strides(), x.strides()});
  visit_dtype(y.dtype(), [&]<class T>(T) {
    if constexpr (std::is_floating_point_v<T>) {
      T* to = y.data<T>();
      const T* from = x.data<T>();
      loop.run([=](int64_t count, const auto& offset, const auto& step) {
        for (int64_t i = 0; i < count; ++i) to[offset[0] + i * step[0]] += from[offset[1] + i * step[1]];
      });
    }
  });
}

Tensor unbordered(const Tensor& y, const Border& border) {
  if (is_half(y.dtype())) return unbordered(y.to(float32), border).to(y.dtype());
  const std::size_t a = border.axis;
  Shape shape = y.shape();
  shape[a] = border.size;
  Tensor x = empty(shape, y.dtype(), y.memory_format());
  detail::copy_into(x, part_of(y, a, border.before, border.size));
  border.each([&](int64_t j, int64_t i) { add_into(part_of(x, a, i, 1), part_of(y, a, j, 1)); });
  if (auto* node = record<UnborderNode>(x, y)) node->border = border;
  return x;
}

}  // namespace

Tensor pad(const Tensor& x, const Shape& amounts, PadMode mode, Scalar value) {
  const detail::OpScope scope("pad");
  require_defined("pad", x);
  detail::require_member("pad", "PadMode", mode, PadMode::circular, "constant, reflect, replicate or circular");
  const std::size_t dim = x.shape().size(), axes = amounts.size() / 2;
  if (amounts.size() % 2 != 0 || axes > dim)
    throw_error<ShapeError>("pad: expected (before, after) for at most ", dim, " axes, got ", amounts.size(),
                            " amounts for x of shape ", x.shape());
  Shape before(dim, 0), after(dim, 0);
  for (std::size_t k = 0; k < axes; ++k) {
    const std::size_t a = dim - 1 - k;
    const int64_t size = x.shape()[a], low = before[a] = amounts[2 * k], high = after[a] = amounts[2 * k + 1];
    int64_t total;
    if (__builtin_add_overflow(size, low, &total) || __builtin_add_overflow(total, high, &total) || total < 0 ||
        low < -size || high < -size)
      throw_error<ShapeError>("pad: expected amounts that leave a size of at least 0, got (", low, ", ", high,
                              ") for axis ", a, " of shape ", x.shape());
    if (mode == PadMode::constant) continue;
    const char* name = mode == PadMode::reflect ? "reflect" : mode == PadMode::replicate ? "replicate" : "circular";
    if (low < 0 || high < 0)
      throw_error<ValueError>("pad: expected amounts of at least 0 in ", name, " mode, got (", low, ", ", high,
                              ") for axis ", a);
    const int64_t most = std::max(low, high);
    const bool fits = mode == PadMode::reflect    ? most < size || most == 0
                      : mode == PadMode::circular ? most <= size
                                                  : size > 0 || total == 0;
    if (!fits)
      throw_error<ShapeError>("pad: expected amounts ",
                              mode == PadMode::reflect    ? "below the axis size"
                              : mode == PadMode::circular ? "of at most the axis size"
                                                          : "of 0",
                              " in ", name, " mode, got (", low, ", ", high, ") for axis ", a, " of shape ", x.shape());
  }
  if (mode == PadMode::constant) detail::require_whole("pad", x, value);
  if (mode == PadMode::constant) return pad_constant(x, before, after, value);
  Tensor y = x;
  for (std::size_t a = 0; a < dim; ++a)
    if (before[a] + after[a] > 0) y = bordered(y, {mode, a, before[a], after[a], x.shape()[a]});
  return y.is_same(x) ? x.clone() : y;
}

}  // namespace limpid
