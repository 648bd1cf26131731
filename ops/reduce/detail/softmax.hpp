// What derivatives of softmax and its kin share.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// dy less that of the element, if any, that has more than three quarters of the weights p, whose sum along the axes
/// is 1. Sums of p_j (dy_i - dy_j) over j are the same for it, and 1 - p_i does not cancel in them. Where there is
/// none, dy as it is.
Tensor from_heaviest(const Tensor& dy, const Tensor& p, const Axes& axes);

/// dy_i - p_i sum_j dy_j for such weights, log_softmax's gradient: for the heaviest the same as
/// (sum_{j != i} p_j) (sum_j dy_j) - sum_{j != i} dy_j, which does not cancel where p_i is near 1.
Tensor log_softmax_gradient(const Tensor& dy, const Tensor& p, const Axes& axes);

}  // namespace limpid::detail
