#include <limpid/core/detail/message.hpp>
#include <limpid/nn/layers/convolution.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>

#include <algorithm>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

Shape weight_shape(int64_t in, int64_t out, Size2d kernel, const ConvOptions& options) {
  detail::require_positive("Conv2d", "in and out", std::min(in, out));
  detail::require_positive("Conv2d", "a kernel", kernel);
  detail::require_positive("Conv2d", "stride and dilation",
                           std::min({options.stride.h, options.stride.w, options.dilation.h, options.dilation.w}));
  detail::require_positive("Conv2d", "groups", options.groups);
  if (std::min(options.padding.h, options.padding.w) < 0)
    throw_error<ValueError>("Conv2d: expected padding of at least 0, got ", detail::text(options.padding));
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
    : Module("Conv2d", arguments(in, out, kernel, options)),
      weight(parameter("weight", detail::uniform_weight(weight_shape(in, out, kernel, options), options.generator))),
      bias(parameter("bias", options.bias ? detail::uniform_bias(weight, options.generator) : Tensor())),
      options_{options.stride, options.padding, options.dilation, options.groups} {}

}  // namespace limpid::nn
