// Tensors as the matrices that products read.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/ops/product/detail/blas.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::detail {

/// Steps of the matrices that x's last two axes are.
inline MatrixSteps matrix_steps(const Tensor& x) {
  const Strides& s = x.strides();
  return {s[s.size() - 2], s[s.size() - 1]};
}

/// How many rows a tensor (..., k) has: 1 where it is one row, none where a leading axis is empty.
inline int64_t count_rows(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 1).numel(); }

/// (..., k) as one (rows, k) matrix; differentiable.
inline Tensor as_rows(const Tensor& x) { return x.dim() == 2 ? x : reshape(x, {count_rows(x), x.size(-1)}); }

/// x itself where BLAS reads its matrices in place, else a row-major copy; no gradient.
inline Tensor readable(const Tensor& x) {
  return blas_reads(x.size(-2), x.size(-1), matrix_steps(x)) ? x : as_contiguous(x);
}

}  // namespace limpid::detail
