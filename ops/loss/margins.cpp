// Losses of samples that are to be nearer to some than to others.
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/loss.hpp>
#include <limpid/ops/loss/detail/loss.hpp>
#include <limpid/ops/reduce.hpp>

namespace limpid {

using detail::LossType;
using detail::throw_error;
namespace ranges = detail::ranges;

Tensor margin_ranking_loss(const Tensor& x1, const Tensor& x2, const Tensor& target, const MarginOptions& options) {
  const char* op = "margin_ranking_loss";
  const auto& [margin, reduction] = options;
  detail::require_operands(op, reduction, {{"x1", &x1}, {"x2", &x2}, {"target", &target}});
  detail::require_one_shape(op, {{"x1", &x1}, {"x2", &x2}, {"target", &target}});
  const LossType type(op, {{"x1", &x1}, {"x2", &x2}, {"target", &target, true}});
  ranges::expect(op, {{"margin", margin, ranges::within_float}});
  detail::require_signs(op, target);
  return type.reduced(clamp_min(margin - type(target) * (type(x1) - type(x2)), 0), reduction);
}

Tensor cosine_embedding_loss(const Tensor& x1, const Tensor& x2, const Tensor& target, const MarginOptions& options) {
  const char* op = "cosine_embedding_loss";
  const auto& [margin, reduction] = options;
  detail::require_operands(op, reduction, {{"x1", &x1}, {"x2", &x2}, {"target", &target}});
  if (x1.dim() != 1 && x1.dim() != 2)
    throw_error<ShapeError>(op, ": expected x1 of shape (N, D) or (D,), got ", x1.shape());
  detail::require_one_shape(op, {{"x1", &x1}, {"x2", &x2}});
  Shape expected = x1.shape();
  expected.pop_back();
  if (target.shape() != expected)
    throw_error<ShapeError>(op, ": expected target of shape ", expected, " for x1 of shape ", x1.shape(), ", got ",
                            target.shape());
  const LossType type(op, {{"x1", &x1}, {"x2", &x2}, {"target", &target, true}});
  ranges::expect(op, {{"margin", margin, {-1, 1}}});
  detail::require_signs(op, target);
  const Tensor cosine = cosine_similarity(type(x1), type(x2), -1);
  return type.reduced(where(gt(target, 0), 1 - cosine, clamp_min(cosine - margin, 0)), reduction);
}

Tensor hinge_embedding_loss(const Tensor& x, const Tensor& target, const HingeOptions& options) {
  const char* op = "hinge_embedding_loss";
  const auto& [margin, reduction] = options;
  detail::require_operands(op, reduction, {{"x", &x}, {"target", &target}});
  detail::require_one_shape(op, {{"x", &x}, {"target", &target}});
  const LossType type(op, {{"x", &x}, {"target", &target, true}});
  ranges::expect(op, {{"margin", margin, ranges::within_float}});
  detail::require_signs(op, target);
  const Tensor distance = type(x);
  return type.reduced(where(gt(target, 0), distance, clamp_min(margin - distance, 0)), reduction);
}

Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           const TripletOptions& options) {
  const char* op = "triplet_margin_loss";
  const auto& [margin, p, eps, swap, reduction] = options;
  detail::require_operands(op, reduction, {{"anchor", &anchor}, {"positive", &positive}, {"negative", &negative}});
  if (anchor.dim() != 1 && anchor.dim() != 2)
    throw_error<ShapeError>(op, ": expected anchor of shape (N, D) or (D,), got ", anchor.shape());
  detail::require_one_shape(op, {{"anchor", &anchor}, {"positive", &positive}, {"negative", &negative}});
  const LossType type(op, {{"anchor", &anchor}, {"positive", &positive}, {"negative", &negative}});
  ranges::expect(op, {{"margin", margin, ranges::within_float},
                      {"p", p, {0, detail::infinity, true}},
                      {"eps", eps, ranges::at_least_0}});
  const Tensor a = type(anchor), near = type(positive), far = type(negative);
  const double norm = p, offset = eps;
  const auto distance = [&](const Tensor& x, const Tensor& y) { return pairwise_distance(x, y, norm, offset); };
  Tensor other = distance(a, far);
  if (swap) other = minimum(other, distance(near, far));
  return type.reduced(clamp_min(distance(a, near) - other + margin, 0), reduction);
}

}  // namespace limpid
