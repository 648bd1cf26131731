#include <limpid/nn/layers/convolution.hpp>

#include <limpid/core/detail/enumeration.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/ops/detail/check.hpp>

#include <algorithm>

namespace limpid::nn {

using detail::ConvSizes;
using limpid::detail::message;
using limpid::detail::shape_in_words;
using limpid::detail::spread;
using limpid::detail::throw_error;

namespace {

// Of x, be it one of a batch or not.
void require_channels(const char* type, const Tensor& x, int64_t in, int64_t axes) {
  limpid::detail::require_defined(type, "x", x);
  if ((x.dim() == axes + 2 && x.size(1) == in) || (x.dim() == axes + 1 && x.size(0) == in)) return;
  const auto words = [=](const char* before) { return shape_in_words(message(before, in, ", ").c_str(), "", axes); };
  throw_error<ShapeError>(type, ": expected x of shape ", words("(N, "), x.dim() == axes + 1 ? " or " + words("(") : "",
                          ", got ", x.shape());
}

Shape with_kernel(int64_t first, int64_t second, const ConvSizes& sizes) {
  Shape shape{first, second};
  for (int64_t a = 0; a < sizes.axes; ++a) shape.push_back(sizes.kernel[a]);
  return shape;
}

template <class Options>
void check(const ConvSizes& sizes, const Options& options) {
  const auto& [type, axes, in, out, kernel] = sizes;
  detail::expect(type, {{"in channels", in, detail::count}, {"out channels", out, detail::count}});
  detail::require_sizes(type, "kernel", kernel, axes, detail::window_size);
  detail::require_sizes(type, "stride", options.stride, axes, detail::window_size);
  detail::require_sizes(type, "dilation", options.dilation, axes, detail::window_size);
  detail::expect(type, {{"groups", options.groups, detail::count}});
  if (in % options.groups || out % options.groups)
    throw_error<ValueError>(type, ": expected in and out divisible by groups, got in = ", in, ", out = ", out,
                            ", groups = ", options.groups);
}

Shape weight_shape(const ConvSizes& sizes, const ConvOptions& options) {
  const auto& [type, axes, in, out, kernel] = sizes;
  const auto& [stride, padding, dilation, groups, bias, padding_mode, generator] = options;
  check(sizes, options);
  detail::require_sizes(type, "padding", padding.sizes(), axes, detail::padding_size);
  limpid::detail::require_member(type, "Padding", padding.name(), Padding::same, "valid or same");
  limpid::detail::require_member(type, "PadMode", padding_mode, PadMode::circular,
                                 "constant, reflect, replicate or circular");
  if (padding.name() == Padding::same && spread(stride, axes) != spread(1, axes))
    throw_error<ValueError>(type, ": expected a stride of 1 with Padding::same, got ", spread(stride, axes));
  return with_kernel(out, in / groups, sizes);
}

Shape weight_shape(const ConvSizes& sizes, const ConvTransposeOptions& options) {
  const auto& [type, axes, in, out, kernel] = sizes;
  const auto& [stride, padding, output_padding, groups, bias, dilation, generator] = options;
  check(sizes, options);
  detail::require_sizes(type, "padding", padding, axes, detail::padding_size);
  detail::require_sizes(type, "output_padding", output_padding, axes, detail::padding_size);
  const Spatial extra = spread(output_padding, axes), step = spread(stride, axes), spacing = spread(dilation, axes);
  for (int64_t a = 0; a < axes; ++a)
    if (extra[a] >= std::max(step[a], spacing[a]))
      throw_error<ValueError>(type, ": expected output_padding below stride or dilation, got output_padding = ", extra,
                              ", stride = ", step, " and dilation = ", spacing);
  return with_kernel(in, out / groups, sizes);
}

std::string beginning(const ConvSizes& sizes) {
  return message(sizes.in, ", ", sizes.out, ", kernel = ", spread(sizes.kernel, sizes.axes));
}
std::string unless(int64_t usual, const char* name, const Spatial& numbers, int64_t axes) {
  const Spatial all = spread(numbers, axes);
  return all == spread(usual, axes) ? "" : message(", ", name, " = ", all);
}

// Checked before they are printed.
std::string arguments(const ConvSizes& sizes, const ConvOptions& o) {
  weight_shape(sizes, o);
  const int64_t axes = sizes.axes;
  static constexpr const char* modes[] = {"zeros", "reflect", "replicate", "circular"};
  std::string list = beginning(sizes) + unless(1, "stride", o.stride, axes);
  list += o.padding.name() == Padding::same ? ", padding = same" : unless(0, "padding", o.padding.sizes(), axes);
  list += unless(1, "dilation", o.dilation, axes);
  if (o.groups != 1) list += message(", groups = ", o.groups);
  if (!o.bias) list += ", bias = false";
  if (o.padding_mode != PadMode::constant)
    list += message(", padding_mode = ", modes[static_cast<int>(o.padding_mode)]);
  return list;
}

// Checked before they are printed.
std::string arguments(const ConvSizes& sizes, const ConvTransposeOptions& o) {
  weight_shape(sizes, o);
  const int64_t axes = sizes.axes;
  std::string list = beginning(sizes) + unless(1, "stride", o.stride, axes) + unless(0, "padding", o.padding, axes) +
                     unless(0, "output_padding", o.output_padding, axes);
  if (o.groups != 1) list += message(", groups = ", o.groups);
  if (!o.bias) list += ", bias = false";
  return list + unless(1, "dilation", o.dilation, axes);
}

template <class Options>
Tensor first_weight(const ConvSizes& sizes, const Options& options) {
  return detail::uniform_weight(weight_shape(sizes, options), options.generator);
}
template <class Options>
Tensor first_bias(const Tensor& weight, const ConvSizes& sizes, const Options& options) {
  return options.bias ? detail::uniform_bias(weight, sizes.out, options.generator) : Tensor();
}

}  // namespace

Conv::Conv(const ConvSizes& sizes, const ConvOptions& options)
    : Conv(sizes, options, detail::Drawing(options.generator)) {}
Conv::Conv(const ConvSizes& sizes, const ConvOptions& options, const detail::Drawing&)
    : Module(sizes.type, arguments(sizes, options)),
      weight(parameter("weight", first_weight(sizes, options))),
      bias(parameter("bias", first_bias(weight, sizes, options))),
      type_(sizes.type),
      axes_(sizes.axes),
      options_{options.stride, options.padding, options.dilation, options.groups},
      padding_mode_(options.padding_mode) {
  detail::set_work(*this, detail::Work::per_output);
}

Tensor Conv::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x_any) {
    require_channels(type_, x_any, weight.size(1) * options_.groups, axes_);
    Tensor x = x_any;
    limpid::ConvOptions options = options_;
    if (padding_mode_ != PadMode::constant) {
      Shape amounts;
      for (int64_t a = axes_; a-- > 0;) {
        const int64_t all = options.dilation[a] * (weight.size(a + 2) - 1), each = options.padding.sizes()[a];
        const bool same = options.padding.name() == Padding::same;
        amounts.push_back(same ? all / 2 : each);
        amounts.push_back(same ? all - all / 2 : each);
      }
      x = pad(x, amounts, padding_mode_);
      options.padding = 0;
    }
    const auto conv = detail::for_axes(axes_, conv1d, conv2d, conv3d);
    return conv(x, weight, bias, options);
  });
}

ConvTranspose::ConvTranspose(const ConvSizes& sizes, const ConvTransposeOptions& options)
    : ConvTranspose(sizes, options, detail::Drawing(options.generator)) {}
ConvTranspose::ConvTranspose(const ConvSizes& sizes, const ConvTransposeOptions& options, const detail::Drawing&)
    : Module(sizes.type, arguments(sizes, options)),
      weight(parameter("weight", first_weight(sizes, options))),
      bias(parameter("bias", first_bias(weight, sizes, options))),
      type_(sizes.type),
      axes_(sizes.axes),
      options_{options.stride, options.padding, options.output_padding, options.groups, options.dilation} {
  detail::set_work(*this, detail::Work::per_input);
}

Tensor ConvTranspose::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    require_channels(type_, x, weight.size(0), axes_);
    const auto conv = detail::for_axes(axes_, conv_transpose1d, conv_transpose2d, conv_transpose3d);
    return conv(x, weight, bias, options_);
  });
}

}  // namespace limpid::nn
