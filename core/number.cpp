#include <limpid/core/detail/number.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <ostream>

namespace limpid {
namespace detail {
namespace {

// As printf's %g has it, with an exponent for what is small or needs more than 17 digits.
template <class T>
std::string shortest(T x) {
  if (std::isnan(x)) return "nan";
  const T magnitude = std::abs(x);
  const bool fixed = magnitude == 0 || (magnitude >= T(1e-4) && magnitude < T(1e17));
  char text[64];
  const auto end =
      std::to_chars(text, text + sizeof text, x, fixed ? std::chars_format::fixed : std::chars_format::scientific);
  return {text, end.ptr};
}

[[noreturn]] void refuse(const char* op, Scalar x, DType dtype) {
  throw_error<ValueError>(op, ": expected a number that ", dtype, " holds, got ", text_of(x));
}

// Where x lies beside what T holds.
enum class Place { below, within, above, nowhere };

template <class T>
Place place_of(Scalar x) noexcept {
  using Limits = std::numeric_limits<T>;
  if (x.is_int64()) {
    const int64_t value = x.to_int64();
    return value < int64_t{Limits::min()}   ? Place::below
           : value > int64_t{Limits::max()} ? Place::above
                                            : Place::within;
  }
  // Both bounds are exact, for max + 1 is a power of two; behind the point nothing counts.
  const double value = std::trunc(x.to_double()), top = std::ldexp(1.0, Limits::digits);
  if (std::isnan(value)) return Place::nowhere;
  return value < static_cast<double>(Limits::min()) ? Place::below : value >= top ? Place::above : Place::within;
}

template <class T>
void store(const char* op, Scalar x, DType dtype, void* place, bool saturates) {
  using Limits = std::numeric_limits<T>;
  const Place lies = place_of<T>(x);
  if (lies == Place::nowhere || (lies != Place::within && !saturates)) refuse(op, x, dtype);
  *static_cast<T*>(place) = lies == Place::below   ? Limits::min()
                            : lies == Place::above ? Limits::max()
                                                   : static_cast<T>(x.to_int64());
}

float odd_of(Scalar x) noexcept {
  if (x.is_floating()) return odd_float(x.to_double());
  if (x.is_int64()) return odd_float(x.to_int64());
  const auto whole = static_cast<uint64_t>(x.to_int64());
  return 2 * odd_float(static_cast<int64_t>(whole >> 1 | (whole & 1)));
}

float nearest_float(Scalar x) noexcept {
  if (x.is_floating()) return static_cast<float>(x.to_double());
  return x.is_int64() ? static_cast<float>(x.to_int64()) : static_cast<float>(static_cast<uint64_t>(x.to_int64()));
}

void store_any(const char* op, Scalar x, DType dtype, void* place, bool saturates) {
  const double value = x.to_double();
  // Of floating-point types, infinity is the nearest to what lies beyond them.
  const auto keep = [&]<class T>(T y, bool finite) {
    if (!finite && std::isfinite(value) && !saturates) refuse(op, x, dtype);
    *static_cast<T*>(place) = y;
  };
  switch (dtype) {
    case DType::bool_: *static_cast<bool*>(place) = value != 0; return;
    case DType::uint8: return store<uint8_t>(op, x, dtype, place, saturates);
    case DType::int32: return store<int32_t>(op, x, dtype, place, saturates);
    case DType::int64: return store<int64_t>(op, x, dtype, place, saturates);
    case DType::float16: {
      const Half y = to_half(odd_of(x));
      return keep(y, std::isfinite(to_float(y)));
    }
    case DType::bfloat16: {
      const BFloat16 y = to_bfloat16(odd_of(x));
      return keep(y, std::isfinite(to_float(y)));
    }
    case DType::float32: {
      const auto y = nearest_float(x);
      return keep(y, std::isfinite(y));
    }
    case DType::float64: return keep(value, std::isfinite(value));
  }
}

Scalar read_back(const char* op, Scalar x, DType dtype, bool saturates) {
  alignas(8) std::byte element[8];
  store_any(op, x, dtype, element, saturates);
  return visit_dtype(dtype, [&]<class T>(T) -> Scalar {
    const T y = *reinterpret_cast<const T*>(element);
    if constexpr (std::is_arithmetic_v<T>)
      return y;
    else
      return to_float(y);
  });
}

}  // namespace

std::string text_of(double x) { return shortest(x); }
std::string text_of(float x) { return shortest(x); }
std::string text_of(Scalar x) {
  if (x.is_floating()) return text_of(x.to_double());
  return x.is_int64() ? message(x.to_int64()) : message(static_cast<uint64_t>(x.to_int64()));
}

void refuse_beyond_double(long double value) {
  throw_error<ValueError>("number: expected one that float64 holds, got ", shortest(value));
}

float odd_float(double x) noexcept {
  const auto nearest = static_cast<float>(x);
  const auto bits = std::bit_cast<uint32_t>(nearest);
  if (static_cast<double>(nearest) == x || std::isnan(x) || bits & 1) return nearest;
  // The neighbours of x are two floats in a row, of which one is odd; infinity counts as the even one after the
  // largest.
  return std::bit_cast<float>(std::abs(static_cast<double>(nearest)) < std::abs(x) ? bits + 1 : bits - 1);
}

float odd_float(int64_t x) noexcept {
  // 53 bits that double holds, the last of them odd where more are lost.
  constexpr int64_t lost = (int64_t{1} << 11) - 1;
  if (x >= -(int64_t{1} << 53) && x <= int64_t{1} << 53) return odd_float(static_cast<double>(x));
  return odd_float(static_cast<double>((x & ~lost) | (x & lost ? lost + 1 : 0)));
}

__int128 whole_of(Scalar x) noexcept {
  if (x.is_int64()) return x.to_int64();
  return x.is_floating() ? static_cast<__int128>(x.to_double()) : static_cast<uint64_t>(x.to_int64());
}

void store_number(const char* op, Scalar x, DType dtype, void* place) { store_any(op, x, dtype, place, false); }
Scalar stored(const char* op, Scalar x, DType dtype) { return read_back(op, x, dtype, false); }
Scalar saturated(const char* op, Scalar x, DType dtype) { return read_back(op, x, dtype, true); }

}  // namespace detail
}  // namespace limpid
