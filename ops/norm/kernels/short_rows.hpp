// Short float32 rows, sixteen abreast: what is done once per slice (sums over lanes, divisions, a square root, the
// coefficients) is done for several side by side, with the arithmetic, to the bit, that one slice alone would see. (The
// sign of a zero may differ in dx, where dy is -0 throughout: a slice alone begins its sums with +0.)
// Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/gradient.hpp>
#include <limpid/ops/norm/kernels/slices.hpp>

namespace limpid::kernels {
namespace {

constexpr int kLot = 16;
/// Length from which x and dy of half a lot fill the nearest cache.
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

/// Up to kLot slices that follow one another at one distance. Of those that lack, sums and statistics are 0.
struct Lot {
  Place first;
  int count = 0;
};

/// Calls f(lot) for the slices [begin, end), at most so many in each.
template <class F>
void each_lot(const NormRows<float>& p, index_t begin, index_t end, index_t most, F&& f) {
  // What has one distance throughout need not be cut where an outer stride comes in.
  const auto even = [&](const auto& stride) { return stride.outer == p.inner * stride.inner; };
  const bool uncut = even(p.x_stride) && even(p.y_stride);
  for (Place at = place(p, begin); at.q < end;) {
    index_t count = end - at.q < most ? end - at.q : most;
    if (!uncut && count > p.inner - at.inner) count = p.inner - at.inner;
    f(Lot{at, static_cast<int>(count)});
    at.q += count;
    at.inner += count;
    if (at.inner >= p.inner) at = place(p, at.q);
  }
}

/// The lot's values of gamma or beta.
inline Singles values_or(const float* values, const NormRows<float>& p, const Lot& lot, float absent) {
  if (!values) return Singles(absent);
  const index_t first = lot.first.inner;
  if (p.affine_inner == 1 && first + lot.count <= p.inner)
    return lot.count == kLot ? load_singles(values + first) : load_singles(values + first, lot.count);
  alignas(64) float each[kLot] = {};
  for (index_t j = 0, inner = first; j < lot.count; ++j, inner = inner + 1 < p.inner ? inner + 1 : 0)
    each[j] = values[inner * p.affine_inner];
  return load_singles(each);
}

/// One double of each slice, in arrays over all of them.
inline void save(double* all, const Lot& lot, const Lanes<16>& values) {
  double* at = all + lot.first.q;
  if (lot.count == kLot) return store_wide(at, values);
  alignas(64) double each[kLot];
  store_wide(each, values);
  for (int j = 0; j < lot.count; ++j) at[j] = each[j];
}
inline Lanes<16> saved(const double* all, const Lot& lot) {
  const double* at = all + lot.first.q;
  if (lot.count == kLot) return load_wide<16>(at);
  alignas(64) double each[kLot] = {};
  for (int j = 0; j < lot.count; ++j) each[j] = at[j];
  return load_wide<16>(each);
}

/// Moments of a lot, from the sums of the deviations from a guess of each mean and of their squares, over n elements
/// each: the arithmetic of Deviations::finish.
struct LotMoments {
  Lanes<16> mean{0.0}, lo{0.0}, m2;
  bool near_zero = true;  ///< As near_zero() of each.

  /// About zero.
  LotMoments(const Lanes<16>& rest, const Lanes<16>& squares, index_t n, bool center) : m2(squares) {
    if (!center) return;
    for (int i = 0; i < Lanes<16>::count; ++i) {
      mean.v[i] = deviate(rest.v[i], n, m2.v[i]);
      lo.v[i] = mean.v[i] - mean.v[i];  // none, but of what is not finite
      near_zero = near_zero && !xsimd::any(far(i, n));
    }
  }
  LotMoments(const Lanes<16>& guess, const Lanes<16>& rest, const Lanes<16>& squares, index_t n) : m2(squares) {
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const Vec delta = deviate(rest.v[i], n, m2.v[i]), at = guess.v[i], m = at + delta, t = m - at;
      mean.v[i] = m;
      lo.v[i] = (at - (m - t)) + (delta - t);
    }
  }

  /// What the guess lacks; its square is taken from m2.
  static Vec deviate(const Vec& rest, index_t n, Vec& m2) {
    const Vec zero(0.0), total = rest + zero, delta = over(total, n);
    m2 = xsimd::max(zero, m2 - total * delta);  // of a NaN, the second
    return delta;
  }

  /// Takes what is another's where that is not near zero here.
  void replace(const LotMoments& other, index_t n) {
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

/// Statistics of a lot: the arithmetic of write_stats.
struct LotStats {
  Lanes<16> mean, lo, rstd, var;

  LotStats(const LotMoments& moments, index_t n, double eps) : mean(moments.mean), lo(moments.lo) {
    const Vec zero(0.0), one(1.0), more(eps);
    for (int i = 0; i < Lanes<16>::count; ++i) {
      var.v[i] = LotMoments::over(moments.m2.v[i], n);
      const Vec spread = var.v[i] + more;
      rstd.v[i] = xsimd::select(spread == zero, zero, one / xsimd::sqrt(spread));
    }
  }

  void save(const NormStats& to, const Lot& lot) const {
    kernels::save(to.mean, lot, mean);
    kernels::save(to.mean_lo, lot, lo);
    kernels::save(to.rstd, lot, rstd);
    if (to.var) kernels::save(to.var, lot, var);
  }
};

/// Statistics and y of dense short slices of n elements. y of a lot is written beside the sums of the one after the
/// next: its divisions and roots are done by then.
/// plainly(place) writes y of one slice where the lot's way does not suit.
template <class N, class F>
struct ShortForward {
  const NormRows<float>& p;
  const N n;
  const F& plainly;
  /// Halves pay for rows of one step; longer ones gain or lose a few percent by them, as they come from near or far.
  using Deviation = Deviations<float, std::conditional_t<kOneStep<N>, Half, Vec>>;
  using Step = typename Deviation::Step;
  static constexpr int kDues = 3;
  /// An element as its own deviation, from zero.
  struct Itself {
    Step operator()(const Step& element, auto, auto) const { return element; }
  };

  /// A lot whose y is due.
  struct Due {
    Lot lot;
    const float* x;
    float* y;
    bool suits = false;
    alignas(64) float affine[5 * kLot];
  };
  Due dues[kDues] = {};
  int next = 0;  ///< the one that waits longest, and is free once it is written

  void take(const Lot& lot) {
    Due& due = dues[next];
    const float* x = p.x + start(p.x_stride, lot.first);
    alignas(64) double rest[kLot], squares[kLot];
    if (due.suits && !p.stream && due.lot.count == kLot && lot.count == kLot) {
      const index_t step = p.x_stride.inner, y_step = p.y_stride.inner;
      add_up<true>(lot, x, rest, squares, Itself(),
                   [&, from = due.x, to = due.y, affine = static_cast<const float*>(due.affine)](int j)
                       LIMPID_INLINE { write<false>(from + j * step, to + j * y_step, affine + j); });
    } else {
      write(due);
      add_up<false>(lot, x, rest, squares, Itself(), [](int) {});
    }
    const LotStats stats(moments(lot, x, load_wide<16>(rest), load_wide<16>(squares)), n, p.eps);
    due.lot.count = 0;
    if (p.y) {
      due.lot = lot;
      due.x = x;
      due.y = p.y + start(p.y_stride, lot.first);
      const Lanes<16> a = p.gamma ? stats.rstd * widen(values_or(p.gamma, p, lot, 1)) : stats.rstd;
      due.suits = p.rows == 1 && !p.along &&
                  single_affines(stats.mean, stats.lo, a, values_or(p.beta, p, lot, 0), due.affine, kLot);
    }
    if (p.stats.wanted || !due.suits) stats.save(p.stats, lot);
    next = next + 1 < kDues ? next + 1 : 0;
  }

  LotMoments moments(const Lot& lot, const float* x, const Lanes<16>& rest, const Lanes<16>& squares) const {
    LotMoments about_zero(rest, squares, n, p.center);
    if (!about_zero.near_zero) [[unlikely]]
      from_first(lot, x, about_zero);
    return about_zero;
  }

  /// In place of moments that are not near zero, those about the slices' first elements.
  [[gnu::noinline]] void from_first(const Lot& lot, const float* x, LotMoments& moments) const {
    alignas(64) double guess[kLot] = {}, rest[kLot], squares[kLot];
    for (int j = 0; j < lot.count; ++j) guess[j] = static_cast<double>(x[j * p.x_stride.inner]);
    add_up<false>(
        lot, x, rest, squares,
        [&](const Step& element, int j, auto k) { return Deviation::of(element, Step(guess[j]), k); }, [](int) {});
    moments.replace({load_wide<16>(guess), load_wide<16>(rest), load_wide<16>(squares), n}, n);
  }

  /// Sums of each slice's deviations, and of their squares. beside(j) is called after slice j.
  template <bool Full, class Deviate, class Beside>
  void add_up(const Lot& lot, const float* first, double* rest, double* squares, const Deviate& deviate,
              Beside&& beside) const {
    constexpr int kFour = 4;
    const index_t step = p.x_stride.inner;
    for (int from = 0; from < kLot; from += kFour) {
      Half sums[kFour], products[kFour];
      each_of<kFour, N>([&](auto i) {
        const int j = from + i;
        if (!Full && j >= lot.count) {
          sums[i] = products[i] = Half(0.0);
          return;
        }
        const float* x = first + j * step;
        if constexpr (kOneStep<N>) {
          const Step d = deviate(Deviation::load(x, n), j, n);
          sums[i] = fold(d);
          products[i] = std::is_same_v<Deviate, Itself> ? fold_exact_squares(d) : fold(d * d);
        } else {
          Step all(0.0), square(0.0);
          steps<kLanes<float>>(n, [&](index_t at, auto k) {
            const Step d = deviate(Deviation::load(x + at, k), j, k);
            all = all + d;
            square = fma(d, d, square);
          });
          sums[i] = halved(fold(all));
          products[i] = halved(fold(square));
        }
        beside(j);
      });
      sum_four(sums, rest + from);
      sum_four(products, squares + from);
    }
  }

  template <bool Streamed>
  LIMPID_INLINE void write(const float* x, float* y, const float* at) const {
    const SingleLanes affine({at[0], at[kLot], at[2 * kLot], at[3 * kLot], at[4 * kLot]});
    write_row<Streamed>(y, n, [&](index_t i, auto k) LIMPID_INLINE { return affine(load_singles_step(x + i, k)); });
  }

  void write(Due& due) const {
    for (int j = 0; j < due.lot.count; ++j) {
      const float *x = due.x + j * p.x_stride.inner, *at = due.affine + j;
      float* y = due.y + j * p.y_stride.inner;
      if (!due.suits)
        plainly(place(p, due.lot.first.q + j));
      else
        p.stream ? write<true>(x, y, at) : write<false>(x, y, at);
    }
    due.lot.count = 0;
  }

  void finish() {
    for (int i = 0; i < kDues; ++i) {
      write(dues[next]);
      next = next + 1 < kDues ? next + 1 : 0;
    }
    if (p.stream) end_stream();
  }
};

template <class F>
void short_forward(const NormRows<float>& p, index_t begin, index_t end, F&& plainly) {
  with_length(p.slice_size(), [&](auto n) {
    ShortForward<decltype(n), F> forward{p, n, plainly};
    each_lot(p, begin, end, kLot, [&](const Lot& lot) { forward.take(lot); });
    forward.finish();
  });
}

inline Lanes<16> negative(const Lanes<16>& v) { return Lanes<16>(-0.0) - v; }

/// SingleDeviations and SingleGradient of a lot, side by side.
struct LotGradient {
  Lanes<16> rstd, rest, unscaled;
  bool suits = kFused;

  /// From the statistics: writes scale and shift.
  LotGradient(const Lanes<16>& mean, const Lanes<16>& lo, const Lanes<16>& r, float* scale, float* shift) : rstd(r) {
    const Vec exponent(__builtin_bit_cast(double, 0x7FF0'0000'0000'0000)), zero(0.0), one(1.0);
    const Vec fraction(__builtin_bit_cast(double, 0x000F'FFFF'FFFF'FFFF));
    const Vec most(0x1p120), least(0x1p-120);
    Lanes<16> below;
    for (int i = 0; i < Lanes<16>::count; ++i) {
      below.v[i] = xsimd::select(r.v[i] == zero, one, r.v[i] & exponent);
      // r / below, for below is a power of two.
      unscaled.v[i] = xsimd::select(r.v[i] == zero, zero, (r.v[i] & fraction) | one);
      const Vec& power = below.v[i];
      suits = suits && !xsimd::any(power > most || power < least || xsimd::abs(mean.v[i]) * power > most);
    }
    store(shift, mean);
    const Lanes<16> m = load(shift);
    store(scale, below);
    store(shift, negative(m * below));
    rest = ((m - mean) - lo) * below;
  }

  /// From the sums of dy and, made into that of dy * xhat, of dy * d; writes a, c1 and c2.
  /// Moving: there are slopes or offsets.
  template <bool Moving>
  void differentiate(const NormRows<float>& p, const Lot& lot, index_t n, const Lanes<16>& dy, Lanes<16>& dots,
                     float* a, float* c1, float* c2) {
    const Lanes<16> gamma = widen(values_or(p.gamma, p, lot, 1));
    dots = (dots + rest * dy) * unscaled;
    Lanes<16> m1(0.0), m2 = gamma * dots;
    if (p.center) m1 = gamma * dy;
    const Vec infinite(__builtin_inf()), most(0x1p100), least(0x1p-100), top(0x1p120), zero(0.0);
    for (int i = 0; i < Lanes<16>::count; ++i) {
      m1.v[i] = LotMoments::over(m1.v[i], n);
      m2.v[i] = LotMoments::over(m2.v[i], n);
    }
    Lanes<16> q = negative(rstd) * m2, k = negative(rstd) * m1;
    if constexpr (Moving) {
      q = q + widen(values_or(p.slope, p, lot, 0));
      k = k + widen(values_or(p.offset, p, lot, 0));
    }
    const Lanes<16> factor = rstd * gamma, along = q * unscaled, constant = k + rest * along;
    store(a, factor);
    store(c1, constant);
    store(c2, along);
    const auto misfit = [&](const Vec& v) {
      const Vec magnitude = xsimd::abs(v);
      return magnitude > most || (magnitude < least && magnitude != zero);
    };
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const auto finite = xsimd::abs(dy.v[i]) < infinite && xsimd::abs(dots.v[i]) < infinite;
      suits = suits && xsimd::all(finite) &&
              !xsimd::any(misfit(factor.v[i]) || misfit(along.v[i]) || xsimd::abs(constant.v[i]) > top);
    }
  }
};

/// Sums and dx of short slices of n elements, one dense row each. dx of a lot of single steps is written beside the
/// sums of the one after the next; longer rows are few enough at a time to be in the nearest cache still.
/// plainly(place) does all of one slice where the lot's way does not suit.
template <bool Moving, class N, class F>
struct ShortBackward {
  const NormRows<float>& p;
  const N n;
  const F& plainly;
  static constexpr int kDues = 3;

  /// A lot whose dx is due.
  struct Due {
    int count = 0;
    const float *x, *dy;
    float* dx;
    alignas(64) float scale[kLot], shift[kLot], a[kLot], c1[kLot], c2[kLot];
  };
  Due dues[kDues] = {};
  int next = 0;

  void take(const Lot& lot) {
    Due& due = dues[next];
    const Lanes<16> none(0.0);
    alignas(64) float scale[kLot], shift[kLot];
    LotGradient gradient(p.center ? saved(p.stats.mean, lot) : none, p.center ? saved(p.stats.mean_lo, lot) : none,
                         saved(p.stats.rstd, lot), scale, shift);
    const index_t y_at = start(p.y_stride, lot.first);
    const float *x = p.x + start(p.x_stride, lot.first), *dy = p.dy + y_at;
    Lanes<16> sums, dots;
    if (due.count == kLot && lot.count == kLot && !p.stream) {
      const index_t x_step = p.x_stride.inner, y_step = p.y_stride.inner;
      add_up<true>(lot, x, dy, scale, shift, sums, dots,
                   [&](int j) LIMPID_INLINE { write<false>(due, x_step, y_step, j); });
    } else {
      write(due);
      add_up<false>(lot, x, dy, scale, shift, sums, dots, [](int) {});
    }
    store(due.scale, load_singles(scale));
    store(due.shift, load_singles(shift));
    gradient.differentiate<Moving>(p, lot, n, sums, dots, due.a, due.c1, due.c2);
    due.count = 0;
    if (!gradient.suits) [[unlikely]] {
      for (int j = 0; j < lot.count; ++j) plainly(place(p, lot.first.q + j));
      return;
    }
    if (p.sum_dy) {
      save(p.sum_dy, lot, sums);
      save(p.sum_dy_xhat, lot, dots);
    }
    if (!p.dx) return;
    due.count = lot.count;
    due.x = x;
    due.dy = dy;
    due.dx = p.dx + y_at;
    if (!kOneStep<N>) return write(due);
    next = next + 1 < kDues ? next + 1 : 0;
  }

  /// Sums of dy, and of dy * d. beside(j) is called for each slice.
  template <bool Full, class Beside>
  void add_up(const Lot& lot, const float* x, const float* dy, const float* scale, const float* shift, Lanes<16>& sums,
              Lanes<16>& dots, Beside&& beside) const {
    const index_t step = p.x_stride.inner, y_step = p.y_stride.inner;
    const auto lacks = [&](int j) { return !Full && j >= lot.count; };
    if constexpr (kOneStep<N>) {
      alignas(64) float all[kLot], products[kLot];
      sum_sixteen(
          [&](int j) LIMPID_INLINE {
            beside(j);
            return lacks(j) ? HalfSingles(0) : SingleSums::terms(x + j * step, dy + j * y_step, scale[j], shift[j], n);
          },
          products);
      sum_sixteen(
          [&](int j) LIMPID_INLINE { return lacks(j) ? HalfSingles(0) : SingleSums::terms(dy + j * y_step, n); }, all);
      sums = load(all);
      dots = load(products);
    } else {
      alignas(64) double all[kLot], products[kLot];
      for (int half = 0; half < kLot; half += 8) {
        Vec totals[8], dot[8];
        each_of<8, N>([&](auto i) {
          const int j = half + i;
          if (lacks(j)) {
            totals[i] = dot[i] = Vec(0.0);
            return;
          }
          SingleSums sum(scale[j], shift[j]);
          sum.add(x + j * step, dy + j * y_step, n);
          totals[i] = fold(sum.total);
          dot[i] = fold(sum.products);
          beside(j);
        });
        sum_eight(totals, all + half);
        sum_eight(dot, products + half);
      }
      sums = load_wide<16>(all);
      dots = load_wide<16>(products);
    }
  }

  template <bool Streamed>
  LIMPID_INLINE void write(const Due& due, index_t x_step, index_t y_step, int j) const {
    const Singles scale(due.scale[j]), shift(due.shift[j]), a(due.a[j]), c1(due.c1[j]), c2(due.c2[j]);
    const float *x = due.x + j * x_step, *dy = due.dy + j * y_step;
    write_row<Streamed>(due.dx + j * y_step, n, [&](index_t i, auto k) LIMPID_INLINE {
      const Singles d = fma(load_singles_step(x + i, k), scale, shift);
      return fma(load_singles_step(dy + i, k), a, fma(d, c2, c1));
    });
  }

  void write(Due& due) const {
    const index_t x_step = p.x_stride.inner, y_step = p.y_stride.inner;
    for (int j = 0; j < due.count; ++j)
      p.stream ? write<true>(due, x_step, y_step, j) : write<false>(due, x_step, y_step, j);
    due.count = 0;
  }

  void finish() {
    for (int i = 0; i < kDues; ++i) {
      write(dues[next]);
      next = next + 1 < kDues ? next + 1 : 0;
    }
  }
};

template <class F>
void short_backward(const NormRows<float>& p, index_t begin, index_t end, F&& plainly) {
  const auto run = [&](auto moving) {
    with_length(p.len, [&](auto n) {
      ShortBackward<moving, decltype(n), F> backward{p, n, plainly};
      each_lot(p, begin, end, n > kFewAbreast ? kLot / 2 : kLot, [&](const Lot& lot) { backward.take(lot); });
      backward.finish();
    });
  };
  p.slope || p.offset ? run(std::true_type{}) : run(std::false_type{});
}

}  // namespace
}  // namespace limpid::kernels
