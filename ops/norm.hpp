// The normalisation family. Statistics are exact for every finite input, and saved for the backward; a constant slice
// gives exactly bias. Formulas and derivations: docs/instance_norm.md.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {

struct InstanceNormOptions {
  Tensor running_mean = {}, running_var = {};  ///< (C,) each, or none
  Tensor weight = {}, bias = {};               ///< (C,) or (N, C) each, or none
  bool use_input_stats = true;
  double momentum = 0.1;  ///< belongs to update_running_stats(); not used here
  double eps = 1e-5;
  /// Which elements count, where not all do: of each sample a prefix, int64 (N,) for one spatial axis or (N, axes) for
  /// one length per spatial axis; or those where mask holds, bool, broadcastable to (N, 1, *spatial). One of both.
  Tensor lengths = {}, mask = {};
  bool relu = false;  ///< y = relu(what y would be): the same bits in y and every gradient; y before relu is not kept
};

/// Instance normalisation (Ulyanov, Vedaldi, Lempitsky, 2016): for each sample n and channel c of x (N, C, *spatial),
/// over the spatial axes S alone,
///     mean = (1/|S|) sum_s x,   var = (1/|S|) sum_s (x - mean)^2,
///     y = weight_c (x - mean) / sqrt(var + eps) + bias_c.
/// With use_input_stats = false and both running buffers, those stand for mean and var; with neither, the input's own
/// do. The buffers are never written: see update_running_stats(). weight and bias of shape (N, C) give each sample its
/// own (adaptive instance normalisation: Huang and Belongie, 2017). With lengths or a mask, S is the set of a sample's
/// valid elements; y and x's gradient are 0 elsewhere. y has x's shape, dtype and memory format.
/// Throws ShapeError (x below rank 3; buffers not (C,); weight or bias neither (C,) nor (N, C); lengths or mask of
/// another shape), DTypeError, ValueError (one buffer without the other where they are used; eps negative or NaN).
Tensor instance_norm(const Tensor& x, const InstanceNormOptions& options = {});
Tensor instance_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight = {},
                     const Tensor& bias = {}, bool use_input_stats = true, double momentum = 0.1, double eps = 1e-5);

struct GroupNormOptions {
  Tensor weight = {}, bias = {};  ///< (C,) or (N, C) each, or none
  double eps = 1e-5;
  Tensor lengths = {}, mask = {};  ///< as in InstanceNormOptions
  bool relu = false;               ///< as in InstanceNormOptions
};

/// Group normalisation (Wu and He, 2018): statistics over the C / num_groups channels of a group and all spatial axes
/// of x (N, C, *spatial). weight and bias are (C,) or (N, C). With num_groups = C it is instance_norm, bit for bit, in
/// values and gradients.
Tensor group_norm(const Tensor& x, int64_t num_groups, const GroupNormOptions& options = {});

struct LayerNormOptions {
  Tensor weight = {}, bias = {};  ///< of normalized_shape each, or none
  double eps = 1e-5;
};

/// Layer normalisation (Ba, Kiros, Hinton, 2016) over the trailing axes `normalized_shape`.
Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const LayerNormOptions& options = {});

struct RMSNormOptions {
  Tensor weight = {};  ///< of normalized_shape, or none
  double eps = 1e-5;
};

/// Root-mean-square normalisation (Zhang and Sennrich, 2019): x / sqrt(mean x^2 + eps) * weight over the trailing axes
/// `normalized_shape`.
Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const RMSNormOptions& options = {});

struct BatchNormOptions {
  Tensor running_mean = {}, running_var = {};  ///< (C,) each, or none
  Tensor weight = {}, bias = {};               ///< (C,) each, or none
  bool training = false;
  double momentum = 0.1;  ///< belongs to update_running_stats(); not used here
  double eps = 1e-5;
  bool relu = false;  ///< as in InstanceNormOptions
};

/// Batch normalisation (Ioffe, Szegedy, 2015) of x (N, C, *spatial), rank 2 and up, over samples and spatial axes where
/// `training`, by the buffers otherwise. The buffers are never written.
Tensor batch_norm(const Tensor& x, const BatchNormOptions& options);

// The same by position, in PyTorch's order. Those that could be meant by {} where options are, are templates: these
// give way, so that {} is options.
template <class = void>
Tensor group_norm(const Tensor& x, int64_t num_groups, const Tensor& weight, const Tensor& bias = {},
                  double eps = 1e-5) {
  return group_norm(x, num_groups, GroupNormOptions{.weight = weight, .bias = bias, .eps = eps});
}
template <class = void>
Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight, const Tensor& bias = {},
                  double eps = 1e-5) {
  return layer_norm(x, normalized_shape, LayerNormOptions{.weight = weight, .bias = bias, .eps = eps});
}
template <class = void>
Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight, double eps = 1e-5) {
  return rms_norm(x, normalized_shape, RMSNormOptions{.weight = weight, .eps = eps});
}
Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight = {},
                  const Tensor& bias = {}, bool training = false, double momentum = 0.1, double eps = 1e-5);

/// How update_running_stats() makes one mean and one variance per channel of a batch (N, C, *spatial).
enum class RunningRule : uint8_t {
  per_instance,    ///< means over samples of each instance's mean and unbiased variance: PyTorch's instance_norm
  pooled,          ///< mean and biased variance over samples and spatial axes together
  pooled_unbiased  ///< the same with the unbiased variance: PyTorch's batch_norm
};

/// Moves running_mean and running_var (C,), in place and unrecorded, towards the statistics of x (N, C, *spatial), or
/// (N, C) where these are pooled:
///     buffer = (1 - momentum) buffer + momentum statistic.
/// The buffers receive finite values alone. A channel moves with both or stays with both: it stays where x has no
/// sample, or less than two elements for an unbiased variance; where x has a NaN or infinity in that channel; and where
/// a new value would leave the range of the buffers' dtype.
/// Throws ShapeError, DTypeError, ValueError (a buffer is missing, momentum is outside [0, 1]).
void update_running_stats(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, double momentum = 0.1,
                          RunningRule rule = RunningRule::per_instance);

/// The cumulative average instead, PyTorch's momentum = None: the k-th batch has momentum 1/k, so that the buffers are
/// plain means over all batches. num_batches_tracked, one int64, holds k - 1 and is advanced, but not by a batch of
/// which every channel stayed as it was.
void update_running_stats(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                          const Tensor& num_batches_tracked, RunningRule rule = RunningRule::per_instance);

/// Of each set of `count` elements: mean and biased variance, float64, of one shape.
struct Moments {
  Tensor mean, variance;
  int64_t count = 0;
};

/// Moments of x over axes (all where none is given), in the shape that mean() gives. x may have any dtype; integers are
/// taken as float64. For every finite input the mean is within 2^-52 of the largest |x| and the variance, formed from
/// differences by the kernels of the normalisations, within 2^-44 of itself. Differentiable; over no elements both are
/// NaN, with count 0.
Moments moments(const Tensor& x, const Axes& axes = {}, bool keepdims = false);

/// Moments of the union of two disjoint sets (Chan, Golub, LeVeque, "Algorithms for computing the sample variance",
/// 1983). With count 0 a side adds nothing. Differentiable. Merging k shards, in any order, adds at most
/// e = 4 k 2^-53 times the largest |mean| of a shard to the error of the mean, and 4 k 2^-53 variance +
/// 2 e sqrt(variance) + e^2 to that of the variance. Throws ShapeError where the shapes differ, DTypeError, ValueError
/// (an undefined tensor, a negative count).
Moments merge(const Moments& a, const Moments& b);

}  // namespace limpid
