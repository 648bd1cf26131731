// Convolutions as layers.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/window.hpp>

namespace LIMPID_API limpid {
namespace nn {

namespace detail {
struct Drawing;
}

struct ConvOptions {
  Size2d stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  Generator* generator = nullptr;  ///< draws the initial values; none: the default one
};

/// conv2d() of x (N, in, H, W). weight (out, in / groups, KH, KW) and bias (out,) begin uniform within
/// 1 / sqrt(in / groups KH KW).
struct Conv2d : Module {
  Conv2d(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  Parameter weight, bias;

 private:
  Conv2d(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options, const detail::Drawing& drawing);

  limpid::Conv2dOptions options_;
};

}  // namespace nn
}  // namespace limpid
