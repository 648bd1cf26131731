// What losses share: the dtype that they are computed in, checks, and reductions.
#pragma once
#include <limpid/core/tensor.hpp>
#include <limpid/ops/loss.hpp>

#include <initializer_list>

namespace limpid::detail {

struct LossOperand {
  const char* name;
  const Tensor* x;
  bool any_dtype = false;  ///< integers and bool as well; counts as of the others' dtype
};

/// Defined operands, and a reduction that most losses have. Throws ValueError.
void require_operands(const char* op, Reduction reduction, std::initializer_list<LossOperand> operands);
/// Throws ShapeError where the shapes are not all that of the first.
void require_one_shape(const char* op, std::initializer_list<LossOperand> operands);

/// The dtype of a loss, and the one that it is computed in, which is float32 for half precision.
class LossType {
 public:
  /// The operands' dtypes promoted; undefined ones do not count. Throws DTypeError on one that is not floating point.
  LossType(const char* op, std::initializer_list<LossOperand> operands);
  Tensor operator()(const Tensor& x) const { return x.defined() ? x.to(compute_) : x; }
  /// Losses of the dtype computed in, reduced and rounded.
  Tensor reduced(const Tensor& losses, Reduction reduction) const;
  Tensor rounded(const Tensor& loss) const { return loss.to(result_); }

 private:
  DType result_, compute_;
};

/// The mean of losses that there are none of: 0, with gradients that are 0, whatever they are.
Tensor mean_of_none(const Tensor& losses);

/// Throws ValueError at an element that is not from 0 to 1.
void require_probabilities(const char* op, const char* name, const Tensor& x);
/// Throws ValueError at an element that is not 1 or -1.
void require_signs(const char* op, const Tensor& target);

}  // namespace limpid::detail
