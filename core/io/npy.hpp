// NumPy's files. A malformed one is refused with an IOError that names file, offset and reason; a file is written
// beside its place and moved there when whole.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/io/left_out.hpp>
#include <limpid/core/tensor_map.hpp>

namespace LIMPID_API limpid {

/// NumPy's .npy, format versions 1 to 3, any dtype of ours, C or Fortran order, either byte order, or none that is
/// said, which is this machine's. int8, int16 and uint16 become int32; uint32 and uint64 become int64, where no number
/// is beyond 2^63 - 1. Any byte of a bool but 0 is true.
Tensor load_npy(const std::string& path);
void save_npy(const std::string& path, const Tensor& x);

/// NumPy's .npz: a zip of .npy members, stored or deflated; written stored. What is sound but no tensor here (an array
/// of text or of another dtype, a file that is no array, a folder) is left out, and the logger warns of it. A member
/// that is malformed is refused by name.
TensorMap load_npz(const std::string& path);
/// What can be read. left_out becomes the list of what cannot, with the reasons; it stays as it is where the archive
/// itself is refused.
TensorMap load_npz(const std::string& path, LeftOut& left_out);
/// The one array of this name, which alone is read. Throws IOError where there is none, or says why it cannot be read.
Tensor load_npz(const std::string& path, const std::string& name);
void save_npz(const std::string& path, const TensorMap& tensors);

}  // namespace limpid
