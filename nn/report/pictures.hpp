// Many pictures as one.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {
namespace report {

struct ImageGridOptions {
  int64_t columns = 8;
  int64_t gap = 2;        ///< pixels between the images, and around them
  double background = 1;  ///< of gaps and empty places: 0 is black, 1 white (255 in uint8)
};

/// Images (N, C, H, W) side by side, row by row, as one image (C, rows * (H + gap) + gap, columns * (W + gap) + gap) of
/// their dtype, uint8 or floating point, for save_image(). Not recorded. Throws ShapeError (no images), ValueError
/// (columns below 1, gap below 0), DTypeError.
Tensor image_grid(const Tensor& images, const ImageGridOptions& options = {});

}  // namespace report
}  // namespace limpid
