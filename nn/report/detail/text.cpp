#include <limpid/nn/report/detail/text.hpp>

#include <array>
#include <charconv>
#include <cstdint>

namespace limpid::report::detail {
namespace {

std::string format(double value, std::chars_format format, int precision) {
  if (value != value) return "nan";  // without a sign
  std::array<char, 400> text;        // the longest fixed number has 309 digits before the point
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, format, precision);
  return error == std::errc{} ? std::string(text.data(), end) : std::string("?");
}

struct Range {
  uint32_t first, last;
};
// Of Unicode's East Asian Width table, the blocks that are wide throughout or nearly so.
constexpr Range wide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
                          {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
                          {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
constexpr Range combining[] = {{0x300, 0x36f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};

template <std::size_t N>
bool within(const Range (&ranges)[N], uint32_t code) noexcept {
  for (const Range& range : ranges)
    if (code >= range.first && code <= range.last) return true;
  return false;
}

// The character at text[at], which moves behind it. A byte that belongs to no character counts as one.
uint32_t next_character(std::string_view text, std::size_t& at) noexcept {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0xc0) return lead;
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  uint32_t code = lead & (0x3fu >> more);
  for (int k = 0; k < more && at < text.size(); ++k) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if ((byte & 0xc0) != 0x80) break;
    code = code << 6 | (byte & 0x3fu);
    ++at;
  }
  return code;
}

std::size_t width_of(uint32_t code) noexcept { return within(combining, code) ? 0 : within(wide, code) ? 2 : 1; }

}  // namespace

std::string number(double value, int digits) { return format(value, std::chars_format::general, digits); }

std::string fixed(double value, int decimals) { return format(value, std::chars_format::fixed, decimals); }

std::size_t display_width(std::string_view text) noexcept {
  std::size_t cells = 0;
  for (std::size_t at = 0; at < text.size();) cells += width_of(next_character(text, at));
  return cells;
}

std::string cut(std::string_view text, std::size_t cells) {
  if (display_width(text) <= cells) return std::string(text);
  const std::string_view dots = std::string_view("...").substr(0, cells);
  std::size_t end = 0;
  for (std::size_t at = 0, left = cells - dots.size(); at < text.size(); end = at) {
    const std::size_t width = width_of(next_character(text, at));
    if (width > left) break;
    left -= width;
  }
  return std::string(text.substr(0, end)).append(dots);
}

}  // namespace limpid::report::detail
