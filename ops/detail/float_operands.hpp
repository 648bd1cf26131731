// What products, convolutions, pools and losses ask of their operands: to be there, and float32 or float64.
#pragma once
#include <limpid/ops/detail/check.hpp>

#include <initializer_list>

namespace limpid::detail {

/// The dtype that the operands promote to; each must be float32 or float64. Undefined ones do not count.
inline DType common_float_dtype(const char* op, std::initializer_list<const Tensor*> operands) {
  DType common = DType::float32;
  for (const Tensor* x : operands) {
    if (!x->defined()) continue;
    if (x->dtype() != float32 && x->dtype() != float64)
      throw_error<DTypeError>(op, ": expected float32 or float64, got ", x->dtype());
    common = promote_types(common, x->dtype());
  }
  return common;
}

/// x.to(dtype), differentiable; an undefined x stays so.
inline Tensor to_dtype(const Tensor& x, DType dtype) { return x.defined() ? x.to(dtype) : x; }

}  // namespace limpid::detail
