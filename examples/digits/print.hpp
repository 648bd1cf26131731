#pragma once
#include <limpid/limpid.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace digits {

/// Prints at once. Throws IOError where that fails: who trains for minutes wants to know that nothing is kept of it.
inline void print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    throw limpid::IOError(std::string("standard output: cannot write: ") + std::strerror(errno));
}

}  // namespace digits
