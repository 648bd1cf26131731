// Text without a locale, and error messages: throw_error<ShapeError>("sum: expected an axis in [-", n, ", ", n, "), got
// ", axis).
#pragma once
#include <limits>
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
  explicit TextStream(int digits = 17) {
    imbue(std::locale::classic());
    exceptions(badbit);
    precision(digits);
  }
};

/// What to show of a part of a text: of NaN no sign, which streams would print and which tells nothing.
template <class T>
decltype(auto) shown(const T& part) {
  if constexpr (std::is_floating_point_v<T>)
    return part != part ? std::numeric_limits<T>::quiet_NaN() : part;
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
