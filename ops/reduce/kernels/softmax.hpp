// Kernels of softmax and its kin for rows of float32: the table each instruction set fills. The rows of a block are
// looked at again and again, so a block should fit the nearest cache.
#pragma once
#include <limpid/ops/reduce/kernels/reduce.hpp>

namespace limpid::kernels {

/// A weight above which 1 less it is told by the sum of the others. A row has at most one.
inline constexpr double heavy_weight = 0.75;

/// Blocks are dense: a row is as long as the way to the next.
struct SoftmaxRows {
  /// y_ij = exp(x_ij - largest_i), to 1 ulp. No x_ij is above largest_i, whose magnitude is at most 1e30.
  void (*exponentials)(float* y, const float* x, const float* largest, const RowBlock& block) noexcept;
  /// y_ij *= factor_i, rounded once.
  void (*scale)(float* y, const double* factor, const RowBlock& block) noexcept;
  /// y_ij = x_ij - largest_i - log_i, rounded once.
  void (*shift)(float* y, const float* x, const float* largest, const double* log, const RowBlock& block) noexcept;

  /// t_ij = (dy_ij - dy_ih) p_ij, where p_ih is the row's weight above heavy_weight; without one, dy_ih is 0. A
  /// difference of 0 gives 0.
  void (*weigh)(float* t, const float* dy, const float* p, const RowBlock& block) noexcept;
  /// t_ij -= total_i p_ij, where total_i is not 0.
  void (*centre)(float* t, const float* p, const double* total, const RowBlock& block) noexcept;
};

LIMPID_DECLARE_KERNELS(SoftmaxRows, softmax_rows)

}  // namespace limpid::kernels
