// Pooling over windows of (N, C, H, W), and the adjoints.
#pragma once
#include <limpid/core/kernels/tables.hpp>

#include <cstdint>

namespace limpid::kernels {

/// y (n, c, oh, ow) from x (n, c, h, w), both row-major or both channels-last. Every window meets x, and so does every
/// row and column of windows: those that lie in the padding wherever the window goes are cut off.
struct PoolDims {
  std::int64_t n, c, h, w, oh, ow;
  std::int64_t kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w;
  double kernel_size;  ///< elements of a window before any were cut off: what means divide by
  bool channels_last = false;
  friend bool operator==(const PoolDims&, const PoolDims&) = default;

  /// Work is shared out by rows of y, which any thread may write, or by planes: the channels of a sample, in blocks
  /// where they are interleaved.
  static constexpr std::int64_t channel_block = 64;
  std::int64_t rows() const noexcept { return n * (channels_last ? 1 : c) * oh; }
  bool is_cut() const noexcept { return static_cast<double>(kernel_h * kernel_w) != kernel_size; }
  /// Elements of all windows, which may be more than fit 64 bits.
  double work() const noexcept {
    return static_cast<double>(n * c * oh * ow) * static_cast<double>(kernel_h) * static_cast<double>(kernel_w);
  }
  std::int64_t planes() const noexcept { return n * (channels_last ? (c + channel_block - 1) / channel_block : c); }
};

template <class T>
struct PoolKernels {
  /// The first maximum of each window (NaN is the largest), and its index h * w_size + w in the plane unless null.
  void (*max)(const PoolDims&, std::int64_t row_begin, std::int64_t row_end, const T* x, T* y,
              std::int32_t* index) noexcept;
  /// y[p] = x[index[p]] within each plane.
  void (*gather)(const PoolDims&, std::int64_t plane_begin, std::int64_t plane_end, const T* x,
                 const std::int32_t* index, T* y) noexcept;
  /// dx = 0, then dx[index[p]] += dy[p] within each plane.
  void (*scatter)(const PoolDims&, std::int64_t plane_begin, std::int64_t plane_end, const T* dy,
                  const std::int32_t* index, T* dx) noexcept;
  /// Sums over windows over kernel_size, summed in double.
  void (*mean)(const PoolDims&, std::int64_t row_begin, std::int64_t row_end, const T* x, T* y) noexcept;
  /// Its adjoint.
  void (*spread)(const PoolDims&, std::int64_t plane_begin, std::int64_t plane_end, const T* dy, T* dx) noexcept;
};

LIMPID_DECLARE_KERNELS(PoolKernels<float>, pool_float)
LIMPID_DECLARE_KERNELS(PoolKernels<double>, pool_double)

}  // namespace limpid::kernels
