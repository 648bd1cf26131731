// Calls of a generic function for the C++ type that a tensor of some dtype asks for; visit_dtype() visits all of them.
#pragma once
#include <limpid/core/dtype.hpp>

#include <type_traits>
#include <utility>

namespace limpid::detail {

/// f(float{}), or f(double{}) for float64: of a dtype that is one of the two.
template <class F>
decltype(auto) visit_float(DType dtype, F&& f) {
  return dtype == DType::float64 ? std::forward<F>(f)(double{}) : std::forward<F>(f)(float{});
}

/// f(T{}) for what C++ computes with: nothing for float16 and bfloat16.
template <class F>
void visit_number(DType dtype, F&& f) {
  visit_dtype(dtype, [&]<class T>(T) {
    if constexpr (std::is_arithmetic_v<T>) f(T{});
  });
}

/// f(T{}) for an unsigned T of dtype's size: for moving elements as they are.
template <class F>
void visit_size(DType dtype, F&& f) {
  switch (itemsize(dtype)) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

}  // namespace limpid::detail
