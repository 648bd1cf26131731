// Numbers as one would write them, for printing modules.
#pragma once
#include <cstdio>
#include <string>

namespace limpid::nn::detail {

/// 0.1, where an error message would show all 17 digits.
inline std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", value);
  return buffer;
}

}  // namespace limpid::nn::detail
