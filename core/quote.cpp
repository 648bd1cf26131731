#include <limpid/core/detail/quote.hpp>

namespace limpid::detail {

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4) return false;
    uint32_t code = lead & (0x3fu >> more);
    for (int k = 0; k < more; ++k) {
      if (i == text.size() || (text[i] & 0xc0) != 0x80) return false;
      code = code << 6 | (static_cast<unsigned char>(text[i++]) & 0x3fu);
    }
    // Overlong forms, surrogates, and what lies beyond Unicode.
    if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000)) return false;
    if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return false;
  }
  return true;
}

std::string printable(std::string_view text, std::size_t limit) {
  const bool cut = text.size() > limit;
  const bool utf8 = is_utf8(text);
  if (cut) {
    while (utf8 && limit > 0 && (text[limit] & 0xc0) == 0x80) --limit;
    text = text.substr(0, limit);
  }
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
      result += '\\' + hex(byte).substr(1);
    } else {
      result += c;
    }
  }
  if (cut) result += "...";
  return result;
}

std::string in_quotes(std::string_view text) { return message('\'', printable(text), '\''); }

}  // namespace limpid::detail
