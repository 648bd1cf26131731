// Activations that look at the axes of what they are given.
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid {

using detail::require_defined;
using detail::throw_error;

Tensor prelu(const Tensor& x, const Tensor& weight) {
  require_defined("prelu", x);
  require_defined("prelu", weight);
  detail::require_numbers("prelu", x);
  // As of every weight: what is promoted here would be refused by the next layer, about that one's.
  if (is_floating_point(x.dtype()) && x.dtype() != weight.dtype())
    throw_error<DTypeError>("prelu: expected x and weight of one dtype, got ", x.dtype(), " and ", weight.dtype(),
                            "; convert with to()");
  const bool is_shared = weight.numel() == 1;
  if (!is_shared && (weight.dim() != 1 || x.dim() < 2 || weight.numel() != x.size(1)))
    throw_error<ShapeError>(
        "prelu: expected a weight of one element, or of one for each channel of x (N, C, ...), got x of shape ",
        x.shape(), " and a weight of shape ", weight.shape());
  Shape shape;
  for (int64_t axis = 1; !is_shared && axis < x.dim(); ++axis) shape.push_back(axis == 1 ? x.size(1) : 1);
  // No product of an infinite x that is chosen by the other term.
  return relu(x) + reshape(weight, shape) * clamp_max(x, 0);
}

Tensor glu(const Tensor& x, int64_t axis) {
  require_defined("glu", x);
  const int64_t at = normalize_axis(axis, x.dim(), "glu");
  if (x.size(at) % 2 != 0)
    throw_error<ShapeError>("glu: expected an even size along axis ", axis, ", got x of shape ", x.shape());
  if (Tensor y = detail::promoted(detail::floating_type(x.dtype()), x, [at](const Tensor& z) { return glu(z, at); });
      y.defined())
    return y;
  const int64_t half = x.size(at) / 2;
  return slice(x, at, 0, half) * sigmoid(slice(x, at, half));
}

}  // namespace limpid
