#include <limpid/core/detail/message.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/pooling.hpp>
#include <limpid/ops/window/detail/window.hpp>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::spread;
using limpid::detail::throw_error;

namespace {

template <class Options>
std::string arguments(Spatial kernel, const Options& options) {
  std::string list = message(spread(kernel, 2));
  if (options.stride) list += ", stride = " + message(spread(*options.stride, 2));
  return spread(options.padding, 2) == Spatial(0, 0) ? list
                                                     : list + message(", padding = ", spread(options.padding, 2));
}

template <class Options>
void check(const char* layer, Spatial kernel, const Options& options) {
  const auto& [stride, padding] = options;
  detail::require_sizes(layer, "kernel", kernel, 2, detail::window_size);
  detail::require_sizes(layer, "stride", stride.value_or(1), 2, detail::window_size);
  detail::require_sizes(layer, "padding", padding, 2, detail::padding_size);
  limpid::detail::require_half_padded(layer, kernel, padding, 2);
}

}  // namespace

MaxPool2d::MaxPool2d(Spatial kernel, const MaxPoolOptions& options)
    : Module("MaxPool2d", arguments(kernel, options)),
      kernel_(kernel),
      options_(options) {
  check("MaxPool2d", kernel, options);
}

Tensor MaxPool2d::operator()(const Tensor& x) const {
  return detail::call_within(
      *this, [&] { return max_pool2d(x, kernel_, {.stride = options_.stride, .padding = options_.padding}); });
}

AvgPool2d::AvgPool2d(Spatial kernel, const AvgPoolOptions& options)
    : Module("AvgPool2d", arguments(kernel, options)),
      kernel_(kernel),
      options_(options) {
  check("AvgPool2d", kernel, options);
}

Tensor AvgPool2d::operator()(const Tensor& x) const {
  return detail::call_within(
      *this, [&] { return avg_pool2d(x, kernel_, {.stride = options_.stride, .padding = options_.padding}); });
}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(Spatial size)
    : Module("AdaptiveAvgPool2d", message(spread(size, 2))),
      size_(size) {
  detail::require_sizes("AdaptiveAvgPool2d", "size", size, 2, detail::window_size);
}

Tensor AdaptiveAvgPool2d::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] {
    detail::require_image("AdaptiveAvgPool2d", x);
    const int64_t h = x.size(2), w = x.size(3);
    if (h % size_[0] || w % size_[1] || h == 0 || w == 0)
      throw_error<ShapeError>("AdaptiveAvgPool2d: expected height and width divisible by ", spread(size_, 2),
                              ", got x of shape ", x.shape());
    return avg_pool2d(x, {h / size_[0], w / size_[1]});
  });
}

}  // namespace limpid::nn
