// Products of operands of given ranks, and products without a sum: all made of matmul and mul, whose derivatives are
// theirs.
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid {

using detail::require_defined;
using detail::throw_error;

namespace {

void require_shapes(bool fit, const char* op, const char* expected, const Tensor& a, const Tensor& b) {
  if (!fit) throw_error<ShapeError>(op, ": expected ", expected, ", got ", a.shape(), " and ", b.shape());
}

void require_floats(const char* op, const Tensor& a, const Tensor& b) {
  detail::require_one_floating_dtype(op, {{"a", &a}, {"b", &b}});
}

void require_matrices(const char* op, const Tensor& a, const Tensor& b) {
  require_defined(op, "a", a);
  require_defined(op, "b", b);
  require_shapes(a.dim() == 2 && b.dim() == 2 && a.size(1) == b.size(0), op, "matrices (n, k) and (k, m)", a, b);
  require_floats(op, a, b);
}

}  // namespace

Tensor mm(const Tensor& a, const Tensor& b) {
  require_matrices("mm", a, b);
  return matmul(a, b);
}
Tensor Tensor::mm(const Tensor& other) const { return limpid::mm(*this, other); }

Tensor mv(const Tensor& a, const Tensor& x) {
  require_defined("mv", "a", a);
  require_defined("mv", "x", x);
  require_shapes(a.dim() == 2 && x.dim() == 1 && a.size(1) == x.size(0), "mv", "a matrix (n, k) and a vector (k,)", a,
                 x);
  detail::require_one_floating_dtype("mv", {{"a", &a}, {"x", &x}});
  return matmul(a, x);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  require_defined("dot", "a", a);
  require_defined("dot", "b", b);
  require_shapes(a.dim() == 1 && b.dim() == 1 && a.size(0) == b.size(0), "dot", "two vectors of one length", a, b);
  require_floats("dot", a, b);
  return matmul(a, b);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  require_defined("bmm", "a", a);
  require_defined("bmm", "b", b);
  require_shapes(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0) && a.size(2) == b.size(1), "bmm",
                 "(b, n, k) and (b, k, m)", a, b);
  require_floats("bmm", a, b);
  return matmul(a, b);
}

Tensor addmm(const Tensor& x, const Tensor& a, const Tensor& b, Scalar beta, Scalar alpha) {
  require_defined("addmm", "x", x);
  require_matrices("addmm", a, b);
  const Shape shape{a.size(0), b.size(1)};
  bool fits = x.dim() <= 2;
  for (int64_t axis = 1; fits && axis <= x.dim(); ++axis)
    fits = x.size(-axis) == 1 || x.size(-axis) == shape[static_cast<std::size_t>(2 - axis)];
  if (!fits) throw_error<ShapeError>("addmm: expected x that broadcasts to ", shape, ", got shape ", x.shape());
  const DType dtype = detail::require_one_floating_dtype("addmm", {{"x", &x}, {"a", &a}});
  if (is_half(dtype)) return addmm(x.to(float32), a.to(float32), b.to(float32), beta, alpha).to(dtype);
  const auto scaled = [](const Tensor& t, Scalar factor) {
    return factor.to_double() == 1 ? t : mul(t, detail::stored("addmm", factor, t.dtype()));
  };
  // The factor goes to the smaller operand.
  const Tensor y = a.numel() <= b.numel() ? matmul(scaled(a, alpha), b) : matmul(a, scaled(b, alpha));
  if (beta.to_double() != 0) return add(y, scaled(x, beta));
  // x has the gradient 0 and, whatever stands in it, no part in y.
  return x.requires_grad() ? add(y, detail::chain(zeros({}, x.dtype()), x)) : y;
}

Tensor outer(const Tensor& a, const Tensor& b) {
  require_defined("outer", "a", a);
  require_defined("outer", "b", b);
  require_shapes(a.dim() == 1 && b.dim() == 1, "outer", "two vectors", a, b);
  return mul(unsqueeze(a, 1), b);
}

Tensor kron(const Tensor& a, const Tensor& b) {
  require_defined("kron", "a", a);
  require_defined("kron", "b", b);
  // (n, m) and (p, q): (n, 1, m, 1) times (1, p, 1, q) is (n, p, m, q), read as (n p, m q). An axis of which one
  // operand has a single element is none to it, lest there be more than a tensor may have.
  const int64_t rank = std::max(a.dim(), b.dim());
  Shape of_a, of_b, joined;
  for (int64_t axis = -rank; axis < 0; ++axis) {
    const int64_t n = axis < -a.dim() ? 1 : a.size(axis), p = axis < -b.dim() ? 1 : b.size(axis);
    if (n != 1) of_a.push_back(n), of_b.push_back(1);
    if (p != 1) of_a.push_back(1), of_b.push_back(p);
    int64_t size = 0;
    if (__builtin_mul_overflow(n, p, &size))
      throw_error<ShapeError>("kron: expected sizes whose products 64 bits hold, got ", a.shape(), " and ", b.shape());
    joined.push_back(size);
  }
  return reshape(mul(reshape(a, of_a), reshape(b, of_b)), joined);
}

}  // namespace limpid
