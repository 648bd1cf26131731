// A gradient of zero stays zero (ops/elementwise/detail/chain.hpp): in slices whose statistics are no numbers as well.
#include <limpid/autograd/node.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/norm/detail/plan.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/kernels/reduce.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::detail {
namespace {

/// Whether slices [begin, begin + n) have statistics: an rstd that is a normal number. That of a variance which is
/// infinite is 0, and a mean that is none leaves none.
bool have_statistics(const NormStatistics& stats, int64_t begin, int64_t n) noexcept {
  return kernels::reduce_table().all_positive_normal(stats.rstd.data<double>() + begin, n);
}

}  // namespace

NormSource without_idle_slices(const NormPlan& plan, const NormSource& from, const Tensor& t,
                               const Tensor& per_channel) {
  const int64_t slices = from.stats.rstd.numel();
  if (from.x.numel() == 0 || have_statistics(from.stats, 0, slices)) return from;

  const NoGradGuard guard;
  const Tensor without = zeros({slices}, bool_);
  for (int64_t i = 0; i < slices; ++i) without.data<bool>()[i] = !have_statistics(from.stats, i, 1);
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
