// Tiles of columns for the channels-last kernels. Included by kernel sources only: all of it has internal linkage.
//
// A tile is a few steps of columns over some rows: their accumulators and coefficients stay in registers, or in the
// nearest cache, for all of them. Where one tile spans a row, memory is met in order, which the hardware's prefetching
// serves better than any hint does. Wider rows are taken in strips, long enough that loading accumulators hardly
// counts, and fetch what comes some rows later. Each column sees its rows in order whatever the tiles, so their shape
// is in no bit of a result.
#pragma once
#include <limpid/ops/norm/kernels/affine.hpp>
#include <limpid/ops/norm/kernels/norm.hpp>

namespace limpid::kernels {
namespace {

/// Steps of columns of a tile that spans the row, and of one in a strip. Registers hold the accumulators of the latter
/// alone; memory met in order is worth more than the loads that the others cost.
#if defined(__AVX512F__)
constexpr int kAbreast = 8, kStripAbreast = 4;
#else
constexpr int kAbreast = 1, kStripAbreast = 1;
#endif

/// Rows summed in float32 before they are added in double; strips are whole chains.
constexpr index_t kRowChain = 4;

/// Rows of a strip that is several tiles across: whole chains.
inline index_t strip_rows(index_t width) {
  constexpr index_t kElements = 4096, kLeast = 4 * kRowChain;
  const index_t rows = kElements / width / kRowChain * kRowChain;
  return rows < kLeast ? kLeast : rows;
}

/// Elements are computed in float32 arithmetic.
template <class T>
constexpr bool kSingles = sizeof(T) == 4 && kFused;

template <int K>
using Steps = std::integral_constant<int, K>;

/// Rows [first, last) of block b, and whether the short last row belongs to it.
struct BlockRows {
  index_t first, last;
  bool tail;
};
inline BlockRows block_rows(const NormColumnGeometry& p, index_t b) {
  const index_t first = b * p.block_rows, end = first + p.block_rows;
  const bool final_block = b + 1 == p.blocks;
  return {first, final_block ? p.rows : end, final_block && p.tail > 0};
}

/// Calls f(column, Steps<K>, k) for K steps of columns, at most `Most`, that cover [0, width): k lanes of each, all but
/// of the last.
template <int W, int Most = kAbreast, class F>
void across(index_t width, F&& f) {
  index_t c = 0;
  if constexpr (Most > 1) {
    for (; c + Most * W <= width; c += Most * W) f(c, Steps<Most>{}, Steps<W>{});
    unrolled<Most>([&](auto k) {
      if constexpr (k > 1)
        if ((width - c) / W == k) {
          f(c, k, Steps<W>{});
          c += k * W;
        }
    });
  }
  for (; c + W <= width; c += W) f(c, Steps<1>{}, Steps<W>{});
  if (c < width) f(c, Steps<1>{}, static_cast<int>(width - c));
}

/// Whether tiles span whole rows. float64's take their steps one after the other: fewer of them.
template <class T>
constexpr bool one_across(index_t width) {
  constexpr int W = kLanes<T>, most = sizeof(T) == 4 ? kAbreast : kStripAbreast;
  return width < W || (width <= most * W && width % W == 0);
}

/// Calls f(column, Steps<K>, k, row, n) for the tiles of a block: n rows from `row` on.
template <class T, class F>
void tiles(const NormColumnGeometry& p, const BlockRows& rows, F&& f) {
  constexpr int W = kLanes<T>;
  const bool whole = one_across<T>(p.width);
  const index_t at_once = whole ? rows.last - rows.first : strip_rows(p.width);
  for (index_t row = rows.first; row < rows.last; row += at_once) {
    const index_t n = rows.last - row < at_once ? rows.last - row : at_once;
    const auto tile = [&](index_t c, auto steps, auto k) { f(c, steps, k, row, n); };
    whole ? across<W>(p.width, tile) : across<W, kStripAbreast>(p.width, tile);
  }
  if (rows.tail) across<W>(p.tail, [&](index_t c, auto steps, auto k) { f(c, steps, k, p.rows, index_t{1}); });
}

/// What the rows of a tile fetch: as many lines as they have, `step` elements further on for each row.
template <class T>
struct Ahead {
  const T* at = nullptr;
  index_t step = 0;
};
template <int K, class T>
inline void fetch_lines(Ahead<T>& ahead) {
  if (!ahead.at) return;
  unrolled<K>([&](auto j) { fetch_near(ahead.at + j * kLanes<T>); });
  ahead.at += ahead.step;
}
/// For a tile whose first element is at p: some rows on, but nothing where memory is met in order anyway.
template <class T>
inline Ahead<T> rows_ahead(const T* p, index_t width, index_t row) {
  constexpr index_t kAhead = 2048;
  return one_across<T>(width) ? Ahead<T>{} : Ahead<T>{p + kAhead, row};
}

/// Calls f(from, to, n) for ranges of columns that have n rows each in a block: the columns of the short row have one
/// more.
template <class F>
void column_counts(const NormColumnGeometry& p, const BlockRows& rows, F&& f) {
  const double n = static_cast<double>(rows.last - rows.first);
  const index_t tail = rows.tail ? p.tail : 0;
  if (tail > 0) f(index_t{0}, tail, n + 1);
  f(tail, p.width, n);
}

/// Calls f(row) for the rows of a block that column c has.
template <class F>
void each_row(const NormColumnGeometry& p, const BlockRows& rows, index_t c, F&& f) {
  const index_t last = rows.last + (rows.tail && c < p.tail);
  for (index_t row = rows.first; row < last; ++row) f(row);
}

/// Calls f(c) for the columns of steps that are marked: needs_doubles[i], of step i, is not 0. They are rare.
template <class F>
void each_marked_column(const NormColumnGeometry& p, const float* needs_doubles, F&& f) {
  constexpr int W = kLanes<float>;
  for (index_t c = 0; c < p.width; c += W)
    if (needs_doubles[c / W] != 0)
      for (index_t i = c; i < c + W && i < p.width; ++i) f(i);
}

/// sum += term; what rounding takes from it is added to lost (Knuth's two-sum).
template <int W>
inline void add_exactly(Lanes<W>& sum, Lanes<W>& lost, const Lanes<W>& term) {
  const Lanes<W> next = sum + term, t = next - sum;
  lost = lost + ((sum - (next - t)) + (term - t));
  sum = next;
}

/// The rows of a tile in one tensor: `count` of them from `at` on, `step` elements apart, and what they fetch.
template <class T>
struct TileRows {
  const T* at;
  index_t step, count;
  Ahead<T> ahead = {};
};

/// Of K steps of columns: the sums of their deviations from a center and of the squares of these; for float64, what
/// rounding took from the latter as well.
template <class T, int K>
struct DeviationSums {
  Lanes<kLanes<T>> minus_center[K], rest[K], squares[K], missing[K];
};

/// Adds the rows of a tile to the sums of its columns.
template <class T, int K, class N>
[[gnu::always_inline]] inline void add_deviations(TileRows<T> rows, N k, DeviationSums<T, K>& sums) {
  constexpr int W = kLanes<T>;
  const Lanes<W> one(1.0);
  for (index_t i = 0; i < rows.count; ++i, rows.at += rows.step) {
    fetch_lines<K>(rows.ahead);
    unrolled<K>([&](auto j) {
      // x - center, away from the ports that convert and add.
      Lanes<W> d = fma(load_step(rows.at + j * W, k), one, sums.minus_center[j]);
      if constexpr (std::is_same_v<N, int>) d = keep_first(d, k);
      sums.rest[j] = sums.rest[j] + d;
      if constexpr (sizeof(T) == 4)
        sums.squares[j] = fma(d, d, sums.squares[j]);
      else
        add_exactly(sums.squares[j], sums.missing[j], d * d);
    });
  }
}

/// y of the rows of a tile, from `to` on, `to_step` apart.
template <bool Streamed, int K, class N>
[[gnu::always_inline]] inline void apply_rows(TileRows<float> rows, const SingleLanes* affine, N k,
                                              float* __restrict to, index_t to_step) {
  constexpr int W = kLanes<float>;
  for (index_t i = 0; i < rows.count; ++i, rows.at += rows.step, to += to_step) {
    fetch_lines<K>(rows.ahead);
    unrolled<K>([&](auto j) { write_step<Streamed>(to + j * W, affine[j](load_singles_step(rows.at + j * W, k)), k); });
  }
}

/// Where a float32 sample lies: what is read of it, and y or dx.
struct SampleMemory {
  const float *x, *dy;
  float* out;
};

/// One column's affine; a = rstd * gamma.
struct ColumnAffine {
  double mean, lo, a, beta;
};

/// y of one column in doubles.
inline void apply_column(const NormColumnGeometry& p, const BlockRows& rows, const SampleMemory& sample, index_t c,
                         const ColumnAffine& affine) {
  const double b = affine.beta - affine.lo * affine.a;
  each_row(p, rows, c, [&](index_t row) {
    const double d = static_cast<double>(sample.x[row * p.x_row + c]) - affine.mean;
    sample.out[row * p.width + c] = static_cast<float>(__builtin_fma(d, affine.a, b));
  });
}

/// The arrays of a sample's coefficients, of pitch doubles each, over its columns.
inline double* coefficient_array(const NormColumnGeometry& p, double* coefficients, int i) {
  return coefficients + i * p.pitch;
}

/// Copies arrays over the channels to the columns that repeat them, and to the padding after these.
template <class V>
void repeat_channels(V* at, index_t channels, index_t pitch, int arrays) {
  constexpr index_t kRun = 8;
  index_t period = channels;  // copies far enough apart that runs of them do not wait for each other
  while (period < 2 * kRun) period += channels;
  for (int i = 0; i < arrays; ++i, at += pitch) {
    index_t c = channels;
    for (; c < pitch && c < period; ++c) at[c] = at[c - channels];
    for (; c + kRun <= pitch; c += kRun) __builtin_memcpy(at + c, at + c - period, kRun * sizeof(V));
    for (; c < pitch; ++c) at[c] = at[c - channels];
  }
}

/// Calls f(c, p[c]) for c in [0, count), where a null p is all `absent`.
template <class T, class F>
void each_value(const T* p, double absent, index_t count, F&& f) {
  if (p)
    for (index_t c = 0; c < count; ++c) f(c, static_cast<double>(p[c]));
  else
    for (index_t c = 0; c < count; ++c) f(c, absent);
}

/// Mean, its low part and rstd of each column of sample n: the first three arrays of its coefficients.
template <class T>
void load_statistics(const NormColumns<T>& p, index_t n, double* __restrict to) {
  const index_t channels = p.g * p.d;
  double* __restrict lo = to + p.pitch;
  double* __restrict rstd = lo + p.pitch;
  for (index_t g = 0, c = 0; g < p.g; ++g) {
    const index_t q = n * p.g + g;
    if (p.d == 1 && p.mode.center) {  // a slice each: plain copies
      __builtin_memcpy(to, p.stats.mean + q, static_cast<std::size_t>(channels) * sizeof(double));
      __builtin_memcpy(lo, p.stats.mean_lo + q, static_cast<std::size_t>(channels) * sizeof(double));
      __builtin_memcpy(rstd, p.stats.rstd + q, static_cast<std::size_t>(channels) * sizeof(double));
      break;
    }
    for (index_t end = c + p.d; c < end; ++c) {
      to[c] = p.mode.center ? p.stats.mean[q] : 0;
      lo[c] = p.mode.center ? p.stats.mean_lo[q] : 0;
      rstd[c] = p.stats.rstd[q];
    }
  }
  repeat_channels(to, channels, p.pitch, 3);
}

}  // namespace
}  // namespace limpid::kernels
