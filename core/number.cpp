#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/error.hpp>

#include <cmath>
#include <limits>
#include <ostream>

namespace limpid {
namespace detail {
namespace {

[[noreturn]] void refuse(const char* op, Scalar x, DType dtype) {
  const auto got = [&](auto value) {
    throw_error<ValueError>(op, ": expected a number that ", dtype, " holds, got ", value);
  };
  if (x.is_floating() || !x.fits()) got(x.to_double());
  got(x.to_int64());
  __builtin_unreachable();
}

// Where x lies beside what T holds.
enum class Place { below, within, above, nowhere };

template <class T>
Place place_of(Scalar x) noexcept {
  using Limits = std::numeric_limits<T>;
  if (!x.is_floating() && x.fits()) {
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

void store_any(const char* op, Scalar x, DType dtype, void* place, bool saturates) {
  const double value = x.to_double();
  // Of floating-point types, infinity is the nearest to what lies beyond them.
  const auto keep = [&]<class T>(T y, bool finite) {
    const bool lost = (x.is_floating() && !x.fits()) || (!finite && std::isfinite(value));
    if (lost && !saturates) refuse(op, x, dtype);
    *static_cast<T*>(place) = y;
  };
  switch (dtype) {
    case DType::bool_: *static_cast<bool*>(place) = value != 0; return;
    case DType::uint8: return store<uint8_t>(op, x, dtype, place, saturates);
    case DType::int32: return store<int32_t>(op, x, dtype, place, saturates);
    case DType::int64: return store<int64_t>(op, x, dtype, place, saturates);
    case DType::float16: {
      const Half y = to_half(static_cast<float>(value));
      return keep(y, std::isfinite(to_float(y)));
    }
    case DType::bfloat16: {
      const BFloat16 y = to_bfloat16(static_cast<float>(value));
      return keep(y, std::isfinite(to_float(y)));
    }
    case DType::float32: {
      const auto y = static_cast<float>(value);
      return keep(y, std::isfinite(y));
    }
    case DType::float64: return keep(value, std::isfinite(value));
  }
}

}  // namespace

void store_number(const char* op, Scalar x, DType dtype, void* place) { store_any(op, x, dtype, place, false); }
void store_saturated(const char* op, Scalar x, DType dtype, void* place) { store_any(op, x, dtype, place, true); }

}  // namespace detail
}  // namespace limpid
