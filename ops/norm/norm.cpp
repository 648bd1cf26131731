// The public normalisation functions: arguments are checked here, in one order, before anything is computed.
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/norm.hpp>
#include <limpid/ops/norm/detail/check.hpp>
#include <limpid/ops/norm/detail/plan.hpp>
#include <limpid/ops/norm/detail/valid.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>

namespace limpid {

using detail::check_floating_point;
using detail::check_per_channel;
using detail::check_rank;
using detail::check_same_dtype;
using detail::NormInputs;
using detail::NormLayout;
using detail::NormNames;
using detail::NormPlan;
using detail::throw_error;
using detail::ValidElements;

namespace {

/// weight or bias: one value per channel, or per channel of each sample, or none.
void check_affine(const Tensor& t, const char* what, const Tensor& x, const char* op) {
  if (!t.defined()) return;
  const Shape channels{x.shape()[1]}, samples{x.shape()[0], x.shape()[1]};
  if (t.shape() != channels && t.shape() != samples)
    throw_error<ShapeError>(op, ": expected ", what, " of shape ", channels, " or ", samples, " for x of shape ",
                            x.shape(), ", got ", t.shape());
}

void check_eps(double eps, const char* op) {
  if (!(eps >= 0) || std::isinf(eps)) throw_error<ValueError>(op, ": expected a finite eps of at least 0, got ", eps);
}

int64_t spatial_size(const Tensor& x) {
  int64_t s = 1;
  for (std::size_t i = 2; i < x.shape().size(); ++i) s *= x.shape()[i];
  return s;
}

/// x (N, C, *spatial) in `groups` groups.
NormPlan channel_plan(const NormNames& names, const Tensor& x, int64_t groups, double eps) {
  const bool channels_last = x.memory_format() == MemoryFormat::channels_last;
  return {.names = &names,
          .dims = {.n = x.shape()[0],
                   .g = groups,
                   .d = groups ? x.shape()[1] / groups : 0,
                   .s = spatial_size(x),
                   .layout = channels_last ? NormLayout::channels_last : NormLayout::contiguous},
          .eps = eps};
}

/// weight and bias of one shape: (N, C) where either is.
struct Affine {
  Tensor weight, bias;
  bool per_sample;

  Affine(const Tensor& w, const Tensor& b, const Tensor& x)
      : weight(w),
        bias(b),
        per_sample((w.defined() && w.dim() == 2) || (b.defined() && b.dim() == 2)) {
    if (!per_sample) return;
    const Shape samples{x.shape()[0], x.shape()[1]};
    for (Tensor* t : {&weight, &bias})
      if (t->defined() && t->dim() == 1) *t = expand(detail::shared_by_samples(*t), samples);
  }
};

/// The plan over x's trailing axes, with an element of weight for each of theirs.
NormPlan trailing_plan(const NormNames& names, const Tensor& x, const Shape& normalized_shape, bool affine,
                       double eps) {
  const int64_t m = normalized_shape.numel(), rows = m ? x.numel() / m : 0;
  return {.names = &names, .dims = {.n = rows, .g = 1, .d = affine ? m : 1, .s = affine ? 1 : m}, .eps = eps};
}

/// The operands of an op with running statistics, and eps. check is the check of weight's shape, and of bias's.
template <class Options, class Check>
void check_operands(const Tensor& x, const Options& o, Check&& check, const char* op) {
  check_per_channel(o.running_mean, "running_mean", x, op);
  check_per_channel(o.running_var, "running_var", x, op);
  check(o.weight, "weight", x, op);
  check(o.bias, "bias", x, op);
  check_floating_point(x, op);
  check_same_dtype(o.running_mean, "running_mean", x, op);
  check_same_dtype(o.running_var, "running_var", x, op);
  check_same_dtype(o.weight, "weight", x, op);
  check_same_dtype(o.bias, "bias", x, op);
  check_eps(o.eps, op);
}

void check_trailing(const Tensor& x, const Shape& normalized_shape, const char* op) {
  detail::require_defined(op, "x", x);
  const std::size_t rank = normalized_shape.size();
  const bool fits = rank > 0 && rank <= x.shape().size() &&
                    std::equal(normalized_shape.begin(), normalized_shape.end(), x.shape().end() - rank);
  if (!fits)
    throw_error<ShapeError>(op, ": expected x whose last axes are normalized_shape ", normalized_shape, ", got shape ",
                            x.shape());
}

void check_shape(const Tensor& t, const char* what, const Shape& shape, const char* op) {
  if (t.defined() && t.shape() != shape)
    throw_error<ShapeError>(op, ": expected ", what, " of normalized_shape ", shape, ", got ", t.shape());
}

Tensor flat(const Tensor& t) { return t.defined() ? reshape(t, {-1}) : t; }

}  // namespace

Tensor instance_norm(const Tensor& x, const InstanceNormOptions& o) {
  constexpr const char* op = "instance_norm";
  check_rank(x, 3, "(N, C, *spatial)", op);
  if (!o.use_input_stats && o.running_mean.defined() != o.running_var.defined())
    throw_error<ValueError>(op,
                            ": expected both running_mean and running_var, or neither, with use_input_stats = "
                            "false, got ",
                            o.running_mean.defined() ? "running_mean alone" : "running_var alone");
  check_operands(x, o, check_affine, op);
  const ValidElements valid{o.lengths, o.mask};
  check_valid(valid, x, op);
  if (!valid.all())
    return normalize_valid(valid, x, o.weight, o.bias, [&](const Tensor& part, const Tensor& w, const Tensor& b) {
      InstanceNormOptions rest = o;
      rest.weight = w, rest.bias = b;
      rest.lengths = rest.mask = {};
      return instance_norm(part, rest);
    });
  const Affine affine(o.weight, o.bias, x);
  NormPlan plan = channel_plan(detail::kInstanceNorm, x, x.shape()[1], o.eps);
  plan.per_sample = affine.per_sample;
  plan.relu = o.relu;
  const NormInputs in{x, affine.weight, affine.bias};
  if (o.use_input_stats || !o.running_mean.defined()) return detail::normalize(plan, in);
  return detail::normalize_with(plan, in, o.running_mean, o.running_var);
}

Tensor instance_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                     const Tensor& bias, bool use_input_stats, double momentum, double eps) {
  return instance_norm(x, {.running_mean = running_mean,
                           .running_var = running_var,
                           .weight = weight,
                           .bias = bias,
                           .use_input_stats = use_input_stats,
                           .momentum = momentum,
                           .eps = eps});
}

Tensor group_norm(const Tensor& x, int64_t num_groups, const GroupNormOptions& o) {
  constexpr const char* op = "group_norm";
  check_rank(x, 2, "(N, C, *spatial)", op);
  if (num_groups < 1) throw_error<ValueError>(op, ": expected num_groups of at least 1, got ", num_groups);
  if (x.shape()[1] % num_groups)
    throw_error<ShapeError>(op, ": expected channels divisible by num_groups, got x of shape ", x.shape(),
                            " and num_groups = ", num_groups);
  check_affine(o.weight, "weight", x, op);
  check_affine(o.bias, "bias", x, op);
  check_floating_point(x, op);
  check_same_dtype(o.weight, "weight", x, op);
  check_same_dtype(o.bias, "bias", x, op);
  check_eps(o.eps, op);
  const ValidElements valid{o.lengths, o.mask};
  check_valid(valid, x, op);
  if (!valid.all())
    return normalize_valid(valid, x, o.weight, o.bias, [&](const Tensor& part, const Tensor& w, const Tensor& b) {
      return group_norm(part, num_groups, {.weight = w, .bias = b, .eps = o.eps, .relu = o.relu});
    });
  const Affine affine(o.weight, o.bias, x);
  NormPlan plan = channel_plan(detail::kGroupNorm, x, num_groups, o.eps);
  plan.per_sample = affine.per_sample;
  plan.relu = o.relu;
  return detail::normalize(plan, {x, affine.weight, affine.bias});
}

Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const LayerNormOptions& o) {
  constexpr const char* op = "layer_norm";
  check_trailing(x, normalized_shape, op);
  check_shape(o.weight, "weight", normalized_shape, op);
  check_shape(o.bias, "bias", normalized_shape, op);
  check_floating_point(x, op);
  check_same_dtype(o.weight, "weight", x, op);
  check_same_dtype(o.bias, "bias", x, op);
  check_eps(o.eps, op);
  const bool affine = o.weight.defined() || o.bias.defined();
  const NormPlan plan = trailing_plan(detail::kLayerNorm, x, normalized_shape, affine, o.eps);
  return detail::normalize(plan, {x, flat(o.weight), flat(o.bias)});
}

Tensor rms_norm(const Tensor& x, const Shape& normalized_shape, const RMSNormOptions& o) {
  constexpr const char* op = "rms_norm";
  check_trailing(x, normalized_shape, op);
  check_shape(o.weight, "weight", normalized_shape, op);
  check_floating_point(x, op);
  check_same_dtype(o.weight, "weight", x, op);
  check_eps(o.eps, op);
  NormPlan plan = trailing_plan(detail::kRmsNorm, x, normalized_shape, o.weight.defined(), o.eps);
  plan.dims.center = false;
  return detail::normalize(plan, {x, flat(o.weight)});
}

Tensor batch_norm(const Tensor& x, const BatchNormOptions& o) {
  constexpr const char* op = "batch_norm";
  check_rank(x, 2, "(N, C, *spatial)", op);
  if (!o.training && (!o.running_mean.defined() || !o.running_var.defined()))
    throw_error<ValueError>(op, ": expected running_mean and running_var with training = false, got ",
                            o.running_mean.defined()  ? "running_mean alone"
                            : o.running_var.defined() ? "running_var alone"
                                                      : "neither");
  check_operands(x, o, check_per_channel, op);
  NormPlan plan = channel_plan(detail::kBatchNorm, x, x.shape()[1], o.eps);
  plan.dims.pooled = true;
  plan.relu = o.relu;
  const NormInputs in{x, o.weight, o.bias};
  return o.training ? detail::normalize(plan, in) : detail::normalize_with(plan, in, o.running_mean, o.running_var);
}

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, bool training, double momentum, double eps) {
  return batch_norm(x, {.running_mean = running_mean,
                        .running_var = running_var,
                        .weight = weight,
                        .bias = bias,
                        .training = training,
                        .momentum = momentum,
                        .eps = eps});
}

}  // namespace limpid
