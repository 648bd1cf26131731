// One rule for numbers that a caller writes, by every way in; and what becomes of dtypes and ranks that do not exist.
#include <limpid/core/detail/message.hpp>
#include <limpid/limpid.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/memory.hpp>
#include <limpid/tests/message_of.hpp>
#include <limpid/tests/settings.hpp>

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

// What gives the number back, or chooses it, as a result of the tensor's dtype.
const std::vector<WayIn> choosers = {
    {"where", [](Scalar x, DType d) { return where(zeros({2}, bool_), zeros({2}, d), x); }},
    {"where", [](Scalar x, DType d) { return where(ones({2}, bool_), x, zeros({2}, d)); }},
    {"clamp", [](Scalar x, DType d) { return clamp(zeros({2}, d), x, x); }},
    {"clamp", [](Scalar x, DType d) { return clamp(full({2}, inf, d), -inf, x); }},
    {"clamp", [](Scalar x, DType d) { return clamp(full({2}, -inf, d), x, inf); }},
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
      {std::numeric_limits<uint64_t>::max(), int64, "18446744073709551615"},
      {uint64_t{1} << 63, int64, "9223372036854775808"},
      {1e39, float32, "1e+39"},
      {-1e39, float32, "-1e+39"},
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
           {1e300, int64, "1e+300"},
           {0x1p63, int64, "9.223372036854776e+18"},
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
  for (const bool first : {false, true})
    CHECK(message_of([=] {
            const Tensor x = zeros({1}, float16), c = zeros({1}, bool_);
            first ? where(c, 65520, x) : where(c, x, 65520);
          }) == "where: expected a number that float16 holds, got 65520");
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
  CHECK(last<int64_t>(where(zeros({1}, bool_), zeros({1}, int64), odd)) == odd);
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

TEST_CASE("item gives what its type holds, or says so") {
  CHECK(message_of([] { full({1}, 1e300, float64).item<int64_t>(); }) ==
        "item: expected a number that int64 holds, got 1e+300");
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
  const std::string held = ": expected a number that float32 holds, got 1e+300";
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

TEST_CASE("a member that an enumeration does not have is refused, wherever it is given") {
  const auto format = static_cast<MemoryFormat>(7);
  const std::string formats = ": expected MemoryFormat::contiguous or channels_last, got MemoryFormat(7)";
  const Tensor x = ones({2, 2, 2, 2}), last = x.contiguous(MemoryFormat::channels_last);
  for (const Tensor& y : {x, last}) {
    CHECK(message_of([&] { y.contiguous(format); }) == "contiguous" + formats);
    CHECK(message_of([&] { empty_like(y, float32, format); }) == "empty" + formats);
    CHECK_FALSE(y.is_contiguous(format));
  }
  CHECK(message_of([&] { rand({2, 2, 2}, float32, format); }) == "empty" + formats);
  nn::Linear linear(2, 2);
  CHECK(message_of([&] { linear.to(format); }) == "to" + formats);
  for (const int value : {-1, 3, 9}) {
    const std::string number = std::to_string(value);
    const std::string reductions = ": expected Reduction::mean, sum or none, got Reduction(" + number + ")";
    const auto reduction = static_cast<Reduction>(value);
    const Tensor target = zeros({2}, int64);
    CHECK(message_of([&] { mse_loss(x, x, reduction); }) == "mse_loss" + reductions);
    CHECK(message_of([&] { l1_loss(x, x, reduction); }) == "l1_loss" + reductions);
    CHECK(message_of([&] { huber_loss(x, x, 1, reduction); }) == "huber_loss" + reductions);
    CHECK(message_of([&] { bce_with_logits(x, x, reduction); }) == "bce_with_logits" + reductions);
    CHECK(message_of([&] { nll_loss(ones({2, 2}), target, reduction); }) == "nll_loss" + reductions);
    CHECK(message_of([&] { cross_entropy(ones({2, 2}), target, reduction); }) == "cross_entropy" + reductions);
    const std::string fans = ": expected Fan::in or out, got Fan(" + number + ")";
    const nn::init::KaimingOptions kaiming{.fan = static_cast<nn::init::Fan>(value)};
    CHECK(message_of([&] { nn::init::kaiming_normal_(ones({2, 2}), kaiming); }) == "kaiming_normal_" + fans);
    CHECK(message_of([&] { nn::init::kaiming_uniform_(ones({2, 2}), kaiming); }) == "kaiming_uniform_" + fans);
  }
  const auto rule = static_cast<RunningRule>(9);
  const std::string rules =
      "update_running_stats: expected RunningRule::per_instance, pooled or pooled_unbiased, got RunningRule(9)";
  CHECK(message_of([&] { update_running_stats(x, ones({2}), ones({2}), 0.5, rule); }) == rules);
  CHECK(message_of([&] { update_running_stats(x, ones({2}), ones({2}), zeros({}, int64), rule); }) == rules);
}

namespace {

// The numbers of a 16-bit dtype from 0 to its largest, and what would follow.
template <class H>
std::vector<double> steps(uint16_t infinity, double after) {
  std::vector<double> values;
  for (uint16_t bits = 0; bits < infinity; ++bits) values.push_back(double{to_float(H{bits})});
  values.push_back(after);
  return values;
}

template <class H>
void check_midpoints(DType dtype, uint16_t infinity, double after) {
  const std::vector<double> at = steps<H>(infinity, after);
  std::vector<double> given;
  std::vector<uint16_t> expected;
  for (uint16_t bits = 0; bits < infinity; ++bits) {
    const double middle = (at[bits] + at[bits + 1u]) / 2;
    const auto up = static_cast<uint16_t>(bits + 1);
    for (const double sign : {1.0, -1.0}) {
      const auto put = [&](double x, uint16_t y) {
        given.push_back(sign * x);
        expected.push_back(static_cast<uint16_t>(y | (sign < 0 ? 0x8000 : 0)));
      };
      put(std::nextafter(middle, 0), bits);
      put(middle, bits % 2 ? up : bits);
      put(std::nextafter(middle, inf), up);
    }
  }
  const auto n = static_cast<int64_t>(given.size());
  const Tensor x = from_vector(given, {n});
  const auto wrong = [&](const Tensor& y) {
    const Tensor flat = y.contiguous();
    const H* p = flat.data<H>();
    return std::mismatch(expected.begin(), expected.end(), p, [](uint16_t a, H b) { return a == b.bits; }).first -
           expected.begin();
  };
  CHECK(wrong(x.to(dtype)) == n);
  // Not in a row of memory.
  const Tensor pairs = stack({x, x}, 1);
  CHECK(wrong(select(pairs, 1, 1).to(dtype)) == n);
  int64_t faults = 0;
  for (int64_t i = 0; i < n; i += 29) {
    const auto k = static_cast<std::size_t>(i);
    const bool held = (expected[k] & 0x7fff) != infinity;
    if (!held) continue;
    for (const std::vector<WayIn>* ways : {&makers, &choosers})
      for (const WayIn& way : *ways) faults += last<H>(way.go(given[k], dtype)).bits != expected[k];
  }
  CHECK(faults == 0);
}

// x with so many significant bits, to nearest, ties to even; by whole numbers.
double rounded(uint64_t x, int bits) {
  int excess = 0;
  while (x >> excess >> bits) ++excess;
  if (excess == 0) return static_cast<double>(x);
  const uint64_t half = uint64_t{1} << (excess - 1), rest = x & (2 * half - 1);
  const uint64_t kept = x >> excess;
  return std::ldexp(static_cast<double>(kept + (rest > half || (rest == half && kept % 2))), excess);
}

}  // namespace

TEST_CASE("doubles are rounded once to half precision, beside every midpoint") {
  check_midpoints<Half>(float16, 0x7c00, 65536);
  check_midpoints<BFloat16>(bfloat16, 0x7f80, std::ldexp(1.0, 128));
  CHECK(all(isnan(full({2}, not_a_number, float64).to(float16))).item<bool>());
  CHECK(equal(tensor({inf, -inf, 1e300, 1e-300}, float64).to(bfloat16), tensor({inf, -inf, inf, 0}, bfloat16)));
}

TEST_CASE("integers are rounded once to floating point, beside midpoints of every size") {
  struct Row {
    DType dtype;
    int bits;
  };
  std::vector<int64_t> numbers;
  for (const int bits : {8, 11, 24, 53})
    for (int exponent = bits; exponent < 63; ++exponent)
      for (const int64_t lead : {int64_t{1} << (bits - 1), (int64_t{1} << (bits - 1)) + 1, (int64_t{1} << bits) - 1}) {
        const int shift = exponent - bits + 1;
        const int64_t middle = (lead << shift) + (int64_t{1} << (shift - 1));
        for (const int64_t beside : {-1, 0, 1}) numbers.push_back(middle + beside);
        for (const int64_t x : {-1, 0, 1}) numbers.push_back(-(middle + x));
      }
  const Tensor x = from_vector(numbers, {static_cast<int64_t>(numbers.size())});
  for (const auto& [dtype, bits] : {Row{float16, 11}, Row{bfloat16, 8}, Row{float32, 24}, Row{float64, 53}}) {
    const Tensor y = x.to(dtype).to(float64);
    int faults = 0, faults_of_numbers = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const int64_t n = numbers[i];
      double expected = std::copysign(rounded(static_cast<uint64_t>(std::abs(n)), bits), static_cast<double>(n));
      const bool held = dtype != float16 || std::abs(expected) <= 65504;
      if (!held) expected = std::copysign(inf, expected);
      faults += y.data<double>()[i] != expected;
      if (held) {
        faults_of_numbers += full({1}, n, dtype).to(float64).item<double>() != expected;
        faults_of_numbers += tensor({Scalar(n)}, dtype).to(float64).item<double>() != expected;
        if (n > 0) {
          // Above int64 as well.
          const uint64_t twice = 2 * static_cast<uint64_t>(n) + 1;
          if (dtype != float16)
            faults_of_numbers += full({1}, twice, dtype).to(float64).item<double>() != rounded(twice, bits);
        }
      }
      if (std::abs(n) < (int64_t{1} << 31))
        faults += full({1}, n, int32).to(dtype).to(float64).item<double>() != expected;
    }
    CAPTURE(dtype);
    CHECK(faults == 0);
    CHECK(faults_of_numbers == 0);
  }
}

namespace {

std::string bytes_of(const Tensor& x) {
  std::string text;
  const auto* p = static_cast<const uint8_t*>(x.raw_data());
  for (std::size_t i = 0; i < static_cast<std::size_t>(x.numel()) * x.itemsize(); ++i)
    text += detail::message(' ', int{p[i]});
  return text;
}

// What a way in makes of x: a dtype and bytes, or a message.
std::string outcome(const WayIn& way, Scalar x, DType dtype) {
  std::string result;
  const std::string message = message_of([&] {
    const Tensor y = way.go(x, dtype);
    result = std::string(to_string(y.dtype())) + bytes_of(y);
  });
  return message + result;
}

const std::vector<WayIn> comparisons = {
    {"eq", [](Scalar x, DType d) { return eq(zeros({1}, d), x); }},
    {"lt", [](Scalar x, DType d) { return lt(zeros({1}, d), x); }},
    {"ge", [](Scalar x, DType d) { return ge(zeros({1}, d), x); }},
    {"clamp", [](Scalar x, DType d) { return clamp(zeros({1}, d), x, inf); }},
    {"div", [](Scalar x, DType d) { return ones({1}, d) / x; }},
    {"pow", [](Scalar x, DType d) { return pow(full({1}, 2, d), x); }},
    {"arange", [](Scalar x, DType d) { return arange(x, x.to_double() + 1, d); }},
};

}  // namespace

TEST_CASE("a long double counts as the double nearest to it, everywhere") {
  const long double little = std::numeric_limits<long double>::epsilon();
  if (little == std::numeric_limits<double>::epsilon()) return test::left_out("long double is double here");
  std::vector<long double> numbers = {1 - little / 2,
                                      1 + little,
                                      2 - little,
                                      0.1L,
                                      0x1p53L + 1,
                                      0x1p53L + 3,
                                      0x1p63L - 1,
                                      0x1p63L - 0.5L,
                                      0x1p63L + 1,
                                      256 - little * 128,
                                      1 + 0x1p-8L + little,
                                      1 + 0x1p-11L + little,
                                      1 + 0x1p-24L + little,
                                      1 + 0x1p-53L + little,
                                      std::numeric_limits<long double>::denorm_min(),
                                      std::numeric_limits<long double>::infinity(),
                                      std::numeric_limits<long double>::quiet_NaN()};
  for (std::size_t i = 0, n = numbers.size(); i < n; ++i) numbers.push_back(-numbers[i]);
  for (const long double x : numbers) {
    const auto nearest = static_cast<double>(x);
    const Scalar scalar = x;
    CAPTURE(static_cast<double>(x), static_cast<double>(x - static_cast<long double>(nearest)));
    CHECK((scalar.to_double() == nearest || nearest != nearest));
    CHECK(scalar.to_int64() == Scalar(nearest).to_int64());
    CHECK(bytes_of(from_vector(std::vector<long double>{x}, {1})) == bytes_of(full({1}, nearest, float64)));
    for (const std::vector<WayIn>* ways : {&makers, &operands, &choosers, &comparisons})
      for (const WayIn& way : *ways)
        for (const DType dtype : {bool_, uint8, int32, int64, float16, bfloat16, float32, float64}) {
          CAPTURE(way.op, dtype);
          CHECK(outcome(way, x, dtype) == outcome(way, nearest, dtype));
        }
  }
}

TEST_CASE("a finite long double beyond all doubles is refused, wherever it is given") {
  const long double most = std::numeric_limits<double>::max(), huge = std::numeric_limits<long double>::max();
  if (std::isinf(static_cast<double>(huge))) {
    for (const long double x : {huge, -huge, 2 * most}) {
      const std::string beginning = "number: expected one that float64 holds, got ";
      CHECK(message_of([&] { from_vector(std::vector<long double>{x}, {1}); }).substr(0, beginning.size()) ==
            beginning);
      CHECK(message_of([&] { tensor({x}, float64); }).substr(0, beginning.size()) == beginning);
      CHECK(message_of([&] { full({}, x, float64); }).substr(0, beginning.size()) == beginning);
      CHECK(message_of([&] { lt(ones({1}), x); }).substr(0, beginning.size()) == beginning);
    }
    CHECK(message_of([&] { full({}, 2 * most, float64); }).find(" got 3.595386269724631") != std::string::npos);
  }
  CHECK(last<double>(from_vector(std::vector<long double>{most}, {1})) == std::numeric_limits<double>::max());
}

TEST_CASE("integers are compared as they are, however large") {
  const Tensor even = full({2}, odd - 1, int64), uneven = full({2}, odd, int64);
  CHECK_FALSE(equal(even, uneven));
  CHECK_FALSE(allclose(even, uneven, 0, 0));
  CHECK_FALSE(allclose(even, uneven, 0, 0.5));
  CHECK(allclose(even, uneven, 0, 1));
  CHECK(allclose(uneven, uneven, 0, 0));
  const Tensor least = full({1}, INT64_MIN, int64), most = full({1}, INT64_MAX, int64);
  CHECK_FALSE(allclose(least, most, 0, 1.8e19));
  CHECK(allclose(least, most, 0, 0x1p64));
  CHECK(allclose(least, most, 3, 0));
  CHECK_FALSE(allclose(tensor({1}, uint8), tensor({3}, int64), 0, 1));
  CHECK(allclose(tensor({true}, bool_), tensor({1}, int32), 0, 0));
  for (const double bound : {not_a_number, -1.0}) CHECK_FALSE(allclose(even, uneven, 0, bound));
}

TEST_CASE("every number can be compared with every tensor") {
  struct Row {
    Tensor x;
    Scalar number;
    int order;  // of x and the number
  };
  const float largest = std::numeric_limits<float>::max();
  std::vector<Row> rows = {{full({1}, inf), 1e39, 1},
                           {full({1}, largest), 1e39, -1},
                           {full({1}, -largest), -1e39, 1},
                           {full({1}, -inf), -1e39, -1},
                           {full({1}, inf, float16), 1e5, 1},
                           {full({1}, 65504, bfloat16), 1e39, -1},
                           {full({1}, 0.1), 0.1, 0},  // as float32 has it
                           {full({1}, 0.1, float16), 0.1, 0},
                           {full({1}, 0.1, bfloat16), 0.1, 0},
                           {clamp(ones({1}), 0, 0.1), 0.1, 0},
                           {full({1}, odd, int64), 0x1p53, 1},
                           {full({1}, odd - 1, int64), 0x1p53, 0},
                           {full({1}, INT64_MAX, int64), 0x1p63, -1},
                           {full({1}, INT64_MIN, int64), -0x1p63, 0},
                           {full({1}, INT64_MAX, int64), uint64_t{1} << 63, -1},
                           {full({1}, INT64_MAX, int64), UINT64_MAX, -1},
                           {full({1}, 255, uint8), UINT64_MAX, -1},
                           {full({1}, 255, uint8), 1e300, -1},
                           {full({1}, 255, uint8), -inf, 1},
                           {full({1}, 2, int32), 2.5, -1},
                           {full({1}, -3, int32), -2.5, -1},
                           {full({1}, 1, bool_), 0.5, 1}};
  // What a dtype would make 0 or infinite is neither.
  const auto beside_0 = [&](DType dtype, double least, Scalar number, Scalar opposite) {
    rows.push_back({zeros({1}, dtype), number, -1});
    rows.push_back({full({1}, -0.0, dtype), number, -1});
    rows.push_back({full({1}, least, dtype), number, 1});
    rows.push_back({zeros({1}, dtype), opposite, 1});
    rows.push_back({full({1}, -least, dtype), opposite, -1});
    rows.push_back({full({1}, inf, dtype), number, 1});
    rows.push_back({full({1}, -inf, dtype), opposite, -1});
  };
  beside_0(float16, 0x1p-24, 1e-10, -1e-10);
  beside_0(bfloat16, 0x1p-133, 1e-50, -1e-50);
  beside_0(float32, 0x1p-149, 1e-50, -1e-50);
  beside_0(float32, 0x1p-149, 0x1p-150, -0x1p-150);
  for (const Row& row : rows) {
    CAPTURE(row.x, row.number.to_double());
    CHECK(eq(row.x, row.number).item<bool>() == (row.order == 0));
    CHECK(ne(row.x, row.number).item<bool>() == (row.order != 0));
    CHECK(lt(row.x, row.number).item<bool>() == (row.order < 0));
    CHECK(le(row.x, row.number).item<bool>() == (row.order <= 0));
    CHECK(gt(row.x, row.number).item<bool>() == (row.order > 0));
    CHECK(ge(row.x, row.number).item<bool>() == (row.order >= 0));
  }
  for (const Tensor& x : {ones({1}), ones({1}, int64)}) {
    CHECK_FALSE(eq(x, not_a_number).item<bool>());
    CHECK(ne(x, not_a_number).item<bool>());
    CHECK_FALSE(lt(x, not_a_number).item<bool>());
  }
}

TEST_CASE("integers beside floats are compared as doubles, as NumPy does") {
  const Tensor floats = full({1}, 16777216);
  for (const DType dtype : {int32, int64}) {
    const Tensor more = full({1}, 16777217, dtype);
    CHECK_FALSE(eq(more, floats).item<bool>());
    CHECK(lt(floats, more).item<bool>());
    CHECK(ne(more, floats.to(bfloat16)).item<bool>());
    CHECK(gt(more, floats.to(float64)).item<bool>());
  }
  CHECK(eq(full({1}, odd, int64), full({1}, 0x1p53, float64)).item<bool>());
  CHECK(eq(ones({1}, uint8), ones({1}, float16)).item<bool>());
}

TEST_CASE("clamp takes bounds above int64") {
  const Tensor x = tensor({-1, 5, INT64_MAX}, int64);
  CHECK(equal(clamp(x, 0, UINT64_MAX), tensor({0, 5, INT64_MAX}, int64)));
  CHECK(equal(clamp(x, UINT64_MAX - 1, UINT64_MAX), full({3}, INT64_MAX, int64)));
  CHECK(equal(clamp(tensor({-1, 5}, int32), 0, UINT64_MAX), tensor({0, 5}, int32)));
  CHECK(message_of([&] { clamp(x, UINT64_MAX, 0); }) == "clamp: expected low <= high, got 18446744073709551615 and 0");
}

TEST_CASE("clamp tells which bound is lower, whatever both are kept as") {
  const Tensor x = tensor({-1, 5, INT64_MAX}, int64);
  const auto refused = [](const std::string& low, const std::string& high) {
    return "clamp: expected low <= high, got " + low + " and " + high;
  };
  for (const Tensor& y : {x, x.to(float32)}) {
    CHECK(message_of([&] { clamp(y, odd, 0x1p53); }) == refused("9007199254740993", "9007199254740992"));
    CHECK(message_of([&] { clamp(y, 0x1p63, INT64_MAX); }) == refused("9.223372036854776e+18", "9223372036854775807"));
    CHECK(message_of([&] { clamp(y, UINT64_MAX, UINT64_MAX - 1); }) ==
          refused("18446744073709551615", "18446744073709551614"));
    CHECK(message_of([&] { clamp(y, 0x1p64, UINT64_MAX); }) ==
          refused("1.8446744073709552e+19", "18446744073709551615"));
    CHECK(message_of([&] { clamp(y, 0, not_a_number); }) == refused("0", "nan"));
    CHECK(message_of([&] { clamp(y, inf, INT64_MAX); }) == refused("inf", "9223372036854775807"));
    for (const auto& [low, high] : std::vector<std::pair<Scalar, Scalar>>{{0x1p53, odd},
                                                                          {odd, odd},
                                                                          {INT64_MAX, 0x1p63},
                                                                          {UINT64_MAX, 0x1p64},
                                                                          {-0x1p63, INT64_MIN},
                                                                          {INT64_MIN, -0x1p63},
                                                                          {0x1p70, 0x1p70},
                                                                          {-inf, inf}})
      CHECK(clamp(y, low, high).dtype() == y.dtype());
  }
  CHECK(last<int64_t>(clamp(full({1}, 5, int64), 0x1p53, odd)) == odd - 1);
  CHECK(message_of([&] { clamp(x, 2.5, 2.25); }) == refused("2.5", "2.25"));
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

TEST_CASE("the text of a number in a message is the shortest that reads back as it") {
  const std::vector<std::pair<double, std::string>> table = {{0.1, "0.1"},
                                                             {-0.0, "-0"},
                                                             {1e-5, "1e-05"},
                                                             {3e-4, "0.0003"},
                                                             {1e15, "1000000000000000"},
                                                             {1e17, "1e+17"},
                                                             {123456789, "123456789"},
                                                             {0.1 + 0.2, "0.30000000000000004"},
                                                             {1.0 / 3, "0.3333333333333333"},
                                                             {5e-324, "5e-324"},
                                                             {-inf, "-inf"},
                                                             {-not_a_number, "nan"}};
  for (const auto& [number, text] : table) {
    CHECK(detail::message(number) == text);
    double back = 0;
    std::from_chars(text.c_str(), text.c_str() + text.size(), back);
    if (number == number) CHECK(back == number);
  }
  CHECK(detail::message(0.1f, ' ', std::numeric_limits<float>::max()) == "0.1 3.4028235e+38");
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
