// The LU decomposition that inverses, solutions and determinants share.
#pragma once
#include <limpid/core/tensor.hpp>

#include <vector>

namespace limpid::detail {

/// Of the transposes of matrices a (..., n, n), which is how LAPACK reads row-major memory; not recorded.
struct Lu {
  Tensor factors;         ///< (..., n, n)
  Tensor pivots;          ///< (..., n) of int32
  std::vector<int> info;  ///< of each matrix, 0 or which element of the diagonal is 0
};
Lu lu_of(const Tensor& a);

/// Throws ValueError where a matrix is singular.
void require_regular(const char* op, const Lu& lu);

/// 1 / (|a| |a^-1|) of each matrix, by 1-norms; NaN where a has elements that are not finite.
std::vector<double> reciprocal_conditions(const Tensor& a, const Tensor& factors);

/// The inverse of a, which has these factors and is regular; differentiable with respect to a.
Tensor inverse_of(const Tensor& a, const Tensor& factors, const Tensor& pivots);

/// x (..., n, k) of a x = b, for b (..., n, k), or of a^T x = b; differentiable with respect to a and b.
Tensor solution_of(const Tensor& a, const Tensor& factors, const Tensor& pivots, const Tensor& b, bool is_transposed);

}  // namespace limpid::detail
