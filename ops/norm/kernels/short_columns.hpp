// Short float32 samples, a tile of columns at a time: sums, statistics, coefficients and results of all its rows, with
// nothing but registers in between. The arithmetic is, to the bit, that of the phases in norm_columns.cpp, which
// includes this.
#pragma once
#include <limpid/ops/norm/kernels/columns_gradient.hpp>

namespace limpid::kernels {
namespace {

/// Steps of a tile: here registers are to hold all that belongs to them.
constexpr int kShortAbreast = 4;

/// Doubles of a step, the first n of them in memory: statistics are not padded.
template <class N>
inline Lanes<16> load_doubles(const double* p, N n) {
  if constexpr (!std::is_same_v<N, int>) return load_wide<16>(p);
  double padded[16] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load_wide<16>(padded);
}
template <class N>
inline void store_doubles(double* p, const Lanes<16>& a, N n) {
  if constexpr (!std::is_same_v<N, int>) return store_wide(p, a);
  double padded[16];
  store_wide(padded, a);
  for (int i = 0; i < n; ++i) p[i] = padded[i];
}
template <class N>
inline Lanes<16> load_or(const float* p, index_t c, N n, double absent) {
  return p ? load_step(p + c, n) : Lanes<16>(absent);
}

/// Line for line of a tile, its share of the sample at `from`, in order.
template <int K>
inline Ahead<float> next_sample(const NormColumns<float>& p, const float* from, index_t column) {
  return {from + column * p.rows, K * 16};
}

/// Calls f(i, values...) for the lanes of a step; by value, so that what the caller has stays in registers.
template <class F, class... V>
[[gnu::cold, gnu::noinline]] void each_lane(index_t n, F f, V... values) {
  const auto at = [](const Lanes<16>& a, index_t i) {
    double all[16];
    store_wide(all, a);
    return all[i];
  };
  for (index_t i = 0; i < n; ++i) f(i, at(values, i)...);
}

inline bool all_finite(const Lanes<16>& a, const Lanes<16>& b) {
  const Lanes<16> none = (a - a) + (b - b);  // or NaN
  bool finite = true;
  for (int i = 0; i < Lanes<16>::count; ++i) finite = xsimd::all(none.v[i] == none.v[i]) && finite;
  return finite;
}

/// Of a step: what finish() makes of the sums of a sample's deviations.
struct StepStatistics {
  Lanes<16> mean, lo{0.0}, rstd, var;

  StepStatistics(const NormColumns<float>& p, const Lanes<16>& center, const Lanes<16>& rest, const Lanes<16>& squares)
      : mean(center),
        var(squares) {
    const Vec zero(0.0), one(1.0), each(1 / static_cast<double>(p.rows)), eps(p.eps);
    for (int i = 0; i < Lanes<16>::count; ++i) {
      if (p.center) {
        const Vec left = rest.v[i] * each, m2 = var.v[i] - rest.v[i] * left, at = mean.v[i];
        var.v[i] = xsimd::select(m2 < zero, zero, m2);
        mean.v[i] = at + left;
        const Vec t = mean.v[i] - at;
        lo.v[i] = (at - (mean.v[i] - t)) + (left - t);
      }
      var.v[i] = var.v[i] * each;
      const Vec spread = var.v[i] + eps;
      rstd.v[i] = xsimd::select(spread == zero, zero, one / xsimd::sqrt(spread));
    }
  }

  template <class N>
  void write(const NormStats& stats, index_t q, N n) const {
    store_doubles(stats.mean + q, mean, n);
    store_doubles(stats.mean_lo + q, lo, n);
    store_doubles(stats.rstd + q, rstd, n);
    if (stats.var) store_doubles(stats.var + q, var, n);
  }
};

/// single_affines() in registers; returns whether all of them suit.
inline bool step_affines(const StepStatistics& s, const Lanes<16>& a, const Lanes<16>& beta, SingleLanes& to) {
  to.mean = narrow(s.mean);
  to.a = narrow(a);
  to.a_lo = narrow(a - widen(to.a));
  to.beta = narrow(beta);
  to.c = narrow(Lanes<16>(0.0) - ((s.mean - widen(to.mean)) + s.lo) * a);
  const Vec most(0x1p100), least(0x1p-90), zero(0.0);
  bool suit = true;
  for (int i = 0; i < Lanes<16>::count; ++i) {  // suits_singles of each
    const Vec size = xsimd::abs(a.v[i]);
    suit = suit && !xsimd::any(xsimd::abs(s.mean.v[i]) > most || size > most || (size < least && size > zero));
  }
  return suit;
}

template <bool Streamed>
[[gnu::flatten]] void forward_short(const NormColumns<float>& p, index_t n) {
  constexpr int W = 16;
  const float* x = p.x + n * p.x_sample;
  float* y = p.y ? p.y + n * p.y_sample : nullptr;
  const BlockRows rows = block_rows(p, 0);
  across<W, kShortAbreast>(p.width, [&](index_t c, auto abreast, auto k) {
    constexpr int K = abreast;
    Lanes<W> minus_center[K], rest[K], squares[K];
    unrolled<K>([&](auto j) {
      minus_center[j] = Lanes<W>(0.0) - (p.center ? load_step(x + c + j * W, k) : Lanes<W>(0.0));
      rest[j] = squares[j] = Lanes<W>(0.0);
    });
    add_deviations<float, K>(p, x + c, next_sample<K>(p, x + p.x_sample, c), p.rows, k, minus_center, rest, squares,
                             nullptr);
    SingleLanes affine[K];
    bool suit[K];
    unrolled<K>([&](auto j) {
      const index_t at = c + j * W;
      const StepStatistics s(p, Lanes<W>(0.0) - minus_center[j], rest[j], squares[j]);
      s.write(p.stats, n * p.g + at, k);
      suit[j] = !y || step_affines(s, s.rstd * load_or(p.gamma, at, k, 1), load_or(p.beta, at, k, 0), affine[j]);
    });
    if (!y) return;
    apply_rows<Streamed, K>(p, affine, x + c, {}, p.rows, k, y + c);
    unrolled<K>([&](auto j) {
      if (suit[j]) return;
      const index_t at = c + j * W, q = n * p.g + at;
      const Lanes<W> a = load_doubles(p.stats.rstd + q, k) * load_or(p.gamma, at, k, 1);
      each_lane(
          k,
          [&](index_t i, double mean, double lo, double slope, double beta) {
            if (!suits_singles(mean, slope)) apply_column(p, rows, x, y, at + i, mean, lo, slope, beta);
          },
          load_doubles(p.stats.mean + q, k), load_doubles(p.stats.mean_lo + q, k), a, load_or(p.beta, at, k, 0));
    });
  });
  if (Streamed) end_stream();
}

template <bool Streamed>
[[gnu::flatten]] void backward_short(const NormColumns<float>& p, index_t n, double* totals) {
  constexpr int W = 16;
  const float *x = p.x + n * p.x_sample, *dy = p.dy + n * p.y_sample;
  float* dx = p.dx ? p.dx + n * p.y_sample : nullptr;
  const BlockRows rows = block_rows(p, 0);
  const double each = 1 / static_cast<double>(p.s), keep = p.center ? each : 0;
  across<W, kShortAbreast>(p.width, [&](index_t c, auto abreast, auto k) {
    constexpr int K = abreast;
    SingleColumns columns[K];
    Lanes<W> total[K], product[K];
    const auto statistic = [&](const double* of, int j) { return load_doubles(of + n * p.g + c + j * W, k); };
    const auto mean = [&](int j) { return p.center ? statistic(p.stats.mean, j) : Lanes<W>(0.0); };
    const auto lo = [&](int j) { return p.center ? statistic(p.stats.mean_lo, j) : Lanes<W>(0.0); };
    const auto rstd = [&](int j) { return statistic(p.stats.rstd, j); };
    unrolled<K>([&](auto j) {
      const StepDeviations d(mean(j), lo(j), rstd(j));
      columns[j].scale = narrow(d.scale);
      columns[j].shift = narrow(d.shift);
      total[j] = product[j] = Lanes<W>(0.0);
    });
    reduce_rows<K>(p, columns, x + c, dy + c, next_sample<K>(p, x + p.x_sample, c),
                   next_sample<K>(p, dy + p.y_sample, c), p.rows, k, total, product);
    bool suit[K];
    Lanes<W> a[K], q[K], constant[K];
    unrolled<K>([&](auto j) {
      const index_t at = c + j * W;
      const Lanes<W> r = rstd(j), gamma = load_or(p.gamma, at, k, 1);
      const StepDeviations d(mean(j), lo(j), r);
      product[j] = fma(d.rest, total[j], product[j]) * d.unscaled;
      if (!all_finite(total[j], product[j])) {
        alignas(64) double sums[2][W];
        each_lane(
            k,
            [&](index_t i, double m, double low, double scale, double sum, double dot) {
              Sums all{sum, dot};
              if (!all.suits()) all = reduce_column(p, rows, x, dy, at + i, m, low, scale);
              sums[0][i] = all.dy;
              sums[1][i] = all.dy_xhat;
            },
            mean(j), lo(j), r, total[j], product[j]);
        total[j] = load_doubles(sums[0], k);
        product[j] = load_doubles(sums[1], k);
      }
      store_wide(totals + at, load_wide<W>(totals + at) + total[j]);
      store_wide(totals + p.pitch + at, load_wide<W>(totals + p.pitch + at) + product[j]);
      const Lanes<W> minus_r = Lanes<W>(-0.0) - r;
      a[j] = r * gamma;
      q[j] = minus_r * (gamma * product[j] * Lanes<W>(each));
      constant[j] = minus_r * (gamma * total[j] * Lanes<W>(keep));
      if (p.slope) q[j] = q[j] + load_step(p.slope + at, k);
      if (p.offset) constant[j] = constant[j] + load_step(p.offset + at, k);
      const Lanes<W> along = q[j] * d.unscaled;
      const StepTerms terms(a[j], along, fma(along, d.rest, constant[j]));
      columns[j].a = narrow(terms.a);
      columns[j].q = narrow(terms.q);
      columns[j].k = narrow(terms.k);
      suit[j] = terms.suit;
    });
    if (!dx) return;
    dx_rows<Streamed, K>(p, columns, x + c, dy + c, {}, {}, p.rows, k, dx + c);
    unrolled<K>([&](auto j) {
      if (!suit[j])
        each_lane(
            k,
            [&](index_t i, double m, double low, double r, double single, double slope, double along, double rest) {
              if (single != single) dx_column(p, rows, x, dy, dx, c + j * W + i, m, low, r, slope, along, rest);
            },
            mean(j), lo(j), rstd(j), widen(columns[j].a), a[j], q[j], constant[j]);
    });
  });
  if (Streamed) end_stream();
}

inline void forward_short(const NormColumns<float>& p, index_t n) noexcept {
  p.stream ? forward_short<true>(p, n) : forward_short<false>(p, n);
}
inline void backward_short(const NormColumns<float>& p, index_t n, double* totals) noexcept {
  p.stream ? backward_short<true>(p, n, totals) : backward_short<false>(p, n, totals);
}

}  // namespace
}  // namespace limpid::kernels
