// Connectionist temporal classification.
//
// A target of U labels is read as 2 U + 1 states, blank, label, blank, ..., blank. A path stays in its state, goes on
// to the next, or skips a blank between two labels that differ; step by step, each state emits its label. The loss is
// -log of the sum over paths of the products of what they emit.
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/composed.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/loss.hpp>
#include <limpid/ops/loss/detail/loss.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

namespace limpid {

using detail::chain;
using detail::infinity;
using detail::LossType;
using detail::throw_error;

namespace {

// log(e^a + e^b + e^c); -inf where all are.
double log_sum(double a, double b, double c = -infinity) noexcept {
  if (b > a) std::swap(a, b);
  if (c > a) std::swap(a, c);
  if (a == -infinity || a != a || b != b || c != c) return a + b + c;
  return a + std::log1p(std::exp(b - a) + std::exp(c - a));
}

// The states of each sequence of a batch.
struct States {
  int64_t steps = 0, batch = 0, classes = 0, width = 0;  // T, N, C, and how many states the longest target has
  std::vector<int64_t> lengths, counts;                  // steps and states of each sequence
  Tensor labels;                                         // int64 (N, width), blank behind the last state

  const int64_t* of(int64_t n) const { return labels.data<int64_t>() + n * width; }
  static bool may_skip(const int64_t* label, int64_t s) noexcept { return s >= 2 && label[s] != label[s - 2]; }
};

// log alpha (N, T, width): the logarithm of the sum over all paths to a state, with what they have emitted up to then.
// Gives the log-likelihoods.
template <class T>
void run_forward(const States& states, const T* log_p, double* alpha, double* log_z) noexcept {
  const int64_t width = states.width, row = states.batch * states.classes;
  parallel_for(states.batch, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const auto at = static_cast<std::size_t>(n);
      const int64_t steps = states.lengths[at], count = states.counts[at];
      const int64_t* label = states.of(n);
      const T* emitted = log_p + n * states.classes;
      double* a = alpha + n * states.steps * width;
      for (int64_t t = 0; t < steps; ++t, a += width, emitted += row)
        for (int64_t s = 0; s < count; ++s) {
          double reached = s < 2 ? 0 : -infinity;
          if (t > 0) {
            const double* before = a - width;
            reached = log_sum(before[s], s >= 1 ? before[s - 1] : -infinity,
                              States::may_skip(label, s) ? before[s - 2] : -infinity);
          }
          a[s] = reached + static_cast<double>(emitted[label[s]]);
        }
      if (steps == 0)
        log_z[n] = count == 1 ? 0 : -infinity;
      else
        log_z[n] = log_sum(a[count - 1 - width], count > 1 ? a[count - 2 - width] : -infinity);
    }
  });
}

// dloss/dlog_p (T, N, C): of step t and class c, -sum_s alpha_ts beta_ts / Z over the states s of that class, beta
// being the sum over all paths from a state to the end, with what they emit after it.
template <class T>
void run_backward(const States& states, const T* log_p, const double* alpha, const double* log_z, T* slope) {
  const int64_t width = states.width, row = states.batch * states.classes;
  std::fill_n(slope, states.steps * row, T{0});
  parallel_for_throwing(states.batch, 1, [&](int64_t begin, int64_t end) {
    const auto size = static_cast<std::size_t>(width);
    std::vector<double> beta(size), after(size), share(static_cast<std::size_t>(states.classes));
    for (int64_t n = begin; n < end; ++n) {
      const int64_t steps = states.lengths[static_cast<std::size_t>(n)],
                    count = states.counts[static_cast<std::size_t>(n)];
      if (log_z[n] == -infinity) continue;
      const int64_t* label = states.of(n);
      for (int64_t t = steps - 1; t >= 0; --t) {
        const double* a = alpha + (n * states.steps + t) * width;
        T* to = slope + t * row + n * states.classes;
        const T* next = log_p + (t + 1) * row + n * states.classes;
        for (int64_t s = 0; s < count; ++s) {
          const auto i = static_cast<std::size_t>(s);
          if (t == steps - 1) {
            beta[i] = s >= count - 2 ? 0 : -infinity;
            continue;
          }
          const auto onward = [&](int64_t k) {
            return after[static_cast<std::size_t>(k)] + static_cast<double>(next[label[k]]);
          };
          beta[i] = log_sum(onward(s), s + 1 < count ? onward(s + 1) : -infinity,
                            s + 2 < count && States::may_skip(label, s + 2) ? onward(s + 2) : -infinity);
        }
        for (int64_t s = 0; s < count; ++s) share[static_cast<std::size_t>(label[s])] = 0;
        for (int64_t s = 0; s < count; ++s)
          share[static_cast<std::size_t>(label[s])] += std::exp(a[s] + beta[static_cast<std::size_t>(s)] - log_z[n]);
        for (int64_t s = 0; s < count; ++s) to[label[s]] = static_cast<T>(-share[static_cast<std::size_t>(label[s])]);
        std::swap(beta, after);
      }
    }
  });
}

// The losses (N,) of log-probabilities (T, N, C) as a composition, in float64: what gradients of higher order are of.
Tensor composed_losses(const Tensor& log_p, const States& states) {
  const int64_t n = states.batch, width = states.width;
  const Tensor p = permute(log_p.to(float64), {1, 0, 2});
  Tensor exists = empty({n, width}, bool_), skips = empty({n, width}, bool_), last = empty({n, 1}, int64),
         lengths = empty({n, 1}, int64), is_empty = empty({n}, bool_);
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (int64_t s = 0; s < width; ++s) {
      exists.data<bool>()[i * width + s] = s < states.counts[at];
      skips.data<bool>()[i * width + s] = s < states.counts[at] && States::may_skip(states.of(i), s);
    }
    last.data<int64_t>()[i] = states.counts[at] - 1;
    lengths.data<int64_t>()[i] = states.lengths[at];
    is_empty.data<bool>()[i] = states.counts[at] == 1;
  }
  const auto moved = [&](const Tensor& x, int64_t by) {
    return slice(pad(x, {by, 0}, PadMode::constant, -infinity), 1, 0, width);
  };
  // Before the first step, in a state ahead of the first: nothing is emitted there.
  const Tensor first = where(logical_and(exists, lt(arange(width), 2)), zeros({n, width}, float64), -infinity);
  Tensor alpha = where(logical_and(exists, lt(arange(width), 1)), zeros({n, width}, float64), -infinity);
  for (int64_t t = 0; t < states.steps; ++t) {
    const Tensor emitted = gather(select(p, 1, t), 1, states.labels);
    Tensor reached = first;
    if (t > 0) {
      const Tensor skipped =
          width > 2 ? where(skips, moved(alpha, 2), -infinity) : full({n, width}, -infinity, float64);
      reached = logaddexp(logaddexp(alpha, moved(alpha, 1)), skipped);
    }
    alpha = where(logical_and(gt(lengths, t), exists), reached + emitted, alpha);
  }
  const Tensor ends = squeeze(gather(alpha, 1, last), 1),
               before = squeeze(gather(alpha, 1, clamp_min(sub(last, 1), 0)), 1);
  const Tensor log_z = logaddexp(ends, where(is_empty, -infinity, before));
  return where(eq(log_z.detach(), -infinity), infinity, neg(log_z));
}

struct CtcNode final : Node {
  Saved log_p{*this, "log_probs"}, alpha{*this, "alpha"}, log_z{*this, "log_z"};
  std::shared_ptr<const States> states;
  const char* name() const noexcept override { return "ctc_loss"; }
  // Each sequence n has a loss of its own:  dlog_p_tnc = dy_n dloss_n/dlog_p_tnc, see run_backward().
  Tensors backward(const Tensors& dy) override {
    return {chain(reshape(dy[0], {1, states->batch, 1}).to(log_p.get().dtype()), slopes())};
  }
  // dloss_n = sum_tc dlog_p_tnc dloss_n/dlog_p_tnc
  Tensors jvp(const Tensors& dx) override { return {sum(chain(dx[0], slopes()), {0, 2}).to(float64)}; }

  // To be differentiated again, as the composition's.
  Tensor slopes() const {
    const Tensor given = log_p, x = detail::as_contiguous(given), a = alpha, z = log_z;
    Tensors slope{empty(x.shape(), x.dtype())};
    detail::visit_float(x.dtype(), [&]<class T>(T) {
      run_backward(*states, x.data<T>(), a.data<double>(), z.data<double>(), slope[0].data<T>());
    });
    const auto composed = [kept = states](const Tensors& xs) -> Tensors { return {composed_losses(xs[0], *kept)}; };
    if (is_grad_enabled())
      detail::record_gradients("ctc_loss_backward", slope, {ones_like(z)}, {given}, detail::composition(composed));
    return slope[0];
  }
};

// Checks lengths (N,) of numbers from 0 to most.
std::vector<int64_t> checked_lengths(const char* name, const Tensor& lengths, int64_t batch, bool is_batch,
                                     int64_t most) {
  const char* op = "ctc_loss";
  if (lengths.shape() != Shape{batch} && (is_batch || lengths.dim() != 0))
    throw_error<ShapeError>(op, ": expected ", name, " of shape ", Shape{batch}, ", got ", lengths.shape());
  if (lengths.dtype() != int64) throw_error<DTypeError>(op, ": expected ", name, " of int64, got ", lengths.dtype());
  const Tensor dense = detail::as_contiguous(lengths);
  std::vector<int64_t> all(dense.data<int64_t>(), dense.data<int64_t>() + batch);
  for (const int64_t length : all)
    if (length < 0 || length > most)
      throw_error<ValueError>(op, ": expected ", name, " in [0, ", most, "], got ", length);
  return all;
}

// The states of targets (N, S) or (sum of the lengths,); checks them.
States states_of(const Tensor& x, const Tensor& targets_any, const Tensor& input_lengths, const Tensor& target_lengths,
                 int64_t blank, bool is_batch) {
  const char* op = "ctc_loss";
  States states;
  states.steps = x.size(0);
  states.batch = x.size(1);
  states.classes = x.size(2);
  const bool is_row = targets_any.dim() == 1;
  if (!is_row && (targets_any.dim() != 2 || !is_batch || targets_any.size(0) != states.batch))
    throw_error<ShapeError>(op, ": expected targets of shape ",
                            is_batch ? detail::message("(", states.batch, ", S) or (sum of target_lengths,)") : "(S,)",
                            ", got ", targets_any.shape());
  if (targets_any.dtype() != int64)
    throw_error<DTypeError>(op, ": expected targets of int64, got ", targets_any.dtype());
  const int64_t longest = targets_any.size(-1);
  states.lengths = checked_lengths("input_lengths", input_lengths, states.batch, is_batch, states.steps);
  const std::vector<int64_t> sizes = checked_lengths("target_lengths", target_lengths, states.batch, is_batch, longest);
  int64_t total = 0, most = 0;
  for (const int64_t size : sizes) {
    states.counts.push_back(2 * size + 1);
    total += size;
    most = std::max(most, size);
  }
  if (is_row && is_batch && total != longest)
    throw_error<ShapeError>(op, ": expected targets of shape ", Shape{total}, ", the sum of target_lengths, got ",
                            targets_any.shape());
  states.width = 2 * most + 1;
  states.labels = full({states.batch, states.width}, blank, int64);
  const Tensor targets = detail::as_contiguous(targets_any);
  const int64_t* from = targets.data<int64_t>();
  for (int64_t n = 0; n < states.batch; ++n) {
    const int64_t size = sizes[static_cast<std::size_t>(n)];
    for (int64_t i = 0; i < size; ++i) {
      if (from[i] < 0 || from[i] >= states.classes || from[i] == blank)
        throw_error<ValueError>(op, ": expected targets in [0, ", states.classes, ") other than blank = ", blank,
                                ", got ", from[i]);
      states.labels.data<int64_t>()[n * states.width + 2 * i + 1] = from[i];
    }
    from += is_row ? size : longest;
  }
  return states;
}

}  // namespace

Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, const CTCOptions& options) {
  const char* op = "ctc_loss";
  const auto& [blank, reduction, zero_infinity] = options;
  detail::require_operands(op, reduction,
                           {{"log_probs", &log_probs},
                            {"targets", &targets},
                            {"input_lengths", &input_lengths},
                            {"target_lengths", &target_lengths}});
  const bool is_batch = log_probs.dim() == 3;
  if (!is_batch && log_probs.dim() != 2)
    throw_error<ShapeError>(op, ": expected log_probs of shape (T, N, C) or (T, C), got ", log_probs.shape());
  const LossType type(op, {{"log_probs", &log_probs}});
  const int64_t classes = log_probs.size(-1);
  if (blank < 0 || blank >= classes) throw_error<ValueError>(op, ": expected blank in [0, ", classes, "), got ", blank);
  const Tensor given = type(log_probs), x = is_batch ? given : unsqueeze(given, 1);
  const auto states =
      std::make_shared<const States>(states_of(x, targets, input_lengths, target_lengths, blank, is_batch));

  Tensor losses;
  const Tensor alpha = empty({states->batch, states->steps, states->width}, float64),
               log_z = empty({states->batch}, float64);
  {
    const NoGradGuard guard;
    const Tensor dense = detail::as_contiguous(x);
    detail::visit_float(x.dtype(), [&]<class T>(T) {
      run_forward(*states, dense.data<T>(), alpha.data<double>(), log_z.data<double>());
    });
    losses = neg(log_z);
  }
  if (auto* node = record<CtcNode>(losses, x)) {
    node->log_p = x;
    node->alpha = alpha;
    node->log_z = log_z;
    node->states = states;
  }
  if (zero_infinity) losses = where(eq(losses, infinity), 0, losses);
  if (reduction == Reduction::mean) {
    Tensor lengths = empty({states->batch}, float64);
    std::transform(states->counts.begin(), states->counts.end(), lengths.data<double>(),
                   [](int64_t count) { return static_cast<double>(std::max<int64_t>(count / 2, 1)); });
    losses = losses / lengths;
  }
  losses = losses.to(given.dtype());
  return type.reduced(is_batch || reduction != Reduction::none ? losses : reshape(losses, {}), reduction);
}

}  // namespace limpid
