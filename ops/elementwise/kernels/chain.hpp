// The products and quotients of the chain rule, in which a gradient of zero stays zero.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

namespace limpid::kernels {
namespace {

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
template <class T>
constexpr BitsOf<T> sign_bit = BitsOf<T>{1} << (8 * sizeof(T) - 1);

/// dy * d, but a zero where dy is 0, be d infinite or NaN. There the sign alone is left of d before it is multiplied,
/// so that the zero has the sign it always had, and no floating-point exception is raised. In bits, which vectorise.
template <class T>
T chain(T dy, T d) noexcept {
  const BitsOf<T> kept = dy == 0 ? sign_bit<T> : ~BitsOf<T>{0};
  return dy * std::bit_cast<T>(std::bit_cast<BitsOf<T>>(d) & kept);
}

/// a * b, but a zero where either is.
template <class T>
T chain_both(T a, T b) noexcept {
  const BitsOf<T> kept = ((a == 0) | (b == 0)) ? sign_bit<T> : ~BitsOf<T>{0};
  return std::bit_cast<T>(std::bit_cast<BitsOf<T>>(a) & kept) * std::bit_cast<T>(std::bit_cast<BitsOf<T>>(b) & kept);
}

/// dy / d, but a zero where dy is 0, be d 0 or NaN: there it is divided by 1 or -1.
template <class T>
T chain_over(T dy, T d) noexcept {
  const BitsOf<T> kept = dy == 0 ? sign_bit<T> : ~BitsOf<T>{0};
  const BitsOf<T> one = dy == 0 ? std::bit_cast<BitsOf<T>>(T{1}) : BitsOf<T>{0};
  return dy / std::bit_cast<T>((std::bit_cast<BitsOf<T>>(d) & kept) | one);
}

}  // namespace
}  // namespace limpid::kernels
