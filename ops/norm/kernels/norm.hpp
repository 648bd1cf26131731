// Kernels of the normalisation family: what they are given, and the tables that each instruction set fills.
//
// Two forms of memory cover the family. As rows, a slice is a few runs of elements: of one channel each, or, where
// gamma runs along the row, of one channel per element. As columns, channels lie side by side, and each row of memory
// holds one spatial element of all of them. Both work in blocks of fixed size, whose moments are merged in order, so
// that results do not depend on who computes which block.
//
// What a kernel is given comes in three parts: the geometry (sizes and strides), the operands that it reads (`in`), and
// the outputs that it writes (`out`). docs/glossary.md explains the terms.
#pragma once
#include <limpid/core/kernels/tables.hpp>

#include <cstdint>

namespace limpid::kernels {

/// Order of the axes in memory: (N, C, S) or (N, S, C).
enum class NormLayout : std::uint8_t { contiguous, channels_last };

/// What is normalised: N samples, G groups, D channels per group (C = G * D), S spatial elements.
struct NormDims {
  std::int64_t n = 0, g = 0, d = 0, s = 0;
  NormLayout layout = NormLayout::contiguous;
  bool center = true;   ///< false: no mean is subtracted (rms_norm); the variance is then the mean square.
  bool pooled = false;  ///< Statistics of each channel over N and S together (batch_norm); needs d == 1.
  /// There is a weight or bias, whatever of it a call is given: sums then keep channels apart in every call, so that
  /// dx has the same bits whether or not dgamma and dbeta are asked for with it.
  bool affine = false;

  constexpr std::int64_t channels() const noexcept { return g * d; }
  constexpr std::int64_t size() const noexcept { return n * g * d * s; }
  constexpr std::int64_t slices() const noexcept { return pooled ? g : n * g; }
};

/// Strides, in elements, of an (N, C, S) view. Zero (expanded) and negative strides are fine.
struct NormStrides {
  std::int64_t n = 0, c = 0, s = 0;
};

/// Statistics of each slice, in doubles whatever the storage type; slice (n, g) is at n * G + g (at g when pooled).
/// The mean is mean + mean_lo, unevaluated: a spread of 1e-7 of the mean, or of 1e-15 in float64, keeps all its digits.
/// rstd = 1 / sqrt(var + eps), and 0 where var + eps is 0, so that a constant slice gives beta even with eps = 0.
struct NormStats {
  double* mean = nullptr;
  double* mean_lo = nullptr;
  double* rstd = nullptr;
  double* var = nullptr;  ///< Biased; may be null. Infinite where it exceeds the range of double.
  bool wanted = true;     ///< Otherwise they need not be left there: nobody reads them once y is written.
};

/// What the kernels read. x lies by strides of its own; dy is dense in the layout of the dims; the others hold one
/// number per channel. Null where a pass has none: gamma then counts as 1, the others as 0.
template <class T>
struct NormOperands {
  const T* x = nullptr;
  const T* dy = nullptr;  ///< The gradient of y; in forward mode the tangent of x, in the same place of the formulas.
  const T* gamma = nullptr;
  const T* beta = nullptr;
  const T* slope = nullptr;   ///< Forward mode, the tangent of gamma: `dx` gains slope * xhat.
  const T* offset = nullptr;  ///< Forward mode, the tangent of beta: `dx` gains offset.
};

/// What is written, dense in the layout of the dims or (C,); null where it is not wanted.
template <class T>
struct NormOutputs {
  T* y = nullptr;
  T* dx = nullptr;      ///< In forward mode the tangent of y.
  T* dgamma = nullptr;  ///< These two are written by the driver, from sums that the kernels form.
  T* dbeta = nullptr;
};

/// How a pass is made, beside what it reads and writes.
struct NormMode {
  double eps = 0;
  bool center = true;          ///< As in NormDims.
  bool given_stats = false;    ///< The statistics are read, not computed.
  bool stream = false;         ///< y or dx is larger than the caches: write past them.
  bool gamma_outside = false;  ///< Forward mode: gamma multiplies what dy's own sums leave of it, rather than dy.
};

/// Elements of a block: small enough that the second look at it is served by a near cache.
constexpr std::int64_t kNormBlock = 8192;

/// Where the rows of slices lie. Slice q is (q / inner, q % inner); its row r starts outer, inner and row strides
/// further on.
struct NormRowGeometry {
  std::int64_t slices = 0, inner = 1, rows = 1, len = 0;
  std::int64_t sum_rows = 1, sum_len = 0;  ///< The rows as the moments see them: one flat row where x is dense.
  struct Stride {
    std::int64_t outer = 0, inner = 0, row = 0, element = 1;
  };
  Stride x_stride, y_stride;                      ///< y's also serve dy and dx; their element stride is 1.
  std::int64_t affine_inner = 0, affine_row = 0;  ///< The channel of row r of a slice: inner and r times these.
  bool channel_rows = false;                      ///< Each element of a row is a channel: gamma and beta run along it.

  constexpr std::int64_t slice_size() const noexcept { return rows * len; }
  constexpr std::int64_t blocks() const noexcept { return (rows * len + kNormBlock - 1) / kNormBlock; }
  constexpr std::int64_t row_blocks() const noexcept { return (len + kNormBlock - 1) / kNormBlock; }
};

template <class T>
struct NormRows : NormRowGeometry {
  NormMode mode;
  NormOperands<T> in;
  NormOutputs<T> out;
  NormStats stats;
  struct Sums {
    double *dy = nullptr, *dy_xhat = nullptr;
  };
  Sums sums;  ///< Backward writes, per (slice, row): sum of dy, and of dy * xhat. May be null.
  struct Means {
    double *a = nullptr, *a_xhat = nullptr;
  };
  Means means;  ///< dx reads, per slice: means of a = gamma * dy and of a * xhat, without gamma if that is outside.
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
  /// dx of row blocks [begin, end) from the means.
  void (*dx)(const NormRows<T>&, std::int64_t begin, std::int64_t end) noexcept;
  /// dx (unless null) of slices [begin, end) of one channel row each; adds to the inner * len sums per channel (unless
  /// null) at dbeta and dgamma.
  void (*channel_backward)(const NormRows<T>&, std::int64_t begin, std::int64_t end, double* dbeta,
                           double* dgamma) noexcept;
  /// dx of such slices in forward mode, gamma outside.
  void (*channel_tangent)(const NormRows<T>&, std::int64_t begin, std::int64_t end) noexcept;
};

/// Where the columns of samples lie: (N, S, C) seen as rows of width = repeat * C elements. Few channels are repeated,
/// so that a row is whole vectors; what is left of S after whole rows is a last row of tail elements.
struct NormColumnGeometry {
  std::int64_t n = 0, g = 0, d = 0, s = 0;
  std::int64_t repeat = 1, width = 0, rows = 0, tail = 0;
  std::int64_t block_rows = 0, blocks = 0;
  std::int64_t pitch = 0;  ///< Length of one array of per-column doubles: width rounded up to whole steps.
  std::int64_t x_sample = 0, x_row = 0, y_sample = 0;  ///< Strides of samples and rows in x, of samples elsewhere.
};

template <class T>
struct NormColumns : NormColumnGeometry {
  NormMode mode;  ///< Whole steps of y or dx begin cache lines where these are streamed.
  NormOperands<T> in;
  NormOutputs<T> out;
  NormStats stats;
};

/// Columns of one step: arrays per column are padded to it, and channels are repeated to multiples of it.
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
  /// Sums the blocks and repeated columns of sample n into the first C of the first two arrays, and completes the
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
    return forward && p.d == 1 && p.repeat == 1 && p.blocks == 1 && !p.mode.given_stats;
  }
};

LIMPID_DECLARE_KERNELS(NormRowKernels<float>, norm_rows_float)
LIMPID_DECLARE_KERNELS(NormRowKernels<double>, norm_rows_double)
LIMPID_DECLARE_KERNELS(NormColumnKernels<float>, norm_columns_float)
LIMPID_DECLARE_KERNELS(NormColumnKernels<double>, norm_columns_double)

}  // namespace limpid::kernels
