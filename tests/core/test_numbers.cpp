// One rule for numbers that a caller writes, by every way in; and what becomes of dtypes and ranks that do not exist.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

using namespace limpid;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity(), not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t odd = (int64_t{1} << 53) + 1;

// Something done with a number in dtype; where it makes a tensor, the number is its last element.
struct WayIn {
  std::string op;
  Tensor (*go)(Scalar x, DType dtype);
};
const std::vector<WayIn> makers = {
    {"full", [](Scalar x, DType d) { return full({2}, x, d); }},
    {"full_like", [](Scalar x, DType d) { return full_like(zeros({2}, d), x); }},
    {"full_like", [](Scalar x, DType d) { return full_like(zeros({2}), x, d); }},
    {"fill_", [](Scalar x, DType d) { return zeros({2}, d).fill_(x); }},
    {"tensor",
     [](Scalar x, DType d) {
       return tensor({Scalar(0), x}, d);
     }},
    {"pad",
     [](Scalar x, DType d) {
       return pad(zeros({1}, d), {0, 1}, PadMode::constant, x);
     }},
    {"constant_",
     [](Scalar x, DType d) {
       Tensor y = zeros({2}, d);
       nn::init::constant_(y, x);
       return y;
     }},
    {"linspace", [](Scalar x, DType d) { return linspace(0, x, 2, d); }},
};
const std::vector<WayIn> operands = {
    {"add", [](Scalar x, DType d) { return zeros({2}, d) + x; }},
    {"add", [](Scalar x, DType d) { return x + zeros({2}, d); }},
    {"sub", [](Scalar x, DType d) { return zeros({2}, d) - x; }},
    {"sub", [](Scalar x, DType d) { return x - zeros({2}, d); }},
    {"mul", [](Scalar x, DType d) { return ones({2}, d) * x; }},
    {"remainder", [](Scalar x, DType d) { return remainder(ones({2}, d), x); }},
    {"where", [](Scalar x, DType d) { return where(zeros({2}, bool_), zeros({2}, d), x); }},
    {"where", [](Scalar x, DType d) { return where(ones({2}, bool_), x, zeros({2}, d)); }},
    {"add_", [](Scalar x, DType d) { return zeros({2}, d).add_(ones({2}, d), x); }},
    {"mul_", [](Scalar x, DType d) { return ones({2}, d).mul_(x); }},
};

// These have a rule of their own for what is not finite, which comes first.
bool asks_for_finite(const WayIn& way) { return way.op == "linspace" || way.op == "constant_"; }

struct Refused {
  Scalar number;
  DType dtype;
  std::string got;
};

template <class T>
T last(const Tensor& x) {
  return x.data<T>()[x.numel() - 1];
}

}  // namespace

TEST_CASE("a number that a dtype does not hold is refused, whichever way it comes in") {
  const std::vector<Refused> refused = {
      {300, uint8, "300"},
      {-1, uint8, "-1"},
      {256, uint8, "256"},
      {int64_t{1} << 31, int32, "2147483648"},
      {-(int64_t{1} << 31) - 1, int32, "-2147483649"},
      {std::numeric_limits<uint64_t>::max(), int64, "1.8446744073709552e+19"},
      {uint64_t{1} << 63, int64, "9.2233720368547758e+18"},
      {1e39, float32, "9.9999999999999994e+38"},
      {-1e39, float32, "-9.9999999999999994e+38"},
      {std::numeric_limits<long double>::max(), float64, "inf"},
  };
  for (const Refused& r : refused)
    for (const std::vector<WayIn>* ways : {&makers, &operands})
      for (const WayIn& way : *ways) {
        if (asks_for_finite(way) && r.got == "inf") continue;
        CAPTURE(way.op, r.dtype);
        CHECK(message_of([&] { way.go(r.number, r.dtype); }) ==
              way.op + ": expected a number that " + std::string(to_string(r.dtype)) + " holds, got " + r.got);
      }
  // Floats into integers, and what the halves do not hold, by the ways that make tensors. (As operands floats turn
  // integers into floats, and halves compute as float32.)
  for (const Refused& r : std::vector<Refused>{
           {not_a_number, int64, "nan"},
           {inf, int64, "inf"},
           {-inf, int32, "-inf"},
           {not_a_number, uint8, "nan"},
           {1e300, int64, "1.0000000000000001e+300"},
           {0x1p63, int64, "9.2233720368547758e+18"},
           {256.0, uint8, "256"},
           {-1.0, uint8, "-1"},
           {65520, float16, "65520"},
           {-70000.0, float16, "-70000"},
           {3.4e38, bfloat16, "3.4e+38"},
       })
    for (const WayIn& way : makers) {
      if (asks_for_finite(way) && !std::isfinite(r.number.to_double())) continue;
      CAPTURE(way.op, r.dtype);
      CHECK(message_of([&] { way.go(r.number, r.dtype); }) ==
            way.op + ": expected a number that " + std::string(to_string(r.dtype)) + " holds, got " + r.got);
    }
  CHECK(message_of([] { tensor({0, 1}, int64).mul_(inf); }) == "mul_: expected a number that int64 holds, got inf");
  CHECK(message_of([] {
          tensor({0, 1}, int64).mul_(not_a_number);
        }) == "mul_: expected a whole number for int64, got nan");
  CHECK(message_of([] {
          report::image_grid(zeros({1, 1, 2, 2}, uint8), {.background = 2});
        }) == "image_grid: expected a number that uint8 holds, got 510");
}

TEST_CASE("what a dtype holds comes in as it is, integers whole") {
  for (const WayIn& way : makers) {
    CAPTURE(way.op);
    for (const int64_t x : {odd, -odd, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()})
      CHECK(last<int64_t>(way.go(x, int64)) == x);
    CHECK(last<int32_t>(way.go(std::numeric_limits<int32_t>::min(), int32)) == std::numeric_limits<int32_t>::min());
    CHECK(last<uint8_t>(way.go(255, uint8)) == 255);
    CHECK(last<uint8_t>(way.go(255.9, uint8)) == 255);
    CHECK(last<uint8_t>(way.go(-0.9, uint8)) == 0);
    CHECK(last<int64_t>(way.go(-2.7, int64)) == -2);
    CHECK(last<int64_t>(way.go(-0x1p63, int64)) == std::numeric_limits<int64_t>::min());
    CHECK(last<float>(way.go(std::numeric_limits<float>::max(), float32)) == std::numeric_limits<float>::max());
    CHECK(way.go(65519, float16).to(float64).data<double>()[1] == 65504);
    if (asks_for_finite(way)) continue;
    CHECK(last<float>(way.go(inf, float32)) == inf);
    CHECK(std::isnan(last<double>(way.go(not_a_number, float64))));
    CHECK(way.go(-inf, float16).to(float64).data<double>()[1] == -inf);
    CHECK(last<bool>(way.go(7, bool_)));
    CHECK(last<bool>(way.go(0.5, bool_)));
    CHECK_FALSE(last<bool>(way.go(0, bool_)));
  }
  CHECK(last<int64_t>(ones({2}, int64) * odd) == odd);
  CHECK(last<int64_t>(zeros({2}, int64).add_(ones({2}, int64), odd)) == odd);
  CHECK(last<int64_t>(ones({2}, int64).mul_(odd)) == odd);
  CHECK(last<int64_t>(clamp(full({1}, odd, int64), -odd, odd)) == odd);
  CHECK(last<int64_t>(clamp(full({1}, odd + 1, int64), 0, odd)) == odd);
  // Bounds beyond a dtype bound nothing.
  CHECK(last<uint8_t>(clamp(full({1}, 200, uint8), -1, 300)) == 200);
  CHECK(last<float>(clamp(full({1}, inf), -1e300, 1e300)) == inf);
  const std::initializer_list<double> named = {1.5, 2.5};
  CHECK(equal(tensor(named, float64), tensor({1.5, 2.5}, float64)));
  CHECK(tensor({}).shape() == Shape{0});
  const int64_t variable = odd;
  CHECK(last<int64_t>(tensor({variable, variable}, int64)) == odd);
}

TEST_CASE("ranges of numbers stay in their dtype") {
  CHECK(message_of([] { arange(-1, 3, uint8); }) == "arange: expected a number that uint8 holds, got -1");
  CHECK(message_of([] { arange(257, uint8); }) == "arange: expected a number that uint8 holds, got 256");
  CHECK(last<uint8_t>(arange(256, uint8)) == 255);
  CHECK(message_of([] { arange(250.0, 300.0, 10.0, uint8); }) == "arange: expected a number that uint8 holds, got 290");
  CHECK(message_of([] { arange(5, bool_); }) == "arange: expected a dtype of numbers, got bool");
  CHECK(message_of([] { arange(std::numeric_limits<uint64_t>::max()); }) ==
        "arange: expected a number that int64 holds, got 1.8446744073709552e+19");
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

TEST_CASE("item gives what its type holds, or says so") {
  CHECK(message_of([] { full({1}, 1e300, float64).item<int64_t>(); }) ==
        "item: expected a number that int64 holds, got 1.0000000000000001e+300");
  CHECK(message_of([] { full({1}, not_a_number).item<int>(); }) == "item: expected a number that int64 holds, got nan");
  CHECK(message_of([] { full({1}, 300).item<uint8_t>(); }) ==
        "item: expected a number that an unsigned integer of 8 bits holds, got 300");
  CHECK(message_of([] { full({1}, -1, int64).item<uint64_t>(); }) ==
        "item: expected a number that an unsigned integer of 64 bits holds, got -1");
  CHECK(message_of([] { full({1}, int64_t{1} << 40, int64).item<int>(); }) ==
        "item: expected a number that a signed integer of 32 bits holds, got 1099511627776");
  CHECK(full({1}, -2.7).item<int>() == -2);
  CHECK(full({1}, 0.5).item<bool>());
  CHECK(full({1}, not_a_number).item<bool>());
  CHECK(full({1}, odd, int64).item<int64_t>() == odd);
  CHECK(full({1}, 200, uint8).item<uint8_t>() == 200);
  CHECK(full({1}, 1e300, float64).item<float>() == std::numeric_limits<float>::infinity());
}

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
  const std::string held = ": expected a number that float32 holds, got 1.0000000000000001e+300";
  CHECK(message_of([] { nn::init::normal_(empty({2}), 1e300, 1); }) == "normal_" + held);
  CHECK(message_of([] { nn::init::normal_(empty({2}), 0, 1e300); }) == "normal_" + held);
  CHECK(message_of([] { nn::init::xavier_normal_(empty({1, 1}), 1e300); }) == "normal_" + held);
  CHECK(message_of([] { nn::init::orthogonal_(empty({2, 2}), 1e300); }) == "orthogonal_" + held);
  CHECK(message_of([] { nn::init::normal_(empty({2}, float16), 0, 1e6); }) ==
        "normal_: expected a number that float16 holds, got 1000000");
}

TEST_CASE("a dtype that does not exist makes no tensor") {
  const auto none = static_cast<DType>(77);
  const std::string expected = "tensor: expected one of the eight dtypes, got unknown dtype";
  const std::vector<void (*)(DType)> ways = {
      [](DType d) { empty({2}, d); },
      [](DType d) { zeros({2}, d); },
      [](DType d) { full({2}, 1, d); },
      [](DType d) { zeros({3}).to(d); },
      [](DType d) { arange(3, d); },
      [](DType d) { tensor({1}, d); },
      [](DType d) { empty_like(ones({2}), d); },
      [](DType d) { eye(2, d); },
      [](DType d) {
        float memory[2];
        from_blob(memory, {2}, d);
      },
  };
  for (const auto way : ways) CHECK(message_of([&] { way(none); }) == expected);
  CHECK(message_of([&] { rand({2}, none); }) == "rand: expected a floating-point dtype, got unknown dtype");
  CHECK(message_of([&] { randint(0, 2, {2}, none); }) ==
        "randint: expected bounds that unknown dtype can hold, got low = 0, high = 2");
  CHECK(message_of([] {
          empty({2, 2, 2}, float32, static_cast<MemoryFormat>(7));
        }) == "empty: expected MemoryFormat::contiguous or channels_last, got MemoryFormat(7)");
  CHECK(message_of([] {
          pad(ones({2}), {1, 1}, static_cast<PadMode>(9));
        }) == "pad: expected PadMode::constant, reflect or replicate, got PadMode(9)");
}

TEST_CASE("no tensor has more than 64 axes, whatever makes it") {
  Shape most(64, 1), more(65, 1);
  const std::string expected = "shape: expected at most 64 axes, got 65";
  const Tensor x = zeros(most);
  CHECK(message_of([&] { zeros(more); }) == expected);
  CHECK(message_of([&] { unsqueeze(x, 0); }) == expected);
  CHECK(message_of([&] { reshape(x, more); }) == expected);
  CHECK(message_of([&] { expand(x, more); }) == expected);
  CHECK(message_of([&] { stack({x, x}); }) == expected);
  float memory[1];
  CHECK(message_of([&] { from_blob(memory, more, float32); }) == expected);
  CHECK(message_of([&] { from_vector(std::vector<float>{1}, more); }) == expected);
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
