// A number as an operand beside tensors.
#pragma once
#include <limpid/core/export.hpp>

#include <concepts>
#include <cstdint>

namespace LIMPID_API limpid {

/// What a Scalar is made of: an integer of at most 64 bits or a floating-point number.
template <class T>
concept Number = std::floating_point<T> ||(std::integral<T> && sizeof(T) <= sizeof(int64_t));

namespace detail {

[[noreturn]] void refuse_beyond_double(long double value);

/// The nearest double. Throws ValueError where that of a finite number is infinite.
template <std::floating_point T>
double nearest_double(T value) noexcept(sizeof(T) <= sizeof(double)) {
  const auto nearest = static_cast<double>(value);
  if constexpr (sizeof(T) > sizeof(double))
    if (__builtin_isinf(nearest) && !__builtin_isinf(value)) [[unlikely]]
      refuse_beyond_double(static_cast<long double>(value));
  return nearest;
}

}  // namespace detail

/// A C++ number that meets a tensor: it takes the tensor's dtype where that can hold its kind (a bool anywhere, an
/// integer in any number, a float in a float), else int64 or float32. Integers are kept as they are, not as doubles. A
/// long double counts as the double nearest to it; a finite one beyond all doubles is refused: throws ValueError.
class Scalar {
 public:
  template <std::floating_point T>
  Scalar(T value) noexcept(sizeof(T) <= sizeof(double))  // NOLINT: 2 * x is meant to work
      : double_(detail::nearest_double(value)),
        int_(__builtin_isgreaterequal(double_, -0x1p63) && __builtin_isless(double_, 0x1p63)
                 ? static_cast<int64_t>(double_)
                 : 0),
        kind_(Kind::floating),
        is_int64_(static_cast<double>(int_) == double_) {}
  template <std::integral T>
  requires Number<T> Scalar(T value)
  noexcept  // NOLINT
      : double_(static_cast<double>(value)),
        int_(static_cast<int64_t>(value)),
        kind_(std::same_as<T, bool> ? Kind::boolean : Kind::integer),
        is_int64_(static_cast<T>(int_) == value && (int_ < 0) == (value < T{})) {}

  bool is_floating() const noexcept { return kind_ == Kind::floating; }
  bool is_bool() const noexcept { return kind_ == Kind::boolean; }
  /// Whether to_int64() is the number itself: false of a fraction, NaN, and what lies out of int64's range.
  bool is_int64() const noexcept { return is_int64_; }
  /// The nearest double, which of a float is the number itself.
  double to_double() const noexcept { return double_; }
  /// Of an integer or a bool: itself, of an unsigned one above int64 its bits. Of a float, what lies towards zero; 0
  /// where int64 does not hold that.
  int64_t to_int64() const noexcept { return int_; }

 private:
  enum class Kind : uint8_t { boolean, integer, floating };
  double double_;
  int64_t int_;
  Kind kind_;
  bool is_int64_;
};

}  // namespace limpid
