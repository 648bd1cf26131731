// Kernels of the reductions: the table each instruction set fills. All compute in doubles, in an order that is that of
// the lines below alone, whatever the width of a register: every instruction set gives the same bits.
#pragma once
#include <limpid/core/kernels/tables.hpp>

#include <cstdint>

namespace limpid::kernels {

/// Rows i < rows of columns j < columns side by side, each row `stride` elements after the one before.
struct RowBlock {
  std::int64_t rows, stride, columns;
};

/// A reduction of rows of T, in accumulators Acc.
template <class Acc, class T>
struct FoldKernels {
  /// Takes x[i * stride + j] into acc[j], row after row; sums take four rows at a time.
  void (*rows)(Acc* acc, const T* x, const RowBlock& block) noexcept;
  /// acc[i] = row i, folded: element j goes to lane j mod 64, lanes take theirs as rows() does, and fold in halves: 0
  /// and 32, 0 and 16, ... A row has at most as many elements as a leaf of ReduceTree.
  void (*runs)(Acc* acc, const T* x, const RowBlock& block) noexcept;
};

/// acc[j] += sum of (x[i * stride + j] - centre[j])^2 over rows i; a null centre stands for 0.
template <class T>
using AddSquares = void (*)(double* acc, const double* centre, const T* x, const RowBlock& block) noexcept;

/// acc[j] = max(acc[j], x[i * stride + j]) over rows i; NaN wins.
template <class T>
using MaxRows = void (*)(double* acc, const T* x, const RowBlock& block) noexcept;

/// e = exp(x[i * stride + j] - shift[j]), which must not exceed 1; acc[j] += e, and y[i * stride + j] = e unless y is
/// null. Below exp(-708) e is 0.
template <class T>
using ExpRows = void (*)(double* acc, const double* shift, const T* x, T* y, const RowBlock& block) noexcept;

/// Of each column: y = ((x - a) - b) * factor.
struct Affine {
  const double *a, *b, *factor;
};
/// y[i * stride + j] = ((x[i * stride + j] - a[j]) - b[j]) * factor[j]; x may be y.
template <class T>
using AffineRows = void (*)(const Affine& affine, const T* x, T* y, const RowBlock& block) noexcept;

template <class T>
struct SoftmaxKernels {
  MaxRows<T> max_rows;
  ExpRows<T> exp_rows;
  AffineRows<T> affine_rows;
};

struct ReduceKernels {
  FoldKernels<double, float> sum_f32;
  FoldKernels<double, double> sum_f64;
  FoldKernels<float, float> max_f32, min_f32;  ///< NaN wins
  FoldKernels<double, double> max_f64, min_f64;
  AddSquares<float> add_squares_f32;
  AddSquares<double> add_squares_f64;
  SoftmaxKernels<float> softmax_f32;
  SoftmaxKernels<double> softmax_f64;
  /// Whether each of x is a normal number above 0: none is 0, subnormal, infinite or NaN. Signals nothing.
  bool (*all_positive_normal)(const double* x, std::int64_t count) noexcept;
};

LIMPID_DECLARE_KERNELS(ReduceKernels, reduce_kernels)

/// The table of the instruction set in use.
const ReduceKernels& reduce_table() noexcept;

}  // namespace limpid::kernels
