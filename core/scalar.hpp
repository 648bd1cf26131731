// A number as an operand beside tensors.
#pragma once
#include <limpid/core/export.hpp>

#include <concepts>
#include <cstdint>

namespace LIMPID_API limpid {

/// A C++ number that meets a tensor: it takes the tensor's dtype where that can hold its kind (a bool anywhere, an
/// integer in any number, a float in a float), else int64 or float32.
class Scalar {
 public:
  template <std::floating_point T>
  Scalar(T value) noexcept : double_(value),
                             int_(0),
                             kind_(Kind::floating) {}  // NOLINT: 2 * x is meant to work
  template <std::integral T>
  Scalar(T value) noexcept  // NOLINT
      : double_(static_cast<double>(value)),
        int_(static_cast<int64_t>(value)),
        kind_(std::same_as<T, bool> ? Kind::boolean : Kind::integer) {}

  bool is_floating() const noexcept { return kind_ == Kind::floating; }
  bool is_bool() const noexcept { return kind_ == Kind::boolean; }
  double to_double() const noexcept { return double_; }
  int64_t to_int64() const noexcept { return is_floating() ? static_cast<int64_t>(double_) : int_; }

 private:
  enum class Kind : uint8_t { boolean, integer, floating };
  double double_;
  int64_t int_;
  Kind kind_;
};

}  // namespace limpid
