#include <limpid/nn/layers/pooling.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::spread;
using limpid::detail::throw_error;

namespace {

// What both kinds of options have.
template <class Options>
void check(const char* layer, int64_t axes, const Spatial& kernel, const Options& options) {
  detail::require_sizes(layer, "kernel", kernel, axes, detail::window_size);
  detail::require_sizes(layer, "stride", options.stride.value_or(1), axes, detail::window_size);
  detail::require_sizes(layer, "padding", options.padding, axes, detail::padding_size);
  limpid::detail::require_half_padded(layer, kernel, options.padding, axes);
}

std::string beginning(const Spatial& kernel, const OptionalSpatial& stride, const Spatial& padding, int64_t axes) {
  std::string list = message(spread(kernel, axes));
  if (stride) list += message(", stride = ", spread(*stride, axes));
  return spread(padding, axes) == spread(0, axes) ? list : list + message(", padding = ", spread(padding, axes));
}

// Checked before they are printed.
std::string arguments(const char* layer, int64_t axes, const Spatial& kernel, const MaxPoolOptions& options) {
  const auto& [stride, padding, dilation, ceil_mode] = options;
  check(layer, axes, kernel, options);
  detail::require_sizes(layer, "dilation", dilation, axes, detail::window_size);
  std::string list = beginning(kernel, stride, padding, axes);
  if (spread(dilation, axes) != spread(1, axes)) list += message(", dilation = ", spread(dilation, axes));
  return ceil_mode ? list + ", ceil_mode" : list;
}

std::string arguments(const char* layer, int64_t axes, const Spatial& kernel, const AvgPoolOptions& options) {
  const auto& [stride, padding, ceil_mode, count_include_pad, divisor_override] = options;
  check(layer, axes, kernel, options);
  if (divisor_override && *divisor_override == 0)
    throw_error<ValueError>(layer, ": expected a divisor_override other than 0, got 0");
  std::string list = beginning(kernel, stride, padding, axes);
  if (ceil_mode) list += ", ceil_mode";
  if (!count_include_pad) list += ", count_include_pad = false";
  return divisor_override ? list + message(", divisor_override = ", *divisor_override) : list;
}

std::string arguments(const char* layer, int64_t axes, const Spatial& size) {
  detail::require_sizes(layer, "size", size, axes, detail::window_size);
  return message(spread(size, axes));
}

}  // namespace

MaxPool::MaxPool(const char* type, int64_t axes, const Spatial& kernel, const MaxPoolOptions& options)
    : Module(type, arguments(type, axes, kernel, options)),
      axes_(axes),
      kernel_(kernel),
      options_(options) {}

Tensor MaxPool::operator()(const Tensor& x_in) const {
  const auto pool = detail::for_axes(axes_, max_pool1d, max_pool2d, max_pool3d);
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pool(x, kernel_, options_); });
}

Selection MaxPool::with_indices(const Tensor& x_in) const {
  const auto pool = detail::for_axes(axes_, max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices);
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pool(x, kernel_, options_); });
}

AvgPool::AvgPool(const char* type, int64_t axes, const Spatial& kernel, const AvgPoolOptions& options)
    : Module(type, arguments(type, axes, kernel, options)),
      axes_(axes),
      kernel_(kernel),
      options_(options) {}

Tensor AvgPool::operator()(const Tensor& x_in) const {
  const auto pool = detail::for_axes(axes_, avg_pool1d, avg_pool2d, avg_pool3d);
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pool(x, kernel_, options_); });
}

AdaptivePool::AdaptivePool(const char* type, int64_t axes, const Spatial& size)
    : Module(type, arguments(type, axes, size)),
      axes_(axes),
      size_(size) {}

Tensor AdaptiveAvgPool::operator()(const Tensor& x_in) const {
  const auto pool = detail::for_axes(axes_, adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d);
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pool(x, size_); });
}

Tensor AdaptiveMaxPool::operator()(const Tensor& x_in) const {
  const auto pool = detail::for_axes(axes_, adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d);
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pool(x, size_); });
}

Selection AdaptiveMaxPool::with_indices(const Tensor& x_in) const {
  const auto pool = detail::for_axes(axes_, adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices,
                                     adaptive_max_pool3d_with_indices);
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pool(x, size_); });
}

}  // namespace limpid::nn
