#include <limpid/nn/layers/padding.hpp>

#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/ops/detail/check.hpp>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

template <class Settings>
std::string arguments(const Settings& settings, const Shape& amounts) {
  const auto& [type, axes, mode, value] = settings;
  // Only what is constant may be cropped.
  const detail::Range crops{-detail::padding_size.high, detail::padding_size.high};
  for (const int64_t amount : amounts)
    detail::expect(type, {{"padding", amount, mode == PadMode::constant ? crops : detail::padding_size}});
  detail::expect(type, {{"value", value, detail::within_float}});
  return value == 0 ? message(amounts) : message(amounts, ", value = ", value);
}

}  // namespace

SpatialPad::SpatialPad(const Settings& settings, const int64_t* amounts)
    : SpatialPad(settings, Shape(amounts, amounts + 2 * settings.axes)) {}
SpatialPad::SpatialPad(const Settings& settings, const Shape& amounts)
    : Module(settings.type, arguments(settings, amounts)),
      settings_(settings),
      amounts_(amounts) {}

Tensor SpatialPad::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    const auto& [type, axes, mode, value] = settings_;
    limpid::detail::require_defined(type, "x", x);
    if (x.dim() != axes + 1 && x.dim() != axes + 2)
      throw_error<ShapeError>(type, ": expected x of shape ", limpid::detail::shape_in_words("(N, C, ", "", axes),
                              " or ", limpid::detail::shape_in_words("(C, ", "", axes), ", got ", x.shape());
    return pad(x, amounts_, mode, value);
  });
}

}  // namespace limpid::nn
