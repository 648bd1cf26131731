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

template <class T>
struct Matrix {
  const T* data;
  MatrixSteps steps;
  T at(int64_t i, int64_t j) const noexcept { return data[i * steps.row + j * steps.col]; }
};

/// y (n, m) = a (n, k) b (k, m), or y += a b.
template <class T>
struct Product {
  int64_t n, m, k;
  Matrix<T> a, b;
  T* y;
  int64_t y_row;  ///< from one row of y to the next
  bool accumulate = false;
};

/// An OpenBLAS with threads of its own would fight our pool for the cores: it is told to use none.
void keep_one_pool() noexcept;

/// The same bits for any number of threads; on the calling thread alone inside a parallel loop. Fast where blas_reads()
/// both a and b; right in any case.
template <class T>
void gemm(const Product<T>& product) noexcept;

}  // namespace limpid::detail
