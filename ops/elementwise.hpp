// Element-wise functions. Operands broadcast by NumPy's rules and promote to a common dtype (core/dtype.hpp); a Scalar
// takes the tensor's dtype where it can (in arithmetic on half precision, float32). All are differentiable where
// mathematics allows, any number of times. An operand in channels-last gives a result in channels-last.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/scalar.hpp>
#include <limpid/core/tensor.hpp>

#include <concepts>
#include <optional>

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
/// a - b * trunc(a / b), with the sign of a, exactly; errors as for remainder.
Tensor fmod(const Tensor& a, const Tensor& b);
Tensor fmod(const Tensor& a, Scalar b);
/// floor(a / b) of the exact quotient, as NumPy's: remainder's partner, with its errors. Its gradient is 0.
Tensor floor_divide(const Tensor& a, const Tensor& b);
Tensor floor_divide(const Tensor& a, Scalar b);
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

// Functions of two floating-point operands; integers are converted to float32.
/// The angle of (x, y) from the x axis, in (-pi, pi]. Both gradients are 0 at (0, 0).
Tensor atan2(const Tensor& y, const Tensor& x);
Tensor hypot(const Tensor& x, const Tensor& y);      ///< sqrt(x^2 + y^2); both gradients are 0 at (0, 0)
Tensor logaddexp(const Tensor& x, const Tensor& y);  ///< log(exp(x) + exp(y)), without overflow
/// x log(y), but 0 where x is 0 and y no NaN. Where x = 0 and y <= 0, x gets no gradient.
Tensor xlogy(const Tensor& x, const Tensor& y);
/// start + weight * (end - start), exact at weights of 0 and 1.
Tensor lerp(const Tensor& start, const Tensor& end, double weight);
Tensor lerp(const Tensor& start, const Tensor& end, const Tensor& weight);

// Functions of one operand. Integers are converted to float32 first, except by neg, abs, sign, square, relu, clamp and
// what rounds.
Tensor exp(const Tensor& x);
Tensor exp2(const Tensor& x);
Tensor expm1(const Tensor& x);  ///< exp(x) - 1, accurate near 0
Tensor log(const Tensor& x);
Tensor log2(const Tensor& x);
Tensor log10(const Tensor& x);
Tensor log1p(const Tensor& x);  ///< log(1 + x), accurate near 0
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);       ///< 1 / sqrt(x)
Tensor reciprocal(const Tensor& x);  ///< 1 / x
Tensor abs(const Tensor& x);         ///< gradient 0 at 0
Tensor sign(const Tensor& x);        ///< -1, 0 or 1; NaN for NaN
Tensor square(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor tan(const Tensor& x);
Tensor asin(const Tensor& x);
Tensor acos(const Tensor& x);
Tensor atan(const Tensor& x);
Tensor sinh(const Tensor& x);
Tensor cosh(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor asinh(const Tensor& x);
Tensor acosh(const Tensor& x);
Tensor atanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor logit(const Tensor& x);  ///< log(x / (1 - x)), the inverse of sigmoid
Tensor logit(const Tensor& x,
             double eps);  ///< of x clamped to [eps, 1 - eps]; throws ValueError on eps beyond [0, 0.5]
Tensor erf(const Tensor& x);
Tensor erfc(const Tensor& x);  ///< 1 - erf(x), accurate where that is small
Tensor erfinv(const Tensor& x);
Tensor lgamma(const Tensor& x);   ///< log |Gamma(x)|
Tensor digamma(const Tensor& x);  ///< the derivative of lgamma

// What rounds. Gradients are 0, frac's is 1.
Tensor floor(const Tensor& x);
Tensor ceil(const Tensor& x);
Tensor trunc(const Tensor& x);  ///< towards 0
Tensor round(const Tensor& x);  ///< to the nearest, halves to even
Tensor frac(const Tensor& x);   ///< x - trunc(x)

// Activations. Throw ValueError on a parameter that is NaN or infinite, softplus also on a beta of 0 or less.
Tensor relu(const Tensor& x);                             ///< gradient 0 at 0
Tensor leaky_relu(const Tensor& x, double slope = 0.01);  ///< x where x > 0, else slope * x
Tensor elu(const Tensor& x, double alpha = 1);            ///< x where x > 0, else alpha * (exp(x) - 1)
Tensor gelu(const Tensor& x);                             ///< x * Phi(x), exact (Hendrycks and Gimpel, 2016)
Tensor silu(const Tensor& x);                             ///< x * sigmoid(x)
Tensor softplus(const Tensor& x, double beta = 1);        ///< log(1 + exp(beta x)) / beta, without overflow
Tensor celu(const Tensor& x, double alpha = 1);           ///< x where x > 0, else alpha * (exp(x / alpha) - 1)
Tensor selu(const Tensor& x);                             ///< scaled elu (Klambauer et al., 2017)
Tensor gelu_tanh(const Tensor& x);                        ///< gelu's approximation by tanh
Tensor mish(const Tensor& x);                             ///< x * tanh(softplus(x)) (Misra, 2019)
Tensor hardswish(const Tensor& x);                        ///< x * relu6(x + 3) / 6; gradient 0 at -3 and 1 at 3
Tensor softsign(const Tensor& x);                         ///< x / (1 + |x|)
Tensor logsigmoid(const Tensor& x);                       ///< log(sigmoid(x)), accurate in both tails
// Unlike clamp, these have gradient 0 at their bounds. hardtanh throws ValueError where low >= high.
Tensor hardtanh(const Tensor& x, double low = -1, double high = 1);
Tensor relu6(const Tensor& x);        ///< hardtanh between 0 and 6
Tensor hardsigmoid(const Tensor& x);  ///< relu6(x + 3) / 6

/// Gradient 1 within and at the bounds; NaN stays. Throws ValueError where low > high or x's dtype has no number
/// between them.
Tensor clamp(const Tensor& x, Scalar low, Scalar high);
/// Bounds broadcast; they get the gradient where x lies beyond them. NaN of either stays; where low > high, y is high.
Tensor clamp(const Tensor& x, const Tensor& low, const Tensor& high);
Tensor clamp_min(const Tensor& x, Scalar low);
Tensor clamp_min(const Tensor& x, const Tensor& low);
Tensor clamp_max(const Tensor& x, Scalar high);
Tensor clamp_max(const Tensor& x, const Tensor& high);

// Choices and comparisons; these give bool. A number counts as the tensor's dtype has it, but never as 0 or infinite
// where it is not; beside integers as it is. Integers wider than uint8 meet floats as float64.
/// a where condition (bool) holds, else b.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, Scalar b);
Tensor where(const Tensor& condition, Scalar a, const Tensor& b);
Tensor where(const Tensor& condition, Scalar a, Scalar b);  ///< int64 of integers, float32 of other numbers
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
Tensor isinf(const Tensor& x);
Tensor isfinite(const Tensor& x);
/// x with numbers in place of NaN and the infinities: left out, the dtype's largest and lowest. They get no gradient.
Tensor nan_to_num(const Tensor& x, double nan = 0, std::optional<double> posinf = {},
                  std::optional<double> neginf = {});
Tensor logical_not(const Tensor& x);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);

// What is not 0 is true, element by element; && and || evaluate both sides.
inline Tensor operator&&(const Tensor& a, const Tensor& b) { return logical_and(a, b); }
inline Tensor operator||(const Tensor& a, const Tensor& b) { return logical_or(a, b); }
inline Tensor operator!(const Tensor& x) { return logical_not(x); }

// The same of bool alone, as NumPy's masks are written; numbers have no bits here. Throw DTypeError.
Tensor operator&(const Tensor& a, const Tensor& b);
Tensor operator|(const Tensor& a, const Tensor& b);
Tensor operator~(const Tensor& x);

// A bool stands for a tensor of it; another number beside a mask is a slip, and does not compile.
template <std::same_as<bool> B>
Tensor operator&(const Tensor& a, B b) {
  return a & full({}, b, bool_);
}
template <std::same_as<bool> B>
Tensor operator&(B a, const Tensor& b) {
  return full({}, a, bool_) & b;
}
template <std::same_as<bool> B>
Tensor operator|(const Tensor& a, B b) {
  return a | full({}, b, bool_);
}
template <std::same_as<bool> B>
Tensor operator|(B a, const Tensor& b) {
  return full({}, a, bool_) | b;
}

}  // namespace limpid
