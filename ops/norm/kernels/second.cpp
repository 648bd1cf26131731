// The sums and the linear forms of a normalisation's second derivative; see docs/instance_norm.md.
#include <limpid/ops/detail/lanes.hpp>
#include <limpid/ops/norm/kernels/second.hpp>

namespace limpid::kernels {
namespace {

/// Rows of a tile of columns taken one below the other while their coefficients are in registers: as many as leave
/// what is read in the first-level cache.
template <class T>
index_t rows_at_once(const NormTile<T>& p) {
  const index_t rows = 2048 / p.width;
  return rows < 4 ? 4 : rows > 64 ? 64 : rows;
}

/// float32 products stay in the range of double, so rstd and the mean's low part need not enter element by element.
template <class T>
constexpr bool kLate = sizeof(T) == 4;

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
    if constexpr (kLate<T>)
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
  Lanes<W> sum[kNormDoubleSums];

  Sums() {
    for (Lanes<W>& s : sum) s = Lanes<W>(0.0);
  }
  template <class At>
  explicit Sums(const At& at) {
    for (int k = 0; k < kNormDoubleSums; ++k) sum[k] = at(k);
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
  for (index_t row = 0; row < p.rows; ++row) {
    const Centred<T> centred(RowAt<W>{p.coefficients + row, p.pitch});
    const T* dy = p.dy + row * p.row;
    const T* u = p.u ? p.u + row * p.row : nullptr;
    Sums<T> sums;
    runs(p.x + row * p.x_row, p.x_element, p.width, [&](const T* run, index_t offset, index_t n) {
      steps<W>(n, [&](index_t i, auto k) {
        sums.add(centred(load_step(run + i, k)), load_step(dy + offset + i, k), load_or_zero(u, offset + i, k));
      });
    });
    for (int k = 0; k < kNormDoubleSums; ++k) p.sums[k * p.sums_pitch + row * p.sums_channel] = sum(sums.sum[k]);
  }
}

/// Calls f(column, k, first row, rows) for steps of k columns over a few rows at a time.
template <class T, class F>
void tiles(const NormTile<T>& p, F&& f) {
  const index_t at_once = rows_at_once(p);
  for (index_t row = 0; row < p.rows; row += at_once) {
    const index_t rows = p.rows - row < at_once ? p.rows - row : at_once;
    steps<kLanes<T>>(p.width, [&](index_t c, auto k) { f(c, k, row, rows); });
  }
}

template <class T>
void reduce_columns(const NormTile<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  for (int k = 0; k < kNormDoubleSums; ++k)
    steps<W>(p.width, [&](index_t c, auto) { store_wide<W>(p.sums + k * p.sums_pitch + c, Lanes<W>(0.0)); });
  tiles(p, [&](index_t c, auto k, index_t first, index_t rows) {
    const Centred<T> centred(ColumnsAt<W>{p.coefficients + c, p.pitch});
    Sums<T> sums(ColumnsAt<W>{p.sums + c, p.sums_pitch});
    for (index_t row = first; row < first + rows; ++row) {
      const index_t at = row * p.row + c;
      sums.add(centred(load_step(p.x + row * p.x_row + c, k)), load_step(p.dy + at, k), load_or_zero(p.u, at, k));
    }
    for (int j = 0; j < kNormDoubleSums; ++j) store_wide<W>(p.sums + j * p.sums_pitch + c, sums.sum[j]);
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
    const Lanes<W> u = load_or_zero(p.u, i, n);
    if (p.dx) store_step(p.dx + i, fma(load_step(p.dy + i, n), dx_dy, fma(u, dx_u, fma(xhat, dx_xhat, dx_one))), n);
    if (p.ddy) store_step(p.ddy + i, fma(u, ddy_u, fma(xhat, ddy_xhat, ddy_one)), n);
  }
};

template <class T>
void apply_rows(const NormTile<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  for (index_t row = 0; row < p.rows; ++row) {
    const RowAt<W> at{p.coefficients + row, p.pitch};
    const Centred<T> centred(at);
    const Forms<T> forms(at);
    runs(p.x + row * p.x_row, p.x_element, p.width, [&](const T* run, index_t offset, index_t n) {
      steps<W>(n,
               [&](index_t i, auto k) { forms.write(p, row * p.row + offset + i, centred(load_step(run + i, k)), k); });
    });
  }
}

template <class T>
void apply_columns(const NormTile<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  tiles(p, [&](index_t c, auto k, index_t first, index_t rows) {
    const ColumnsAt<W> at{p.coefficients + c, p.pitch};
    const Centred<T> centred(at);
    const Forms<T> forms(at);
    for (index_t row = first; row < first + rows; ++row)
      forms.write(p, row * p.row + c, centred(load_step(p.x + row * p.x_row + c, k)), k);
  });
}

/// Calls f(i, k, xhat, dy, u, gamma, v) for the steps of a row.
template <class T, class F>
void each_step(const NormDoubleRow<T>& p, F&& f) {
  constexpr int W = kLanes<T>;
  const Lanes<W> mean(p.mean), lo(p.mean_lo), r(p.rstd), zero(0.0), one(1.0);
  runs(p.x, p.x_element, p.len, [&](const T* run, index_t offset, index_t n) {
    steps<W>(n, [&](index_t at, auto k) {
      const index_t i = offset + at;
      const auto load_or = [&](const T* t, const Lanes<W>& absent) { return t ? load_step(t + i, k) : absent; };
      f(i, k, ((load_step(run + at, k) - mean) - lo) * r, load_step(p.dy + i, k), load_or(p.u, zero),
        load_or(p.gamma, one), load_or(p.v, zero));
    });
  });
}

template <class T>
NormDoubleMeans reduce_along(const NormDoubleRow<T>& p) noexcept {
  constexpr int W = kLanes<T>;
  Lanes<W> us(0.0), us_xhat(0.0), as(0.0), as_xhat(0.0), us_a(0.0), hs(0.0), hs_xhat(0.0);
  each_step(p, [&](index_t, auto, const Lanes<W>& xhat, const Lanes<W>& dy, const Lanes<W>& u, const Lanes<W>& gamma,
                   const Lanes<W>& v) {
    const Lanes<W> a = gamma * dy, h = v * dy;
    us = us + u;
    us_xhat = fma(u, xhat, us_xhat);
    as = as + a;
    as_xhat = fma(a, xhat, as_xhat);
    us_a = fma(u, a, us_a);
    hs = hs + h;
    hs_xhat = fma(h, xhat, hs_xhat);
  });
  return {sum(us), sum(us_xhat), sum(as), sum(as_xhat), sum(us_a), sum(hs), sum(hs_xhat)};
}

template <class T>
void apply_along(const NormDoubleRow<T>& p, const NormDoubleMeans& m, double* dgamma) noexcept {
  constexpr int W = kLanes<T>;
  const double r = p.rstd;
  const Lanes<W> rstd(r), minus_u(-m.u), minus_u_xhat(-m.u_xhat);
  const Lanes<W> dx_a(-r * r * m.u_xhat), dx_u(-r * r * m.a_xhat), dx_xhat(-r * (m.h_xhat + r * m.k)), dx_one(-r * m.h);
  each_step(p, [&](index_t i, auto k, const Lanes<W>& xhat, const Lanes<W>& dy, const Lanes<W>& u,
                   const Lanes<W>& gamma, const Lanes<W>& v) {
    const Lanes<W> projected = (u + fma(xhat, minus_u_xhat, minus_u)) * rstd;
    if (dgamma) add_step(dgamma + i, dy * projected, k);
    if (p.dx) store_step(p.dx + i, fma(dy, fma(v, rstd, gamma * dx_a), fma(u, dx_u, fma(xhat, dx_xhat, dx_one))), k);
    if (p.ddy) {
      const Lanes<W> w = p.w ? load_step(p.w + i, k) : Lanes<W>(0.0);
      store_step(p.ddy + i, fma(gamma, projected, fma(v, xhat, w)), k);
    }
  });
}

template <class T>
constexpr NormDoubleKernels<T> kDouble = {reduce_rows<T>,   apply_rows<T>,   reduce_columns<T>,
                                          apply_columns<T>, reduce_along<T>, apply_along<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const NormDoubleKernels<float> norm_double_float = kDouble<float>;
const NormDoubleKernels<double> norm_double_double = kDouble<double>;
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
