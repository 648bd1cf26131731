// erf of doubles to two units in the last place and x Phi(x) to six, with the same bits wherever multiply-adds are
// fused: the C library's erf depends on how it was compiled. The coefficients are of limpid's own fits, by Remez's
// exchange in 60 digits; tests/ops/elementwise/test_functions.cpp holds the results against long double.
#pragma once
#include <limpid/core/kernels/simd.hpp>

#include <cstddef>

namespace limpid::kernels {
namespace {

// erf(x) / x - 1 by powers of x^2, for |x| up to 1: erf to 2^-56 of itself.
constexpr double kErfNear[] = {0.12837916709551256,     -0.3761263890318352,     0.112837916709442,
                               -0.026866170643113415,   0.005223977606130842,    -0.0008548325929766244,
                               0.0001205529358693695,   -1.4924712439534814e-05, 1.6447132699786621e-06,
                               -1.6206318752969208e-07, 1.3710988704190523e-08,  -7.779462971761597e-10};

// (1 + 2 z) e^(z^2) erfc(z) by powers of (z - 3.75) / (z + 3.75), for z from 0.5 to 28.5, to 2^-56 of itself. The form
// is that of M. M. Shepherd and J. G. Laframboise, "Chebyshev Approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x <
// inf", Mathematics of Computation 36 (1981): it is nearly constant, so that an error of its argument hardly matters.
constexpr double kErfcScaled[] = {1.2375126308378275,     -0.1402405985855468,    0.0035854154854674863,
                                  0.08227673849012108,    -0.108803930141951,     0.09230432116133848,
                                  -0.058693398584427056,  0.028362277401660106,   -0.009746579626864208,
                                  0.001755626022229483,   0.0002937141963186542,  -0.00029015507030778217,
                                  5.1646544489594233e-05, 2.2387852936898543e-05, -1.1436226842247152e-05,
                                  -9.8189701708662e-07,   1.7357699415041348e-06, -4.533650672672899e-08,
                                  -2.386781478806301e-07, 1.3551582297698306e-08, 2.400552546190749e-08};

template <class B, std::size_t count>
B polynomial(const double (&coefficients)[count], B x) noexcept {
  B sum(coefficients[count - 1]);
  for (std::size_t i = count - 1; i-- > 0;) sum = xsimd::fma(sum, x, B(coefficients[i]));
  return sum;
}

// erf(x) for |x| up to 1.
template <class B>
B erf_near(B x) noexcept {
  return xsimd::fma(x, polynomial(kErfNear, x * x), x);
}

// x^2 = high + low, by Dekker's product of halves: no fused multiply-add is needed for it.
template <class B>
struct ExactSquare {
  B high, low;
  explicit ExactSquare(B x) noexcept : high(x * x) {
    const B scaled = x * B(134217729.0), top = scaled - (scaled - x), rest = x - top;
    low = ((top * top - high) + B(2.0) * top * rest) + rest * rest;
  }
};

// factor erfc(z) for z from 0.5 to 28.5, where z^2 = high + low.
template <class B>
B erfc_far(B factor, B z, B high, B low) noexcept {
  const B scaled = polynomial(kErfcScaled, (z - B(3.75)) / (z + B(3.75))) / (B(1.0) + B(2.0) * z);
  // A power that would be subnormal is multiplied in two halves, so that only the result loses digits.
  const auto halves = high > B(700.0);
  const B power = xsimd::exp(-xsimd::select(halves, B(0.5) * high, high));
  const B y = factor * scaled * (power - power * low);
  return xsimd::select(halves, y * power, y);
}

template <class B>
B erf_of(B x) noexcept {
  const B z = xsimd::min(xsimd::abs(x), B(6.0));  // beyond, 1 to the last digit
  const ExactSquare<B> square(z);
  const B far = B(1.0) - erfc_far(B(1.0), z, square.high, square.low);
  const B near = erf_near(xsimd::min(xsimd::max(x, B(-1.0)), B(1.0)));  // without overflow elsewhere
  return xsimd::select(z < B(1.0), near, xsimd::copysign(far, x));
}

// x Phi(x) = x erfc(-x / sqrt 2) / 2, without cancellation in the lower tail, where an error of x^2 / 2 would be
// amplified.
template <class B>
B gelu_of(B x) noexcept {
  constexpr double root_half = 0.70710678118654752440;
  const B capped = xsimd::min(xsimd::max(x, B(-40.0)), B(40.0));
  const B near_zero = xsimd::min(xsimd::max(x, B(-1.0)), B(1.0)) * B(root_half);
  const B z = xsimd::abs(capped) * B(root_half), half = B(0.5) * x;
  const ExactSquare<B> square(capped);
  const B lower = erfc_far(B(0.5) * capped, z, B(0.5) * square.high, B(0.5) * square.low);
  return xsimd::select(z < B(0.5), half * (B(1.0) + erf_near(near_zero)), xsimd::select(x < B(0.0), lower, x - lower));
}

}  // namespace
}  // namespace limpid::kernels
