#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/shape.hpp>

namespace limpid::nn {

Flatten::Flatten(int64_t first, int64_t last)
    : Module("Flatten", limpid::detail::message(first, ", ", last)),
      first_(first),
      last_(last) {}

Upsample::Upsample(Size2d scale) : Module("Upsample", detail::text(scale)), scale_(scale) {
  detail::require_positive("Upsample", "a scale", scale);
}

Tensor Upsample::operator()(const Tensor& x) const {
  detail::require_image("Upsample", x);
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const auto [sh, sw] = scale_;
  if (x.memory_format() == MemoryFormat::contiguous)
    return reshape(expand(reshape(x, {n, c, h, 1, w, 1}), {n, c, h, sh, w, sw}), {n, c, h * sh, w * sw});
  const Tensor pixels = reshape(permute(x, {0, 2, 3, 1}), {n, h, 1, w, 1, c});
  return permute(reshape(expand(pixels, {n, h, sh, w, sw, c}), {n, h * sh, w * sw, c}), {0, 3, 1, 2});
}

}  // namespace limpid::nn
