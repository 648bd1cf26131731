#include <limpid/nn/layers/normalisation.hpp>

#include <limpid/autograd/detail/checkpoint_run.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/shaping.hpp>

#include <limits>

namespace limpid::nn {

using limpid::detail::CheckpointRun;
using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

std::string arguments(const std::string& first, double eps, bool affine, bool relu = false) {
  std::string list = first;
  if (eps != 1e-5) list += ", eps = " + detail::text(eps);
  return list + (affine ? ", affine" : "") + (relu ? ", relu" : "");
}

template <class Settings>
std::string running_arguments(const Settings& s) {
  std::string list = arguments(message(s.features), s.eps, s.affine, s.relu);
  if (!s.track) return list;
  return list + ", track_running_stats, momentum = " + (s.momentum ? detail::text(*s.momentum) : "none");
}

template <class Settings>
const Settings& checked_norm(const Settings& settings) {
  const auto& [type, axes, features, eps, momentum, affine, track, relu] = settings;
  detail::expect(type, {{"features", features, detail::count},
                        {"eps", eps, detail::at_least_0},
                        {"momentum", momentum, detail::fraction}});
  return settings;
}

Shape checked_shape(const char* type, const Shape& shape, double eps) {
  if (shape.dim() == 0) throw_error<ShapeError>(type, ": expected a shape of at least one axis, got ()");
  for (const int64_t size : shape) detail::expect(type, {{"sizes", size, detail::count}});
  detail::expect(type, {{"eps", eps, detail::at_least_0}});
  return shape;
}

Tensor ones_if(bool wanted, const Shape& shape) { return wanted ? ones(shape) : Tensor(); }
Tensor zeros_if(bool wanted, const Shape& shape) { return wanted ? zeros(shape) : Tensor(); }

}  // namespace

RunningNorm::RunningNorm(const Settings& s)
    : Module(checked_norm(s).type, running_arguments(s)),
      weight(parameter("weight", ones_if(s.affine, {s.features}))),
      bias(parameter("bias", zeros_if(s.affine, {s.features}))),
      running_mean(buffer("running_mean", zeros_if(s.track, {s.features}))),
      running_var(buffer("running_var", ones_if(s.track, {s.features}))),
      num_batches_tracked(buffer("num_batches_tracked", s.track ? zeros({}, int64) : Tensor())),
      settings_(s) {
  if (s.track) uses_training();
}

void RunningNorm::check_features(const Tensor& x, int64_t axis) const {
  if (x.size(axis) != settings_.features)
    throw_error<ShapeError>(settings_.type, ": expected ", settings_.features, " channels, got x of shape ", x.shape());
}

void RunningNorm::track(const Tensor& x, RunningRule rule) const {
  const NoGradGuard no_grad;
  if (settings_.momentum)
    update_running_stats(x, running_mean, running_var, *settings_.momentum, rule);
  else
    update_running_stats(x, running_mean, running_var, num_batches_tracked, rule);
}

InstanceNorm::InstanceNorm(const char* type, int64_t axes, int64_t features, const InstanceNormOptions& o)
    : RunningNorm({type, axes, features, o.eps, o.momentum, o.affine, o.track_running_stats, o.relu}) {}

Tensor InstanceNorm::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    limpid::detail::require_defined(settings_.type, "x", x);
    const int64_t batched_dim = settings_.axes + 2;
    if (x.dim() != batched_dim && x.dim() != batched_dim - 1)
      throw_error<ShapeError>(settings_.type, ": expected x of rank ", batched_dim, ", or ", batched_dim - 1,
                              " without a batch, got shape ", x.shape());
    const bool batched = x.dim() == batched_dim;
    check_features(x, batched ? 1 : 0);
    const Tensor batch = batched ? x : unsqueeze(x, 0);

    const bool use_input_stats = (detail::trains(*this) && !is_frozen()) || !settings_.track;
    const Tensor y = instance_norm(batch, {.running_mean = running_mean,
                                           .running_var = running_var,
                                           .weight = weight,
                                           .bias = bias,
                                           .use_input_stats = use_input_stats,
                                           .eps = settings_.eps,
                                           .relu = settings_.relu});
    if (use_input_stats && settings_.track && !CheckpointRun::is_repeating()) track(batch, RunningRule::per_instance);
    return batched ? y : squeeze(y, 0);
  });
}

BatchNorm::BatchNorm(const char* type, int64_t axes, int64_t features, const BatchNormOptions& o)
    : RunningNorm({type, axes, features, o.eps, o.momentum, o.affine, o.track_running_stats, o.relu}) {}

Tensor BatchNorm::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    limpid::detail::require_defined(settings_.type, "x", x);
    const int64_t dim = settings_.axes + 2;
    if (x.dim() != dim && !(dim == 3 && x.dim() == 2))
      throw_error<ShapeError>(settings_.type, ": expected x of rank ", dim == 3 ? "2 or " : "", dim, ", got shape ",
                              x.shape());
    check_features(x, 1);
    const bool use_input_stats = (detail::trains(*this) && !is_frozen()) || !settings_.track;
    if (use_input_stats && x.numel() == settings_.features)
      throw_error<ValueError>(settings_.type, ": expected more than 1 value per channel when training, got x of shape ",
                              x.shape());

    const Tensor y = batch_norm(x, {.running_mean = running_mean,
                                    .running_var = running_var,
                                    .weight = weight,
                                    .bias = bias,
                                    .training = use_input_stats,
                                    .eps = settings_.eps,
                                    .relu = settings_.relu});
    if (use_input_stats && settings_.track && !CheckpointRun::is_repeating()) {
      if (settings_.momentum && num_batches_tracked.item<int64_t>() == std::numeric_limits<int64_t>::max())
        throw_error<ValueError>(settings_.type, ": expected num_batches_tracked to have a next number, got ",
                                num_batches_tracked.item<int64_t>());
      track(x, RunningRule::pooled_unbiased);
      if (settings_.momentum) {  // else track() has counted
        ++*num_batches_tracked.data<int64_t>();
        num_batches_tracked.bump_version();
      }
    }
    return y;
  });
}

namespace {

int64_t checked_channels(int64_t groups, int64_t channels, const GroupNormOptions& options) {
  const auto& [eps, affine, relu] = options;
  detail::expect(
      "GroupNorm",
      {{"num_groups", groups, detail::count}, {"channels", channels, detail::count}, {"eps", eps, detail::at_least_0}});
  if (channels % groups)
    throw_error<ValueError>("GroupNorm: expected channels divisible by num_groups, got channels = ", channels,
                            ", num_groups = ", groups);
  return channels;
}

}  // namespace

GroupNorm::GroupNorm(int64_t num_groups, int64_t channels, const GroupNormOptions& options)
    : Module("GroupNorm", arguments(message(num_groups, ", ", channels), options.eps, options.affine, options.relu)),
      weight(parameter("weight", ones_if(options.affine, {checked_channels(num_groups, channels, options)}))),
      bias(parameter("bias", zeros_if(options.affine, {channels}))),
      groups_(num_groups),
      channels_(channels),
      eps_(options.eps),
      relu_(options.relu) {}

Tensor GroupNorm::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    limpid::detail::require_defined("GroupNorm", "x", x);
    if (x.dim() < 2 || x.size(1) != channels_)
      throw_error<ShapeError>("GroupNorm: expected ", channels_, " channels, got x of shape ", x.shape());
    return group_norm(x, groups_, {.weight = weight, .bias = bias, .eps = eps_, .relu = relu_});
  });
}

LayerNorm::LayerNorm(const Shape& shape, const LayerNormOptions& options)
    : Module("LayerNorm",
             arguments(message(checked_shape("LayerNorm", shape, options.eps)), options.eps, options.affine)),
      weight(parameter("weight", ones_if(options.affine, shape))),
      bias(parameter("bias", zeros_if(options.affine && options.bias, shape))),
      shape_(shape),
      eps_(options.eps) {}

Tensor LayerNorm::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return layer_norm(x, shape_, weight, bias, eps_); });
}

RMSNorm::RMSNorm(const Shape& shape, const RMSNormOptions& options)
    : Module("RMSNorm", arguments(message(checked_shape("RMSNorm", shape, options.eps)), options.eps, options.affine)),
      weight(parameter("weight", ones_if(options.affine, shape))),
      shape_(shape),
      eps_(options.eps) {}

Tensor RMSNorm::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return rms_norm(x, shape_, weight, eps_); });
}

namespace {

std::string arguments(int64_t size, const LocalResponseNormOptions& options) {
  const auto& [alpha, beta, k] = options;
  detail::expect("LocalResponseNorm", {{"size", size, detail::count},
                                       {"alpha", alpha, detail::finite},
                                       {"beta", beta, detail::finite},
                                       {"k", k, detail::finite}});
  return message(size, ", alpha = ", alpha, ", beta = ", beta, ", k = ", k);
}

}  // namespace

LocalResponseNorm::LocalResponseNorm(int64_t size, const LocalResponseNormOptions& options)
    : Module("LocalResponseNorm", arguments(size, options)),
      size_(size),
      options_(options) {}

Tensor LocalResponseNorm::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    return local_response_norm(x, size_, options_.alpha, options_.beta, options_.k);
  });
}

}  // namespace limpid::nn
