#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/padding.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::nn {

ReflectionPad2d::ReflectionPad2d(Size2d padding) : Module("ReflectionPad2d", detail::text(padding)), padding_(padding) {
  detail::expect("ReflectionPad2d", {{"padding", padding, detail::padding_size}});
}

Tensor ReflectionPad2d::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] {
    return pad(x, {padding_.w, padding_.w, padding_.h, padding_.h}, PadMode::reflect);
  });
}

}  // namespace limpid::nn
