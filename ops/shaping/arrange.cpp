// Repeating, rolling, cutting and arranging, made of views, joins and choices, whose derivatives are theirs.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/shaping/detail/indexing.hpp>

#include <algorithm>

namespace limpid {

using detail::require_defined;
using detail::throw_error;

Tensor movedim(const Tensor& x, int64_t from, int64_t to) {
  require_defined("movedim", x);
  const int64_t source = normalize_axis(from, x.dim(), "movedim"), target = normalize_axis(to, x.dim(), "movedim");
  Axes order;
  for (int64_t axis = 0, next = 0; axis < x.dim(); ++axis) {
    if (next == source) ++next;
    order.push_back(axis == target ? source : next++);
  }
  return permute(x, order);
}

Tensor unflatten(const Tensor& x, int64_t axis, const Shape& sizes) {
  require_defined("unflatten", x);
  const auto at = static_cast<std::size_t>(normalize_axis(axis, x.dim(), "unflatten"));
  int64_t known = 1, open = 0;
  for (const int64_t size : sizes) size == -1 ? void(++open) : void(known *= size);
  const int64_t size = x.shape()[at];
  if (open > 1 || (open ? known <= 0 || size % known != 0 : known != size))
    throw_error<ShapeError>("unflatten: expected sizes that make ", size, ", one of them -1 at most, got ", sizes,
                            " for axis ", axis, " of x of shape ", x.shape());
  Shape shape;
  for (std::size_t i = 0; i < x.shape().size(); ++i) {
    if (i != at) shape.push_back(x.shape()[i]);
    for (std::size_t k = 0; i == at && k < sizes.size(); ++k) shape.push_back(sizes[k] == -1 ? size / known : sizes[k]);
  }
  return reshape(x, shape);
}

Tensor narrow(const Tensor& x, int64_t axis, int64_t start, int64_t length) {
  require_defined("narrow", x);
  const int64_t at = normalize_axis(axis, x.dim(), "narrow"), size = x.size(at),
                first = start < 0 ? start + size : start;
  if (first < 0 || length < 0 || first > size || length > size - first)
    throw_error<ValueError>("narrow: expected a start and a length within the size ", size, ", got ", start, " and ",
                            length);
  return slice(x, at, first, first + length);
}

Tensors unbind(const Tensor& x, int64_t axis) {
  require_defined("unbind", x);
  const int64_t at = normalize_axis(axis, x.dim(), "unbind");
  Tensors parts;
  for (int64_t i = 0; i < x.size(at); ++i) parts.push_back(select(x, at, i));
  return parts;
}

Tensors chunk(const Tensor& x, int64_t chunks, int64_t axis) {
  require_defined("chunk", x);
  if (chunks < 1) throw_error<ValueError>("chunk: expected at least 1 chunk, got ", chunks);
  const int64_t at = normalize_axis(axis, x.dim(), "chunk"), size = x.size(at);
  return split(x, std::max<int64_t>((size + chunks - 1) / chunks, 1), at);
}

namespace {

// y, or a copy where it is a view of x: what is named after copies can be written to, whatever the counts and sizes.
Tensor unshared(const Tensor& x, const Tensor& y) { return y.shares_storage_with(x) ? y.clone() : y; }

}  // namespace

Tensor repeat(const Tensor& x, const Shape& repeats) {
  require_defined("repeat", x);
  bool fits = static_cast<int64_t>(repeats.size()) >= x.dim();
  for (const int64_t count : repeats) fits = fits && count >= 0;
  if (!fits)
    throw_error<ShapeError>("repeat: expected a count of at least 0 for each axis of x of shape ", x.shape(), ", got ",
                            repeats);
  // (a, b) of counts (p, q): (1, a, 1, b) expanded to (p, a, q, b), as (p a, q b).
  Shape apart, expanded, joined;
  const std::size_t lead = repeats.size() - x.shape().size();
  for (std::size_t i = 0; i < repeats.size(); ++i) {
    const int64_t size = i < lead ? 1 : x.shape()[i - lead];
    apart.push_back(1), apart.push_back(size);
    expanded.push_back(repeats[i]), expanded.push_back(size);
    joined.push_back(repeats[i] * size);
  }
  return unshared(x, reshape(expand(reshape(x, apart), expanded), joined));
}

Tensor repeat_interleave(const Tensor& x, int64_t repeats, int64_t axis) {
  require_defined("repeat_interleave", x);
  if (repeats < 0) throw_error<ValueError>("repeat_interleave: expected a count of at least 0, got ", repeats);
  const int64_t at = normalize_axis(axis, x.dim(), "repeat_interleave");
  Shape expanded, joined;
  for (int64_t i = 0; i < x.dim(); ++i) {
    expanded.push_back(x.size(i));
    if (i == at) expanded.push_back(repeats);
    joined.push_back(x.size(i) * (i == at ? repeats : 1));
  }
  return unshared(x, reshape(expand(unsqueeze(x, at + 1), expanded), joined));
}

Tensor roll(const Tensor& x, int64_t shift, int64_t axis) {
  require_defined("roll", x);
  const int64_t at = normalize_axis(axis, x.dim(), "roll"), size = x.size(at);
  if (size == 0) return x;
  const int64_t cut = size - ((shift % size) + size) % size;
  return cat({slice(x, at, cut), slice(x, at, 0, cut)}, at);
}
Tensor roll(const Tensor& x, int64_t shift) {
  require_defined("roll", x);
  return reshape(roll(reshape(x, {-1}), shift, 0), x.shape());
}

namespace {

// Column less row, of the last two axes.
Tensor beyond_diagonal(const char* op, const Tensor& x) {
  require_defined(op, x);
  if (x.dim() < 2) throw_error<ShapeError>(op, ": expected at least 2 axes, got x of shape ", x.shape());
  return arange(x.size(-1)) - reshape(arange(x.size(-2)), {-1, 1});
}

}  // namespace

// false, unlike 0, keeps x's dtype whatever it is: masks stay masks.
Tensor tril(const Tensor& x, int64_t diagonal) { return where(beyond_diagonal("tril", x) <= diagonal, x, false); }
Tensor triu(const Tensor& x, int64_t diagonal) { return where(beyond_diagonal("triu", x) >= diagonal, x, false); }

Tensor diagonal(const Tensor& x, int64_t offset, int64_t axis1, int64_t axis2) {
  require_defined("diagonal", x);
  const int64_t a = normalize_axis(axis1, x.dim(), "diagonal"), b = normalize_axis(axis2, x.dim(), "diagonal");
  if (a == b) throw_error<ShapeError>("diagonal: expected two axes, got ", axis1, " and ", axis2);
  Axes order;
  for (int64_t axis = 0; axis < x.dim(); ++axis)
    if (axis != a && axis != b) order.push_back(axis);
  order.push_back(a), order.push_back(b);
  const Tensor rows = permute(x, order);
  const int64_t n = rows.size(-2), m = rows.size(-1);
  const int64_t length = std::max<int64_t>(offset >= 0 ? std::min(n, m - offset) : std::min(n + offset, m), 0);
  // Every (m + 1)-th element of rows one after the other.
  Shape flat = rows.shape();
  flat.pop_back();
  flat.back() = n * m;
  const int64_t start = length == 0 ? 0 : offset >= 0 ? offset : -offset * m;
  const int64_t stop = length == 0 ? 0 : start + (length - 1) * (m + 1) + 1;
  return slice(reshape(rows, flat), -1, start, stop, m + 1);
}

Tensor diag(const Tensor& x, int64_t offset) {
  require_defined("diag", x);
  if (x.dim() == 2) return diagonal(x, offset);
  if (x.dim() != 1) throw_error<ShapeError>("diag: expected 1 or 2 axes, got x of shape ", x.shape());
  detail::ranges::expect("diag", {{"offset", offset, {-0x1p56, 0x1p56}}});
  const int64_t n = x.size(0), above = std::max<int64_t>(offset, 0), below = std::max<int64_t>(-offset, 0);
  if (n == 0) return zeros({above + below, above + below}, x.dtype());
  // Each followed by n zeros, of which the last are cut off: as n rows they stand on the diagonal.
  const Tensor apart = reshape(pad(unsqueeze(x, 1), {0, n}), {-1});
  return pad(reshape(slice(apart, 0, 0, n * n), {n, n}), {above, below, below, above});
}

Tensors meshgrid(const Tensors& xs) {
  Shape shape;
  for (const Tensor& x : xs) {
    require_defined("meshgrid", x);
    if (x.dim() > 1) throw_error<ShapeError>("meshgrid: expected tensors of one axis, got shape ", x.shape());
    shape.push_back(x.numel());
  }
  Tensors grids;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    Shape along(xs.size(), 1);
    along[i] = xs[i].numel();
    grids.push_back(expand(reshape(xs[i], along), shape));
  }
  return grids;
}

Tensor one_hot(const Tensor& x, int64_t num_classes) {
  require_defined("one_hot", x);
  if (x.dtype() != int64 && x.dtype() != int32 && x.dtype() != uint8)
    throw_error<DTypeError>("one_hot: expected integers, got ", x.dtype());
  const Tensor index = x.to(int64).contiguous();
  const auto [least, most] = std::minmax_element(index.data<int64_t>(), index.data<int64_t>() + index.numel());
  const bool counted = num_classes == -1 && index.numel() > 0;
  if (counted && *least < 0) throw_error<ValueError>("one_hot: expected numbers of at least 0, got ", *least);
  const int64_t count = counted ? std::min(*most, int64_t{1} << 56) + 1 : num_classes;
  if (count < 1)
    throw_error<ValueError>("one_hot: expected at least 1 class, got ", num_classes, " for x of shape ", x.shape());
  if (index.numel() > 0 && (*least < 0 || *most >= count))
    throw_error<ValueError>("one_hot: expected numbers in [0, ", count, "), got ", *least < 0 ? *least : *most);
  return (unsqueeze(index, -1) == arange(count)).to(int64);
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value) {
  require_defined("masked_fill", "x", x);
  require_defined("masked_fill", "mask", mask);
  if (mask.dtype() != bool_) throw_error<DTypeError>("masked_fill: expected a mask of dtype bool, got ", mask.dtype());
  detail::require_whole("masked_fill", x, value);
  broadcast_shapes(x.shape(), mask.shape(), "masked_fill");  // whose message names it
  return where(mask, detail::number_for("masked_fill", value, x.dtype()), x);
}

Tensor nonzero(const Tensor& x) {
  require_defined("nonzero", x);
  const Tensor is_set = (x.detach() != 0).contiguous();
  const bool* flags = is_set.data<bool>();
  const int64_t n = is_set.numel(), rank = x.dim();
  const Tensor y = empty({std::count(flags, flags + n, true), rank}, int64);
  int64_t* to = y.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    if (!flags[i]) continue;
    int64_t rest = i;
    for (int64_t axis = rank; axis-- > 0; rest /= x.size(axis)) to[axis] = rest % x.size(axis);
    to += rank;
  }
  return y;
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  require_defined("masked_select", "x", x);
  require_defined("masked_select", "mask", mask);
  if (mask.dtype() != bool_)
    throw_error<DTypeError>("masked_select: expected a mask of dtype bool, got ", mask.dtype());
  const Shape shape = broadcast_shapes(x.shape(), mask.shape(), "masked_select");
  const Tensor flat = reshape(expand(x, shape), {-1}), is_set = reshape(expand(mask, shape), {-1});
  return index_select(flat, 0, reshape(nonzero(is_set), {-1}));
}

namespace {

int64_t factor_of(const char* op, const Tensor& x, int64_t factor) {
  require_defined(op, x);
  if (x.dim() < 3) throw_error<ShapeError>(op, ": expected x of shape (..., C, H, W), got ", x.shape());
  constexpr int64_t most = int64_t{1} << 24;  // whose square is a number of channels still
  if (factor < 1 || factor > most) throw_error<ValueError>(op, ": expected a factor in [1, ", most, "], got ", factor);
  return factor;
}

// The number of images in x (..., C, H, W).
int64_t images_of(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 3).numel(); }

// y (images, C, H, W) with x's leading axes in place of the first.
Tensor with_lead(const Tensor& y, const Tensor& x) {
  Shape shape;
  for (int64_t axis = 0; axis + 3 < x.dim(); ++axis) shape.push_back(x.size(axis));
  for (int64_t axis = 1; axis < 4; ++axis) shape.push_back(y.size(axis));
  return reshape(y, shape);
}

}  // namespace

Tensor pixel_shuffle(const Tensor& x, int64_t factor) {
  const int64_t r = factor_of("pixel_shuffle", x, factor), c = x.size(-3), h = x.size(-2), w = x.size(-1),
                n = images_of(x);
  if (c % (r * r) != 0)
    throw_error<ShapeError>("pixel_shuffle: expected channels divisible by ", r * r, ", got x of shape ", x.shape());
  const Tensor parts = reshape(x, {n, c / (r * r), r, r, h, w});
  return with_lead(reshape(permute(parts, {0, 1, 4, 2, 5, 3}), {n, c / (r * r), h * r, w * r}), x);
}

Tensor pixel_unshuffle(const Tensor& x, int64_t factor) {
  const int64_t r = factor_of("pixel_unshuffle", x, factor), c = x.size(-3), h = x.size(-2), w = x.size(-1),
                n = images_of(x);
  if (h % r != 0 || w % r != 0)
    throw_error<ShapeError>("pixel_unshuffle: expected a height and a width divisible by ", r, ", got x of shape ",
                            x.shape());
  const Tensor parts = reshape(x, {n, c, h / r, r, w / r, r});
  return with_lead(reshape(permute(parts, {0, 1, 3, 5, 2, 4}), {n, c * r * r, h / r, w / r}), x);
}

}  // namespace limpid
