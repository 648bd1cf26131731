#include "canvas.hpp"

#include <algorithm>
#include <cmath>

#include "font.hpp"

namespace digits {

Canvas::Canvas(int width, int height)
    : picture_{width, height, 3, Bytes(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 255)} {}

void Canvas::blend(int x, int y, Colour colour, float alpha) {
  if (x < 0 || y < 0 || x >= width() || y >= height()) return;
  std::uint8_t* pixel =
      &picture_
           .pixels[3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width()) + static_cast<std::size_t>(x))];
  const auto mix = [alpha](std::uint8_t& to, std::uint8_t from) {
    to = static_cast<std::uint8_t>(std::lround(static_cast<float>(to) + alpha * static_cast<float>(from - to)));
  };
  mix(pixel[0], colour.r), mix(pixel[1], colour.g), mix(pixel[2], colour.b);
}

void Canvas::fill(int x, int y, int width, int height, Colour colour) {
  for (int j = y; j < y + height; ++j)
    for (int i = x; i < x + width; ++i) blend(i, j, colour);
}

void Canvas::frame(int x, int y, int width, int height, int thickness, Colour colour) {
  fill(x, y, width, thickness, colour);
  fill(x, y + height - thickness, width, thickness, colour);
  fill(x, y, thickness, height, colour);
  fill(x + width - thickness, y, thickness, height, colour);
}

void Canvas::polyline(std::span<const Point> points, float thickness, Colour colour, float alpha) {
  std::vector<float> coverage(picture_.pixels.size() / 3);
  const Mask mask{coverage, width(), height()};
  const float radius = 0.5f * thickness;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) draw_line(mask, points[i], radius, points[i + 1], radius);
  if (points.size() == 1) draw_line(mask, points[0], radius, points[0], radius);
  std::size_t k = 0;
  for (int y = 0; y < height(); ++y)
    for (int x = 0; x < width(); ++x, ++k)
      if (coverage[k] > 0.0f) blend(x, y, colour, alpha * coverage[k]);
}

template <class Plot>
void Canvas::each_pixel(std::string_view text, Plot plot) {
  int left = 0;
  for (const char c : text) {
    const BitmapGlyph& glyph = bitmap_glyph(c);
    for (int row = 0; row < kFontHeight; ++row)
      for (int column = 0; column < glyph.width; ++column)
        if (glyph.rows[static_cast<std::size_t>(row)] >> column & 1) plot(left + column, row);
    left += glyph.width + 1;
  }
}

void Canvas::text(int x, int y, std::string_view text, Colour colour, int scale) {
  each_pixel(text, [&](int i, int j) { fill(x + i * scale, y + j * scale, scale, scale, colour); });
}

void Canvas::text_upwards(int x, int y, std::string_view text, Colour colour, int scale) {
  each_pixel(text, [&](int i, int j) { fill(x + j * scale, y - (i + 1) * scale, scale, scale, colour); });
}

int Canvas::text_width(std::string_view text, int scale) {
  int width = 0;
  for (const char c : text) width += bitmap_glyph(c).width + 1;
  return std::max(0, width - 1) * scale;
}

}  // namespace digits
