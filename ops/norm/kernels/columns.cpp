// Normalisation where channels lie side by side (channels-last). Each column is a channel, or repeats one; moments,
// sums and coefficients are arrays of doubles, one entry per column.
#include <limpid/ops/norm/kernels/short_columns.hpp>
#include <limpid/ops/norm/kernels/slices.hpp>

namespace limpid::kernels {
namespace {

/// A guess of each column's mean in a block: its first element, off by less than the root of the block's rows in
/// standard deviations; in float64, where that costs too many digits, a pass of its own improves it.
template <class T>
void guess_means(const NormColumns<T>& p, const BlockRows& rows, const T* __restrict x, double* __restrict mean) {
  constexpr int W = kLanes<T>;
  const T* __restrict first = x + rows.first * p.x_row;
  if constexpr (sizeof(T) == 4) {
    for (index_t c = 0; c < p.width; ++c) mean[c] = static_cast<double>(first[c]);
    return;
  }
  tiles<T>(p, rows, [&](index_t column, auto abreast, auto k, index_t row, index_t count) {
    for (index_t c = column; c < column + abreast * W; c += W) {
      const Lanes<W> shift = load_step(first + c, k);
      const T* at = x + row * p.x_row + c;
      Lanes<W> total = load_wide<W>(mean + c);
      for (index_t i = 0; i < count; ++i, at += p.x_row) total = total + (load_step(at, k) - shift);
      store_wide<W>(mean + c, total);
    }
  });
  column_counts(p, rows, [&](index_t from, index_t to, double count) {
    for (index_t c = from; c < to; ++c) mean[c] = static_cast<double>(first[c]) + mean[c] / count;
  });
}

/// Moments of each column over one block: as in block_moments, sums of deviations from a guess of the mean.
template <class T>
void moments(const NormColumns<T>& p, index_t n, index_t block, double* partials) noexcept {
  constexpr int W = kLanes<T>;
  const BlockRows rows = block_rows(p, block);
  const T* x = p.in.x + n * p.x_sample;
  double* __restrict mean = partials;
  double* __restrict lo = mean + p.pitch;
  double* __restrict m2 = lo + p.pitch;
  [[maybe_unused]] double* __restrict lost = m2 + p.pitch;
  constexpr int kSummed = sizeof(T) == 4 ? 3 : 4;
  for (index_t c = 0; c < kSummed * p.pitch; ++c) partials[c] = 0;
  if (p.mode.center) guess_means(p, rows, x, mean);
  tiles<T>(p, rows, [&](index_t c, auto abreast, auto k, index_t row, index_t count) {
    constexpr int K = abreast;
    DeviationSums<T, K> sums;
    for (int j = 0; j < K; ++j) {
      sums.minus_center[j] = Lanes<W>(0.0) - load_wide<W>(mean + c + j * W);
      sums.rest[j] = load_wide<W>(lo + c + j * W);
      sums.squares[j] = load_wide<W>(m2 + c + j * W);
      if constexpr (sizeof(T) == 8) sums.missing[j] = load_wide<W>(lost + c + j * W);
    }
    const T* at = x + row * p.x_row + c;
    add_deviations<T, K>({at, p.x_row, count, rows_ahead(at, p.width, p.x_row)}, k, sums);
    for (int j = 0; j < K; ++j) {
      store_wide<W>(lo + c + j * W, sums.rest[j]);
      store_wide<W>(m2 + c + j * W, sums.squares[j]);
      if constexpr (sizeof(T) == 8) store_wide<W>(lost + c + j * W, sums.missing[j]);
    }
  });
  column_counts(p, rows, [&](index_t from, index_t to, double count) {
    const double each = 1 / count;
    if constexpr (sizeof(T) == 8)  // infinities lose NaN, which is nothing
      for (index_t c = from; c < to; ++c) m2[c] += lost[c] == lost[c] ? lost[c] : 0;
    for (index_t c = from; c < to; ++c) {
      const double left = p.mode.center ? lo[c] * each : 0;
      const double squares = p.mode.center ? m2[c] - lo[c] * left : m2[c];
      m2[c] = squares < 0 ? 0 : squares;
      two_sum(mean[c], left, mean[c], lo[c]);
    }
  });
}

/// Moments a of so many columns (of a_count rows each) united with b (of b_count): merge() over arrays.
inline void merge_columns(double* __restrict a, const double* __restrict b, index_t pitch, index_t columns,
                          double a_count, double b_count) {
  const double weight = b_count / (a_count + b_count), spread = a_count * weight;
  for (index_t c = 0; c < columns; ++c) {
    const double mean = a[c], lo = a[pitch + c];
    const double delta = (b[c] - mean) + (b[pitch + c] - lo);
    a[2 * pitch + c] += b[2 * pitch + c] + delta * delta * spread;
    two_sum(mean, lo + delta * weight, a[c], a[pitch + c]);
  }
}

/// Unites the blocks of a sample in the first of them, then the columns that repeat a channel in the first of these.
inline void merge_all(const NormColumnGeometry& p, double* partials) {
  for (index_t b = 1; b < p.blocks; ++b) {
    const double before = static_cast<double>(b * p.block_rows);
    const double* more = partials + b * kNormMomentArrays * p.pitch;
    column_counts(p, block_rows(p, b), [&](index_t from, index_t to, double count) {
      merge_columns(partials + from, more + from, p.pitch, to - from, before, count);
    });
  }
  const index_t channels = p.g * p.d;
  double counts[kNormColumnStep];
  for (index_t copy = 0; copy < p.repeat; ++copy)
    counts[copy] = static_cast<double>(p.rows + (copy * channels < p.tail));
  for (index_t left = p.repeat; left > 1; left = (left + 1) / 2) {
    const index_t kept = (left + 1) / 2, pairs = left - kept;
    for (index_t copy = 0, end = 0; copy < pairs; copy = end) {  // neighbours of the same counts at once
      const double one = counts[copy], other = counts[copy + kept];
      for (; end < pairs && counts[end] == one && counts[end + kept] == other; ++end) counts[end] += other;
      double* at = partials + copy * channels;
      merge_columns(at, at + kept * channels, p.pitch, (end - copy) * channels, one, other);
    }
  }
}

/// Statistics of group g from the moments of its channels.
template <class T>
void finish_group(const NormColumns<T>& p, index_t n, index_t g, const double* partials) {
  Moments group;
  for (index_t c = g * p.d; c < (g + 1) * p.d; ++c)
    merge(group, {static_cast<double>(p.s), partials[c], partials[p.pitch + c], partials[2 * p.pitch + c]});
  const SliceView<T> slice{p.in.x + n * p.x_sample + g * p.d, p.s, p.d, p.x_row / p.repeat, 1};
  write_stats(p.stats, n * p.g + g, group, slice, p.mode.center, p.mode.eps);
}

/// The same of float32 groups of one channel each, a vector of them at a time.
template <class T>
void finish_singly(const NormColumns<T>& p, index_t n, const double* partials) {
  const Vec each(1 / static_cast<double>(p.s)), eps(p.mode.eps);
  const auto write = [](double* to, const Vec& value, index_t room) {
    if (!to) return;
    if (room >= kVec) return value.store_unaligned(to);
    double all[kVec];
    value.store_unaligned(all);
    for (index_t i = 0; i < room; ++i) to[i] = all[i];
  };
  const index_t q = n * p.g;
  for (index_t c = 0; c < p.g; c += kVec) {
    const Vec var = Vec::load_unaligned(partials + 2 * p.pitch + c) * each;
    write(p.stats.mean + q + c, Vec::load_unaligned(partials + c), p.g - c);
    write(p.stats.mean_lo + q + c, Vec::load_unaligned(partials + p.pitch + c), p.g - c);
    write(p.stats.rstd + q + c, inverse_stddev(var, eps), p.g - c);
    write(p.stats.var ? p.stats.var + q + c : nullptr, var, p.g - c);
  }
}

// ---- y -------------------------------------------------------------------------------------------------------------

/// What apply needs of a sample.
struct AffineArrays {
  double *mean, *lo, *rstd;
  double *a, *beta;      ///< a = rstd * gamma for float32, gamma for float64.
  float* singles;        ///< float32 arithmetic: the members of SingleAffine, an array of pitch floats each,
  float* needs_doubles;  ///< and, per step, whether a column of it needs doubles.
};
inline AffineArrays affine_arrays(const NormColumnGeometry& p, double* at) {
  const auto array = [&](int i) { return coefficient_array(p, at, i); };
  float* singles = reinterpret_cast<float*>(array(5));
  return {array(0), array(1), array(2), array(3), array(4), singles, singles + 5 * p.pitch};
}

template <class T>
void prepare_affine(const NormColumns<T>& p, index_t n, double* coefficients) {
  load_statistics(p, n, coefficients);
  const index_t channels = p.g * p.d;
  const AffineArrays to = affine_arrays(p, coefficients);
  double* __restrict a = to.a;
  double* __restrict beta = to.beta;
  each_value(p.in.gamma, 1, channels,
             [&](index_t c, double gamma) { a[c] = kPlainDeviations<T> ? to.rstd[c] * gamma : gamma; });
  each_value(p.in.beta, 0, channels, [&](index_t c, double value) { beta[c] = value; });
  repeat_channels(to.a, channels, p.pitch, 2);
  if constexpr (kSingles<T>)
    for (index_t c = 0; c < p.pitch; c += kLanes<T>) {
      const Lanes<16> mean = load_wide<16>(to.mean + c), lo = load_wide<16>(to.lo + c), factor = load_wide<16>(a + c);
      const bool suit = single_affines({mean, lo, factor}, load_wide<16>(beta + c), to.singles + c, p.pitch);
      to.needs_doubles[c / kLanes<T>] = suit ? 0 : 1;
    }
}

template <class T>
void finish(const NormColumns<T>& p, index_t n, double* partials, double* coefficients) noexcept {
  if (!p.mode.given_stats) {
    merge_all(p, partials);
    if (sizeof(T) == 4 && p.d == 1)
      finish_singly(p, n, partials);
    else
      for (index_t g = 0; g < p.g; ++g) finish_group(p, n, g, partials);
  }
  if (p.out.y) prepare_affine(p, n, coefficients);
}

template <bool Streamed, class T>
void apply_wide(const NormColumns<T>& p, const BlockRows& rows, const AffineArrays& at, const T* __restrict x,
                T* __restrict y) {
  constexpr int W = kLanes<T>;
  tiles<T>(p, rows, [&](index_t column, auto abreast, auto k, index_t row, index_t count) {
    for (index_t c = column; c < column + abreast * W; c += W) {
      const Lanes<W> mean = load_wide<W>(at.mean + c), lo = load_wide<W>(at.lo + c), r = load_wide<W>(at.rstd + c);
      const Lanes<W> a = load_wide<W>(at.a + c), beta = load_wide<W>(at.beta + c), b = beta - lo * a;
      const T* from = x + row * p.x_row + c;
      T* to = y + row * p.width + c;
      for (index_t i = 0; i < count; ++i, from += p.x_row, to += p.width) {
        const Lanes<W> d = load_step(from, k) - mean;
        if constexpr (kPlainDeviations<T>)
          write_step<Streamed>(to, fma(d, a, b), k);
        else
          write_step<Streamed>(to, fma((d - lo) * r, a, beta), k);
      }
    }
  });
}

template <bool Streamed>
void apply_single(const NormColumnGeometry& p, const BlockRows& rows, const AffineArrays& at, const float* __restrict x,
                  float* __restrict y) {
  constexpr int W = kLanes<float>;
  tiles<float>(p, rows, [&](index_t c, auto abreast, auto k, index_t row, index_t count) {
    constexpr int K = abreast;
    SingleLanes affine[K];
    for (int j = 0; j < K; ++j) affine[j] = SingleLanes(at.singles + c + j * W, p.pitch);
    const float* from = x + row * p.x_row + c;
    apply_rows<Streamed, K>({from, p.x_row, count, rows_ahead(from, p.width, p.x_row)}, affine, k,
                            y + row * p.width + c, p.width);
  });
  each_marked_column(p, at.needs_doubles, [&](index_t c) {
    if (!suits_singles(at.mean[c], at.a[c]))
      apply_column(p, rows, {x, nullptr, y}, c, {at.mean[c], at.lo[c], at.a[c], at.beta[c]});
  });
}

template <bool Streamed, class T>
void apply_block(const NormColumns<T>& p, const BlockRows& rows, const AffineArrays& at, const T* x, T* y) {
  if constexpr (kSingles<T>)
    apply_single<Streamed>(p, rows, at, x, y);
  else
    apply_wide<Streamed>(p, rows, at, x, y);
}

template <class T>
void apply(const NormColumns<T>& p, index_t n, index_t begin, index_t end, const double* coefficients) noexcept {
  const AffineArrays at = affine_arrays(p, const_cast<double*>(coefficients));
  const T* x = p.in.x + n * p.x_sample;
  T* y = p.out.y + n * p.y_sample;
  for (index_t block = end; block-- > begin;) {
    const BlockRows rows = block_rows(p, block);
    p.mode.stream ? apply_block<true>(p, rows, at, x, y) : apply_block<false>(p, rows, at, x, y);
  }
  if (p.mode.stream) end_stream();
}

template <class T>
constexpr NormColumnKernels<T> columns() {
  NormColumnKernels<T> k = {.moments = moments<T>,
                            .finish = finish<T>,
                            .apply = apply<T>,
                            .prepare = prepare<T>,
                            .reduce = reduce<T>,
                            .finish_sums = finish_sums<T>,
                            .dx = dx<T>,
                            .forward = {},
                            .backward = {}};
  if constexpr (kSingles<T> && kAbreast > 1) {  // one step at a time would leave the order of memory for nothing
    k.forward = forward_short;
    k.backward = backward_short;
  }
  return k;
}

}  // namespace

namespace LIMPID_KERNEL_ISA {
const NormColumnKernels<float> norm_columns_float = columns<float>();
const NormColumnKernels<double> norm_columns_double = columns<double>();
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
