// arange and linspace: exact ends, order, and what no dtype holds.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/memory.hpp>
#include <limpid/tests/message_of.hpp>
#include <limpid/tests/settings.hpp>

namespace test_sequences {

using namespace limpid;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t odd = (int64_t{1} << 53) + 1;

template <class T>
T last(const Tensor& x) {
  return x.data<T>()[x.numel() - 1];
}

TEST_CASE("ranges of numbers stay in their dtype") {
  CHECK(message_of([] { arange(-1, 3, uint8); }) == "arange: expected a number that uint8 holds, got -1");
  CHECK(message_of([] { arange(257, uint8); }) == "arange: expected a number that uint8 holds, got 256");
  CHECK(last<uint8_t>(arange(256, uint8)) == 255);
  CHECK(message_of([] { arange(250.0, 300.0, 10.0, uint8); }) == "arange: expected a number that uint8 holds, got 290");
  // No double holds the reach.
  CHECK(equal(arange(-1.5e308, 1.5e308, 1e308, float64), tensor({-1.5e308, -0.5e308, 0.5e308}, float64)));
  CHECK(message_of([] { arange(5, bool_); }) == "arange: expected a dtype of numbers, got bool");
  CHECK(message_of([] { arange(std::numeric_limits<uint64_t>::max()); }) ==
        "arange: expected a number that int64 holds, got 18446744073709551615");
  CHECK(message_of([] { arange(65521, float16); }) == "arange: expected a number that float16 holds, got 65520");
  CHECK(message_of([] { linspace(-1, 3, 5, uint8); }) == "linspace: expected a number that uint8 holds, got -1");
  CHECK(message_of([] { linspace(0, not_a_number, 5); }) == "linspace: expected finite ends, got 0 and nan");
  CHECK(message_of([] { linspace(-inf, 0, 5); }) == "linspace: expected finite ends, got -inf and 0");
  CHECK(message_of([] { linspace(0, 1, 2, bool_); }) == "linspace: expected a dtype of numbers, got bool");
  const Tensor wide = linspace(-1.7e308, 1.7e308, 5, float64);
  CHECK(equal(wide, tensor({-1.7e308, -0.85e308, 0, 0.85e308, 1.7e308}, float64)));
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  CHECK(equal(linspace(most - 3, most, 4, int64), tensor({most - 3, most - 2, most - 1, most}, int64)));
  CHECK(equal(linspace(0, 10, 4, int64), tensor({0, 3, 6, 10}, int64)));
  CHECK(equal(linspace(-10, 0, 4, int64), tensor({-10, -6, -3, 0}, int64)));
}

TEST_CASE("ranges from whole numbers are exact, doubles among them too") {
  const Tensor expected = tensor({odd, odd + 1, odd + 2}, int64);
  CHECK(equal(arange(odd, odd + 3, 1.0, int64), expected));
  CHECK(equal(arange(odd, static_cast<double>(odd + 3), 1, int64), expected));
  CHECK(equal(arange(static_cast<double>(odd - 1), odd + 3, 2.0, int64), tensor({odd - 1, odd + 1}, int64)));
  CHECK(equal(arange(INT64_MAX, INT64_MIN, -0x1p62, int64),
              tensor({INT64_MAX, INT64_MAX - (int64_t{1} << 62), int64_t{-1}, -1 - (int64_t{1} << 62)}, int64)));
  CHECK(arange(odd, odd + 3, 1.0).dtype() == float32);
  CHECK(equal(arange(0.0, 1.0, 0.25, float64), tensor({0, 0.25, 0.5, 0.75}, float64)));
  CHECK(equal(arange(odd - 1, odd + 3, 0x1p64, float64), tensor({odd - 1}, float64)));
  const std::string rounds =
      "arange: expected an integer that float64 holds beside a number that int64 does not hold, got ";
  CHECK(message_of([] { arange(odd, odd + 3, 0.5, int64); }) == rounds + "9007199254740993");
  CHECK(message_of([] { arange(0.5, odd, int64_t{1} << 50, float64); }) == rounds + "9007199254740993");
  CHECK(message_of([] { arange(0, UINT64_MAX, 1e18); }) == rounds + "18446744073709551615");
  CHECK(message_of([] { arange(odd, odd + 3, 0.0); }) ==
        "arange: expected finite bounds and a step other than 0, got start = 9007199254740993, "
        "stop = 9007199254740996, step = 0");
}

TEST_CASE("linspace is in order and has its ends exact, in every dtype") {
  struct Row {
    Scalar start, stop;
    int64_t count;
  };
  const int64_t large = 4 * (odd - 1) + 1, tie = (int64_t{1} << 60) + (int64_t{1} << 36) + 1;
  const double ulp = 0x1p-52, most = std::numeric_limits<double>::max();
  const std::vector<Row> rows = {{large, static_cast<double>(large + 7), 3},
                                 {static_cast<double>(large - 1), large + 7, 9},
                                 {large, large + 2, 50},
                                 {tie, tie + 2, 5},
                                 {tie - 2, tie, 5},
                                 {-tie, tie, 1000},
                                 {static_cast<double>(tie), tie, 5},
                                 {uint64_t{1} << 63, UINT64_MAX, 7},
                                 {INT64_MIN, INT64_MAX, 11},
                                 {large, 0.5, 1001},
                                 {-2.5, 2.5, 1001},
                                 {0.1, 0.2, 1001},
                                 {1, 1 + ulp, 5001},
                                 {1 - ulp, 1 + 3 * ulp, 777},
                                 {0, 1e-320, 5001},
                                 {0, 1e-320, 1500},
                                 {-1e-320, 3e-320, 4999},
                                 {1e-300, 1e-300 * (1 + 4 * ulp), 4999},
                                 {5e-324, -5e-324, 10},
                                 {-most, most, 1000},
                                 {most, most * (1 - 4 * ulp), 1000},
                                 {0, most, 7},
                                 {-most, most, 3},
                                 {3, 3, 4}};
  for (const Row& row : rows)
    for (const bool falls : {false, true})
      for (const DType dtype : {uint8, int32, int64, float16, bfloat16, float32, float64}) {
        const Scalar start = falls ? row.stop : row.start, stop = falls ? row.start : row.stop;
        CAPTURE(start.to_double(), stop.to_double(), row.count, dtype);
        Tensor ends;
        if (message_of([&] { ends = tensor({start, stop}, dtype); }) != "no error") {
          CHECK(message_of([&] { linspace(start, stop, row.count, dtype); }) != "no error");
          continue;
        }
        const Tensor y = linspace(start, stop, row.count, dtype);
        CHECK(equal(ends, stack({select(y, 0, 0), select(y, 0, -1)})));
        const Tensor before = slice(y, 0, 0, row.count - 1), after = slice(y, 0, 1);
        const bool rises = le(select(y, 0, 0), select(y, 0, -1)).item<bool>();
        CHECK(all(rises ? le(before, after) : ge(before, after)).item<bool>());
      }
  CHECK(equal(linspace(large, static_cast<double>(large + 7), 3, int64), tensor({large, large + 3, large + 7}, int64)));
}

TEST_CASE("what linspace puts between its ends is rounded as if from the formula, down to subnormal steps") {
  struct Row {
    double start, stop;
    int64_t count;
  };
  for (const auto& [start, stop, count] :
       {Row{0, 1e-320, 5001}, Row{0, 1e-320, 1500}, Row{-1e-320, 3e-320, 4999}, Row{0, 1, 11},
        Row{-3e-308, 3e-308, 101}, Row{1e-310, 2e-305, 20001}, Row{0, 1e-300, 1000003}, Row{-1.7e308, 1.7e308, 1001},
        Row{1e308, -1.7e308, 1001}}) {
    const Tensor y = linspace(start, stop, count, float64);
    double worst = 0;
    for (int64_t i = 0; i < count; ++i) {
      const long double last = static_cast<long double>(count - 1), k = static_cast<long double>(i);
      const long double exact = (start * (last - k) + stop * k) / last, got = y.data<double>()[i];
      const long double step_of_double =
          std::max(0x1p-1074L, std::max(std::abs(1.0L * start), std::abs(1.0L * stop)) * 0x1p-52L);
      worst = std::max(worst, static_cast<double>(std::abs(got - exact) / step_of_double));
    }
    CAPTURE(start, stop, count);
    CHECK(worst <= 1);
  }
  CHECK(linspace(0, 1, 11, float64).data<double>()[3] == 0.3);
}

TEST_CASE("a range too long for memory or for any tensor says so") {
  {
    const test::WithLimit limit(int64_t{1} << 40);  // a sanitizer ends the process that asks the system for so much
    CHECK_THROWS_AS(arange(1e15), MemoryError);
  }
  CHECK(message_of([] { arange(1e18); }) == "shape: expected at most 2^56 elements, got (1000000000000000000,)");
  CHECK(message_of([] { arange(-1e308, 1e308, 1e-3); }) ==
        "shape: expected at most 2^56 elements, got (9223372036854775807,)");
  CHECK(message_of([] { arange(0, inf); }) ==
        "arange: expected finite bounds and a step other than 0, got start = 0, stop = inf, step = 1");
  CHECK(arange(1.0, 0.0).numel() == 0);
}

}  // namespace test_sequences
