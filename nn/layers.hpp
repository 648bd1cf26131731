// Layers with and without parameters. Each takes PyTorch's arguments, names and initial values.
#pragma once
#include <limpid/nn/module.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>

namespace limpid::nn {

/// x (..., in) to x weight^T + bias (..., out). weight (out, in) and bias (out,) begin uniform within 1 / sqrt(in).
struct Linear : Module {
  Linear(int64_t in, int64_t out, bool with_bias = true);
  Tensor operator()(const Tensor& x) const { return linear(x, weight, bias); }
  Tensor weight, bias;
};

struct ConvOptions {
  Size2d stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};

/// conv2d() of x (N, in, H, W). weight (out, in / groups, KH, KW) and bias (out,) begin uniform within
/// 1 / sqrt(in / groups KH KW).
struct Conv2d : Module {
  Conv2d(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options = {});
  Tensor operator()(const Tensor& x) const { return conv2d(x, weight, bias, options_); }
  Tensor weight, bias;

 private:
  limpid::Conv2dOptions options_;
};

/// Rows of weight (count, size), which begin standard normal, at int64 or int32 indices of any shape: (*indices, size).
struct Embedding : Module {
  Embedding(int64_t count, int64_t size);
  Tensor operator()(const Tensor& index) const;
  Tensor weight;
};

struct Identity : Module {
  Identity() : Module("Identity") {}
  Tensor operator()(const Tensor& x) const { return x; }
};

// Activations: limpid's functions of the same names.

struct ReLU : Module {
  ReLU() : Module("ReLU") {}
  Tensor operator()(const Tensor& x) const { return relu(x); }
};
struct GELU : Module {
  GELU() : Module("GELU") {}
  Tensor operator()(const Tensor& x) const { return gelu(x); }
};
struct SiLU : Module {
  SiLU() : Module("SiLU") {}
  Tensor operator()(const Tensor& x) const { return silu(x); }
};
struct Sigmoid : Module {
  Sigmoid() : Module("Sigmoid") {}
  Tensor operator()(const Tensor& x) const { return sigmoid(x); }
};
struct Tanh : Module {
  Tanh() : Module("Tanh") {}
  Tensor operator()(const Tensor& x) const { return tanh(x); }
};
struct LeakyReLU : Module {
  explicit LeakyReLU(double slope = 0.01);
  Tensor operator()(const Tensor& x) const { return leaky_relu(x, slope_); }

 private:
  double slope_;
};
struct ELU : Module {
  explicit ELU(double alpha = 1);
  Tensor operator()(const Tensor& x) const { return elu(x, alpha_); }

 private:
  double alpha_;
};
struct Softplus : Module {
  explicit Softplus(double beta = 1);
  Tensor operator()(const Tensor& x) const { return softplus(x, beta_); }

 private:
  double beta_;
};
struct Softmax : Module {
  explicit Softmax(int64_t axis);
  Tensor operator()(const Tensor& x) const { return softmax(x, axis_); }

 private:
  int64_t axis_;
};
struct LogSoftmax : Module {
  explicit LogSoftmax(int64_t axis);
  Tensor operator()(const Tensor& x) const { return log_softmax(x, axis_); }

 private:
  int64_t axis_;
};

// Pooling, size and shape.

struct MaxPool2d : Module {
  explicit MaxPool2d(Size2d kernel, const Pool2dOptions& options = {});
  Tensor operator()(const Tensor& x) const { return max_pool2d(x, kernel_, options_); }

 private:
  Size2d kernel_;
  Pool2dOptions options_;
};
struct AvgPool2d : Module {
  explicit AvgPool2d(Size2d kernel, const Pool2dOptions& options = {});
  Tensor operator()(const Tensor& x) const { return avg_pool2d(x, kernel_, options_); }

 private:
  Size2d kernel_;
  Pool2dOptions options_;
};
/// Means over equal windows: (N, C, H, W) to (N, C, h, w). Throws ShapeError where h and w do not divide H and W.
struct AdaptiveAvgPool2d : Module {
  explicit AdaptiveAvgPool2d(Size2d size);
  Tensor operator()(const Tensor& x) const;

 private:
  Size2d size_;
};
/// Each pixel of (N, C, H, W) repeated scale.h by scale.w times: nearest-neighbour interpolation.
struct Upsample : Module {
  explicit Upsample(Size2d scale);
  Tensor operator()(const Tensor& x) const;

 private:
  Size2d scale_;
};
/// Mirrors the last two axes beyond the border, which is not repeated.
struct ReflectionPad2d : Module {
  explicit ReflectionPad2d(Size2d padding);
  Tensor operator()(const Tensor& x) const;

 private:
  Size2d padding_;
};
struct Flatten : Module {
  explicit Flatten(int64_t first = 1, int64_t last = -1);
  Tensor operator()(const Tensor& x) const { return flatten(x, first_, last_); }

 private:
  int64_t first_, last_;
};

/// While training, sets each element to 0 with probability p and scales the others by 1 / (1 - p) (Srivastava et al.,
/// 2014), drawing from the default generator; else x itself. Throws ValueError where p is not from 0 to 1.
struct Dropout : Module {
  explicit Dropout(double p = 0.5);
  Tensor operator()(const Tensor& x) const;

 private:
  double p_;
};

}  // namespace limpid::nn
