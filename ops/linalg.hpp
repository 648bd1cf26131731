// Linear algebra: functions of matrices (..., n, m), of which leading axes are a batch. float32 and float64, in any
// layout; results are row-major, but where they are transposed views. All can be differentiated any number of times.
//
// By LAPACK, each matrix on one thread and a batch on all, so that the bits do not depend on the number of threads (but
// on the processor, for which OpenBLAS chooses its kernels). A matrix that has no result is named by its place in the
// batch: ValueError.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <optional>

namespace LIMPID_API limpid {
namespace linalg {

/// The inverse. Throws ValueError where a matrix is singular.
Tensor inv(const Tensor& a);
/// x of a x = b, or of x a = b where left is false. b is a vector where it has one axis, else matrices; batches
/// broadcast. Throws ValueError where a matrix is singular.
Tensor solve(const Tensor& a, const Tensor& b, bool left = true);
/// The determinant. Its gradient is the matrix of cofactors, singular matrices' too.
Tensor det(const Tensor& a);

struct SignAndLog {
  Tensor sign;       ///< -1, 0 or 1; no gradient
  Tensor logabsdet;  ///< the logarithm of |det|
};
/// The determinant without overflow. Of a singular matrix, (0, -inf), whose gradient is 0 where dy is, and else
/// refused, as its tangent is where the matrix moves: throws AutogradError.
SignAndLog slogdet(const Tensor& a);

/// The lower triangular l with a = l l^T; or the upper u with a = u^T u. Reads the lower (upper) triangle alone; the
/// gradient is symmetric, that of what makes a symmetric. Throws ValueError where a matrix is not positive definite.
Tensor cholesky(const Tensor& a, bool upper = false);
/// x of a x = b for the factor of a that cholesky() gives, of which no more than its triangle is read. b as in solve().
Tensor cholesky_solve(const Tensor& b, const Tensor& factor, bool upper = false);

struct TriangularOptions {
  bool upper = false;          ///< which triangle of a is read
  bool left = true;            ///< a x = b, or x a = b
  bool unitriangular = false;  ///< the diagonal counts as ones, and is not read
};
/// x of a x = b for triangular a, of which the rest is not read and gets the gradient 0: PyTorch's solve_triangular. b
/// as in solve(). Throws ValueError where there is a 0 on the diagonal.
Tensor triangular_solve(const Tensor& a, const Tensor& b, const TriangularOptions& options);

enum class QrMode { reduced, complete };
struct Qr {
  Tensor q;  ///< (..., m, k), columns orthonormal: k = min(m, n), or m where complete
  Tensor r;  ///< (..., k, n), upper triangular
};
/// a = q r. Complete and of more rows than columns it has no gradient (the further columns of q are not determined):
/// throws AutogradError. Of a matrix whose first columns depend on one another the gradient throws ValueError.
Qr qr(const Tensor& a, QrMode mode = QrMode::reduced);

struct Eigh {
  Tensor values;   ///< (..., n), ascending
  Tensor vectors;  ///< (..., n, n), one a column, orthonormal; each is determined but for its sign
};
/// Of symmetric matrices, of which the lower triangle is read; the gradient is symmetric. Throws ValueError on NaN and
/// infinity.
///
/// Vectors of equal values are determined but for a rotation. There the gradient of a function of the matrix,
/// f(a) = v f(values) v^T, is found if those of values and vectors tell f'/f, alike for each of the equal values, and
/// all of them where any stands off the diagonal in the vectors taken. Any other gradient that reaches vectors of equal
/// values, one that depends on the rotation above all, is refused: throws AutogradError. So are derivatives of second
/// order of what reaches vectors there, and in forward mode a direction that would turn them at once, for the values as
/// well (eigvalsh() gives theirs). Where f itself is 0, as log at 1, a gradient that is 0 on the diagonal in the
/// vectors taken is taken for none.
Eigh eigh(const Tensor& a);
/// The values alone, in less time. Their gradient is finite where some are equal, too; off the diagonal in the vectors
/// taken its derivative is refused there.
Tensor eigvalsh(const Tensor& a);

struct Svd {
  Tensor u;   ///< (..., m, k), k = min(m, n); (..., m, m) where full
  Tensor s;   ///< (..., k), descending
  Tensor vh;  ///< (..., k, n); (..., n, n) where full
};
/// a = u diag(s) vh. Of equal values as for eigh(). The further columns that full_matrices adds are not determined: a
/// gradient for them throws AutogradError, and where there are any, forward mode does. Throws ValueError on NaN and
/// infinity.
Svd svd(const Tensor& a, bool full_matrices = true);
/// The values alone, in less time.
Tensor svdvals(const Tensor& a);

/// The inverse of Moore and Penrose. Singular values of at most rtol times the largest count as 0; left out, rtol is
/// max(n, m) times the dtype's epsilon. The gradient is that at constant rank; where rtol cuts values above that
/// rounding it is refused: throws AutogradError. Throws ValueError.
Tensor pinv(const Tensor& a, std::optional<double> rtol = {});

struct LeastSquares {
  Tensor solution;         ///< (..., n, k), or without k where b is a vector
  Tensor residuals;        ///< (..., k): the sum of (b - a x)^2 over rows
  Tensor rank;             ///< (...) of int64; no gradient
  Tensor singular_values;  ///< (..., min(m, n)); no gradient
};
/// The x of least |b - a x|, and of these the one of least |x|, whatever the rank, which is counted as for pinv() with
/// rcond for rtol. b as in solve(). The gradient at deficient rank is refused: throws AutogradError.
LeastSquares lstsq(const Tensor& a, const Tensor& b, std::optional<double> rcond = {});

}  // namespace linalg
}  // namespace limpid
