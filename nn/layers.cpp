#include <limpid/core/detail/message.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/detail/text.hpp>
#include <limpid/nn/init.hpp>
#include <limpid/nn/layers.hpp>

#include <algorithm>
#include <cmath>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

std::string text(Size2d size) { return message('(', size.h, ", ", size.w, ')'); }

void require_positive(const char* op, const char* what, int64_t value) {
  if (value < 1) throw_error<ValueError>(op, ": expected ", what, " of at least 1, got ", value);
}
void require_positive(const char* op, const char* what, Size2d value) {
  require_positive(op, what, std::min(value.h, value.w));
}

void require_image(const char* op, const Tensor& x) {
  if (x.dim() != 4) throw_error<ShapeError>(op, ": expected x of shape (N, C, H, W), got ", x.shape());
}

// PyTorch's start for linear and convolutional layers: Kaiming uniform with a = sqrt(5), that is within
// 1 / sqrt(fan_in), for the weight as for the bias.
Tensor uniform_weight(const Shape& shape) {
  Tensor weight = empty(shape);
  init::kaiming_uniform_(weight, {.a = std::sqrt(5.0)});
  return weight;
}
Tensor uniform_bias(int64_t out, const Tensor& weight) {
  Tensor bias = empty({out});
  const double fan_in = static_cast<double>(init::fans(weight).in), bound = fan_in > 0 ? 1 / std::sqrt(fan_in) : 0;
  init::uniform_(bias, -bound, bound);
  return bias;
}

Shape linear_shape(int64_t in, int64_t out) {
  require_positive("Linear", "in and out", std::min(in, out));
  return {out, in};
}

Shape conv_shape(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options) {
  require_positive("Conv2d", "in and out", std::min(in, out));
  require_positive("Conv2d", "a kernel", kernel);
  require_positive("Conv2d", "stride and dilation",
                   std::min({options.stride.h, options.stride.w, options.dilation.h, options.dilation.w}));
  require_positive("Conv2d", "groups", options.groups);
  if (std::min(options.padding.h, options.padding.w) < 0)
    throw_error<ValueError>("Conv2d: expected padding of at least 0, got ", text(options.padding));
  if (in % options.groups || out % options.groups)
    throw_error<ValueError>("Conv2d: expected in and out divisible by groups, got in = ", in, ", out = ", out,
                            ", groups = ", options.groups);
  return {out, in / options.groups, kernel.h, kernel.w};
}

std::string conv_arguments(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options) {
  std::string list = message(in, ", ", out, ", kernel = ", text(kernel));
  if (options.stride != 1) list += ", stride = " + text(options.stride);
  if (options.padding != 0) list += ", padding = " + text(options.padding);
  if (options.dilation != 1) list += ", dilation = " + text(options.dilation);
  if (options.groups != 1) list += message(", groups = ", options.groups);
  return list + (options.bias ? "" : ", bias = false");
}

std::string pool_arguments(Size2d kernel, const Pool2dOptions& options) {
  std::string list = text(kernel);
  if (options.stride != 0) list += ", stride = " + text(options.stride);
  return options.padding == 0 ? list : list + ", padding = " + text(options.padding);
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, bool with_bias)
    : Module("Linear", message(in, ", ", out, with_bias ? "" : ", bias = false")),
      weight(parameter("weight", uniform_weight(linear_shape(in, out)))),
      bias(parameter("bias", with_bias ? uniform_bias(out, weight) : Tensor())) {}

Conv2d::Conv2d(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options)
    : Module("Conv2d", conv_arguments(in, out, kernel, options)),
      weight(parameter("weight", uniform_weight(conv_shape(in, out, kernel, options)))),
      bias(parameter("bias", options.bias ? uniform_bias(out, weight) : Tensor())),
      options_{options.stride, options.padding, options.dilation, options.groups} {}

namespace {

Tensor normal_weight(int64_t count, int64_t size) {
  require_positive("Embedding", "count and size", std::min(count, size));
  return randn({count, size});
}

}  // namespace

Embedding::Embedding(int64_t count, int64_t size)
    : Module("Embedding", message(count, ", ", size)),
      weight(parameter("weight", normal_weight(count, size))) {}

Tensor Embedding::operator()(const Tensor& index) const {
  Shape shape = index.shape();
  shape.push_back(weight.size(1));
  return reshape(index_select(weight, 0, reshape(index, {index.numel()})), shape);
}

LeakyReLU::LeakyReLU(double slope) : Module("LeakyReLU", detail::text(slope)), slope_(slope) {}
ELU::ELU(double alpha) : Module("ELU", detail::text(alpha)), alpha_(alpha) {}
Softplus::Softplus(double beta) : Module("Softplus", detail::text(beta)), beta_(beta) {}
Softmax::Softmax(int64_t axis) : Module("Softmax", message(axis)), axis_(axis) {}
LogSoftmax::LogSoftmax(int64_t axis) : Module("LogSoftmax", message(axis)), axis_(axis) {}

MaxPool2d::MaxPool2d(Size2d kernel, const Pool2dOptions& options)
    : Module("MaxPool2d", pool_arguments(kernel, options)),
      kernel_(kernel),
      options_(options) {
  require_positive("MaxPool2d", "a kernel", kernel);
}

AvgPool2d::AvgPool2d(Size2d kernel, const Pool2dOptions& options)
    : Module("AvgPool2d", pool_arguments(kernel, options)),
      kernel_(kernel),
      options_(options) {
  require_positive("AvgPool2d", "a kernel", kernel);
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Size2d size) : Module("AdaptiveAvgPool2d", text(size)), size_(size) {
  require_positive("AdaptiveAvgPool2d", "a size", size);
}

Tensor AdaptiveAvgPool2d::operator()(const Tensor& x) const {
  require_image("AdaptiveAvgPool2d", x);
  const int64_t h = x.size(2), w = x.size(3);
  if (h % size_.h || w % size_.w || h == 0 || w == 0)
    throw_error<ShapeError>("AdaptiveAvgPool2d: expected height and width divisible by ", text(size_),
                            ", got x of shape ", x.shape());
  return avg_pool2d(x, {h / size_.h, w / size_.w});
}

Upsample::Upsample(Size2d scale) : Module("Upsample", text(scale)), scale_(scale) {
  require_positive("Upsample", "a scale", scale);
}

Tensor Upsample::operator()(const Tensor& x) const {
  require_image("Upsample", x);
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const auto [sh, sw] = scale_;
  if (x.memory_format() == MemoryFormat::contiguous)
    return reshape(expand(reshape(x, {n, c, h, 1, w, 1}), {n, c, h, sh, w, sw}), {n, c, h * sh, w * sw});
  const Tensor pixels = reshape(permute(x, {0, 2, 3, 1}), {n, h, 1, w, 1, c});
  return permute(reshape(expand(pixels, {n, h, sh, w, sw, c}), {n, h * sh, w * sw, c}), {0, 3, 1, 2});
}

ReflectionPad2d::ReflectionPad2d(Size2d padding) : Module("ReflectionPad2d", text(padding)), padding_(padding) {
  if (std::min(padding.h, padding.w) < 0)
    throw_error<ValueError>("ReflectionPad2d: expected padding of at least 0, got ", text(padding));
}

Tensor ReflectionPad2d::operator()(const Tensor& x) const {
  return pad(x, {padding_.w, padding_.w, padding_.h, padding_.h}, PadMode::reflect);
}

Flatten::Flatten(int64_t first, int64_t last)
    : Module("Flatten", message(first, ", ", last)),
      first_(first),
      last_(last) {}

Dropout::Dropout(double p) : Module("Dropout", detail::text(p)), p_(p) {
  if (!(p >= 0 && p <= 1)) throw_error<ValueError>("Dropout: expected a probability from 0 to 1, got ", p);
}

Tensor Dropout::operator()(const Tensor& x) const {
  if (!is_training() || p_ == 0) return x;
  const double scale = p_ < 1 ? 1 / (1 - p_) : 0;
  return where(bernoulli(1 - p_, x.shape()), mul(x, scale), 0);
}

}  // namespace limpid::nn
