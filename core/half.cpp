#include <limpid/core/detail/isa.hpp>
#include <limpid/core/kernels/half.hpp>

namespace limpid::kernels {

const HalfKernels& half_kernels(DType dtype) noexcept {
  const HalfTable& table = LIMPID_AT_ISA(half_table);
  return dtype == DType::float16 ? table.float16 : table.bfloat16;
}

}  // namespace limpid::kernels
