// Builds error messages: throw_error<ShapeError>("sum: expected an axis in [-", n, ", ", n, "), got ", axis).
#pragma once
#include <sstream>
#include <string>

namespace limpid::detail {

template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  out.precision(17);
  (out << ... << parts);
  return std::move(out).str();
}

template <class E, class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void throw_error(const Parts&... parts) {
  throw E(message(parts...));
}

}  // namespace limpid::detail
