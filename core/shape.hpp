// Sizes and strides.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/small_vector.hpp>

#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace LIMPID_API limpid {

namespace detail {
template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool>;
}

/// The sizes of a tensor's axes, slowest first; printed as NumPy prints them: (2, 3), (4,), ().
class Shape : public SmallVector<int64_t, 6> {
 public:
  using SmallVector::SmallVector;
  template <detail::Integer T>
  Shape(const std::vector<T>& sizes) {  // NOLINT
    for (const T size : sizes) push_back(static_cast<int64_t>(size));
  }

  int64_t dim() const noexcept { return static_cast<int64_t>(size()); }
  /// Product of the sizes, 1 for rank 0. Throws ShapeError where it does not fit 64 bits or a size is negative.
  int64_t numel() const;
};

/// Steps between neighbours along each axis, in elements.
using Strides = Shape;

std::ostream& operator<<(std::ostream& out, const Shape& shape);
std::string to_string(const Shape& shape);

/// Axes for a reduction or a permutation: one, several, or none given, which stands for all.
/// Negative axes count from the back.
class Axes : public SmallVector<int64_t, 6> {
 public:
  Axes() = default;
  Axes(int64_t axis) : SmallVector{axis} {}  // NOLINT: sum(x, 1) is meant to work
  Axes(int axis) : Axes(int64_t{axis}) {}    // NOLINT
  using SmallVector::SmallVector;
  template <detail::Integer T>
  Axes(const std::vector<T>& axes) {  // NOLINT
    for (const T axis : axes) push_back(static_cast<int64_t>(axis));
  }
};

/// Row-major strides.
Strides contiguous_strides(const Shape& shape);

/// Strides of (N, C, *spatial) with C fastest; row-major below rank 3.
Strides channels_last_strides(const Shape& shape);

/// The shape two operands broadcast to, by NumPy's rules. Throws ShapeError naming op and both shapes.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op = "broadcast_shapes");

/// axis in [0, dim): negative axes count from the back. Throws ShapeError naming op.
int64_t normalize_axis(int64_t axis, int64_t dim, const char* op);

/// Each of axes normalised, sorted, none given twice; all axes where none is given.
Axes normalize_axes(const Axes& axes, int64_t dim, const char* op);

}  // namespace limpid
