#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/padding.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::nn {

ReflectionPad2d::ReflectionPad2d(Spatial padding)
    : Module("ReflectionPad2d", limpid::detail::message(limpid::detail::spread(padding, 2))),
      padding_(padding) {
  detail::require_sizes("ReflectionPad2d", "padding", padding, 2, detail::padding_size);
}

Tensor ReflectionPad2d::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] {
    return pad(x, {padding_[1], padding_[1], padding_[0], padding_[0]}, PadMode::reflect);
  });
}

}  // namespace limpid::nn
