// The sums and the linear forms of a normalisation's second derivative; see docs/instance_norm.md.
#include <limpid/ops/norm/kernels/second.hpp>

#include <limpid/ops/norm/kernels/affine.hpp>

namespace limpid::kernels {
namespace {

/// Rows of a tile of columns taken one below the other while their coefficients are in registers: as many as leave
/// what is read in the first-level cache.
inline index_t rows_at_once(index_t width) {
  const index_t rows = 2048 / width;
  return rows < 4 ? 4 : rows > 64 ? 64 : rows;
}

/// Loads a coefficient: one number for all lanes, or one for each.
template <int W>
struct RowAt {
  const double* p;
  index_t pitch;
  Lanes<W> operator()(int k) const { return Lanes<W>(p[k * pitch]); }
};
template <int W>
struct ColumnsAt {
  const double* p;
  index_t pitch;
  Lanes<W> operator()(int k) const { return load_wide<W>(p + k * pitch); }
};

/// xhat, or d = x - mean where that may stand for it.
template <class T>
struct Centred {
  static constexpr int W = kLanes<T>;
  Lanes<W> mean, lo, rstd;
  template <class At>
  explicit Centred(const At& at) : mean(at(kMean)),
                                   lo(at(kMeanLo)),
                                   rstd(at(kRstd)) {}
  Lanes<W> operator()(const Lanes<W>& x) const {
    if constexpr (kPlainDeviations<T>)
      return x - mean;
    else
      return ((x - mean) - lo) * rstd;
  }
};

template <class T, class N>
Lanes<kLanes<T>> load_or_zero(const T* p, index_t i, N n) {
  return p ? load_step(p + i, n) : Lanes<kLanes<T>>(0.0);
}

template <class T>
struct Sums {
  static constexpr int W = kLanes<T>;
  Lanes<W> sum[kNormSecondSums];

  Sums() {
    for (Lanes<W>& s : sum) s = Lanes<W>(0.0);
  }
  template <class At>
  explicit Sums(const At& at) {
    for (int k = 0; k < kNormSecondSums; ++k) sum[k] = at(k);
  }
  void add(const Lanes<W>& xhat, const Lanes<W>& dy, const Lanes<W>& u) {
    sum[kSumU] = sum[kSumU] + u;
    sum[kSumUXhat] = fma(u, xhat, sum[kSumUXhat]);
    sum[kSumDy] = sum[kSumDy] + dy;
    sum[kSumDyXhat] = fma(dy, xhat, sum[kSumDyXhat]);
    sum[kSumUDy] = fma(u, dy, sum[kSumUDy]);
  }
};

template <class T>
void reduce_rows(const NormTile<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  const auto& g = p.geometry;
  for (index_t row = 0; row < g.rows; ++row) {
    const Centred<T> centred(RowAt<W>{p.coefficients.at + row, p.coefficients.pitch});
    const T* dy = p.in.dy + row * g.row;
    const T* u = p.in.u ? p.in.u + row * g.row : nullptr;
    Sums<T> sums;
    runs(p.in.x + row * g.x_row, g.x_element, g.width, [&](const T* run, index_t offset, index_t n) {
      steps<W>(n, [&](index_t i, auto k) {
        sums.add(centred(load_step(run + i, k)), load_step(dy + offset + i, k), load_or_zero(u, offset + i, k));
      });
    });
    double* to = p.sums.at + row * p.sums.channel;
    for (int k = 0; k < kNormSecondSums; ++k) to[k * p.sums.pitch] = sum(sums.sum[k]);
  }
}

/// Calls f(column, k, first row, rows) for steps of k columns over a few rows at a time.
template <class T, class F>
void tiles(const typename NormTile<T>::Geometry& g, F&& f) {
  const index_t at_once = rows_at_once(g.width);
  for (index_t row = 0; row < g.rows; row += at_once) {
    const index_t rows = g.rows - row < at_once ? g.rows - row : at_once;
    steps<kLanes<T>>(g.width, [&](index_t c, auto k) { f(c, k, row, rows); });
  }
}

template <class T>
void reduce_columns(const NormTile<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  const auto& g = p.geometry;
  const auto& to = p.sums;
  for (int k = 0; k < kNormSecondSums; ++k)
    steps<W>(g.width, [&](index_t c, auto) { store_wide<W>(to.at + k * to.pitch + c, Lanes<W>(0.0)); });
  tiles<T>(g, [&](index_t c, auto k, index_t first, index_t rows) {
    const Centred<T> centred(ColumnsAt<W>{p.coefficients.at + c, p.coefficients.pitch});
    Sums<T> sums(ColumnsAt<W>{to.at + c, to.pitch});
    for (index_t row = first; row < first + rows; ++row) {
      const index_t at = row * g.row + c;
      sums.add(centred(load_step(p.in.x + row * g.x_row + c, k)), load_step(p.in.dy + at, k),
               load_or_zero(p.in.u, at, k));
    }
    for (int j = 0; j < kNormSecondSums; ++j) store_wide<W>(to.at + j * to.pitch + c, sums.sum[j]);
  });
}

/// dx and ddy of a step, those that are wanted.
template <class T>
struct Forms {
  static constexpr int W = kLanes<T>;
  Lanes<W> dx_dy, dx_u, dx_xhat, dx_one, ddy_u, ddy_xhat, ddy_one;
  template <class At>
  explicit Forms(const At& at)
      : dx_dy(at(kDxDy)),
        dx_u(at(kDxU)),
        dx_xhat(at(kDxXhat)),
        dx_one(at(kDxOne)),
        ddy_u(at(kDdyU)),
        ddy_xhat(at(kDdyXhat)),
        ddy_one(at(kDdyOne)) {}

  template <class N>
  void write(const NormTile<T>& p, index_t i, const Lanes<W>& xhat, N n) const {
    const Lanes<W> u = load_or_zero(p.in.u, i, n);
    if (p.out.dx)
      store_step(p.out.dx + i, fma(load_step(p.in.dy + i, n), dx_dy, fma(u, dx_u, fma(xhat, dx_xhat, dx_one))), n);
    if (p.out.ddy) store_step(p.out.ddy + i, fma(u, ddy_u, fma(xhat, ddy_xhat, ddy_one)), n);
  }
};

template <class T>
void apply_rows(const NormTile<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  const auto& g = p.geometry;
  for (index_t row = 0; row < g.rows; ++row) {
    const RowAt<W> at{p.coefficients.at + row, p.coefficients.pitch};
    const Centred<T> centred(at);
    const Forms<T> forms(at);
    runs(p.in.x + row * g.x_row, g.x_element, g.width, [&](const T* run, index_t offset, index_t n) {
      steps<W>(n,
               [&](index_t i, auto k) { forms.write(p, row * g.row + offset + i, centred(load_step(run + i, k)), k); });
    });
  }
}

template <class T>
void apply_columns(const NormTile<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  const auto& g = p.geometry;
  tiles<T>(g, [&](index_t c, auto k, index_t first, index_t rows) {
    const ColumnsAt<W> at{p.coefficients.at + c, p.coefficients.pitch};
    const Centred<T> centred(at);
    const Forms<T> forms(at);
    for (index_t row = first; row < first + rows; ++row)
      forms.write(p, row * g.row + c, centred(load_step(p.in.x + row * g.x_row + c, k)), k);
  });
}

// ---- channel rows --------------------------------------------------------------------------------------------------

/// A step of a channel row.
template <class T>
struct ChannelStep {
  Lanes<kLanes<T>> xhat, dy, u, gamma, v;
};

/// Calls f(i, k, step) for the steps of a row.
template <class T, class F>
void each_step(const NormChannelRow<T>& p, F&& f) {
  constexpr int W = kLanes<T>;
  const Lanes<W> mean(p.mean), lo(p.mean_lo), r(p.rstd), zero(0.0), one(1.0);
  runs(p.in.x, p.x_element, p.len, [&](const T* run, index_t offset, index_t n) {
    steps<W>(n, [&](index_t at, auto k) {
      const index_t i = offset + at;
      const auto load_or = [&](const T* t, const Lanes<W>& absent) { return t ? load_step(t + i, k) : absent; };
      f(i, k,
        ChannelStep<T>{((load_step(run + at, k) - mean) - lo) * r, load_step(p.in.dy + i, k), load_or(p.in.u, zero),
                       load_or(p.in.gamma, one), load_or(p.in.v, zero)});
    });
  });
}

template <class T>
NormSecondMeans reduce_channel_row(const NormChannelRow<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  Lanes<W> us(0.0), us_xhat(0.0), as(0.0), as_xhat(0.0), us_a(0.0), hs(0.0), hs_xhat(0.0);
  each_step(p, [&](index_t, auto, const ChannelStep<T>& at) {
    const Lanes<W> a = at.gamma * at.dy, h = at.v * at.dy;
    us = us + at.u;
    us_xhat = fma(at.u, at.xhat, us_xhat);
    as = as + a;
    as_xhat = fma(a, at.xhat, as_xhat);
    us_a = fma(at.u, a, us_a);
    hs = hs + h;
    hs_xhat = fma(h, at.xhat, hs_xhat);
  });
  return {.u = sum(us),
          .u_xhat = sum(us_xhat),
          .a = sum(as),
          .a_xhat = sum(as_xhat),
          .u_a = sum(us_a),
          .h = sum(hs),
          .h_xhat = sum(hs_xhat)};
}

template <class T>
void apply_channel_row(const NormChannelRow<T>& p, const NormSecondMeans& m, double* dgamma) noexcept {
  constexpr int W = kLanes<T>;
  const double r = p.rstd;
  const Lanes<W> rstd(r), minus_u(-m.u), minus_u_xhat(-m.u_xhat);
  const Lanes<W> dx_a(-r * r * m.u_xhat), dx_u(-r * r * m.a_xhat), dx_xhat(-r * (m.h_xhat + r * m.k)), dx_one(-r * m.h);
  each_step(p, [&](index_t i, auto k, const ChannelStep<T>& at) {
    const auto& [xhat, dy, u, gamma, v] = at;
    const Lanes<W> projected = (u + fma(xhat, minus_u_xhat, minus_u)) * rstd;
    if (dgamma) add_step(dgamma + i, dy * projected, k);
    if (p.out.dx)
      store_step(p.out.dx + i, fma(dy, fma(v, rstd, gamma * dx_a), fma(u, dx_u, fma(xhat, dx_xhat, dx_one))), k);
    if (p.out.ddy) {
      const Lanes<W> w = p.in.w ? load_step(p.in.w + i, k) : Lanes<W>(0.0);
      store_step(p.out.ddy + i, fma(gamma, projected, fma(v, xhat, w)), k);
    }
  });
}

template <class T>
constexpr NormSecondKernels<T> kSecond = {.reduce_rows = reduce_rows<T>,
                                          .apply_rows = apply_rows<T>,
                                          .reduce_columns = reduce_columns<T>,
                                          .apply_columns = apply_columns<T>,
                                          .reduce_channel_row = reduce_channel_row<T>,
                                          .apply_channel_row = apply_channel_row<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const NormSecondKernels<float> norm_second_float = kSecond<float>;
const NormSecondKernels<double> norm_second_double = kSecond<double>;
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
