// Reductions over any axes; none given stands for all. With keepdims a reduced axis stays with size 1.
// Floating-point sums are formed pairwise in a fixed order: the same bits for any number of threads.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {

Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdims = false);   ///< integers and bool give int64
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdims = false);  ///< NaN over no elements
/// sum (x - mean)^2 / (count - correction), two passes; correction 1 gives the unbiased estimate. Throws ValueError
/// on a correction that is NaN or infinite.
Tensor var(const Tensor& x, const Axes& axes = {}, bool keepdims = false, double correction = 0);
Tensor prod(const Tensor& x, const Axes& axes = {}, bool keepdims = false);  ///< gradients are exact at zeros
/// NaN wins. Ties share the gradient evenly. Throws ShapeError over no elements.
Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// int64 index of the first maximum along axis (NaN wins), or in the flattened tensor.
Tensor argmax(const Tensor& x, int64_t axis, bool keepdims = false);
Tensor argmax(const Tensor& x);
Tensor argmin(const Tensor& x, int64_t axis, bool keepdims = false);
Tensor argmin(const Tensor& x);
Tensor all(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor any(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// A slice of -inf alone has softmax 0 and log_softmax and logsumexp -inf, with finite gradients: a fully masked row
/// harms no other. In float64, probabilities below 1e-307 are 0.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false);  ///< without overflow
Tensor softmax(const Tensor& x, int64_t axis);
Tensor log_softmax(const Tensor& x, int64_t axis);
/// The p-norm (sum |x|^p)^(1/p) for p > 0, max |x| for p = infinity. Gradient 0 where the norm is 0.
Tensor vector_norm(const Tensor& x, double p = 2, const Axes& axes = {}, bool keepdims = false);

/// x summed down to a shape that broadcasts to x's.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace limpid
