// Windows over the spatial axes of (N, C, *spatial), in either memory format: convolution, pooling, resizing.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/ops/reduce.hpp>

#include <optional>

namespace LIMPID_API limpid {

/// A number for each of up to three spatial axes, in their order; one number stands for all of them.
template <class T>
class PerAxis {
 public:
  constexpr PerAxis(T all) : numbers_{all, T(), T()}, count_(1) {}  // NOLINT: padding = 1 is meant to work
  constexpr PerAxis(T h, T w) : numbers_{h, w, T()}, count_(2) {}
  constexpr PerAxis(T d, T h, T w) : numbers_{d, h, w}, count_(3) {}
  /// How many were given.
  constexpr int64_t count() const noexcept { return count_; }
  constexpr T operator[](int64_t axis) const noexcept { return numbers_[count_ == 1 ? 0 : axis]; }
  friend constexpr bool operator==(const PerAxis&, const PerAxis&) = default;

 private:
  T numbers_[3];
  int64_t count_;
};

/// Numbers or none: a std::optional that {2, 1} makes as well.
template <class T>
struct OptionalPerAxis : std::optional<PerAxis<T>> {
  using std::optional<PerAxis<T>>::optional;
  constexpr OptionalPerAxis(T h, T w) : std::optional<PerAxis<T>>(PerAxis<T>(h, w)) {}
  constexpr OptionalPerAxis(T d, T h, T w) : std::optional<PerAxis<T>>(PerAxis<T>(d, h, w)) {}
};

using Spatial = PerAxis<int64_t>;
using OptionalSpatial = OptionalPerAxis<int64_t>;

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

struct MaxPoolOptions {
  OptionalSpatial stride = {};  ///< none: the kernel's size
  Spatial padding = 0, dilation = 1;
  bool ceil_mode = false;  ///< a last window that begins in x or before it may reach beyond the padding
};

// Maxima over windows of x (N, C, L), (N, C, H, W) or (N, C, D, H, W), of which N may be missing; the gradient goes to
// the first maximum of each (NaN wins). Padding, at most half of the kernel, never wins; throw ShapeError where a
// window is wholly in it. With indices: int64, of each maximum in its plane in row-major order.
Tensor max_pool1d(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options = {});
Tensor max_pool2d(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options = {});
Tensor max_pool3d(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options = {});
Selection max_pool1d_with_indices(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options = {});
Selection max_pool2d_with_indices(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options = {});
Selection max_pool3d_with_indices(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options = {});

struct AvgPoolOptions {
  OptionalSpatial stride = {};  ///< none: the kernel's size
  Spatial padding = 0;
  bool ceil_mode = false;                        ///< as in MaxPoolOptions
  bool count_include_pad = true;                 ///< zeros of the padding count; never what lies beyond it
  std::optional<int64_t> divisor_override = {};  ///< what sums are divided by in place of the count
};

/// Means over windows of such x.
Tensor avg_pool1d(const Tensor& x, const Spatial& kernel, const AvgPoolOptions& options = {});
Tensor avg_pool2d(const Tensor& x, const Spatial& kernel, const AvgPoolOptions& options = {});
Tensor avg_pool3d(const Tensor& x, const Spatial& kernel, const AvgPoolOptions& options = {});

// The same over windows that y of so many positions along each axis takes: window i of m, along an axis of n, is
// [floor(i n / m), ceil((i + 1) n / m)), so that they overlap where m does not divide n, and m may be above n.
Tensor adaptive_avg_pool1d(const Tensor& x, const Spatial& size);
Tensor adaptive_avg_pool2d(const Tensor& x, const Spatial& size);
Tensor adaptive_avg_pool3d(const Tensor& x, const Spatial& size);
Tensor adaptive_max_pool1d(const Tensor& x, const Spatial& size);
Tensor adaptive_max_pool2d(const Tensor& x, const Spatial& size);
Tensor adaptive_max_pool3d(const Tensor& x, const Spatial& size);
Selection adaptive_max_pool1d_with_indices(const Tensor& x, const Spatial& size);
Selection adaptive_max_pool2d_with_indices(const Tensor& x, const Spatial& size);
Selection adaptive_max_pool3d_with_indices(const Tensor& x, const Spatial& size);

enum class Interpolation { nearest, nearest_exact, linear, bilinear, trilinear, bicubic, area };

/// A size or a scale_factor. By size, an element of y stands for in / out of x; by scale_factor, for 1 / scale_factor,
/// and there are floor(in scale_factor) of them.
struct InterpolateOptions {
  Shape size = {};  ///< of the spatial axes, or one for all
  OptionalPerAxis<double> scale_factor = {};
  Interpolation mode = Interpolation::nearest;
  bool align_corners = false;  ///< the outermost elements of x and of y lie on each other
};

/// x (N, C, *spatial) resized along its one to three spatial axes. linear is for one, bilinear and bicubic (with
/// a = -0.75, and the border repeated) for two, trilinear for three, and nearest (rounded down), nearest_exact (of the
/// centre) and area (means, as adaptive_avg_pool2d()) for any. An axis that keeps its size keeps its elements.
Tensor interpolate(const Tensor& x, const InterpolateOptions& options);

/// What is outside of x: zeros, its border, or x reflected about its border (align_corners: about its last elements).
enum class GridPadding { zeros, border, reflection };
struct GridSampleOptions {
  Interpolation mode = Interpolation::bilinear;  ///< or nearest, half to even; of volumes bilinear means trilinear
  GridPadding padding_mode = GridPadding::zeros;
  bool align_corners = false;  ///< -1 and 1 are the centres of the outermost elements, not their outer edges
};

/// x (N, C, H, W) at the points (x, y) of grid (N, OH, OW, 2), or x (N, C, D, H, W) at the points (x, y, z) of grid
/// (N, OD, OH, OW, 3): (N, C, *out). A NaN gives NaN; an infinite number is outside.
Tensor grid_sample(const Tensor& x, const Tensor& grid, const GridSampleOptions& options = {});
/// The grid that maps the elements of a y of this size (N, C, H, W) by theta (N, 2, 3), or (N, C, D, H, W) by theta
/// (N, 3, 4), to points of x.
Tensor affine_grid(const Tensor& theta, const Shape& size, bool align_corners = false);

/// In PyTorch's order.
struct FoldOptions {
  Spatial dilation = 1, padding = 0, stride = 1;
};
/// The windows of x (N, C, H, W) as columns: (N, C KH KW, how many there are). x may lack N, as then does the result.
Tensor unfold(const Tensor& x, const Spatial& kernel, const FoldOptions& options = {});
/// Its transpose, of x (N, C KH KW, L): columns added up where their windows lie in (N, C, *size).
Tensor fold(const Tensor& x, const Spatial& size, const Spatial& kernel, const FoldOptions& options = {});

/// x / (k + alpha / size times the sum of squares over `size` channels)^beta, of x (N, C, *): the channel in the
/// middle, of an even number one more below than above (Krizhevsky, Sutskever, Hinton, 2012).
Tensor local_response_norm(const Tensor& x, int64_t size, double alpha = 1e-4, double beta = 0.75, double k = 1);

}  // namespace limpid
