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

/// Sums and dx of short slices of one dense row each. plainly(place) does all of one slice where the lot's way does not
/// suit.
template <class F>
void short_backward(const NormRows<float>& p, index_t begin, index_t end, F&& plainly) {
  const double size = static_cast<double>(p.len);
  with_length(p.len, [&](auto len) {
    each_lot(p, begin, end, [&](const Place* places, int filled) {
      const float *x[kLot], *dy[kLot];
      Slice slices[kLot];
      SingleDeviations deviations[kLot];
      bool suits = true;
      for (int j = 0; j < kLot; ++j) {
        x[j] = p.x + start(p.x_stride, places[j]);
        dy[j] = p.dy + start(p.y_stride, places[j]);
        slices[j] = saved(p, places[j].q);
        deviations[j] = SingleDeviations(slices[j].mean, slices[j].lo, slices[j].rstd);
        suits = suits && deviations[j].suits;
      }
      alignas(64) double sum_dy[kLot], sum_dots[kLot];
      for (int j = 0; suits && j < kLot; j += 8) {
        Vec total[8], products[8];
        for (int i = 0; i < 8; ++i) {
          SingleSums sums(deviations[j + i]);
          sums.add(x[j + i], dy[j + i], len);
          total[i] = fold(sums.total);
          products[i] = fold(sums.products);
        }
        sum_eight(total, sum_dy + j);
        sum_eight(products, sum_dots + j);
      }
      SingleGradient gradients[kLot];
      Sums sums[kLot];
      for (int j = 0; suits && j < kLot; ++j) {
        sums[j] = deviations[j].complete(sum_dy[j], sum_dots[j]);
        const double gamma = value_or(p.gamma, places[j].inner * p.affine_inner, 1);
        const double m1 = p.center ? gamma * sums[j].dy / size : 0, m2 = gamma * sums[j].dy_xhat / size;
        gradients[j] = SingleGradient(deviations[j], slices[j].rstd, gamma, m1, m2);
        suits = sums[j].suits() && gradients[j].suits;
      }
      for (int j = 0; j < filled; ++j) {
        if (!suits) {
          plainly(places[j]);
          continue;
        }
        if (p.sum_dy) {
          p.sum_dy[places[j].q] = sums[j].dy;
          p.sum_dy_xhat[places[j].q] = sums[j].dy_xhat;
        }
        if (p.dx) gradients[j].write(deviations[j], x[j], dy[j], p.dx + start(p.y_stride, places[j]), len, p.stream);
      }
    });
  });
}

}  // namespace
}  // namespace limpid::kernels
