#include "stroke.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace digits {

void draw_line(Mask mask, Point a, float ra, Point b, float rb, float soft) {
  const float reach = std::max(ra, rb) + 0.5f * soft;
  const auto clip = [](float v, int size) { return static_cast<int>(std::clamp(v, 0.0f, static_cast<float>(size))); };
  const int x0 = clip(std::min(a.x, b.x) - reach, mask.width);
  const int x1 = clip(std::max(a.x, b.x) + reach + 1.0f, mask.width);
  const int y0 = clip(std::min(a.y, b.y) - reach, mask.height);
  const int y1 = clip(std::max(a.y, b.y) + reach + 1.0f, mask.height);

  const float dx = b.x - a.x, dy = b.y - a.y;
  const float length2 = dx * dx + dy * dy;
  const float inverse = length2 > 0.0f ? 1.0f / length2 : 0.0f;
  for (int j = y0; j < y1; ++j) {
    float* row = mask.pixels.data() + static_cast<std::ptrdiff_t>(j) * mask.width;
    const float py = static_cast<float>(j) + 0.5f - a.y;
    for (int i = x0; i < x1; ++i) {
      const float px = static_cast<float>(i) + 0.5f - a.x;
      const float t = std::clamp((px * dx + py * dy) * inverse, 0.0f, 1.0f);
      const float ex = px - t * dx, ey = py - t * dy;
      const float distance = std::sqrt(ex * ex + ey * ey);
      const float coverage = (ra + t * (rb - ra) - distance) / soft + 0.5f;
      row[i] = std::max(row[i], std::min(coverage, 1.0f));
    }
  }
}

}  // namespace digits
