// Products: of matrices and vectors, and sums of products over any axes. All are made of matrix products where they
// sum.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <string_view>

namespace LIMPID_API limpid {

/// NumPy's matmul: (..., n, k) x (..., k, m) -> (..., n, m), leading axes broadcast; a 1-D operand is a row (left) or a
/// column (right) whose axis is dropped. Both of one floating dtype (throws DTypeError). Half precision is multiplied
/// and added in float32, and the result rounded to it, here and below.
Tensor matmul(const Tensor& a, const Tensor& b);

// matmul() of operands of these ranks and no others: nothing broadcasts. Throw ShapeError.
Tensor mm(const Tensor& a, const Tensor& b);   ///< (n, k) x (k, m) -> (n, m)
Tensor mv(const Tensor& a, const Tensor& x);   ///< (n, k) x (k,) -> (n,)
Tensor dot(const Tensor& a, const Tensor& b);  ///< (k,) x (k,) -> ()
Tensor bmm(const Tensor& a, const Tensor& b);  ///< (b, n, k) x (b, k, m) -> (b, n, m)
/// beta * x + alpha * (a b) for matrices a and b; x broadcasts to (n, m), and is not read where beta is 0.
Tensor addmm(const Tensor& x, const Tensor& a, const Tensor& b, Scalar beta = 1, Scalar alpha = 1);

/// (n,) x (m,) -> (n, m): y_ij = a_i b_j, of any dtypes.
Tensor outer(const Tensor& a, const Tensor& b);
/// The Kronecker product: each element of a times the whole of b, axis by axis, of any dtypes; the shorter shape counts
/// as if it began with ones.
Tensor kron(const Tensor& a, const Tensor& b);

/// Sums over the last axes of a and the first axes of b, that many; or over those listed, in this order. They must
/// agree in size. What is left is a's other axes, then b's. Throws ShapeError, ValueError (a number of axes that is
/// none).
Tensor tensordot(const Tensor& a, const Tensor& b, int64_t axes = 2);
Tensor tensordot(const Tensor& a, const Tensor& b, const Axes& a_axes, const Axes& b_axes);

/// Einstein's summation, as NumPy and PyTorch write it: einsum("bij,bjk->bik", {a, b}). Each operand has a letter for
/// each of its axes; "..." stands for any further axes, which are aligned at the last and broadcast. A letter that
/// stands twice within an operand takes the diagonal of axes of one size. Axes of one letter in different operands have
/// one size, or 1, which broadcasts. Letters that "->" is not followed by are summed over, as is a "..." that is not;
/// without "->" the result has the "..." first and then, in alphabetical order (capitals first), the letters that stand
/// once. Spaces count for nothing. One operand may be of any dtype, and the result a view of it; of several, all are
/// of one floating dtype, and products are formed pair by pair in the order that takes the fewest multiplications
/// (found for up to eight operands; for more, the cheapest next pair). Throws ValueError on an equation that is none,
/// ShapeError where it does not fit the operands, DTypeError.
Tensor einsum(std::string_view equation, const Tensors& xs);

/// x (..., in) times weight (out, in) transposed, plus bias (out,) or none: (..., out). All of one dtype.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace limpid
