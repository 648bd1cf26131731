// Tensors by name, as files and modules hold them.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <map>
#include <string>

namespace LIMPID_API limpid {

/// Named tensors, by name.
using TensorMap = std::map<std::string, Tensor>;

/// The same names with copies of the tensors, as Tensor::clone makes them: state_dict() shares its module's memory, and
/// so does a copy of it.
inline TensorMap clone(const TensorMap& tensors) {
  TensorMap copies = tensors;
  for (auto& [name, tensor] : copies)
    if (tensor.defined()) tensor = tensor.clone();
  return copies;
}

}  // namespace limpid
