#include <algorithm>
#include <string>
#include "../catch.hpp"

#include "digits/model.hpp"
#include "digits/synth.hpp"
#include "digits/training.hpp"

namespace test_training {

using namespace digits;
using namespace limpid;

TEST_CASE("a short training learns, and leaves its curves") {
  manual_seed(0);
  const data::LabelledImages training = synthesize(600, kTrainSeed), test = synthesize(200, kTestSeed);
  nn::Sequential network = make_network();
  report::Curves curves;
  train(network, training, test, {.epochs = 2, .batch_size = 32}, curves);
  const Tensor logits = predict(network, test.images);
  REQUIRE(logits.shape() == Shape{200, 10});
  CHECK_FALSE(logits.requires_grad());
  CHECK(mean(eq(argmax(logits, 1), test.labels).to(float64)).item<double>() > 0.5);
  const std::string csv = curves.csv();
  CHECK_THAT(csv, StartsWith("step,training,held out\n1,"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 2 * 19);
}

TEST_CASE("a confusion table counts each label under each prediction") {
  const Tensor labels = tensor({0, 0, 1, 9, 9, 9}, int64), predictions = tensor({0, 1, 1, 9, 9, 4}, int64);
  const report::Table table = confusion(labels, predictions);
  REQUIRE(table.rows().size() == 10);
  const auto cell = [&](std::size_t row, std::size_t column) { return table.rows()[row][column + 1].text; };
  CHECK(cell(0, 0) == "1");
  CHECK(cell(0, 1) == "1");
  CHECK(cell(1, 1) == "1");
  CHECK(cell(9, 9) == "2");
  CHECK(cell(9, 4) == "1");
  CHECK(cell(4, 9).empty());
}

TEST_CASE("a sheet shows each digit in the column it was taken for, mistakes red and first") {
  data::LabelledImages set{zeros({4, 1, 28, 28}), tensor({3, 3, 3, 7}, int64)};
  std::fill_n(set.images.data<float>(), set.images.numel(), 1.0f);  // all ink
  const Tensor picture = sheet(set, tensor({3, 3, 5, 3}, int64));
  REQUIRE(picture.shape() == Shape{3, 10 * 68 + 12, 10 * 68 + 12});
  const auto colour = [&](int64_t row, int64_t column) {
    const Tensor pixel = select(select(picture, 1, 12 + 68 * row + 30), 1, 12 + 68 * column + 30);
    const Tensor row_major = pixel.contiguous();
    const float* rgb = row_major.data<float>();
    return rgb[0] == 1 && rgb[1] == 1 ? "paper" : rgb[0] == 1 && rgb[1] == 0 && rgb[2] == 0 ? "red" : "black";
  };
  CHECK(colour(0, 3) == std::string("red"));  // the 7 that was taken for a 3
  CHECK(colour(1, 3) == std::string("black"));
  CHECK(colour(2, 3) == std::string("black"));
  CHECK(colour(3, 3) == std::string("paper"));
  CHECK(colour(0, 5) == std::string("red"));
  CHECK(colour(0, 0) == std::string("paper"));
}

}  // namespace test_training
