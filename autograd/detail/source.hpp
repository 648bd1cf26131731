// Return addresses, and the source lines that they belong to.
#pragma once
#include <array>
#include <cstddef>
#include <string>

namespace limpid::detail {

/// Where a node was recorded: the innermost calls, and the text of the open TraceScopes.
struct Origin {
  std::array<void*, 32> calls{};
  std::size_t count = 0;
  std::string scopes;
};

/// The innermost call that is not limpid's own or the standard library's: "file:line (function)", or
/// "function + 0x1f in program" where there is no debug information. Empty where there is no such call.
std::string describe_calls(const Origin& source);

}  // namespace limpid::detail
