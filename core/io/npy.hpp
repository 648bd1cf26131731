// NumPy's files. A malformed one is refused with an IOError that names file, offset and reason; a file is written
// beside its place and moved there when whole.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor_map.hpp>

namespace LIMPID_API limpid {

/// NumPy's .npy, format versions 1 to 3, any dtype of ours, C or Fortran order, either byte order.
Tensor load_npy(const std::string& path);
void save_npy(const std::string& path, const Tensor& x);

/// NumPy's .npz: a zip of .npy members, stored or deflated; written stored.
TensorMap load_npz(const std::string& path);
void save_npz(const std::string& path, const TensorMap& tensors);

}  // namespace limpid
