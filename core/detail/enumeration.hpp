// The one rule for enumerations, which hold any number that a caller casts to them.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/core/tensor_impl.hpp>

namespace limpid::detail {

/// Throws ValueError where value is none of a type's members, which count from 0 to last: "pad: expected
/// PadMode::constant, reflect, replicate or circular, got PadMode(9)".
template <class E>
void require_member(const char* op, const char* type, E value, E last, const char* members) {
  if (value < E{} || value > last) [[unlikely]]
    throw_error<ValueError>(op, ": expected ", type, "::", members, ", got ", type, '(', static_cast<int>(value), ')');
}

inline void require_format(const char* op, MemoryFormat format) {
  require_member(op, "MemoryFormat", format, MemoryFormat::channels_last, "contiguous or channels_last");
}

}  // namespace limpid::detail
