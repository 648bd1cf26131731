// Polynomials, and the exponential of floats that is made of one.
#pragma once
#include <limpid/core/kernels/simd.hpp>

#include <cstddef>

namespace limpid::kernels {
namespace {

template <class B, std::size_t count>
B polynomial(const double (&coefficients)[count], B x) noexcept {
  using T = typename B::value_type;
  B sum(static_cast<T>(coefficients[count - 1]));
  for (std::size_t i = count - 1; i-- > 0;) sum = fused(sum, x, B(static_cast<T>(coefficients[i])));
  return sum;
}

// e^z of floats as scale (1 + part), for z from -87 to 0: part = e^r - 1 for r = z - k ln 2, by a polynomial that was
// fitted to (e^r - 1 - r) / r^2 for the least error relative to part, 1.4e-8.
template <class B>
struct Power {
  B scale, part;
  explicit Power(B z) noexcept {
    using Bits = xsimd::as_integer_t<B>;
    const B round(0x1.8p23f), shifted = fused(z, B(1.44269504f), round), k = shifted - round;
    const B r = fused(k, B(-0x1.7f7d1cp-20f), fused(k, B(-0x1.62e4p-1f), z));
    scale = xsimd::bitwise_cast<B>((xsimd::bitwise_cast<Bits>(shifted) + Bits(127)) << 23);
    part = fused(r * r, polynomial(fitted, r), r);
  }
  B value() const noexcept { return fused(scale, part, scale); }
  B less_1() const noexcept { return fused(scale, part, scale - B(1)); }

 private:
  static constexpr double fitted[] = {0.49999998143381524, 0.16666543168170378, 0.041667202029718, 0.008366581277308471,
                                      0.0013882492952177142};
};

// log(1 + e) of floats from 0 to 1 as 2 artanh(s) for s = e / (2 + e): of the terms beyond 2 s a fit over s^2 to 1/9,
// to 2^-26 of all.
template <class B>
B log1p_of_power(B e) noexcept {
  constexpr double fitted[] = {0.6666663994148427, 0.40007625830756854, 0.28235041147863876, 0.26861021789043044};
  const B s = e / (B(2) + e), square = s * s;
  return fused(s * square, polynomial(fitted, square), s + s);
}

}  // namespace
}  // namespace limpid::kernels
