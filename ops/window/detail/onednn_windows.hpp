// Convolution and pooling by oneDNN, float32; convolution of bfloat16 too where the processor multiplies it.
#pragma once
#include <limpid/core/tensor_impl.hpp>
#include <limpid/ops/window/detail/conv_dims.hpp>
#include <limpid/ops/window/detail/pool_axis.hpp>

#include <cstdint>

namespace limpid::detail::onednn {

// Operands are of dtype, float32 or bfloat16, whose sums are float32's. x and y lie in memory in `format`, weight is
// row-major, bias may be null. Each returns false, having written nothing, where oneDNN has no such convolution, or of
// bfloat16 none that is faster than float32's.
bool conv_forward(const ConvDims& dims, MemoryFormat format, DType dtype, const void* x, const void* weight,
                  const void* bias, void* y);
/// dx of dtype or of float32.
bool conv_input_grad(const ConvDims& dims, MemoryFormat format, DType dtype, const void* dy, const void* weight,
                     DType dx_dtype, void* dx);
bool conv_weight_grad(const ConvDims& dims, MemoryFormat format, DType dtype, const void* x, const void* dy,
                      float* dweight);

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
