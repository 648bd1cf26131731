// Pooling as layers.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/window.hpp>

namespace LIMPID_API limpid {
namespace nn {

struct MaxPoolOptions {
  OptionalSize2d stride = {};  ///< none: the kernel's size
  Size2d padding = 0;
};
/// max_pool2d() of x (N, C, H, W).
struct MaxPool2d : Module {
  explicit MaxPool2d(Size2d kernel, const MaxPoolOptions& options = {});
  Tensor operator()(const Tensor& x) const;

 private:
  Size2d kernel_;
  MaxPoolOptions options_;
};

struct AvgPoolOptions {
  OptionalSize2d stride = {};  ///< none: the kernel's size
  Size2d padding = 0;
};
/// avg_pool2d() of x (N, C, H, W).
struct AvgPool2d : Module {
  explicit AvgPool2d(Size2d kernel, const AvgPoolOptions& options = {});
  Tensor operator()(const Tensor& x) const;

 private:
  Size2d kernel_;
  AvgPoolOptions options_;
};

/// Means over equal windows: (N, C, H, W) to (N, C, h, w). Throws ShapeError where h and w do not divide H and W.
struct AdaptiveAvgPool2d : Module {
  explicit AdaptiveAvgPool2d(Size2d size);
  Tensor operator()(const Tensor& x) const;

 private:
  Size2d size_;
};

}  // namespace nn
}  // namespace limpid
