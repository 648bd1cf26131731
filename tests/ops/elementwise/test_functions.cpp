// Values of the elementwise functions against long double, over their whole range and for each instruction set.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

using namespace limpid;

namespace {

using Real = long double;

Real sigmoid_of(Real x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
Real gelu_of(Real x) { return x == -INFINITY ? 0 : 0.5L * x * std::erfc(-x * std::sqrt(0.5L)); }
Real silu_of(Real x) { return x == -INFINITY ? 0 : x * sigmoid_of(x); }

struct Case {
  const char* name;
  Tensor (*op)(const Tensor&);
  Real (*exact)(Real);
  double ulps;  ///< bound on the error, in units in the last place of the result
};

const Case cases[] = {
    {"exp", exp, [](Real x) { return std::exp(x); }, 2},
    {"log", log, [](Real x) { return std::log(x); }, 2},
    {"sqrt", sqrt, [](Real x) { return std::sqrt(x); }, 0.5},
    {"rsqrt", rsqrt, [](Real x) { return 1 / std::sqrt(x); }, 1.5},
    {"reciprocal", reciprocal, [](Real x) { return 1 / x; }, 0.5},
    {"abs", abs, [](Real x) { return std::abs(x); }, 0},
    {"square", square, [](Real x) { return x * x; }, 0.5},
    {"sin", sin, [](Real x) { return std::sin(x); }, 2},
    {"cos", cos, [](Real x) { return std::cos(x); }, 2},
    {"tanh", tanh, [](Real x) { return std::tanh(x); }, 2},
    {"sigmoid", sigmoid, sigmoid_of, 4},
    {"erf", erf, [](Real x) { return std::erf(x); }, 3},
    {"gelu", gelu, gelu_of, 6},
    {"silu", silu, silu_of, 4},
    {"relu", relu, [](Real x) { return x < 0 ? 0 : x; }, 0},
    {"elu", [](const Tensor& x) { return elu(x); }, [](Real x) { return x > 0 ? x : std::expm1(x); }, 3},
    {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.25); }, [](Real x) { return x > 0 ? x : x / 4; }, 0.5},
    {"softplus", [](const Tensor& x) { return softplus(x); },
     [](Real x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); }, 3},
};

template <class T>
double error_in_ulps(T got, Real exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : INFINITY;
  const T rounded = static_cast<T>(exact);
  if (std::isinf(rounded) || std::isinf(got)) {
    // An overflow may come a few units early.
    return got == rounded || std::abs(exact) > Real{std::numeric_limits<T>::max()} * (1 - 1e-6L) ? 0 : INFINITY;
  }
  const int exponent = std::max(rounded == 0 ? -99999 : std::ilogb(rounded), std::numeric_limits<T>::min_exponent - 1);
  return static_cast<double>(std::abs(Real{got} - exact) /
                             std::ldexp(Real{1}, exponent + 1 - std::numeric_limits<T>::digits));
}

template <class T>
std::vector<T> arguments() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> x{0,
                   T(-0.0),
                   1,
                   -1,
                   Limits::infinity(),
                   -Limits::infinity(),
                   Limits::quiet_NaN(),
                   Limits::max(),
                   Limits::lowest(),
                   Limits::min(),
                   -Limits::min(),
                   Limits::denorm_min(),
                   -Limits::denorm_min(),
                   Limits::epsilon()};
  for (double edge :
       {86.9, 87.5, 88.7, 88.8, -87.5, -88.5, -100.0, -103.9, -104.5, 708.5, 709.7, -708.5, -740.0, -745.1})
    x.push_back(static_cast<T>(edge));
  std::mt19937_64 random(7);
  for (double width : {1e-3, 1.0, 6.0, 20.0, 100.0, 1000.0}) {
    std::uniform_real_distribution<double> uniform(-width, width);
    for (int i = 0; i < 500; ++i) x.push_back(static_cast<T>(uniform(random)));
  }
  for (int i = 0; i < 2000; ++i) {
    const T value = std::ldexp(static_cast<T>(1 + static_cast<double>(random() % 1000003) / 1000003),
                               static_cast<int>(random() % (2 * Limits::max_exponent)) - Limits::max_exponent);
    x.push_back(i % 2 ? value : -value);
  }
  return x;
}

template <class T>
void check(const Case& c) {
  const std::vector<T> values = arguments<T>();
  const Tensor x = from_vector(values, {static_cast<int64_t>(values.size())});
  const Tensor y = c.op(x);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T got = y.data<T>()[i];
    const Real exact = c.exact(Real{values[i]});
    if (error_in_ulps(got, exact) > c.ulps) {
      CAPTURE(c.name, sizeof(T), values[i], got, static_cast<double>(exact), error_in_ulps(got, exact));
      FAIL_CHECK("inaccurate");
      return;
    }
  }
}

}  // namespace

TEST_CASE("functions are accurate over their whole range", "[elementwise]") {
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    CAPTURE(to_string(level));
    for (const Case& c : cases) {
      check<float>(c);
      check<double>(c);
    }
  }
}

TEST_CASE("odd functions keep the sign of zero, and gelu and silu do", "[elementwise]") {
  for (const auto op : {sin, tanh, erf, gelu, silu})
    for (const DType dtype : {float32, float64, float16, bfloat16})
      for (const double zero : {0.0, -0.0}) {
        const Tensor y = op(full({11}, zero, dtype)).to(float64);
        for (int i = 0; i < 11; ++i) {
          CHECK(y.data<double>()[i] == 0);
          CHECK(std::signbit(y.data<double>()[i]) == std::signbit(zero));
        }
      }
}

TEST_CASE("functions give the same bits at any length and offset", "[elementwise]") {
  const Tensor x = from_vector(arguments<float>(), {static_cast<int64_t>(arguments<float>().size())});
  for (const Case& c : cases) {
    const Tensor whole = c.op(x);
    for (int64_t begin : {0, 1, 3})
      for (int64_t count : {1, 2, 5, 16, 33}) {
        CAPTURE(c.name, begin, count);
        CHECK(allclose(c.op(slice(x, 0, begin, begin + count)), slice(whole, 0, begin, begin + count), 0, 0, true));
        const Tensor strided = slice(x, 0, begin, begin + 2 * count, 2);
        CHECK(allclose(c.op(strided), slice(whole, 0, begin, begin + 2 * count, 2), 0, 0, true));
      }
  }
}

TEST_CASE("AVX2 and AVX-512 agree bit for bit", "[elementwise]") {
  if (test::lacks_avx512()) return;
  const Tensor x = from_vector(arguments<float>(), {static_cast<int64_t>(arguments<float>().size())});
  for (const Case& c : cases)
    for (DType dtype : {float32, float64}) {
      CAPTURE(c.name, dtype);
      const auto at = [&](Isa level) {
        const test::WithIsa with(level);
        return c.op(x.to(dtype));
      };
      CHECK(allclose(at(Isa::avx512), at(Isa::avx2), 0, 0, true));
    }
}

TEST_CASE("half precision is float32 arithmetic, rounded once", "[elementwise]") {
  const Tensor x = linspace(-4, 4, 101);
  for (DType dtype : {float16, bfloat16}) {
    const Tensor h = x.to(dtype);
    CHECK(equal(tanh(h), tanh(h.to(float32)).to(dtype)));
    CHECK(equal(h * h, square(h.to(float32)).to(dtype)));
    CHECK((h + 1).dtype() == dtype);
  }
}

TEST_CASE("integers keep their dtype where the function does", "[elementwise]") {
  const Tensor i = arange(5, int64) - 2;
  for (auto op : {neg, abs, sign, square, relu}) CHECK(op(i).dtype() == int64);
  CHECK(clamp(i, -1, 1).dtype() == int64);
  CHECK(equal(clamp(i, -INFINITY, 0.5), from_vector<int64_t>({-2, -1, 0, 0, 0}, {5})));
  CHECK(equal(abs(i), from_vector<int64_t>({2, 1, 0, 1, 2}, {5})));
  for (auto op : {exp, sqrt, tanh, sigmoid, gelu}) CHECK(op(i).dtype() == float32);
  CHECK_THROWS_WITH(neg(ones({2}, bool_)), "neg: expected numbers, got bool; convert with to()");
}
