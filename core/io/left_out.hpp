// What the readers of files of many tensors leave out.
#pragma once
#include <limpid/core/export.hpp>

#include <map>
#include <string>

namespace LIMPID_API limpid {

/// What a file holds beside the tensors that its reader gave, by name, and why it is none of them: the message with
/// which it is refused by itself.
using LeftOut = std::map<std::string, std::string>;

}  // namespace limpid
