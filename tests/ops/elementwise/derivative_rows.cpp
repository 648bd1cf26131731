// References in long double, and the rows of derivative_rows.hpp.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include <limpid/tests/ops/elementwise/derivative_rows.hpp>

namespace test_derivatives {

using namespace limpid;

namespace {

constexpr Real infinity = std::numeric_limits<Real>::infinity();
constexpr Real not_a_number = std::numeric_limits<Real>::quiet_NaN();
constexpr Real pi = std::numbers::pi_v<Real>;

// ---- references, each in a form in which nothing cancels

Real zero(Real) { return 0; }
Real one(Real) { return 1; }
Function1 constant(Real c) {
  return [c](Real) { return c; };
}
Function1 number(Real (*f)(Real)) { return f; }
// f, and a limit where x is infinite.
Function1 with_limits(Real low, Function1 f, Real high) {
  return [=](Real x) { return x == -infinity ? low : x == infinity ? high : f(x); };
}

Real logistic(Real x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
Real bell(Real x) { return logistic(x) * logistic(-x); }
Real log1pexp(Real x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); }
Real sech2(Real x) {
  const Real e = std::exp(-std::abs(x)), s = 2 * e / (1 + e * e);
  return s * s;
}
Real density(Real x) { return std::exp(-x * x / 2) / std::sqrt(2 * pi); }
Real erf_slope(Real x) { return 2 / std::sqrt(pi) * std::exp(-x * x); }

// Roots, as sums of two doubles.
Real from(Real x, double high, double low) { return (x - high) - low; }

Real gelu_curve(Real x) {
  const double high = 1.4142135623730951, low = -9.667293313452913e-17;
  return -density(x) * from(x, high, low) * -from(-x, high, low);
}
Real gelu_slope(Real x) {
  const Real d = from(x, -0.7517915246935645, 1.4956759177009883e-17), r = x - d, p = density(r);
  // By its series around the root; the fourth derivative is below 2.
  if (std::abs(d) < 1e-5L)
    return d * p * ((2 - r * r) + d / 2 * (r * (r * r - 4) + d / 3 * (-r * r * r * r + 7 * r * r - 4)));
  return std::erfc(-x * std::sqrt(0.5L)) / 2 + x * density(x);
}
Real silu_slope(Real x) {
  const Real d = from(x, -1.2784645427610737, -1.0946994183093437e-16), e = std::exp(-std::abs(x)), u = 1 + e;
  if (std::abs(d) < 0.5L) return e * (d + std::exp(x - d) * std::expm1(d)) / (u * u);
  return (x < 0 ? e * (1 + x + e) : 1 + e * (1 + x)) / (u * u);
}
Real silu_curve(Real x) {
  const Real a = std::abs(x), d = from(a, 2.3993572805154675, 1.8464872855353363e-16), e = std::exp(-a), u = 1 + e;
  const Real bend = std::abs(d) < 0.5L ? (a - d - 2) * std::expm1(-d) - d * (1 - e) : (2 - a) + e * (2 + a);
  return e * bend / (u * u * u);
}

// A root of an activation's derivative, near which a reference in the usual form would lose digits: f(root) = 0, so
// that f(x) is (x - root) times the mean slope, by two terms of the series. f1 and f2 are the derivatives of f at the
// root.
Real near_root(Real d, Real f1, Real f2) { return d * (f1 + d / 2 * f2); }

Real mish_value(Real x) {
  const Real e = std::exp(x), n = e * (e + 2);
  return x > 2000 ? x : x * (n / (n + 2));
}
Real mish_slope(Real x) {
  const Real d = from(x, -1.1924312145154952, -4.8484829848031044e-17), e = std::exp(x), bottom = e * (e + 2) + 2;
  if (x > 2000) return 1;
  const Real p = std::exp(x - d), w1 = 4 + 8 * p * p + 3 * p * p * p + p * (4 * (x - d) + 10),
             w2 = 16 * p * p + 9 * p * p * p + p * (4 * (x - d) + 14);
  const Real w = std::abs(d) < 1e-6L ? near_root(d, w1, w2) : 4 * (x + 1) + 4 * e * e + e * e * e + e * (4 * x + 6);
  return e * w / (bottom * bottom);
}
Real mish_curve(Real x) {
  const Real s = logistic(x), t = std::tanh(log1pexp(x)), c = std::cosh(log1pexp(x));
  return std::abs(x) > 5000 ? 0 : s / c / c * (2 + x * (logistic(-x) - 2 * t * s));
}

constexpr Real gelu_a = 1.595769121605730711759942L, gelu_b = gelu_a * 0.044715L;
Real gelu_tanh_value(Real x) {
  return std::abs(x) > 100 ? (x > 0 ? x : 0) : x * logistic(gelu_a * x + gelu_b * x * x * x);
}
Real gelu_tanh_slope(Real x) {
  if (std::abs(x) > 100) return x > 0;
  const Real z = gelu_a * x + gelu_b * x * x * x, z1 = gelu_a + 3 * gelu_b * x * x, e = std::exp(-std::abs(z)),
             u = 1 + e;
  if (x > 0) return (1 + e * x * z1 / u) / u;
  const Real d = from(x, -0.7524614220710163, 3.635560509207687e-17), r = x - d;
  const Real p = std::exp(gelu_a * r + gelu_b * r * r * r), q = gelu_a + 3 * gelu_b * r * r;
  const Real g1 = p * q + gelu_a + 9 * gelu_b * r * r, g2 = p * (q * q + 6 * gelu_b * r) + 18 * gelu_b * r;
  return e * (std::abs(d) < 1e-6L ? near_root(d, g1, g2) : u + x * z1) / (u * u);
}
Real gelu_tanh_curve(Real x) {
  if (std::abs(x) > 100) return 0;
  const Real z = gelu_a * x + gelu_b * x * x * x, z1 = gelu_a + 3 * gelu_b * x * x;
  return bell(z) * (2 * z1 + x * (6 * gelu_b * x - z1 * z1 * std::tanh(z / 2)));
}

// The inverse of erf by Newton's method, from what doubles give.
Real erfinv_of(Real x) {
  const Real a = std::abs(x);
  if (!(a < 1)) return a == 1 ? x * infinity : not_a_number;
  if (a < 1e-10L) return x * (std::sqrt(pi) / 2);
  Real y = 0.5L * a;
  for (int i = 0; i < 200; ++i) {
    const Real error = a <= 0.5L ? std::erf(y) - a : (1 - a) - std::erfc(y);
    y -= error / erf_slope(y) / (1 + y * error / erf_slope(y));
  }
  return x < 0 ? -y : y;
}

// Derivatives of log Gamma of order n + 1, above 0 by recurrence up to where the asymptotic series is exact.
Real polygamma_of(int n, Real x) {
  if (x == infinity) return n == 0 ? infinity : 0;
  if (!std::isfinite(x)) return not_a_number;
  if (x <= 0 && x == std::floor(x)) {
    if (n == 0 && x == 0) return std::signbit(x) ? infinity : -infinity;
    return n == 1 ? infinity : not_a_number;
  }
  if (x < 0) {
    const Real c = pi * (x - std::round(x)), s = std::sin(c);
    const Real reflected = polygamma_of(n, 1 - x);
    return n == 0 ? reflected - pi / std::tan(c) : n == 1 ? pi * pi / (s * s) - reflected : not_a_number;
  }
  Real sum = 0, z = x;
  for (; z < 60; z += 1) sum += n == 0 ? -1 / z : n == 1 ? 1 / (z * z) : -2 / (z * z * z);
  const Real v = 1 / (z * z);
  if (n == 0)
    return sum + std::log(z) - 1 / (2 * z) -
           v * (1 / 12.0L - v * (1 / 120.0L - v * (1 / 252.0L - v * (1 / 240.0L - v / 132))));
  if (n == 1)
    return sum + 1 / z + v / 2 + v / z * (1 / 6.0L - v * (1 / 30.0L - v * (1 / 42.0L - v * (1 / 30.0L - v * 5 / 66))));
  return sum - v - v / z - v * v * (0.5L - v * (1 / 6.0L - v * (1 / 6.0L - v * (0.3L - v * 5 / 6))));
}
// What digamma is the sum of, where it is formed by reflection.
Real gamma_terms(Real x) {
  return x < 0 && std::isfinite(x)
             ? std::abs(polygamma_of(0, 1 - x)) + std::abs(pi / std::tan(pi * (x - std::round(x))))
             : polygamma_of(0, x);
}

Real sign_of(Real x) { return std::isnan(x) ? x : static_cast<Real>((x > 0) - (x < 0)); }

// A number as tensors of dtype meet it: rounded once.
Real held(double number, DType dtype) { return dtype == float64 ? number : static_cast<float>(number); }

// x^number and its derivatives.
DerivativeRow power(const std::string& variant, double number, DType dtype) {
  const Real p = held(number, dtype);
  return {"pow",
          variant,
          [number](const Tensor& x) { return pow(x, number); },
          [p](Real x) { return std::pow(x, p); },
          [p](Real x) { return p * std::pow(x, p - 1); },
          [p](Real x) { return p * (p - 1) * std::pow(x, p - 2); }};
}
// number^x and its derivatives.
DerivativeRow exponential(const std::string& variant, double number, DType dtype) {
  const Real base = held(number, dtype), log_base = std::log(base);
  return {"pow",
          variant,
          [number](const Tensor& x) { return pow(number, x); },
          [=](Real x) { return std::pow(base, x); },
          [=](Real x) { return std::pow(base, x) * log_base; },
          [=](Real x) { return std::pow(base, x) * log_base * log_base; }};
}
Tensor like(const Tensor& x, double value) { return full({}, value, x.dtype()); }

DerivativeRow of(const char* op, Tensor (*f)(const Tensor&), Function1 value, Function1 first, Function1 second) {
  return {op, "", f, std::move(value), std::move(first), std::move(second)};
}
#define OF(f) [](const Tensor& x) -> Tensor { return f; }

}  // namespace

std::vector<DerivativeRow> derivative_rows(DType dtype) {
  std::vector<DerivativeRow> all{
      {"add", "", OF(add(x, like(x, 3))), [](Real x) { return x + 3; }, one, zero},
      {"add", "number", OF(add(x, 3)), [](Real x) { return x + 3; }, one, zero},
      {"sub", "", OF(sub(x, like(x, 3))), [](Real x) { return x - 3; }, one, zero},
      {"sub", "second", OF(sub(like(x, 3), x)), [](Real x) { return 3 - x; }, constant(-1), zero},
      {"sub", "number", OF(sub(x, 3)), [](Real x) { return x - 3; }, one, zero},
      {"sub", "from a number", OF(sub(3, x)), [](Real x) { return 3 - x; }, constant(-1), zero},
      {"mul", "", OF(mul(x, like(x, 3))), [](Real x) { return 3 * x; }, constant(3), zero},
      {"mul", "by infinity", OF(mul(x, like(x, INFINITY))), [](Real x) { return x * infinity; }, constant(infinity),
       constant(not_a_number)},
      {"mul", "by the number infinity", OF(mul(x, INFINITY)), [](Real x) { return x * infinity; }, constant(infinity),
       constant(not_a_number)},
      {"div", "", OF(div(x, like(x, 3))), [](Real x) { return x / 3; }, constant(1 / 3.0L), zero},
      {"div", "by 0", OF(div(x, like(x, 0))), [](Real x) { return x / 0.0L; }, constant(infinity),
       constant(not_a_number)},
      {"div", "by a number that may be 0", OF(div(x, 1e-50)), [=](Real x) { return x / held(1e-50, dtype); },
       constant(1 / held(1e-50, dtype)), constant(not_a_number)},
      {"div", "second", OF(div(like(x, 3), x)), [](Real x) { return 3 / x; }, [](Real x) { return -3 / x / x; },
       [](Real x) { return 6 / x / x / x; }},
      {"div", "of 0", OF(div(like(x, 0), x)), [](Real x) { return 0 / x; },
       [](Real x) { return std::abs(x) > 0 ? 0 : not_a_number; },
       [](Real x) { return std::abs(x) >= 1e-37L ? 0 : not_a_number; }},
      {"div", "by a number", OF(div(x, 3)), [](Real x) { return x / 3; }, constant(1 / 3.0L), zero},
      {"div", "of a number", OF(div(3, x)), [](Real x) { return 3 / x; }, [](Real x) { return -3 / x / x; },
       [](Real x) { return 6 / x / x / x; }},
      {"remainder", "", OF(remainder(x, 3)),
       [](Real x) { return std::isinf(x) ? not_a_number : x - 3 * std::floor(x / 3); }, one, zero,
       std::numeric_limits<double>::infinity()},
      power("3", 3, dtype),
      power("2.5", 2.5, dtype),
      power("4.3", 4.3, dtype),
      power("1", 1, dtype),
      power("0.5", 0.5, dtype),
      power("0.125", 0.125, dtype),
      power("-0.125", -0.125, dtype),
      power("-2", -2, dtype),
      {"pow", "tensors", OF(pow(x, like(x, 0.125))), [](Real x) { return std::pow(x, 0.125L); },
       [](Real x) { return 0.125L * std::pow(x, -0.875L); }, [](Real x) { return -0.109375L * std::pow(x, -1.875L); }},
      {"pow", "of tensors", OF(pow(like(x, 2.5), x)), [](Real x) { return std::pow(2.5L, x); },
       [](Real x) { return x == infinity ? infinity : std::pow(2.5L, x) * std::log(2.5L); },
       [](Real x) { return std::pow(2.5L, x) * std::log(2.5L) * std::log(2.5L); }},
      exponential("of a number", 2.5, dtype),
      exponential("of 1.0001", 1.0001, dtype),
      {"pow", "of a number below 0", OF(pow(-0.5, x)), [](Real x) { return std::pow(-0.5L, x); },
       [](Real x) { return x == infinity ? 0 : not_a_number; }, constant(not_a_number)},
      {"maximum", "", OF(maximum(x, like(x, 0.5))), [](Real x) { return x < 0.5L ? 0.5L : x; },
       [](Real x) { return x < 0.5L    ? 0
                           : x == 0.5L ? 0.5L
                                       : 1; }, zero},
      {"minimum", "", OF(minimum(x, like(x, 0.5))), [](Real x) { return x > 0.5L ? 0.5L : x; },
       [](Real x) { return x > 0.5L    ? 0
                           : x == 0.5L ? 0.5L
                                       : 1; }, zero},
      {"maximum", "of a root", OF(maximum(sqrt(x), like(x, 0.375))),
       [](Real x) { return !(x >= 0) ? not_a_number : std::max(0.375L, std::sqrt(x)); },
       [](Real x) { return !(x >= 0)       ? not_a_number
                           : x < 0.140625L ? 0
                                           : 0.5L / std::sqrt(x); },
       [](Real x) { return !(x >= 0)       ? not_a_number
                           : x < 0.140625L ? 0
                                           : -0.25L / x / std::sqrt(x); }},
      of(
          "neg", neg, [](Real x) { return -x; }, constant(-1), zero),
      of("exp", exp, number(std::exp), number(std::exp), number(std::exp)),
      of(
          "log", log, number(std::log), [](Real x) { return 1 / x; }, [](Real x) { return -1 / x / x; }),
      of(
          "sqrt", sqrt, number(std::sqrt), [](Real x) { return 0.5L / std::sqrt(x); },
          [](Real x) { return -0.25L / x / std::sqrt(x); }),
      of(
          "rsqrt", rsqrt, [](Real x) { return 1 / std::sqrt(x); }, [](Real x) { return -0.5L / x / std::sqrt(x); },
          [](Real x) { return 0.75L / x / x / std::sqrt(x); }),
      of(
          "reciprocal", reciprocal, [](Real x) { return 1 / x; }, [](Real x) { return -1 / x / x; },
          [](Real x) { return 2 / x / x / x; }),
      of("abs", abs, number(std::abs), sign_of, zero),
      of("sign", sign, sign_of, zero, zero),
      of(
          "square", square, [](Real x) { return x * x; }, [](Real x) { return 2 * x; }, constant(2)),
      of("sin", sin, number(std::sin), number(std::cos), [](Real x) { return -std::sin(x); }),
      of(
          "cos", cos, number(std::cos), [](Real x) { return -std::sin(x); }, [](Real x) { return -std::cos(x); }),
      of("tanh", tanh, number(std::tanh), sech2, [](Real x) { return -2 * std::tanh(x) * sech2(x); }),
      of("sigmoid", sigmoid, logistic, bell, [](Real x) { return -bell(x) * std::tanh(x / 2); }),
      of("erf", erf, number(std::erf), erf_slope,
         with_limits(
             0, [](Real x) { return -2 * x * erf_slope(x); }, 0)),
      of(
          "exp2", exp2, number(std::exp2), [](Real x) { return std::exp2(x) * std::log(2.0L); },
          [](Real x) { return std::exp2(x) * std::log(2.0L) * std::log(2.0L); }),
      of("expm1", expm1, number(std::expm1), number(std::exp), number(std::exp)),
      of(
          "log2", log2, number(std::log2), [](Real x) { return 1 / x / std::log(2.0L); },
          [](Real x) { return -1 / x / x / std::log(2.0L); }),
      of(
          "log10", log10, number(std::log10), [](Real x) { return 1 / x / std::log(10.0L); },
          [](Real x) { return -1 / x / x / std::log(10.0L); }),
      of(
          "log1p", log1p, number(std::log1p), [](Real x) { return 1 / (1 + x); },
          [](Real x) { return -1 / (1 + x) / (1 + x); }),
      of(
          "tan", tan, number(std::tan), [](Real x) { return 1 / std::cos(x) / std::cos(x); },
          [](Real x) { return 2 * std::tan(x) / std::cos(x) / std::cos(x); }),
      of(
          "asin", asin, number(std::asin), [](Real x) { return 1 / std::sqrt((1 - x) * (1 + x)); },
          [](Real x) { return x / ((1 - x) * (1 + x)) / std::sqrt((1 - x) * (1 + x)); }),
      of(
          "acos", acos, number(std::acos), [](Real x) { return -1 / std::sqrt((1 - x) * (1 + x)); },
          [](Real x) { return -x / ((1 - x) * (1 + x)) / std::sqrt((1 - x) * (1 + x)); }),
      of(
          "atan", atan, number(std::atan), [](Real x) { return 1 / (1 + x * x); },
          with_limits(
              0, [](Real x) { return -2 * x / (1 + x * x) / (1 + x * x); }, 0)),
      of("sinh", sinh, number(std::sinh), number(std::cosh), number(std::sinh)),
      of("cosh", cosh, number(std::cosh), number(std::sinh), number(std::cosh)),
      of(
          "asinh", asinh, number(std::asinh), [](Real x) { return 1 / std::sqrt(1 + x * x); },
          with_limits(
              0, [](Real x) { return -x / (1 + x * x) / std::sqrt(1 + x * x); }, 0)),
      of(
          "acosh", acosh, number(std::acosh),
          [](Real x) { return x < 1 ? not_a_number : 1 / std::sqrt((x - 1) * (x + 1)); },
          [](Real x) {
            return x < 1 ? not_a_number : x == infinity ? 0 : -x / ((x - 1) * (x + 1)) / std::sqrt((x - 1) * (x + 1));
          }),
      of(
          "atanh", atanh, number(std::atanh),
          [](Real x) { return std::abs(x) > 1 ? not_a_number : 1 / ((1 - x) * (1 + x)); },
          [](Real x) { return std::abs(x) > 1 ? not_a_number : 2 * x / ((1 - x) * (1 + x)) / ((1 - x) * (1 + x)); }),
      of(
          "logit", OF(logit(x)),
          [](Real x) {
            return x >= 0.25L && x <= 0.75L ? 2 * std::atanh(2 * x - 1)
                   : x < 0.5L               ? std::log(x) - std::log1p(-x)
                                            : std::log1p(x - 1) - std::log(1 - x);
          },
          [](Real x) { return x < 0 || x > 1 ? not_a_number : 1 / (x * (1 - x)); },
          [](Real x) { return x < 0 || x > 1 ? not_a_number : (2 * x - 1) / (x * (1 - x)) / (x * (1 - x)); }),
      of(
          "erfc", erfc, number(std::erfc), [](Real x) { return -erf_slope(x); },
          with_limits(
              0, [](Real x) { return 2 * x * erf_slope(x); }, 0)),
      of(
          "erfinv", erfinv, erfinv_of, [](Real x) { return 1 / erf_slope(erfinv_of(x)); },
          [](Real x) {
            return std::abs(x) == 1 ? not_a_number
                                    : 2 * erfinv_of(x) / erf_slope(erfinv_of(x)) / erf_slope(erfinv_of(x));
          }),
      {"lgamma", "", OF(lgamma(x)), number(std::lgamma), [](Real x) { return polygamma_of(0, x); },
       [](Real x) { return polygamma_of(1, x); }, 4, 5, 10, gamma_terms},
      // Below 0 the terms of the value and of the second derivative cancel: see test_functions.cpp.
      {"digamma", "", [](const Tensor& x) { return digamma(abs(x)); },
       [](Real x) { return polygamma_of(0, std::abs(x)); },
       [](Real x) { return x == 0 ? not_a_number : sign_of(x) * polygamma_of(1, std::abs(x)); },
       [](Real x) { return x == 0 ? not_a_number : polygamma_of(2, std::abs(x)); }},
      {"floor_divide", "", OF(floor_divide(x, like(x, 3))),
       [](Real x) { return std::isinf(x) ? not_a_number : std::floor(x / 3); }, zero, zero,
       std::numeric_limits<double>::infinity()},
      of("floor", floor, number(std::floor), zero, zero),
      of("ceil", ceil, number(std::ceil), zero, zero),
      of("trunc", trunc, number(std::trunc), zero, zero),
      of("round", round, number(std::nearbyint), zero, zero),
      of(
          "frac", frac, [](Real x) { return x - std::trunc(x); }, one, zero),
      of(
          "fmod", OF(fmod(x, 3)), [](Real x) { return std::fmod(x, 3.0L); }, one, zero),
      of(
          "celu", OF(celu(x, 0.75)), [](Real x) { return x > 0 ? x : 0.75L * std::expm1(x / 0.75L); },
          [](Real x) { return x > 0 ? 1 : std::exp(x / 0.75L); },
          [](Real x) { return x > 0 ? 0 : std::exp(x / 0.75L) / 0.75L; }),
      of(
          "selu", selu,
          [](Real x) { return 1.0507009873554804934L * (x > 0 ? x : 1.6732632423543772848L * std::expm1(x)); },
          [](Real x) { return 1.0507009873554804934L * (x > 0 ? 1 : 1.6732632423543772848L * std::exp(x)); },
          [](Real x) { return x > 0 ? 0 : 1.0507009873554804934L * 1.6732632423543772848L * std::exp(x); }),
      // The terms of the next two second derivatives cancel at their roots.
      {"gelu_tanh", "", gelu_tanh, gelu_tanh_value, gelu_tanh_slope, gelu_tanh_curve, 4, 5, 1000},
      {"mish", "", mish, with_limits(0, mish_value, infinity), with_limits(0, mish_slope, 1),
       with_limits(0, mish_curve, 0), 4, 5, 10000},
      of(
          "hardswish", hardswish, [](Real x) { return x <= -3 ? 0
                                                      : x < 3 ? x * (x + 3) / 6
                                                              : x; },
          [](Real x) { return x <= -3  ? 0
                              : x >= 3 ? 1
                                       : (x + 1.5L) / 3; },
          [](Real x) { return x <= -3 || x >= 3 ? 0 : 1 / 3.0L; }),
      of(
          "softsign", softsign, [](Real x) { return std::isinf(x) ? sign_of(x) : x / (1 + std::abs(x)); },
          [](Real x) { return 1 / (1 + std::abs(x)) / (1 + std::abs(x)); },
          [](Real x) { return -2 * sign_of(x) / (1 + std::abs(x)) / (1 + std::abs(x)) / (1 + std::abs(x)); }),
      of(
          "logsigmoid", logsigmoid, [](Real x) { return -log1pexp(-x); }, [](Real x) { return logistic(-x); },
          [](Real x) { return -bell(x); }),
      of(
          "hardtanh", OF(hardtanh(x, -1, 0.5)), [](Real x) { return x < -1     ? -1
                                                                    : x > 0.5L ? 0.5L
                                                                               : x; },
          [](Real x) { return x <= -1 || x >= 0.5L ? 0 : 1.0L; }, zero),
      of(
          "relu6", relu6, [](Real x) { return x < 0   ? 0
                                              : x > 6 ? 6
                                                      : x; },
          [](Real x) { return x <= 0 || x >= 6 ? 0 : 1.0L; }, zero),
      of(
          "hardsigmoid", hardsigmoid,
          [](Real x) {
            return (x < -3 ? 0 : x > 3 ? 6 : x + 3) / 6;
          },
          [](Real x) { return x <= -3 || x >= 3 ? 0 : 1 / 6.0L; }, zero),
      {"atan2", "", OF(atan2(x, like(x, 3))), [](Real x) { return std::atan2(x, 3.0L); },
       [](Real x) { return 3 / (x * x + 9); },
       with_limits(
           0, [](Real x) { return -6 * x / (x * x + 9) / (x * x + 9); }, 0)},
      {"atan2", "second", OF(atan2(like(x, 3), x)), [](Real x) { return std::atan2(3.0L, x); },
       [](Real x) { return -3 / (x * x + 9); },
       with_limits(
           0, [](Real x) { return 6 * x / (x * x + 9) / (x * x + 9); }, 0)},
      {"hypot", "", OF(hypot(x, like(x, 3))), [](Real x) { return std::hypot(x, 3.0L); },
       [](Real x) { return std::isinf(x) ? sign_of(x) : x / std::hypot(x, 3.0L); },
       [](Real x) { return 9 / std::hypot(x, 3.0L) / std::hypot(x, 3.0L) / std::hypot(x, 3.0L); }},
      {"hypot", "second", OF(hypot(like(x, 0), x)), [](Real x) { return std::abs(x); }, sign_of,
       [](Real x) { return std::abs(x) > 0 ? 0 : not_a_number; }},
      {"logaddexp", "", OF(logaddexp(x, like(x, 3))),
       [](Real x) { return x > 3 ? x + std::log1p(std::exp(3 - x)) : 3 + std::log1p(std::exp(x - 3)); },
       [](Real x) { return logistic(x - 3); }, [](Real x) { return bell(x - 3); }},
      {"logaddexp", "second", OF(logaddexp(like(x, 3), x)),
       [](Real x) { return x > 3 ? x + std::log1p(std::exp(3 - x)) : 3 + std::log1p(std::exp(x - 3)); },
       [](Real x) { return logistic(x - 3); }, [](Real x) { return bell(x - 3); }},
      {"xlogy", "", OF(xlogy(x, like(x, 3))), [](Real x) { return x * std::log(3.0L); }, constant(std::log(3.0L)),
       zero},
      {"xlogy", "second", OF(xlogy(like(x, 3), x)), [](Real x) { return 3 * std::log(x); },
       [](Real x) { return 3 / x; }, [](Real x) { return -3 / x / x; }},
      {"xlogy", "of 0", OF(xlogy(like(x, 0), x)), [](Real x) { return std::isnan(x) ? x : 0; }, zero, zero},
      {"lerp", "", OF(lerp(x, like(x, 0), 0.75)), [](Real x) { return 0.25L * x; }, constant(0.25L), zero},
      {"lerp", "end", OF(lerp(like(x, 0), x, 0.25)), [](Real x) { return 0.25L * x; }, constant(0.25L), zero},
      {"clamp_min", "", OF(clamp_min(x, 0.5)), [](Real x) { return x < 0.5L ? 0.5L : x; },
       [](Real x) { return x < 0.5L ? 0 : 1.0L; }, zero},
      {"clamp_min", "tensor", OF(clamp_min(x, like(x, 0.5))), [](Real x) { return x < 0.5L ? 0.5L : x; },
       [](Real x) { return x < 0.5L ? 0 : 1.0L; }, zero},
      {"clamp_max", "", OF(clamp_max(x, 0.5)), [](Real x) { return x > 0.5L ? 0.5L : x; },
       [](Real x) { return x > 0.5L ? 0 : 1.0L; }, zero},
      {"nan_to_num", "", OF(nan_to_num(x, 2, 3, 4)),
       [](Real x) {
         return std::isnan(x) ? 2 : x == infinity ? 3 : x == -infinity ? 4 : x;
       },
       [](Real x) { return std::isfinite(x) ? 1.0L : 0; }, zero},
      of(
          "relu", relu, [](Real x) { return x < 0 ? 0 : x; }, [](Real x) { return x <= 0 ? 0 : 1.0L; }, zero),
      of(
          "leaky_relu", OF(leaky_relu(x, 0.25)), [](Real x) { return x > 0 ? x : x / 4; },
          [](Real x) { return x > 0 ? 1 : 0.25L; }, zero),
      of(
          "elu", OF(elu(x, 1.5)), [](Real x) { return x > 0 ? x : 1.5L * std::expm1(x); },
          [](Real x) { return x > 0 ? 1 : 1.5L * std::exp(x); }, [](Real x) { return x > 0 ? 0 : 1.5L * std::exp(x); }),
      {"gelu", "", gelu,
       with_limits(
           0, [](Real x) { return x * std::erfc(-x * std::sqrt(0.5L)) / 2; }, infinity),
       with_limits(0, gelu_slope, 1), with_limits(0, gelu_curve, 0), 5},
      of("silu", silu,
         with_limits(
             0, [](Real x) { return x * logistic(x); }, infinity),
         with_limits(0, silu_slope, 1), with_limits(0, silu_curve, 0)),
      of("softplus", OF(softplus(x)), log1pexp, logistic, bell),
      {"softplus", "beta 0.75", OF(softplus(x, 0.75)), [](Real x) { return log1pexp(0.75L * x) / 0.75L; },
       [](Real x) { return logistic(0.75L * x); }, [](Real x) { return 0.75L * bell(0.75L * x); }},
      of(
          "clamp", OF(clamp(x, -1, 0.5)), [](Real x) { return x < -1     ? -1
                                                              : x > 0.5L ? 0.5L
                                                                         : x; },
          [](Real x) { return x < -1 || x > 0.5L ? 0 : 1.0L; }, zero),
      {"where", "square root", OF(where(x > 0, sqrt(x), x)), [](Real x) { return x > 0 ? std::sqrt(x) : x; },
       [](Real x) { return x > 0 ? 0.5L / std::sqrt(x) : 1; },
       [](Real x) { return x > 0 ? -0.25L / x / std::sqrt(x) : 0; }},
      {"where", "logarithm", OF(where(x > 0, log(x), x)), [](Real x) { return x > 0 ? std::log(x) : x; },
       [](Real x) { return x > 0 ? 1 / x : 1; }, [](Real x) { return x > 0 ? -1 / x / x : 0; }},
      {"where", "exponential", OF(where(x < 0, exp(x), x)), [](Real x) { return x < 0 ? std::exp(x) : x; },
       [](Real x) { return x < 0 ? std::exp(x) : 1; }, [](Real x) { return x < 0 ? std::exp(x) : 0; }},
      {"where", "power", OF(where(x > 0, pow(x, 0.125), x)), [](Real x) { return x > 0 ? std::pow(x, 0.125L) : x; },
       [](Real x) { return x > 0 ? 0.125L * std::pow(x, -0.875L) : 1; },
       [](Real x) { return x > 0 ? -0.109375L * std::pow(x, -1.875L) : 0; }},
      {"where", "quotient", OF(where(x != 0, 3 / x, x)), [](Real x) { return x != 0 ? 3 / x : x; },
       [](Real x) { return x != 0 ? -3 / x / x : 1; }, [](Real x) { return x != 0 ? 6 / x / x / x : 0; }},
      {"where", "a number", OF(where(x > 0, x, 1.5)), [](Real x) { return x > 0 ? x : 1.5L; },
       [](Real x) { return x > 0 ? 1 : 0.0L; }, zero},
      {"where", "infinities", OF(where(x > 0, x * INFINITY, x)), [](Real x) { return x > 0 ? infinity : x; },
       [](Real x) { return x > 0 ? infinity : 1; }, [](Real x) { return x > 0 ? not_a_number : 0; }},
      {"mse_loss", "", OF(mse_loss(x, full(x.shape(), 0.25, x.dtype()), Reduction::none)),
       [](Real x) { return (x - 0.25L) * (x - 0.25L); }, [](Real x) { return 2 * (x - 0.25L); }, constant(2)},
      {"l1_loss", "", OF(l1_loss(x, full(x.shape(), 0.25, x.dtype()), Reduction::none)),
       [](Real x) { return std::abs(x - 0.25L); }, [](Real x) { return sign_of(x - 0.25L); }, zero},
      {"huber_loss", "", OF(huber_loss(x, zeros_like(x.detach()), 0.5, Reduction::none)),
       [](Real x) { return std::abs(x) <= 0.5L ? x * x / 2 : 0.5L * (std::abs(x) - 0.25L); },
       [](Real x) { return x < -0.5L  ? -0.5L
                           : x > 0.5L ? 0.5L
                                      : x; },
       [](Real x) { return x < -0.5L || x > 0.5L ? 0 : 1.0L; }},
      {"smooth_l1_loss", "", OF(smooth_l1_loss(x, zeros_like(x.detach()), 0.5, Reduction::none)),
       [](Real x) { return std::abs(x) <= 0.5L ? x * x : std::abs(x) - 0.25L; },
       [](Real x) { return x < -0.5L  ? -1.0L
                           : x > 0.5L ? 1.0L
                                      : 2 * x; },
       [](Real x) { return x < -0.5L || x > 0.5L ? 0 : 2.0L; }},
      {"poisson_nll_loss", "", OF(poisson_nll_loss(x, zeros_like(x.detach()), {.reduction = Reduction::none})),
       number(std::exp), number(std::exp), number(std::exp)},
      {"gaussian_nll_loss", "",
       OF(gaussian_nll_loss(x, zeros_like(x.detach()), ones_like(x.detach()), {.reduction = Reduction::none})),
       [](Real x) { return x * x / 2; }, [](Real x) { return x; }, one},
      {"kl_div", "", OF(kl_div(x, ones_like(x.detach()), Reduction::none)), [](Real x) { return -x; }, constant(-1),
       zero},
      {"hinge_embedding_loss", "",
       OF(hinge_embedding_loss(x, -ones_like(x.detach()), {.margin = 0, .reduction = Reduction::none})),
       [](Real x) { return x > 0 ? 0 : -x; }, [](Real x) { return x > 0 ? 0 : -1.0L; }, zero},
      {"margin_ranking_loss", "",
       OF(margin_ranking_loss(x, zeros_like(x.detach()), ones_like(x.detach()), {.reduction = Reduction::none})),
       [](Real x) { return x > 0 ? 0 : -x; }, [](Real x) { return x > 0 ? 0 : -1.0L; }, zero},
      {"nll_loss", "", OF(nll_loss(unsqueeze(x, 1), zeros(x.shape(), int64), Reduction::none)),
       [](Real x) { return -x; }, constant(-1), zero},
  };
  for (const double t : {0.0, 1.0, 0.25}) {
    const auto loss = [t](const Tensor& x) {
      return bce_with_logits(x, full(x.shape(), t, x.dtype()), Reduction::none);
    };
    const auto weighed = [t](Real of_one, Real of_zero) {
      return (t == 0 ? 0 : t * of_one) + (t == 1 ? 0 : (1 - Real{t}) * of_zero);
    };
    all.push_back({"bce_with_logits", "target " + std::to_string(t), loss,
                   [=](Real x) { return weighed(log1pexp(-x), log1pexp(x)); },
                   [=](Real x) { return weighed(-logistic(-x), logistic(x)); }, bell});
    if (t == 0.25) all.back().scale = [=](Real x) { return weighed(logistic(-x), logistic(x)); };
  }
  return all;
}

}  // namespace test_derivatives
