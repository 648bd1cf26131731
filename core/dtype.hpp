// Element types.
#pragma once
#include <limpid/core/export.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <type_traits>

namespace LIMPID_API limpid {

/// In order of promotion: a result takes the later of two; float16 with bfloat16 gives float32.
enum class DType : uint8_t { bool_, uint8, int32, int64, float16, bfloat16, float32, float64 };

inline constexpr DType bool_ = DType::bool_, uint8 = DType::uint8, int32 = DType::int32, int64 = DType::int64,
                       float16 = DType::float16, bfloat16 = DType::bfloat16, float32 = DType::float32,
                       float64 = DType::float64;

/// Storage alone: arithmetic happens in float32.
struct Half {
  uint16_t bits;
  friend bool operator==(Half, Half) = default;
};
struct BFloat16 {
  uint16_t bits;
  friend bool operator==(BFloat16, BFloat16) = default;
};

/// IEEE conversions, to nearest, ties to even; NaN stays NaN.
float to_float(Half x) noexcept;
inline float to_float(BFloat16 x) noexcept { return std::bit_cast<float>(uint32_t{x.bits} << 16); }
Half to_half(float x) noexcept;
BFloat16 to_bfloat16(float x) noexcept;

namespace detail {
inline constexpr uint8_t item_sizes[] = {1, 1, 4, 8, 2, 2, 4, 8};
}
/// Bytes per element.
constexpr std::size_t itemsize(DType dtype) noexcept { return detail::item_sizes[static_cast<std::size_t>(dtype)]; }
/// Stored alone; arithmetic happens in float32.
constexpr bool is_half(DType dtype) noexcept { return dtype == DType::float16 || dtype == DType::bfloat16; }
constexpr bool is_floating_point(DType dtype) noexcept { return dtype >= DType::float16 && dtype <= DType::float64; }

/// "float32"; bool_ is "bool"; "unknown dtype" where it is none of them.
std::string_view to_string(DType dtype) noexcept;
std::ostream& operator<<(std::ostream& out, DType dtype);

constexpr DType promote_types(DType a, DType b) noexcept {
  const DType low = a < b ? a : b, high = a < b ? b : a;
  return low == DType::float16 && high == DType::bfloat16 ? DType::float32 : high;
}

namespace detail {
template <class T, class... Types>
inline constexpr bool is_one_of = (std::is_same_v<T, Types> || ...);
}
/// Whether a dtype has elements of this C++ type.
template <class T>
inline constexpr bool has_dtype =
    detail::is_one_of<T, bool, uint8_t, int32_t, int64_t, long long, Half, BFloat16, float, double>;

/// dtype_of<float>() is float32, and so on.
template <class T>
constexpr DType dtype_of() noexcept {
  static_assert(has_dtype<T>,
                "no limpid dtype has elements of this type: expected bool, uint8_t, int32_t, int64_t, Half, BFloat16, "
                "float or double");
  if constexpr (std::is_same_v<T, bool>) return DType::bool_;
  if constexpr (std::is_same_v<T, uint8_t>) return DType::uint8;
  if constexpr (std::is_same_v<T, int32_t>) return DType::int32;
  if constexpr (detail::is_one_of<T, int64_t, long long>) return DType::int64;
  if constexpr (std::is_same_v<T, Half>) return DType::float16;
  if constexpr (std::is_same_v<T, BFloat16>) return DType::bfloat16;
  if constexpr (std::is_same_v<T, float>) return DType::float32;
  return DType::float64;
}

/// Calls f(T{}) for the C++ type of dtype.
template <class F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bool_: return f(bool{});
    case DType::uint8: return f(uint8_t{});
    case DType::int32: return f(int32_t{});
    case DType::int64: return f(int64_t{});
    case DType::float16: return f(Half{});
    case DType::bfloat16: return f(BFloat16{});
    case DType::float32: return f(float{});
    case DType::float64: break;
  }
  return f(double{});
}

}  // namespace limpid
