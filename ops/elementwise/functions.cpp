// Powers, roots, exponentials and logarithms, signs, and what rounds.
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/unary.hpp>

#include <cmath>
#include <numbers>

namespace limpid {

using detail::ArithmeticRow;
using detail::FunctionRow;
using detail::Keeps;
using detail::LibraryRow;
using detail::Unary;
using detail::unary;

Tensor exp(const Tensor& operand) {
  static constexpr Unary row{
      .op = "exp",
      .kernel = &FunctionRow::exp,
      .keeps = Keeps::y,
      .slope = [](const Tensor& y) { return y; },
  };
  return unary<row>(operand);
}

Tensor log(const Tensor& operand) {
  static constexpr Unary row{
      .op = "log",
      .kernel = &FunctionRow::log,
      .keeps = Keeps::x,
      .inverse_slope = [](const Tensor& x) { return x; },
  };
  return unary<row>(operand);
}

Tensor exp2(const Tensor& operand) {
  static constexpr Unary row{
      .op = "exp2",
      .kernel = &LibraryRow::exp2,
      .keeps = Keeps::y,
      .slope = [](const Tensor& y) { return y * std::numbers::ln2; },
  };
  return unary<row>(operand);
}

Tensor expm1(const Tensor& operand) {
  static constexpr Unary row{
      .op = "expm1",
      .kernel = &LibraryRow::expm1,
      .keeps = Keeps::x,
      .slope = exp,
  };
  return unary<row>(operand);
}

Tensor log2(const Tensor& operand) {
  static constexpr Unary row{
      .op = "log2",
      .kernel = &LibraryRow::log2,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return std::numbers::log2e / x; },
  };
  return unary<row>(operand);
}

Tensor log10(const Tensor& operand) {
  static constexpr Unary row{
      .op = "log10",
      .kernel = &LibraryRow::log10,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return std::numbers::log10e / x; },
  };
  return unary<row>(operand);
}

Tensor log1p(const Tensor& operand) {
  static constexpr Unary row{
      .op = "log1p",
      .kernel = &LibraryRow::log1p,
      .keeps = Keeps::x,
      .inverse_slope = [](const Tensor& x) { return 1 + x; },
  };
  return unary<row>(operand);
}

Tensor sqrt(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sqrt",
      .kernel = &FunctionRow::sqrt,
      .keeps = Keeps::y,
      .inverse_slope = [](const Tensor& y) { return 2 * y; },
      .gradient = &ArithmeticRow::sqrt_gradient,
  };
  return unary<row>(operand);
}

Tensor rsqrt(const Tensor& operand) {
  static constexpr Unary row{
      .op = "rsqrt",
      .kernel = &FunctionRow::rsqrt,
      .keeps = Keeps::y,
      .slope =
          [](const Tensor& y) {
            // Compilers may record the terms of one expression in any order, in which their gradients are then summed.
            const Tensor y2 = square(y);
            return -0.5 * y * y2;
          },
      .gradient = &ArithmeticRow::rsqrt_gradient,
  };
  return unary<row>(operand);
}

Tensor reciprocal(const Tensor& operand) {
  static constexpr Unary row{
      .op = "reciprocal",
      .kernel = &FunctionRow::reciprocal,
      .keeps = Keeps::y,
      .slope = [](const Tensor& y) { return -square(y); },
      .gradient = &ArithmeticRow::reciprocal_gradient,
  };
  return unary<row>(operand);
}

Tensor abs(const Tensor& operand) {
  static constexpr Unary row{
      .op = "abs",
      .kernel = &ArithmeticRow::abs,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return sign(x); },
      .gradient = &ArithmeticRow::abs_gradient,
  };
  return unary<row>(operand);
}

Tensor sign(const Tensor& operand) {
  static constexpr Unary row{
      .op = "sign",
      .kernel = &ArithmeticRow::sign,
      .keeps = Keeps::y,
      .dx = [](const Tensor& dy, const Tensor&) { return zeros_like(dy); },
  };
  return unary<row>(operand);
}

Tensor square(const Tensor& operand) {
  static constexpr Unary row{
      .op = "square",
      .kernel = &ArithmeticRow::square,
      .keeps = Keeps::x,
      .slope = [](const Tensor& x) { return 2 * x; },
      .gradient = &ArithmeticRow::square_gradient,
  };
  return unary<row>(operand);
}

// ---- what rounds: constant but for jumps

namespace {

Tensor nothing_of(const Tensor& dy, const Tensor&) { return zeros_like(dy); }

}  // namespace

Tensor floor(const Tensor& operand) {
  static constexpr Unary row{
      .op = "floor",
      .kernel = &ArithmeticRow::floor,
      .keeps = Keeps::y,
      .dx = nothing_of,
  };
  return unary<row>(operand);
}

Tensor ceil(const Tensor& operand) {
  static constexpr Unary row{
      .op = "ceil",
      .kernel = &ArithmeticRow::ceil,
      .keeps = Keeps::y,
      .dx = nothing_of,
  };
  return unary<row>(operand);
}

Tensor trunc(const Tensor& operand) {
  static constexpr Unary row{
      .op = "trunc",
      .kernel = &ArithmeticRow::trunc,
      .keeps = Keeps::y,
      .dx = nothing_of,
  };
  return unary<row>(operand);
}

Tensor round(const Tensor& operand) {
  static constexpr Unary row{
      .op = "round",
      .kernel = &ArithmeticRow::round,
      .keeps = Keeps::y,
      .dx = nothing_of,
  };
  return unary<row>(operand);
}

Tensor frac(const Tensor& x) {
  detail::require_defined("frac", x);
  detail::require_numbers("frac", x);
  return sub(x, trunc(x.detach()));  // exact
}

}  // namespace limpid
