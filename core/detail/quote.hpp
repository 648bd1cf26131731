// Text that comes from a file or a user, as messages show it.
#pragma once
#include <limpid/core/detail/message.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace limpid::detail {

bool is_utf8(std::string_view text) noexcept;

/// text in one line of a message: control characters and stray bytes escaped, cut after limit bytes.
std::string printable(std::string_view text, std::size_t limit = 120);
/// The same, in quotes.
std::string in_quotes(std::string_view text);

/// All digits of bits, as in 0x0801.
template <class T>
std::string hex(T bits) {
  std::string text(2 + 2 * sizeof bits, '0');
  text[1] = 'x';
  for (std::size_t i = text.size() - 1; bits != 0; bits = static_cast<T>(bits >> 4), --i)
    text[i] = "0123456789abcdef"[bits & 15];
  return text;
}

/// What a message lists: the first few, and how many more there are.
class Listing {
 public:
  explicit Listing(const char* separator = ", ") : separator_(separator) {}

  /// An item made of these parts.
  template <class... Parts>
  void add(const Parts&... parts) {
    if (count_++ < most) text_ += message(count_ == 1 ? "" : separator_, parts...);
  }
  bool empty() const noexcept { return count_ == 0; }
  std::string text() const { return count_ <= most ? text_ : message(text_, " and ", count_ - most, " more"); }

 private:
  static constexpr std::size_t most = 10;
  const char* separator_;
  std::string text_;
  std::size_t count_ = 0;
};

}  // namespace limpid::detail
