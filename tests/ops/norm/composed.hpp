// Normalisation composed of primitive ops: what the fused one is held against.
#pragma once
#include <limpid/limpid.hpp>

namespace limpid::test {

/// w, of shape (C,) or (N, C), as it meets x of shape (N, C, *spatial).
inline Tensor per_channel(const Tensor& w, const Tensor& x) {
  Shape shape(x.shape().size(), 1);
  shape[0] = w.dim() == 2 ? x.size(0) : 1;
  shape[1] = x.size(1);
  return reshape(w, shape);
}

/// w x + b per channel, of those that there are.
inline Tensor affine(Tensor x, const Tensor& w, const Tensor& b) {
  if (w.defined()) x = x * per_channel(w, x);
  if (b.defined()) x = x + per_channel(b, x);
  return x;
}

/// (x - mean) / sqrt(var + eps) over `axes` of x seen as `grouped`; without the mean where it is not to be centred.
inline Tensor composed_norm(const Tensor& x, const Shape& grouped, const Axes& axes, double eps, bool center = true) {
  const Tensor v = reshape(x, grouped), c = center ? v - mean(v, axes, true) : v;
  return reshape(c / sqrt(mean(square(c), axes, true) + eps), x.shape());
}

}  // namespace limpid::test
