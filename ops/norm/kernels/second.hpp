// Kernels of the second derivative: the gradients of a normalisation's backward.
//
// dy, u (the gradient that arrives for dx) and x enter through five sums per channel of a slice; ddy and dx are then
// linear in dy, u and xhat, element by element. One kernel forms the sums, one evaluates the linear forms.
// docs/instance_norm.md derives them.
#pragma once
#include <limpid/ops/norm/kernels/norm.hpp>

namespace limpid::kernels {

/// What a second derivative reads. u, v and w are the gradients of the backward's results dx, dgamma and dbeta.
template <class T>
struct NormSecondOperands {
  const T* x = nullptr;
  const T* dy = nullptr;
  const T* u = nullptr;      ///< Null stands for 0, as of v and w.
  const T* gamma = nullptr;  ///< One number per channel, as v and w. Null stands for 1.
  const T* v = nullptr;
  const T* w = nullptr;
};

/// The gradients for dy, x and gamma; null where not wanted.
template <class T>
struct NormSecondOutputs {
  T* ddy = nullptr;
  T* dx = nullptr;
  T* dgamma = nullptr;  ///< Written by the driver, from sums that the kernels form.
};

/// The sums over the elements of one channel of a slice, with xhat = (x - mean) * rstd. In float32 d = x - mean stands
/// for xhat: what is left of it, the mean's low part and rstd, is the same for all of them.
enum NormSecondSum { kSumU, kSumUXhat, kSumDy, kSumDyXhat, kSumUDy, kNormSecondSums };

/// What one channel of a slice needs: its statistics, then
///     dx  = dx_dy * dy + dx_u * u + dx_xhat * xhat + dx_one,
///     ddy = ddy_u * u + ddy_xhat * xhat + ddy_one,
/// in float32 with d for xhat again.
enum NormSecondCoefficient {
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
  kNormSecondCoefficients
};

/// `rows` rows of `width` elements. Channels are rows, or columns; coefficients and sums are arrays over them.
template <class T>
struct NormTile {
  struct Geometry {
    std::int64_t rows = 0, width = 0;
    std::int64_t x_row = 0, x_element = 1, row = 0;  ///< Strides: of x, and the row stride of all others.
  };
  Geometry geometry;
  NormSecondOperands<T> in;  ///< x, dy and u: what belongs to channels has entered the coefficients.
  NormSecondOutputs<T> out;
  struct Coefficients {
    const double* at = nullptr;  ///< One array after the other, `pitch` apart.
    std::int64_t pitch = 0;
  };
  Coefficients coefficients;
  struct Sums {
    double* at = nullptr;  ///< Arrays `pitch` apart, channels `channel` apart (1 for columns).
    std::int64_t pitch = 0, channel = 1;
  };
  Sums sums;
};

/// Means over a slice, with a = gamma * dy and, of h = v * dy - rstd * (u <a xhat> + a <u xhat>), at first v * dy
/// alone.
struct NormSecondMeans {
  double u = 0, u_xhat = 0, a = 0, a_xhat = 0, u_a = 0, h = 0, h_xhat = 0;
  double k = 0;  ///< Of the slice: <u a> - <u> <a> - <u xhat> <a xhat>.
};

/// A slice that is one channel row: gamma, v and w have a number for each of its elements.
template <class T>
struct NormChannelRow {
  std::int64_t len = 0, x_element = 1;
  NormSecondOperands<T> in;
  NormSecondOutputs<T> out;
  double mean = 0, mean_lo = 0, rstd = 0;
};

template <class T>
struct NormSecondKernels {
  /// Writes the sums of a tile whose channels are its rows. Reads the statistics among the coefficients.
  void (*reduce_rows)(const NormTile<T>&) noexcept;
  void (*apply_rows)(const NormTile<T>&) noexcept;
  /// The same where channels are columns, and x_element is 1. Arrays are padded to whole steps.
  void (*reduce_columns)(const NormTile<T>&) noexcept;
  void (*apply_columns)(const NormTile<T>&) noexcept;
  /// The sums whose means are asked for, k apart.
  NormSecondMeans (*reduce_channel_row)(const NormChannelRow<T>&) noexcept;
  /// dx and ddy; adds to dgamma (unless null), channel by channel.
  void (*apply_channel_row)(const NormChannelRow<T>&, const NormSecondMeans&, double* dgamma) noexcept;
};

LIMPID_DECLARE_KERNELS(NormSecondKernels<float>, norm_second_float)
LIMPID_DECLARE_KERNELS(NormSecondKernels<double>, norm_second_double)

}  // namespace limpid::kernels
