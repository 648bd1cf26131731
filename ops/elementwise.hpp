// Element-wise functions. Operands broadcast by NumPy's rules and promote to a common dtype (core/dtype.hpp); a Scalar
// takes the tensor's dtype where it can (in arithmetic on half precision, float32). All are differentiable where
// mathematics allows, any number of times. An operand in channels-last gives a result in channels-last.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/scalar.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {

// Arithmetic. Division of integers, like NumPy's true_divide, gives float32. For bool, + is or and * is and; it has no
// -, remainder or pow. Other integers wrap on overflow.
Tensor add(const Tensor& a, const Tensor& b);
Tensor add(const Tensor& a, Scalar b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, Scalar b);
Tensor sub(Scalar a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, Scalar b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, Scalar b);
Tensor div(Scalar a, const Tensor& b);
/// a - b * floor(a / b), with the sign of b, as NumPy's. Integers: throws ValueError on a divisor of 0.
Tensor remainder(const Tensor& a, const Tensor& b);
Tensor remainder(const Tensor& a, Scalar b);
/// a^b. Integers: throws ValueError on an exponent below 0. Gradient with respect to a at a = 0 and b = 0 is 0; with
/// respect to b at a = 0 is 0 where b >= 0.
Tensor pow(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, Scalar b);
Tensor pow(Scalar a, const Tensor& b);
/// NaN in either gives NaN. Where a = b both get half the gradient.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor neg(const Tensor& x);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator+(const Tensor& a, Scalar b) { return add(a, b); }
inline Tensor operator+(Scalar a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator-(const Tensor& a, Scalar b) { return sub(a, b); }
inline Tensor operator-(Scalar a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator*(const Tensor& a, Scalar b) { return mul(a, b); }
inline Tensor operator*(Scalar a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator/(const Tensor& a, Scalar b) { return div(a, b); }
inline Tensor operator/(Scalar a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& x) { return neg(x); }

// Functions of one operand. Integers are converted to float32 first, except by neg, abs, sign, square, relu and clamp.
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);       ///< 1 / sqrt(x)
Tensor reciprocal(const Tensor& x);  ///< 1 / x
Tensor abs(const Tensor& x);         ///< gradient 0 at 0
Tensor sign(const Tensor& x);        ///< -1, 0 or 1; NaN for NaN
Tensor square(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor erf(const Tensor& x);

// Activations. Throw ValueError on a parameter that is NaN or infinite, softplus also on a beta of 0 or less.
Tensor relu(const Tensor& x);                             ///< gradient 0 at 0
Tensor leaky_relu(const Tensor& x, double slope = 0.01);  ///< x where x > 0, else slope * x
Tensor elu(const Tensor& x, double alpha = 1);            ///< x where x > 0, else alpha * (exp(x) - 1)
Tensor gelu(const Tensor& x);                             ///< x * Phi(x), exact (Hendrycks and Gimpel, 2016)
Tensor silu(const Tensor& x);                             ///< x * sigmoid(x)
Tensor softplus(const Tensor& x, double beta = 1);        ///< log(1 + exp(beta x)) / beta, without overflow
/// Gradient 1 within and at the bounds; NaN stays. Throws ValueError where low > high or x's dtype has no number
/// between them.
Tensor clamp(const Tensor& x, Scalar low, Scalar high);

// Choices and comparisons; these give bool. A number counts as the tensor's dtype has it, but never as 0 or infinite
// where it is not; beside integers as it is. Integers wider than uint8 meet floats as float64.
/// a where condition (bool) holds, else b.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, Scalar b);
Tensor where(const Tensor& condition, Scalar a, const Tensor& b);
Tensor eq(const Tensor& a, const Tensor& b);
Tensor eq(const Tensor& a, Scalar b);
Tensor ne(const Tensor& a, const Tensor& b);
Tensor ne(const Tensor& a, Scalar b);
Tensor lt(const Tensor& a, const Tensor& b);
Tensor lt(const Tensor& a, Scalar b);
Tensor le(const Tensor& a, const Tensor& b);
Tensor le(const Tensor& a, Scalar b);
Tensor gt(const Tensor& a, const Tensor& b);
Tensor gt(const Tensor& a, Scalar b);
Tensor ge(const Tensor& a, const Tensor& b);
Tensor ge(const Tensor& a, Scalar b);

// Comparisons element by element, as in NumPy. Their result has no truth value of its own: all(a == b) tells whether
// all elements are equal, equal(a, b) whether the tensors are.
inline Tensor operator==(const Tensor& a, const Tensor& b) { return eq(a, b); }
inline Tensor operator==(const Tensor& a, Scalar b) { return eq(a, b); }
inline Tensor operator==(Scalar a, const Tensor& b) { return eq(b, a); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return ne(a, b); }
inline Tensor operator!=(const Tensor& a, Scalar b) { return ne(a, b); }
inline Tensor operator!=(Scalar a, const Tensor& b) { return ne(b, a); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return lt(a, b); }
inline Tensor operator<(const Tensor& a, Scalar b) { return lt(a, b); }
inline Tensor operator<(Scalar a, const Tensor& b) { return gt(b, a); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return le(a, b); }
inline Tensor operator<=(const Tensor& a, Scalar b) { return le(a, b); }
inline Tensor operator<=(Scalar a, const Tensor& b) { return ge(b, a); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return gt(a, b); }
inline Tensor operator>(const Tensor& a, Scalar b) { return gt(a, b); }
inline Tensor operator>(Scalar a, const Tensor& b) { return lt(b, a); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return ge(a, b); }
inline Tensor operator>=(const Tensor& a, Scalar b) { return ge(a, b); }
inline Tensor operator>=(Scalar a, const Tensor& b) { return le(b, a); }

Tensor isnan(const Tensor& x);
Tensor isfinite(const Tensor& x);
Tensor logical_not(const Tensor& x);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);

}  // namespace limpid
