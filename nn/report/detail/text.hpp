// Text for people: numbers without a locale, widths as a terminal shows them.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace limpid::report::detail {

/// So many significant digits at most: 0.1234, 1.234e-05, 20, nan, -inf.
std::string number(double value, int digits);
/// So many digits after the point.
std::string fixed(double value, int decimals);

/// How many cells of a terminal UTF-8 text takes: none for a combining mark, two for an East Asian wide character.
std::size_t display_width(std::string_view text) noexcept;
/// text's beginning, as far as it fits into so many cells; "..." at its end where something is missing.
std::string cut(std::string_view text, std::size_t cells);

}  // namespace limpid::report::detail
