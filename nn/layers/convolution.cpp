#include <limpid/nn/layers/convolution.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

Shape weight_shape(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options) {
  const auto& [stride, padding, dilation, groups, bias, generator] = options;
  detail::expect("Conv2d", {{"in channels", in, detail::count},
                            {"out channels", out, detail::count},
                            {"kernel", kernel, detail::window_size},
                            {"stride", stride, detail::window_size},
                            {"padding", padding, detail::padding_size},
                            {"dilation", dilation, detail::window_size},
                            {"groups", groups, detail::count}});
  if (in % options.groups || out % options.groups)
    throw_error<ValueError>("Conv2d: expected in and out divisible by groups, got in = ", in, ", out = ", out,
                            ", groups = ", options.groups);
  return {out, in / options.groups, kernel.h, kernel.w};
}

std::string arguments(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options) {
  std::string list = message(in, ", ", out, ", kernel = ", detail::text(kernel));
  if (options.stride != 1) list += ", stride = " + detail::text(options.stride);
  if (options.padding != 0) list += ", padding = " + detail::text(options.padding);
  if (options.dilation != 1) list += ", dilation = " + detail::text(options.dilation);
  if (options.groups != 1) list += message(", groups = ", options.groups);
  return list + (options.bias ? "" : ", bias = false");
}

}  // namespace

Conv2d::Conv2d(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options)
    : Conv2d(in, out, kernel, options, detail::Drawing(options.generator)) {}
Conv2d::Conv2d(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options, const detail::Drawing&)
    : Module("Conv2d", arguments(in, out, kernel, options)),
      weight(parameter("weight", detail::uniform_weight(weight_shape(in, out, kernel, options), options.generator))),
      bias(parameter("bias", options.bias ? detail::uniform_bias(weight, options.generator) : Tensor())),
      options_{options.stride, options.padding, options.dilation, options.groups} {}

Tensor Conv2d::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] {
    try {
      return conv2d(x, weight, bias, options_);
    } catch (const ShapeError&) {
      const int64_t in = weight.size(1) * options_.groups;
      if (x.dim() == 4 && x.size(1) == in) throw;
      throw_error<ShapeError>("Conv2d: expected x of shape (N, ", in, ", H, W), got ", x.shape());
    }
  });
}

}  // namespace limpid::nn
