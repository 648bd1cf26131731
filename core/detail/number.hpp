// Numbers that a caller writes where a tensor's elements are made, by one rule: what its dtype does not hold is
// refused. (Where a tensor is converted, elements are cast: see copy_into().)
#pragma once
#include <limpid/core/dtype.hpp>
#include <limpid/core/scalar.hpp>

#include <limits>
#include <string>

namespace limpid::detail {

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// The digits of an integer, all of them; of a float the shortest text that reads back as it.
std::string text_of(Scalar x);

/// Writes x to place as an element of dtype. Fractions lose what lies behind the point where dtype is an integer type,
/// and are rounded by floating-point types; bool is whether x is not 0. Throws ValueError, naming op, where dtype does
/// not hold x: it is out of range, a finite number that would become infinite, or NaN or infinite in an integer type.
void store_number(const char* op, Scalar x, DType dtype, void* place);

/// The number that dtype holds in place of x, as store_number() stores it. What keeps a number for a derivative keeps
/// this one, lest value and derivative be of two numbers.
Scalar stored(const char* op, Scalar x, DType dtype);

/// The same, but what lies out of range becomes the nearest one: for bounds. NaN is refused where dtype is an integer
/// type.
Scalar saturated(const char* op, Scalar x, DType dtype);

/// x rounded to odd: itself where float holds it, else the one of its two neighbours among the floats whose last bit is
/// 1. To round that to nearest in float16 or bfloat16 rounds x itself, once (Boldo and Melquiond, "Emulation of FMA and
/// correctly rounded sums", 2008), which static_cast<float>(x) would not.
float odd_float(double x) noexcept;
float odd_float(int64_t x) noexcept;

/// An integer, or what of a float of at most 2^64 lies towards zero.
__int128 whole_of(Scalar x) noexcept;

template <class T>
T number(const char* op, Scalar x) {
  T y;
  store_number(op, x, dtype_of<T>(), &y);
  return y;
}

}  // namespace limpid::detail
