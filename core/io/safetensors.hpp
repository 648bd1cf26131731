// The safetensors format, as PyTorch's users exchange it: a JSON header and raw little-endian data. A malformed file is
// refused with an IOError that names file, offset and reason; a file is written beside its place and moved there when
// whole.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor_map.hpp>

namespace LIMPID_API limpid {

TensorMap load_safetensors(const std::string& path);
void save_safetensors(const std::string& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata = {});
/// The "__metadata__" of a safetensors file.
std::map<std::string, std::string> load_safetensors_metadata(const std::string& path);

}  // namespace limpid
