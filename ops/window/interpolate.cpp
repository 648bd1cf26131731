// Resizing along one axis after another: each is a sparse linear map.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/pool.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/window.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace limpid {

using detail::throw_error;

namespace {

// ---- sparse rows

// Kept from call to call by the pool: the system would be asked for them each time.
template <class T>
using List = std::vector<T, detail::PoolAllocator<T>>;

// y_r = sum of weight x_index over the entries of row r.
struct SparseRows {
  struct Entry {
    int64_t index;
    double weight;
  };
  int64_t columns = 0;
  List<int64_t> begin{0};  // of each row's entries, and where the last one's end
  List<Entry> entries;

  int64_t rows() const { return static_cast<int64_t>(begin.size()) - 1; }
  // Of one row, a second weight of one element is added to its first; those of 0 are left out, lest they meet infinity.
  void add(int64_t index, double weight) {
    const auto first = entries.begin() + begin.back();
    const auto same = std::find_if(first, entries.end(), [=](const Entry& e) { return e.index == index; });
    if (same != entries.end())
      same->weight += weight;
    else if (weight != 0)
      entries.push_back({index, weight});
  }
  void end_row() { begin.push_back(static_cast<int64_t>(entries.size())); }
};

SparseRows transpose_of(const SparseRows& rows) {
  SparseRows t;
  t.columns = rows.rows();
  t.begin.assign(static_cast<std::size_t>(rows.columns) + 1, 0);
  for (const auto& e : rows.entries) ++t.begin[static_cast<std::size_t>(e.index) + 1];
  for (std::size_t i = 1; i < t.begin.size(); ++i) t.begin[i] += t.begin[i - 1];
  t.entries.resize(rows.entries.size());
  List<int64_t> next = t.begin;
  for (int64_t r = 0; r < rows.rows(); ++r)
    for (int64_t k = rows.begin[static_cast<std::size_t>(r)]; k < rows.begin[static_cast<std::size_t>(r) + 1]; ++k) {
      const auto& e = rows.entries[static_cast<std::size_t>(k)];
      t.entries[static_cast<std::size_t>(next[static_cast<std::size_t>(e.index)]++)] = {r, e.weight};
    }
  return t;
}

// The same where each row is given 1, 2 or 4 entries: loops of a length that the compiler knows.
struct FixedRows {
  int64_t taps = 0;  // of each row; 0: rows differ too much
  List<SparseRows::Entry> entries;

  explicit FixedRows(const SparseRows& m) {
    int64_t most = 0, least = 1;
    for (int64_t r = 0; r < m.rows(); ++r) {
      const int64_t count = m.begin[static_cast<std::size_t>(r) + 1] - m.begin[static_cast<std::size_t>(r)];
      most = std::max(most, count);
      least = std::min(least, count);
    }
    if (least < 1 || most > 4) return;
    taps = most == 3 ? 4 : most;
    for (int64_t r = 0; r < m.rows(); ++r) {
      const auto first = m.entries.begin() + m.begin[static_cast<std::size_t>(r)],
                 last = m.entries.begin() + m.begin[static_cast<std::size_t>(r) + 1];
      entries.insert(entries.end(), first, last);
      // What lacks is made by halves of an entry, which add up to it exactly; one of 0 would meet infinities.
      for (int64_t k = last - first; k < taps; ++k) {
        entries.back().weight /= 2;
        entries.push_back(entries.back());
      }
    }
  }
};

// One direction of a map, by rows of any length and, where they allow it, of a fixed one.
struct Rows {
  explicit Rows(SparseRows rows) : any(std::move(rows)), fixed(any) {}
  SparseRows any;
  FixedRows fixed;
};

// A map and its transpose, which is all that derivatives of any order are made of.
struct LinearMap {
  explicit LinearMap(SparseRows map) : rows(std::move(map)), transposed(transpose_of(rows.any)) {}
  Rows rows, transposed;
};
using LinearMapRef = std::shared_ptr<const LinearMap>;

// x as (outer, size, inner) with an axis in the middle, in the order of its memory.
struct Middle {
  int64_t outer = 1, inner = 1;
  Middle(const Shape& shape, std::size_t axis, bool channels_last) {
    for (std::size_t a = 0; a < shape.size(); ++a) {
      if (a == axis) continue;
      const bool before = a == 0 || (a < axis && !(channels_last && a == 1));
      (before ? outer : inner) *= shape[a];
    }
  }
};

// f(row of all outer ones, the first of those of x it is made of) for rows [begin, end).
template <class T, class F>
void each_row(const SparseRows& m, const Middle& d, const T* x, int64_t begin, int64_t end, F&& f) {
  const int64_t rows = m.rows();
  int64_t r = begin % rows;
  const T* from = x + begin / rows * m.columns * d.inner;
  for (int64_t i = begin; i < end; ++i) {
    f(i, r, from);
    if (++r == rows) r = 0, from += m.columns * d.inner;
  }
}

// Along the last axis, where a row of the map is one number.
template <int taps, class T>
void apply_along(const Rows& m, int64_t begin, int64_t end, const T* x, T* y) {
  const int64_t rows = m.any.rows();
  for (int64_t i = begin; i < end;) {
    const int64_t outer = i / rows, first = i % rows, last = std::min(rows, first + end - i);
    const T* from = x + outer * m.any.columns;
    T* __restrict to = y + outer * rows;
    const SparseRows::Entry* e = m.fixed.entries.data() + first * taps;
    for (int64_t r = first; r < last; ++r, e += taps) {
      double sum = e[0].weight * static_cast<double>(from[e[0].index]);
      for (int k = 1; k < taps; ++k) sum += e[k].weight * static_cast<double>(from[e[k].index]);
      to[r] = static_cast<T>(sum);
    }
    i += last - first;
  }
}

template <int taps, class T>
void apply_fixed(const Rows& m, const Middle& d, int64_t begin, int64_t end, const T* x, T* y) {
  if (d.inner == 1) return apply_along<taps>(m, begin, end, x, y);
  each_row(m.any, d, x, begin, end, [&](int64_t i, int64_t r, const T* from) {
    const SparseRows::Entry* e = m.fixed.entries.data() + r * taps;
    const T* rows[taps];
    double weights[taps];
    for (int k = 0; k < taps; ++k) rows[k] = from + e[k].index * d.inner, weights[k] = e[k].weight;
    T* __restrict to = y + i * d.inner;
    if (taps == 1 && weights[0] == 1) {
      std::copy_n(rows[0], d.inner, to);
      return;
    }
    for (int64_t j = 0; j < d.inner; ++j) {
      double sum = weights[0] * static_cast<double>(rows[0][j]);
      for (int k = 1; k < taps; ++k) sum += weights[k] * static_cast<double>(rows[k][j]);
      to[j] = static_cast<T>(sum);
    }
  });
}

template <class T>
void apply_any(const SparseRows& m, const Middle& d, int64_t begin, int64_t end, const T* x, T* y) {
  constexpr int64_t chunk = 256;
  double sums[chunk];
  each_row(m, d, x, begin, end, [&](int64_t i, int64_t r, const T* from) {
    const SparseRows::Entry *first = m.entries.data() + m.begin[static_cast<std::size_t>(r)],
                            *last = m.entries.data() + m.begin[static_cast<std::size_t>(r) + 1];
    for (int64_t start = 0; start < d.inner; start += chunk) {
      const int64_t count = std::min(chunk, d.inner - start);
      std::fill_n(sums, count, 0.0);
      for (const auto* e = first; e < last; ++e) {
        const T* __restrict v = from + e->index * d.inner + start;
        const double weight = e->weight;
        for (int64_t j = 0; j < count; ++j) sums[j] += weight * static_cast<double>(v[j]);
      }
      for (int64_t j = 0; j < count; ++j) y[i * d.inner + start + j] = static_cast<T>(sums[j]);
    }
  });
}

template <class T>
void apply(const Rows& m, const Middle& d, const T* x, T* y) {
  const int64_t grain = std::max<int64_t>(1, 16384 / d.inner);
  parallel_for(d.outer * m.any.rows(), grain, [&](int64_t begin, int64_t end) {
    switch (m.fixed.taps) {
      case 1: return apply_fixed<1>(m, d, begin, end, x, y);
      case 2: return apply_fixed<2>(m, d, begin, end, x, y);
      case 4: return apply_fixed<4>(m, d, begin, end, x, y);
      default: return apply_any(m.any, d, begin, end, x, y);
    }
  });
}

Tensor resample(const char* op, const LinearMapRef& map, bool transposed, int64_t axis, const Tensor& x);

struct ResampleNode final : Node {
  LinearMapRef map;
  bool transposed = false;
  int64_t axis = 0;
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // y_r = sum over the entries (r, i) of w_ri x_i:  dx_i = sum over the entries (r, i) of w_ri dy_r
  Tensors backward(const Tensors& dy) override {
    return {resample(transposed ? "interpolate" : "interpolate_grad", map, !transposed, axis, dy[0])};
  }
  Tensors jvp(const Tensors& dx) override { return {resample(op, map, transposed, axis, dx[0])}; }
};

Tensor resample(const char* op, const LinearMapRef& map, bool transposed, int64_t axis, const Tensor& x_any) {
  const detail::OpScope scope(op);
  const Rows& rows = transposed ? map->transposed : map->rows;
  const MemoryFormat format = x_any.memory_format();
  const Tensor x = detail::as_contiguous(x_any, format);
  Shape shape = x.shape();
  shape[static_cast<std::size_t>(axis)] = rows.any.rows();
  Tensor y = empty(shape, x.dtype(), format);
  if (y.numel()) {
    const Middle middle(shape, static_cast<std::size_t>(axis), format == MemoryFormat::channels_last);
    detail::visit_float(x.dtype(), [&]<class T>(T) { apply(rows, middle, x.data<T>(), y.data<T>()); });
  }
  if (auto* node = record_as<ResampleNode>(op, y, x_any)) {
    node->map = map;
    node->transposed = transposed;
    node->axis = axis;
  }
  return y;
}

// ---- the rows of each mode

// One axis: elements of x and of y, and how many of y stand for one of x where a scale says it.
struct Axis {
  int64_t size, out;
  std::optional<double> scale;  // to be divided by: its reciprocal is rounded
};

// i a / b, rounded down; i < b, and no product overflows.
int64_t part(int64_t i, int64_t a, int64_t b) { return i * (a / b) + i * (a % b) / b; }

int64_t nearest(const Axis& a, int64_t i, bool exact) {
  int64_t at;
  if (a.scale)
    at = static_cast<int64_t>(std::floor((static_cast<double>(i) + (exact ? 0.5 : 0)) / *a.scale));
  else
    at = exact ? part(2 * i + 1, a.size, 2 * a.out) : part(i, a.size, a.out);
  return std::clamp<int64_t>(at, 0, a.size - 1);
}

// Where element i of y lies between those of x.
double position(const Axis& a, int64_t i, bool align_corners) {
  const auto at = static_cast<double>(i), size = static_cast<double>(a.size), out = static_cast<double>(a.out);
  if (align_corners) return a.out > 1 ? at * (size - 1) / (out - 1) : 0;
  return a.scale ? (at + 0.5) / *a.scale - 0.5 : ((2 * at + 1) * size - out) / (2 * out);
}

void add_linear(SparseRows& rows, const Axis& a, double position) {
  const double at = std::clamp(position, 0.0, static_cast<double>(a.size - 1));
  const auto below = std::min(static_cast<int64_t>(at), a.size - 1);
  const double above = at - static_cast<double>(below);
  rows.add(below, 1 - above);
  if (above > 0) rows.add(below + 1, above);
}

// Keys's cubic convolution with a = -0.75; neighbours beyond x are its last element.
void add_cubic(SparseRows& rows, const Axis& a, double position) {
  constexpr double c = -0.75;
  const double below = std::floor(position), t = position - below;
  const auto near = [](double d) { return ((c + 2) * d - (c + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((c * d - 5 * c) * d + 8 * c) * d - 4 * c; };
  const double weights[] = {far(t + 1), near(t), near(1 - t), far(2 - t)};
  for (int64_t k = 0; k < 4; ++k)
    rows.add(std::clamp<int64_t>(static_cast<int64_t>(below) - 1 + k, 0, a.size - 1), weights[k]);
}

void add_area(SparseRows& rows, const Axis& a, int64_t i) {
  const int64_t start = part(i, a.size, a.out), rest = a.size % a.out,
                end = (i + 1) * (a.size / a.out) + ((i + 1) * rest + a.out - 1) / a.out;
  for (int64_t j = start; j < end; ++j) rows.add(j, 1 / static_cast<double>(end - start));
}

LinearMapRef map_of(const Axis& a, Interpolation mode, bool align_corners) {
  SparseRows rows;
  rows.columns = a.size;
  for (int64_t i = 0; i < a.out; ++i) {
    switch (mode) {
      case Interpolation::nearest: rows.add(nearest(a, i, false), 1); break;
      case Interpolation::nearest_exact: rows.add(nearest(a, i, true), 1); break;
      case Interpolation::area: add_area(rows, a, i); break;
      case Interpolation::bicubic: add_cubic(rows, a, position(a, i, align_corners)); break;
      case Interpolation::linear:
      case Interpolation::bilinear:
      case Interpolation::trilinear: add_linear(rows, a, position(a, i, align_corners)); break;
    }
    rows.end_row();
  }
  return std::make_shared<const LinearMap>(std::move(rows));
}

// ---- arguments

// The spatial axes that a mode is for; 0: any.
int64_t rank_of(Interpolation mode) {
  switch (mode) {
    case Interpolation::linear: return 1;
    case Interpolation::bilinear:
    case Interpolation::bicubic: return 2;
    case Interpolation::trilinear: return 3;
    default: return 0;
  }
}

std::vector<Axis> axes_of(const Tensor& x, const InterpolateOptions& options) {
  const char* op = "interpolate";
  const int64_t rank = x.dim() - 2;
  const auto& [size, scale_factor, mode, align_corners] = options;
  const bool by_size = !size.empty();
  if (by_size == scale_factor.has_value())
    throw_error<ValueError>(op, ": expected a size or a scale_factor, got ", by_size ? "both" : "neither");
  if (by_size && size.dim() != 1 && size.dim() != rank)
    throw_error<ValueError>(op, ": expected a size of one number or of one for each spatial axis, got ", size,
                            " for x of shape ", x.shape());
  if (scale_factor) detail::require_count(op, "scale_factor", *scale_factor, rank);
  std::vector<Axis> axes;
  for (int64_t a = 0; a < rank; ++a) {
    Axis axis{x.size(a + 2), 0, {}};
    if (by_size) {
      axis.out = size[static_cast<std::size_t>(size.dim() == 1 ? 0 : a)];
      if (axis.out < 1 || axis.out > INT32_MAX)
        throw_error<ValueError>(op, ": expected sizes of at least 1 and below 2^31, got ", size);
    } else {
      const double scale = (*scale_factor)[a];
      detail::ranges::expect(op, {{"scale_factor", scale, detail::ranges::finite_above_0}});
      const double out = std::floor(static_cast<double>(axis.size) * scale);
      if (axis.size > 0 && !(out >= 1 && out < 0x1p31))
        throw_error<ValueError>(op,
                                ": expected a scale_factor that gives from 1 to 2^31 - 1 elements along each axis, "
                                "got x of shape ",
                                x.shape(), " and scale_factor = ", *scale_factor);
      axis.out = static_cast<int64_t>(out);
      axis.scale = scale;
    }
    if (axis.size < 1)
      throw_error<ShapeError>(op, ": expected spatial axes of at least one element, got x of shape ", x.shape());
    axes.push_back(axis);
  }
  return axes;
}

}  // namespace

Tensor interpolate(const Tensor& x, const InterpolateOptions& options) {
  const char* op = "interpolate";
  detail::require_defined(op, "x", x);
  detail::require_member(op, "Interpolation", options.mode, Interpolation::area,
                         "nearest, nearest_exact, linear, bilinear, trilinear, bicubic or area");
  const int64_t wanted = rank_of(options.mode);
  if (x.dim() < 3 || x.dim() > 5 || (wanted && x.dim() != wanted + 2))
    throw_error<ShapeError>(op, ": expected x of shape ",
                            wanted ? detail::shape_in_words("(N, C, ", "", wanted)
                                   : std::string("(N, C, *spatial) with one to three spatial axes"),
                            wanted ? " in this mode" : "", ", got ", x.shape());
  if (options.align_corners && wanted == 0)
    throw_error<ValueError>(op, ": expected align_corners with a linear or cubic mode alone");
  const std::vector<Axis> axes = axes_of(x, options);
  const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x}});
  if (x.numel() == 0) {  // of no samples or no channels: no table of rows that none is made by
    Shape shape = x.shape();
    for (std::size_t a = 0; a < axes.size(); ++a) shape[a + 2] = axes[a].out;
    return reshape(x, shape).contiguous(x.memory_format()).clone();
  }
  Tensor y = x.to(is_half(dtype) ? float32 : dtype);
  // The last axis first: where x grows, it is least then.
  for (std::size_t a = axes.size(); a-- > 0;)
    if (axes[a].size != axes[a].out) {
      Shape shape = y.shape();
      shape[a + 2] = axes[a].out;
      empty(shape, y.dtype());  // what exceeds the limit of memory says so before its table of rows is made
      y = resample(op, map_of(axes[a], options.mode, options.align_corners), false, static_cast<int64_t>(a) + 2, y);
    }
  y = y.to(dtype);
  return y.is_same(x) ? x.clone() : y;
}

}  // namespace limpid
