// x.index({...}), with NumPy's meaning: views of what integers and slices choose, then what index tensors pick of that.
#include <limpid/ops/shaping/detail/indexing.hpp>

#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/index.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <vector>

namespace limpid {

using detail::throw_error;

namespace {

using Kind = TensorIndex::Kind;

// x[start:stop:step] along axis.
Tensor cut(const Tensor& x, int64_t axis, const Slice& s) {
  const int64_t step = s.step.at.value_or(1), size = x.size(axis);
  if (step == 0) throw_error<ValueError>("index: expected a step other than 0, got 0");
  if (step > 0) return slice(x, axis, s.start.at.value_or(0), s.stop.at.value_or(to_end), step);
  // From the last element chosen on, then turned round.
  const auto bound = [size](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, -1, size - 1); };
  const int64_t start = s.start.at ? bound(*s.start.at) : size - 1, stop = s.stop.at ? bound(*s.stop.at) : -1;
  if (start <= stop) return slice(x, axis, 0, 0);
  const int64_t by = step < -size ? size : -step, count = (start - stop - 1) / by + 1;
  return flip(slice(x, axis, start - (count - 1) * by, start + 1, by), {axis});
}

// A view of x, and the index tensors for some of its axes, which are still to be picked from.
struct Chosen {
  Tensor view;
  std::vector<Tensor> at;  // by axis of the view; undefined where all of it is taken
  bool apart = false;      // a slice, None or Ellipsis stands between index tensors
};

// A mask as the indices of its true elements, one tensor for each of its axes.
Tensors places(const Tensor& mask, const Tensor& view, int64_t axis) {
  if (mask.dim() == 0) throw_error<ShapeError>("index: expected a mask of at least one axis, got a scalar");
  bool fits = axis + mask.dim() <= view.dim();
  for (int64_t i = 0; fits && i < mask.dim(); ++i) fits = mask.size(i) == view.size(axis + i);
  if (!fits)
    throw_error<ShapeError>("index: expected a mask of the shape of the axes that it stands for, from axis ", axis,
                            " of shape ", view.shape(), " on, got ", mask.shape());
  return unbind(nonzero(mask), 1);
}

// 0 to size - 1 in place of -size to size - 1.
int64_t wrapped(int64_t i, int64_t axis, int64_t size) {
  if (i < -size || i >= size)
    throw_error<ValueError>("index: expected numbers in [", -size, ", ", size, ") for axis ", axis, ", got ", i);
  return i < 0 ? i + size : i;
}
Tensor wrapped(const Tensor& index, int64_t axis, int64_t size) {
  const Tensor i = index.to(int64).contiguous(), y = empty(i.shape(), int64);
  const int64_t* from = i.data<int64_t>();
  std::transform(from, from + i.numel(), y.data<int64_t>(), [=](int64_t k) { return wrapped(k, axis, size); });
  return y;
}

Chosen choose(const Tensor& x, std::initializer_list<TensorIndex> index) {
  int64_t taken = 0, ellipses = 0;
  bool picks = false;
  for (const TensorIndex& i : index) {
    if (i.kind() == Kind::tensor) {
      detail::require_defined("index", i.tensor());
      if (is_floating_point(i.tensor().dtype()))
        throw_error<DTypeError>("index: expected integers or a mask, got ", i.tensor().dtype());
      picks = true;
      taken += i.tensor().dtype() == bool_ ? i.tensor().dim() : 1;
    } else {
      taken += i.kind() == Kind::integer || i.kind() == Kind::slice;
      ellipses += i.kind() == Kind::ellipsis;
    }
  }
  if (ellipses > 1) throw_error<ValueError>("index: expected at most one Ellipsis, got ", ellipses);
  if (taken > x.dim())
    throw_error<ShapeError>("index: expected at most ", x.dim(), " axes for shape ", x.shape(), ", got ", taken);

  Chosen c{x, {}, false};
  int64_t axis = 0, last_pick = -1, position = 0;
  const auto pick = [&](Tensor at) {
    c.at.resize(static_cast<std::size_t>(axis) + 1);
    c.at.back() = std::move(at);
    ++axis;
  };
  for (const TensorIndex& i : index) {
    const bool is_pick = i.kind() == Kind::tensor || (picks && i.kind() == Kind::integer);
    if (is_pick) {
      c.apart = c.apart || (last_pick >= 0 && position - last_pick > 1);
      last_pick = position;
    }
    ++position;
    switch (i.kind()) {
      case Kind::none: c.view = unsqueeze(c.view, axis++); break;
      case Kind::ellipsis: axis += x.dim() - taken; break;
      case Kind::slice: c.view = cut(c.view, axis++, i.slice()); break;
      case Kind::integer:
        // Beside index tensors it is one of them.
        if (const int64_t at = wrapped(i.integer(), axis, c.view.size(axis)); picks)
          pick(full({}, at, int64));
        else
          c.view = select(c.view, axis, at);
        break;
      case Kind::tensor:
        if (i.tensor().dtype() == bool_)
          for (const Tensor& at : places(i.tensor(), c.view, axis)) pick(at);
        else
          pick(wrapped(i.tensor(), axis, c.view.size(axis)));
    }
  }
  c.at.resize(static_cast<std::size_t>(c.view.dim()));
  return c;
}

// What the index tensors pick: x with these axes first and merged into one, of which rows are selected.
Tensor picked(const Chosen& c) {
  Axes order, rest;
  Shape common, shape;
  int64_t rows = 1;
  for (int64_t axis = 0; axis < c.view.dim(); ++axis) {
    const Tensor& at = c.at[static_cast<std::size_t>(axis)];
    if (at.defined()) {
      order.push_back(axis);
      common = broadcast_shapes(common, at.shape(), "index");
      rows *= c.view.size(axis);
    } else {
      rest.push_back(axis);
    }
  }
  Tensor row = zeros({}, int64);
  for (const int64_t axis : order) row = row * c.view.size(axis) + c.at[static_cast<std::size_t>(axis)];
  const int64_t first = order.front();
  for (const int64_t axis : rest) order.push_back(axis);
  Shape merged{rows};
  for (const int64_t axis : rest) merged.push_back(c.view.size(axis));
  const Tensor y = index_select(reshape(permute(c.view, order), merged), 0, reshape(expand(row, common), {-1}));
  for (const int64_t size : common) shape.push_back(size);
  for (const int64_t axis : rest) shape.push_back(c.view.size(axis));
  const Tensor result = reshape(y, shape);
  if (c.apart || first == 0) return result;
  // The axes of the index stand where its tensors stood, side by side.
  const auto lead = static_cast<int64_t>(common.size());
  Axes back;
  for (int64_t axis = 0; axis < first; ++axis) back.push_back(lead + axis);
  for (int64_t axis = 0; axis < lead; ++axis) back.push_back(axis);
  for (int64_t axis = lead + first; axis < result.dim(); ++axis) back.push_back(axis);
  return permute(result, back);
}

bool has_picks(const Chosen& c) {
  return std::any_of(c.at.begin(), c.at.end(), [](const Tensor& at) { return at.defined(); });
}

}  // namespace

Tensor Tensor::index(std::initializer_list<TensorIndex> at) const {
  const Chosen c = choose(*this, at);
  return has_picks(c) ? picked(c) : c.view;
}

Tensor Tensor::operator[](int64_t i) const {
  if (dim() == 0) throw_error<ShapeError>("index: expected at most 0 axes for shape ", shape(), ", got 1");
  return limpid::select(*this, 0, wrapped(i, 0, size(0)));
}

namespace detail {

Tensor chosen_view(const Tensor& x, std::initializer_list<TensorIndex> at) {
  const Chosen c = choose(x, at);
  return has_picks(c) ? Tensor() : c.view;
}

Tensor put(const Tensor& x, std::initializer_list<TensorIndex> at, const Tensor& values, bool accumulate) {
  if (x.dtype() == bool_) return put(x.to(uint8), at, values.to(bool_).to(uint8), accumulate).to(bool_);
  const Tensor place = [&] {
    const NoGradGuard guard;
    return reshape(arange(x.numel()), x.shape()).index(at).contiguous();
  }();
  if (values.dim() > place.dim() || broadcast_shapes(values.shape(), place.shape(), "index_put_") != place.shape())
    throw_error<ShapeError>("index_put_: expected values that broadcast to ", place.shape(), ", got ", values.shape());
  const int64_t n = place.numel(), total = x.numel();
  const Tensor to = reshape(place, {n}), from = reshape(expand(values.to(x.dtype()), place.shape()), {n});
  const Tensor flat = reshape(x, {total});
  if (accumulate) return reshape(flat + scatter_add({total}, 0, to, from), x.shape());
  // Of several values for one element the last wins, and alone has its gradient.
  const Tensor last = full({total}, -1, int64), wins = empty({n}, bool_);
  const int64_t* target = to.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) last.data<int64_t>()[target[i]] = i;
  for (int64_t i = 0; i < n; ++i) wins.data<bool>()[i] = last.data<int64_t>()[target[i]] == i;
  const Tensor winners = reshape(nonzero(wins), {-1});
  const Tensor put_down = scatter_add({total}, 0, index_select(to, 0, winners), index_select(from, 0, winners));
  return reshape(where(last >= 0, put_down, flat), x.shape());
}

}  // namespace detail
}  // namespace limpid
