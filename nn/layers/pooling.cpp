#include <limpid/core/detail/message.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/pooling.hpp>
#include <limpid/ops/window/detail/window.hpp>

namespace limpid::nn {

using limpid::detail::throw_error;

namespace {

template <class Options>
std::string arguments(Size2d kernel, const Options& options) {
  std::string list = detail::text(kernel);
  if (options.stride) list += ", stride = " + detail::text(*options.stride);
  return options.padding == 0 ? list : list + ", padding = " + detail::text(options.padding);
}

template <class Options>
void check(const char* layer, Size2d kernel, const Options& options) {
  const auto& [stride, padding] = options;
  detail::expect(layer, {{"kernel", kernel, detail::window_size},
                         {"stride", stride.value_or(1), detail::window_size},
                         {"padding", padding, detail::padding_size}});
  limpid::detail::require_half_padded(layer, kernel, padding);
}

}  // namespace

MaxPool2d::MaxPool2d(Size2d kernel, const MaxPoolOptions& options)
    : Module("MaxPool2d", arguments(kernel, options)),
      kernel_(kernel),
      options_(options) {
  check("MaxPool2d", kernel, options);
}

Tensor MaxPool2d::operator()(const Tensor& x) const {
  return detail::call_within(
      *this, [&] { return max_pool2d(x, kernel_, {.stride = options_.stride, .padding = options_.padding}); });
}

AvgPool2d::AvgPool2d(Size2d kernel, const AvgPoolOptions& options)
    : Module("AvgPool2d", arguments(kernel, options)),
      kernel_(kernel),
      options_(options) {
  check("AvgPool2d", kernel, options);
}

Tensor AvgPool2d::operator()(const Tensor& x) const {
  return detail::call_within(
      *this, [&] { return avg_pool2d(x, kernel_, {.stride = options_.stride, .padding = options_.padding}); });
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Size2d size) : Module("AdaptiveAvgPool2d", detail::text(size)), size_(size) {
  detail::expect("AdaptiveAvgPool2d", {{"size", size, detail::window_size}});
}

Tensor AdaptiveAvgPool2d::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] {
    detail::require_image("AdaptiveAvgPool2d", x);
    const int64_t h = x.size(2), w = x.size(3);
    if (h % size_.h || w % size_.w || h == 0 || w == 0)
      throw_error<ShapeError>("AdaptiveAvgPool2d: expected height and width divisible by ", detail::text(size_),
                              ", got x of shape ", x.shape());
    return avg_pool2d(x, {h / size_.h, w / size_.w});
  });
}

}  // namespace limpid::nn
