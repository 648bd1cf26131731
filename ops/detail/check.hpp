// Checks that ops share.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/scalar.hpp>
#include <limpid/core/tensor.hpp>

#include <cmath>

namespace limpid::detail {

inline void require_defined(const char* op, const Tensor& x) {
  if (!x.defined()) [[unlikely]]
    throw_error<ValueError>(op, ": expected a defined tensor, got an undefined tensor");
}

/// Of several operands, the one that is missing by its name.
inline void require_defined(const char* op, const char* name, const Tensor& x) {
  if (!x.defined()) [[unlikely]]
    throw_error<ValueError>(op, ": expected a defined ", name, ", got an undefined tensor");
}

inline void require_numbers(const char* op, const Tensor& x) {
  if (x.dtype() == bool_) [[unlikely]]
    throw_error<DTypeError>(op, ": expected numbers, got bool; convert with to()");
}

/// A number for elements of x: those of integers have nothing behind the point, which it would lose.
inline void require_whole(const char* op, const Tensor& x, Scalar value) {
  const double number = value.to_double();
  if (!is_floating_point(x.dtype()) && number != std::trunc(number))
    throw_error<ValueError>(op, ": expected a whole number for ", x.dtype(), ", got ", number);
}

}  // namespace limpid::detail
