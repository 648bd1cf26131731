#include <limpid/ops/loss/detail/loss.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/reduce.hpp>

namespace limpid::detail {

void require_operands(const char* op, Reduction reduction, std::initializer_list<LossOperand> operands) {
  require_member(op, "Reduction", reduction, Reduction::none, "mean, sum or none");
  for (const LossOperand& operand : operands) require_defined(op, operand.name, *operand.x);
}

void require_one_shape(const char* op, std::initializer_list<LossOperand> operands) {
  const LossOperand& first = *operands.begin();
  for (const LossOperand& operand : operands)
    if (operand.x->shape() != first.x->shape())
      throw_error<ShapeError>(op, ": expected ", operand.name, " of ", first.name, "'s shape ", first.x->shape(),
                              ", got ", operand.x->shape());
}

LossType::LossType(const char* op, std::initializer_list<LossOperand> operands)
    : result_(operands.begin()->x->dtype()) {
  for (const LossOperand& operand : operands) {
    if (!operand.x->defined() || operand.any_dtype) continue;
    const DType dtype = operand.x->dtype();
    if (is_floating_point(dtype))
      result_ = promote_types(result_, dtype);
    else
      throw_error<DTypeError>(op, ": expected ", operand.name, " of a floating-point dtype, got ", dtype,
                              "; convert with to()");
  }
  compute_ = compute_type(result_);
}

Tensor LossType::reduced(const Tensor& losses, Reduction reduction) const {
  switch (reduction) {
    case Reduction::mean: return rounded(losses.numel() == 0 ? mean_of_none(losses) : mean(losses));
    case Reduction::sum: return rounded(sum(losses));
    default: return rounded(losses);
  }
}

Tensor mean_of_none(const Tensor& losses) { return sum(chain(zeros_like(losses), losses)); }

namespace {

// The first element that test refuses.
template <class F>
const double* find(const Tensor& wide, F&& test) {
  const double* const x = wide.data<double>();
  for (int64_t i = 0; i < wide.numel(); ++i)
    if (!test(x[i])) return x + i;
  return nullptr;
}

Tensor widened(const Tensor& x) { return as_contiguous(as_dtype(x, float64)); }

}  // namespace

void require_probabilities(const char* op, const char* name, const Tensor& x) {
  const Tensor wide = widened(x);
  if (const double* bad = find(wide, [](double v) { return v >= 0 && v <= 1; }))
    throw_error<ValueError>(op, ": expected ", name, " in [0, 1], got ", *bad);
}

void require_signs(const char* op, const Tensor& target) {
  const Tensor wide = widened(target);
  if (const double* bad = find(wide, [](double v) { return v == 1 || v == -1; }))
    throw_error<ValueError>(op, ": expected targets of 1 or -1, got ", *bad);
}

}  // namespace limpid::detail
