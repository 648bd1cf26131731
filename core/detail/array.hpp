// What lower layers do to tensors without recording it.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// Uninitialised, in fresh memory, of a layout without gaps. Throws DTypeError for a dtype that is none.
Tensor make_tensor(Ref<const Layout> layout, DType dtype);

/// x's memory under another shape, strides and offset (elements, from the start of the storage); no gradient.
Tensor make_view(const Tensor& x, Shape shape, Strides strides, int64_t offset);

/// The view of elements start, start + step, ... of x along axis, count of them.
Tensor part_of(const Tensor& x, std::size_t axis, int64_t start, int64_t count, int64_t step = 1);

/// y[...] = source, broadcast and cast (see Tensor::to). The two must not overlap unless they are laid out alike over
/// the same memory. Does not advance the version.
void copy_into(const Tensor& y, const Tensor& source);

/// y[...] = value. Does not advance the version. Throws ValueError, naming op, where y's dtype does not hold value.
void fill(const Tensor& y, Scalar value, const char* op = "fill");

/// x itself where it lies in memory in this format, else a copy that does; no gradient.
Tensor as_contiguous(const Tensor& x, MemoryFormat format = MemoryFormat::contiguous);

/// x converted to dtype; x itself where it is that already; memory format kept; no gradient.
Tensor as_dtype(const Tensor& x, DType dtype);

}  // namespace limpid::detail
