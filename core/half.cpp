#include <limpid/core/detail/isa.hpp>
#include <limpid/core/kernels/half.hpp>

namespace limpid::kernels {
namespace {

const HalfTable& half_table() noexcept {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512::half_table;
  if (isa() == Isa::avx2) return avx2::half_table;
#endif
  return baseline::half_table;
}

}  // namespace

const HalfKernels& half_kernels(DType dtype) noexcept {
  return dtype == DType::float16 ? half_table().float16 : half_table().bfloat16;
}

}  // namespace limpid::kernels
