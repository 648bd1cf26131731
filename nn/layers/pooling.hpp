// Pooling as layers.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/window.hpp>

namespace LIMPID_API limpid {
namespace nn {

// Arrays of one stand for sizes like {2}, which to a compiler could be a layer to copy as well.

struct MaxPoolOptions {
  OptionalSpatial stride = {};  ///< none: the kernel's size
  Spatial padding = 0;
};
/// max_pool2d() of x (N, C, H, W).
struct MaxPool2d : Module {
  explicit MaxPool2d(Spatial kernel, const MaxPoolOptions& options = {});
  explicit MaxPool2d(const int64_t (&kernel)[1], const MaxPoolOptions& options = {}) : MaxPool2d(kernel[0], options) {}
  Tensor operator()(const Tensor& x) const;

 private:
  Spatial kernel_;
  MaxPoolOptions options_;
};

struct AvgPoolOptions {
  OptionalSpatial stride = {};  ///< none: the kernel's size
  Spatial padding = 0;
};
/// avg_pool2d() of x (N, C, H, W).
struct AvgPool2d : Module {
  explicit AvgPool2d(Spatial kernel, const AvgPoolOptions& options = {});
  explicit AvgPool2d(const int64_t (&kernel)[1], const AvgPoolOptions& options = {}) : AvgPool2d(kernel[0], options) {}
  Tensor operator()(const Tensor& x) const;

 private:
  Spatial kernel_;
  AvgPoolOptions options_;
};

/// Means over equal windows: (N, C, H, W) to (N, C, h, w). Throws ShapeError where h and w do not divide H and W.
struct AdaptiveAvgPool2d : Module {
  explicit AdaptiveAvgPool2d(Spatial size);
  explicit AdaptiveAvgPool2d(const int64_t (&size)[1]) : AdaptiveAvgPool2d(size[0]) {}
  Tensor operator()(const Tensor& x) const;

 private:
  Spatial size_;
};

}  // namespace nn
}  // namespace limpid
