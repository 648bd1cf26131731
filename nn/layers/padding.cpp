#include <limpid/core/detail/message.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/padding.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid::nn {

ReflectionPad2d::ReflectionPad2d(Size2d padding) : Module("ReflectionPad2d", detail::text(padding)), padding_(padding) {
  if (std::min(padding.h, padding.w) < 0)
    limpid::detail::throw_error<ValueError>("ReflectionPad2d: expected padding of at least 0, got ",
                                            detail::text(padding));
}

Tensor ReflectionPad2d::operator()(const Tensor& x) const {
  return pad(x, {padding_.w, padding_.w, padding_.h, padding_.h}, PadMode::reflect);
}

}  // namespace limpid::nn
