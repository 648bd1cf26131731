// Convolution and pooling by oneDNN, float32. All that differs between its versions 2 and 3 is in onednn.cpp.
#pragma once
#include <limpid/core/tensor_impl.hpp>
#include <limpid/ops/window/detail/conv_dims.hpp>
#include <limpid/ops/window/kernels/pool.hpp>

namespace limpid::detail::onednn {

// x and y lie in memory in `format`, weight is row-major, bias may be null. Each returns false, having written nothing,
// where oneDNN has no such convolution.
bool conv_forward(const ConvDims& dims, MemoryFormat format, const float* x, const float* weight, const float* bias,
                  float* y);
bool conv_input_grad(const ConvDims& dims, MemoryFormat format, const float* dy, const float* weight, float* dx);
bool conv_weight_grad(const ConvDims& dims, MemoryFormat format, const float* x, const float* dy, float* dweight);

// Means over the windows of dims, padding counted, and their adjoint. False as above, or where the result would depend
// on the number of threads.
bool mean_forward(const kernels::PoolDims& dims, const float* x, float* y);
bool mean_grad(const kernels::PoolDims& dims, const float* dy, float* dx);

}  // namespace limpid::detail::onednn
