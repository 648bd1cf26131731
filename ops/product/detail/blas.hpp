// Matrix products on raw memory.
#pragma once
#include <cstdint>

namespace limpid::detail {

/// Steps of a matrix in memory, in elements.
struct MatrixSteps {
  int64_t row, col;
};

/// Whether BLAS can read a (rows, cols) matrix of these steps, as it is or transposed, without a copy.
bool blas_reads(int64_t rows, int64_t cols, MatrixSteps steps) noexcept;

/// y (n, m) = a (n, k) b (k, m), or y += a b where accumulate; rows of y are y_row apart. The same bits for any number
/// of threads; on the calling thread alone inside a parallel loop. Fast where blas_reads() both a and b; right in any
/// case.
template <class T>
void gemm(int64_t n, int64_t m, int64_t k, const T* a, MatrixSteps a_steps, const T* b, MatrixSteps b_steps, T* y,
          int64_t y_row, bool accumulate) noexcept;

}  // namespace limpid::detail
