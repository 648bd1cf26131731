#include <limpid/nn/layers/shape.hpp>

#include <limpid/core/detail/enumeration.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>

namespace limpid::nn {

Tensor Identity::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [](const Tensor& x) { return x; });
}

Flatten::Flatten(int64_t first, int64_t last)
    : Module("Flatten", limpid::detail::message(first, ", ", last)),
      first_(first),
      last_(last) {
  // Counted from one end they are told apart before any x is there.
  if ((first < 0) == (last < 0) && first > last)
    limpid::detail::throw_error<ShapeError>("Flatten: expected first at or before last, got axes ", first, " and ",
                                            last);
}

Tensor Flatten::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return flatten(x, first_, last_); });
}

Unflatten::Unflatten(int64_t axis, const Shape& sizes)
    : Module("Unflatten", limpid::detail::message(axis, ", ", sizes)),
      axis_(axis),
      sizes_(sizes) {
  if (sizes.empty()) limpid::detail::throw_error<ShapeError>("Unflatten: expected sizes, got none");
  int64_t open = 0;
  for (const int64_t size : sizes) {
    open += size == -1;
    if (size < -1 || open > 1)
      limpid::detail::throw_error<ShapeError>("Unflatten: expected sizes from 0 on, one of which may be -1, got ",
                                              sizes);
  }
}
Tensor Unflatten::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return unflatten(x, axis_, sizes_); });
}

PixelShuffle::PixelShuffle(int64_t factor) : Module("PixelShuffle", limpid::detail::message(factor)), factor_(factor) {
  detail::expect("PixelShuffle", {{"upscale_factor", factor, detail::count}});
}
Tensor PixelShuffle::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pixel_shuffle(x, factor_); });
}

PixelUnshuffle::PixelUnshuffle(int64_t factor)
    : Module("PixelUnshuffle", limpid::detail::message(factor)),
      factor_(factor) {
  detail::expect("PixelUnshuffle", {{"downscale_factor", factor, detail::count}});
}
Tensor PixelUnshuffle::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return pixel_unshuffle(x, factor_); });
}

namespace {

// Checked before they are printed.
std::string arguments(const InterpolateOptions& options) {
  using limpid::detail::message;
  using limpid::detail::throw_error;
  const auto& [size, scale_factor, mode, align_corners] = options;
  limpid::detail::require_member("Upsample", "Interpolation", mode, Interpolation::area,
                                 "nearest, nearest_exact, linear, bilinear, trilinear, bicubic or area");
  if (size.empty() != scale_factor.has_value())
    throw_error<ValueError>("Upsample: expected a size or a scale_factor, got ", size.empty() ? "neither" : "both");
  if (size.dim() > 3) throw_error<ValueError>("Upsample: expected a size of at most three numbers, got ", size);
  for (const int64_t n : size) detail::expect("Upsample", {{"size", n, detail::window_size}});
  for (int64_t a = 0; scale_factor && a < scale_factor->count(); ++a)
    detail::expect("Upsample", {{"scale_factor", (*scale_factor)[a], detail::finite_above_0}});
  const bool is_linear = mode >= Interpolation::linear && mode <= Interpolation::bicubic;
  if (align_corners && !is_linear)
    throw_error<ValueError>("Upsample: expected align_corners with a linear or cubic mode alone");
  static constexpr const char* modes[] = {"nearest",   "nearest_exact", "linear", "bilinear",
                                          "trilinear", "bicubic",       "area"};
  std::string list = scale_factor ? message("scale_factor = ", *scale_factor) : message("size = ", size);
  list += message(", mode = ", modes[static_cast<int>(mode)]);
  return align_corners ? list + ", align_corners" : list;
}

}  // namespace

Upsample::Upsample(const InterpolateOptions& options) : Module("Upsample", arguments(options)), options_(options) {}

Tensor Upsample::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return interpolate(x, options_); });
}

}  // namespace limpid::nn
