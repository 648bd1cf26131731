// Running statistics: what the buffers of a normalisation receive, and when they receive nothing.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/overlap.hpp>
#include <limpid/ops/norm.hpp>
#include <limpid/ops/norm/detail/check.hpp>
#include <limpid/ops/norm/detail/plan.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace limpid {

using detail::throw_error;

namespace {

/// One of each per channel.
struct ChannelStats {
  std::vector<double> mean, var;
};

bool is_pooled(RunningRule rule) { return rule != RunningRule::per_instance; }

/// What a batch says by this rule. Empty where it says nothing: no sample, or too few elements for the variance.
ChannelStats channel_stats(const Tensor& x, RunningRule rule) {
  if (x.numel() == 0) return {};
  const int64_t n = x.shape()[0], c = x.shape()[1], s = x.numel() / (n * c);
  const bool unbiased = rule != RunningRule::pooled;
  const auto m = static_cast<double>(is_pooled(rule) ? n * s : s);
  if (unbiased && m < 2) return {};

  const Tensor input = detail::as_dtype(x.detach(), is_half(x.dtype()) ? float32 : x.dtype());
  const bool last = input.memory_format() == MemoryFormat::channels_last;
  const detail::NormPlan plan{
      .dims = {.n = n,
               .g = c,
               .d = 1,
               .s = s,
               .layout = last ? detail::NormLayout::channels_last : detail::NormLayout::contiguous,
               .pooled = is_pooled(rule)}};
  const auto [mean, var] = detail::slice_moments(plan, input);

  ChannelStats stats{std::vector<double>(static_cast<std::size_t>(c)),
                     std::vector<double>(static_cast<std::size_t>(c))};
  const int64_t instances = mean.numel() / c;
  const double share = 1 / static_cast<double>(instances), correction = unbiased ? m / (m - 1) : 1;
  for (int64_t i = 0; i < instances * c; ++i) {
    const auto channel = static_cast<std::size_t>(i % c);
    stats.mean[channel] += mean.data<double>()[i] * share;
    stats.var[channel] += var.data<double>()[i] * correction * share;
  }
  return stats;
}

/// A buffer before and after, in doubles; after holds values of the buffer's own dtype.
struct Move {
  Tensor before, after;

  Move(const Tensor& buffer, const std::vector<double>& statistic, double momentum)
      : before(detail::as_contiguous(detail::as_dtype(buffer, float64))) {
    const Tensor next = empty(buffer.shape(), float64);
    for (std::size_t c = 0; c < statistic.size(); ++c) {
      const double old = before.data<double>()[c];
      // A share of 0 is none, whatever the other side is.
      next.data<double>()[c] = momentum == 1   ? statistic[c]
                               : momentum == 0 ? old
                                               : (1 - momentum) * old + momentum * statistic[c];
    }
    after = detail::as_dtype(detail::as_dtype(next, buffer.dtype()), float64);
  }

  bool finite(std::size_t c) const { return std::isfinite(after.data<double>()[c]); }
  void keep(std::size_t c) const { after.data<double>()[c] = before.data<double>()[c]; }
  void write(const Tensor& buffer) const {
    detail::copy_into(buffer, after);
    buffer.bump_version();
  }
};

void check_arguments(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, RunningRule rule,
                     const char* op) {
  detail::require_member(op, "RunningRule", rule, RunningRule::pooled_unbiased,
                         "per_instance, pooled or pooled_unbiased");
  detail::check_rank(x, is_pooled(rule) ? 2 : 3, "(N, C, *spatial)", op);
  if (!running_mean.defined() || !running_var.defined())
    throw_error<ValueError>(op, ": expected both running_mean and running_var, got an undefined tensor");
  detail::check_per_channel(running_mean, "running_mean", x, op);
  detail::check_per_channel(running_var, "running_var", x, op);
  detail::check_floating_point(x, op);
  detail::check_same_dtype(running_mean, "running_mean", x, op);
  detail::check_same_dtype(running_var, "running_var", x, op);
}

/// Whether any channel moved.
bool update(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, double momentum, RunningRule rule,
            const char* op) {
  detail::require_writable(op, running_mean);
  detail::require_writable(op, running_var);
  if (detail::overlaps(running_mean, running_var))
    throw_error<ValueError>(op, ": expected running_mean and running_var apart, got two that share memory");
  const ChannelStats stats = channel_stats(x, rule);
  if (stats.mean.empty()) return false;
  const Move mean(running_mean, stats.mean, momentum), var(running_var, stats.var, momentum);
  bool moved = false;
  for (std::size_t c = 0; c < stats.mean.size(); ++c) {
    const bool told = std::isfinite(stats.mean[c]) && std::isfinite(stats.var[c]);
    if (told && mean.finite(c) && var.finite(c)) {
      moved = true;
    } else {
      mean.keep(c);
      var.keep(c);
    }
  }
  if (moved) {
    mean.write(running_mean);
    var.write(running_var);
  }
  return moved;
}

}  // namespace

void update_running_stats(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, double momentum,
                          RunningRule rule) {
  constexpr const char* op = "update_running_stats";
  check_arguments(x, running_mean, running_var, rule, op);
  if (!(momentum >= 0 && momentum <= 1)) throw_error<ValueError>(op, ": expected momentum in [0, 1], got ", momentum);
  update(x, running_mean, running_var, momentum, rule, op);
}

void update_running_stats(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                          const Tensor& num_batches_tracked, RunningRule rule) {
  constexpr const char* op = "update_running_stats";
  check_arguments(x, running_mean, running_var, rule, op);
  if (!num_batches_tracked.defined())
    throw_error<ValueError>(op, ": expected a defined num_batches_tracked, got an undefined tensor");
  if (num_batches_tracked.numel() != 1)
    throw_error<ShapeError>(op, ": expected num_batches_tracked of one element, got shape ",
                            num_batches_tracked.shape());
  if (num_batches_tracked.dtype() != int64)
    throw_error<DTypeError>(op, ": expected num_batches_tracked of dtype int64, got ", num_batches_tracked.dtype());
  int64_t& batches = *num_batches_tracked.data<int64_t>();
  constexpr int64_t most = std::numeric_limits<int64_t>::max() - 1;  // another is to be counted
  if (batches < 0 || batches > most)
    throw_error<ValueError>(op, ": expected num_batches_tracked from 0 to ", most, ", got ", batches);
  if (!update(x, running_mean, running_var, 1 / (static_cast<double>(batches) + 1), rule, op)) return;
  ++batches;
  num_batches_tracked.bump_version();
}

}  // namespace limpid
