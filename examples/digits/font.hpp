#pragma once

#include <array>
#include <cstdint>

namespace digits {

/// One character of a small proportional bitmap font: nine rows, the last two below the baseline. Bit k of a row is
/// column k from the left.
struct BitmapGlyph {
  std::array<std::uint8_t, 9> rows;
  int width;
};

inline constexpr int kFontHeight = 9, kFontBaseline = 7;

/// The picture of a printable ASCII character; of any other, a box.
const BitmapGlyph& bitmap_glyph(char c);

}  // namespace digits
