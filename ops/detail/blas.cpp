#include <limpid/ops/detail/blas.hpp>

#include <cblas.h>
#include <omp.h>
#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/parallel.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>

namespace limpid::detail {
namespace {

// An OpenBLAS with threads of its own would fight our pool for the cores.
void keep_one_pool() noexcept {
  [[maybe_unused]] static const bool done = [] {
#ifdef OPENBLAS_THREAD
    if (openblas_get_parallel() == OPENBLAS_THREAD) {
      openblas_set_num_threads(1);
      logger().info(
          "OpenBLAS has a thread pool of its own: it is set to one thread; its OpenMP build would use limpid's");
    }
#endif
    return true;
  }();
}

bool reads_rows(int64_t rows, int64_t cols, MatrixSteps s) noexcept {
  return (cols <= 1 || s.col == 1) && (rows <= 1 || s.row >= std::max<int64_t>(cols, 1));
}

struct BlasMatrix {
  CBLAS_TRANSPOSE transpose;
  int64_t row;  // BLAS's leading dimension
};

BlasMatrix as_blas(int64_t rows, int64_t cols, MatrixSteps s) noexcept {
  if (reads_rows(rows, cols, s)) return {CblasNoTrans, rows <= 1 ? std::max<int64_t>(cols, 1) : s.row};
  return {CblasTrans, cols <= 1 ? std::max<int64_t>(rows, 1) : s.col};
}

// For what BLAS cannot take: any steps, sizes past its integers, no k at all.
template <class T>
void plain_gemm(int64_t n, int64_t m, int64_t k, const T* a, MatrixSteps a_steps, const T* b, MatrixSteps b_steps, T* y,
                int64_t y_row, bool accumulate) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    T* row = y + i * y_row;
    if (!accumulate) std::fill_n(row, m, T{});
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < m; ++j)
        row[j] += a[i * a_steps.row + p * a_steps.col] * b[p * b_steps.row + j * b_steps.col];
  }
}

}  // namespace

bool blas_reads(int64_t rows, int64_t cols, MatrixSteps s) noexcept {
  return reads_rows(rows, cols, s) || reads_rows(cols, rows, {s.col, s.row});
}

template <class T>
void gemm(int64_t n, int64_t m, int64_t k, const T* a, MatrixSteps a_steps, const T* b, MatrixSteps b_steps, T* y,
          int64_t y_row, bool accumulate) noexcept {
  if (n == 0 || m == 0) return;
  const BlasMatrix left = as_blas(n, k, a_steps), right = as_blas(k, m, b_steps);
  const bool fits = std::max({n, m, k, left.row, right.row, y_row}) <= std::numeric_limits<blasint>::max();
  if (k == 0 || !fits || !blas_reads(n, k, a_steps) || !blas_reads(k, m, b_steps))
    return plain_gemm(n, m, k, a, a_steps, b, b_steps, y, y_row, accumulate);
  // No kernel of our own for small products: measured, OpenBLAS takes 0.1 us for (16, 16) x (16, 16), and with its
  // AVX2 kernels, which have no special case for them, 0.25 us.
  keep_one_pool();
  use_our_threads();
  const auto call = [&](auto* cblas_gemm) {
    const auto to_int = [](int64_t size) { return static_cast<blasint>(size); };
    cblas_gemm(CblasRowMajor, left.transpose, right.transpose, to_int(n), to_int(m), to_int(k), T{1}, a,
               to_int(left.row), b, to_int(right.row), accumulate ? T{1} : T{0}, y, to_int(y_row));
  };
  if constexpr (std::is_same_v<T, float>)
    call(cblas_sgemm);
  else
    call(cblas_dgemm);
}

template void gemm(int64_t, int64_t, int64_t, const float*, MatrixSteps, const float*, MatrixSteps, float*, int64_t,
                   bool) noexcept;
template void gemm(int64_t, int64_t, int64_t, const double*, MatrixSteps, const double*, MatrixSteps, double*, int64_t,
                   bool) noexcept;

int use_our_threads() noexcept {
  if (in_parallel()) return 1;
  // The count is a thread's own in OpenMP, but one for all in limpid.
  const int threads = get_num_threads();
  if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
  return threads;
}

}  // namespace limpid::detail
