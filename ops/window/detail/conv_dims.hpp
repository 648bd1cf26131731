// The sizes of a convolution of one to three spatial axes.
#pragma once
#include <cstdint>

namespace limpid::detail {

/// One axis: element k of window p lies at p stride - before + k dilation of x, or in the padding.
struct ConvAxis {
  int64_t size, kernel, out;  ///< of x, weight and y
  int64_t stride, dilation;
  int64_t before, after;  ///< padding; after may be below 0, where no window sees the end of x
  friend bool operator==(const ConvAxis&, const ConvAxis&) = default;
};

/// What an axis is that x does not have.
inline constexpr ConvAxis single_axis{1, 1, 1, 1, 1, 0, 0};

/// y (n, o, *out) from x (n, c, *size) and weight (o, c / groups, *kernel); all sizes at least 1.
struct ConvDims {
  int64_t n, c, o, groups;
  int64_t rank;      ///< spatial axes of the tensors
  ConvAxis axis[3];  ///< the last `rank` are theirs, those before are single
  friend bool operator==(const ConvDims&, const ConvDims&) = default;

  /// Elements of one channel of x, of one of y, and of one of the weight.
  int64_t x_plane() const noexcept { return axis[0].size * axis[1].size * axis[2].size; }
  int64_t y_plane() const noexcept { return axis[0].out * axis[1].out * axis[2].out; }
  int64_t taps() const noexcept { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
};

}  // namespace limpid::detail
