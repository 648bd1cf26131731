// What products, convolutions and pools ask of their operands: one floating-point dtype.
#pragma once
#include <limpid/ops/detail/check.hpp>

#include <initializer_list>

namespace limpid::detail {

struct NamedOperand {
  const char* name;
  const Tensor* x;
};

/// The dtype of all operands, one that `fits`. Undefined ones do not count. Products, convolutions and norms convert
/// nothing by themselves: a float64 image in a float32 network would silently make everything after it float64.
inline DType require_one_dtype(const char* op, std::initializer_list<NamedOperand> operands, bool (*fits)(DType),
                               const char* in_words) {
  const NamedOperand* first = nullptr;
  for (const NamedOperand& operand : operands) {
    if (!operand.x->defined()) continue;
    const DType dtype = operand.x->dtype();
    if (!fits(dtype))
      throw_error<DTypeError>(op, ": expected ", operand.name, " of ", in_words, ", got ", dtype,
                              "; convert with to()");
    if (!first) first = &operand;
    if (dtype != first->x->dtype())
      throw_error<DTypeError>(op, ": expected ", first->name, " and ", operand.name, " of one dtype, got ",
                              first->x->dtype(), " and ", dtype, "; convert with to()");
  }
  return first->x->dtype();
}

/// Float32 or float64.
inline DType require_one_float_dtype(const char* op, std::initializer_list<NamedOperand> operands) {
  return require_one_dtype(
      op, operands, [](DType dtype) { return dtype == float32 || dtype == float64; }, "float32 or float64");
}

/// Or of half precision, which who asks computes in float32.
inline DType require_one_floating_dtype(const char* op, std::initializer_list<NamedOperand> operands) {
  return require_one_dtype(op, operands, is_floating_point, "a floating-point dtype");
}

}  // namespace limpid::detail
