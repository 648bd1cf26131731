// Checks that the normalisation functions share, in the order in which they are made.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/ops/detail/check.hpp>

namespace limpid::detail {

inline void check_rank(const Tensor& x, int64_t least, const char* axes, const char* op) {
  require_defined(op, "x", x);
  if (x.dim() < least)
    throw_error<ShapeError>(op, ": expected x of shape ", axes, " with at least ", least, " axes, got shape ",
                            x.shape());
}

/// One value per channel, or none.
inline void check_per_channel(const Tensor& t, const char* what, const Tensor& x, const char* op) {
  if (!t.defined()) return;
  if (t.shape() != Shape{x.shape()[1]})
    throw_error<ShapeError>(op, ": expected ", what, " of shape ", Shape{x.shape()[1]}, " for x of shape ", x.shape(),
                            ", got ", t.shape());
}

inline void check_floating_point(const Tensor& x, const char* op) {
  if (!is_floating_point(x.dtype())) throw_error<DTypeError>(op, ": expected a floating-point x, got ", x.dtype());
}

/// x's dtype; beside a half-precision x also float32, in which the arithmetic happens.
inline void check_same_dtype(const Tensor& t, const char* what, const Tensor& x, const char* op) {
  if (!t.defined() || t.dtype() == x.dtype() || (is_half(x.dtype()) && t.dtype() == float32)) return;
  throw_error<DTypeError>(op, ": expected x and ", what, " of one dtype, got ", x.dtype(), " and ", t.dtype(),
                          "; convert with to()");
}

}  // namespace limpid::detail
