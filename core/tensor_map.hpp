// Tensors by name, as files and modules hold them.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <map>
#include <string>

namespace LIMPID_API limpid {

/// Named tensors, by name.
using TensorMap = std::map<std::string, Tensor>;

}  // namespace limpid
