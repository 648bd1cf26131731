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
  Tensor operator()(const Tensor& x) const;
};

/// Axes first to last, both included, made one.
struct Flatten : Module {
  explicit Flatten(int64_t first = 1, int64_t last = -1);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t first_, last_;
};

/// One axis as several of the given sizes, one of which may be -1.
struct Unflatten : Module {
  Unflatten(int64_t axis, const Shape& sizes);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t axis_;
  Shape sizes_;
};

/// pixel_shuffle() and pixel_unshuffle(): (..., C r^2, H, W) to (..., C, H r, W r), and back.
struct PixelShuffle : Module {
  explicit PixelShuffle(int64_t upscale_factor);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t factor_;
};
struct PixelUnshuffle : Module {
  explicit PixelUnshuffle(int64_t downscale_factor);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t factor_;
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
