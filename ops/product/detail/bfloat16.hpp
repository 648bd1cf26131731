// Matrix products of bfloat16 on raw memory.
#pragma once
#include <limpid/core/dtype.hpp>
#include <limpid/ops/product/detail/blas.hpp>

namespace limpid::detail {

/// y = a b, or a b + bias in each row where there is one, of m elements; no p.accumulate. Sums in float32, rounded
/// once; the same bits for any number of threads. The processor takes subnormal numbers for zeros. May throw
/// MemoryError.
void gemm(const Product<BFloat16>& p, const BFloat16* bias = nullptr);

}  // namespace limpid::detail
