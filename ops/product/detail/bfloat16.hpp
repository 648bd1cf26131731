// Where bfloat16 is computed with as it is, and its matrix products on raw memory.
#pragma once
#include <limpid/core/dtype.hpp>
#include <limpid/ops/product/detail/blas.hpp>

namespace limpid::detail {

/// Whether the processor multiplies bfloat16, and oneDNN makes use of it: where not, products and convolutions are
/// faster of operands converted to float32.
bool multiplies_bfloat16() noexcept;

/// y = a b, or a b + bias in each row where there is one, of m elements; no p.accumulate. Sums in float32, rounded
/// once; the same bits for any number of threads. The processor takes subnormal numbers for zeros. May throw
/// MemoryError.
void gemm(const Product<BFloat16>& p, const BFloat16* bias = nullptr);

}  // namespace limpid::detail
