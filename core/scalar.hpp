// A number as an operand beside tensors.
#pragma once
#include <limpid/core/export.hpp>

#include <concepts>
#include <cstdint>

namespace LIMPID_API limpid {

/// A C++ number that meets a tensor: it takes the tensor's dtype where that can hold its kind (a bool anywhere, an
/// integer in any number, a float in a float), else int64 or float32. Integers are kept as they are, not as doubles.
class Scalar {
 public:
  template <std::floating_point T>
  Scalar(T value) noexcept  // NOLINT: 2 * x is meant to work
      : double_(static_cast<double>(value)),
        int_(__builtin_isgreaterequal(double_, -0x1p63) && __builtin_isless(double_, 0x1p63)
                 ? static_cast<int64_t>(value)
                 : 0),
        kind_(Kind::floating),
        fits_(sizeof(T) <= sizeof(double) || __builtin_isinf(double_) == __builtin_isinf(value)),
        rest_(static_cast<int8_t>(__builtin_isgreater(value, static_cast<T>(double_)) -
                                  __builtin_isless(value, static_cast<T>(double_)))) {}
  template <std::integral T>
  Scalar(T value) noexcept  // NOLINT
      : double_(static_cast<double>(value)),
        int_(static_cast<int64_t>(value)),
        kind_(std::same_as<T, bool> ? Kind::boolean : Kind::integer),
        fits_(static_cast<T>(int_) == value && (int_ < 0) == (value < T{})) {}

  bool is_floating() const noexcept { return kind_ == Kind::floating; }
  bool is_bool() const noexcept { return kind_ == Kind::boolean; }
  /// The nearest double.
  double to_double() const noexcept { return double_; }
  /// The sign of what a long double has beyond to_double(): 1, -1, or 0 where there is nothing.
  int rest() const noexcept { return rest_; }
  /// Of an integer or a bool: itself. Of a float, what lies towards zero; 0 where int64 does not hold that.
  int64_t to_int64() const noexcept { return int_; }
  /// Whether it was kept whole: false of an unsigned number above int64, and of a finite long double beyond double.
  bool fits() const noexcept { return fits_; }

 private:
  enum class Kind : uint8_t { boolean, integer, floating };
  double double_;
  int64_t int_;
  Kind kind_;
  bool fits_;
  int8_t rest_ = 0;
};

}  // namespace limpid
