// Windows sliding over an axis, as convolution and pooling count them.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/ops/window.hpp>

#include <algorithm>
#include <limits>
#include <ostream>

namespace limpid {

inline std::ostream& operator<<(std::ostream& out, const Size2d& size) {
  return out << '(' << size.h << ", " << size.w << ')';
}

namespace detail {

inline void require_at_least(const char* op, const char* name, int64_t least, const Size2d& size) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();  // no sum of such sizes overflows
  if (size.h < least || size.w < least || size.h > most || size.w > most)
    throw_error<ValueError>(op, ": expected ", name, " of at least ", least, " and below 2^31, got ", size);
}

/// More padding would make windows that lie in it alone.
inline void require_half_padded(const char* op, const Size2d& kernel, const Size2d& padding) {
  if (2 * padding.h > kernel.h || 2 * padding.w > kernel.w)
    throw_error<ValueError>(op, ": expected padding of at most half the kernel, got padding = ", padding,
                            " and kernel = ", kernel);
}

/// How many windows of `kernel` elements fit an axis; 0 where none does. kernel >= 1.
inline int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  int64_t extent;
  if (__builtin_mul_overflow(dilation, kernel - 1, &extent) || extent >= size + 2 * padding) return 0;
  return (size + 2 * padding - extent - 1) / stride + 1;
}

/// A window along one axis without the elements that lie in the padding at each of its `count` places.
struct Extent {
  int64_t kernel, padding;
};
inline Extent cut_window(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t count) {
  const int64_t before = std::max<int64_t>(0, padding - (count - 1) * stride);
  return {std::min(kernel, size + padding) - before, padding - before};
}

}  // namespace detail
}  // namespace limpid
