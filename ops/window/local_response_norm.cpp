#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/window.hpp>

#include <algorithm>

namespace limpid {

Tensor local_response_norm(const Tensor& x, int64_t size, double alpha, double beta, double k) {
  const char* op = "local_response_norm";
  detail::require_defined(op, "x", x);
  if (x.dim() < 3)
    detail::throw_error<ShapeError>(op, ": expected x of shape (N, C, *) with 3 axes or more, got ", x.shape());
  using namespace detail::ranges;
  expect(op, {{"size", size, count}, {"alpha", alpha, finite}, {"beta", beta, finite}, {"k", k, finite}});
  const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x}});
  for (const double number : {alpha, beta, k}) detail::stored(op, number, is_half(dtype) ? float32 : dtype);
  if (is_half(dtype)) return local_response_norm(x.to(float32), size, alpha, beta, k).to(dtype);
  if (x.numel() == 0) return x.clone();
  const detail::OpScope scope(op);
  // Means along the channels, as of one column of an image; what a window has beyond all channels is left out.
  const int64_t n = x.size(0), c = x.size(1), below = std::min(size / 2, c), above = std::min((size - 1) / 2, c);
  const Tensor squares = pad(reshape(square(x), {n, 1, c, -1}), {0, 0, below, above});
  const Tensor means = avg_pool2d(squares, {below + above + 1, 1}, {.stride = 1, .divisor_override = size});
  return x / pow(reshape(means, x.shape()) * alpha + k, beta);
}

}  // namespace limpid
