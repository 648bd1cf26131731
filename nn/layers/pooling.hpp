// Pooling as layers.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/window.hpp>

namespace LIMPID_API limpid {
namespace nn {

using limpid::AvgPoolOptions;
using limpid::MaxPoolOptions;

// Each layer takes x (N, C, *spatial), or (C, *spatial) without a batch, with as many spatial axes as its class says.
// Arrays of one stand for sizes like {2}, which to a compiler could be a layer to copy as well.

/// max_pool1d(), max_pool2d() or max_pool3d().
class MaxPool : public Module {
 public:
  Tensor operator()(const Tensor& x) const;
  /// With the index of each maximum in its plane.
  Selection with_indices(const Tensor& x) const;

 protected:
  MaxPool(const char* type, int64_t axes, const Spatial& kernel, const MaxPoolOptions& options);

 private:
  int64_t axes_;
  Spatial kernel_;
  MaxPoolOptions options_;
};
struct MaxPool1d : MaxPool {
  explicit MaxPool1d(const Spatial& kernel, const MaxPoolOptions& options = {})
      : MaxPool("MaxPool1d", 1, kernel, options) {}
  explicit MaxPool1d(const int64_t (&kernel)[1], const MaxPoolOptions& options = {}) : MaxPool1d(kernel[0], options) {}
};
struct MaxPool2d : MaxPool {
  explicit MaxPool2d(const Spatial& kernel, const MaxPoolOptions& options = {})
      : MaxPool("MaxPool2d", 2, kernel, options) {}
  explicit MaxPool2d(const int64_t (&kernel)[1], const MaxPoolOptions& options = {}) : MaxPool2d(kernel[0], options) {}
};
struct MaxPool3d : MaxPool {
  explicit MaxPool3d(const Spatial& kernel, const MaxPoolOptions& options = {})
      : MaxPool("MaxPool3d", 3, kernel, options) {}
  explicit MaxPool3d(const int64_t (&kernel)[1], const MaxPoolOptions& options = {}) : MaxPool3d(kernel[0], options) {}
};

/// avg_pool1d(), avg_pool2d() or avg_pool3d().
class AvgPool : public Module {
 public:
  Tensor operator()(const Tensor& x) const;

 protected:
  AvgPool(const char* type, int64_t axes, const Spatial& kernel, const AvgPoolOptions& options);

 private:
  int64_t axes_;
  Spatial kernel_;
  AvgPoolOptions options_;
};
struct AvgPool1d : AvgPool {
  explicit AvgPool1d(const Spatial& kernel, const AvgPoolOptions& options = {})
      : AvgPool("AvgPool1d", 1, kernel, options) {}
  explicit AvgPool1d(const int64_t (&kernel)[1], const AvgPoolOptions& options = {}) : AvgPool1d(kernel[0], options) {}
};
struct AvgPool2d : AvgPool {
  explicit AvgPool2d(const Spatial& kernel, const AvgPoolOptions& options = {})
      : AvgPool("AvgPool2d", 2, kernel, options) {}
  explicit AvgPool2d(const int64_t (&kernel)[1], const AvgPoolOptions& options = {}) : AvgPool2d(kernel[0], options) {}
};
struct AvgPool3d : AvgPool {
  explicit AvgPool3d(const Spatial& kernel, const AvgPoolOptions& options = {})
      : AvgPool("AvgPool3d", 3, kernel, options) {}
  explicit AvgPool3d(const int64_t (&kernel)[1], const AvgPoolOptions& options = {}) : AvgPool3d(kernel[0], options) {}
};

/// As many windows along each axis as `size` says.
class AdaptivePool : public Module {
 protected:
  AdaptivePool(const char* type, int64_t axes, const Spatial& size);

  int64_t axes_;
  Spatial size_;
};

/// adaptive_avg_pool1d(), adaptive_avg_pool2d() or adaptive_avg_pool3d().
class AdaptiveAvgPool : public AdaptivePool {
 public:
  Tensor operator()(const Tensor& x) const;

 protected:
  using AdaptivePool::AdaptivePool;
};
struct AdaptiveAvgPool1d : AdaptiveAvgPool {
  explicit AdaptiveAvgPool1d(const Spatial& size) : AdaptiveAvgPool("AdaptiveAvgPool1d", 1, size) {}
  explicit AdaptiveAvgPool1d(const int64_t (&size)[1]) : AdaptiveAvgPool1d(size[0]) {}
};
struct AdaptiveAvgPool2d : AdaptiveAvgPool {
  explicit AdaptiveAvgPool2d(const Spatial& size) : AdaptiveAvgPool("AdaptiveAvgPool2d", 2, size) {}
  explicit AdaptiveAvgPool2d(const int64_t (&size)[1]) : AdaptiveAvgPool2d(size[0]) {}
};
struct AdaptiveAvgPool3d : AdaptiveAvgPool {
  explicit AdaptiveAvgPool3d(const Spatial& size) : AdaptiveAvgPool("AdaptiveAvgPool3d", 3, size) {}
  explicit AdaptiveAvgPool3d(const int64_t (&size)[1]) : AdaptiveAvgPool3d(size[0]) {}
};

/// adaptive_max_pool1d(), adaptive_max_pool2d() or adaptive_max_pool3d().
class AdaptiveMaxPool : public AdaptivePool {
 public:
  Tensor operator()(const Tensor& x) const;
  /// With the index of each maximum in its plane.
  Selection with_indices(const Tensor& x) const;

 protected:
  using AdaptivePool::AdaptivePool;
};
struct AdaptiveMaxPool1d : AdaptiveMaxPool {
  explicit AdaptiveMaxPool1d(const Spatial& size) : AdaptiveMaxPool("AdaptiveMaxPool1d", 1, size) {}
  explicit AdaptiveMaxPool1d(const int64_t (&size)[1]) : AdaptiveMaxPool1d(size[0]) {}
};
struct AdaptiveMaxPool2d : AdaptiveMaxPool {
  explicit AdaptiveMaxPool2d(const Spatial& size) : AdaptiveMaxPool("AdaptiveMaxPool2d", 2, size) {}
  explicit AdaptiveMaxPool2d(const int64_t (&size)[1]) : AdaptiveMaxPool2d(size[0]) {}
};
struct AdaptiveMaxPool3d : AdaptiveMaxPool {
  explicit AdaptiveMaxPool3d(const Spatial& size) : AdaptiveMaxPool("AdaptiveMaxPool3d", 3, size) {}
  explicit AdaptiveMaxPool3d(const int64_t (&size)[1]) : AdaptiveMaxPool3d(size[0]) {}
};

}  // namespace nn
}  // namespace limpid
