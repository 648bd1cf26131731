// The normalisation family as modules, with PyTorch's options, names and running statistics.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/norm.hpp>

#include <optional>

namespace LIMPID_API limpid {
namespace nn {

/// What InstanceNorm and BatchNorm share: weight and bias, and the buffers running_mean, running_var and
/// num_batches_tracked, each undefined where not asked for.
class RunningNorm : public Module {
 public:
  Parameter weight, bias;
  Buffer running_mean, running_var, num_batches_tracked;

 protected:
  struct Settings {
    const char* type;
    int64_t axes;  ///< spatial
    int64_t features;
    double eps;
    std::optional<double> momentum;
    bool affine, track, relu;
  };
  explicit RunningNorm(const Settings& settings);
  void check_features(const Tensor& x, int64_t axis) const;
  /// Moves the buffers by x, with momentum or as plain means over all batches.
  void track(const Tensor& x, RunningRule rule) const;

  Settings settings_;
};

struct InstanceNormOptions {
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  ///< none: the running statistics are plain means over all batches
  bool affine = false;
  bool track_running_stats = false;
  bool relu = false;  ///< gives relu() of the result, without keeping the result itself
};

/// instance_norm() of x (N, C, *spatial), or (C, *spatial) without a batch, with as many spatial axes as the class
/// says. With track_running_stats, training updates the buffers, and evaluation, as a frozen layer, normalises by them.
/// As in PyTorch, num_batches_tracked stays 0 unless momentum is none.
class InstanceNorm : public RunningNorm {
 public:
  Tensor operator()(const Tensor& x) const;

 protected:
  InstanceNorm(const char* type, int64_t axes, int64_t features, const InstanceNormOptions& options);
};

struct InstanceNorm1d : InstanceNorm {
  explicit InstanceNorm1d(int64_t features, const InstanceNormOptions& options = {})
      : InstanceNorm("InstanceNorm1d", 1, features, options) {}
};
struct InstanceNorm2d : InstanceNorm {
  explicit InstanceNorm2d(int64_t features, const InstanceNormOptions& options = {})
      : InstanceNorm("InstanceNorm2d", 2, features, options) {}
};
struct InstanceNorm3d : InstanceNorm {
  explicit InstanceNorm3d(int64_t features, const InstanceNormOptions& options = {})
      : InstanceNorm("InstanceNorm3d", 3, features, options) {}
};

struct BatchNormOptions {
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  ///< none: the running statistics are plain means over all batches
  bool affine = true;
  bool track_running_stats = true;
  bool relu = false;  ///< as in InstanceNormOptions
};

/// batch_norm() of x (N, C, *spatial) with as many spatial axes as the class says; BatchNorm1d takes (N, C) too.
/// Training normalises by the batch, and updates the buffers (with the unbiased variance) where it tracks; evaluation,
/// and a frozen layer, normalises by the buffers where it tracks. num_batches_tracked counts every batch where there is
/// a momentum, as in PyTorch; where there is none, it counts those that moved some channel, which are what the means
/// are over (PyTorch counts all). Throws ValueError on training with one value per channel.
class BatchNorm : public RunningNorm {
 public:
  Tensor operator()(const Tensor& x) const;

 protected:
  BatchNorm(const char* type, int64_t axes, int64_t features, const BatchNormOptions& options);
};

struct BatchNorm1d : BatchNorm {
  explicit BatchNorm1d(int64_t features, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm1d", 1, features, options) {}
};
struct BatchNorm2d : BatchNorm {
  explicit BatchNorm2d(int64_t features, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm2d", 2, features, options) {}
};
struct BatchNorm3d : BatchNorm {
  explicit BatchNorm3d(int64_t features, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm3d", 3, features, options) {}
};

struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;
  bool relu = false;  ///< as in InstanceNormOptions
};

/// group_norm() of x (N, channels, *spatial). weight and bias are (channels,).
struct GroupNorm : Module {
  GroupNorm(int64_t num_groups, int64_t channels, const GroupNormOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  Parameter weight, bias;

 private:
  int64_t groups_, channels_;
  double eps_;
  bool relu_;
};

struct LayerNormOptions {
  double eps = 1e-5;
  bool affine = true;
  bool bias = true;  ///< affine without it has a weight alone
};

/// layer_norm() over the trailing axes `shape`, which weight and bias have.
struct LayerNorm : Module {
  explicit LayerNorm(const Shape& shape, const LayerNormOptions& options = {});
  explicit LayerNorm(int64_t size, const LayerNormOptions& options = {}) : LayerNorm(Shape{size}, options) {}
  Tensor operator()(const Tensor& x) const;
  Parameter weight, bias;

 private:
  Shape shape_;
  double eps_;
};

struct RMSNormOptions {
  double eps = 1e-5;
  bool affine = true;
};

/// rms_norm() over the trailing axes `shape`, which weight has.
struct RMSNorm : Module {
  explicit RMSNorm(const Shape& shape, const RMSNormOptions& options = {});
  explicit RMSNorm(int64_t size, const RMSNormOptions& options = {}) : RMSNorm(Shape{size}, options) {}
  Tensor operator()(const Tensor& x) const;
  Parameter weight;

 private:
  Shape shape_;
  double eps_;
};

struct LocalResponseNormOptions {
  double alpha = 1e-4, beta = 0.75, k = 1;
};

/// local_response_norm() of x (N, C, *) over so many channels.
struct LocalResponseNorm : Module {
  explicit LocalResponseNorm(int64_t size, const LocalResponseNormOptions& options = {});
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t size_;
  LocalResponseNormOptions options_;
};

}  // namespace nn
}  // namespace limpid
