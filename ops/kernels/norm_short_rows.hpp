// Short float32 rows, sixteen abreast: what is done once per slice (sums over lanes, divisions, a square root, the
// coefficients) is done for several side by side, with the arithmetic, to the bit, that one slice alone would see.
// Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/kernels/norm_gradient.hpp>
#include <limpid/ops/kernels/norm_slices.hpp>

namespace limpid::kernels {
namespace {

constexpr int kLot = 16;

/// Calls f(n), with n == 16 at compile time: rows of one step are nearly all overhead.
template <class F>
void with_length(index_t n, F&& f) {
  n == 16 ? f(std::integral_constant<index_t, 16>{}) : f(n);
}

/// Calls f(places, filled) for lots of slices [begin, end). The last lot is filled up with its first slice.
template <class F>
void each_lot(const NormRows<float>& p, index_t begin, index_t end, F&& f) {
  Place places[kLot];
  int filled = 0;
  const auto flush = [&] {
    const int all = filled;
    while (filled < kLot) places[filled++] = places[0];
    f(static_cast<const Place*>(places), all);
    filled = 0;
  };
  each_slice(p, begin, end, [&](const Place& at) {
    places[filled++] = at;
    if (filled == kLot) flush();
  });
  if (filled > 0) flush();
}

/// Statistics and y of dense short slices of n elements; y of one lot is written beside the moments of the next where
/// there is enough of both.
/// plainly(place) writes y of one slice where the lot's way does not suit.
template <class N, class F>
struct ShortForward {
  const NormRows<float>& p;
  const N n;
  const F& plainly;
  static constexpr index_t kBeside = 256;

  struct Lot {
    Place places[kLot];
    const float* x[kLot];
    alignas(64) float affine[5 * kLot];
    int filled = 0;  ///< Slices whose y is due.
    bool suits = false;
  };
  Lot lots[2] = {};
  bool odd = false;

  void take(const Place* places, int filled) {
    Lot& lot = lots[odd];
    const Lot& before = lots[!odd];
    alignas(64) double mean[kLot], lo[kLot], rstd[kLot], var[kLot];
    for (int j = 0; j < kLot; ++j) {
      lot.places[j] = places[j];
      lot.x[j] = p.x + start(p.x_stride, places[j]);
    }
    for (int j = 0; j < kLot; j += 8)
      eight_stats(lot.x + j, n, p.center, p.eps, mean + j, lo + j, rstd + j, var + j,
                  [&](int i) { write(before, j + i); });
    const index_t q = places[0].q;
    for (int j = 0; j < filled; ++j) {
      p.stats.mean[q + j] = mean[j];
      p.stats.mean_lo[q + j] = lo[j];
      p.stats.rstd[q + j] = rstd[j];
      if (p.stats.var) p.stats.var[q + j] = var[j];
    }
    lot.filled = p.y ? filled : 0;
    lot.suits = p.y && p.rows == 1 && !p.along && affines(lot, mean, lo, rstd);
    if (n < kBeside) return write(lot);
    odd = !odd;
  }

  bool affines(Lot& lot, const double* mean, const double* lo, const double* rstd) const {
    alignas(64) double a[kLot], beta[kLot];
    const index_t first = lot.places[0].inner;
    if (p.affine_inner == 1 && lot.places[kLot - 1].inner == first + kLot - 1) {
      const Lanes<16> r = load_wide<16>(rstd);
      store_wide(a, p.gamma ? r * load(p.gamma + first) : r);
      store_wide(beta, p.beta ? load(p.beta + first) : Lanes<16>(0.0));
    } else {
      for (int j = 0; j < kLot; ++j) {
        const index_t c = lot.places[j].inner * p.affine_inner;
        a[j] = rstd[j] * value_or(p.gamma, c, 1);
        beta[j] = value_or(p.beta, c, 0);
      }
    }
    return single_affines(mean, lo, a, beta, lot.affine, kLot);
  }

  void write(const Lot& lot, int j) const {
    if (j >= lot.filled) return;
    if (!lot.suits) return plainly(lot.places[j]);
    const float *at = lot.affine + j, *x = lot.x[j];
    const SingleLanes affine({at[0], at[kLot], at[2 * kLot], at[3 * kLot], at[4 * kLot]});
    write_steps(p.stream, p.y + start(p.y_stride, lot.places[j]), n,
                [&](index_t i, auto k) { return affine(load_singles_step(x + i, k)); });
  }

  void write(Lot& lot) const {
    for (int j = 0; j < lot.filled; ++j) write(lot, j);
    lot.filled = 0;
  }

  void finish() {
    write(lots[!odd]);
    if (p.stream) end_stream();
  }
};

template <class F>
void short_forward(const NormRows<float>& p, index_t begin, index_t end, F&& plainly) {
  with_length(p.slice_size(), [&](auto n) {
    ShortForward<decltype(n), F> forward{p, n, plainly};
    each_lot(p, begin, end, [&](const Place* places, int filled) { forward.take(places, filled); });
    forward.finish();
  });
}

/// SingleDeviations and SingleGradient of a lot, side by side.
struct LotGradient {
  alignas(64) double mean[kLot], lo[kLot], rstd[kLot], rest[kLot], unscaled[kLot];
  alignas(64) float scale[kLot], shift[kLot], a[kLot], c1[kLot], c2[kLot];

  static Lanes<16> negative(const Lanes<16>& v) { return Lanes<16>(-0.0) - v; }

  /// From mean, lo and rstd; returns whether they suit.
  bool deviate() {
    const Vec exponent(__builtin_bit_cast(double, 0x7FF0'0000'0000'0000)), zero(0.0), one(1.0);
    const Vec most(0x1p120), least(0x1p-120);
    const Lanes<16> center = load_wide<16>(mean), r = load_wide<16>(rstd);
    Lanes<16> below, ratio;
    bool suits = kFused;
    for (int i = 0; i < Lanes<16>::count; ++i) {
      below.v[i] = xsimd::select(r.v[i] == zero, one, r.v[i] & exponent);
      ratio.v[i] = r.v[i] / below.v[i];
      suits =
          suits && !xsimd::any(below.v[i] > most || below.v[i] < least || xsimd::abs(center.v[i]) * below.v[i] > most);
    }
    store(shift, center);
    const Lanes<16> m = load(shift);
    store(scale, below);
    store(shift, negative(m * below));
    store_wide(rest, ((m - center) - load_wide<16>(lo)) * below);
    store_wide(unscaled, ratio);
    return suits;
  }

  /// From the sums of dy and, made into that of dy * xhat, of dy * d; returns whether they suit.
  bool differentiate(const double* gamma, const double* sum_dy, double* sum_dots, double size, bool center) {
    const Lanes<16> r = load_wide<16>(rstd), g = load_wide<16>(gamma), from = load_wide<16>(rest);
    const Lanes<16> dy = load_wide<16>(sum_dy), factor = load_wide<16>(unscaled);
    const Lanes<16> dots = (load_wide<16>(sum_dots) + from * dy) * factor;
    store_wide(sum_dots, dots);
    Lanes<16> m1(0.0), m2 = g * dots;
    if (center) m1 = g * dy;
    const Vec divisor(size), infinite(__builtin_inf()), most(0x1p100), least(0x1p-100), top(0x1p120), zero(0.0);
    for (int i = 0; i < Lanes<16>::count; ++i) {
      m1.v[i] = m1.v[i] / divisor;
      m2.v[i] = m2.v[i] / divisor;
    }
    const Lanes<16> slope = r * g, along = negative(r) * m2 * factor, constant = negative(r) * m1 + from * along;
    store(a, slope);
    store(c1, constant);
    store(c2, along);
    const auto misfit = [&](const Vec& v) {
      const Vec magnitude = xsimd::abs(v);
      return magnitude > most || (magnitude < least && magnitude != zero);
    };
    bool suits = true;
    for (int i = 0; i < Lanes<16>::count; ++i) {
      const auto finite = xsimd::abs(dy.v[i]) < infinite && xsimd::abs(dots.v[i]) < infinite;
      suits = suits && xsimd::all(finite) &&
              !xsimd::any(misfit(slope.v[i]) || misfit(along.v[i]) || xsimd::abs(constant.v[i]) > top);
    }
    return suits;
  }
};

/// Sums and dx of short slices of n elements, one dense row each. plainly(place) does all of one slice where the lot's
/// way does not suit.
template <class N, class F>
struct ShortBackward {
  const NormRows<float>& p;
  const N n;
  const F& plainly;
  LotGradient lot;
  const float *x[kLot], *dy[kLot];
  alignas(64) double gamma[kLot], sum_dy[kLot], sum_dots[kLot];

  void take(const Place* places, int filled) {
    for (int j = 0; j < kLot; ++j) {
      const Slice slice = saved(p, places[j].q);
      x[j] = p.x + start(p.x_stride, places[j]);
      dy[j] = p.dy + start(p.y_stride, places[j]);
      lot.mean[j] = slice.mean, lot.lo[j] = slice.lo, lot.rstd[j] = slice.rstd;
      gamma[j] = value_or(p.gamma, places[j].inner * p.affine_inner, 1);
    }
    bool suits = lot.deviate();
    if (suits) {
      for (int j = 0; j < kLot; j += 8) reduce(j);
      suits = lot.differentiate(gamma, sum_dy, sum_dots, static_cast<double>(p.len), p.center);
    }
    for (int j = 0; j < filled; ++j) suits ? write(places[j], j) : plainly(places[j]);
  }

  void reduce(int first) {
    Vec totals[8], products[8];
    for (int i = 0; i < 8; ++i) {
      const int j = first + i;
      SingleSums sums(lot.scale[j], lot.shift[j]);
      sums.add(x[j], dy[j], n);
      totals[i] = fold(sums.total);
      products[i] = fold(sums.products);
    }
    sum_eight(totals, sum_dy + first);
    sum_eight(products, sum_dots + first);
  }

  void write(const Place& at, int j) const {
    if (p.sum_dy) {
      p.sum_dy[at.q] = sum_dy[j];
      p.sum_dy_xhat[at.q] = sum_dots[j];
    }
    if (!p.dx) return;
    const Singles scale(lot.scale[j]), shift(lot.shift[j]), a(lot.a[j]), c1(lot.c1[j]), c2(lot.c2[j]);
    const float *from = x[j], *LIMPID_RESTRICT g = dy[j];
    write_steps(p.stream, p.dx + start(p.y_stride, at), n, [&](index_t i, auto k) {
      const Singles d = fma(load_singles_step(from + i, k), scale, shift);
      return fma(load_singles_step(g + i, k), a, fma(d, c2, c1));
    });
  }
};

template <class F>
void short_backward(const NormRows<float>& p, index_t begin, index_t end, F&& plainly) {
  with_length(p.len, [&](auto n) {
    ShortBackward<decltype(n), F> backward{p, n, plainly, {}, {}, {}, {}, {}, {}};
    each_lot(p, begin, end, [&](const Place* places, int filled) { backward.take(places, filled); });
  });
}

}  // namespace
}  // namespace limpid::kernels
