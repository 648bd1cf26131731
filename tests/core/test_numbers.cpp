// One rule for numbers that a caller writes, by every way in: held whole, rounded once, or refused.
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

namespace test_numbers {

using namespace limpid;

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
    {"pad",
     [](Scalar x, DType d) {
       return pad(zeros({1}, d), {0, 1}, PadMode::constant, x);
     }},
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
  // Beside elements that are there already, whole numbers take no fraction.
  CHECK(message_of([] {
          pad(zeros({1}, int64), {0, 1}, PadMode::constant, 0.5);
        }) == "pad: expected a whole number for int64, got 0.5");
  CHECK(last<int64_t>(pad(zeros({1}, int64), {0, 1}, PadMode::constant, odd)) == odd);
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

}  // namespace test_numbers
