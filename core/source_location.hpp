// Where a call stands in the source.
#pragma once
#include <limpid/core/export.hpp>

#include <cstdint>

namespace LIMPID_API limpid {

/// A place in the source. The standard library has a type for this, but not for every compiler that limpid knows:
/// clang 14 does not find it in GCC 12's headers.
class SourceLocation {
 public:
  /// Where this call stands; as the default argument of a function, where the call of that function stands.
  static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                          uint32_t line = __builtin_LINE()) noexcept {
    return {file, line};
  }
  constexpr const char* file_name() const noexcept { return file_; }
  constexpr uint32_t line() const noexcept { return line_; }

 private:
  constexpr SourceLocation(const char* file, uint32_t line) noexcept : file_(file), line_(line) {}

  const char* file_;
  uint32_t line_;
};

}  // namespace limpid
