// erf of doubles to two units in the last place, x Phi(x) to six and its derivative to five, with the same bits
// wherever multiply-adds are fused: the C library's erf depends on how it was compiled. The coefficients are of
// limpid's own fits, by Remez's exchange in 60 digits; tests/ops/elementwise/test_functions.cpp holds the results
// against long double.
#pragma once
#include <limpid/ops/elementwise/kernels/power.hpp>

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

// (a + 3.75) e^(a^2 / 2) Phi(-a) by powers of (a - 3.75) / (a + 3.75), for a to 13.3, to 2^-26 of itself.
constexpr double kNormalTail[] = {0.7502940742576115,   -0.5881882779155387,   0.3529396005762377,
                                  -0.1515208338057574,  0.037492549140759876,  0.0012001140300386415,
                                  -0.00416912105513398, 0.0005094422595513734, 0.00044336883715868615};

// (Phi(x) - 1/2) / x by powers of x^2, for |x| up to 0.7, to 2^-29 of itself.
constexpr double kPhiNear[] = {0.39894227986114883, -0.06649032645002348, 0.009972700650216547, -0.0011825116534077184,
                               0.00010425383687514963};

// The derivative of x Phi(x), over (x - root) e^(-x^2 / 2), for x = -a up to 0: by powers of (a - 4) / (a + 4) for a to
// 40, to 2^-54 of itself, and of (a - 3) / (a + 3) for a to 14, to 2^-26.
constexpr double kGeluRoot = -0.7517915246935645, kGeluRootLow = 1.4956759177009883e-17;
constexpr double kGeluSlope[] = {
    0.4622112440495753,     -0.10336589852195686,    0.06046293676785043,     -0.028083359953053683,
    0.009504950375125798,   -0.0017882605410722353,  -0.00015461331332665323, 0.0001857757723543582,
    -1.747721001762608e-05, -1.803492054465454e-05,  3.5388792907004015e-06,  2.2166461688819513e-06,
    -4.921085302082175e-07, -3.4907751051286047e-07, 5.231247499232994e-08,   6.267875496612644e-08,
    -7.35425999237848e-10,  -1.0632238139909318e-08, -1.6252349290916825e-09, 1.1852956708859667e-09,
    3.757053679723266e-10,  -1.4486168756407915e-13};
constexpr double kGeluSlopeOfFloat[] = {0.4782976806163788,     -0.11997544020414352,    0.05359615758061409,
                                        -0.014074474573135376,  0.00020351179409772158,  0.001092717982828617,
                                        -9.228598355548456e-05, -0.00012280806549824774, 3.906314304913394e-06,
                                        1.0977761121466756e-05};

// erf(x) for |x| up to 1.
template <class B>
B erf_near(B x) noexcept {
  return fused(x, polynomial(kErfNear, x * x), x);
}

// a b - product, exactly, for the product as rounded: by Dekker's product of halves where multiply-adds are not fused.
template <class B>
B product_error(B a, B b, B product) noexcept {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return fused(a, b, -product);
#else
  using T = typename B::value_type;
  const B factor(sizeof(T) == 4 ? T(4097) : T(134217729)), p = a * factor, q = b * factor;
  const B a_top = p - (p - a), b_top = q - (q - b), a_rest = a - a_top, b_rest = b - b_top;
  return ((a_top * b_top - product) + (a_top * b_rest + a_rest * b_top)) + a_rest * b_rest;
#endif
}

// x^2 = high + low.
template <class B>
struct ExactSquare {
  B high, low;
  explicit ExactSquare(B x) noexcept : high(x * x), low(product_error(x, x, high)) {}
};

// e^(z^2) erfc(z) for z from 0.5 to 28.5.
template <class B>
B erfc_scaled(B z) noexcept {
  return polynomial(kErfcScaled, (z - B(3.75)) / (z + B(3.75))) / (B(1.0) + B(2.0) * z);
}

// x - root, without a rounding where they are near to one another.
template <class B>
B distance(B x, double root, double low) noexcept {
  using T = typename B::value_type;
  const T high = static_cast<T>(root);
  return (x - B(high)) - B(static_cast<T>((root - double{high}) + low));
}

// factor e^-(high + low), for a small low; of floats only where the power is normal.
template <class B>
B times_power(B factor, B high, B low) noexcept {
  if constexpr (sizeof(typename B::value_type) == 4) {
    Power<B> power(-high);
    power.part -= fused(low, power.part, low);
    return factor * power.value();
  } else {
    // A power that would be subnormal is multiplied in two halves, so that only the result loses digits.
    const auto halves = high > B(700.0);
    const B power = xsimd::exp(-xsimd::select(halves, B(0.5) * high, high));
    const B y = factor * (power - power * low);
    return xsimd::select(halves, y * power, y);
  }
}

// factor erfc(z) for z from 0.5 to 28.5, where z^2 = high + low.
template <class B>
B erfc_far(B factor, B z, B high, B low) noexcept {
  return times_power(factor * erfc_scaled(z), high, low);
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

// The same of floats from -13.1 on; near 0 Phi is 1/2 and an odd polynomial.
template <class B>
B gelu_of_float(B x) noexcept {
  const B near = xsimd::min(xsimd::max(x, B(-0.7f)), B(0.7f));
  const B phi_near = fused(near, polynomial(kPhiNear, near * near), B(0.5f));
  const B a = xsimd::min(xsimd::abs(x), B(13.1f)), half(0.5f), over = B(1) / (a + B(3.75f));
  const ExactSquare<B> square(a);
  const B scaled = polynomial(kNormalTail, fused(B(-7.5f), over, B(1))) * over;
  const B tail = times_power(scaled, half * square.high, half * square.low);
  return x * xsimd::select(a < B(0.7f), phi_near, xsimd::select(x < B(0), tail, B(1) - tail));
}

// Phi(x) + x phi(x), the derivative of x Phi(x): below 0 a multiple of e^(-x^2 / 2) and of the distance from its root,
// above 1 less that of -x.
template <class B>
B gelu_slope_of(B x) noexcept {
  constexpr bool is_wide = sizeof(typename B::value_type) == 8;
  const B limit(is_wide ? 40 : 12), a = xsimd::min(xsimd::abs(x), limit), centre(is_wide ? 4 : 3);
  const ExactSquare<B> square(a);
  const B half(0.5f), t = (a - centre) / (a + centre);
  B slope = distance(-a, kGeluRoot, kGeluRootLow);
  if constexpr (is_wide)
    slope *= polynomial(kGeluSlope, t);
  else
    slope *= polynomial(kGeluSlopeOfFloat, t);
  const B lower = times_power(slope, half * square.high, half * square.low);
  return xsimd::select(x < B(0), lower, B(1) - lower);
}

}  // namespace
}  // namespace limpid::kernels
