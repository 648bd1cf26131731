#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/reduce/detail/tree.hpp>
#include <limpid/ops/reduce/kernels/reduce.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace limpid {

const kernels::ReduceKernels& kernels::reduce_table() noexcept { return LIMPID_AT_ISA(reduce_kernels); }

namespace detail {

Shape reduced_shape(const Shape& shape, const Axes& axes, bool keepdims) {
  Shape result;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool goes = std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i));
    if (!goes || keepdims) result.push_back(goes ? 1 : shape[i]);
  }
  return result;
}

Axes reduced_last(int64_t rank, const Axes& axes) {
  Axes order;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (!std::binary_search(axes.begin(), axes.end(), axis)) order.push_back(axis);
  for (const int64_t axis : axes) order.push_back(axis);
  return order;
}

int64_t reduced_count(const Shape& shape, const Axes& axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= shape[static_cast<std::size_t>(axis)];
  return count;
}

Tensor reduced_like(const Tensor& x, const Axes& axes, bool keepdims, DType dtype) {
  return empty(reduced_shape(x.shape(), axes, keepdims), dtype,
               keepdims ? x.memory_format() : MemoryFormat::contiguous);
}

namespace {

ReducePlan::Group merged(const Shape& shape, const Strides& x, const Strides& y) {
  ReducePlan::Group group;
  for (int64_t size : shape) group.count *= size;
  if (group.count == 0 || shape.empty()) return group;
  if (shape.size() == 1) {
    if (group.count != 1) group.shape = shape, group.x = x, group.y = y;
    return group;
  }
  const StridedLoop<2> loop(shape, {x, y});
  group.shape = loop.shape;
  group.x = loop.strides[0];
  group.y = loop.strides[1];
  return group;
}

}  // namespace

ReducePlan::ReducePlan(const Tensor& x, const Tensor& y, const Axes& axes) {
  if (x.is_contiguous() && static_cast<int64_t>(axes.size()) == x.dim() && x.numel() > 0) {
    reduced = {{x.numel()}, {1}, {0}, x.numel()};
    return;
  }
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

// A sum of T in doubles.
template <class T, class Result>
struct Adding {
  using X = T;
  using Acc = double;
  using Y = Result;
  static void merge(Acc* acc, const Acc* other, int64_t n) {
    for (int64_t j = 0; j < n; ++j) acc[j] += other[j];
  }
  Acc start{};
  const double* centres = nullptr;
};

template <class T, class Result = T>
struct FloatSum : Adding<T, Result> {
  kernels::FoldKernels<double, T> kernel;
  double divisor;
  FloatSum(const kernels::FoldKernels<double, T>& its, double d) : kernel(its), divisor(d) {}
  void rows(double* acc, const double*, const T* x, const kernels::RowBlock& block) const {
    kernel.rows(acc, x, block);
  }
  void runs(double* acc, const T* x, const kernels::RowBlock& block) const { kernel.runs(acc, x, block); }
  Result finish(double acc) const { return static_cast<Result>(acc / divisor); }
};

template <class T>
struct SquareSum : Adding<T, T> {
  kernels::AddSquares<T> add_squares;
  double divisor;
  bool root;
  SquareSum(kernels::AddSquares<T> kernel, const double* centre, double d, bool square_root)
      : add_squares(kernel),
        divisor(d),
        root(square_root) {
    this->centres = centre;
  }
  void rows(double* acc, const double* centre, const T* x, const kernels::RowBlock& block) const {
    add_squares(acc, this->centres ? centre : nullptr, x, block);
  }
  T finish(double acc) const { return static_cast<T>(root ? std::sqrt(acc / divisor) : acc / divisor); }
};

// f takes one element into the accumulator, or one accumulator into another. It must be associative.
template <class T, class Accumulator, class Result, class F>
struct Fold {
  using X = T;
  using Acc = Accumulator;
  using Y = Result;
  Acc start;
  const double* centres = nullptr;
  explicit Fold(Acc first, F) : start(first) {}
  void rows(Acc* acc, const double*, const T* x, const kernels::RowBlock& block) const {
    const auto [rows, stride, n] = block;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < n; ++j) acc[j] = F{}(acc[j], static_cast<Acc>(x[i * stride + j]));
  }
  static void merge(Acc* acc, const Acc* other, int64_t n) {
    for (int64_t j = 0; j < n; ++j) acc[j] = F{}(acc[j], other[j]);
  }
  Y finish(Acc acc) const { return static_cast<Y>(acc); }
};

// The same whose loops are kernels.
template <class T, class F>
struct KernelFold : Fold<T, T, T, F> {
  kernels::FoldKernels<T, T> kernel;
  KernelFold(T first, F f, const kernels::FoldKernels<T, T>& its) : Fold<T, T, T, F>(first, f), kernel(its) {}
  void rows(T* acc, const double*, const T* x, const kernels::RowBlock& block) const { kernel.rows(acc, x, block); }
  void runs(T* acc, const T* x, const kernels::RowBlock& block) const { kernel.runs(acc, x, block); }
};

// Integers wrap: as unsigned numbers.
template <class T>
using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;
template <class T>
using WideResult = std::conditional_t<std::is_integral_v<T>, int64_t, T>;

template <class T, class Acc, class Y, class F>
void fold(const Tensor& y, const Tensor& x, const Axes& axes, Acc start, F f) {
  reduce(y, x, axes, Fold<T, Acc, Y, F>(start, f));
}

template <class T>
constexpr T lowest = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                          : std::numeric_limits<T>::lowest();
template <class T>
constexpr T highest = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                                           : std::numeric_limits<T>::max();

}  // namespace

void sum_into(const Tensor& y, const Tensor& x, const Axes& axes, double divisor) {
  if (x.dtype() == float16 || x.dtype() == bfloat16) {
    const Tensor wide = empty_like(y, float32);
    sum_into(wide, as_dtype(x, float32), axes, divisor);
    return copy_into(y, wide);
  }
  const kernels::ReduceKernels& table = kernels::reduce_table();
  if (x.dtype() == float32) return reduce(y, x, axes, FloatSum<float>(table.sum_f32, divisor));
  if (x.dtype() == float64) return reduce(y, x, axes, FloatSum<double>(table.sum_f64, divisor));
  visit_number(x.dtype(), [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>)
      fold<T, uint64_t, int64_t>(y, x, axes, uint64_t{0}, [](uint64_t a, uint64_t b) { return a + b; });
  });
}

void mean_into(const Tensor& y, const Tensor& x, const Axes& axes) {
  const kernels::ReduceKernels& table = kernels::reduce_table();
  const double count = static_cast<double>(reduced_count(x.shape(), axes));
  if (x.dtype() == float32)
    reduce(y, x, axes, FloatSum<float, double>(table.sum_f32, count));
  else
    reduce(y, x, axes, FloatSum<double>(table.sum_f64, count));
}

namespace {

void add_squares(const Tensor& y, const Tensor& x, const double* centre, const Axes& axes, double divisor, bool root) {
  const kernels::ReduceKernels& table = kernels::reduce_table();
  if (x.dtype() == float32)
    reduce(y, x, axes, SquareSum<float>(table.add_squares_f32, centre, divisor, root));
  else
    reduce(y, x, axes, SquareSum<double>(table.add_squares_f64, centre, divisor, root));
}

}  // namespace

void sum_squares_into(const Tensor& y, const Tensor& x, const Tensor& centre, const Axes& axes, double divisor,
                      bool root) {
  add_squares(y, x, centre.data<double>(), axes, divisor, root);
}

void norm_into(const Tensor& y, const Tensor& x, const Axes& axes) { add_squares(y, x, nullptr, axes, 1, true); }

// One instance for all integers: a copy is cheap beside compiling more of them.
void prod_into(const Tensor& y, const Tensor& x, const Axes& axes) {
  const auto product = [&]<class T>(T) {
    using Acc = Wide<T>;
    fold<T, Acc, WideResult<T>>(y, as_dtype(x, dtype_of<T>()), axes, Acc{1}, [](Acc a, Acc b) { return a * b; });
  };
  if (x.dtype() == float32) return product(float{});
  if (x.dtype() == float64) return product(double{});
  product(int64_t{});
}

namespace {

// The one that is further out; NaN wins, for nothing is further.
template <bool largest>
void extreme_into(const Tensor& y, const Tensor& x, const Axes& axes) {
  const kernels::ReduceKernels& table = kernels::reduce_table();
  visit_number(x.dtype(), [&]<class T>(T) {
    constexpr T start = largest ? lowest<T> : highest<T>;
    const auto further = [](T a, T b) { return ((largest ? b > a : b < a) | (b != b)) ? b : a; };
    using F = decltype(further);
    if constexpr (std::is_same_v<T, float>)
      reduce(y, x, axes, KernelFold<T, F>(start, further, largest ? table.max_f32 : table.min_f32));
    else if constexpr (std::is_same_v<T, double>)
      reduce(y, x, axes, KernelFold<T, F>(start, further, largest ? table.max_f64 : table.min_f64));
    else
      fold<T, T, T>(y, x, axes, start, further);
  });
}

}  // namespace

void max_into(const Tensor& y, const Tensor& x, const Axes& axes) { extreme_into<true>(y, x, axes); }
void min_into(const Tensor& y, const Tensor& x, const Axes& axes) { extreme_into<false>(y, x, axes); }

void all_into(const Tensor& y, const Tensor& x, const Axes& axes) {
  fold<bool, bool, bool>(y, x, axes, true, [](bool a, bool b) { return a & b; });
}

void any_into(const Tensor& y, const Tensor& x, const Axes& axes) {
  fold<bool, bool, bool>(y, x, axes, false, [](bool a, bool b) { return a | b; });
}

}  // namespace detail
}  // namespace limpid
