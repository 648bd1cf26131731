// Normalisation where channels lie side by side (channels-last). Each column is a channel, or one of its folded copies;
// accumulators and coefficients are arrays of doubles, one entry per column, and a few rows are taken at a time so that
// they are loaded once for all of them.
#include <limpid/ops/kernels/norm_moments.hpp>
#include <limpid/ops/kernels/norm_write.hpp>

namespace limpid::kernels {
namespace {

/// Rows taken side by side: more of them load and store the accumulators less often; but they are to stay close to each
/// other in memory.
template <class T>
index_t rows_at_once(const NormColumns<T>& p) {
  const index_t rows = 512 / p.width;
  return rows < 1 ? 1 : rows > 4 ? 4 : rows;
}

/// Elements from one that is read to the one fetched then: the hardware fetches ahead in order only.
constexpr index_t kAhead = 1024;

/// float32 products stay in the range of double: rstd and the mean's low part enter sums and coefficients, not
/// elements.
template <class T>
constexpr bool kLate = sizeof(T) == 4;

double value_or(const float* p, index_t i, double absent) { return p ? static_cast<double>(p[i]) : absent; }
double value_or(const double* p, index_t i, double absent) { return p ? p[i] : absent; }

/// Rows [first, last) of block b, and whether the short last row belongs to it.
struct BlockRows {
  index_t first, last;
  bool tail;
};
template <class T>
BlockRows block_rows(const NormColumns<T>& p, index_t b) {
  const index_t first = b * p.block_rows, end = first + p.block_rows;
  const bool final_block = b + 1 == p.blocks;
  return {first, final_block ? p.rows : end, final_block && p.tail > 0};
}

/// Calls f(column, k, row, n) for steps of k columns over n rows from row on.
template <class T, class F>
void tiles(const NormColumns<T>& p, const BlockRows& rows, F&& f) {
  constexpr int W = kLanes<T>;
  const index_t at_once = rows_at_once(p);
  for (index_t row = rows.first; row < rows.last; row += at_once) {
    const index_t n = rows.last - row < at_once ? rows.last - row : at_once;
    steps<W>(p.width, [&](index_t c, auto k) { f(c, k, row, n); });
  }
  if (rows.tail) steps<W>(p.tail, [&](index_t c, auto k) { f(c, k, p.rows, index_t{1}); });
}

/// Rows of each column in a block: the columns of the short row have one more.
template <class T, class F>
void column_counts(const NormColumns<T>& p, const BlockRows& rows, F&& f) {
  const double n = static_cast<double>(rows.last - rows.first);
  const index_t tail = rows.tail ? p.tail : 0;
  if (tail > 0) f(index_t{0}, tail, n + 1);
  f(tail, p.width, n);
}

// ---- forward -------------------------------------------------------------------------------------------------------

template <class T>
void moments(const NormColumns<T>& p, index_t n, index_t block, double* partials) noexcept {
  constexpr int W = kLanes<T>;
  const BlockRows rows = block_rows(p, block);
  const T* x = p.x + n * p.x_sample;
  double* LIMPID_RESTRICT mean = partials;
  double* LIMPID_RESTRICT lo = mean + p.pitch;
  double* LIMPID_RESTRICT m2 = lo + p.pitch;
  for (index_t c = 0; c < 3 * p.pitch; ++c) partials[c] = 0;

  // As in block_moments: the guess is each column's first element in the block; in float64 a pass of its own improves
  // it.
  const T* LIMPID_RESTRICT first = x + rows.first * p.x_row;
  if (p.center && sizeof(T) == 4)
    for (index_t c = 0; c < p.width; ++c) mean[c] = static_cast<double>(first[c]);
  if (p.center && sizeof(T) == 8) {
    tiles(p, rows, [&](index_t c, auto k, index_t row, index_t count) {
      const Lanes<W> shift = load_step(first + c, k);
      const T* at = x + row * p.x_row + c;
      Lanes<W> total = load_wide<W>(mean + c);
      for (index_t i = 0; i < count; ++i, at += p.x_row) total = total + (load_step(at, k) - shift);
      store_wide<W>(mean + c, total);
    });
    column_counts(p, rows, [&](index_t from, index_t to, double count) {
      for (index_t c = from; c < to; ++c) mean[c] = static_cast<double>(first[c]) + mean[c] / count;
    });
  }
  tiles(p, rows, [&](index_t c, auto k, index_t row, index_t count) {
    const Lanes<W> center = load_wide<W>(mean + c);
    const T* at = x + row * p.x_row + c;
    Lanes<W> rest = load_wide<W>(lo + c), squares = load_wide<W>(m2 + c);
    for (index_t i = 0; i < count; ++i, at += p.x_row) {
      fetch_near(at + kAhead);
      Lanes<W> d = load_step(at, k) - center;
      if constexpr (std::is_same_v<decltype(k), int>) d = keep_first(d, k);
      rest = rest + d;
      squares = fma(d, d, squares);
    }
    store_wide<W>(lo + c, rest);
    store_wide<W>(m2 + c, squares);
  });
  column_counts(p, rows, [&](index_t from, index_t to, double count) {
    for (index_t c = from; c < to; ++c) {
      const double rest = p.center ? lo[c] / count : 0;
      const double squares = p.center ? m2[c] - lo[c] * rest : m2[c];
      m2[c] = squares < 0 ? 0 : squares;
      two_sum(mean[c], rest, mean[c], lo[c]);
    }
  });
}

/// Column moments a (of a_count rows each) united with b (of b_count): merge() of norm_lanes.hpp over arrays.
inline void merge_columns(double* LIMPID_RESTRICT a, const double* LIMPID_RESTRICT b, index_t pitch, index_t from,
                          index_t to, double a_count, double b_count) {
  const double weight = b_count / (a_count + b_count), spread = a_count * weight;
  for (index_t c = from; c < to; ++c) {
    const double mean = a[c], lo = a[pitch + c];
    const double delta = (b[c] - mean) + (b[pitch + c] - lo);
    a[2 * pitch + c] += b[2 * pitch + c] + delta * delta * spread;
    two_sum(mean, lo + delta * weight, a[c], a[pitch + c]);
  }
}

/// The coefficients of a sample: arrays of pitch doubles over its columns.
struct Coefficients {
  double *mean, *lo, *rstd, *a, *b, *c;
  double* beta;    ///< Forward only, where c is not needed.
  float* singles;  ///< The members of SingleAffine, an array of pitch floats each.
};
template <class T>
Coefficients coefficients_at(const NormColumns<T>& p, double* at) {
  const auto array = [&](int i) { return at + i * p.pitch; };
  return {array(0), array(1), array(2), array(3), array(4), array(5), array(5), reinterpret_cast<float*>(array(6))};
}

/// Copies the coefficients of the channels to their folded copies.
template <class T>
void unfold(const NormColumns<T>& p, double* at, int arrays) {
  const index_t channels = p.g * p.d;
  for (int i = 0; i < arrays; ++i, at += p.pitch)
    for (index_t c = channels; c < p.width; ++c) at[c] = at[c - channels];
}

/// Mean, its low part and rstd of each column.
template <class T>
void prepare(const NormColumns<T>& p, index_t n, double* coefficients) noexcept {
  const Coefficients to = coefficients_at(p, coefficients);
  for (index_t g = 0, c = 0; g < p.g; ++g) {
    const index_t q = n * p.g + g;
    for (index_t end = c + p.d; c < end; ++c) {
      to.mean[c] = p.center ? p.stats.mean[q] : 0;
      to.lo[c] = p.center ? p.stats.mean_lo[q] : 0;
      to.rstd[c] = p.stats.rstd[q];
    }
  }
  unfold(p, coefficients, 3);
}

/// Statistics of group g from the moments of its columns.
template <class T>
void finish_group(const NormColumns<T>& p, index_t n, index_t g, const double* partials) {
  Moments group;
  for (index_t c = g * p.d; c < (g + 1) * p.d; ++c)
    for (index_t column = c; column < p.width; column += p.g * p.d)
      merge(group, {static_cast<double>(p.rows + (column < p.tail)), partials[column], partials[p.pitch + column],
                    partials[2 * p.pitch + column]});
  const index_t pixel = p.x_row / p.fold;
  const SliceView<T> slice{p.x + n * p.x_sample + g * p.d, p.s, p.d, pixel, 1};
  write_stats(p.stats, n * p.g + g, group, slice, p.center, p.eps);
}

/// The same of float32 groups of one column each, eight side by side: the roots and divisions overlap.
template <class T>
void finish_singly(const NormColumns<T>& p, index_t n, const double* partials) {
  constexpr int kEight = 8;
  const Vec count(static_cast<double>(p.rows)), eps(p.eps), zero(0.0), one(1.0);
  for (index_t c = 0; c < p.g; c += kEight) {
    double var[kEight], rstd[kEight];
    for (int j = 0; j < kEight; j += kVec) {
      const Vec v = Vec::load_unaligned(partials + 2 * p.pitch + c + j) / count, spread = v + eps;
      v.store_unaligned(var + j);
      xsimd::select(spread == zero, zero, one / xsimd::sqrt(spread)).store_unaligned(rstd + j);
    }
    for (index_t j = 0; j < kEight && c + j < p.g; ++j) {
      const index_t q = n * p.g + c + j;
      p.stats.mean[q] = partials[c + j];
      p.stats.mean_lo[q] = partials[p.pitch + c + j];
      p.stats.rstd[q] = rstd[j];
      if (p.stats.var) p.stats.var[q] = var[j];
    }
  }
}

template <class T>
void finish(const NormColumns<T>& p, index_t n, double* partials, double* coefficients) noexcept {
  const index_t channels = p.g * p.d;
  if (p.moments) {
    for (index_t b = 1; b < p.blocks; ++b) {
      const double before = static_cast<double>(b * p.block_rows);
      column_counts(p, block_rows(p, b), [&](index_t from, index_t to, double count) {
        merge_columns(partials, partials + b * kNormMomentArrays * p.pitch, p.pitch, from, to, before, count);
      });
    }
    if (sizeof(T) == 4 && p.d == 1 && p.fold == 1) {
      finish_singly(p, n, partials);
    } else {
      for (index_t g = 0; g < p.g; ++g) finish_group(p, n, g, partials);
    }
  }
  if (!p.y) return;
  prepare(p, n, coefficients);
  const Coefficients to = coefficients_at(p, coefficients);
  for (index_t c = 0; c < channels; ++c) {
    const double gamma = value_or(p.gamma, c, 1);
    to.a[c] = kLate<T> ? to.rstd[c] * gamma : gamma;
    to.b[c] = value_or(p.beta, c, 0) - (kLate<T> ? to.lo[c] * to.a[c] : 0);
  }
  unfold(p, coefficients + 3 * p.pitch, 2);
  if (kLate<T> && kFused) {
    for (index_t c = 0; c < p.width; ++c) to.beta[c] = c < channels ? value_or(p.beta, c, 0) : to.beta[c - channels];
    for (index_t c = 0; c < p.width; c += kLanes<float>)
      single_affines(to.mean + c, to.lo + c, to.a + c, to.beta + c, to.singles + c, p.pitch);
  }
}

template <class T>
void apply_wide(const NormColumns<T>& p, const BlockRows& rows, const Coefficients& at, const T* LIMPID_RESTRICT x,
                T* LIMPID_RESTRICT y) {
  constexpr int W = kLanes<T>;
  tiles(p, rows, [&](index_t c, auto k, index_t row, index_t count) {
    const Lanes<W> mean = load_wide<W>(at.mean + c), a = load_wide<W>(at.a + c), b = load_wide<W>(at.b + c);
    const T* from = x + row * p.x_row + c;
    T* to = y + row * p.width + c;
    for (index_t i = 0; i < count; ++i, from += p.x_row, to += p.width) {
      Lanes<W> d = load_step(from, k) - mean;
      if constexpr (!kLate<T>) d = (d - load_wide<W>(at.lo + c)) * load_wide<W>(at.rstd + c);
      store_step(to, fma(d, a, b), k);
    }
  });
}

template <bool Streamed>
void apply_single(const NormColumns<float>& p, const BlockRows& rows, const Coefficients& at,
                  const float* LIMPID_RESTRICT x, float* LIMPID_RESTRICT y) {
  tiles(p, rows, [&](index_t c, auto k, index_t row, index_t count) {
    const SingleLanes affine(at.singles + c, p.pitch);
    const float* from = x + row * p.x_row + c;
    float* to = y + row * p.width + c;
    for (index_t i = 0; i < count; ++i, from += p.x_row, to += p.width) {
      fetch_near(from + kAhead);
      write_step<Streamed>(to, affine(load_singles_step(from, k)), k);
    }
  });
  // The rare column that float32's exponents cannot hold, alone, so that its neighbours do not depend on it.
  for (index_t c = 0; c < p.width; ++c) {
    if (suits_singles(at.mean[c], at.a[c])) continue;
    for (index_t row = rows.first; row < rows.last + (rows.tail && c < p.tail); ++row)
      y[row * p.width + c] =
          static_cast<float>(__builtin_fma(static_cast<double>(x[row * p.x_row + c]) - at.mean[c], at.a[c], at.b[c]));
  }
}

template <class T>
void apply(const NormColumns<T>& p, index_t n, index_t begin, index_t end, const double* coefficients) noexcept {
  const Coefficients at = coefficients_at(p, const_cast<double*>(coefficients));
  const T* x = p.x + n * p.x_sample;
  T* y = p.y + n * p.y_sample;
  for (index_t block = begin; block < end; ++block) {
    const BlockRows rows = block_rows(p, block);
    if constexpr (kLate<T> && kFused)
      p.stream ? apply_single<true>(p, rows, at, x, y) : apply_single<false>(p, rows, at, x, y);
    else
      apply_wide(p, rows, at, x, y);
  }
  if (p.stream) end_stream();
}

// ---- backward ------------------------------------------------------------------------------------------------------
//
// Per channel, sum dy and sum dy * xhat over S; with gamma inside, their sums over a group's D channels give
//   dx = rstd * (gamma * dy - m1 - xhat * m2),  m1 = sum(gamma * dy) / M,  m2 = sum(gamma * dy * xhat) / M,  M = D * S.

template <class T>
void reduce(const NormColumns<T>& p, index_t n, index_t block, const double* coefficients, double* partials) noexcept {
  constexpr int W = kLanes<T>;
  const Coefficients at = coefficients_at(p, const_cast<double*>(coefficients));
  const T* LIMPID_RESTRICT x = p.x + n * p.x_sample;
  const T* LIMPID_RESTRICT dy = p.dy + n * p.y_sample;
  double* LIMPID_RESTRICT totals = partials;
  double* LIMPID_RESTRICT products = partials + p.pitch;
  for (index_t c = 0; c < 2 * p.pitch; ++c) partials[c] = 0;
  tiles(p, block_rows(p, block), [&](index_t c, auto k, index_t row, index_t count) {
    const Lanes<W> mean = load_wide<W>(at.mean + c);
    const T* x_at = x + row * p.x_row + c;
    const T* dy_at = dy + row * p.width + c;
    Lanes<W> total = load_wide<W>(totals + c), product = load_wide<W>(products + c);
    for (index_t i = 0; i < count; ++i, x_at += p.x_row, dy_at += p.width) {
      fetch_near(x_at + kAhead);
      fetch_near(dy_at + kAhead);
      const Lanes<W> g = load_step(dy_at, k);
      Lanes<W> d = load_step(x_at, k) - mean;
      if constexpr (!kLate<T>) d = (d - load_wide<W>(at.lo + c)) * load_wide<W>(at.rstd + c);
      total = total + g;
      product = fma(g, d, product);
    }
    store_wide<W>(totals + c, total);
    store_wide<W>(products + c, product);
  });
  if (kLate<T>)
    for (index_t c = 0; c < p.width; ++c) products[c] = (products[c] - at.lo[c] * totals[c]) * at.rstd[c];
}

template <class T>
void finish_sums(const NormColumns<T>& p, index_t n, double* partials, double* coefficients) noexcept {
  const index_t channels = p.g * p.d;
  const double size = static_cast<double>(p.d * p.s);
  double* LIMPID_RESTRICT totals = partials;
  double* LIMPID_RESTRICT products = partials ? partials + p.pitch : nullptr;
  if (partials) {
    for (index_t b = 1; b < p.blocks; ++b) {
      const double* LIMPID_RESTRICT more = partials + b * kNormSumArrays * p.pitch;
      for (index_t c = 0; c < p.width; ++c) totals[c] += more[c];
      for (index_t c = 0; c < p.width; ++c) products[c] += more[p.pitch + c];
    }
    for (index_t column = channels; column < p.width; ++column) {
      totals[column % channels] += totals[column];
      products[column % channels] += products[column];
    }
  }
  if (!p.dx) return;
  const Coefficients to = coefficients_at(p, coefficients);
  for (index_t g = 0; g < p.g; ++g) {
    double m1 = 0, m2 = 0;
    for (index_t c = g * p.d; !p.fixed && c < (g + 1) * p.d; ++c) {
      const double gamma = value_or(p.gamma, c, 1);
      m1 += gamma * totals[c];
      m2 += gamma * products[c];
    }
    const double rstd = p.stats.rstd[n * p.g + g];
    for (index_t c = g * p.d; c < (g + 1) * p.d; ++c) {
      to.a[c] = rstd * value_or(p.gamma, c, 1);
      to.c[c] = kLate<T> ? -rstd * (m2 / size) * rstd : -rstd * (m2 / size);
      to.b[c] = (p.center ? -rstd * (m1 / size) : 0) - (kLate<T> ? to.lo[c] * to.c[c] : 0);
    }
  }
  unfold(p, coefficients + 3 * p.pitch, 3);
}

template <bool Streamed, class T>
void dx_block(const NormColumns<T>& p, const BlockRows& rows, const Coefficients& at, const T* LIMPID_RESTRICT x,
              const T* LIMPID_RESTRICT dy, T* LIMPID_RESTRICT out) {
  constexpr int W = kLanes<T>;
  tiles(p, rows, [&](index_t c, auto k, index_t row, index_t count) {
    const Lanes<W> a = load_wide<W>(at.a + c);
    const T* x_at = x + row * p.x_row + c;
    const T* dy_at = dy + row * p.width + c;
    T* to = out + row * p.width + c;
    if (p.fixed) {
      for (index_t i = 0; i < count; ++i, dy_at += p.width, to += p.width)
        write_step<Streamed>(to, load_step(dy_at, k) * a, k);
      return;
    }
    const Lanes<W> mean = load_wide<W>(at.mean + c), b = load_wide<W>(at.b + c), m2 = load_wide<W>(at.c + c);
    for (index_t i = 0; i < count; ++i, x_at += p.x_row, dy_at += p.width, to += p.width) {
      fetch_near(x_at + kAhead);
      fetch_near(dy_at + kAhead);
      Lanes<W> d = load_step(x_at, k) - mean;
      if constexpr (!kLate<T>) d = (d - load_wide<W>(at.lo + c)) * load_wide<W>(at.rstd + c);
      write_step<Streamed>(to, fma(load_step(dy_at, k), a, fma(d, m2, b)), k);
    }
  });
}

template <class T>
void dx(const NormColumns<T>& p, index_t n, index_t begin, index_t end, const double* coefficients) noexcept {
  const Coefficients at = coefficients_at(p, const_cast<double*>(coefficients));
  const T* x = p.x + n * p.x_sample;
  const T* dy = p.dy + n * p.y_sample;
  T* out = p.dx + n * p.y_sample;
  for (index_t block = begin; block < end; ++block) {
    const BlockRows rows = block_rows(p, block);
    p.stream ? dx_block<true>(p, rows, at, x, dy, out) : dx_block<false>(p, rows, at, x, dy, out);
  }
  if (p.stream) end_stream();
}

template <class T>
constexpr NormColumnKernels<T> kColumns = {moments<T>, finish<T>,      apply<T>, prepare<T>,
                                           reduce<T>,  finish_sums<T>, dx<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const NormColumnKernels<float> norm_columns_float = kColumns<float>;
const NormColumnKernels<double> norm_columns_double = kColumns<double>;
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
