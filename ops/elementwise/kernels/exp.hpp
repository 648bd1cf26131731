// An exponential that compilers vectorise, with the same bits on every instruction set.
#pragma once
#include <bit>
#include <cstdint>

namespace limpid::kernels {
namespace {

// exp(x) for x <= 0 to about 1 ulp: x = k ln 2 + r with |r| <= ln 2 / 2, exp(r) by its Taylor series to r^13 / 13!,
// whose remainder is below 2^-58. 0 below -708, where 2^k would leave the normal range; NaN stays.
inline double exp_down(double x) noexcept {
  constexpr double log2e = 1.4426950408889634074, ln2_high = 6.93147180369123816490e-01,
                   ln2_low = 1.90821492927058770002e-10, round = 0x1.8p52;
  // By a mask of bits, for of two choices the compiler would make one at the end, and -infinity raise exceptions
  // before.
  const std::uint64_t kept = x < -708 ? 0 : ~std::uint64_t{0};
  const double inside = std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & kept);
  const double shifted = inside * log2e + round;  // the nearest integer, in the low bits
  const double k = shifted - round;
  const double r = (inside - k * ln2_high) - k * ln2_low;
  // Horner, written out: a loop here would keep the loop around it from becoming vectors.
  double p = 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1;
  p = p * r + 1;
  const double power = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(p * power) & kept);
}

}  // namespace
}  // namespace limpid::kernels
