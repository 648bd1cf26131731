// Moments of a slice of rows, block by block. Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/kernels/norm.hpp>
#include <limpid/ops/kernels/norm_lanes.hpp>

namespace limpid::kernels {
namespace {

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
template <class T>
struct Deviations {
  static constexpr int W = kLanes<T>;
  Lanes<W> guess, rest{0.0}, squares{0.0}, lost{0.0};
  double from;

  explicit Deviations(double mean) : guess(mean), from(mean) {}

  /// The deviations of a step, 0 beyond its n elements.
  template <class N>
  static Lanes<W> of(const Lanes<W>& x, const Lanes<W>& mean, N n) {
    const Lanes<W> d = x - mean;
    if constexpr (std::is_same_v<N, int>)
      return keep_first(d, n);
    else
      return d;
  }

  template <class N>
  void add(const Lanes<W>& x, N n) {
    const Lanes<W> d = of(x, guess, n);
    rest = rest + d;
    if constexpr (sizeof(T) == 4) {
      squares = fma(d, d, squares);
    } else {  // two-sum: the rounding errors of the sum are summed beside it
      const Lanes<W> square = d * d, next = squares + square, t = next - squares;
      lost = lost + ((squares - (next - t)) + (square - t));
      squares = next;
    }
  }

  Moments finish(index_t count, bool center) const {
    Moments out{static_cast<double>(count), from, 0, sum(squares)};
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
  const Lanes<kLanes<T>> factor(scale);
  pieces(slice.len, begin, end, [&](index_t row, index_t offset, index_t count) {
    const T* start = slice.x + row * slice.row_stride + offset * slice.element_stride;
    runs(start, slice.element_stride, count, [&](const T* run, index_t, index_t n) {
      steps<kLanes<T>>(n, [&](index_t i, auto k) {
        if constexpr (Scaled)
          f(load_step(run + i, k) * factor, k);
        else
          f(load_step(run + i, k), k);
      });
    });
  });
}

/// A guess of the mean of elements [begin, end). One that is off by k standard deviations costs log2(k^2 + 1) bits of
/// the squared deviations: for float32 the mean of the first step does (k^2 < 8192 / 16 whatever the data, of 29 bits
/// to spare), in short blocks the first element (k^2 < 512), for float64 a first pass takes the block's own mean,
/// counted from shift so that a common offset costs no digits.
template <bool Scaled = false, class T>
double guess_mean(const SliceView<T>& slice, index_t begin, index_t end, double shift, double scale) {
  constexpr int W = kLanes<T>;
  if (sizeof(T) == 4 && end - begin <= kShortSlice)
    return static_cast<double>(
        slice.x[begin / slice.len * slice.row_stride + begin % slice.len * slice.element_stride]);
  const index_t last = sizeof(T) == 8 ? end : begin + W;
  const Lanes<W> origin(sizeof(T) == 8 ? shift : 0.0);
  Lanes<W> total(0.0);
  slice_steps<Scaled>(slice, begin, last, scale,
                      [&](const Lanes<W>& x, auto k) { total = total + Deviations<T>::of(x, origin, k); });
  return (sizeof(T) == 8 ? shift : 0.0) + sum(total) / static_cast<double>(last - begin);
}

/// Count, mean and squared deviations of elements [begin, end).
template <class T, bool Scaled = false>
Moments block_moments(const SliceView<T>& slice, index_t begin, index_t end, double shift, bool center,
                      double scale = 1) {
  Deviations<T> deviations(center ? guess_mean<Scaled>(slice, begin, end, shift, scale) : 0);
  slice_steps<Scaled>(slice, begin, end, scale, [&](const auto& x, auto k) { deviations.add(x, k); });
  return deviations.finish(end - begin, center);
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

/// Statistics of eight short slices of n elements each: on each of them the arithmetic of block_moments and
/// write_stats, whose last steps are done side by side. mean, mean_lo, rstd and var are of eight. beside(j) is called
/// after the sums of slice j.
template <class N, class F>
inline void eight_stats(const float* const* x, N n, bool center, double eps, double* mean, double* mean_lo,
                        double* rstd, double* var, F&& beside) {
  constexpr int W = kLanes<float>, kEight = 8;
  Vec sums[kEight], products[kEight];
  alignas(64) double guess[kEight], rest[kEight], squares[kEight];
  for (int j = 0; j < kEight; ++j) {
    guess[j] = center ? static_cast<double>(x[j][0]) : 0;
    const Lanes<W> from(guess[j]);
    Lanes<W> all(0.0), square(0.0);
    steps<W>(n, [&](index_t i, auto k) {
      Lanes<W> d = load_step(x[j] + i, k) - from;
      if constexpr (std::is_same_v<decltype(k), int>) d = keep_first(d, k);
      all = all + d;
      square = fma(d, d, square);
    });
    sums[j] = fold(all);
    products[j] = fold(square);
    beside(j);
  }
  sum_eight(sums, rest);
  sum_eight(products, squares);
  // Division by a power of two is a multiplication, to the bit.
  const auto over = [](const Vec& a, index_t by) {
    const double d = static_cast<double>(by);
    return (by & (by - 1)) == 0 ? a * Vec(1 / d) : a / Vec(d);
  };
  const Vec zero(0.0), one(1.0);
  for (int j = 0; j < kEight; j += kVec) {
    Vec m = Vec::load_aligned(guess + j), lo = zero, m2 = Vec::load_aligned(squares + j);
    if (center) {
      const Vec left = Vec::load_aligned(rest + j), delta = over(left, n), at = m;
      m2 = m2 - left * delta;
      m2 = xsimd::select(m2 < zero, zero, m2);
      m = at + delta;
      const Vec t = m - at;
      lo = (at - (m - t)) + (delta - t);
    }
    const Vec v = over(m2, n), spread = v + Vec(eps);
    m.store_unaligned(mean + j);
    lo.store_unaligned(mean_lo + j);
    v.store_unaligned(var + j);
    xsimd::select(spread == zero, zero, one / xsimd::sqrt(spread)).store_unaligned(rstd + j);
  }
}

}  // namespace
}  // namespace limpid::kernels
