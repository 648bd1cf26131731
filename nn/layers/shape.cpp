#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/shape.hpp>

namespace limpid::nn {

Flatten::Flatten(int64_t first, int64_t last)
    : Module("Flatten", limpid::detail::message(first, ", ", last)),
      first_(first),
      last_(last) {
  // Counted from one end they are told apart before any x is there.
  if ((first < 0) == (last < 0) && first > last)
    limpid::detail::throw_error<ShapeError>("Flatten: expected first at or before last, got axes ", first, " and ",
                                            last);
}

Tensor Flatten::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return flatten(x, first_, last_); });
}

Upsample::Upsample(Spatial scale)
    : Module("Upsample", limpid::detail::message(limpid::detail::spread(scale, 2))),
      scale_(scale) {
  detail::require_sizes("Upsample", "scale", scale, 2, detail::window_size);
}

Tensor Upsample::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] {
    detail::require_image("Upsample", x);
    const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
    const int64_t sh = scale_[0], sw = scale_[1];
    int64_t height = 0, width = 0;
    if (__builtin_mul_overflow(h, sh, &height) || __builtin_mul_overflow(w, sw, &width))
      limpid::detail::throw_error<ShapeError>(
          "Upsample: expected a result of fewer than 2^63 rows and columns, got x of ", "shape ", x.shape(),
          " and scale ", limpid::detail::spread(scale_, 2));
    if (x.memory_format() == MemoryFormat::contiguous)
      return reshape(expand(reshape(x, {n, c, h, 1, w, 1}), {n, c, h, sh, w, sw}), {n, c, height, width});
    const Tensor pixels = reshape(permute(x, {0, 2, 3, 1}), {n, h, 1, w, 1, c});
    return permute(reshape(expand(pixels, {n, h, sh, w, sw, c}), {n, height, width, c}), {0, 3, 1, 2});
  });
}

}  // namespace limpid::nn
