// Kernels of the reductions: the table each instruction set fills.
#pragma once
#include <cstdint>

namespace limpid::kernels {

/// acc[j] += sum of x[i * stride + j] over rows i, for each of n columns; rows are taken four at a time. The order of
/// additions is that of this line alone, whatever the width of a register.
template <class T>
using AddRows = void (*)(double* acc, const T* x, std::int64_t rows, std::int64_t stride, std::int64_t n) noexcept;

struct ReduceKernels {
  AddRows<float> add_rows_f32;
  AddRows<double> add_rows_f64;
};

namespace baseline {
extern const ReduceKernels reduce_kernels;
}
namespace avx2 {
extern const ReduceKernels reduce_kernels;
}
namespace avx512 {
extern const ReduceKernels reduce_kernels;
}

}  // namespace limpid::kernels
