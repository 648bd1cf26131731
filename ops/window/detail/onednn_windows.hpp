// Convolution and pooling by oneDNN, float32.
#pragma once
#include <limpid/core/tensor_impl.hpp>
#include <limpid/ops/window/detail/conv_dims.hpp>
#include <limpid/ops/window/detail/pool_axis.hpp>

#include <cstdint>

namespace limpid::detail::onednn {

// x and y lie in memory in `format`, weight is row-major, bias may be null. Each returns false, having written nothing,
// where oneDNN has no such convolution.
bool conv_forward(const ConvDims& dims, MemoryFormat format, const float* x, const float* weight, const float* bias,
                  float* y);
bool conv_input_grad(const ConvDims& dims, MemoryFormat format, const float* dy, const float* weight, float* dx);
bool conv_weight_grad(const ConvDims& dims, MemoryFormat format, const float* x, const float* dy, float* dweight);

/// Means over regular windows along the last `rank` axes of three, the others single; padding counts.
struct MeanDims {
  int64_t n, c, rank;
  PoolAxis axis[3];
  bool channels_last;
  friend bool operator==(const MeanDims&, const MeanDims&) = default;
};
// They and their adjoint. False as above, or where the result would depend on the number of threads.
bool mean_forward(const MeanDims& dims, const float* x, float* y);
bool mean_grad(const MeanDims& dims, const float* dy, float* dx);

/// Whether so many products are done sooner than other threads would begin: they stay on the calling one.
inline bool is_tiny(double products) noexcept { return products < 0x1p18; }

}  // namespace limpid::detail::onednn
