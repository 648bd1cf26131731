// What products, convolutions, pools and losses ask of their operands: to be there, and float32 or float64.
#pragma once
#include <limpid/ops/detail/check.hpp>

#include <initializer_list>

namespace limpid::detail {

struct NamedOperand {
  const char* name;
  const Tensor* x;
};

/// The dtype of all operands, float32 or float64. Undefined ones do not count. Products, convolutions and norms convert
/// nothing by themselves: a float64 image in a float32 network would silently make everything after it float64.
inline DType require_one_float_dtype(const char* op, std::initializer_list<NamedOperand> operands) {
  const NamedOperand* first = nullptr;
  for (const NamedOperand& operand : operands) {
    if (!operand.x->defined()) continue;
    const DType dtype = operand.x->dtype();
    if (dtype != float32 && dtype != float64)
      throw_error<DTypeError>(op, ": expected ", operand.name, " of float32 or float64, got ", dtype,
                              "; convert with to()");
    if (!first) first = &operand;
    if (dtype != first->x->dtype())
      throw_error<DTypeError>(op, ": expected ", first->name, " and ", operand.name, " of one dtype, got ",
                              first->x->dtype(), " and ", dtype, "; convert with to()");
  }
  return first->x->dtype();
}

/// Of element-wise losses, whose operands promote: each must be float32 or float64.
inline void require_float_dtypes(const char* op, std::initializer_list<NamedOperand> operands) {
  for (const NamedOperand& operand : operands) require_one_float_dtype(op, {operand});
}

}  // namespace limpid::detail
