#include <limpid/ops/product/detail/blas.hpp>

#include <cblas.h>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/product/detail/blocks.hpp>
#include <limpid/ops/product/detail/threads.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>

namespace limpid::detail {
namespace {

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
void plain_gemm(const Product<T>& p) noexcept {
  for (int64_t i = 0; i < p.n; ++i) {
    T* row = p.y + i * p.y_row;
    if (!p.accumulate) std::fill_n(row, p.m, T{});
    for (int64_t q = 0; q < p.k; ++q)
      for (int64_t j = 0; j < p.m; ++j) row[j] += p.a.at(i, q) * p.b.at(q, j);
  }
}

template <class T>
void by_blas(const Product<T>& p, BlasMatrix a, BlasMatrix b) noexcept {
  // No kernel of our own for small products: measured, OpenBLAS takes 0.1 us for (16, 16) x (16, 16), and with its
  // AVX2 kernels, which have no special case for them, 0.25 us.
  keep_one_pool();
  const auto call = [&](auto* cblas_gemm, int64_t i, int64_t rows, int64_t j, int64_t cols) {
    const auto to_int = [](int64_t size) { return static_cast<blasint>(size); };
    cblas_gemm(CblasRowMajor, a.transpose, b.transpose, to_int(rows), to_int(cols), to_int(p.k), T{1},
               p.a.data + i * p.a.steps.row, to_int(a.row), p.b.data + j * p.b.steps.col, to_int(b.row),
               p.accumulate ? T{1} : T{0}, p.y + i * p.y_row + j, to_int(p.y_row));
  };
  const Blocks blocks(p.n, p.m, p.k);
  parallel_for(blocks.count(), 1, [&](int64_t begin, int64_t end) {
    const OneThread guard;
    const LibraryCall memory;  // OpenBLAS lends buffers under a lock
    for (int64_t block = begin; block < end; ++block) {
      const int64_t i = block / blocks.across * blocks.rows, j = block % blocks.across * blocks.cols;
      const int64_t rows = std::min(blocks.rows, p.n - i), cols = std::min(blocks.cols, p.m - j);
      if constexpr (std::is_same_v<T, float>)
        call(cblas_sgemm, i, rows, j, cols);
      else
        call(cblas_dgemm, i, rows, j, cols);
    }
  });
}

}  // namespace

void keep_one_pool() noexcept {
  [[maybe_unused]] static const bool done = [] {
#ifdef OPENBLAS_THREAD
    if (openblas_get_parallel() == OPENBLAS_THREAD) {
      openblas_set_num_threads(1);
      log_message(
          LogLevel::info,
          "OpenBLAS has a thread pool of its own: it is set to one thread; its OpenMP build would use limpid's");
    }
#endif
    return true;
  }();
}

bool blas_reads(int64_t rows, int64_t cols, MatrixSteps s) noexcept {
  return reads_rows(rows, cols, s) || reads_rows(cols, rows, {s.col, s.row});
}

template <class T>
void gemm(const Product<T>& p) noexcept {
  if (p.n == 0 || p.m == 0) return;
  const BlasMatrix a = as_blas(p.n, p.k, p.a.steps), b = as_blas(p.k, p.m, p.b.steps);
  const bool fits = std::max({p.n, p.m, p.k, a.row, b.row, p.y_row}) <= std::numeric_limits<blasint>::max();
  if (p.k == 0 || !fits || !blas_reads(p.n, p.k, p.a.steps) || !blas_reads(p.k, p.m, p.b.steps)) return plain_gemm(p);
  by_blas(p, a, b);
}

template void gemm(const Product<float>&) noexcept;
template void gemm(const Product<double>&) noexcept;

}  // namespace limpid::detail
