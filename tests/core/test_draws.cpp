// The bounds of random numbers in every dtype, and draws that are refused.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <string>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

using namespace limpid;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("uniform numbers stay below their upper bound in every dtype") {
  const auto [low, high, dtype] = GENERATE(table<double, double, DType>({{0, 1, bfloat16},
                                                                         {0, 1, float16},
                                                                         {0, 1, float32},
                                                                         {100, 101, float32},
                                                                         {100, 101, bfloat16},
                                                                         {-1, 0, float16},
                                                                         {-0.3, 0.1, bfloat16},
                                                                         {0.1, 0.3, float16},
                                                                         {1, 1 + 0x1p-52, float64}}));
  CAPTURE(low, high, dtype);
  Generator generator(1);
  const Tensor x = empty({20000}, dtype);
  nn::init::uniform_(x, low, high, generator);
  const Tensor wide = x.to(float64);
  CHECK(min(wide).item<double>() >= low);
  CHECK(max(wide).item<double>() < high);
  if (high - low > 1e-9) CHECK(std::abs(mean(wide).item<double>() - (low + high) / 2) < 0.26 * (high - low));
}

TEST_CASE("uniform numbers that cannot be are refused, an interval without numbers is its lower bound") {
  CHECK(message_of([] { nn::init::uniform_(empty({2}, float16), 0, 1e5); }) ==
        "uniform_: expected a number that float16 holds, got 100000");
  CHECK(message_of([] { nn::init::uniform_(empty({2}, float64), -1.7e308, 1.7e308); }) ==
        "uniform_: expected high - low in (-inf, inf), got inf");
  const Tensor x = empty({3});
  nn::init::uniform_(x, 0.1, 0.1);
  CHECK(equal(x, full({3}, 0.1)));
}

TEST_CASE("initial values that a dtype does not hold are refused, not made infinite") {
  CHECK(message_of([] { nn::init::normal_(empty({2}), 1e300, 1); }) ==
        "normal_: expected draws that float32 holds, up to 6.67 standard deviations from the mean, got mean = 1e+300, "
        "stddev = 1");
  CHECK(message_of([] { nn::init::normal_(empty({2}, float64), 0, 1e308); }) ==
        "normal_: expected draws that float64 holds, up to 9.42 standard deviations from the mean, got mean = 0, "
        "stddev = 1e+308");
  CHECK(message_of([] {
          nn::init::xavier_normal_(empty({1, 1}), 1e38);
        }) ==
        "normal_: expected draws that float32 holds, up to 6.67 standard deviations from the mean, got mean = 0, "
        "stddev = 1e+38");
  CHECK(message_of([] {
          nn::init::orthogonal_(empty({2, 2}), 1e300);
        }) == "orthogonal_: expected a number that float32 holds, got 1e+300");
}

TEST_CASE("normal initial values are finite, or refused before anything is drawn") {
  const auto [dtype, mean, taken, refused] =
      GENERATE(table<DType, double, double, double>({{float16, 0, 9800, 9830},
                                                     {float16, -65000, 70, 80},
                                                     {bfloat16, 0, 5e37, 5.2e37},
                                                     {float32, 0, 5.1e37, 5.2e37},
                                                     {float64, 0, 1.9e307, 1.92e307},
                                                     {float64, 1.7e308, 1e306, 1.1e307}}));
  CAPTURE(dtype, mean);
  Generator generator(7), untouched = generator;
  const Tensor x = zeros({40000}, dtype);
  CHECK_THROWS_AS(nn::init::normal_(x, mean, refused, generator), ValueError);
  CHECK(equal(x, zeros({40000}, dtype)));
  CHECK(generator.advance(0) == untouched.advance(0));
  nn::init::normal_(x, mean, taken, generator);
  CHECK(all(isfinite(x)).item<bool>());
}

TEST_CASE("a draw that fails takes no numbers") {
  Generator generator(3);
  const auto next = [&] {
    Generator copy = generator;
    return rand({1}, float64, copy).item<double>();
  };
  const double before = next();
  CHECK_THROWS_AS(rand({2}, float32, MemoryFormat::channels_last, generator), ShapeError);
  CHECK_THROWS_AS(randn({2}, float32, MemoryFormat::channels_last, generator), ShapeError);
  CHECK_THROWS_AS(bernoulli(0.5, {2}, MemoryFormat::channels_last, generator), ShapeError);
  CHECK_THROWS_AS(randint(0, 2, {2}, int64, MemoryFormat::channels_last, generator), ShapeError);
  CHECK(next() == before);
}
