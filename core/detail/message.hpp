// Text without a locale, and error messages: throw_error<ShapeError>("sum: expected an axis in [-", n, ", ", n, "), got
// ", axis).
#pragma once
#include <locale>
#include <sstream>
#include <string>

namespace limpid::detail {

/// The one stream that limpid makes text with, for machines and people alike. A new stream takes the locale that the
/// program set by std::locale::global(), and would group the digits of a shape into 1,500: this one never does.
class TextStream : public std::ostringstream {
 public:
  explicit TextStream(int digits = 17) {
    imbue(std::locale::classic());
    precision(digits);
  }
};

template <class... Parts>
std::string message(const Parts&... parts) {
  TextStream out;
  (out << ... << parts);
  return std::move(out).str();
}

template <class E, class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void throw_error(const Parts&... parts) {
  throw E(message(parts...));
}

}  // namespace limpid::detail
