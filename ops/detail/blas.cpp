#include <limpid/ops/detail/blas.hpp>

#include <cblas.h>
#include <omp.h>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/kernels/small_gemm.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>

namespace limpid::detail {
namespace {

const kernels::SmallGemmKernels& small_kernels() noexcept {
  switch (isa()) {
#if defined(__x86_64__)
    case Isa::avx512: return kernels::avx512::small_gemm;
    case Isa::avx2: return kernels::avx2::small_gemm;
#endif
    default: return kernels::baseline::small_gemm;
  }
}

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

}  // namespace

bool blas_reads(int64_t rows, int64_t cols, MatrixSteps s) noexcept {
  return reads_rows(rows, cols, s) || reads_rows(cols, rows, {s.col, s.row});
}

bool is_small_gemm(int64_t n, int64_t m, int64_t k) noexcept {
  // Measured: below this a call of OpenBLAS costs more than the product.
  constexpr int64_t limit = 16384;
  return n <= limit && m <= limit && k <= limit && n * m <= limit && n * m * k <= limit;
}

template <class T>
void gemm(int64_t n, int64_t m, int64_t k, const T* a, MatrixSteps a_steps, const T* b, MatrixSteps b_steps, T* y,
          int64_t y_row, bool accumulate) noexcept {
  if (n == 0 || m == 0) return;
  const BlasMatrix left = as_blas(n, k, a_steps), right = as_blas(k, m, b_steps);
  const bool fits = std::max({n, m, k, left.row, right.row, y_row}) <= std::numeric_limits<blasint>::max();
  if (k == 0 || !fits || is_small_gemm(n, m, k) || !blas_reads(n, k, a_steps) || !blas_reads(k, m, b_steps)) {
    const kernels::GemmDims dims{n, m, k, a_steps.row, a_steps.col, b_steps.row, b_steps.col, y_row, accumulate};
    if constexpr (std::is_same_v<T, float>)
      return small_kernels().float32(dims, a, b, y);
    else
      return small_kernels().float64(dims, a, b, y);
  }
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
