#include <limpid/ops/kernels/reduce.hpp>

#define LIMPID_RESTRICT __restrict__

namespace limpid::kernels {
namespace {

// Plain loops over columns, which compilers turn into vectors without touching the order of a column's additions.
template <class T>
void add_rows(double* LIMPID_RESTRICT acc, const T* LIMPID_RESTRICT x, std::int64_t rows, std::int64_t stride,
              std::int64_t n) noexcept {
  std::int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    const T* LIMPID_RESTRICT a = x + i * stride;
    const T* LIMPID_RESTRICT b = a + stride;
    const T* LIMPID_RESTRICT c = b + stride;
    const T* LIMPID_RESTRICT d = c + stride;
    for (std::int64_t j = 0; j < n; ++j)
      acc[j] += (static_cast<double>(a[j]) + static_cast<double>(b[j])) +
                (static_cast<double>(c[j]) + static_cast<double>(d[j]));
  }
  for (; i < rows; ++i)
    for (std::int64_t j = 0; j < n; ++j) acc[j] += static_cast<double>(x[i * stride + j]);
}

}  // namespace

namespace LIMPID_KERNEL_ISA {
extern const ReduceKernels reduce_kernels;
const ReduceKernels reduce_kernels = {add_rows<float>, add_rows<double>};
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
