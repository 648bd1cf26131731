// Matrix products.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {

/// NumPy's matmul: (..., n, k) x (..., k, m) -> (..., n, m), leading axes broadcast; a 1-D operand is a row (left) or a
/// column (right) whose axis is dropped. float32 and float64, both of one dtype (throws DTypeError).
Tensor matmul(const Tensor& a, const Tensor& b);

/// x (..., in) times weight (out, in) transposed, plus bias (out,) or none: (..., out). All of one dtype.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace limpid
