// Unfolded windows, and convolution as matrix products over them; for float64, and for what oneDNN does not have.
#pragma once
#include <limpid/ops/window/detail/conv_dims.hpp>

namespace limpid::detail::im2col {

// All memory is row-major: x (n, c, *size), weight (o, c / groups, *kernel), y (n, o, *out); bias may be null.
template <class T>
void conv_forward(const ConvDims& dims, const T* x, const T* weight, const T* bias, T* y);
template <class T>
void conv_input_grad(const ConvDims& dims, const T* dy, const T* weight, T* dx);
template <class T>
void conv_weight_grad(const ConvDims& dims, const T* x, const T* dy, T* dweight);

// The windows of each plane, one of n, of x (n, 1, *size) as columns (n, taps, positions of y), and its transpose.
template <class T>
void unfold(const ConvDims& dims, const T* x, T* columns);
template <class T>
void fold(const ConvDims& dims, const T* columns, T* x);

}  // namespace limpid::detail::im2col
