// Windows over the spatial axes of (N, C, *spatial), in either memory format: convolution and pooling.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <optional>

namespace LIMPID_API limpid {

/// A number for each of up to three spatial axes, in their order; one number stands for all of them.
class Spatial {
 public:
  constexpr Spatial(int64_t all) : numbers_{all, 0, 0}, count_(1) {}  // NOLINT: padding = 1 is meant to work
  constexpr Spatial(int64_t h, int64_t w) : numbers_{h, w, 0}, count_(2) {}
  constexpr Spatial(int64_t d, int64_t h, int64_t w) : numbers_{d, h, w}, count_(3) {}
  /// How many were given.
  constexpr int64_t count() const noexcept { return count_; }
  constexpr int64_t operator[](int64_t axis) const noexcept { return numbers_[count_ == 1 ? 0 : axis]; }
  friend constexpr bool operator==(const Spatial&, const Spatial&) = default;

 private:
  int64_t numbers_[3];
  int64_t count_;
};

/// Numbers or none: std::optional<Spatial> that {2, 1} makes as well.
struct OptionalSpatial : std::optional<Spatial> {
  using std::optional<Spatial>::optional;
  constexpr OptionalSpatial(int64_t h, int64_t w) : optional(Spatial(h, w)) {}
  constexpr OptionalSpatial(int64_t d, int64_t h, int64_t w) : optional(Spatial(d, h, w)) {}
};

/// valid: none; same: as much as makes y as large as x where stride is 1, of an odd number one more at the end.
enum class Padding { valid, same };

/// Zeros on both sides of each axis, by number or by name.
class ConvPadding {
 public:
  constexpr ConvPadding(int64_t all) : sizes_(all) {}  // NOLINT: padding = 1 is meant to work
  constexpr ConvPadding(int64_t h, int64_t w) : sizes_(h, w) {}
  constexpr ConvPadding(int64_t d, int64_t h, int64_t w) : sizes_(d, h, w) {}
  constexpr ConvPadding(const Spatial& sizes) : sizes_(sizes) {}   // NOLINT
  constexpr ConvPadding(Padding name) : sizes_(0), name_(name) {}  // NOLINT
  /// valid where it was given by number.
  constexpr Padding name() const noexcept { return name_; }
  /// 0 where it was given by name.
  constexpr const Spatial& sizes() const noexcept { return sizes_; }

 private:
  Spatial sizes_;
  Padding name_ = Padding::valid;
};

struct ConvOptions {
  Spatial stride = 1;
  ConvPadding padding = 0;  ///< Padding::same takes a stride of 1
  Spatial dilation = 1;
  int64_t groups = 1;
};

/// Cross-correlation of x (N, C, L) with weight (O, C / groups, K), plus bias (O,) or none:
/// (N, O, (L + 2 padding - dilation (K - 1) - 1) / stride + 1). x may lack N, as then does the result. Of one floating
/// dtype, half precision computed in float32.
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});
/// The same of x (N, C, H, W) with weight (O, C / groups, KH, KW).
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});
/// The same of x (N, C, D, H, W) with weight (O, C / groups, KD, KH, KW).
Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {});

/// The two gradients of a convolution of one to three axes, themselves differentiable (it is linear in each operand):
/// dx for an x of x_shape, dweight for a weight of weight_shape. x and dy have N.
Tensor conv_input_grad(const Tensor& dy, const Tensor& weight, const Shape& x_shape, const ConvOptions& options = {});
Tensor conv_weight_grad(const Tensor& x, const Tensor& dy, const Shape& weight_shape, const ConvOptions& options = {});

/// In PyTorch's order.
struct ConvTransposeOptions {
  Spatial stride = 1, padding = 0;
  Spatial output_padding = 0;  ///< so much more at the end of each axis; below stride or dilation
  int64_t groups = 1;
  Spatial dilation = 1;
};

/// The input gradient of the convolution with weight (C, O / groups, K) at x (N, C, L), plus bias (O,) or none:
/// (N, O, (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1). x may lack N, as then does the result.
Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTransposeOptions& options = {});
/// The same of x (N, C, H, W) with weight (C, O / groups, KH, KW).
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTransposeOptions& options = {});
/// The same of x (N, C, D, H, W) with weight (C, O / groups, KD, KH, KW).
Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTransposeOptions& options = {});

struct Pool2dOptions {
  OptionalSpatial stride = {};  ///< none: the kernel's size
  Spatial padding = 0;
};

/// Maxima over windows; the gradient goes to the first maximum of each (NaN wins). Padding never wins.
Tensor max_pool2d(const Tensor& x, Spatial kernel, const Pool2dOptions& options = {});
/// Means over windows, padding counted as zeros.
Tensor avg_pool2d(const Tensor& x, Spatial kernel, const Pool2dOptions& options = {});

}  // namespace limpid
