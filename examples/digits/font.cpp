#include "font.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <string_view>

namespace digits {
namespace {

constexpr int kRows = kFontHeight, kCell = 6;

struct Block {
  std::string_view characters;
  std::array<std::string_view, kRows> art;
};

// clang-format off
constexpr Block kBlocks[] = {
  {"0123456789", {
    " ##     #    ###  #####    #  #####   ##  #####  ###   ###  ",
    "#  #   ##   #   #    #    ##  #      #        # #   # #   # ",
    "#  #  # #       #   #    # #  ####  #        #  #   # #   # ",
    "#  #    #      #   ###  #  #      # ####     #   ###   #### ",
    "#  #    #     #       # #####     # #   #   #   #   #     # ",
    "#  #    #    #    #   #    #  #   # #   #   #   #   #    #  ",
    " ##   ##### #####  ###     #   ###   ###    #    ###   ##   ",
    "                                                            ",
    "                                                            "}},
  {"ABCDEFGHIJKLM", {
    " ###  ####   ###  ####  ##### #####  ###  #   # ###     ### #   # #     #   # ",
    "#   # #   # #   # #   # #     #     #   # #   #  #       #  #  #  #     ## ## ",
    "#   # #   # #     #   # #     #     #     #   #  #       #  # #   #     # # # ",
    "##### ####  #     #   # ####  ####  # ### #####  #       #  ##    #     # # # ",
    "#   # #   # #     #   # #     #     #   # #   #  #       #  # #   #     #   # ",
    "#   # #   # #   # #   # #     #     #   # #   #  #    #  #  #  #  #     #   # ",
    "#   # ####   ###  ####  ##### #      #### #   # ###    ##   #   # ##### #   # ",
    "                                                                              ",
    "                                                                              "}},
  {"NOPQRSTUVWXYZ", {
    "#   #  ###  ####   ###  ####   #### ##### #   # #   # #   # #   # #   # ##### ",
    "#   # #   # #   # #   # #   # #       #   #   # #   # #   # #   # #   #     # ",
    "##  # #   # #   # #   # #   # #       #   #   # #   # #   #  # #   # #     #  ",
    "# # # #   # ####  #   # ####   ###    #   #   # #   # # # #   #     #     #   ",
    "#  ## #   # #     # # # # #       #   #   #   # #   # # # #  # #    #    #    ",
    "#   # #   # #     #  #  #  #      #   #   #   #  # #  ## ## #   #   #   #     ",
    "#   #  ###  #      ## # #   # ####    #    ###    #   #   # #   #   #   ##### ",
    "                                                                              ",
    "                                                                              "}},
  {"abcdefghijklm", {
    "      #               #         ##        #      #      #   #      ##         ",
    "      #               #        #          #                 #       #         ",
    " ###  # ##   ###   ## #  ###  ####   #### # ##  ##     ##   #  #    #   ## #  ",
    "    # ##  # #     #  ## #   #  #    #   # ##  #  #      #   # #     #   # # # ",
    " #### #   # #     #   # #####  #    #   # #   #  #      #   ##      #   # # # ",
    "#   # #   # #     #   # #      #    #   # #   #  #      #   # #     #   # # # ",
    " #### ####   ###   ####  ###   #     #### #   # ###     #   #  #   ###  #   # ",
    "                                        #             # #                     ",
    "                                     ###               #                      "}},
  {"nopqrstuvwxyz", {
    "                                     #                                        ",
    "                                     #                                        ",
    "# ##   ###  ####   #### # ##   ###  ####  #   # #   # #   # #   # #   # ##### ",
    "##  # #   # #   # #   # ##    #      #    #   # #   # #   #  # #  #   #    #  ",
    "#   # #   # #   # #   # #      ###   #    #   # #   # # # #   #   #   #   #   ",
    "#   # #   # #   # #   # #         #  #  # #  ##  # #  # # #  # #  #   #  #    ",
    "#   #  ###  ####   #### #     ####    ##   ## #   #    # #  #   #  #### ##### ",
    "            #         #                                               #       ",
    "            #         #                                            ###        "}},
  {".,:;!?'\"-+=_~", {
    "                        #      ###  #     # #                                 ",
    "                        #     #   # #     # #                                 ",
    "            #      #    #         # #     # #           #                     ",
    "                        #        #                      #   ####         #    ",
    "                        #       #               ###   #####             # # # ",
    "                                                        #   ####           #  ",
    "#      #    #      #    #       #                       #                     ",
    "       #           #                                              #####       ",
    "      #           #                                                           "}},
  {"()[]{}<>/\\|@&", {
    "  #   #     ##    ##      ##  ##                    # #     #      ###   ##   ",
    " #     #    #      #     #      #      #   #        # #     #     #   # #  #  ",
    "#       #   #      #     #      #     #     #      #   #    #     # ### #  #  ",
    "#       #   #      #    #        #   #       #    #     #   #     # # #  ##   ",
    "#       #   #      #     #      #     #     #    #       #  #     # ### # # # ",
    " #     #    #      #     #      #      #   #    #         # #     #     #  #  ",
    "  #   #     ##    ##      ##  ##                #         # #      ####  ## # ",
    "                                                            #                 ",
    "                                                                              "}},
  {"%#*$^`", {
    "##                  #     #   #     ",
    "##  #  # #    #    ####  # #   #    ",
    "   #  ##### # # # # #   #   #       ",
    "  #    # #   ###   ###              ",
    " #    ##### # # #   # #             ",
    "#  ##  # #    #   ####              ",
    "   ##               #               ",
    "                                    ",
    "                                    "}},
};
// clang-format on

constexpr BitmapGlyph kBox = {{31, 17, 17, 17, 17, 17, 31, 0, 0}, 5};

/// Cuts a glyph out of its block and moves it to the left edge, so that text is spaced by what it shows.
constexpr BitmapGlyph cut(const Block& block, std::size_t index) {
  BitmapGlyph glyph{};
  unsigned all = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t column = 0; column < kCell - 1; ++column)
      if (block.art[row][index * kCell + column] == '#')
        glyph.rows[row] = static_cast<std::uint8_t>(glyph.rows[row] | 1u << column);
    all |= glyph.rows[row];
  }
  const int margin = all == 0 ? 0 : std::countr_zero(all);
  for (auto& row : glyph.rows) row = static_cast<std::uint8_t>(row >> margin);
  glyph.width = static_cast<int>(std::bit_width(all)) - margin;
  return glyph;
}

constexpr std::array<BitmapGlyph, 128> make_font() {
  std::array<BitmapGlyph, 128> font{};
  font.fill(kBox);
  font[' '] = {{}, 3};
  for (const Block& block : kBlocks)
    for (std::size_t i = 0; i < block.characters.size(); ++i)
      font[static_cast<std::size_t>(block.characters[i])] = cut(block, i);
  return font;
}

constexpr auto kFont = make_font();

}  // namespace

const BitmapGlyph& bitmap_glyph(char c) {
  const auto code = static_cast<unsigned char>(c);
  return code < kFont.size() ? kFont[code] : kBox;
}

}  // namespace digits
