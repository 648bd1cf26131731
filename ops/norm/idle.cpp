// A gradient of zero stays zero (ops/elementwise/detail/chain.hpp): in slices whose statistics are no numbers as well.
#include <limpid/autograd/node.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/norm/detail/plan.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <bit>

namespace limpid::detail {
namespace {

/// Whether x is neither infinite nor NaN, and not 0 where `normal`. By bits: a comparison with NaN would signal an
/// invalid operation.
bool is_number(double x, bool normal) noexcept {
  const uint64_t exponent = std::bit_cast<uint64_t>(x) >> 52 & 0x7FF;
  return exponent != 0x7FF && (exponent != 0 || !normal);
}

/// Whether slice i has a mean and an rstd. That of a variance which is infinite is 0.
bool has_statistics(const NormPlan& plan, const NormStatistics& stats, int64_t i) noexcept {
  return is_number(stats.rstd.data<double>()[i], true) &&
         (!plan.dims.center || is_number(stats.mean.data<double>()[i], false));
}

}  // namespace

NormSource without_idle_slices(const NormPlan& plan, const NormSource& from, const Tensor& t,
                               const Tensor& per_channel) {
  const int64_t slices = from.stats.rstd.numel();
  int64_t first = 0;
  while (first < slices && has_statistics(plan, from.stats, first)) ++first;
  if (first == slices || from.x.numel() == 0) return from;

  const NoGradGuard guard;
  const Tensor without = zeros({slices}, bool_);
  for (int64_t i = first; i < slices; ++i) without.data<bool>()[i] = !has_statistics(plan, from.stats, i);
  Tensor idle = reshape(without, plan.stat_shape());
  const auto is_zero = [&](const Tensor& of, const Shape& shape) {
    return all(eq(reshape(of, shape), 0), plan.slice_axes(), true);
  };
  if (t.defined()) idle = logical_and(idle, is_zero(t, plan.grouped_shape()));
  if (per_channel.defined()) idle = logical_and(idle, is_zero(per_channel, plan.channel_shape()));
  if (!any(idle).item<bool>()) return from;
  const Tensor of_slices = reshape(idle, {slices});
  return {reshape(where(idle, 0, reshape(from.x, plan.grouped_shape())), from.x.shape()),
          {where(of_slices, 0, from.stats.mean), where(of_slices, 1, from.stats.rstd)}};
}

}  // namespace limpid::detail
