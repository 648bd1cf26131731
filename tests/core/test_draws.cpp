// The bounds of random numbers in every dtype, and draws that are refused.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <string>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_draws {

using namespace limpid;

constexpr double inf = std::numeric_limits<double>::infinity();

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

TEST_CASE("multinomial draws in proportion to the weights, and nothing of weight 0") {
  Generator generator(5);
  const Tensor weights = tensor({0, 1, 0, 3, 4, 0}, float64);
  const int64_t count = 80000;
  const Tensor drawn = multinomial(weights, count, true, generator), often = bincount(drawn, {}, 6).to(float64);
  CHECK(drawn.dtype() == int64);
  for (int64_t i = 0; i < 6; ++i) {
    const double expected = weights[i].item<double>() / 8 * count;
    CHECK(std::abs(often[i].item<double>() - expected) <= 5 * std::sqrt(expected));
  }
  // Without replacement the first is drawn alike, and the second from what is left.
  const int64_t rows = 40000;
  const Tensor pairs = multinomial(expand(weights, {rows, 6}), 2, false, generator);
  REQUIRE(pairs.shape() == Shape{rows, 2});
  CHECK_FALSE(any(select(pairs, 1, 0) == select(pairs, 1, 1)).item<bool>());
  const Tensor first = bincount(select(pairs, 1, 0), {}, 6).to(float64);
  CHECK(std::abs(first[4].item<double>() / rows - 0.5) < 0.02);
  const double four_three = sum((select(pairs, 1, 0) == 4) && (select(pairs, 1, 1) == 3)).item<double>() / rows;
  CHECK(std::abs(four_three - 0.5 * 0.75) < 0.02);
  // All of them, each once; tiny and huge weights among them.
  const Tensor all_of_them = multinomial(tensor({1e-300, 1e300, 0, 1, 5e-324}, float64), 4, false, generator);
  CHECK(equal(sort(all_of_them).values, tensor({0, 1, 3, 4}, int64)));
  CHECK(multinomial(tensor({0, 0}, int64), 0).shape() == Shape{0});
  CHECK(multinomial(zeros({0, 3}), 2).shape() == Shape{0, 2});
  CHECK(equal(multinomial(tensor({0, 7}, int64), 3, true), ones({3}, int64)));
  // Weights whose sum overflows, as those in the same proportion.
  Generator far(7), near(7);
  for (const bool replacement : {true, false})
    CHECK(equal(multinomial(tensor({1e308, 0, 1.5e308, 5e307}, float64), replacement ? 1000 : 3, replacement, far),
                multinomial(tensor({1, 0, 1.5, 0.5}, float64), replacement ? 1000 : 3, replacement, near)));
  Generator a(9), b(9);
  CHECK(equal(multinomial(weights, 3, false, a), multinomial(weights.to(float32), 3, false, b)));

  CHECK(message_of([] {
          multinomial(tensor({1, 0, 2}), 3);
        }) == "multinomial: expected at least 3 weights above 0 for a count of 3 without replacement, got 2");
  CHECK(message_of([] { multinomial(zeros({3}), 2, true); }) ==
        "multinomial: expected at least 1 weights above 0 for a count of 2, got 0");
  CHECK(message_of([] {
          multinomial(tensor({1, -1}), 1);
        }) == "multinomial: expected weights of at least 0 and finite, got -1");
  CHECK(message_of([] {
          multinomial(tensor({1, inf}), 1);
        }) == "multinomial: expected weights of at least 0 and finite, got inf");
  CHECK(message_of([] {
          multinomial(zeros({1, 1, 1}), 1);
        }) == "multinomial: expected weights of shape (n,) or (m, n), got shape (1, 1, 1)");
  CHECK(message_of([] { multinomial(ones({2}), -1); }) == "multinomial: expected a count of at least 0, got -1");
  CHECK(message_of([] { multinomial(ones({2}, bool_), 1); }) == "multinomial: expected weights of numbers, got bool");
  CHECK(message_of([] { multinomial({}, 1); }) == "multinomial: expected defined weights, got an undefined tensor");
}

TEST_CASE("normal is randn moved and scaled, and refuses what a dtype does not hold") {
  Generator a(4), b(4);
  CHECK(allclose(normal(3, 0.5, {1000}, float64, a), randn({1000}, float64, b) * 0.5 + 3.0, 1e-15, 1e-15));
  CHECK(equal(normal(2, 0, {3}, float16), full({3}, 2, float16)));
  CHECK(message_of([] { normal(0, -1, {2}); }) == "normal: expected a finite stddev of at least 0, got -1");
  CHECK(message_of([] { normal(inf, 1, {2}); }) == "normal: expected a finite mean, got inf");
  CHECK(message_of([] { normal(0, 1, {2}, int64); }) == "normal: expected a floating-point dtype, got int64");
  CHECK_THROWS_AS(normal(0, 1e38, {2}), ValueError);
}

TEST_CASE("the state of a generator is a value to go back to") {
  Generator generator(11);
  rand({5}, float32, generator);
  const Generator::State state = generator.state();
  const Tensor x = randn({7}, float64, generator);
  CHECK(state.seed == 11);
  CHECK_FALSE(generator.state() == state);
  Generator other;
  other.set_state(state);
  CHECK(equal(randn({7}, float64, other), x));
  generator.set_state(state);
  CHECK(generator.state() == state);
  CHECK(equal(randn({7}, float64, generator), x));
}

TEST_CASE("normal numbers of a mean and a standard deviation each") {
  Generator generator(5), again(5);
  const Tensor mean = tensor({{0}, {100}, {-100}}, float64), stddev = tensor({0, 1, 2, 3}, float64);
  const Tensor x = normal(mean, stddev, generator), z = randn({3, 4}, float64, again);
  CHECK(x.dtype() == float64);
  CHECK(allclose(x, mean + stddev * z));
  CHECK(equal(x.index({Slice(), 0}), mean.flatten()));  // of no spread
  CHECK(generator.state() == again.state());
  CHECK(normal(full({3}, 2), full({3}, 0.5, float64), generator).dtype() == float64);
  // One of the two may be a number, and the dtype is the tensor's.
  Generator a(9), b(9), c(9), d(9);
  const Tensor half = normal(full({5}, 2, float16), 3, a);
  CHECK(half.dtype() == float16);
  CHECK(equal(half, normal(2, 3, {5}, float16, b)));
  CHECK(equal(normal(2, full({5}, 3), c), normal(2, 3, {5}, float32, d)));
  CHECK(normal(zeros({4, 0}), 1, generator).shape() == Shape{4, 0});
  // Broadcast, strided, and not recorded.
  const Tensor leaf = zeros({2, 3}).set_requires_grad();
  CHECK_FALSE(normal(transpose(leaf, 0, 1), 1, generator).requires_grad());
  const Tensor wide = normal(expand(tensor({1000}), {4, 2}), 0.001, generator);
  CHECK(allclose(wide, full({4, 2}, 1000), 1e-3));
}

TEST_CASE("normal numbers that cannot be are refused, and nothing is drawn") {
  Generator generator(5);
  const Generator::State before = generator.state();
  const Tensor x = ones({2});
  CHECK(message_of([&] {
          normal(x, tensor({1, -1}), generator);
        }) == "normal: expected a finite stddev of at least 0, got -1");
  CHECK(message_of([&] {
          normal(x, tensor({1, NAN}), generator);
        }) == "normal: expected a finite stddev of at least 0, got nan");
  CHECK(message_of([&] { normal(tensor({1, inf}), x, generator); }) == "normal: expected a finite mean, got inf");
  CHECK(message_of([&] { normal(x, 1e38, generator); }) ==
        "normal: expected a number that float32 holds, got 6.67e+38");
  CHECK(message_of([&] { normal(ones({3}), x, generator); }) ==
        "normal: expected shapes that broadcast together, got (3,) and (2,)");
  CHECK(message_of([&] { normal(ones({2}, int64), ones({2}, int64), generator); }) ==
        "normal: expected a floating-point dtype, got int64");
  CHECK(message_of([&] { normal(Tensor(), x, generator); }) ==
        "normal: expected a defined mean, got an undefined tensor");
  CHECK(message_of([&] { normal(0, Tensor(), generator); }) ==
        "normal: expected a defined stddev, got an undefined tensor");
  CHECK(generator.state() == before);
}

}  // namespace test_draws
