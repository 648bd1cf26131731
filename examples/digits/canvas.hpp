#pragma once

#include <string_view>

#include "png.hpp"
#include "stroke.hpp"

namespace digits {

struct Colour {
  std::uint8_t r, g, b;
};

inline constexpr Colour kWhite{255, 255, 255}, kInk{38, 43, 51}, kGrey{122, 130, 142}, kPale{228, 231, 236},
    kBlue{28, 100, 190}, kPaleBlue{150, 190, 232}, kRed{205, 42, 42}, kOrange{226, 120, 20};

/// A white sheet to draw on, in pixels from the top left corner; what falls off its edges is cut off.
class Canvas {
 public:
  Canvas(int width, int height);

  int width() const { return picture_.width; }
  int height() const { return picture_.height; }
  const Picture& picture() const { return picture_; }

  /// Mixes a pixel towards `colour` by alpha in [0, 1].
  void blend(int x, int y, Colour colour, float alpha = 1.0f);
  void fill(int x, int y, int width, int height, Colour colour);
  void frame(int x, int y, int width, int height, int thickness, Colour colour);

  /// An anti-aliased line through the points; where it crosses itself it does not darken.
  void polyline(std::span<const Point> points, float thickness, Colour colour, float alpha = 1.0f);

  /// Text with the top left corner of its first capital at (x, y), each font pixel `scale` pixels wide.
  void text(int x, int y, std::string_view text, Colour colour, int scale = 1);
  /// The same rotated by a quarter turn to read upwards: (x, y) is the bottom left corner.
  void text_upwards(int x, int y, std::string_view text, Colour colour, int scale = 1);

  static int text_width(std::string_view text, int scale = 1);

 private:
  template <class Plot>
  static void each_pixel(std::string_view text, Plot plot);

  Picture picture_;
};

}  // namespace digits
