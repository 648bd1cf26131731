#pragma once

#include <span>

namespace digits {

/// A place on an image in pixels: x to the right, y down, pixel (i, j) centred on (i + 0.5, j + 0.5).
struct Point {
  float x, y;
};

/// Coverage in [0, 1] that strokes are drawn into, row by row. Where strokes meet the larger coverage stands, so that
/// a line drawn in many pieces shows no joints.
struct Mask {
  std::span<float> pixels;
  int width, height;
};

/// Draws the line from a to b, round at both ends, its radius going from ra to rb and its edge `soft` pixels wide.
/// What lies outside the mask is cut off.
void draw_line(Mask mask, Point a, float ra, Point b, float rb, float soft = 1.0f);

}  // namespace digits
