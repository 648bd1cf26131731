// Losses, averaged over all elements (or samples) by default.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {

enum class Reduction { mean, sum, none };

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// Quadratic within delta, linear beyond: 0.5 d^2 or delta (|d| - 0.5 delta) (Huber, 1964). Throws ValueError
/// on a delta that is not a finite number above 0.
Tensor huber_loss(const Tensor& x, const Tensor& target, double delta = 1, Reduction reduction = Reduction::mean);
/// -x[n, target[n]] of log-probabilities x (N, C) or (N, C, *rest) and int64 targets (N) or (N, *rest).
Tensor nll_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// nll_loss of log_softmax(x, 1).
Tensor cross_entropy(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// Binary cross entropy of sigmoid(x) with target in [0, 1], without overflow.
Tensor bce_with_logits(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);

}  // namespace limpid
