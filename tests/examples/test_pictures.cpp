#include <stb_image.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include "../catch.hpp"

#include "digits/canvas.hpp"
#include "digits/font.hpp"
#include "digits/plot.hpp"
#include "digits/synth.hpp"
#include "folder.hpp"

using namespace digits;

namespace {

Picture read_png(const std::string& path) {
  Picture picture;
  stbi_uc* pixels = stbi_load(path.c_str(), &picture.width, &picture.height, &picture.channels, 0);
  REQUIRE(pixels);
  picture.pixels.assign(pixels, pixels + picture.width * picture.height * picture.channels);
  stbi_image_free(pixels);
  return picture;
}

int count(const Picture& picture, Colour colour) {
  int n = 0;
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3)
    n += picture.pixels[i] == colour.r && picture.pixels[i + 1] == colour.g && picture.pixels[i + 2] == colour.b;
  return n;
}

}  // namespace

TEST_CASE("png files hold the pixels they were given") {
  const Folder folder;
  const auto [width, height] = GENERATE(std::pair{1, 1}, std::pair{3, 2}, std::pair{97, 41}, std::pair{1, 300});
  const int channels = GENERATE(1, 3);
  Picture picture{width, height, channels, {}};
  for (int i = 0; i < width * height * channels; ++i) picture.pixels.push_back(static_cast<std::uint8_t>(i * i / 7));
  write_png(folder / "a.png", picture);
  const Picture read = read_png(folder / "a.png");
  CHECK(read.width == width);
  CHECK(read.height == height);
  CHECK(read.channels == channels);
  CHECK(read.pixels == picture.pixels);
}

TEST_CASE("pictures that contradict themselves are not written") {
  const Folder folder;
  const Picture bad[] = {{0, 1, 1, {}},     {1, 0, 1, {}},           {-1, -1, 1, {0}},  {2, 2, 1, {0, 0, 0}},
                         {1, 1, 2, {0, 0}}, {1, 1, 4, {0, 0, 0, 0}}, {1, 1, 3, {0, 0}}, {20000, 1, 1, Bytes(20000)}};
  for (const Picture& picture : bad) {
    INFO(picture.width << " x " << picture.height << " x " << picture.channels);
    CHECK_THROWS_AS(write_png(folder / "bad.png", picture), FileError);
    CHECK(folder.empty());
  }
  CHECK_THROWS_WITH(write_png("x.png", bad[3]),
                    "x.png: expected a grey or RGB picture of up to 16384 pixels a side, found 2 x 2 x 1 with 3 bytes");
}

TEST_CASE("every printable character has a picture of its own") {
  std::set<std::array<std::uint8_t, 9>> seen;
  for (char c = '!'; c <= '~'; ++c) {
    INFO(c);
    CHECK(bitmap_glyph(c).width >= 1);
    CHECK(seen.insert(bitmap_glyph(c).rows).second);
  }
  CHECK(bitmap_glyph('\xff').rows == bitmap_glyph('\n').rows);  // a box for all the rest
}

TEST_CASE("drawing beyond the edges is cut off") {
  Canvas canvas(20, 10);
  const Point far[] = {{-1000, -1000}, {1000, 1000}};
  canvas.polyline(far, 3, kBlue);
  canvas.text(-10, -3, "text", kInk, 3);
  canvas.text(15, 8, "text", kInk, 3);
  canvas.text_upwards(18, 3, "text", kInk, 3);
  canvas.frame(-5, -5, 100, 100, 2, kRed);
  CHECK(canvas.picture().pixels.size() == 600);
}

TEST_CASE("a loss plot is drawn whatever the losses") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  struct Row {
    const char* name;
    std::vector<float> losses;
    bool line;
  };
  const Row rows[] = {
      {"none", {}, false},
      {"one", {2.3f}, true},
      {"all the same", std::vector<float>(100, 0.5f), true},
      {"falling", {2.3f, 1.0f, 0.5f, 0.1f, 0.02f}, true},
      {"not finite here and there", {2.3f, nan, 1.0f, infinity, 0.5f, -infinity}, true},
      {"never finite", {nan, nan, infinity}, false},
      {"zero and negative", {0.0f, -1.0f}, false},
      {"the whole range of float", {1e-38f, 3e38f, 1e-45f}, true},
      {"very many", std::vector<float>(100000, 1.0f), true},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const Picture plot = plot_loss(row.losses, "title");
    CHECK(plot.pixels.size() == static_cast<std::size_t>(plot.width) * static_cast<std::size_t>(plot.height) * 3);
    const int key = count(plot_loss({}, "title"), kBlue);
    CHECK((count(plot, kBlue) > key) == row.line);
  }
}

TEST_CASE("held-out losses stand in the plot as dots") {
  const std::vector<float> losses{2, 1, 0.5f, 0.25f}, held_out{1, 0.3f};
  CHECK(count(plot_loss(losses, "t"), kOrange) == 0);
  CHECK(count(plot_loss(losses, "t", held_out), kOrange) > 150);
}

TEST_CASE("a sheet shows wrong predictions in red and no others") {
  const Dataset set = synthesize(25, 1);
  std::vector<std::int64_t> predictions = set.labels;
  CHECK(count(digit_sheet(set, {}, 25, 10, "labels"), kRed) == 0);
  CHECK(count(digit_sheet(set, predictions, 25, 10, "right"), kRed) == 0);
  predictions[7] = (predictions[7] + 1) % 10;
  const int one = count(digit_sheet(set, predictions, 25, 10, "one wrong"), kRed);
  predictions[24] = (predictions[24] + 1) % 10;
  const int two = count(digit_sheet(set, predictions, 25, 10, "two wrong"), kRed);
  CHECK(one > 400);
  CHECK(two > one + 400);
  CHECK(count(digit_sheet(set, predictions, 24, 10, "one shown"), kRed) == one);
  CHECK(digit_sheet(set, {}, 0, 0, "none").width > 0);
}
