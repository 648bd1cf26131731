#include <limpid/core/detail/philox.hpp>
#include <limpid/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <thread>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

namespace test_random {

using namespace limpid;

std::vector<double> values(const Tensor& x) {
  std::vector<double> out;
  visit_dtype(x.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < x.numel(); ++i) {
      if constexpr (std::is_arithmetic_v<T>)
        out.push_back(static_cast<double>(x.data<T>()[i]));
      else
        out.push_back(double{to_float(x.data<T>()[i])});
    }
  });
  return out;
}

// The mean of (x - centre)^power.
double moment(const std::vector<double>& xs, int power, double centre = 0) {
  double total = 0;
  for (double x : xs) total += std::pow(x - centre, power);
  return total / static_cast<double>(xs.size());
}

TEST_CASE("philox gives the known answers of Random123") {
  using Words = std::array<uint32_t, 4>;
  CHECK(detail::philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr uint32_t ff = 0xffffffff;
  CHECK(detail::philox({ff, ff, ff, ff}, {ff, ff}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(detail::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random numbers have the same bits for any number of threads") {
  for (DType dtype : {float32, float64}) {
    Tensor expected[4];
    for (int threads : {1, 2, 3, 7}) {
      const test::WithThreads with(threads);
      manual_seed(5);
      const Tensor xs[] = {rand({100003}, dtype), randn({100003}, dtype), bernoulli(0.3, {100003}),
                           randint(-7, 9, {100003})};
      for (std::size_t i = 0; i < 4; ++i) {
        if (threads == 1) expected[i] = xs[i];
        CHECK(equal(xs[i], expected[i]));
      }
    }
  }
}

TEST_CASE("a random number depends on seed and position alone, not on how a draw is split") {
  for (DType dtype : {float32, float64}) {
    for (bool normal : {false, true}) {
      const auto draw = [&](int64_t n, Generator& g) {
        return values(normal ? randn({n}, dtype, g) : rand({n}, dtype, g));
      };
      Generator whole(11), parts(11);
      const auto expected = draw(1000, whole);
      std::vector<double> joined;
      for (int64_t n : {1, 2, 3, 5, 0, 489, 500})
        for (double x : draw(n, parts)) joined.push_back(x);
      CHECK(joined == expected);
    }
  }
}

TEST_CASE("copies of a generator go on separately from the same position") {
  Generator a(3);
  rand({5}, float32, a);
  Generator b = a;
  const Tensor x = rand({7}, float32, a);
  CHECK(equal(rand({7}, float32, b), x));
  CHECK_FALSE(equal(rand({7}, float32, b), x));
  CHECK(a.advance(10) == 12);
  CHECK(a.advance(0) == 22);
}

TEST_CASE("every thread starts with seed 0") {
  Tensor a, b;
  std::thread([&] { a = rand({4}); }).join();
  std::thread([&] { manual_seed(0), b = rand({4}); }).join();
  CHECK(equal(a, b));
}

TEST_CASE("rand is uniform from 0 to below 1 with as many bits as the dtype has") {
  struct Case {
    DType dtype;
    int digits;
  };
  for (auto [dtype, digits] : {Case{float32, 24}, Case{float64, 53}, Case{float16, 11}, Case{bfloat16, 8}}) {
    manual_seed(1);
    const Tensor x = rand({200, 1000}, dtype);
    CHECK(x.shape() == Shape{200, 1000});
    CHECK(x.dtype() == dtype);
    const auto xs = values(x);
    const auto [low, high] = std::minmax_element(xs.begin(), xs.end());
    CHECK(*low >= 0);
    CHECK(*high < 1);
    CHECK(std::all_of(xs.begin(), xs.end(), [d = digits](double u) {
      const double scaled = std::ldexp(u, d);
      return scaled == std::floor(scaled);
    }));
    const double step = std::ldexp(1.0, -digits);  // the mean of such fractions is (1 - step) / 2
    CHECK(moment(xs, 1) == Approx((1 - step) / 2).margin(0.003));
    CHECK(moment(xs, 2, 0.5) == Approx(1.0 / 12).margin(0.002));
  }
}

TEST_CASE("randn has the moments of the standard normal") {
  for (DType dtype : {float32, float64}) {
    manual_seed(2);
    const auto xs = values(randn({1000000}, dtype));
    CHECK(moment(xs, 1) == Approx(0).margin(0.005));
    CHECK(moment(xs, 2) == Approx(1).margin(0.01));
    CHECK(moment(xs, 3) == Approx(0).margin(0.02));
    CHECK(moment(xs, 4) == Approx(3).margin(0.05));
    // Neighbours share a radius, and must be independent all the same.
    double product = 0;
    for (std::size_t i = 0; i + 1 < xs.size(); i += 2) product += xs[i] * xs[i + 1];
    CHECK(2 * product / static_cast<double>(xs.size()) == Approx(0).margin(0.01));
    const auto beyond_two = std::count_if(xs.begin(), xs.end(), [](double x) { return std::abs(x) > 2; });
    CHECK(static_cast<double>(beyond_two) / 1e6 == Approx(0.0455).margin(0.001));
    CHECK(*std::max_element(xs.begin(), xs.end()) > 4);
  }
}

TEST_CASE("rand_like and randn_like keep shape, dtype and memory format, a value belongs to an index") {
  const Tensor x = empty({2, 3, 4, 5}, float64, MemoryFormat::channels_last);
  manual_seed(4);
  const Tensor last = rand_like(x);
  manual_seed(4);
  const Tensor plain = rand({2, 3, 4, 5}, float64);
  CHECK(last.is_contiguous(MemoryFormat::channels_last));
  CHECK(equal(last, plain));
  CHECK(randn_like(x).dtype() == float64);
}

TEST_CASE("every draw takes a generator and leaves the thread's own alone") {
  const std::vector<std::function<Tensor(Generator&)>> draws = {
      [](Generator& g) { return rand({50}, float32, g); },
      [](Generator& g) { return randn({50}, float64, g); },
      [](Generator& g) { return rand_like(zeros({50}), g); },
      [](Generator& g) { return randn_like(zeros({50}), g); },
      [](Generator& g) { return randint(-50, 1 << 20, {50}, int64, g); },
      [](Generator& g) { return randperm(50, g); },
      [](Generator& g) { return bernoulli(0.5, {50}, g); },
      [](Generator& g) {
        return rand({2, 5, 5}, float32, MemoryFormat::channels_last, g);
      },
      [](Generator& g) {
        return randn({2, 5, 5}, float32, MemoryFormat::channels_last, g);
      },
      [](Generator& g) {
        return randint(-50, 1 << 20, {2, 5, 5}, int64, MemoryFormat::channels_last, g);
      },
      [](Generator& g) {
        return bernoulli(0.5, {2, 5, 5}, MemoryFormat::channels_last, g);
      },
  };
  manual_seed(3);
  const Tensor next = rand({4});
  manual_seed(3);
  for (const auto& draw : draws) {
    Generator a(7), b(7), other(8);
    const Tensor x = draw(a);
    CHECK(equal(x, draw(b)));
    CHECK(!equal(x, draw(other)));
    CHECK(!equal(x, draw(a)));  // which has moved on
  }
  CHECK(equal(rand({4}), next));
}

TEST_CASE("a random value belongs to an index, whatever the memory format") {
  const MemoryFormat last = MemoryFormat::channels_last;
  const Shape shape{2, 3, 4, 5};
  const auto twice = [&](auto draw) {
    manual_seed(5);
    const Tensor plain = draw(MemoryFormat::contiguous);
    manual_seed(5);
    const Tensor interleaved = draw(last);
    CHECK(plain.memory_format() == MemoryFormat::contiguous);
    CHECK(interleaved.memory_format() == last);
    CHECK(equal(plain, interleaved));
  };
  for (DType dtype : {float16, float32, float64}) {
    twice([&](MemoryFormat format) { return rand(shape, dtype, format); });
    twice([&](MemoryFormat format) { return randn(shape, dtype, format); });
  }
  twice([&](MemoryFormat format) { return randint(0, 99, shape, int32, format); });
  twice([&](MemoryFormat format) { return bernoulli(0.5, shape, format); });
}

TEST_CASE("randint covers its range evenly") {
  manual_seed(6);
  const auto xs = values(randint(-2, 3, {100000}));
  for (double v : {-2., -1., 0., 1., 2.})
    CHECK(static_cast<double>(std::count(xs.begin(), xs.end(), v)) == Approx(20000).margin(600));
  CHECK(std::all_of(xs.begin(), xs.end(), [](double v) { return v >= -2 && v < 3; }));
  constexpr int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
  const auto wide = values(randint(least, most, {1000}));
  CHECK(std::any_of(wide.begin(), wide.end(), [](double v) { return v > 4e18; }));
  CHECK(std::any_of(wide.begin(), wide.end(), [](double v) { return v < -4e18; }));
  CHECK(values(randint(5, 6, {3}, uint8)) == std::vector<double>{5, 5, 5});
}

TEST_CASE("randperm gives each order of 0 to n - 1 equally often") {
  manual_seed(7);
  std::map<std::vector<double>, int> counts;
  for (int i = 0; i < 24000; ++i) ++counts[values(randperm(4))];
  CHECK(counts.size() == 24);
  for (const auto& [order, count] : counts) CHECK(count == Approx(1000).margin(150));
  auto large = values(randperm(1000));
  CHECK_FALSE(std::is_sorted(large.begin(), large.end()));
  std::sort(large.begin(), large.end());
  CHECK(large == values(arange(1000)));
  CHECK(randperm(0).numel() == 0);
}

TEST_CASE("bernoulli is true with probability p") {
  manual_seed(8);
  CHECK(moment(values(bernoulli(0.3, {100000})), 1) == Approx(0.3).margin(0.006));
  CHECK(moment(values(bernoulli(0, {1000})), 1) == 0);
  CHECK(moment(values(bernoulli(1, {1000})), 1) == 1);
  CHECK(bernoulli(0.5, {2, 3}).dtype() == bool_);
}

TEST_CASE("random numbers of no element reserve no position") {
  Generator g(1);
  CHECK(rand({0, 3}, float32, g).numel() == 0);
  CHECK(g.advance(1) == 0);
}

TEST_CASE("random numbers refuse what they cannot give") {
  CHECK_THROWS_WITH(rand({2}, int64), "rand: expected a floating-point dtype, got int64");
  CHECK_THROWS_WITH(randn({2}, bool_), "randn: expected a floating-point dtype, got bool");
  CHECK_THROWS_WITH(randint(3, 3, {2}), "randint: expected low < high, got low = 3, high = 3");
  CHECK_THROWS_WITH(randint(0, 257, {2}, uint8),
                    "randint: expected bounds that uint8 can hold, got low = 0, high = 257");
  CHECK_THROWS_WITH(randperm(-1), "randperm: expected a count of at least 0, got -1");
  CHECK_THROWS_WITH(bernoulli(1.5, {2}), "bernoulli: expected a probability from 0 to 1, got 1.5");
  CHECK_THROWS_AS(bernoulli(std::nan(""), {2}), ValueError);
}

}  // namespace test_random
