// Numbers that functions, constructors and rules are given: one rule for all, and one message.
#pragma once
#include <limpid/core/detail/number.hpp>

#include <cfloat>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

namespace limpid::detail::ranges {

/// As error messages show them.
std::string text(double value);
std::string text(int64_t value);

/// All numbers from low to high; both belong to it unless it is open there. NaN is in none.
struct Range {
  double low, high;
  bool open_low = false, open_high = false;

  bool holds(double x) const noexcept { return (open_low ? x > low : x >= low) && (open_high ? x < high : x <= high); }
  std::string to_string() const;
};

// Of what a kernel computes with: in float32 as well.
inline constexpr Range within_float{-FLT_MAX, FLT_MAX}, at_least_0{0, FLT_MAX}, above_0{0, FLT_MAX, true};
inline constexpr Range fraction{0, 1}, fraction_below_1{0, 1, false, true};
inline constexpr Range finite{-infinity, infinity, true, true}, finite_at_least_0{0, infinity, false, true},
    finite_above_0{0, infinity, true, true};
// Of integers.
inline constexpr Range count{1, infinity, false, true};

/// A number with its name and where it must lie. One that is left out is fine.
class Field {
 public:
  Field(const char* name, double value, const Range& range) : Field(name, range, range.holds(value), value) {}
  Field(const char* name, std::optional<double> value, const Range& range)
      : Field(name, range, !value || range.holds(*value), value.value_or(0)) {}
  Field(const char* name, int64_t value, const Range& range)
      : Field(name, range, range.holds(static_cast<double>(value)), value) {}
  /// A number that stands in a text with others.
  Field(const char* name, int64_t value, const Range& range, std::string text)
      : name_(name),
        range_(range),
        holds_(range.holds(static_cast<double>(value))),
        got_(std::move(text)) {}

  void require(const char* who) const;

 private:
  template <class T>
  Field(const char* name, const Range& range, bool holds, T value)
      : name_(name),
        range_(range),
        holds_(holds),
        got_(holds ? std::string() : text(value)) {}

  const char* name_;
  Range range_;
  bool holds_;
  std::string got_;
};

/// Throws ValueError, "who: expected name in [low, high], got value", at the first that lies elsewhere. Who checks a
/// struct of options takes it apart by a structured binding, so that a new field does not compile unchecked.
void expect(const char* who, std::initializer_list<Field> fields);

}  // namespace limpid::detail::ranges
