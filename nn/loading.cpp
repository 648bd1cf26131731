#include <limpid/nn/detail/loading.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>

#include <cmath>

namespace limpid::nn {

using limpid::detail::as_contiguous;
using limpid::detail::as_dtype;

Tensor detail::laid_out_like(const Tensor& like, const Tensor& x) {
  Tensor y = empty_like(like);
  limpid::detail::copy_into(y, x);
  return y;
}

Tensor detail::saved_number(const Tensor& x, DType dtype) {
  if (!x.defined() || x.dim() != 0 || x.dtype() == bool_) return {};
  const Tensor y = as_dtype(x, dtype);
  return has_overflowed(y, x) ? Tensor() : y;
}

std::string detail::text_of_only(const Tensor& x) {
  using limpid::detail::message;
  return is_floating_point(x.dtype()) ? message(x.item<double>()) : message(x.item<int64_t>());
}

bool detail::has_overflowed(const Tensor& y, const Tensor& x) {
  if (y.dtype() == x.dtype()) return false;
  if (!is_floating_point(x.dtype()) || !is_floating_point(y.dtype())) return !equal(as_dtype(y, x.dtype()), x);
  const Tensor after = as_contiguous(as_dtype(y, float64)), before = as_contiguous(as_dtype(x, float64));
  const double *a = after.data<double>(), *b = before.data<double>();
  for (int64_t i = 0; i < after.numel(); ++i)
    if (std::isinf(a[i]) && std::isfinite(b[i])) return true;
  return false;
}

}  // namespace limpid::nn
