#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/ops/detail/reduce.hpp>
#include <limpid/ops/kernels/reduce.hpp>

namespace limpid::detail {

Shape reduced_shape(const Shape& shape, const Axes& axes, bool keepdims) {
  Shape result;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool goes = std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i));
    if (!goes || keepdims) result.push_back(goes ? 1 : shape[i]);
  }
  return result;
}

Tensor reduced_like(const Tensor& x, const Axes& axes, bool keepdims, DType dtype) {
  return empty(reduced_shape(x.shape(), axes, keepdims), dtype,
               keepdims ? x.memory_format() : MemoryFormat::contiguous);
}

namespace {

using Group = ReducePlan::Group;

Group merged(const Shape& shape, const Strides& x, const Strides& y) {
  Group group;
  for (int64_t size : shape) group.count *= size;
  if (group.count == 0) return group;
  const StridedLoop<2> loop(shape, {x, y});
  group.shape = loop.shape;
  group.x = loop.strides[0];
  group.y = loop.strides[1];
  return group;
}

}  // namespace

ReducePlan::ReducePlan(const Tensor& x, const Tensor& y, const Axes& axes) {
  Shape shapes[2];
  Strides xs[2], ys[2];
  const bool keepdims = x.dim() == y.dim();
  for (std::size_t i = 0, k = 0; i < x.shape().size(); ++i) {
    const bool goes = std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i));
    shapes[goes].push_back(x.shape()[i]);
    xs[goes].push_back(x.strides()[i]);
    ys[goes].push_back(goes ? 0 : y.strides()[k]);
    k += !goes || keepdims;
  }
  kept = merged(shapes[0], xs[0], ys[0]);
  reduced = merged(shapes[1], xs[1], ys[1]);
}

namespace {

template <class T>
kernels::AddRows<T> add_rows() {
  const auto& table = [&]() -> const kernels::ReduceKernels& {
#if defined(__x86_64__)
    if (isa() == Isa::avx512) return kernels::avx512::reduce_kernels;
    if (isa() == Isa::avx2) return kernels::avx2::reduce_kernels;
#endif
    return kernels::baseline::reduce_kernels;
  }();
  if constexpr (std::is_same_v<T, float>)
    return table.add_rows_f32;
  else
    return table.add_rows_f64;
}

// Integers wrap, so their order is free.
template <class T>
requires std::is_integral_v<T>
void add_integer_rows(uint64_t* acc, const T* x, int64_t rows, int64_t stride, int64_t n) noexcept {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; ++j) acc[j] += static_cast<uint64_t>(x[i * stride + j]);
}

// The order of a sum. Reduced elements come in leaves of a fixed size, sixteen leaves make a branch, and leaves and
// branches are added up as binary trees; threads share out branches. Within a leaf there are either
//   lanes:    one output, whose elements lie side by side: element i goes to lane i mod 64, lanes are folded in halves;
//   columns:  up to 256 outputs side by side, whose rows are added in order.
// Elements that do not lie side by side are packed first. Nothing depends on threads or on the width of a register.
constexpr int64_t lanes = 64, lane_leaf = 4096, columns = 256, leaves_per_branch = 16, tree_depth = 5;

template <class Acc>
void add_to(Acc* acc, const Acc* x, int64_t n) {
  for (int64_t j = 0; j < n; ++j) acc[j] += x[j];
}

template <class T>
class Sum {
  using Acc = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;

 public:
  Sum(const Tensor& y, const Tensor& x, const Axes& axes, double divisor)
      : plan_(x, y, axes),
        x_(x.data<T>()),
        y_(y),
        divisor_(divisor) {
    if constexpr (std::is_integral_v<T>)
      add_rows_ = add_integer_rows<T>;
    else
      add_rows_ = add_rows<T>();
  }

  void run() {
    const Group &kept = plan_.kept, &reduced = plan_.reduced;
    // Read along the axis with the smaller step, but do not take an expanded axis for one that lies side by side.
    const auto rank = [](const Group& g) { return g.step() == 0 ? INT64_MAX : std::abs(g.step()); };
    by_columns_ = kept.length() > 1 && rank(kept) < rank(reduced);
    width_ = by_columns_ ? std::min(kept.length(), columns) : 1;
    tiles_ = by_columns_ ? (kept.length() + columns - 1) / columns : 1;
    leaf_ = by_columns_ ? std::max<int64_t>(lane_leaf / width_, 64) : lane_leaf;
    const int64_t outputs = kept.count / (by_columns_ ? kept.length() : 1) * tiles_;
    const int64_t branch = leaf_ * leaves_per_branch, branches = std::max<int64_t>((reduced.count - 1) / branch + 1, 1);
    if (outputs == 0) return;
    const auto grain = [&](int64_t work) {
      return std::max<int64_t>(elementwise_grain / std::max<int64_t>(work, 1), 1);
    };
    if (branches == 1) {
      parallel_for(outputs, grain(width_ * reduced.count), [&](int64_t begin, int64_t end) {
        Acc acc[columns];
        for (int64_t o = begin; o < end; ++o) {
          add_branch(acc, o, 0, reduced.count);
          store(o, acc);
        }
      });
      return;
    }
    const Tensor memory = empty({outputs, branches, width_}, std::is_integral_v<T> ? int64 : float64);
    Acc* partial = static_cast<Acc*>(memory.raw_data());
    parallel_for(outputs * branches, grain(width_ * branch), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % branches * branch;
        add_branch(partial + i * width_, i / branches, first, std::min(first + branch, reduced.count));
      }
    });
    parallel_for(outputs, grain(width_ * branches), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        Acc* parts = partial + o * branches * width_;
        for (int64_t step = 1; step < branches; step *= 2)
          for (int64_t i = 0; i + step < branches; i += 2 * step)
            add_to(parts + i * width_, parts + (i + step) * width_, width_);
        store(o, parts);
      }
    });
  }

 private:
  // Outputs [first, first + width) of the kept axes, row-major; they lie along the last of these.
  struct Tile {
    int64_t first, width;
  };
  Tile tile(int64_t o) const {
    if (!by_columns_) return {o, 1};
    const int64_t length = plan_.kept.length(), column = o % tiles_ * columns;
    return {o / tiles_ * length + column, std::min(columns, length - column)};
  }

  // acc[0 .. width) = sums over reduced elements [begin, end), at most leaves_per_branch leaves.
  void add_branch(Acc* acc, int64_t o, int64_t begin, int64_t end) const {
    const Tile t = tile(o);
    const T* x = x_ + ReducePlan::offset(plan_.kept.shape, plan_.kept.x, t.first);
    if (end - begin <= leaf_) return add_leaf(acc, x, t.width, begin, end);
    // A binary counter: level k waits for a second subtree of 2^k leaves.
    Acc waiting[tree_depth][columns];
    int64_t count = 0;
    for (; begin < end; begin += leaf_, ++count) {
      add_leaf(acc, x, t.width, begin, std::min(begin + leaf_, end));
      int64_t level = 0;
      for (; count >> level & 1; ++level) {
        add_to(waiting[level], acc, t.width);
        std::copy_n(waiting[level], t.width, acc);
      }
      std::copy_n(acc, t.width, waiting[level]);
    }
    bool any = false;
    for (int64_t level = 0; level < tree_depth; ++level) {
      if (!(count >> level & 1)) continue;
      if (any)
        add_to(acc, waiting[level], t.width);
      else
        std::copy_n(waiting[level], t.width, acc);
      any = true;
    }
  }

  void add_leaf(Acc* acc, const T* x, int64_t width, int64_t begin, int64_t end) const {
    if (by_columns_)
      add_columns(acc, x, width, begin, end);
    else
      *acc = add_lanes(x, begin, end);
  }

  Acc add_lanes(const T* x, int64_t begin, int64_t end) const {
    const int64_t n = end - begin;
    T packed[lane_leaf];
    const T* from = packed;
    ReducePlan::for_runs(plan_.reduced, begin, end, [&](int64_t at, int64_t position, int64_t count, int64_t step) {
      if (count == n && step == 1)
        from = x + at;
      else
        for (int64_t i = 0; i < count; ++i) packed[position + i] = x[at + i * step];
    });
    const int64_t rows = n / lanes, rest = n % lanes;
    if (rows == 0) {
      Acc total{};
      for (int64_t i = 0; i < rest; ++i) total += static_cast<Acc>(from[i]);
      return total;
    }
    Acc acc[lanes] = {};
    add_rows_(acc, from, rows, lanes, lanes);
    add_rows_(acc, from + rows * lanes, rest != 0, 0, rest);
    for (int64_t half = lanes / 2; half > 0; half /= 2) add_to(acc, acc + half, half);
    return acc[0];
  }

  void add_columns(Acc* acc, const T* x, int64_t width, int64_t begin, int64_t end) const {
    std::fill_n(acc, width, Acc{});
    const int64_t column_step = plan_.kept.step();
    ReducePlan::for_runs(plan_.reduced, begin, end, [&](int64_t at, int64_t, int64_t count, int64_t step) {
      if (column_step == 1) return add_rows_(acc, x + at, count, step, width);
      T packed[columns];
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < width; ++j) packed[j] = x[at + i * step + j * column_step];
        add_rows_(acc, packed, 1, 0, width);
      }
    });
  }

  void store(int64_t o, const Acc* acc) const {
    const Tile t = tile(o);
    const int64_t at = ReducePlan::offset(plan_.kept.shape, plan_.kept.y, t.first);
    const int64_t step = plan_.kept.shape.empty() ? 0 : plan_.kept.y.back();
    using Y = std::conditional_t<std::is_integral_v<T>, int64_t, T>;
    Y* y = static_cast<Y*>(y_.raw_data()) + at;
    for (int64_t j = 0; j < t.width; ++j)
      if constexpr (std::is_integral_v<T>)
        y[j * step] = static_cast<Y>(acc[j]);
      else
        y[j * step] = static_cast<Y>(acc[j] / divisor_);
  }

  ReducePlan plan_;
  const T* x_;
  const Tensor& y_;
  double divisor_;
  void (*add_rows_)(Acc*, const T*, int64_t, int64_t, int64_t) noexcept;
  bool by_columns_ = false;
  int64_t width_ = 1, tiles_ = 1, leaf_ = lane_leaf;
};

}  // namespace

void sum_into(const Tensor& y, const Tensor& x, const Axes& axes, double divisor) {
  if (x.dtype() == float16 || x.dtype() == bfloat16) {
    const Tensor wide = empty_like(y, float32);
    sum_into(wide, as_dtype(x, float32), axes, divisor);
    return copy_into(y, wide);
  }
  visit_dtype(x.dtype(), [&]<class T>(T) {
    if constexpr (std::is_arithmetic_v<T>) Sum<T>(y, x, axes, divisor).run();
  });
}

}  // namespace limpid::detail
