// The safetensors format, as PyTorch's users exchange it: a JSON header and raw little-endian data. A malformed file is
// refused with an IOError that names file, offset and reason; a file is written beside its place and moved there when
// whole.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/io/left_out.hpp>
#include <limpid/core/tensor_map.hpp>

namespace LIMPID_API limpid {

/// Tensors of any dtype of ours; I8, I16 and U16 become int32; U32 and U64 become int64, where no number is beyond 2^63
/// - 1. Any byte of a BOOL but 0 is true. What has another dtype, as F8_E4M3, or more than 64 axes is left out, and the
/// logger warns of it. A tensor whose shape is malformed, or does not fill its bytes, is refused by name.
TensorMap load_safetensors(const std::string& path);
/// What can be read. left_out becomes the list of what cannot, with the reasons; it stays as it is where the file
/// itself is refused.
TensorMap load_safetensors(const std::string& path, LeftOut& left_out);
/// The one tensor of this name, whose data alone are read. Throws IOError where there is none, or says why it cannot
/// be read.
Tensor load_safetensors(const std::string& path, const std::string& name);
void save_safetensors(const std::string& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata = {});
/// The "__metadata__" of a safetensors file.
std::map<std::string, std::string> load_safetensors_metadata(const std::string& path);

}  // namespace limpid
