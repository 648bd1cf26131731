// Checks that ops share.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

inline void require_defined(const char* op, const Tensor& x) {
  if (!x.defined()) [[unlikely]]
    throw_error<ValueError>(op, ": expected a defined tensor, got an undefined tensor");
}

/// Of several operands, the one that is missing by its name.
inline void require_defined(const char* op, const char* name, const Tensor& x) {
  if (!x.defined()) [[unlikely]]
    throw_error<ValueError>(op, ": expected a defined ", name, ", got an undefined tensor");
}

}  // namespace limpid::detail
