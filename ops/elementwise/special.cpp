// The error function and its inverse, the gamma function, log-odds.
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/unary.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace limpid {

using detail::called;
using detail::FunctionRow;
using detail::in_double;
using detail::infinity;
using detail::Keeps;
using detail::LibraryRow;
using detail::Parametric;
using detail::parametric;
using detail::Unary;
using detail::unary;

namespace {

constexpr double pi = std::numbers::pi, not_a_number = std::numeric_limits<double>::quiet_NaN(),
                 erf_slope_at_0 = 1.12837916709551257390;

Tensor erf_curve(const Tensor& x);

// (2 / sqrt pi) e^-(x^2)
Tensor erf_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erf_backward",
      .kernel = &FunctionRow::erf_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return erf_curve(x); },
  };
  return unary<row>(operand);
}

// (2 / sqrt pi) (-2 x) e^-(x^2)
Tensor erf_curve(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erf_backward",
      .kernel = &FunctionRow::erf_curve,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return erf_slope(x) * (4 * square(x) - 2); },
  };
  return unary<row>(operand);
}

// ---- the inverse of erf

// From Winitzki's formula, which is right to 0.2 %, by two steps of Halley's method, each of which cubes the error: on
// erf(y) - x, and beyond 1/2 on erfc(y) - (1 - x), whose terms are small and exact.
double erfinv_rule(double x) noexcept {
  const double a = std::abs(x);
  if (!(a < 1)) return a == 1 ? std::copysign(infinity, x) : not_a_number;
  if (a < 1e-8) return x * (1 / erf_slope_at_0);
  constexpr double winitzki = 0.147;
  const double log_rest = std::log1p(-a) + std::log1p(a), half = 2 / (pi * winitzki) + 0.5 * log_rest;
  double y = std::sqrt(std::sqrt(half * half - log_rest / winitzki) - half);
  for (int step = 0; step < 2; ++step) {
    const double error = a <= 0.5 ? std::erf(y) - a : (1 - a) - std::erfc(y);
    const double newton = error / (erf_slope_at_0 * std::exp(-y * y));
    y -= newton / (1 + y * newton);
  }
  return std::copysign(y, x);
}

// ---- log-odds

// log(x / (1 - x)): where that is near 0, by the distance from 1/2.
double logit_rule(double x) noexcept {
  if (x >= 0.25 && x <= 0.75) return 2 * std::atanh(2 * x - 1);
  return x < 0.5 ? std::log(x) - std::log1p(-x) : std::log1p(x - 1) - std::log(1 - x);
}
double logit_slope_rule(double x) noexcept { return 1 / (x * (1 - x)); }

// ---- the gamma function. Formulas: M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, chapter 6.

// B_2k / (2k)!, of Bernoulli's numbers.
constexpr double kBernoulli[] = {1.0 / 12,          -1.0 / 720,
                                 1.0 / 30240,       -1.0 / 1209600,
                                 1.0 / 47900160,    -691.0 / 1307674368000,
                                 1.0 / 74724249600, -3617.0 / 10670622842880000};

// digamma(x) for x in [1, 2], where it has the root r: as digamma(x) - digamma(r), of which every part is a multiple of
// d = x - r. The first ten terms of the series, then the difference of two asymptotic series (6.3.16, 6.3.18).
double digamma_near_root(double x) noexcept {
  constexpr double root = 1.4616321449683622, root_low = 9.549995429965697e-17;
  constexpr int shift = 10;
  const double d = (x - root) - root_low, far = x + shift, far_root = root + shift;
  double sum = std::log1p(d / far_root) + d / (2 * far * far_root);
  // sum of -B_2k / 2k (u^k - v^k) for u = 1 / far^2 and v that of the root; u^k - v^k = (u - v) (u^(k-1) + ... +
  // v^(k-1))
  const double u = 1 / (far * far), v = 1 / (far_root * far_root), difference = -d * (far + far_root) * u * v;
  double powers = 0, v_power = 1, factor = 1;  // factor: (2k - 1)!
  for (int k = 1; k <= 8; ++k) {
    powers = powers * u + v_power;
    v_power *= v;
    if (k > 1) factor *= (2 * k - 2) * (2 * k - 1);
    sum -= kBernoulli[k - 1] * factor * difference * powers;
  }
  for (int k = shift - 1; k >= 0; --k) sum += d / ((k + root) * (k + x));
  return sum;
}

double digamma_rule(double x) noexcept {
  if (x == 0) return std::copysign(infinity, -x);
  if (x < 0) {  // by reflection (6.3.7)
    const double beside = std::isinf(x) ? 0 : x - std::rint(x);
    return beside == 0 ? not_a_number : digamma_rule(1 - x) - pi / std::tan(pi * beside);
  }
  if (x < 1) return digamma_near_root(x + 1) - 1 / x;
  if (x < 10) {
    double sum = 0;
    for (; x > 2; sum += 1 / x) x -= 1;
    return sum + digamma_near_root(x);
  }
  const double v = 1 / (x * x);
  double sum = 0;
  for (int k = 8; k >= 1; --k) {
    double factor = 1;  // (2k - 1)!
    for (int i = 2; i < 2 * k; ++i) factor *= i;
    sum = (sum + kBernoulli[k - 1] * factor) * v;
  }
  return (std::log(x) - 0.5 / x) - sum;
}

// The derivative of digamma of order n >= 1. Above 0 it is (-1)^(n+1) n! times the sum of (x + k)^-(n+1) over all k: so
// many terms, then Euler and Maclaurin's formula for the rest (6.4.10, 23.1.30). Below 0 by reflection (6.4.7):
// digamma(1 - x) - digamma(x) = pi cot(pi x), of which the derivatives are polynomials in the cotangent.
double polygamma_rule(double x, double n) noexcept {
  const double sign = std::fmod(n, 2) == 0 ? -1 : 1;
  if (x > 0) {
    const double s = n + 1;
    const int terms = x < n + 10 ? static_cast<int>(n + 10 - x) : 0;
    const double z = x + terms;
    if (std::isinf(z)) return 0 * sign;
    double sum = 0, factor = s / z, v = 1 / (z * z);
    for (int k = 1; k <= 8; ++k) {
      sum += kBernoulli[k - 1] * factor;
      factor *= (s + 2 * k - 1) * (s + 2 * k) * v;
    }
    sum = std::pow(z, -n) * (1 / n + (0.5 + sum) / z);
    for (int k = terms - 1; k >= 0; --k) sum += std::pow(x + k, -s);
    return sign * std::tgamma(s) * sum;
  }
  const int order = static_cast<int>(n);
  if (!std::isfinite(x) || order > 30) return not_a_number;
  const double beside = x - std::rint(x);
  if (beside == 0) return sign > 0 ? infinity : not_a_number;
  // P_0 = c, P_(k+1) = -(1 + c^2) P_k': p[i] is the factor of c^i.
  double p[33] = {0, 1};
  for (int k = 0; k < order; ++k) {
    double next[33] = {};
    for (int i = 1; i <= k + 1; ++i) {
      next[i - 1] -= i * p[i];
      next[i + 1] -= i * p[i];
    }
    std::copy(next, next + 33, p);
  }
  const double c = 1 / std::tan(pi * beside);
  double value = 0;
  for (int i = order + 1; i >= 0; --i) value = value * c + p[i];
  return -sign * polygamma_rule(1 - x, n) - std::pow(pi, n + 1) * value;
}

float lgamma_of_float(float x) noexcept {
  int sign;
  return ::lgammaf_r(x, &sign);
}
double lgamma_of_double(double x) noexcept {  // not lgamma(), which writes to a variable of all threads
  int sign;
  return ::lgamma_r(x, &sign);
}

Tensor polygamma(const Tensor& operand, double order) {
  static constexpr Parametric row{
      .op = "digamma_backward",
      .kernel = in_double<polygamma_rule, 2>,
      .slope = [](const Tensor& x, double n) { return polygamma(x, n + 1); },
  };
  return parametric<row>(operand, order);
}

// s = 1 / (x (1 - x)), s' = (2 x - 1) s^2
Tensor logit_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "logit_backward",
      .kernel = in_double<logit_slope_rule>,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& x) {
            const Tensor s = logit_slope(x);
            return (2 * x - 1) * square(s);
          },
  };
  return unary<row>(operand);
}

}  // namespace

Tensor erf(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erf",
      .kernel = &FunctionRow::erf,
      .keeps = Keeps::x,
      .slope = erf_slope,
      .gradient = &FunctionRow::erf_gradient,
  };
  return unary<row>(operand);
}

Tensor erfc(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erfc",
      .kernel = &LibraryRow::erfc,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return -erf_slope(x); },
  };
  return unary<row>(operand);
}

Tensor erfinv(const Tensor& operand) {
  static constexpr Unary row{
      .op = "erfinv",
      .kernel = in_double<erfinv_rule>,
      .keeps = Keeps::y,
      .inverse_slope = erf_slope,
  };
  return unary<row>(operand);
}

Tensor lgamma(const Tensor& operand) {
  static constexpr Unary row{
      .op = "lgamma",
      .kernel = called<lgamma_of_float, lgamma_of_double>,
      .keeps = Keeps::x,
      .slope = digamma,
  };
  return unary<row>(operand);
}

Tensor digamma(const Tensor& operand) {
  static constexpr Unary row{
      .op = "digamma",
      .kernel = in_double<digamma_rule>,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return polygamma(x, 1); },
  };
  return unary<row>(operand);
}

Tensor logit(const Tensor& operand) {
  static constexpr Unary row{
      .op = "logit",
      .kernel = in_double<logit_rule>,
      .keeps = Keeps::x,
      .slope = logit_slope,
  };
  return unary<row>(operand);
}

Tensor logit(const Tensor& x, double eps) {
  detail::ranges::expect("logit", {{"eps", eps, {0, 0.5}}});
  detail::require_defined("logit", x);
  // Half precision has no number between 1 - 1e-6 and 1, whose logit is infinite.
  const auto again = [=](const Tensor& z) { return logit(z, eps); };
  if (Tensor y = detail::promoted(detail::floating_type(x.dtype()), x, again); y.defined()) return y;
  return logit(clamp(x, eps, 1 - eps));
}

}  // namespace limpid
