// Modules as they print themselves.
#pragma once
#include <limpid/nn/module.hpp>

#include <sstream>
#include <string>

template <class M>
std::string printed(const M& module) {
  std::ostringstream out;
  out << module;
  return out.str();
}
