#include "synth.hpp"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "glyphs.hpp"
#include "random.hpp"
#include "stroke.hpp"

namespace digits {
namespace {

Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(float s, Point a) { return {s * a.x, s * a.y}; }
float norm(Point a) { return std::sqrt(a.x * a.x + a.y * a.y); }

/// Weights of the uniform cubic B-spline for the four coefficients around u in [0, 1).
std::array<float, 4> spline_weights(float u) {
  const float v = 1.0f - u;
  return {v * v * v / 6.0f, (3.0f * u * u * u - 6.0f * u * u + 4.0f) / 6.0f,
          (3.0f * v * v * v - 6.0f * v * v + 4.0f) / 6.0f, u * u * u / 6.0f};
}

/// A smooth random displacement of the plane: cubic B-splines over coefficients one cell apart. Moving the pen's path
/// instead of resampling pixels keeps the ink as sharp as the pen drew it.
class ElasticField {
 public:
  ElasticField(Random& random, float sigma) {
    for (Point& c : coefficients_) c = {random.bell(sigma), random.bell(sigma)};
  }

  Point operator()(Point p) const {
    const auto [i, wx] = locate(p.x);
    const auto [j, wy] = locate(p.y);
    Point sum{0.0f, 0.0f};
    for (std::size_t b = 0; b < 4; ++b)
      for (std::size_t a = 0; a < 4; ++a) sum = sum + (wy[b] * wx[a]) * coefficients_[(j + b) * kNodes + i + a];
    return sum;
  }

 private:
  static constexpr std::size_t kCells = 4, kNodes = kCells + 3;  // cells of 7 pixels: about a digit's own features

  struct Cell {
    std::size_t index;
    std::array<float, 4> weights;
  };

  static Cell locate(float x) {
    const float u = std::clamp(x * (kCells / static_cast<float>(kSide)), 0.0f, kCells - 0.001f);
    const auto index = static_cast<std::size_t>(u);
    return {index, spline_weights(u - static_cast<float>(index))};
  }

  std::array<Point, kNodes * kNodes> coefficients_;
};

/// The curve through the knots: cubic Hermite pieces with chord-length tangents, which do not overshoot where knots
/// lie unevenly; at a corner each side keeps its own direction.
std::vector<Point> trace(const PenStroke& stroke, Random& random, float wobble) {
  const std::size_t n = stroke.size();
  std::vector<Point> knots(n);
  for (std::size_t i = 0; i < n; ++i)
    knots[i] = {0.01f * static_cast<float>(stroke[i].x) + random.bell(wobble),
                0.01f * static_cast<float>(stroke[i].y) + random.bell(wobble)};

  const auto slope = [&](std::size_t i) {
    return (1.0f / (norm(knots[i + 1] - knots[i]) + 1e-6f)) * (knots[i + 1] - knots[i]);
  };
  const auto tangent = [&](std::size_t i, std::size_t piece) {
    if (i == 0 || i + 1 == n || stroke[i].corner) return slope(piece);
    const float before = norm(knots[i] - knots[i - 1]), after = norm(knots[i + 1] - knots[i]);
    return (1.0f / (before + after + 1e-6f)) * (after * slope(i - 1) + before * slope(i));
  };

  std::vector<Point> path{knots[0]};
  for (std::size_t i = 0; i + 1 < n; ++i) {
    const Point p = knots[i], q = knots[i + 1];
    const float length = norm(q - p);
    const Point dp = length * tangent(i, i), dq = length * tangent(i + 1, i);
    const int pieces = 2 + static_cast<int>(length * 12.0f);
    for (int k = 1; k <= pieces; ++k) {
      const float t = static_cast<float>(k) / static_cast<float>(pieces), s = 1.0f - t;
      path.push_back((s * s * (1.0f + 2.0f * t)) * p + (s * s * t) * dp + (t * t * (1.0f + 2.0f * s)) * q -
                     (t * t * s) * dq);
    }
  }
  return path;
}

/// One person's hand on one occasion: where the glyph's unit box goes on the image, and how the pen writes.
struct Hand {
  float xx, xy, yx, yy;  // the affine map's matrix, in pixels
  Point centre;
  float radius, pressure, soft, wobble;

  explicit Hand(Random& random) {
    const float height = 20.0f * random.uniform(0.78f, 1.06f);
    const float width = height * random.uniform(0.62f, 1.08f);
    const float shear = 0.12f + random.bell(0.20f);  // most writers lean to the right
    const float t = random.bell(0.06f);              // tan(angle / 2), from which cosine and sine come without libm
    const float c = (1.0f - t * t) / (1.0f + t * t), s = 2.0f * t / (1.0f + t * t);
    xx = c * width, xy = -(shear * c + s) * height;
    yx = s * width, yy = (c - shear * s) * height;
    centre = {0.5f * kSide + random.bell(1.1f), 0.5f * kSide + random.bell(1.1f)};
    radius = random.uniform(0.75f, 1.25f) * random.uniform(0.85f, 1.45f);
    pressure = random.uniform(0.0f, 0.25f);
    soft = random.uniform(0.9f, 1.7f);
    wobble = random.uniform(0.01f, 0.045f);
  }

  Point place(Point p) const {
    const float x = p.x - 0.5f, y = p.y - 0.5f;
    return centre + Point{xx * x + xy * y, yx * x + yy * y};
  }
};

/// Draws a path with the pressure of the pen rising and falling slowly along it.
void draw_path(Mask mask, std::span<const Point> path, const Hand& hand, Random& random) {
  std::array<float, 8> pressure;
  for (float& p : pressure) p = 1.0f + random.bell(hand.pressure);
  const auto radius = [&](std::size_t i) {
    const float u = 4.999f * static_cast<float>(i) / static_cast<float>(path.size());
    const auto k = static_cast<std::size_t>(u);
    const auto w = spline_weights(u - static_cast<float>(k));
    return hand.radius * std::max(0.45f, w[0] * pressure[k] + w[1] * pressure[k + 1] + w[2] * pressure[k + 2] +
                                             w[3] * pressure[k + 3]);
  };
  for (std::size_t i = 0; i + 1 < path.size(); ++i)
    draw_line(mask, path[i], radius(i), path[i + 1], radius(i + 1), hand.soft);
}

/// A short stray mark, as from a neighbouring digit or a slip of the pen.
void draw_stray(Mask mask, Random& random, float radius) {
  const Point from{random.uniform(1.0f, 27.0f),
                   random.chance(0.5f) ? random.uniform(0.0f, 5.0f) : random.uniform(23.0f, 28.0f)};
  draw_line(mask, from, radius, from + Point{random.bell(2.0f), random.bell(1.5f)}, 0.6f * radius);
}

/// From coverage to paper: ink that is never quite black nor even, a grainy scan, eight bits.
void expose(std::span<float> image, Random& random) {
  const float ink = random.uniform(0.72f, 1.05f), grain = random.uniform(0.0f, 0.12f);
  const float speck = random.chance(0.35f) ? random.uniform(0.0f, 0.06f) : 0.0f;
  for (float& v : image) {
    const float grey = v * (ink + random.bell(grain)) + random.bell(speck);
    v = static_cast<float>(static_cast<int>(std::clamp(grey, 0.0f, 1.0f) * 255.0f + 0.5f)) / 255.0f;
  }
}

int64_t draw_digit(std::span<float> image, Random random) {
  const int digit = random.below(kClasses);
  const auto choices = styles(digit);
  const Style& style = choices[static_cast<std::size_t>(random.below(static_cast<int>(choices.size())))];
  const Hand hand(random);
  const ElasticField elastic(random, random.uniform(0.5f, 2.0f));
  const Mask mask{image, kSide, kSide};
  for (const PenStroke& stroke : style) {
    std::vector<Point> path = trace(stroke, random, hand.wobble);
    for (Point& p : path) {
      p = hand.place(p);
      p = p + elastic(p);
    }
    draw_path(mask, path, hand, random);
  }
  if (random.chance(0.04f)) draw_stray(mask, random, hand.radius);
  expose(image, random);
  return digit;
}

}  // namespace

limpid::data::LabelledImages synthesize(int64_t count, uint64_t seed, int threads) {
  limpid::data::LabelledImages set{limpid::empty({count, 1, kSide, kSide}), limpid::empty({count}, limpid::int64)};
  float* images = set.images.data<float>();
  int64_t* labels = set.labels.data<int64_t>();
  std::fill_n(images, set.images.numel(), 0.0f);
  styles(0);  // the table is built here, not under the threads' lock
#pragma omp parallel for schedule(static) num_threads(threads > 0 ? threads : omp_get_max_threads())
  for (int64_t i = 0; i < count; ++i)
    labels[i] = draw_digit({images + i * kPixels, kPixels}, Random(seed, static_cast<uint64_t>(i)));
  return set;
}

}  // namespace digits
