#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include "../catch.hpp"

#include "digits/glyphs.hpp"
#include "digits/synth.hpp"

namespace test_synth {

using namespace digits;
using limpid::data::LabelledImages;

std::span<const float> pixels(const LabelledImages& set) {
  return {set.images.data<float>(), static_cast<std::size_t>(set.images.numel())};
}
std::span<const float> image(const LabelledImages& set, std::size_t i) {
  return pixels(set).subspan(i * kPixels, kPixels);
}
int64_t label(const LabelledImages& set, std::size_t i) { return set.labels.data<int64_t>()[i]; }

TEST_CASE("synthetic digits do not depend on threads or count") {
  const LabelledImages one = synthesize(500, 3, 1);
  CHECK(one.images.shape() == limpid::Shape{500, 1, 28, 28});
  for (const int threads : {2, 3, 7}) {
    const LabelledImages many = synthesize(500, 3, threads);
    CHECK(equal(many.labels, one.labels));
    CHECK(equal(many.images, one.images));
  }
  const LabelledImages few = synthesize(10, 3);
  CHECK(std::ranges::equal(pixels(few), pixels(one).first(10 * kPixels)));
  CHECK(synthesize(0, 3).labels.numel() == 0);
}

TEST_CASE("synthetic digits are the same on every machine") {
  const LabelledImages set = synthesize(100, kTrainSeed);
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const float v : pixels(set)) hash = (hash ^ static_cast<std::uint64_t>(std::lround(v * 255.0f))) * 0x100000001b3;
  CHECK(hash == 0xa098830b82559875);
}

TEST_CASE("training and test digits share no image") {
  const LabelledImages train = synthesize(400, kTrainSeed), test = synthesize(400, kTestSeed);
  for (std::size_t i = 0; i < 400; ++i)
    for (std::size_t j = 0; j < 400; ++j)
      if (std::ranges::equal(image(train, i), image(test, j))) FAIL("train " << i << " is test " << j);
}

TEST_CASE("synthetic digits are eight-bit ink inside the frame, all ten alike in number") {
  const LabelledImages set = synthesize(5000, kTrainSeed);
  std::array<int, kClasses> count{};
  for (std::size_t i = 0; i < 5000; ++i) {
    REQUIRE((label(set, i) >= 0 && label(set, i) < kClasses));
    ++count[static_cast<std::size_t>(label(set, i))];
    double ink = 0, border = 0;
    for (std::size_t k = 0; k < kPixels; ++k) {
      const float v = image(set, i)[k];
      if (!(v >= 0.0f && v <= 1.0f && v == std::round(v * 255.0f) / 255.0f))
        FAIL("digit " << i << " has a pixel " << v);
      const std::size_t x = k % kSide, y = k / kSide;
      ink += v;
      if (x == 0 || y == 0 || x == kSide - 1 || y == kSide - 1) border += v;
    }
    if (ink < 8 || ink > 350) FAIL("digit " << i << " has " << ink << " pixels of ink");
    if (border > 0.25 * ink) FAIL("digit " << i << " lies outside the frame");
  }
  for (const int n : count) CHECK(std::abs(n - 500) < 5 * std::sqrt(500 * 0.9));
}

TEST_CASE("synthetic digits are readable and yet varied") {
  // The nearest of 1500 known digits names a new one nearly always, yet not as surely as if all looked the same.
  const LabelledImages known = synthesize(1500, kTrainSeed), fresh = synthesize(300, kTestSeed);
  int right = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    float best = 1e9f;
    std::int64_t guess = -1;
    for (std::size_t j = 0; j < 1500; ++j) {
      float distance = 0;
      for (std::size_t k = 0; k < kPixels && distance < best; ++k) {
        const float d = image(known, j)[k] - image(fresh, i)[k];
        distance += d * d;
      }
      if (distance < best) best = distance, guess = label(known, j);
    }
    right += guess == label(fresh, i);
  }
  INFO(right << " of 300 right");
  CHECK(right > 0.75 * 300);
  CHECK(right < 0.97 * 300);
}

TEST_CASE("every digit has several styles inside its box") {
  for (int digit = 0; digit < kClasses; ++digit) {
    CHECK(styles(digit).size() >= 4);
    for (const Style& style : styles(digit))
      for (const PenStroke& stroke : style) {
        CHECK(stroke.size() >= 2);
        for (const Knot& knot : stroke) CHECK((knot.x >= 0 && knot.x <= 100 && knot.y >= 0 && knot.y <= 100));
      }
  }
}

}  // namespace test_synth
