// Pooling over windows of any sizes and steps along three axes, and the adjoint of its means.
#pragma once
#include <limpid/core/kernels/tables.hpp>

#include <cstdint>

namespace limpid::kernels {

/// A window along one axis, without what lies outside x: its first element, how many there are, and what a mean counts
/// them as.
struct Span {
  std::int64_t start, count, size;
};

struct SpanAxis {
  const Span* at;  ///< of each position of y
  std::int64_t size, out;
  std::int64_t step;  ///< from one element of a window to the next
};

/// y (n, c, *out) from x (n, c, *size), both row-major or both channels-last. No span is empty.
struct SpanDims {
  std::int64_t n, c;
  SpanAxis axis[3];
  double divisor;  ///< of every mean; 0: the elements of its window, as its spans count them
  bool channels_last;

  static constexpr std::int64_t channel_block = 64;
  /// Work is shared out by rows of y along the last axis, or by planes, as PoolDims has it.
  std::int64_t rows() const noexcept { return n * (channels_last ? 1 : c) * axis[0].out * axis[1].out; }
  std::int64_t planes() const noexcept { return n * (channels_last ? (c + channel_block - 1) / channel_block : c); }
  std::int64_t x_plane() const noexcept { return axis[0].size * axis[1].size * axis[2].size; }
  std::int64_t y_plane() const noexcept { return axis[0].out * axis[1].out * axis[2].out; }
};

template <class T>
struct SpanKernels {
  /// The first maximum of each window (NaN is the largest), and its index in the plane unless null.
  void (*max)(const SpanDims&, std::int64_t row_begin, std::int64_t row_end, const T* x, T* y,
              std::int32_t* index) noexcept;
  /// Means over windows, summed in double.
  void (*mean)(const SpanDims&, std::int64_t row_begin, std::int64_t row_end, const T* x, T* y) noexcept;
  /// Its adjoint.
  void (*spread)(const SpanDims&, std::int64_t plane_begin, std::int64_t plane_end, const T* dy, T* dx) noexcept;
};

LIMPID_DECLARE_KERNELS(SpanKernels<float>, spans_float)
LIMPID_DECLARE_KERNELS(SpanKernels<double>, spans_double)

}  // namespace limpid::kernels
