// Kernels of the derivative of a normalisation's backward.
//
// dy, u (the gradient that arrives for dx) and x enter through five sums per channel of a slice; ddy and dx are then
// linear in dy, u and xhat, element by element. One kernel forms the sums, one evaluates the linear forms.
#pragma once
#include <limpid/ops/norm/kernels/norm.hpp>

namespace limpid::kernels {

/// The sums over the elements of one channel of a slice, with xhat = (x - mean) * rstd. In float32 d = x - mean stands
/// for xhat: what is left of it, the mean's low part and rstd, is the same for all of them.
enum NormDoubleSum { kSumU, kSumUXhat, kSumDy, kSumDyXhat, kSumUDy, kNormDoubleSums };

/// What one channel of a slice needs: its statistics, then
///     dx  = dx_dy * dy + dx_u * u + dx_xhat * xhat + dx_one,
///     ddy = ddy_u * u + ddy_xhat * xhat + ddy_one,
/// in float32 with d for xhat again.
enum NormDoubleCoefficient {
  kMean,
  kMeanLo,
  kRstd,
  kDxDy,
  kDxU,
  kDxXhat,
  kDxOne,
  kDdyU,
  kDdyXhat,
  kDdyOne,
  kNormDoubleCoefficients
};

/// `rows` rows of `width` elements. Channels are rows, or columns; coefficients and sums are arrays over them.
template <class T>
struct NormTile {
  std::int64_t rows = 0, width = 0;
  std::int64_t x_row = 0, x_element = 1, row = 0;  ///< Strides: of x, and the row stride of all others.
  const T* x = nullptr;
  const T* dy = nullptr;
  const T* u = nullptr;  ///< Null stands for 0.
  T* dx = nullptr;       ///< dx and ddy: null where not wanted.
  T* ddy = nullptr;
  const double* coefficients = nullptr;  ///< One array after the other, `pitch` apart.
  std::int64_t pitch = 0;
  double* sums = nullptr;  ///< Arrays sums_pitch apart, channels sums_channel apart (1 for columns).
  std::int64_t sums_pitch = 0, sums_channel = 1;
};

/// Means over a slice, with a = gamma * dy and, of h = v * dy - rstd * (u <a xhat> + a <u xhat>), at first v * dy
/// alone.
struct NormDoubleMeans {
  double u = 0, u_xhat = 0, a = 0, a_xhat = 0, u_a = 0, h = 0, h_xhat = 0;
  double k = 0;  ///< Of the slice: <u a> - <u> <a> - <u xhat> <a xhat>.
};

/// A slice that is one row of channels: gamma, v and w run along it.
template <class T>
struct NormDoubleRow {
  std::int64_t len = 0, x_element = 1;
  const T* x = nullptr;
  const T* dy = nullptr;
  const T* u = nullptr;  ///< Null stands for 0, as of v and w; of gamma for 1.
  const T* gamma = nullptr;
  const T* v = nullptr;
  const T* w = nullptr;
  T* dx = nullptr;  ///< dx and ddy: null where not wanted.
  T* ddy = nullptr;
  double mean = 0, mean_lo = 0, rstd = 0;
};

template <class T>
struct NormDoubleKernels {
  /// Writes the sums of a tile whose channels are its rows. Reads the statistics among the coefficients.
  void (*reduce_rows)(const NormTile<T>&) noexcept;
  void (*apply_rows)(const NormTile<T>&) noexcept;
  /// The same where channels are columns, and x_element is 1. Arrays are padded to whole steps.
  void (*reduce_columns)(const NormTile<T>&) noexcept;
  void (*apply_columns)(const NormTile<T>&) noexcept;
  /// The sums whose means are asked for, k apart.
  NormDoubleMeans (*reduce_along)(const NormDoubleRow<T>&) noexcept;
  /// dx and ddy; adds to dgamma (unless null), channel by channel.
  void (*apply_along)(const NormDoubleRow<T>&, const NormDoubleMeans&, double* dgamma) noexcept;
};

// clang-format off
#define LIMPID_DECLARE_NORM_DOUBLE(isa)                     \
  namespace isa {                                           \
  extern const NormDoubleKernels<float> norm_double_float;  \
  extern const NormDoubleKernels<double> norm_double_double; \
  }
// clang-format on
LIMPID_DECLARE_NORM_DOUBLE(baseline)
LIMPID_DECLARE_NORM_DOUBLE(avx2)
LIMPID_DECLARE_NORM_DOUBLE(avx512)
LIMPID_DECLARE_NORM_DOUBLE(neon)
#undef LIMPID_DECLARE_NORM_DOUBLE

}  // namespace limpid::kernels
