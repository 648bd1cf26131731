// Checks that ops share.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

inline void require_defined(const Tensor& x, const char* op) {
  if (!x.defined()) [[unlikely]]
    throw_error<ValueError>(op, ": expected a defined tensor, got an undefined tensor");
}

}  // namespace limpid::detail
