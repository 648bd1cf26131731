// Kernels of the normalisation family: plans, statistics, and the tables each instruction set fills.
//
// Two shapes of memory cover the family. In rows, a slice is a few runs of spatial elements, one channel (or, with an
// affine along the row, one sample) each; in columns, channels lie side by side and each row of memory holds one
// spatial element of all of them. Both work in blocks of fixed size, whose moments are merged in order, so that results
// do not depend on who computes which block.
#pragma once
#include <cstdint>

namespace limpid::kernels {

/// Order of the axes in memory: (N, C, S) or (N, S, C).
enum class NormLayout : std::uint8_t { contiguous, channels_last };

/// What is normalised: N samples, G groups, D channels per group (C = G * D), S spatial elements.
struct NormDims {
  std::int64_t n = 0, g = 0, d = 0, s = 0;
  NormLayout layout = NormLayout::contiguous;
  bool center = true;  ///< false: no mean is subtracted (rms_norm); the variance is then the mean square.
  bool batch = false;  ///< Statistics over N and S of each channel (batch_norm); needs d == 1.
  /// There is a weight or bias, whatever of it a call is given: sums then keep channels apart in every call, so that
  /// dx has the same bits whether or not dgamma and dbeta are asked for with it.
  bool affine = false;

  constexpr std::int64_t channels() const noexcept { return g * d; }
  constexpr std::int64_t size() const noexcept { return n * g * d * s; }
  constexpr std::int64_t slices() const noexcept { return batch ? g : n * g; }
};

/// Strides, in elements, of an (N, C, S) view. Zero (expanded) and negative strides are fine.
struct NormStrides {
  std::int64_t n = 0, c = 0, s = 0;
};

/// Statistics of each slice, in doubles whatever the storage type; slice (n, g) is at n * G + g (at g when batch).
/// The mean is mean + mean_lo, unevaluated: a spread of 1e-7 of the mean, or of 1e-15 in float64, keeps all its digits.
/// rstd = 1 / sqrt(var + eps), and 0 where var + eps is 0, so that a constant slice gives beta even with eps = 0.
struct NormStats {
  double* mean = nullptr;
  double* mean_lo = nullptr;
  double* rstd = nullptr;
  double* var = nullptr;  ///< Biased; may be null. Infinite where it exceeds the range of double.
  bool wanted = true;     ///< Otherwise they need not be left there: nobody reads them once y is written.
};

/// Elements of a block: small enough that the second look at it is served by a near cache.
constexpr std::int64_t kNormBlock = 8192;

/// Slices as rows. Slice q is (q / inner, q % inner); its row r starts outer, inner and row strides further on.
template <class T>
struct NormRows {
  std::int64_t slices = 0, inner = 1, rows = 1, len = 0;
  std::int64_t sum_rows = 1, sum_len = 0;  ///< The rows as the moments see them: one flat row where x is dense.
  struct Stride {
    std::int64_t outer = 0, inner = 0, row = 0, element = 1;
  };
  Stride x_stride, y_stride;  ///< y's also serve dy and dx; their element stride is 1.
  std::int64_t affine_inner = 0, affine_row = 0;
  bool along = false;   ///< gamma and beta run along the row rather than being one number per row.
  bool center = true;   ///< Subtract the mean.
  bool moments = true;  ///< Compute the statistics; otherwise they are given.
  bool stream = false;  ///< y or dx is larger than the caches: write past them.
  double eps = 0;
  const T* x = nullptr;
  const T* dy = nullptr;
  const T* gamma = nullptr;
  const T* beta = nullptr;
  T* y = nullptr;
  T* dx = nullptr;
  const T* slope = nullptr;  ///< dx gains slope * xhat + offset, a number of each per channel; either may be null.
  const T* offset = nullptr;
  bool outside = false;  ///< gamma multiplies what dy's own sums leave of it, rather than dy.
  NormStats stats;
  double* sum_dy = nullptr;  ///< Backward, per (slice, row): sum of dy, and of dy * xhat. May be null.
  double* sum_dy_xhat = nullptr;
  double* m1 = nullptr;  ///< dx: per slice, means of gamma * dy and gamma * dy * xhat, without gamma if it is outside.
  double* m2 = nullptr;

  constexpr std::int64_t slice_size() const noexcept { return rows * len; }
  constexpr std::int64_t blocks() const noexcept { return (rows * len + kNormBlock - 1) / kNormBlock; }
  constexpr std::int64_t row_blocks() const noexcept { return (len + kNormBlock - 1) / kNormBlock; }
};

template <class T>
struct NormRowKernels {
  /// Statistics (unless given) and y (unless null) of slices [begin, end).
  void (*forward)(const NormRows<T>&, std::int64_t begin, std::int64_t end) noexcept;
  /// Moments of blocks [begin, end), counted over all slices: partials[3 * block] = mean, mean_lo, m2.
  void (*moments)(const NormRows<T>&, std::int64_t begin, std::int64_t end, double* partials) noexcept;
  /// Statistics of slices [begin, end) from the moments of their blocks.
  void (*finish)(const NormRows<T>&, std::int64_t begin, std::int64_t end, const double* partials) noexcept;
  /// y of blocks [begin, end), counted over all slices.
  void (*apply)(const NormRows<T>&, std::int64_t begin, std::int64_t end) noexcept;
  /// Sums and dx of slices [begin, end), one number of gamma per row.
  void (*backward)(const NormRows<T>&, std::int64_t begin, std::int64_t end) noexcept;
  /// Sums of row blocks [begin, end), counted over all rows: partials[2 * block] = sum dy, sum dy * xhat.
  void (*reduce)(const NormRows<T>&, std::int64_t begin, std::int64_t end, double* partials) noexcept;
  /// dx of row blocks [begin, end) from m1 and m2.
  void (*dx)(const NormRows<T>&, std::int64_t begin, std::int64_t end) noexcept;
  /// dx (unless null) of slices [begin, end) of one row each with gamma along it; adds to the inner * len sums per
  /// channel (unless null) at dbeta and dgamma.
  void (*backward_along)(const NormRows<T>&, std::int64_t begin, std::int64_t end, double* dbeta,
                         double* dgamma) noexcept;
  /// dx of such slices with gamma outside.
  void (*tangent_along)(const NormRows<T>&, std::int64_t begin, std::int64_t end) noexcept;
};

/// Samples as columns: (N, S, C) seen as rows of width = fold * C elements. Few channels are folded, so that a row is
/// whole vectors; what is left of S after whole rows is a last row of tail elements.
template <class T>
struct NormColumns {
  std::int64_t n = 0, g = 0, d = 0, s = 0;
  std::int64_t fold = 1, width = 0, rows = 0, tail = 0;
  std::int64_t block_rows = 0, blocks = 0;
  std::int64_t pitch = 0;  ///< Length of one array of per-column doubles: width rounded up to whole steps.
  std::int64_t x_sample = 0, x_row = 0, y_sample = 0;
  bool center = true, moments = true;
  bool stream = false;  ///< As in NormRows; whole steps of y or dx then begin cache lines.
  double eps = 0;
  const T* x = nullptr;
  const T* dy = nullptr;
  const T* gamma = nullptr;
  const T* beta = nullptr;
  T* y = nullptr;
  T* dx = nullptr;
  const T* slope = nullptr;  ///< As in NormRows.
  const T* offset = nullptr;
  bool outside = false;
  NormStats stats;
};

/// Columns of one step: arrays per column are padded to it, and channels are folded to multiples of it.
constexpr std::int64_t kNormColumnStep = 16;

/// Arrays of pitch doubles: four per block of moments (mean, mean_lo, m2 and what rounding took from it), two per block
/// of sums, eleven of coefficients per sample.
constexpr std::int64_t kNormMomentArrays = 4, kNormSumArrays = 2, kNormCoefficientArrays = 11;

template <class T>
struct NormColumnKernels {
  /// Moments of each column over one block of sample n.
  void (*moments)(const NormColumns<T>&, std::int64_t n, std::int64_t block, double* partials) noexcept;
  /// Statistics of sample n from the moments of its blocks (which are overwritten), unless they are given; then its
  /// coefficients for apply.
  void (*finish)(const NormColumns<T>&, std::int64_t n, double* partials, double* coefficients) noexcept;
  /// y of blocks [begin, end) of sample n.
  void (*apply)(const NormColumns<T>&, std::int64_t n, std::int64_t begin, std::int64_t end,
                const double* coefficients) noexcept;
  /// Coefficients for reduce and dx from the saved statistics.
  void (*prepare)(const NormColumns<T>&, std::int64_t n, double* coefficients) noexcept;
  /// Per column, sum dy and sum dy * xhat over one block of sample n.
  void (*reduce)(const NormColumns<T>&, std::int64_t n, std::int64_t block, const double* coefficients,
                 double* partials) noexcept;
  /// Sums the blocks and folded columns of sample n into the first C of the first two arrays, and completes the
  /// coefficients for dx.
  void (*finish_sums)(const NormColumns<T>&, std::int64_t n, double* partials, double* coefficients) noexcept;
  /// dx of blocks [begin, end) of sample n.
  void (*dx)(const NormColumns<T>&, std::int64_t n, std::int64_t begin, std::int64_t end,
             const double* coefficients) noexcept;
  /// All of forward, or of backward, of a sample that whole() says these take: null where it never does. backward adds
  /// to sums of dy and, pitch doubles further on, of dy * xhat. Same bits.
  void (*forward)(const NormColumns<T>&, std::int64_t n) noexcept;
  void (*backward)(const NormColumns<T>&, std::int64_t n, double* totals) noexcept;

  constexpr bool whole(const NormColumns<T>& p) const noexcept {
    return forward && p.d == 1 && p.fold == 1 && p.blocks == 1 && p.moments;
  }
};

// clang-format off
#define LIMPID_DECLARE_NORM_KERNELS(isa)                                                       \
  namespace isa {                                                                              \
  extern const NormRowKernels<float> norm_rows_float;   extern const NormRowKernels<double> norm_rows_double;       \
  extern const NormColumnKernels<float> norm_columns_float; extern const NormColumnKernels<double> norm_columns_double; \
  }
// clang-format on
LIMPID_DECLARE_NORM_KERNELS(baseline)
LIMPID_DECLARE_NORM_KERNELS(avx2)
LIMPID_DECLARE_NORM_KERNELS(avx512)
LIMPID_DECLARE_NORM_KERNELS(neon)
#undef LIMPID_DECLARE_NORM_KERNELS

}  // namespace limpid::kernels
