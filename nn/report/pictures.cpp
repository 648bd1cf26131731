#include <limpid/nn/report/pictures.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>

namespace limpid::report {

using limpid::detail::throw_error;

namespace {

// count tiles of this size with gaps between and around them.
int64_t side(int64_t count, int64_t size, int64_t gap) {
  int64_t tile, tiles, result;
  if (__builtin_add_overflow(size, gap, &tile) || __builtin_mul_overflow(count, tile, &tiles) ||
      __builtin_add_overflow(tiles, gap, &result))
    throw_error<ShapeError>("image_grid: expected a picture of fewer than 2^63 pixels a side, got ", count,
                            " images of ", size, " with gaps of ", gap);
  return result;
}

}  // namespace

Tensor image_grid(const Tensor& images, const ImageGridOptions& options) {
  if (!images.defined()) throw_error<ValueError>("image_grid: expected defined images, got an undefined tensor");
  if (images.dim() != 4 || images.numel() == 0)
    throw_error<ShapeError>("image_grid: expected images of shape (N, C, H, W), none of them 0, got shape ",
                            images.shape());
  if (images.dtype() != uint8 && !is_floating_point(images.dtype()))
    throw_error<DTypeError>("image_grid: expected uint8 or a floating-point dtype, got ", images.dtype());
  if (options.columns < 1) throw_error<ValueError>("image_grid: expected at least 1 column, got ", options.columns);
  if (options.gap < 0) throw_error<ValueError>("image_grid: expected a gap of at least 0, got ", options.gap);

  const int64_t n = images.size(0), c = images.size(1), h = images.size(2), w = images.size(3), gap = options.gap;
  const int64_t columns = std::min(options.columns, n), rows = (n - 1) / columns + 1;
  const Tensor grid = empty({c, side(rows, h, gap), side(columns, w, gap)}, images.dtype());
  limpid::detail::fill(grid, options.background * (images.dtype() == uint8 ? 255 : 1), "image_grid");
  const Strides &to = grid.strides(), &from = images.strides();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t top = gap + i / columns * (h + gap), left = gap + i % columns * (w + gap);
    limpid::detail::copy_into(
        limpid::detail::make_view(grid, {c, h, w}, to, top * to[1] + left * to[2]),
        limpid::detail::make_view(images, {c, h, w}, {from[1], from[2], from[3]}, images.offset() + i * from[0]));
  }
  return grid;
}

}  // namespace limpid::report
