// Runs of half precision to and from float32, compiled per instruction set.
#pragma once
#include <limpid/core/dtype.hpp>
#include <limpid/core/kernels/tables.hpp>

namespace limpid::kernels {

/// Conversions of one type, dense. What to_float, to_half and to_bfloat16 do, element by element; a signalling NaN may
/// come out quiet.
struct HalfKernels {
  void (*widen)(const void* from, float* to, int64_t n) noexcept;
  /// streamed: written past the caches.
  void (*narrow)(const float* from, void* to, int64_t n, bool streamed) noexcept;
};
struct HalfTable {
  HalfKernels float16, bfloat16;
};

/// Those of the instruction set in use, for float16 or bfloat16.
const HalfKernels& half_kernels(DType dtype) noexcept;

LIMPID_DECLARE_KERNELS(HalfTable, half_table)

}  // namespace limpid::kernels
