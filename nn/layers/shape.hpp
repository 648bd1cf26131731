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

/// Each pixel of (N, C, H, W) repeated scale.h by scale.w times: nearest-neighbour interpolation.
struct Upsample : Module {
  explicit Upsample(Spatial scale);
  explicit Upsample(const int64_t (&scale)[1]) : Upsample(scale[0]) {}  // {2}, as pools have it
  Tensor operator()(const Tensor& x) const;

 private:
  Spatial scale_;
};

}  // namespace nn
}  // namespace limpid
