// What lower layers do to tensors without recording it.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// From the arguments of a TensorImpl.
template <class... Args>
Tensor make_tensor(Args&&... args) {
  return Tensor(Ref<TensorImpl>::first(new TensorImpl(std::forward<Args>(args)...)));
}

/// Uninitialised, of the shape and strides of x, which must have no gaps.
Tensor make_like(const TensorImpl& x, DType dtype);

/// x's memory under another shape, strides and offset (elements, from the start of the storage); no gradient.
Tensor make_view(const Tensor& x, Shape shape, Strides strides, int64_t offset);

/// y[...] = source, broadcast and converted; float to integer truncates, out-of-range values are implementation-defined
/// but defined (they saturate; NaN gives 0). Does not advance the version.
void copy_into(const Tensor& y, const Tensor& source);

/// y[...] = value. Does not advance the version.
void fill(const Tensor& y, double value);

/// x itself where it is row-major, else a row-major copy; no gradient.
Tensor as_contiguous(const Tensor& x);

/// x converted to dtype; x itself where it is that already; memory format kept; no gradient.
Tensor as_dtype(const Tensor& x, DType dtype);

}  // namespace limpid::detail
