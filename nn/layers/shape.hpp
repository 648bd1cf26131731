// Layers that change sizes and axes alone.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>

namespace LIMPID_API limpid {
namespace nn {

struct Identity : Module {
  Identity() : Module("Identity") {}
  Tensor operator()(const Tensor& x) const { return x; }
};

/// Axes first to last, both included, made one.
struct Flatten : Module {
  explicit Flatten(int64_t first = 1, int64_t last = -1);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t first_, last_;
};

/// interpolate() of x (N, C, *spatial); a number alone is a scale_factor.
struct Upsample : Module {
  explicit Upsample(const InterpolateOptions& options);
  explicit Upsample(double scale_factor) : Upsample(InterpolateOptions{.scale_factor = scale_factor}) {}
  Tensor operator()(const Tensor& x) const;

 private:
  InterpolateOptions options_;
};

}  // namespace nn
}  // namespace limpid
