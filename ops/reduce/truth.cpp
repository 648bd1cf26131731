// Whether all elements, or any, are other than 0.
#include <limpid/core/detail/array.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/driver.hpp>

namespace limpid {

namespace {

Tensor truth(const char* op, detail::ReduceInto reduction, const Tensor& x, const Axes& axes, bool keepdims) {
  detail::require_defined(op, x);
  const Axes over = normalize_axes(axes, x.dim(), op);
  const Tensor y = detail::reduced_like(x, over, keepdims, bool_);
  reduction(y, detail::as_dtype(x, bool_), over);
  return y;
}

}  // namespace

Tensor all(const Tensor& x, const Axes& axes, bool keepdims) {
  return truth("all", detail::all_into, x, axes, keepdims);
}
Tensor any(const Tensor& x, const Axes& axes, bool keepdims) {
  return truth("any", detail::any_into, x, axes, keepdims);
}

}  // namespace limpid
