// Convolutions as layers.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>

namespace LIMPID_API limpid {
namespace nn {

namespace detail {
struct Drawing;

/// Of a convolution called `type` over so many spatial axes.
struct ConvSizes {
  const char* type;
  int64_t axes, in, out;
  Spatial kernel;
};
}  // namespace detail

struct ConvOptions {
  Spatial stride = 1;
  ConvPadding padding = 0;
  Spatial dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  PadMode padding_mode = PadMode::constant;  ///< what is padded: zeros, or the input's own elements
  Generator* generator = nullptr;            ///< draws the initial values; none: the default one
};

/// conv1d(), conv2d() or conv3d() of x (N, in, *spatial), or (in, *spatial) without a batch, with as many spatial axes
/// as the class says. weight (out, in / groups, *kernel) and bias (out,) begin uniform within
/// 1 / sqrt(in / groups times the kernel's elements).
class Conv : public Module {
 public:
  Tensor operator()(const Tensor& x) const;
  Parameter weight, bias;

 protected:
  Conv(const detail::ConvSizes& sizes, const ConvOptions& options);

 private:
  Conv(const detail::ConvSizes& sizes, const ConvOptions& options, const detail::Drawing& drawing);

  const char* type_;
  int64_t axes_;
  limpid::ConvOptions options_;
  PadMode padding_mode_;
};

struct Conv1d : Conv {
  Conv1d(int64_t in, int64_t out, const Spatial& kernel, const ConvOptions& options = {})
      : Conv({"Conv1d", 1, in, out, kernel}, options) {}
};
struct Conv2d : Conv {
  Conv2d(int64_t in, int64_t out, const Spatial& kernel, const ConvOptions& options = {})
      : Conv({"Conv2d", 2, in, out, kernel}, options) {}
};
struct Conv3d : Conv {
  Conv3d(int64_t in, int64_t out, const Spatial& kernel, const ConvOptions& options = {})
      : Conv({"Conv3d", 3, in, out, kernel}, options) {}
};

/// In PyTorch's order.
struct ConvTransposeOptions {
  Spatial stride = 1, padding = 0;
  Spatial output_padding = 0;  ///< so much more at the end of each axis; below stride or dilation
  int64_t groups = 1;
  bool bias = true;
  Spatial dilation = 1;
  Generator* generator = nullptr;  ///< draws the initial values; none: the default one
};

/// conv_transpose1d(), conv_transpose2d() or conv_transpose3d() of x (N, in, *spatial), or (in, *spatial) without a
/// batch. weight (in, out / groups, *kernel) and bias (out,) begin uniform within
/// 1 / sqrt(out / groups times the kernel's elements), as PyTorch's do.
class ConvTranspose : public Module {
 public:
  Tensor operator()(const Tensor& x) const;
  Parameter weight, bias;

 protected:
  ConvTranspose(const detail::ConvSizes& sizes, const ConvTransposeOptions& options);

 private:
  ConvTranspose(const detail::ConvSizes& sizes, const ConvTransposeOptions& options, const detail::Drawing& drawing);

  const char* type_;
  int64_t axes_;
  limpid::ConvTransposeOptions options_;
};

struct ConvTranspose1d : ConvTranspose {
  ConvTranspose1d(int64_t in, int64_t out, const Spatial& kernel, const ConvTransposeOptions& options = {})
      : ConvTranspose({"ConvTranspose1d", 1, in, out, kernel}, options) {}
};
struct ConvTranspose2d : ConvTranspose {
  ConvTranspose2d(int64_t in, int64_t out, const Spatial& kernel, const ConvTransposeOptions& options = {})
      : ConvTranspose({"ConvTranspose2d", 2, in, out, kernel}, options) {}
};
struct ConvTranspose3d : ConvTranspose {
  ConvTranspose3d(int64_t in, int64_t out, const Spatial& kernel, const ConvTransposeOptions& options = {})
      : ConvTranspose({"ConvTranspose3d", 3, in, out, kernel}, options) {}
};

}  // namespace nn
}  // namespace limpid
