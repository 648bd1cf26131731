// Short float32 rows, sixteen slices abreast: what is done once per slice (sums over lanes, divisions, a square root,
// the coefficients) is done for several side by side, with the arithmetic, to the bit, that one slice alone would see.
// (The sign of a zero may differ in dx, where dy is -0 throughout: a slice alone begins its sums with +0.)
//
// A batch of slices goes through two stages. First the sums of its elements are taken, and from them follow statistics
// and coefficients; then the elements of the output are written. The divisions and roots in between take long, so the
// second stage of a batch waits in a pipeline, and is done beside the first stage of a later one.
//
// Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/gradient.hpp>
#include <limpid/ops/norm/kernels/slices.hpp>

namespace limpid::kernels {
namespace {

// ---- batches of slices ---------------------------------------------------------------------------------------------

constexpr int kBatch = 16;
/// Length from which x and dy of eight slices fill the nearest cache.
constexpr index_t kFewAbreast = 128;

/// Calls f(n) with the n of a step where a row is not longer, whole at compile time: such rows are nearly all overhead.
template <class F>
void with_length(index_t n, F&& f) {
  if (n > 16) return f(n);
  n == 16 ? f(std::integral_constant<int, 16>{}) : f(static_cast<int>(n));
}
template <class N>
constexpr bool kOneStep = !std::is_same_v<N, index_t>;

/// Calls f(i) for i in [0, K): unrolled where a row is one step. Longer ones have loops of their own, of which K copies
/// would only fill the instruction cache.
template <int K, class N, class F>
LIMPID_INLINE inline void each_of(F&& f) {
  if constexpr (kOneStep<N>)
    unrolled<K>(f);
  else
    for (int i = 0; i < K; ++i) f(i);
}

/// y[i] = f(i, k) for the n elements of a row.
template <bool Streamed, class N, class F>
LIMPID_INLINE inline void write_row(float* y, N n, F&& f) {
  if constexpr (kOneStep<N> && !Streamed)
    store_step(y, f(0, n), n);
  else
    write_steps<Streamed>(y, n, f);
}

/// Up to kBatch slices that follow one another at one distance. Of those that lack, sums and statistics are 0.
struct SliceBatch {
  Place first;
  int count = 0;
};

/// Calls f(batch) for the slices [begin, end), at most so many in each.
template <class F>
void each_batch(const NormRowGeometry& p, index_t begin, index_t end, index_t most, F&& f) {
  // What has one distance throughout need not be cut where an outer stride comes in.
  const auto even = [&](const auto& stride) { return stride.outer == p.inner * stride.inner; };
  const bool uncut = even(p.x_stride) && even(p.y_stride);
  for (Place at = place(p, begin); at.q < end;) {
    index_t count = end - at.q < most ? end - at.q : most;
    if (!uncut && count > p.inner - at.inner) count = p.inner - at.inner;
    f(SliceBatch{at, static_cast<int>(count)});
    at.q += count;
    at.inner += count;
    if (at.inner >= p.inner) at = place(p, at.q);
  }
}

/// Of each slice, its channel's value of gamma or another operand.
inline Singles channel_values(const float* values, const NormRowGeometry& p, const SliceBatch& batch, float absent) {
  if (!values) return Singles(absent);
  const index_t first = batch.first.inner;
  if (p.affine_inner == 1 && first + batch.count <= p.inner)
    return batch.count == kBatch ? load_singles(values + first) : load_singles(values + first, batch.count);
  alignas(64) float each[kBatch] = {};
  for (index_t j = 0, inner = first; j < batch.count; ++j, inner = inner + 1 < p.inner ? inner + 1 : 0)
    each[j] = values[inner * p.affine_inner];
  return load_singles(each);
}

/// One double of each slice, in arrays over all of them.
inline void save(double* all, const SliceBatch& batch, const Lanes<16>& values) {
  double* at = all + batch.first.q;
  if (batch.count == kBatch) return store_wide(at, values);
  alignas(64) double each[kBatch];
  store_wide(each, values);
  for (int j = 0; j < batch.count; ++j) at[j] = each[j];
}
inline Lanes<16> saved(const double* all, const SliceBatch& batch) {
  const double* at = all + batch.first.q;
  if (batch.count == kBatch) return load_wide<16>(at);
  alignas(64) double each[kBatch] = {};
  for (int j = 0; j < batch.count; ++j) each[j] = at[j];
  return load_wide<16>(each);
}

/// From one slice to the next, in x and elsewhere.
struct SliceSteps {
  index_t x, y;
};
inline SliceSteps steps_of(const NormRowGeometry& p) { return {p.x_stride.inner, p.y_stride.inner}; }

/// The two stages of a pass over batches, the second of each some batches behind its first. Job is the pass:
///
///   Pending           what the second stage of a batch needs; whole() where it may be done row by row beside another
///   Sums              what the first stage of a batch finds
///   sum<Full>(batch, sums, beside)   the first stage, of kBatch slices if Full; calls beside(j, steps) for each slice
///   row_writer(pending)              such a beside: it writes the row of slice j, the second stage of one slice
///   write(pending)                   all of the second stage, of a batch that need not be whole, or there at all
///   finish(batch, sums, pending)     statistics and coefficients; true if the second stage is pending from now on
template <class Job>
class Pipeline {
 public:
  explicit Pipeline(const Job& job) : job_(job) {}

  void push(const SliceBatch& batch) {
    typename Job::Pending& pending = pending_[oldest_];
    typename Job::Sums sums;
    if (pending.whole() && batch.count == kBatch && !job_.p.mode.stream) {
      job_.template sum<true>(batch, sums, job_.row_writer(pending));
    } else {
      job_.write(pending);
      job_.template sum<false>(batch, sums, [](int, const SliceSteps&) {});
    }
    if (job_.finish(batch, sums, pending)) advance();
  }

  /// Writes what is pending.
  void drain() {
    for (int i = 0; i < kDepth; ++i) {
      job_.write(pending_[oldest_]);
      advance();
    }
  }

 private:
  static constexpr int kDepth = 3;
  void advance() { oldest_ = oldest_ + 1 < kDepth ? oldest_ + 1 : 0; }

  const Job job_;
  typename Job::Pending pending_[kDepth] = {};
  int oldest_ = 0;  ///< The one that waits longest, and is free once it is written.
};

// ---- forward -------------------------------------------------------------------------------------------------------

/// Moments of a batch, from the sums of the deviations from a guess of each mean and of their squares, over n elements
/// each: the arithmetic of Deviations::finish.
struct BatchMoments {
  Lanes<16> mean{0.0}, lo{0.0}, m2;
  bool near_zero = true;  ///< As near_zero() of each.

  /// About zero.
  BatchMoments(const Lanes<16>& rest, const Lanes<16>& squares, index_t n, bool center) : m2(squares) {
    if (!center) return;
    for (int i = 0; i < Lanes<16>::count; ++i) {
      mean.v[i] = deviate(rest.v[i], n, m2.v[i]);
      lo.v[i] = mean.v[i] - mean.v[i];  // none, but of what is not finite
      near_zero = near_zero && !xsimd::any(far(i, n));
    }
  }
  BatchMoments(const Lanes<16>& guess, const Lanes<16>& rest, const Lanes<16>& squares, index_t n) : m2(squares) {
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const Vec delta = deviate(rest.v[i], n, m2.v[i]), at = guess.v[i], m = at + delta, t = m - at;
      mean.v[i] = m;
      lo.v[i] = (at - (m - t)) + (delta - t);
    }
  }

  /// What the guess lacks; its square is taken from m2.
  static Vec deviate(const Vec& rest, index_t n, Vec& m2) {
    const Vec zero(0.0), total = rest + zero, delta = over(total, n);
    m2 = m2 - total * delta;
    m2 = xsimd::select(m2 < zero, zero, m2);  // a NaN stays one, which not every version of xsimd's max leaves so
    return delta;
  }

  /// Takes what is another's where that is not near zero here.
  void replace(const BatchMoments& other, index_t n) {
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const auto theirs = far(i, n);
      mean.v[i] = xsimd::select(theirs, other.mean.v[i], mean.v[i]);
      lo.v[i] = xsimd::select(theirs, other.lo.v[i], lo.v[i]);
      m2.v[i] = xsimd::select(theirs, other.m2.v[i], m2.v[i]);
    }
  }

  /// Which are not near zero.
  Vec::batch_bool_type far(int i, index_t n) const {
    return mean.v[i] * mean.v[i] * Vec(static_cast<double>(n)) > Vec(4.0) * m2.v[i];
  }

  // Division by a power of two is a multiplication, to the bit.
  static Vec over(const Vec& a, index_t n) {
    const double size = static_cast<double>(n);
    return (n & (n - 1)) == 0 ? a * Vec(1 / size) : a / Vec(size);
  }
};

/// Statistics of a batch: the arithmetic of write_stats.
struct BatchStats {
  Lanes<16> mean, lo, rstd, var;

  BatchStats(const BatchMoments& moments, index_t n, double eps) : mean(moments.mean), lo(moments.lo) {
    const Vec more(eps);
    for (int i = 0; i < Lanes<16>::count; ++i) {
      var.v[i] = BatchMoments::over(moments.m2.v[i], n);
      rstd.v[i] = inverse_stddev(var.v[i], more);
    }
  }

  void save(const NormStats& to, const SliceBatch& batch) const {
    kernels::save(to.mean, batch, mean);
    kernels::save(to.mean_lo, batch, lo);
    kernels::save(to.rstd, batch, rstd);
    if (to.var) kernels::save(to.var, batch, var);
  }
};

/// Statistics and y of dense short slices of n elements, as a job of the pipeline. fallback(place) writes y of one
/// slice where float32 arithmetic, or the batch's, does not suit.
template <class N, class F>
struct ShortForward {
  const NormRows<float>& p;
  const N n;
  const F& fallback;
  /// Registers of 256 bits pay for rows of one step; longer ones gain or lose a few percent by them, as they come from
  /// near or far.
  using Deviation = Deviations<float, std::conditional_t<kOneStep<N>, Vec256, Vec>>;
  using Step = typename Deviation::Step;

  /// A batch whose y is to be written.
  struct Pending {
    SliceBatch batch;
    const float* x;
    float* y;
    bool suits = false;
    alignas(64) float affine[5 * kBatch];
    bool whole() const { return suits && batch.count == kBatch; }
  };
  /// Of each slice, the sums of its deviations and of their squares.
  struct Sums {
    alignas(64) double rest[kBatch], squares[kBatch];
  };

  /// An element as its own deviation, from zero.
  struct Itself {
    Step operator()(const Step& element, auto, auto) const { return element; }
  };

  const float* x_of(const SliceBatch& batch) const { return p.in.x + start(p.x_stride, batch.first); }

  template <bool Full, class Beside>
  void sum(const SliceBatch& batch, Sums& sums, Beside&& beside) const {
    add_up<Full>(batch, x_of(batch), sums, Itself(), beside);
  }

  bool finish(const SliceBatch& batch, const Sums& sums, Pending& pending) const {
    const BatchStats stats(moments(batch, sums), n, p.mode.eps);
    pending.batch.count = 0;
    if (p.out.y) {
      pending.batch = batch;
      pending.x = x_of(batch);
      pending.y = p.out.y + start(p.y_stride, batch.first);
      const Lanes<16> a = p.in.gamma ? stats.rstd * widen(channel_values(p.in.gamma, p, batch, 1)) : stats.rstd;
      pending.suits =
          p.rows == 1 && !p.channel_rows &&
          single_affines({stats.mean, stats.lo, a}, channel_values(p.in.beta, p, batch, 0), pending.affine, kBatch);
    }
    if (p.stats.wanted || !pending.suits) stats.save(p.stats, batch);
    return true;
  }

  BatchMoments moments(const SliceBatch& batch, const Sums& sums) const {
    BatchMoments about_zero(load_wide<16>(sums.rest), load_wide<16>(sums.squares), n, p.mode.center);
    if (!about_zero.near_zero) [[unlikely]]
      from_first(batch, x_of(batch), about_zero);
    return about_zero;
  }

  /// In place of moments that are not near zero, those about the slices' first elements.
  [[gnu::noinline]] void from_first(const SliceBatch& batch, const float* x, BatchMoments& moments) const {
    alignas(64) double guess[kBatch] = {};
    for (int j = 0; j < batch.count; ++j) guess[j] = static_cast<double>(x[j * p.x_stride.inner]);
    Sums sums;
    add_up<false>(
        batch, x, sums, [&](const Step& element, int j, auto k) { return Deviation::of(element, Step(guess[j]), k); },
        [](int, const SliceSteps&) {});
    moments.replace({load_wide<16>(guess), load_wide<16>(sums.rest), load_wide<16>(sums.squares), n}, n);
  }

  /// Sums of each slice's deviations, and of their squares; the first slice is at x. beside() is called after each.
  template <bool Full, class Deviate, class Beside>
  void add_up(const SliceBatch& batch, const float* x, Sums& out, const Deviate& deviate, Beside&& beside) const {
    constexpr int kFour = 4;
    const SliceSteps step = steps_of(p);
    for (int from = 0; from < kBatch; from += kFour) {
      Vec256 sums[kFour], products[kFour];
      each_of<kFour, N>([&](auto i) {
        const int j = from + i;
        if (!Full && j >= batch.count) {
          sums[i] = products[i] = Vec256(0.0);
          return;
        }
        const float* slice = x + j * step.x;
        if constexpr (kOneStep<N>) {
          const Step d = deviate(Deviation::load(slice, n), j, n);
          sums[i] = fold(d);
          products[i] = std::is_same_v<Deviate, Itself> ? fold_exact_squares(d) : fold(d * d);
        } else {
          Step all(0.0), square(0.0);
          steps<kLanes<float>>(n, [&](index_t at, auto k) {
            const Step d = deviate(Deviation::load(slice + at, k), j, k);
            all = all + d;
            square = fma(d, d, square);
          });
          sums[i] = fold_to_256(fold(all));
          products[i] = fold_to_256(fold(square));
        }
        beside(j, step);
      });
      sum_four(sums, out.rest + from);
      sum_four(products, out.squares + from);
    }
  }

  template <bool Streamed>
  LIMPID_INLINE void write(const float* x, float* y, const float* at) const {
    const SingleLanes affine({at[0], at[kBatch], at[2 * kBatch], at[3 * kBatch], at[4 * kBatch]});
    write_row<Streamed>(y, n, [&](index_t i, auto k) LIMPID_INLINE { return affine(load_singles_step(x + i, k)); });
  }

  /// Pointers are the writer's own, for what it stores might be anyone's memory.
  auto row_writer(const Pending& pending) const {
    return [&, x = pending.x, y = pending.y, affine = static_cast<const float*>(pending.affine)](int j,
                                                                                                 const SliceSteps& step)
               LIMPID_INLINE { write<false>(x + j * step.x, y + j * step.y, affine + j); };
  }

  [[gnu::noinline]] void write(Pending& pending) const {
    for (int j = 0; j < pending.batch.count; ++j) {
      const float *x = pending.x + j * p.x_stride.inner, *at = pending.affine + j;
      float* y = pending.y + j * p.y_stride.inner;
      if (!pending.suits)
        fallback(place(p, pending.batch.first.q + j));
      else
        p.mode.stream ? write<true>(x, y, at) : write<false>(x, y, at);
    }
    pending.batch.count = 0;
  }
};

template <class F>
void short_forward(const NormRows<float>& p, index_t begin, index_t end, F&& fallback) {
  with_length(p.slice_size(), [&](auto n) {
    Pipeline<ShortForward<decltype(n), F>> pipeline({p, n, fallback});
    each_batch(p, begin, end, kBatch, [&](const SliceBatch& batch) { pipeline.push(batch); });
    pipeline.drain();
  });
}

// ---- backward ------------------------------------------------------------------------------------------------------

inline Lanes<16> negative(const Lanes<16>& v) { return Lanes<16>(-0.0) - v; }

/// Sums and dx of short slices of n elements, one dense row each, as a job of the pipeline. Only rows of a single step
/// leave their dx pending; longer ones are few enough at a time to be in the nearest cache still. fallback(place) does
/// all of one slice where the batch's way does not suit. Moving: there are slopes or offsets.
template <bool Moving, class N, class F>
struct ShortBackward {
  const NormRows<float>& p;
  const N n;
  const F& fallback;

  /// A batch whose dx is to be written: dx = dy * of_dy + (d * of_d + constant), d = x * scale + shift.
  struct Pending {
    int count = 0;
    const float *x, *dy;
    float* dx;
    alignas(64) float scale[kBatch], shift[kBatch], of_dy[kBatch], of_d[kBatch], constant[kBatch];
    bool whole() const { return count == kBatch; }
  };
  /// Deviations of a batch, and the sums of dy and of dy * d.
  struct Sums {
    Lanes<16> rstd, rest, unscaled, dy, dots;
    alignas(64) float scale[kBatch], shift[kBatch];
    bool suits;
  };

  template <bool Full, class Beside>
  void sum(const SliceBatch& batch, Sums& sums, Beside&& beside) const {
    const Lanes<16> none(0.0);
    sums.rstd = saved(p.stats.rstd, batch);
    const StepDeviations d(p.mode.center ? saved(p.stats.mean, batch) : none,
                           p.mode.center ? saved(p.stats.mean_lo, batch) : none, sums.rstd);
    store(sums.scale, d.scale);
    store(sums.shift, negative(d.m * d.scale));
    sums.rest = d.rest;
    sums.unscaled = d.unscaled;
    sums.suits = kFused && d.suit;
    add_up<Full>(batch, sums, beside);
  }

  bool finish(const SliceBatch& batch, Sums& sums, Pending& pending) const {
    store(pending.scale, load_singles(sums.scale));
    store(pending.shift, load_singles(sums.shift));
    pending.count = 0;
    if (!differentiate(batch, sums, pending)) [[unlikely]] {
      for (int j = 0; j < batch.count; ++j) fallback(place(p, batch.first.q + j));
      return false;
    }
    if (p.sums.dy) {
      save(p.sums.dy, batch, sums.dy);
      save(p.sums.dy_xhat, batch, sums.dots);
    }
    if (!p.out.dx) return false;
    const index_t at = start(p.y_stride, batch.first);
    pending.count = batch.count;
    pending.x = p.in.x + start(p.x_stride, batch.first);
    pending.dy = p.in.dy + at;
    pending.dx = p.out.dx + at;
    if (!kOneStep<N>) write(pending);
    return kOneStep<N>;
  }

  /// Makes the sums of dy * d those of dy * xhat, and from them the coefficients of dx: SingleGradient of each slice.
  /// Whether float32 suits all of them.
  bool differentiate(const SliceBatch& batch, Sums& sums, Pending& to) const {
    const Lanes<16>&rest = sums.rest, &unscaled = sums.unscaled, &dy = sums.dy;
    Lanes<16>& dots = sums.dots;
    const Lanes<16> gamma = widen(channel_values(p.in.gamma, p, batch, 1));
    dots = (dots + rest * dy) * unscaled;
    Lanes<16> mean_a(0.0), mean_a_xhat = gamma * dots;
    if (p.mode.center) mean_a = gamma * dy;
    const Vec infinite(__builtin_inf()), most(0x1p100), least(0x1p-100), top(0x1p120), zero(0.0);
    for (int i = 0; i < Lanes<16>::count; ++i) {
      mean_a.v[i] = BatchMoments::over(mean_a.v[i], n);
      mean_a_xhat.v[i] = BatchMoments::over(mean_a_xhat.v[i], n);
    }
    Lanes<16> of_xhat = negative(sums.rstd) * mean_a_xhat, alone = negative(sums.rstd) * mean_a;
    if constexpr (Moving) {
      of_xhat = of_xhat + widen(channel_values(p.in.slope, p, batch, 0));
      alone = alone + widen(channel_values(p.in.offset, p, batch, 0));
    }
    const Lanes<16> of_dy = sums.rstd * gamma, of_d = of_xhat * unscaled, constant = alone + rest * of_d;
    store(to.of_dy, of_dy);
    store(to.constant, constant);
    store(to.of_d, of_d);
    bool suits = sums.suits;
    const auto misfit = [&](const Vec& v) {
      const Vec magnitude = xsimd::abs(v);
      return magnitude > most || (magnitude < least && magnitude != zero);
    };
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const auto finite = xsimd::abs(dy.v[i]) < infinite && xsimd::abs(dots.v[i]) < infinite;
      suits = suits && xsimd::all(finite) &&
              !xsimd::any(misfit(of_dy.v[i]) || misfit(of_d.v[i]) || xsimd::abs(constant.v[i]) > top);
    }
    return suits;
  }

  /// Sums of dy, and of dy * d. beside() is called for each slice.
  template <bool Full, class Beside>
  void add_up(const SliceBatch& batch, Sums& out, Beside&& beside) const {
    const SliceSteps step = steps_of(p);
    const float *x = p.in.x + start(p.x_stride, batch.first), *dy = p.in.dy + start(p.y_stride, batch.first);
    const float *scale = out.scale, *shift = out.shift;
    const auto lacks = [&](int j) { return !Full && j >= batch.count; };
    if constexpr (kOneStep<N>) {
      alignas(64) float all[kBatch], products[kBatch];
      sum_sixteen(
          [&](int j) LIMPID_INLINE {
            beside(j, step);
            return lacks(j) ? Singles256(0) : SingleSums::terms(x + j * step.x, dy + j * step.y, scale[j], shift[j], n);
          },
          products);
      sum_sixteen([&](int j) LIMPID_INLINE { return lacks(j) ? Singles256(0) : SingleSums::terms(dy + j * step.y, n); },
                  all);
      out.dy = load(all);
      out.dots = load(products);
    } else {
      constexpr int kEight = 8;
      alignas(64) double all[kBatch], products[kBatch];
      for (int from = 0; from < kBatch; from += kEight) {
        Vec totals[kEight], dots[kEight];
        each_of<kEight, N>([&](auto i) {
          const int j = from + i;
          if (lacks(j)) {
            totals[i] = dots[i] = Vec(0.0);
            return;
          }
          SingleSums sum(scale[j], shift[j]);
          sum.add(x + j * step.x, dy + j * step.y, n);
          totals[i] = fold(sum.total);
          dots[i] = fold(sum.products);
          beside(j, step);
        });
        sum_eight(totals, all + from);
        sum_eight(dots, products + from);
      }
      out.dy = load_wide<16>(all);
      out.dots = load_wide<16>(products);
    }
  }

  template <bool Streamed>
  LIMPID_INLINE void write(const Pending& from, const SliceSteps& step, int j) const {
    const Singles scale(from.scale[j]), shift(from.shift[j]), of_dy(from.of_dy[j]), constant(from.constant[j]),
        of_d(from.of_d[j]);
    const float *x = from.x + j * step.x, *dy = from.dy + j * step.y;
    write_row<Streamed>(from.dx + j * step.y, n, [&](index_t i, auto k) LIMPID_INLINE {
      const Singles d = fma(load_singles_step(x + i, k), scale, shift);
      return fma(load_singles_step(dy + i, k), of_dy, fma(d, of_d, constant));
    });
  }

  auto row_writer(const Pending& pending) const {
    return [&](int j, const SliceSteps& step) LIMPID_INLINE { write<false>(pending, step, j); };
  }

  [[gnu::noinline]] void write(Pending& pending) const {
    const SliceSteps step = steps_of(p);
    for (int j = 0; j < pending.count; ++j)
      p.mode.stream ? write<true>(pending, step, j) : write<false>(pending, step, j);
    pending.count = 0;
  }
};

template <class F>
void short_backward(const NormRows<float>& p, index_t begin, index_t end, F&& fallback) {
  const auto run = [&](auto moving) {
    with_length(p.len, [&](auto n) {
      Pipeline<ShortBackward<moving, decltype(n), F>> pipeline({p, n, fallback});
      each_batch(p, begin, end, n > kFewAbreast ? kBatch / 2 : kBatch,
                 [&](const SliceBatch& batch) { pipeline.push(batch); });
      pipeline.drain();
    });
  };
  p.in.slope || p.in.offset ? run(std::true_type{}) : run(std::false_type{});
}

}  // namespace
}  // namespace limpid::kernels
