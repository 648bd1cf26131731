// The walk that every reduction shares: which axes go, which stay, and in which order memory is read.
#pragma once
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// x's shape with the given axes (normalised, sorted) of size 1, or without them.
Shape reduced_shape(const Shape& shape, const Axes& axes, bool keepdims);

/// An uninitialised result of reduced_shape(); with keepdims in x's memory format.
Tensor reduced_like(const Tensor& x, const Axes& axes, bool keepdims, DType dtype);

/// The axes of x in two groups, each merged and sorted so that memory is read in order (fastest last).
struct ReducePlan {
  struct Group {
    Shape shape;
    Strides x, y;  ///< y is 0 along reduced axes
    int64_t count = 1;

    int64_t step() const { return shape.empty() ? 0 : x.back(); }
    int64_t length() const { return shape.empty() ? 1 : shape.back(); }
  };
  Group kept, reduced;

  /// y: the result as x's shape with reduced axes of size 1 would have it (see reduced_strides).
  ReducePlan(const Tensor& x, const Tensor& y, const Axes& axes);

  /// Where element i of a group, in row-major order of its shape, lies in x and y.
  static int64_t offset(const Shape& shape, const Strides& strides, int64_t i) {
    int64_t at = 0;
    for (std::size_t k = shape.size(); k-- > 0; i /= shape[k]) at += i % shape[k] * strides[k];
    return at;
  }

  /// run(x_offset, position, count) for the pieces of constant step that elements [begin, end) of the group consist of.
  template <class F>
  static void for_runs(const Group& group, int64_t begin, int64_t end, F&& run) {
    const int64_t length = group.length(), step = group.step();
    for (int64_t i = begin; i < end;) {
      const int64_t count = std::min(end - i, length - i % length);
      run(offset(group.shape, group.x, i), i - begin, count, step);
      i += count;
    }
  }
};

/// y[...] = sum of x over axes / divisor. x float16 and up, or integers and bool with an int64 y.
void sum_into(const Tensor& y, const Tensor& x, const Axes& axes, double divisor = 1);

}  // namespace limpid::detail
