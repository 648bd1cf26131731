// What masked_fill(), x.index_put_(), x.index_add_() and x.scatter_() are made of.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/core/index.hpp>
#include <limpid/core/scalar.hpp>

namespace limpid::detail {

/// value as a tensor without axes. Throws ValueError, naming op, where dtype does not hold it.
inline Tensor number_for(const char* op, Scalar value, DType dtype) {
  const Tensor number = empty({}, dtype);
  fill(number, value, op);
  return number;
}

/// The view that an index without tensors chooses; undefined for one with tensors.
Tensor chosen_view(const Tensor& x, std::initializer_list<TensorIndex> at);
/// x, but values (which broadcast, and are converted) at an index, or added there.
Tensor put(const Tensor& x, std::initializer_list<TensorIndex> at, const Tensor& values, bool accumulate);

// index_add(), scatter_add() to a tensor and scatter(), with errors that name op.
Tensor index_added(const char* op, const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source,
                   Scalar alpha);
Tensor scatter_added(const char* op, const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);
Tensor scattered_over(const char* op, const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);
Tensor scattered_over(const char* op, const Tensor& x, int64_t axis, const Tensor& index, Scalar value);

}  // namespace limpid::detail
