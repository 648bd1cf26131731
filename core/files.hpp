// Tensors on disk, as NumPy and PyTorch's users exchange them. A malformed file is refused with an IOError that names
// file, offset and reason; a file is written beside its place and moved there when whole.
#pragma once
#include <limpid/core/tensor.hpp>

#include <map>
#include <string>

namespace limpid {

/// Named tensors, by name.
using TensorMap = std::map<std::string, Tensor>;

/// NumPy's .npy, format versions 1 to 3, any dtype of ours, C or Fortran order, either byte order.
Tensor load_npy(const std::string& path);
void save_npy(const std::string& path, const Tensor& x);

/// NumPy's .npz: a zip of .npy members, stored or deflated; written stored.
TensorMap load_npz(const std::string& path);
void save_npz(const std::string& path, const TensorMap& tensors);

/// safetensors: a JSON header and raw little-endian data.
TensorMap load_safetensors(const std::string& path);
void save_safetensors(const std::string& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata = {});
/// The "__metadata__" of a safetensors file.
std::map<std::string, std::string> load_safetensors_metadata(const std::string& path);

}  // namespace limpid
