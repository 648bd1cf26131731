// MNIST's file format, and MNIST itself (http://yann.lecun.com/exdb/mnist/): big-endian sizes, then the elements.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <string>

namespace LIMPID_API limpid {
namespace data {

/// An IDX file of uint8, int32, float32 or float64, or of int8 or int16, which become int32; of any rank, plain or
/// gzipped, which is told by its first bytes. Throws IOError where it is malformed, has other elements, or does not end
/// where its header says; a gzipped one is never unpacked further than its header says.
Tensor load_idx(const std::string& path);
/// Gzipped where the path ends in .gz. Throws DTypeError for another dtype, ShapeError (a rank of 0 or above 255, sizes
/// from 2^32 on), IOError; the file appears whole or not at all.
void save_idx(const std::string& path, const Tensor& x);

struct LabelledImages {
  Tensor images;  ///< (N, 1, H, W), float32, from 0 (paper) to 1 (ink)
  Tensor labels;  ///< (N,), int64
};

struct Mnist {
  LabelledImages train, test;
};

/// train-images-idx3-ubyte, train-labels-idx1-ubyte and their t10k- twins from a directory; each may also be spelt with
/// a dot (train-images.idx3-ubyte), and end in .gz. Throws IOError where one is missing, or not what it should be:
/// images of 28 x 28 pixels, at least one, and as many labels from 0 to 9. Fashion-MNIST and KMNIST come in the same
/// files.
Mnist load_mnist(const std::string& directory);

}  // namespace data
}  // namespace limpid
