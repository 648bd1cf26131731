// Trigonometric and hyperbolic functions, and their inverses.
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/unary.hpp>

#include <cmath>

namespace limpid {

using detail::chain;
using detail::FunctionRow;
using detail::in_double;
using detail::Keeps;
using detail::LibraryRow;
using detail::Unary;
using detail::unary;

namespace {

// 1 - tanh(x)^2
Tensor tanh_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "tanh_backward",
      .kernel = &FunctionRow::tanh_slope,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return tanh_slope(x) * (-2 * tanh(x)); },
  };
  return unary<row>(operand);
}

// The derivatives of the inverse functions, as functions of their own: written with x^2, they or their derivatives
// would cancel or overflow.
double asin_rule(double x) noexcept { return 1 / std::sqrt((1 - x) * (1 + x)); }
double atan_rule(double x) noexcept { return std::abs(x) > 1e10 ? 1 / x / x : 1 / (1 + x * x); }
double asinh_rule(double x) noexcept { return 1 / ::hypot(1.0, x); }
double acosh_rule(double x) noexcept { return 1 / (std::sqrt(x - 1) * std::sqrt(x + 1)); }
double atanh_rule(double x) noexcept { return 1 / ((1 - x) * (1 + x)); }

// s = (1 - x^2)^(-1/2), s' = x s^3
Tensor asin_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "asin_backward",
      .kernel = in_double<asin_rule>,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& x) {
            const Tensor s = asin_slope(x);
            return x * s * square(s);
          },
  };
  return unary<row>(operand);
}

// s = 1 / (1 + x^2), s' = -2 x s^2, which is 0 at infinity
Tensor atan_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "atan_backward",
      .kernel = in_double<atan_rule>,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& x) {
            const Tensor s = atan_slope(x);
            return -2 * chain(chain(s, x), s);
          },
  };
  return unary<row>(operand);
}

// s = (1 + x^2)^(-1/2), s' = -x s^3, which is 0 at infinity
Tensor asinh_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "asinh_backward",
      .kernel = in_double<asinh_rule>,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& x) {
            const Tensor s = asinh_slope(x);
            return -chain(chain(square(s), x), s);
          },
  };
  return unary<row>(operand);
}

// s = (x^2 - 1)^(-1/2), s' = -x s^3
Tensor acosh_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "acosh_backward",
      .kernel = in_double<acosh_rule>,
      .keeps = Keeps::x,
      .slope =
          [](const Tensor& x) {
            const Tensor s = acosh_slope(x);
            return -chain(chain(square(s), x), s);
          },
  };
  return unary<row>(operand);
}

// s = 1 / (1 - x^2), s' = 2 x s^2
Tensor atanh_slope(const Tensor& operand) {
  static constexpr Unary row{
      .op = "atanh_backward",
      .kernel = in_double<atanh_rule>,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return 2 * x * square(atanh_slope(x)); },
  };
  return unary<row>(operand);
}

}  // namespace

Tensor sin(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sin",
      .kernel = &LibraryRow::sin,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return cos(x); },
  };
  return unary<row>(operand);
}

Tensor cos(const Tensor& operand) {
  static constexpr Unary row{
      .op = "cos",
      .kernel = &LibraryRow::cos,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return -sin(x); },
  };
  return unary<row>(operand);
}

Tensor tan(const Tensor& operand) {
  static constexpr Unary row{
      .op = "tan",
      .kernel = &LibraryRow::tan,
      .keeps = Keeps::y,
      .slope = [](const Tensor& y) { return 1 + square(y); },
  };
  return unary<row>(operand);
}

Tensor asin(const Tensor& operand) {
  static constexpr Unary row{
      .op = "asin",
      .kernel = &LibraryRow::asin,
      .keeps = Keeps::x,
      .slope = asin_slope,
  };
  return unary<row>(operand);
}

Tensor acos(const Tensor& operand) {
  static constexpr Unary row{
      .op = "acos",
      .kernel = &LibraryRow::acos,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return -asin_slope(x); },
  };
  return unary<row>(operand);
}

Tensor atan(const Tensor& operand) {
  static constexpr Unary row{
      .op = "atan",
      .kernel = &LibraryRow::atan,
      .keeps = Keeps::x,
      .slope = atan_slope,
  };
  return unary<row>(operand);
}

// It keeps x: of y, which rounds to 1, the tails of the derivative could not be told.
Tensor tanh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "tanh",
      .kernel = &FunctionRow::tanh,
      .keeps = Keeps::x,
      .slope = tanh_slope,
      .gradient = &FunctionRow::tanh_gradient,
  };
  return unary<row>(operand);
}

Tensor sinh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sinh",
      .kernel = &LibraryRow::sinh,
      .keeps = Keeps::x,
      .slope = cosh,
  };
  return unary<row>(operand);
}

Tensor cosh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "cosh",
      .kernel = &LibraryRow::cosh,
      .keeps = Keeps::x,
      .slope = sinh,
  };
  return unary<row>(operand);
}

Tensor asinh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "asinh",
      .kernel = &LibraryRow::asinh,
      .keeps = Keeps::x,
      .slope = asinh_slope,
  };
  return unary<row>(operand);
}

Tensor acosh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "acosh",
      .kernel = &LibraryRow::acosh,
      .keeps = Keeps::x,
      .slope = acosh_slope,
  };
  return unary<row>(operand);
}

Tensor atanh(const Tensor& operand) {
  static constexpr Unary row{
      .op = "atanh",
      .kernel = &LibraryRow::atanh,
      .keeps = Keeps::x,
      .slope = atanh_slope,
  };
  return unary<row>(operand);
}

}  // namespace limpid
