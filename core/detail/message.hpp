// Text without a locale, and error messages: throw_error<ShapeError>("sum: expected an axis in [-", n, ", ", n, "), got
// ", axis).
#pragma once
#include <limpid/core/detail/fork.hpp>

#include <locale>
#include <sstream>
#include <string>
#include <type_traits>

namespace limpid::detail {

/// The one stream that limpid makes text with, for machines and people alike. A new stream takes the locale that the
/// program set by std::locale::global(), and would group the digits of a shape into 1,500: this one never does. Nor
/// does it cut text short where memory ends, as streams do that are not asked to throw.
class TextStream : public std::ostringstream {
 public:
  explicit TextStream(int digits = 17) : TextStream(digits, LibraryCall()) {}

 private:
  // A stream begins with the global locale, which is read under a lock of the standard library's unless it is the
  // classic one.
  TextStream(int digits, const LibraryCall&) {
    imbue(std::locale::classic());
    exceptions(badbit);
    precision(digits);
  }
};

/// The shortest text that reads back as x: 0.1, 1e-05, 16777216. NaN has no sign, which tells nothing.
std::string text_of(double x);
std::string text_of(float x);

/// What to show of a part of a text: a number by its shortest text, anything else as it is.
template <class T>
decltype(auto) shown(const T& part) {
  if constexpr (std::is_same_v<T, float>)
    return text_of(part);
  else if constexpr (std::is_floating_point_v<T>)
    return text_of(static_cast<double>(part));
  else
    return (part);
}

template <class... Parts>
std::string message(const Parts&... parts) {
  TextStream out;
  (out << ... << shown(parts));
  return std::move(out).str();
}

template <class E, class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void throw_error(const Parts&... parts) {
  throw E(message(parts...));
}

}  // namespace limpid::detail
