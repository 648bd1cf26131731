// The normalisation family as differentiable functions of a plan; ops/norm/norm.cpp checks arguments and calls these.
#pragma once
#include <limpid/core/tensor.hpp>
#include <limpid/ops/norm/detail/driver.hpp>

namespace limpid::detail {

/// What the nodes that a member of the family records are called.
struct NormNames {
  const char *forward, *backward, *double_backward, *tangent;
  const char* relu_backward;  ///< The gradient through a fused relu.
  const char* rstd;           ///< rstd as a function of x, in derivatives of third and higher order.
};
inline constexpr NormNames kInstanceNorm = {
    "instance_norm",         "instance_norm_backward",      "instance_norm_double_backward",
    "instance_norm_tangent", "instance_norm_relu_backward", "instance_norm_rstd"};
inline constexpr NormNames kGroupNorm = {"group_norm",         "group_norm_backward",      "group_norm_double_backward",
                                         "group_norm_tangent", "group_norm_relu_backward", "group_norm_rstd"};
inline constexpr NormNames kLayerNorm = {"layer_norm",         "layer_norm_backward",      "layer_norm_double_backward",
                                         "layer_norm_tangent", "layer_norm_relu_backward", "layer_norm_rstd"};
inline constexpr NormNames kRmsNorm = {"rms_norm",         "rms_norm_backward",      "rms_norm_double_backward",
                                       "rms_norm_tangent", "rms_norm_relu_backward", "rms_norm_rstd"};
inline constexpr NormNames kBatchNorm = {"batch_norm",         "batch_norm_backward",      "batch_norm_double_backward",
                                         "batch_norm_tangent", "batch_norm_relu_backward", "batch_norm_rstd"};

/// How the axes of a tensor are normalised: x is seen as (N, G, D, S), and each slice has its own statistics.
struct NormPlan {
  const NormNames* names = nullptr;  ///< Null where nothing is recorded.
  NormDims dims;
  double eps = 0;
  bool per_sample = false;  ///< gamma and beta are (N, C): each sample has its own.
  bool relu = false;        ///< y is the larger of what it would be and 0.

  Shape grouped_shape() const { return {dims.n, dims.g, dims.d, dims.s}; }
  /// Of one value per slice, to broadcast against grouped_shape().
  Shape stat_shape() const { return {dims.pooled ? 1 : dims.n, dims.g, 1, 1}; }
  /// Of one value per channel, likewise; of gamma and beta as they are given.
  Shape channel_shape() const { return {per_sample ? dims.n : 1, dims.g, dims.d, 1}; }
  Shape affine_shape() const { return per_sample ? Shape{dims.n, dims.channels()} : Shape{dims.channels()}; }
  /// The axes of grouped_shape() that a gradient of gamma is summed over.
  Axes affine_axes() const { return per_sample ? Axes{3} : Axes{0, 3}; }
  /// The axes of grouped_shape() that a slice spans.
  Axes slice_axes() const { return dims.pooled ? Axes{0, 2, 3} : Axes{2, 3}; }
  int64_t slice_size() const { return dims.d * dims.s * (dims.pooled ? dims.n : 1); }

  NormPlan without_relu() const {
    NormPlan plan = *this;
    plan.relu = false;
    return plan;
  }
};

/// Statistics as they are saved: mean (2, slices), its leading and its low part, and rstd (slices,), both float64.
struct NormStatistics {
  Tensor mean, rstd;
};

/// What derivatives are computed from.
struct NormSource {
  Tensor x;
  NormStatistics stats;
};
/// The same with x = 0, mean 0 and rstd 1 in each slice that has no statistics, for it holds NaN or infinity, and in
/// which t, of x's shape, and per_channel, of affine_shape(), are zero (or undefined): there what is linear in them is
/// 0, and would be NaN. Nothing is recorded.
NormSource without_idle_slices(const NormPlan& plan, const NormSource& from, const Tensor& t,
                               const Tensor& per_channel = {});

/// x: of grouped_shape().numel() elements, any layout. gamma, beta: of plan.affine_shape() in x's dtype, or undefined.
struct NormInputs {
  Tensor x, gamma = {}, beta = {};
};

/// y. Half precision is computed in float32, which gamma and beta may be as well.
Tensor normalize(const NormPlan& plan, const NormInputs& in);
/// The same of half precision, without the plan's relu.
Tensor normalize_half(const NormPlan& plan, const NormInputs& in);

/// y, not recorded, of float32 or float64, and its statistics, which are filled in.
Tensor norm_values(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats);

struct NormWanted {
  bool dx, dgamma, dbeta;
};
/// {dx, dgamma, dbeta} of float32 or float64, undefined where not wanted; differentiable in x, gamma and dy. beta is
/// read only where the plan has a relu, whose mask is then taken of dy; nothing is recorded there.
Tensors norm_gradients(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats, const Tensor& dy,
                       const NormWanted& wanted);

struct NormTangents {
  Tensor dx, dgamma, dbeta;
};
/// The tangent of y below the plan's relu, of float32 or float64; differentiable in d, x and gamma.
Tensor norm_tangent(const NormPlan& plan, const NormTangents& d, const NormInputs& in, const NormStatistics& stats);

/// xhat from saved statistics, and rstd in stat_shape() and x's dtype: still as the functions of x that they are.
Tensor normalized(const NormPlan& plan, const Tensor& x, const NormStatistics& stats);
Tensor rstd_of(const NormPlan& plan, const Tensor& x, const NormStatistics& stats);

/// The inputs of a second derivative: u, v and w, the gradients of dx, dgamma and dbeta (each may be undefined), and
/// what those were computed from.
struct NormSecondInputs {
  Tensor u, v, w, dy, x, gamma;
};
struct NormSecondWanted {
  bool ddy, dx, dgamma;
};

/// The gradients of sum(u dx) + sum(v dgamma) + sum(w dbeta) with respect to dy, x and gamma; undefined where not
/// wanted, or zero for want of u and v.
Tensors norm_double_backward(const NormPlan& plan, const NormSecondInputs& in, const NormStatistics& stats,
                             const NormSecondWanted& wanted);

/// Mean and biased variance per slice, float64, (slices,) each; not differentiable.
struct SliceMoments {
  Tensor mean, var;
};
SliceMoments slice_moments(const NormPlan& plan, const Tensor& x);
/// The same of the (N, C, S) view that these strides make of x's memory; reads_in_place() must hold.
SliceMoments slice_moments(const NormPlan& plan, const Tensor& x, const NormStrides& strides);

/// (x - mean) / sqrt(var + eps) * gamma + beta with mean and var (C,) given; differentiable in all five.
Tensor normalize_with(const NormPlan& plan, const NormInputs& in, const Tensor& mean, const Tensor& var);

}  // namespace limpid::detail
