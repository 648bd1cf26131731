// Selection by index. gather and scatter_add are each other's transpose; index_select is a gather whose index is the
// same for every row.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/shaping/detail/indexing.hpp>

#include <algorithm>

namespace limpid {

using detail::require_defined;
using detail::require_whole;
using detail::throw_error;

namespace {

// The index as int64, every element within [0, bound), which those from -bound on count from the end of.
Tensor checked_index(const char* op, const Tensor& index, int64_t bound) {
  if (index.dtype() != int64 && index.dtype() != int32)
    throw_error<DTypeError>(op, ": expected an int64 or int32 index, got ", index.dtype());
  const Tensor wide = detail::as_dtype(index, int64), dense = detail::as_contiguous(wide);
  const int64_t* i = dense.data<int64_t>();
  // Most often all are within [0, bound), which a pass without branches tells: one below sets its own sign, one above
  // that of the difference.
  uint64_t signs = 0;
  for (int64_t k = 0; k < dense.numel(); ++k) {
    const auto at = static_cast<uint64_t>(i[k]);
    signs |= at | (static_cast<uint64_t>(bound - 1) - at);
  }
  if (signs >> 63 == 0) return wide;
  for (int64_t k = 0; k < dense.numel(); ++k) {
    if (i[k] >= -bound && i[k] < bound) continue;
    Shape position = index.shape();
    int64_t rest = k;
    for (std::size_t a = position.size(); a-- > 0;) {
      const int64_t size = position[a];
      position[a] = rest % size;
      rest /= size;
    }
    throw_error<ValueError>(op, ": expected indices in [", -bound, ", ", bound, "), got ", i[k], " at position ",
                            position);
  }
  const Tensor wrapped = empty(index.shape(), int64);
  std::transform(i, i + dense.numel(), wrapped.data<int64_t>(), [=](int64_t k) { return k < 0 ? k + bound : k; });
  return wrapped;
}

// The strides of one axis put to 0.
Strides without(Strides strides, std::size_t axis) {
  strides[axis] = 0;
  return strides;
}

Tensor gathered(const char* op, const Tensor& x, std::size_t axis, const Tensor& index);
Tensor scattered(const char* op, const Shape& shape, std::size_t axis, const Tensor& index, const Tensor& x,
                 double empty_sum = 0);

struct IndexNode : Node {
  Saved index{*this, "index"};
  Shape shape;  // of the indexed tensor
  std::size_t axis = 0;
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
};

struct GatherNode final : IndexNode {
  // y_(i,j) = x_(i,index_ij) for positions j along axis:  dx_(i,k) = sum of dy_ij over j with index_ij = k
  Tensors backward(const Tensors& dy) override { return {scattered(op, shape, axis, index, dy[0])}; }
  Tensors jvp(const Tensors& dx) override { return {gathered(op, dx[0], axis, index)}; }
};

struct ScatterNode final : IndexNode {
  // y_(i,k) = sum of x_ij over j with index_ij = k:  dx_ij = dy_(i,index_ij)
  Tensors backward(const Tensors& dy) override { return {gathered(op, dy[0], axis, index)}; }
  Tensors jvp(const Tensors& dx) override { return {scattered(op, shape, axis, index, dx[0])}; }
};

template <class N>
void record_index(const char* op, Tensor& y, const Tensor& x, const Shape& shape, std::size_t axis,
                  const Tensor& index) {
  if (auto* node = record_as<N>(op, y, x)) {
    node->index = index;
    node->shape = shape;
    node->axis = axis;
  }
}

// Whether an index along axis stands for whole rows of x, which lie one behind the other in both x and y.
bool is_of_rows(const Tensor& x, const Tensor& y, std::size_t axis, const Tensor& index) {
  const Strides& strides = index.strides();
  return axis == 0 && x.is_contiguous() && y.is_contiguous() &&
         std::equal(x.shape().begin() + 1, x.shape().end(), y.shape().begin() + 1) &&
         std::all_of(strides.begin() + 1, strides.end(), [](int64_t s) { return s == 0; });
}

// y_j = the row of x whose index is that of j.
void copy_rows(const Tensor& x, const Tensor& index, const Tensor& y) {
  const int64_t size = y.numel() / y.shape()[0], index_step = index.strides()[0];
  const int64_t* at = index.data<int64_t>();
  detail::visit_size(x.dtype(), [&]<class T>(T) {
    parallel_for(y.shape()[0], std::max<int64_t>(detail::elementwise_grain / size, 1),
                 [=, to = static_cast<T*>(y.raw_data()), from = static_cast<const T*>(x.raw_data())](int64_t begin,
                                                                                                     int64_t end) {
                   for (int64_t j = begin; j < end; ++j)
                     std::copy_n(from + at[j * index_step] * size, size, to + j * size);
                 });
  });
}

Tensor gathered(const char* op, const Tensor& x, std::size_t axis, const Tensor& index) {
  const detail::OpScope scope(op);
  Tensor y = empty(index.shape(), x.dtype(), x.memory_format());
  if (y.numel() > y.shape()[axis] && is_of_rows(x, y, axis, index)) {
    copy_rows(x, index, y);
  } else if (y.numel() > 0) {
    const detail::StridedLoop<3> loop(y.shape(), {y.strides(), without(x.strides(), axis), index.strides()});
    const int64_t step = x.strides()[axis];
    const int64_t* at = index.data<int64_t>();
    detail::visit_size(x.dtype(), [&]<class T>(T) {
      T* to = static_cast<T*>(y.raw_data());
      const T* from = static_cast<const T*>(x.raw_data());
      loop.run([=](int64_t count, const auto& offset, const auto& steps) {
        T* t = to + offset[0];
        const T* f = from + offset[1];
        const int64_t* k = at + offset[2];
        if (steps[2] == 0) {
          f += *k * step;
          if (steps[0] == 1 && steps[1] == 1)
            std::copy_n(f, count, t);
          else
            for (int64_t i = 0; i < count; ++i) t[i * steps[0]] = f[i * steps[1]];
        } else if (steps[0] == 1 && steps[1] == 0 && steps[2] == 1 && step == 1) {  // along a row
          for (int64_t i = 0; i < count; ++i) t[i] = f[k[i]];
        } else {
          for (int64_t i = 0; i < count; ++i) t[i * steps[0]] = f[i * steps[1] + k[i * steps[2]] * step];
        }
      });
    });
  }
  record_index<GatherNode>(op, y, x, x.shape(), axis, index);
  return y;
}

template <class T>
inline void add_row(T* to, const T* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if constexpr (std::is_same_v<T, bool>)
      to[i] |= from[i];
    else
      to[i] = static_cast<T>(to[i] + from[i]);
}

// y_k = the sum of the rows x_j whose index is k. Shared out over rows of y: a thread reads whole rows of x, in order.
void add_rows(const Tensor& x, const Tensor& index, const Tensor& y, double empty_sum) {
  const int64_t rows = x.shape()[0], size = x.numel() / rows, index_step = index.strides()[0];
  const int64_t* at = index.data<int64_t>();
  const int64_t grain =
      std::max<int64_t>(detail::elementwise_grain / std::max<int64_t>(x.numel() / y.shape()[0], 1), 1);
  detail::visit_number(x.dtype(), [&]<class T>(T) {
    parallel_for(y.shape()[0], grain, [=, to = y.data<T>(), from = x.data<T>()](int64_t begin, int64_t end) {
      std::fill(to + begin * size, to + end * size, static_cast<T>(empty_sum));
      for (int64_t j = 0; j < rows; ++j)
        if (const int64_t k = at[j * index_step]; k >= begin && k < end) add_row(to + k * size, from + j * size, size);
    });
  });
}

// empty_sum: 0, or the -0 that changes nothing it is added to.
Tensor scattered(const char* op, const Shape& shape, std::size_t axis, const Tensor& index, const Tensor& x,
                 double empty_sum) {
  const detail::OpScope scope(op);
  if (is_half(x.dtype())) return scattered(op, shape, axis, index, x.to(float32), empty_sum).to(x.dtype());
  Tensor y = empty(shape, x.dtype(), x.memory_format());
  // What x covers is filled where it is added to, by the same thread.
  Shape rest = shape;
  rest[axis] = x.shape()[axis];
  const bool is_covered = rest == x.shape() && x.numel() > 0;
  if (!is_covered) detail::fill(y, empty_sum);
  if (x.numel() > 0) {
    if (is_covered && is_of_rows(x, y, axis, index)) {
      add_rows(x, index, y, empty_sum);
      record_index<ScatterNode>(op, y, x, shape, axis, index);
      return y;
    }
    // Shared out over everything but axis, along which additions to one element follow one another.
    Shape rows = x.shape();
    rows[axis] = 1;
    const detail::StridedLoop<3> loop(rows, {y.strides(), x.strides(), index.strides()});
    const int64_t length = x.shape()[axis], y_step = y.strides()[axis], x_step = x.strides()[axis],
                  index_step = index.strides()[axis], filled = is_covered ? shape[axis] : 0;
    const int64_t* at = index.data<int64_t>();
    detail::visit_number(x.dtype(), [&]<class T>(T) {
      T* to = y.data<T>();
      const T* from = x.data<T>();
      const auto add = [=](int64_t i, int64_t j, int64_t k) { add_row(to + i + at[k] * y_step, from + j, 1); };
      const auto run = [=](int64_t count, const auto& o, const auto& s) {
        if (y_step == 1)
          for (int64_t i = 0; i < count; ++i) std::fill_n(to + o[0] + i * s[0], filled, static_cast<T>(empty_sum));
        else
          for (int64_t a = 0; a < filled; ++a)
            for (int64_t i = 0; i < count; ++i) to[o[0] + a * y_step + i * s[0]] = static_cast<T>(empty_sum);
        if (x_step < s[1]) {
          for (int64_t i = 0; i < count; ++i)
            for (int64_t a = 0; a < length; ++a)
              add(o[0] + i * s[0], o[1] + i * s[1] + a * x_step, o[2] + i * s[2] + a * index_step);
        } else if (s[0] == 1 && s[1] == 1 && s[2] == 0) {  // rows, each added to one
          for (int64_t a = 0; a < length; ++a) {
            const int64_t i = o[0] + at[o[2] + a * index_step] * y_step, j = o[1] + a * x_step;
            add_row(to + i, from + j, count);
          }
        } else {
          for (int64_t a = 0; a < length; ++a)
            for (int64_t i = 0; i < count; ++i)
              add(o[0] + i * s[0], o[1] + i * s[1] + a * x_step, o[2] + i * s[2] + a * index_step);
        }
      };
      loop.run(run, std::max<int64_t>(detail::elementwise_grain / std::max(length, filled), 1));
    });
  }
  record_index<ScatterNode>(op, y, x, shape, axis, index);
  return y;
}

// An index may be smaller than the indexed tensor along the other axes, as PyTorch's.
void require_index_fits(const char* op, const Shape& shape, std::size_t axis, const Tensor& index) {
  bool fits = index.shape().size() == shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = i == axis || index.shape()[i] <= shape[i];
  if (!fits)
    throw_error<ShapeError>(op, ": expected an index of the rank of shape ", shape,
                            " and no larger than it along axes other than ", axis, ", got shape ", index.shape());
}

// The part of a source that an index covers.
Tensor covered(const char* op, const Tensor& source, const Tensor& index) {
  bool fits = source.shape().size() == index.shape().size();
  for (std::size_t i = 0; fits && i < index.shape().size(); ++i) fits = index.shape()[i] <= source.shape()[i];
  if (!fits)
    throw_error<ShapeError>(op, ": expected values of at least the index's shape ", index.shape(), ", got ",
                            source.shape());
  Tensor y = source;
  for (int64_t axis = 0; axis < index.dim(); ++axis)
    if (y.size(axis) != index.size(axis)) y = slice(y, axis, 0, index.size(axis));
  return y;
}

// A 1-D index along axis as one for tensors of this shape, but for axis.
Tensor as_wide(const Tensor& rows, Shape shape, std::size_t axis) {
  Strides strides(shape.size(), 0);
  shape[axis] = rows.numel();
  strides[axis] = rows.strides()[0];
  return detail::make_view(rows, shape, strides, rows.offset());
}

}  // namespace

Tensor gather(const Tensor& x, int64_t axis, const Tensor& index) {
  require_defined("gather", "x", x);
  require_defined("gather", "index", index);
  const auto a = static_cast<std::size_t>(normalize_axis(axis, x.dim(), "gather"));
  require_index_fits("gather", x.shape(), a, index);
  return gathered("gather", x, a, checked_index("gather", index, x.shape()[a]));
}

Tensor take_along_axis(const Tensor& x, const Tensor& index, int64_t axis) {
  require_defined("take_along_axis", "x", x);
  require_defined("take_along_axis", "index", index);
  const auto a = static_cast<std::size_t>(normalize_axis(axis, x.dim(), "take_along_axis"));
  if (index.dim() != x.dim())
    throw_error<ShapeError>("take_along_axis: expected an index of as many axes as x of shape ", x.shape(), ", got ",
                            index.shape());
  const Tensor places = checked_index("take_along_axis", index, x.shape()[a]);
  // All but the axis broadcast.
  Shape one = x.shape(), other = index.shape();
  one[a] = other[a] = 1;
  Shape of_x = broadcast_shapes(one, other, "take_along_axis"), of_index = of_x;
  of_x[a] = x.shape()[a];
  of_index[a] = index.shape()[a];
  return gathered("take_along_axis", expand(x, of_x), a, expand(places, of_index));
}

Tensor scatter_add(const Shape& shape, int64_t axis, const Tensor& index, const Tensor& x) {
  require_defined("scatter_add", "index", index);
  require_defined("scatter_add", "x", x);
  const auto a = static_cast<std::size_t>(normalize_axis(axis, shape.dim(), "scatter_add"));
  shape.numel();  // throws on a shape that cannot be
  require_index_fits("scatter_add", shape, a, index);
  const Tensor part = covered("scatter_add", x, index);
  return scattered("scatter_add", shape, a, checked_index("scatter_add", index, shape[a]), part);
}

namespace {

// The axis, where x takes what source has at an index along it.
std::size_t scatter_axis(const char* op, const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  require_defined(op, "x", x);
  require_defined(op, "index", index);
  require_defined(op, "source", source);
  const auto a = static_cast<std::size_t>(normalize_axis(axis, x.dim(), op));
  require_index_fits(op, x.shape(), a, index);
  if (source.dtype() != x.dtype())
    throw_error<DTypeError>(op, ": expected a source of x's dtype ", x.dtype(), ", got ", source.dtype());
  return a;
}

}  // namespace

Tensor detail::scattered_over(const char* op, const Tensor& x, int64_t axis, const Tensor& index,
                              const Tensor& source) {
  const std::size_t a = scatter_axis(op, x, axis, index, source);
  const Tensor part = covered(op, source, index);
  const Tensor at = detail::as_contiguous(checked_index(op, index, x.shape()[a]));
  // Which element of the index is the last for each place of x, and which of them are such.
  const Tensor last = full(x.shape(), -1, int64), wins = empty(index.shape(), bool_);
  const int64_t* target = at.data<int64_t>();
  const auto place_of = [&](int64_t i) {
    int64_t place = 0;
    for (std::size_t k = index.shape().size(); k-- > 0; i /= index.shape()[k])
      place += (k == a ? 0 : i % index.shape()[k]) * last.strides()[k];
    return place;
  };
  for (int64_t i = 0; i < at.numel(); ++i) last.data<int64_t>()[place_of(i) + target[i] * last.strides()[a]] = i;
  for (int64_t i = 0; i < at.numel(); ++i)
    wins.data<bool>()[i] = last.data<int64_t>()[place_of(i) + target[i] * last.strides()[a]] == i;
  const Tensor winners = where(wins, part, zeros({}, part.dtype()));
  return where(last >= 0, scattered(op, x.shape(), a, at, winners), x);
}

Tensor detail::scattered_over(const char* op, const Tensor& x, int64_t axis, const Tensor& index, Scalar value) {
  require_defined(op, "x", x);
  require_defined(op, "index", index);
  require_whole(op, x, value);
  return scattered_over(op, x, axis, index, expand(number_for(op, value, x.dtype()), index.shape()));
}

Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  return detail::scattered_over("scatter", x, axis, index, source);
}
Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, Scalar value) {
  return detail::scattered_over("scatter", x, axis, index, value);
}

Tensor detail::scatter_added(const char* op, const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  const std::size_t a = scatter_axis(op, x, axis, index, source);
  const Tensor part = covered(op, source, index), at = checked_index(op, index, x.shape()[a]);
  // Half precision is float32 until the sum is there.
  const DType wide = detail::compute_type(x.dtype());
  return add(x.to(wide), scattered(op, x.shape(), a, at, part.to(wide), -0.0)).to(x.dtype());
}

Tensor scatter_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source) {
  return detail::scatter_added("scatter_add", x, axis, index, source);
}

Tensor detail::index_added(const char* op, const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source,
                           Scalar alpha) {
  require_defined(op, "x", x);
  require_defined(op, "index", index);
  require_defined(op, "source", source);
  const auto a = static_cast<std::size_t>(normalize_axis(axis, x.dim(), op));
  if (index.dim() != 1) throw_error<ShapeError>(op, ": expected an index of rank 1, got shape ", index.shape());
  Shape expected = x.shape();
  expected[a] = index.numel();
  if (source.shape() != expected)
    throw_error<ShapeError>(op, ": expected a source of shape ", expected, ", got ", source.shape());
  if (source.dtype() != x.dtype())
    throw_error<DTypeError>(op, ": expected a source of x's dtype ", x.dtype(), ", got ", source.dtype());
  require_whole(op, x, alpha);
  const Tensor at = as_wide(checked_index(op, index, x.shape()[a]), x.shape(), a);
  // Half precision is float32 until the sum is there. alpha goes to the rows: infinite, it is nothing to other places.
  const DType wide = detail::compute_type(x.dtype());
  Tensor rows = source.to(wide);
  if (alpha.to_double() != 1) rows = wide == bool_ ? mul(rows, alpha).to(wide) : mul(rows, number_for(op, alpha, wide));
  return add(x.to(wide), scattered(op, x.shape(), a, at, rows, -0.0)).to(x.dtype());
}

Tensor index_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source, Scalar alpha) {
  return detail::index_added("index_add", x, axis, index, source, alpha);
}

Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index) {
  require_defined("index_select", "x", x);
  require_defined("index_select", "index", index);
  const auto a = static_cast<std::size_t>(normalize_axis(axis, x.dim(), "index_select"));
  if (index.dim() != 1) throw_error<ShapeError>("index_select: expected an index of rank 1, got shape ", index.shape());
  return gathered("index_select", x, a, as_wide(checked_index("index_select", index, x.shape()[a]), x.shape(), a));
}

}  // namespace limpid
