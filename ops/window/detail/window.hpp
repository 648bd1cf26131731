// Windows sliding over axes, as convolution and pooling count them.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>
#include <limpid/ops/window.hpp>

#include <algorithm>
#include <limits>
#include <ostream>

namespace limpid {

template <class T>
std::ostream& operator<<(std::ostream& out, const PerAxis<T>& numbers) {
  if (numbers.count() == 1) return out << detail::shown(numbers[0]);
  for (int64_t a = 0; a < numbers.count(); ++a) out << (a ? ", " : "(") << detail::shown(numbers[a]);
  return out << ')';
}

namespace detail {

/// One number for each of `rank` axes.
inline Spatial spread(const Spatial& numbers, int64_t rank) {
  switch (rank) {
    case 1: return numbers[0];
    case 2: return {numbers[0], numbers[1]};
    default: return {numbers[0], numbers[1], numbers[2]};
  }
}

/// Numbers are given one by one for `rank` axes, or one for all.
template <class T>
void require_count(const char* op, const char* name, const PerAxis<T>& numbers, int64_t rank) {
  static constexpr const char* counts[] = {"", "", " or of two", " or of three"};
  if (numbers.count() != 1 && numbers.count() != rank)
    throw_error<ValueError>(op, ": expected ", name, " of one number", counts[rank], ", got ", numbers);
}

/// Such numbers, each from `least` up.
inline void require_at_least(const char* op, const char* name, int64_t least, const Spatial& numbers, int64_t rank) {
  require_count(op, name, numbers, rank);
  constexpr int64_t most = std::numeric_limits<int32_t>::max();  // no sum of such sizes overflows
  for (int64_t a = 0; a < rank; ++a)
    if (numbers[a] < least || numbers[a] > most)
      throw_error<ValueError>(op, ": expected ", name, " of at least ", least, " and below 2^31, got ",
                              spread(numbers, rank));
}

/// More padding would make windows that lie in it alone.
inline void require_half_padded(const char* op, const Spatial& kernel, const Spatial& padding, int64_t rank) {
  for (int64_t a = 0; a < rank; ++a)
    if (2 * padding[a] > kernel[a])
      throw_error<ValueError>(op,
                              ": expected padding of at most half the kernel, got padding = ", spread(padding, rank),
                              " and kernel = ", spread(kernel, rank));
}

/// How many windows of `kernel` elements fit an axis with so much padding in all; 0 where none does. kernel >= 1.
inline int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  int64_t extent;
  if (__builtin_mul_overflow(dilation, kernel - 1, &extent) || extent >= size + padding) return 0;
  return (size + padding - extent - 1) / stride + 1;
}

/// A window along one axis without the elements that lie in the padding at each of its `count` places.
struct Extent {
  int64_t kernel, padding;
};
inline Extent cut_window(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t count) {
  const int64_t before = std::max<int64_t>(0, padding - (count - 1) * stride);
  return {std::min(kernel, size + padding) - before, padding - before};
}

/// "(N, C, H, W)", with the names given for N and C; those of the spatial axes begin with `prefix`.
inline std::string shape_in_words(const char* before, const char* prefix, int64_t rank) {
  const char* const names[] = {"D", "H", "W"};
  std::string text = before;
  if (rank == 1) return text + (*prefix ? prefix : "L") + ')';
  for (int64_t a = 3 - rank; a < 3; ++a) text += std::string(a == 3 - rank ? "" : ", ") + prefix + names[a];
  return text + ')';
}

}  // namespace detail
}  // namespace limpid
