// Lengths, distances and angles between vectors, made of other reductions.
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid {

using detail::require_defined;
using detail::throw_error;
namespace ranges = detail::ranges;

namespace {

// In the name of who is asked, not of the norm that it is made of: p, and what dtype holds in its place.
void require_norm(const char* op, double p) {
  if (!(p > 0)) throw_error<ValueError>(op, ": expected p > 0, got ", p);
}
void require_norm(const char* op, double p, DType dtype) { require_norm(op, detail::stored(op, p, dtype).to_double()); }

}  // namespace

Tensor normalize(const Tensor& x, double p, int64_t axis, double eps) {
  require_defined("normalize", x);
  require_norm("normalize", p);
  ranges::expect("normalize", {{"eps", eps, ranges::finite_at_least_0}});
  const DType dtype = detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, [=](const Tensor& z) { return normalize(z, p, axis, eps); }); y.defined())
    return y;
  require_norm("normalize", p, dtype);
  return x / clamp_min(vector_norm(x, p, {axis}, true), eps);
}

Tensor cosine_similarity(const Tensor& a, const Tensor& b, int64_t axis, double eps) {
  require_defined("cosine_similarity", a);
  require_defined("cosine_similarity", b);
  ranges::expect("cosine_similarity", {{"eps", eps, ranges::finite_at_least_0}});
  const DType dtype = detail::floating_type(promote_types(a.dtype(), b.dtype()));
  const auto again = [=](const Tensor& p, const Tensor& q) { return cosine_similarity(p, q, axis, eps); };
  if (Tensor y = detail::promoted(dtype, a, b, again); y.defined()) return y;
  const Shape shape = broadcast_shapes(a.shape(), b.shape(), "cosine_similarity");
  const int64_t at = normalize_axis(axis, static_cast<int64_t>(shape.size()), "cosine_similarity");
  const Tensor p = expand(a, shape), q = expand(b, shape);
  return sum(normalize(p, 2, at, eps) * normalize(q, 2, at, eps), {at});
}

Tensor pairwise_distance(const Tensor& a, const Tensor& b, double p, double eps, bool keepdim) {
  require_defined("pairwise_distance", a);
  require_defined("pairwise_distance", b);
  broadcast_shapes(a.shape(), b.shape(), "pairwise_distance");  // whose message names it
  require_norm("pairwise_distance", p);
  ranges::expect("pairwise_distance", {{"eps", eps, ranges::finite_at_least_0}});
  const DType dtype = detail::floating_type(promote_types(a.dtype(), b.dtype()));
  const auto again = [=](const Tensor& u, const Tensor& v) { return pairwise_distance(u, v, p, eps, keepdim); };
  if (Tensor y = detail::promoted(dtype, a, b, again); y.defined()) return y;
  require_norm("pairwise_distance", p, dtype);
  return vector_norm((a - b) + detail::stored("pairwise_distance", eps, dtype), p, {-1}, keepdim);
}

// By differences: by a product of matrices, near points far from the origin would be at distance 0.
Tensor cdist(const Tensor& a, const Tensor& b, double p) {
  require_defined("cdist", a);
  require_defined("cdist", b);
  if (a.dim() < 2 || b.dim() < 2 || a.size(-1) != b.size(-1))
    throw_error<ShapeError>("cdist: expected a of shape (..., P, M) and b of shape (..., R, M), got ", a.shape(),
                            " and ", b.shape());
  require_norm("cdist", p);
  const DType dtype = detail::floating_type(promote_types(a.dtype(), b.dtype()));
  const auto again = [=](const Tensor& u, const Tensor& v) { return cdist(u, v, p); };
  if (Tensor y = detail::promoted(dtype, a, b, again); y.defined()) return y;
  require_norm("cdist", p, dtype);
  return vector_norm(unsqueeze(a, -2) - unsqueeze(b, -3), p, {-1});
}

Tensor trace(const Tensor& x) {
  require_defined("trace", x);
  if (x.dim() != 2) throw_error<ShapeError>("trace: expected a matrix, got x of shape ", x.shape());
  return sum(diagonal(x));
}

}  // namespace limpid
