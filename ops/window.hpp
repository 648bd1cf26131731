// Convolution and pooling over the last two axes of (N, C, H, W), in either memory format.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <optional>

namespace LIMPID_API limpid {

/// Height and width; one number stands for both.
struct Size2d {
  int64_t h, w;
  constexpr Size2d(int64_t both) : h(both), w(both) {}  // NOLINT: padding = 1 is meant to work
  constexpr Size2d(int64_t height, int64_t width) : h(height), w(width) {}
  friend constexpr bool operator==(const Size2d&, const Size2d&) = default;
};

/// A size or none: std::optional<Size2d> that {2, 1} makes as well.
struct OptionalSize2d : std::optional<Size2d> {
  using std::optional<Size2d>::optional;
  constexpr OptionalSize2d(int64_t height, int64_t width) : optional(Size2d(height, width)) {}
};

struct Conv2dOptions {
  Size2d stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
};

/// Cross-correlation of x (N, C, H, W) with weight (O, C / groups, KH, KW), plus bias (O,) or none:
/// (N, O, (H + 2 padding - dilation (KH - 1) - 1) / stride + 1, ...). float32 and float64.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const Conv2dOptions& options = {});

/// The two gradients of conv2d, themselves differentiable (a convolution is linear in each operand).
/// dx for an x of x_shape; dweight for a weight of weight_shape.
Tensor conv2d_input_grad(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                         const Conv2dOptions& options = {});
Tensor conv2d_weight_grad(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                          const Conv2dOptions& options = {});

struct Pool2dOptions {
  OptionalSize2d stride = {};  ///< none: the kernel's size
  Size2d padding = 0;
};

/// Maxima over windows; the gradient goes to the first maximum of each (NaN wins). Padding never wins.
Tensor max_pool2d(const Tensor& x, Size2d kernel, const Pool2dOptions& options = {});
/// Means over windows, padding counted as zeros.
Tensor avg_pool2d(const Tensor& x, Size2d kernel, const Pool2dOptions& options = {});

}  // namespace limpid
