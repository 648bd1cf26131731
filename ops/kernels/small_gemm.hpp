// Matrix products too small for a BLAS call to pay off.
#pragma once
#include <cstdint>

namespace limpid::kernels {

/// y (n, m) = a (n, k) b (k, m), or y += a b. Steps are in elements and may be anything for a and b; y is row-major.
struct GemmDims {
  std::int64_t n, m, k;
  std::int64_t a_row, a_col, b_row, b_col, y_row;
  bool accumulate;
};

struct SmallGemmKernels {
  void (*float32)(const GemmDims&, const float* a, const float* b, float* y) noexcept;
  void (*float64)(const GemmDims&, const double* a, const double* b, double* y) noexcept;
};

namespace baseline {
extern const SmallGemmKernels small_gemm;
}
namespace avx2 {
extern const SmallGemmKernels small_gemm;
}
namespace avx512 {
extern const SmallGemmKernels small_gemm;
}

}  // namespace limpid::kernels
