// What every reduction shares: which axes go, which stay, and in which order memory is read.
#pragma once
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/tensor.hpp>

#include <algorithm>

namespace limpid::detail {

/// The shape with the given axes (normalised, sorted) of size 1, or without them.
Shape reduced_shape(const Shape& shape, const Axes& axes, bool keepdims);

/// The axes of a tensor of this rank, those that go (normalised, sorted) behind those that stay.
Axes reduced_last(int64_t rank, const Axes& axes);

/// How many elements of x make one of the result.
int64_t reduced_count(const Shape& shape, const Axes& axes);

/// An uninitialised result of reduced_shape(); with keepdims in x's memory format.
Tensor reduced_like(const Tensor& x, const Axes& axes, bool keepdims, DType dtype);

/// The axes of x in two groups, each sorted so that memory is read in order (fastest last) and merged where they can.
struct ReducePlan {
  struct Group {
    Shape shape;
    Strides x, y;  ///< y is 0 along reduced axes
    int64_t count = 1;

    int64_t step() const { return shape.empty() ? 0 : x.back(); }
    int64_t length() const { return shape.empty() ? 1 : shape.back(); }
  };
  Group kept, reduced;

  /// y: the result, with or without the reduced axes.
  ReducePlan(const Tensor& x, const Tensor& y, const Axes& axes);

  /// Where element i of a group, in row-major order of its shape, lies.
  static int64_t offset(const Shape& shape, const Strides& strides, int64_t i) {
    if (shape.size() <= 1) return shape.empty() ? 0 : i * strides[0];  // the common case, and divisions are slow
    int64_t at = 0;
    for (std::size_t k = shape.size(); k-- > 0; i /= shape[k]) at += i % shape[k] * strides[k];
    return at;
  }

  /// run(x_offset, position, count) for the runs along the last axis that elements [begin, end) of the group consist
  /// of.
  template <class F>
  static void for_runs(const Group& group, int64_t begin, int64_t end, F&& run) {
    if (group.shape.size() == 1) return run(begin * group.step(), int64_t{0}, end - begin);
    const int64_t length = group.length();
    for (int64_t i = begin; i < end;) {
      const int64_t count = std::min(end - i, length - i % length);
      run(offset(group.shape, group.x, i), i - begin, count);
      i += count;
    }
  }
};

/// y[...] = sum of x over axes / divisor; y is int64 where x is an integer or bool, and has x's dtype else.
void sum_into(const Tensor& y, const Tensor& x, const Axes& axes, double divisor = 1);

/// y[...] = mean of x over axes; x float32 or float64, y float64.
void mean_into(const Tensor& y, const Tensor& x, const Axes& axes);

/// y[...] = sum of (x - centre)^2 over axes / divisor, or the square root of that, rounded once. x and y float32 or
/// float64; centre float64, laid out as y.
void sum_squares_into(const Tensor& y, const Tensor& x, const Tensor& centre, const Axes& axes, double divisor,
                      bool root);

/// y[...] = square root of the sum of x^2 over axes, rounded once.
void norm_into(const Tensor& y, const Tensor& x, const Axes& axes);

/// What the functions of max, all and the like are to their callers.
using ReduceInto = void (*)(const Tensor& y, const Tensor& x, const Axes& axes);

/// These take x of any dtype but float16 and bfloat16.
void prod_into(const Tensor& y, const Tensor& x, const Axes& axes);  ///< y as for sum_into
void max_into(const Tensor& y, const Tensor& x, const Axes& axes);   ///< y of x's dtype; NaN wins
void min_into(const Tensor& y, const Tensor& x, const Axes& axes);
void all_into(const Tensor& y, const Tensor& x, const Axes& axes);  ///< x and y bool
void any_into(const Tensor& y, const Tensor& x, const Axes& axes);

}  // namespace limpid::detail
