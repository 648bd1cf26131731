// Values of the elementwise functions against long double, over their whole range and for each instruction set.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

namespace test_functions {

using namespace limpid;

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
    {"sin", sin, [](Real x) { return std::sin(x); }, 4},
    {"cos", cos, [](Real x) { return std::cos(x); }, 4},
    {"tan", tan, [](Real x) { return std::tan(x); }, 4},
    {"asin", asin, [](Real x) { return std::asin(x); }, 4},
    {"acos", acos, [](Real x) { return std::acos(x); }, 4},
    {"atan", atan, [](Real x) { return std::atan(x); }, 4},
    {"sinh", sinh, [](Real x) { return std::sinh(x); }, 4},
    {"cosh", cosh, [](Real x) { return std::cosh(x); }, 4},
    {"asinh", asinh, [](Real x) { return std::asinh(x); }, 4},
    {"acosh", acosh, [](Real x) { return std::acosh(x); }, 4},
    {"atanh", atanh, [](Real x) { return std::atanh(x); }, 4},
    {"exp2", exp2, [](Real x) { return std::exp2(x); }, 4},
    {"expm1", expm1, [](Real x) { return std::expm1(x); }, 4},
    {"log2", log2, [](Real x) { return std::log2(x); }, 4},
    {"log10", log10, [](Real x) { return std::log10(x); }, 4},
    {"log1p", log1p, [](Real x) { return std::log1p(x); }, 4},
    {"erfc", erfc, [](Real x) { return std::erfc(x); }, 4},
    {"atan2", [](const Tensor& x) { return atan2(x, full({}, 3, x.dtype())); },
     [](Real x) { return std::atan2(x, 3.0L); }, 4},
    {"hypot", [](const Tensor& x) { return hypot(x, full({}, 3, x.dtype())); },
     [](Real x) { return std::hypot(x, 3.0L); }, 4},
    {"floor", floor, [](Real x) { return std::floor(x); }, 0},
    {"ceil", ceil, [](Real x) { return std::ceil(x); }, 0},
    {"trunc", trunc, [](Real x) { return std::trunc(x); }, 0},
    {"round", round, [](Real x) { return std::nearbyint(x); }, 0},
    {"tanh", tanh, [](Real x) { return std::tanh(x); }, 2},
    {"sigmoid", sigmoid, sigmoid_of, 4},
    {"erf", erf, [](Real x) { return std::erf(x); }, 3},
    {"gelu", gelu, gelu_of, 6},  // of float64
    {"silu", silu, silu_of, 4},
    {"logsigmoid", logsigmoid, [](Real x) { return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x)); },
     3},
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

TEST_CASE("functions signal what their results bear out, and trap nothing else", "[elementwise]") {
  const double far[] = {1e10, -1e10, 1e30, -1e30, 1e38, -1e38, 1.0};
  Tensor (*const ops[])(const Tensor&) = {sin, cos, tan, atan, sinh, cosh, asinh, acosh, expm1, log1p, erfc, exp2};
  for (const auto op : ops)
    for (const DType dtype : {float32, float64})
      for (const double value : far) {
        const Tensor x = full({11}, value, dtype);
        std::feclearexcept(FE_ALL_EXCEPT);
        const Tensor y = op(x);
        const int raised = std::fetestexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO);
        CAPTURE(value, dtype, y);
        const bool is_number = all(eq(y, y)).item<bool>(), is_finite = all(isfinite(y)).item<bool>();
        CHECK((raised == 0 || !is_number || (!is_finite && !(raised & FE_INVALID))));
#if defined(__GLIBC__)
        if (!is_number) continue;
        feenableexcept(FE_INVALID);
        op(x);  // ends the program where it signals
        fedisableexcept(FE_INVALID);
#endif
      }
  std::feclearexcept(FE_ALL_EXCEPT);
  CHECK(isnan(asin(full({11}, 2))).to(float32).data<float>()[0] == 1);
  CHECK(std::fetestexcept(FE_INVALID) != 0);
}

TEST_CASE("odd functions keep the sign of zero, and gelu and silu do", "[elementwise]") {
  for (const auto op :
       {sin, tan, asin, atan, sinh, asinh, atanh, expm1, log1p, tanh, erf, gelu, silu, floor, ceil, trunc, round})
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

TEST_CASE("digamma and lgamma keep to their poles, and digamma to its terms below 0", "[elementwise]") {
  const auto of = [](Tensor (*f)(const Tensor&), double x) { return f(tensor({x}, float64)).item<double>(); };
  CHECK(of(digamma, 0.0) == -INFINITY);
  CHECK(of(digamma, -0.0) == INFINITY);
  for (const double pole : {-1.0, -2.0, -100.0, -0x1p60}) {
    CHECK(std::isnan(of(digamma, pole)));
    CHECK(of(lgamma, pole) == INFINITY);
  }
  // At halves the cotangent is 0; values of W. J. Cody et al., "Chebyshev Approximations for the Psi Function"
  // (1973), and by recurrence from them.
  CHECK(of(digamma, 0.5) == Approx(-1.9635100260214234794).epsilon(1e-15));
  CHECK(of(digamma, 1.0) == Approx(-0.57721566490153286061).epsilon(1e-15));
  CHECK(of(digamma, -100.5) == Approx(4.6151246013380641).epsilon(1e-14));
  // Beside the root of digamma, where a difference of large terms would show nothing but their rounding.
  CHECK(of(digamma, 1.4616321449683622) == Approx(-9.2412655217294275e-17).epsilon(1e-9));
}

TEST_CASE("quotients are rounded down exactly, and remainders are exact", "[elementwise]") {
  const auto one = [](double x, DType dtype = float64) { return tensor({x}, dtype); };
  CHECK(floor_divide(one(1), one(0.2)).item<double>() == 4);
  CHECK(floor_divide(one(1), 0.2).item<double>() == 4);
  CHECK(floor_divide(one(-7), 2).item<double>() == -4);
  CHECK(floor_divide(one(1e20), 3).item<double>() == std::floor(1e20 / 3));
  CHECK(floor_divide(one(5), 0).item<double>() == INFINITY);
  for (const double infinite : {INFINITY, -INFINITY}) {
    CHECK(floor_divide(one(infinite), infinite).item<double>() != floor_divide(one(infinite), infinite).item<double>());
    for (const double a : {2.0, -2.0, 0.0}) {
      CAPTURE(a, infinite);
      CHECK(floor_divide(one(a), infinite).item<double>() == (a != 0 && (a < 0) != (infinite < 0) ? -1 : 0));
      CHECK(floor_divide(one(a).to(float32), infinite).item<double>() == floor_divide(one(a), infinite).item<double>());
    }
  }
  // Beside which the remainder of the divisor's sign would overflow.
  CHECK(floor_divide(one(-1.7e308), one(1e308)).item<double>() == -2);
  CHECK(floor_divide(one(1.7e308), one(-1e308)).item<double>() == -2);
  CHECK(floor_divide(one(-3e38).to(float32), one(2e38).to(float32)).item<double>() == -2);
  CHECK(floor_divide(one(-1e-20), one(1)).item<double>() == -1);
  CHECK(std::signbit(floor_divide(one(-0.0), 3).item<double>()));
  CHECK(fmod(one(1e20), 3).item<double>() == 1);
  CHECK(fmod(one(-7), 3).item<double>() == -1);
  CHECK(remainder(one(-7), 3).item<double>() == 2);
  const Tensor i = from_vector<int64_t>({-7, 7, -6, 0}, {4});
  CHECK(equal(floor_divide(i, 2), from_vector<int64_t>({-4, 3, -3, 0}, {4})));
  CHECK(equal(floor_divide(i, from_vector<int64_t>({-2}, {1})), from_vector<int64_t>({3, -4, 3, 0}, {4})));
  CHECK(equal(fmod(i, 2), from_vector<int64_t>({-1, 1, 0, 0}, {4})));
  const Tensor least = full({1}, std::numeric_limits<int64_t>::min(), int64);
  CHECK(equal(floor_divide(least, -1), least));
  CHECK(equal(fmod(least, -1), zeros({1}, int64)));
  CHECK_THROWS_WITH(floor_divide(i, 0), "floor_divide: expected a divisor other than 0, got 0");
  CHECK_THROWS_WITH(fmod(i, zeros({4}, int64)), "fmod: expected divisors other than 0, got 0");
  // a = b q + r, for a whole q.
  manual_seed(3);
  const Tensor a = randn({1000}, float64) * 1e6, b = randn({1000}, float64);
  CHECK(equal(floor_divide(a, b), round(floor_divide(a, b))));
  CHECK(allclose(floor_divide(a, b) * b + remainder(a, b), a, 1e-12, 1e-9));
}

TEST_CASE("gradients at the origin and at infinities are numbers", "[elementwise]") {
  const auto gradients = [](Tensor (*f)(const Tensor&, const Tensor&), double a, double b) {
    const Tensor p = tensor({a}, float64).set_requires_grad(), q = tensor({b}, float64).set_requires_grad();
    const Tensors dx = grad({f(p, q)}, {p, q}, {ones({1}, float64)});
    return std::pair(dx[0].item<double>(), dx[1].item<double>());
  };
  CHECK(gradients(atan2, 0, 0) == std::pair(0.0, -0.0));
  CHECK(gradients(hypot, 0, 0) == std::pair(0.0, 0.0));
  CHECK(gradients(hypot, -INFINITY, 3) == std::pair(-1.0, 0.0));
  CHECK(gradients(atan2, INFINITY, 3) == std::pair(0.0, -0.0));
  CHECK(gradients(logaddexp, -INFINITY, -INFINITY) == std::pair(0.5, 0.5));
  CHECK(gradients(logaddexp, -INFINITY, 1) == std::pair(0.0, 1.0));
  CHECK(gradients(logaddexp, 1e300, -1e300) == std::pair(1.0, 0.0));
  CHECK(gradients(xlogy, 0, 0) == std::pair(0.0, 0.0));
  CHECK(logaddexp(tensor({-INFINITY}), tensor({-INFINITY})).item<float>() == -INFINITY);
  CHECK(logaddexp(tensor({INFINITY}), tensor({INFINITY})).item<float>() == INFINITY);
  CHECK(std::isnan(xlogy(tensor({0}), tensor({NAN})).item<float>()));
}

TEST_CASE("bounds that are tensors broadcast, and get the gradient beyond them", "[elementwise]") {
  const Tensor x = tensor({-2, 0.5, 3, NAN}, float64).set_requires_grad();
  const Tensor low = tensor({-1}, float64).set_requires_grad(), high = tensor({1}, float64).set_requires_grad();
  const Tensor y = clamp(x, low, high);
  CHECK(allclose(y.detach(), tensor({-1, 0.5, 1, NAN}, float64), 0, 0, true));
  const Tensors dx = grad({y}, {x, low, high}, {tensor({1, 2, 3, 4}, float64)});
  CHECK(equal(dx[0], tensor({0, 2, 0, 4}, float64)));
  CHECK(equal(dx[1], tensor({1}, float64)));
  CHECK(equal(dx[2], tensor({3}, float64)));
  // At a bound x has it; a bound of NaN shows; where the bounds cross, the upper one wins.
  const Tensor at = tensor({1}, float64).set_requires_grad();
  CHECK(grad({clamp(at, low, high)}, {at}, {ones({1}, float64)})[0].item<double>() == 1);
  CHECK(std::isnan(clamp_min(tensor({1}), tensor({NAN})).item<float>()));
  CHECK(clamp(tensor({0}), tensor({2}), tensor({1})).item<float>() == 1);
  CHECK(equal(clamp_min(arange(4), 2), from_vector<int64_t>({2, 2, 2, 3}, {4})));
}

TEST_CASE("what rounds keeps integers and signs, and takes halves to even", "[elementwise]") {
  const Tensor x = tensor({-2.5, -1.5, -0.5, 0.5, 1.5, 2.5}, float64);
  CHECK(equal(round(x), tensor({-2, -2, 0, 0, 2, 2}, float64)));
  CHECK(std::signbit(slice(round(x), 0, 2, 3).item<double>()));
  CHECK(equal(floor(x), tensor({-3, -2, -1, 0, 1, 2}, float64)));
  CHECK(equal(ceil(x), tensor({-2, -1, 0, 1, 2, 3}, float64)));
  CHECK(equal(trunc(x), tensor({-2, -1, 0, 0, 1, 2}, float64)));
  CHECK(equal(frac(x), tensor({-0.5, -0.5, -0.5, 0.5, 0.5, 0.5}, float64)));
  Tensor (*const all_of[])(const Tensor&) = {floor, ceil, trunc, round};
  for (const auto op : all_of) CHECK(op(arange(3)).dtype() == int64);
}

TEST_CASE("numbers take the place of NaN and the infinities, by default the dtype's ends", "[elementwise]") {
  const Tensor x = tensor({NAN, INFINITY, -INFINITY, 2}, float64);
  CHECK(equal(nan_to_num(x, 1, 3, 4), tensor({1, 3, 4, 2}, float64)));
  for (const DType dtype : {float16, bfloat16, float32, float64}) {
    const Tensor y = nan_to_num(x.to(dtype));
    CHECK(y.dtype() == dtype);
    CHECK(all(isfinite(y)).item<bool>());
    CHECK(equal(slice(y, 0, 1, 2), -slice(y, 0, 2, 3)));
    CHECK(any(isinf(2.0 * y)).item<bool>());
  }
  CHECK(equal(isinf(x), where(x == 2, false, where(isnan(x), false, ones({4}, bool_)))));
  CHECK(equal(isinf(arange(2)), zeros({2}, bool_)));
  CHECK(where(x == 2, 1, 0).dtype() == int64);
  CHECK(where(x == 2, 1.5, 0).dtype() == float32);
  CHECK(where(x == 2, true, false).dtype() == bool_);
}

TEST_CASE("activations refuse parameters they cannot mean", "[elementwise]") {
  const Tensor x = ones({2});
  CHECK_THROWS_WITH(hardtanh(x, 1, 1), "hardtanh: expected high in (1, inf], got 1");
  CHECK_THROWS_AS(hardtanh(x, NAN, 1), ValueError);
  CHECK_THROWS_AS(celu(x, 0), ValueError);
  const Tensor near = tensor({-1, 0, 1}).set_requires_grad(), far = celu(near, 1e-300);  // which is 0 in float32
  CHECK(equal(far.detach(), tensor({0, 0, 1})));
  CHECK(equal(grad({far}, {near}, {ones({3})})[0], tensor({0, 1, 1})));
  CHECK_THROWS_WITH(lerp(x, x, 1e300), "lerp: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(nan_to_num(x, 0, 1e300), "nan_to_num: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(addmm(ones({2, 2}), ones({2, 2}), ones({2, 2}), 1e300),
                    "addmm: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_AS(logit(x, 0.75), ValueError);
}

}  // namespace test_functions
