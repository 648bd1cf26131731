// Slices of rows: where each lies, and its moments, block by block. Included by kernel sources only: all of it has
// internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/affine.hpp>
#include <limpid/ops/norm/kernels/norm.hpp>

namespace limpid::kernels {
namespace {

// ---- moments -------------------------------------------------------------------------------------------------------

/// Count, mean (hi + lo) and sum of squared deviations of a set.
struct Moments {
  double count = 0, mean = 0, lo = 0, m2 = 0;
};

/// Moments of a union (Chan, Golub, LeVeque 1979).
inline void merge(Moments& a, const Moments& b) {
  if (a.count == 0) {
    a = b;
    return;
  }
  const double count = a.count + b.count, weight = b.count / count;
  const double delta = (b.mean - a.mean) + (b.lo - a.lo);
  a.m2 += b.m2 + delta * delta * (a.count * weight);
  two_sum(a.mean, a.lo + delta * weight, a.mean, a.lo);
  a.count = count;
}

/// Rows of one slice: row r starts at x + r * row_stride.
template <class T>
struct SliceView {
  const T* x;
  index_t rows, len, row_stride, element_stride;

  index_t size() const { return rows * len; }
};

/// Calls f(row, offset, n) for the pieces of rows that elements [begin, end) of a slice lie in.
template <class F>
inline void pieces(index_t len, index_t begin, index_t end, F&& f) {
  index_t row = begin < len ? 0 : begin / len;
  index_t offset = begin - row * len;
  while (begin < end) {
    const index_t n = len - offset < end - begin ? len - offset : end - begin;
    f(row, offset, n);
    begin += n;
    offset = 0;
    ++row;
  }
}

/// Elements of slices that are short: most of their time would be the latency of two divisions and a square root.
constexpr index_t kShortSlice = 512;

/// Deviations d of a block's elements from a guess of their mean: sum(d) / count is what the guess lacks, and
/// sum(d^2) - sum(d)^2 / count the squared deviations.
template <class T, class V = std::conditional_t<sizeof(T) == 4, Vec256, Vec>>
struct Deviations {
  using Step = Lanes<kLanes<T>, V>;
  Step rest{0.0}, squares{0.0}, lost{0.0};
  double guess;

  explicit Deviations(double mean) : guess(mean) {}

  template <class N>
  static Step load(const T* p, N n) {
    return load_step<V>(p, n);
  }

  /// The deviations of a step, 0 beyond its n elements.
  template <class N>
  static Step of(const Step& x, const Step& mean, N n) {
    const Step d = x - mean;
    if constexpr (std::is_same_v<N, int>)
      return keep_first(d, n);
    else
      return d;
  }

  void add(const Step& d) {
    rest = rest + d;
    if constexpr (sizeof(T) == 4) {
      squares = fma(d, d, squares);
    } else {  // two-sum: the rounding errors of the sum are summed beside it
      const Step square = d * d, next = squares + square, t = next - squares;
      lost = lost + ((squares - (next - t)) + (square - t));
      squares = next;
    }
  }

  Moments finish(index_t count, bool center) const {
    Moments out{static_cast<double>(count), guess, 0, sum(squares)};
    if constexpr (sizeof(T) == 8)
      if (const double correction = sum(lost); correction == correction) out.m2 += correction;
    if (center) {
      const double total = sum(rest), lo = total / out.count, m2 = out.m2 - total * lo;
      out.m2 = m2 < 0 ? 0 : m2;
      two_sum(out.mean, lo, out.mean, out.lo);
    }
    return out;
  }
};

/// Calls f(x, n) for the steps of elements [begin, end). Scaled multiplies each by a power of two first.
template <bool Scaled = false, class T, class F>
inline void slice_steps(const SliceView<T>& slice, index_t begin, index_t end, double scale, F&& f) {
  const typename Deviations<T>::Step factor(scale);
  pieces(slice.len, begin, end, [&](index_t row, index_t offset, index_t count) {
    const T* start = slice.x + row * slice.row_stride + offset * slice.element_stride;
    runs(start, slice.element_stride, count, [&](const T* run, index_t, index_t n) {
      steps<kLanes<T>>(n, [&](index_t i, auto k) {
        if constexpr (Scaled)
          f(Deviations<T>::load(run + i, k) * factor, k);
        else
          f(Deviations<T>::load(run + i, k), k);
      });
    });
  });
}

/// Whether moments taken about zero do: with a mean of at most two standard deviations they lose log2(5) bits. NaN
/// does.
inline bool near_zero(const Moments& m) { return !(m.mean * m.mean * m.count > 4 * m.m2); }

/// A guess of the mean of elements [begin, end). One that is off by k standard deviations costs log2(k^2 + 1) bits of
/// the squared deviations: for float32 the mean of the first step does (k^2 < 8192 / 16 whatever the data, of 29 bits
/// to spare), in short blocks the first element (k^2 < 512), for float64 a first pass takes the block's own mean,
/// counted from shift so that a common offset costs no digits.
template <bool Scaled = false, class T>
double guess_mean(const SliceView<T>& slice, index_t begin, index_t end, double shift, double scale) {
  using Step = typename Deviations<T>::Step;
  if (sizeof(T) == 4 && end - begin <= kShortSlice)
    return static_cast<double>(
        slice.x[begin / slice.len * slice.row_stride + begin % slice.len * slice.element_stride]);
  const index_t last = sizeof(T) == 8 ? end : begin + kLanes<T>;
  const Step origin(sizeof(T) == 8 ? shift : 0.0);
  Step total(0.0);
  slice_steps<Scaled>(slice, begin, last, scale,
                      [&](const Step& x, auto k) { total = total + Deviations<T>::of(x, origin, k); });
  return (sizeof(T) == 8 ? shift : 0.0) + sum(total) / static_cast<double>(last - begin);
}

/// About a guess of the mean.
template <bool Scaled, class T>
Moments moments_about_mean(const SliceView<T>& slice, index_t begin, index_t end, double shift, double scale) {
  const double guess = guess_mean<Scaled>(slice, begin, end, shift, scale);
  const typename Deviations<T>::Step from(guess);
  Deviations<T> deviations(guess);
  slice_steps<Scaled>(slice, begin, end, scale,
                      [&](const auto& x, auto k) { deviations.add(Deviations<T>::of(x, from, k)); });
  return deviations.finish(end - begin, true);
}

template <bool Scaled, class T>
Moments moments_about_zero(const SliceView<T>& slice, index_t begin, index_t end, bool center, double scale) {
  Deviations<T> deviations(0);
  slice_steps<Scaled>(slice, begin, end, scale, [&](const auto& x, auto) { deviations.add(x); });
  return deviations.finish(end - begin, center);
}

/// Of float32 data: whether a block's moments are to be tried about zero. The first step of a long one tells in most
/// cases.
inline bool starts_near_zero(const SliceView<float>& slice, index_t begin, index_t end) {
  return end - begin <= kShortSlice ||
         near_zero(moments_about_zero<false>(slice, begin, begin + kLanes<float>, true, 1));
}

/// Count, mean and squared deviations of elements [begin, end). Those of float32 data are taken about zero where that
/// does: it saves a subtraction for each.
template <class T, bool Scaled = false>
Moments block_moments(const SliceView<T>& slice, index_t begin, index_t end, double shift, bool center,
                      double scale = 1) {
  if (!center) return moments_about_zero<Scaled>(slice, begin, end, center, scale);
  if constexpr (sizeof(T) == 4)
    if (starts_near_zero(slice, begin, end))
      if (const Moments all = moments_about_zero<Scaled>(slice, begin, end, center, scale); near_zero(all)) return all;
  return moments_about_mean<Scaled>(slice, begin, end, shift, scale);
}

template <class T, bool Scaled = false>
Moments slice_moments(const SliceView<T>& slice, bool center, double scale = 1) {
  const double shift = center ? static_cast<double>(slice.x[0]) * scale : 0;
  Moments all;
  for (index_t i = 0; i < slice.size(); i += kNormBlock) {
    const index_t end = i + kNormBlock < slice.size() ? i + kNormBlock : slice.size();
    merge(all, block_moments<T, Scaled>(slice, i, end, shift, center, scale));
  }
  return all;
}

/// Writes the statistics of slice q. Squares of float64 deviations may leave the range of double on either side, though
/// mean and rstd do not: such a slice, told by its sum of squares, is done again scaled by a power of two.
template <class T>
void write_stats(const NormStats& stats, index_t q, Moments all, const SliceView<T>& slice, bool center, double eps) {
  constexpr double kTiny = 0x1p-900;
  double var = all.m2 / all.count, rstd = inverse_stddev(var, eps);
  if constexpr (sizeof(T) == 8) {
    const double first = __builtin_fabs(static_cast<double>(slice.x[0]));
    const bool over = !(all.m2 <= 0x1p1000);
    const bool under = all.m2 < kTiny && eps < kTiny && first < 0x1p-300;
    if (over || under) {
      const double up = over ? 0x1p-600 : 0x1p600, down = over ? 0x1p600 : 0x1p-600;
      all = slice_moments<T, true>(slice, center, up);
      const double scaled = all.m2 / all.count;
      var = (scaled * down) * down;
      rstd = inverse_stddev(scaled, (eps * up) * up) * up;
      if (rstd > 0x1.fffffffffffffp1023) rstd = 0x1.fffffffffffffp1023;
      all.mean *= down;
      all.lo *= down;
    }
  }
  stats.mean[q] = all.mean;
  stats.mean_lo[q] = all.lo;
  stats.rstd[q] = rstd;
  if (stats.var) stats.var[q] = var;
}

// ---- slices by number and place ------------------------------------------------------------------------------------

/// A slice by its number q and by its place, (outer, inner).
struct Place {
  index_t q, outer, inner;
};
inline Place place(const NormRowGeometry& p, index_t q) { return {q, q / p.inner, q % p.inner}; }
/// Calls f(place) for slices [begin, end). Places are counted up rather than divided out anew.
template <class F>
void each_slice(const NormRowGeometry& p, index_t begin, index_t end, F&& f) {
  Place at = place(p, begin);
  for (; at.q < end; ++at.q) {
    f(at);
    if (++at.inner == p.inner) {
      at.inner = 0;
      ++at.outer;
    }
  }
}

/// Where a slice starts, in elements from the first one.
inline index_t start(const NormRowGeometry::Stride& stride, const Place& at) {
  return at.outer * stride.outer + at.inner * stride.inner;
}

/// A slice of x as its moments see it.
template <class T>
SliceView<T> sum_view(const NormRows<T>& p, const Place& at) {
  return {p.in.x + start(p.x_stride, at), p.sum_rows, p.sum_len, p.x_stride.row, p.x_stride.element};
}

/// The statistics of a slice.
struct Slice {
  double mean, lo, rstd;
};
/// The statistics of slice q as they were saved; without a mean to subtract, that is 0.
template <class T>
Slice saved(const NormRows<T>& p, index_t q) {
  if (!p.mode.center) return {0, 0, p.stats.rstd[q]};
  return {p.stats.mean[q], p.stats.mean_lo[q], p.stats.rstd[q]};
}

}  // namespace
}  // namespace limpid::kernels
