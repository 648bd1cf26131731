// Short float32 samples, a tile of columns at a time: sums, statistics, coefficients and results of all its rows, with
// nothing but registers in between. The arithmetic is, to the bit, that of the phases in columns.cpp, which includes
// this.
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
inline Ahead<float> next_sample(const NormColumnGeometry& p, const float* from, index_t column) {
  return {from + column * p.rows, K * 16};
}

/// Calls f(i, values) for the lanes of a step, with the doubles that lane i has in each of the given vectors. These are
/// passed by value, so that what the caller has stays in registers.
template <class F, class... V>
[[gnu::cold, gnu::noinline]] void each_lane(index_t n, F f, V... vectors) {
  double all[sizeof...(V)][16];
  double(*next)[16] = all;
  (store_wide(*next++, vectors), ...);
  for (index_t i = 0; i < n; ++i) {
    double values[sizeof...(V)];
    for (std::size_t v = 0; v < sizeof...(V); ++v) values[v] = all[v][i];
    f(i, values);
  }
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
    const Vec zero(0.0), each(1 / static_cast<double>(p.rows)), eps(p.mode.eps);
    for (int i = 0; i < Lanes<16>::count; ++i) {
      if (p.mode.center) {
        const Vec left = rest.v[i] * each, m2 = var.v[i] - rest.v[i] * left, at = mean.v[i];
        var.v[i] = xsimd::select(m2 < zero, zero, m2);
        mean.v[i] = at + left;
        const Vec t = mean.v[i] - at;
        lo.v[i] = (at - (mean.v[i] - t)) + (left - t);
      }
      var.v[i] = var.v[i] * each;
      rstd.v[i] = inverse_stddev(var.v[i], eps);
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

[[gnu::flatten]] inline void forward_short(const NormColumns<float>& p, index_t n) noexcept {
  constexpr int W = 16;
  const float* x = p.in.x + n * p.x_sample;
  float* y = p.out.y ? p.out.y + n * p.y_sample : nullptr;
  const BlockRows rows = block_rows(p, 0);
  across<W, kShortAbreast>(p.width, [&](index_t c, auto abreast, auto k) {
    constexpr int K = abreast;
    DeviationSums<float, K> sums;
    unrolled<K>([&](auto j) {
      sums.minus_center[j] = Lanes<W>(0.0) - (p.mode.center ? load_step(x + c + j * W, k) : Lanes<W>(0.0));
      sums.rest[j] = sums.squares[j] = Lanes<W>(0.0);
    });
    add_deviations<float, K>({x + c, p.x_row, p.rows, next_sample<K>(p, x + p.x_sample, c)}, k, sums);
    SingleLanes affine[K];
    bool suit[K];
    unrolled<K>([&](auto j) {
      const index_t at = c + j * W;
      const StepStatistics s(p, Lanes<W>(0.0) - sums.minus_center[j], sums.rest[j], sums.squares[j]);
      s.write(p.stats, n * p.g + at, k);
      const Lanes<W> a = s.rstd * load_or(p.in.gamma, at, k, 1);
      suit[j] = !y || step_affines({s.mean, s.lo, a}, load_or(p.in.beta, at, k, 0), affine[j]);
    });
    if (!y) return;
    const TileRows<float> row{x + c, p.x_row, p.rows};
    p.mode.stream ? apply_rows<true, K>(row, affine, k, y + c, p.width)
                  : apply_rows<false, K>(row, affine, k, y + c, p.width);
    unrolled<K>([&](auto j) {
      if (suit[j]) return;
      const index_t at = c + j * W, q = n * p.g + at;
      const Lanes<W> a = load_doubles(p.stats.rstd + q, k) * load_or(p.in.gamma, at, k, 1);
      each_lane(
          k,
          [&](index_t i, const double(&of)[4]) {
            const ColumnAffine column{.mean = of[0], .lo = of[1], .a = of[2], .beta = of[3]};
            if (!suits_singles(column.mean, column.a)) apply_column(p, rows, {x, nullptr, y}, at + i, column);
          },
          load_doubles(p.stats.mean + q, k), load_doubles(p.stats.mean_lo + q, k), a, load_or(p.in.beta, at, k, 0));
    });
  });
  if (p.mode.stream) end_stream();
}

[[gnu::flatten]] inline void backward_short(const NormColumns<float>& p, index_t n, double* totals) noexcept {
  constexpr int W = 16;
  const float *x = p.in.x + n * p.x_sample, *dy = p.in.dy + n * p.y_sample;
  float* dx = p.out.dx ? p.out.dx + n * p.y_sample : nullptr;
  const BlockRows rows = block_rows(p, 0);
  const double each = 1 / static_cast<double>(p.s), keep = p.mode.center ? each : 0;
  across<W, kShortAbreast>(p.width, [&](index_t c, auto abreast, auto k) {
    constexpr int K = abreast;
    SingleColumns columns[K];
    GradientSums<K> sums;
    const auto statistic = [&](const double* of, int j) { return load_doubles(of + n * p.g + c + j * W, k); };
    const auto mean = [&](int j) { return p.mode.center ? statistic(p.stats.mean, j) : Lanes<W>(0.0); };
    const auto lo = [&](int j) { return p.mode.center ? statistic(p.stats.mean_lo, j) : Lanes<W>(0.0); };
    const auto rstd = [&](int j) { return statistic(p.stats.rstd, j); };
    unrolled<K>([&](auto j) {
      const StepDeviations d(mean(j), lo(j), rstd(j));
      columns[j].scale = narrow(d.scale);
      columns[j].shift = narrow(shift_of(d));
      sums.total[j] = sums.product[j] = Lanes<W>(0.0);
    });
    reduce_rows<K>({x + c, p.x_row, p.rows, next_sample<K>(p, x + p.x_sample, c)},
                   {dy + c, p.width, p.rows, next_sample<K>(p, dy + p.y_sample, c)}, columns, k, sums);
    bool suit[K];
    Lanes<W> of_dy[K], of_xhat[K], constant[K];
    unrolled<K>([&](auto j) {
      const index_t at = c + j * W;
      const Lanes<W> r = rstd(j), gamma = load_or(p.in.gamma, at, k, 1);
      const StepDeviations d(mean(j), lo(j), r);
      Lanes<W>&total = sums.total[j], &product = sums.product[j];
      product = fma(d.rest, total, product) * d.unscaled;
      if (!all_finite(total, product)) {
        alignas(64) double both[2][W];
        each_lane(
            k,
            [&](index_t i, const double(&of)[5]) {
              Sums all{.dy = of[3], .dy_xhat = of[4]};
              if (!all.suits())
                all = reduce_column(p, rows, {x, dy, nullptr}, at + i, {.mean = of[0], .lo = of[1], .rstd = of[2]});
              both[0][i] = all.dy;
              both[1][i] = all.dy_xhat;
            },
            mean(j), lo(j), r, total, product);
        total = load_doubles(both[0], k);
        product = load_doubles(both[1], k);
      }
      store_wide(totals + at, load_wide<W>(totals + at) + total);
      store_wide(totals + p.pitch + at, load_wide<W>(totals + p.pitch + at) + product);
      const Lanes<W> minus_r = Lanes<W>(-0.0) - r;
      of_dy[j] = r * gamma;
      of_xhat[j] = minus_r * (gamma * product * Lanes<W>(each));
      constant[j] = minus_r * (gamma * total * Lanes<W>(keep));
      if (p.in.slope) of_xhat[j] = of_xhat[j] + load_step(p.in.slope + at, k);
      if (p.in.offset) constant[j] = constant[j] + load_step(p.in.offset + at, k);
      const Lanes<W> of_d = of_xhat[j] * d.unscaled;
      const StepTerms terms(of_dy[j], of_d, fma(of_d, d.rest, constant[j]));
      columns[j].of_dy = narrow(terms.of_dy);
      columns[j].of_d = narrow(terms.of_d);
      columns[j].constant = narrow(terms.constant);
      suit[j] = terms.suit;
    });
    if (!dx) return;
    const TileRows<float> x_row{x + c, p.x_row, p.rows}, dy_row{dy + c, p.width, p.rows};
    p.mode.stream ? dx_rows<true, K>(x_row, dy_row, columns, k, dx + c)
                  : dx_rows<false, K>(x_row, dy_row, columns, k, dx + c);
    unrolled<K>([&](auto j) {
      if (!suit[j])
        each_lane(
            k,
            [&](index_t i, const double(&of)[7]) {
              const double single_of_dy = of[3];
              if (single_of_dy == single_of_dy) return;
              dx_column(p, rows, {x, dy, dx}, c + j * W + i, {.mean = of[0], .lo = of[1], .rstd = of[2]},
                        {.of_dy = of[4], .of_xhat = of[5], .constant = of[6]});
            },
            mean(j), lo(j), rstd(j), widen(columns[j].of_dy), of_dy[j], of_xhat[j], constant[j]);
    });
  });
  if (p.mode.stream) end_stream();
}

}  // namespace
}  // namespace limpid::kernels
