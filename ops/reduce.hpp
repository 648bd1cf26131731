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
/// The square root of var(). Its gradient is 0 where that is 0.
Tensor stddev(const Tensor& x, const Axes& axes = {}, bool keepdims = false, double correction = 0);
// Of the elements that are no NaN; nanmean is NaN where all are.
Tensor nansum(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor nanmean(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor count_nonzero(const Tensor& x, const Axes& axes = {}, bool keepdims = false);

/// Elements and the int64 indices along an axis at which they are, which get their gradients.
struct Selection {
  Tensor values, indices;
};
// NaN is the greatest number. Over several axes ties share the gradient evenly; along one axis with indices, the first
// has it. Throw ShapeError over no elements.
Tensor amax(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor amin(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor max(const Tensor& x);  ///< of all elements, as amax
Tensor min(const Tensor& x);
Selection max(const Tensor& x, int64_t axis, bool keepdims = false);
Selection min(const Tensor& x, int64_t axis, bool keepdims = false);
/// Of an even count the lower one of the two in the middle; NaN where there is one.
Tensor median(const Tensor& x);
Selection median(const Tensor& x, int64_t axis, bool keepdims = false);
/// The number below which a part q of all lies, interpolated between its neighbours; NaN where there is one. Throws
/// ValueError on q beyond [0, 1].
Tensor quantile(const Tensor& x, double q);
Tensor quantile(const Tensor& x, double q, int64_t axis, bool keepdims = false);
/// int64 index of the first maximum along axis (NaN wins), or in the flattened tensor.
Tensor argmax(const Tensor& x, int64_t axis, bool keepdims = false);
Tensor argmax(const Tensor& x);
Tensor argmin(const Tensor& x, int64_t axis, bool keepdims = false);
Tensor argmin(const Tensor& x);
// Sorting is stable, downwards too.
Selection sort(const Tensor& x, int64_t axis = -1, bool descending = false);
Tensor argsort(const Tensor& x, int64_t axis = -1, bool descending = false);
/// The k greatest (least) along axis, in order. Throws ValueError on more than there are.
Selection topk(const Tensor& x, int64_t k, int64_t axis = -1, bool largest = true);

/// The different elements of x, ascending; of those that are NaN, one.
struct Unique {
  Tensor values;
  Tensor inverse;  ///< of x's shape: which of the values each element is
  Tensor counts;   ///< how many elements are each of the values
};
Unique unique(const Tensor& x);
/// How often each of 0, 1, ... stands in x, of one axis of integers; or the sum of the weights where it does. At least
/// minlength numbers. Throws ValueError on a number below 0.
Tensor bincount(const Tensor& x, const Tensor& weights = {}, int64_t minlength = 0);
/// Where values belong among sorted numbers (of one axis, or of values' shape but for the last): before those equal to
/// them, or behind them (right).
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right = false);

Tensor all(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
Tensor any(const Tensor& x, const Axes& axes = {}, bool keepdims = false);
/// A slice of -inf alone has softmax 0 and log_softmax and logsumexp -inf, with finite gradients: a fully masked row
/// harms no other. In float64, probabilities below 1e-307 are 0.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdims = false);  ///< without overflow
Tensor softmax(const Tensor& x, int64_t axis);
Tensor log_softmax(const Tensor& x, int64_t axis);
/// The p-norm (sum |x|^p)^(1/p) for p > 0, max |x| for p = infinity. Gradient 0 where the norm is 0.
Tensor vector_norm(const Tensor& x, double p = 2, const Axes& axes = {}, bool keepdims = false);

// Along one axis, each with all before it. Accumulated in double; integers and bool give int64, and wrap.
Tensor cumsum(const Tensor& x, int64_t axis);
Tensor cumprod(const Tensor& x, int64_t axis);       ///< gradients are exact at zeros
Tensor logcumsumexp(const Tensor& x, int64_t axis);  ///< log(cumsum(exp(x))), without overflow
/// x[i + 1] - x[i] along axis, n times; of bool, whether they differ.
Tensor diff(const Tensor& x, int64_t n = 1, int64_t axis = -1);

/// x over its p-norm along axis, which counts as at least eps.
Tensor normalize(const Tensor& x, double p = 2, int64_t axis = 1, double eps = 1e-12);
/// The cosine of the angle between a and b along axis; each norm counts as at least eps.
Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t axis = 1, double eps = 1e-8);
/// The p-norm of a - b + eps along the last axis.
Tensor pairwise_distance(const Tensor& a, const Tensor& b, double p = 2, double eps = 1e-6, bool keepdim = false);
/// (..., P, R): the p-norms of the differences of each row of a (..., P, M) and each of b (..., R, M). Gradient 0 at
/// distance 0. Takes memory for all differences.
Tensor cdist(const Tensor& a, const Tensor& b, double p = 2);
Tensor trace(const Tensor& x);  ///< the sum of a matrix's diagonal

/// x summed down to a shape that broadcasts to x's.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace limpid
