// Attention as a composition of differentiable functions, for derivatives of every order.
#pragma once
#include <limpid/ops/attention/detail/scheme.hpp>

namespace limpid::detail {

/// softmax of the scores of unscaled q and k, with the mask given in place of s's; a query that sees no key has weights
/// 0. What a query may not attend to does not reach it, be it NaN.
Tensor weights_of(const Tensor& q, const Tensor& k, const Tensor& mask, const Scheme& s);

/// y_ic = sum_j weights_ij v_jc. Where a weight is 0, its value counts for nothing, nor does what arrives at the weight
/// from there.
Tensor weighted_sum(const Tensor& weights, const Tensor& v);

}  // namespace limpid::detail
