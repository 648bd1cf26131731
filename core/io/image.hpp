// Images on disk as tensors. A malformed file is refused with an IOError that names file, offset and reason; a file is
// written beside its place and moved there when whole.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <string>

namespace LIMPID_API limpid {

/// A PNG file as uint8 (C, H, W): C is 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGBA; a palette is looked up,
/// 16 bits are rounded to 8. Colours are as they are stored: no gamma, alpha not multiplied in. Sides are at most
/// 2^24, and all at most 2^30 bytes, and no more than the file's size can hold.
Tensor load_image(const std::string& path);

/// Writes image, (C, H, W) with C as above or (H, W) for grey, to a path that ends in .png. uint8 as it is; floating
/// point from 0 (black) to 1, rounded to the nearest of 256 steps, what is below or above as 0 or 1, NaN as 0. Throws
/// ValueError, ShapeError (beyond the sizes above as well), DTypeError before anything is written, and IOError.
void save_image(const std::string& path, const Tensor& image);

}  // namespace limpid
