// Arithmetic of two operands. bool + bool is or, bool * bool is and; bool has no other arithmetic.
#include <limpid/autograd/node.hpp>
#include <limpid/ops/detail/elementwise.hpp>
#include <limpid/ops/elementwise.hpp>

namespace limpid {

using detail::map;
using detail::Operand;
using detail::promoted;
using detail::require_defined;
using kernels::arithmetic;

struct AddNode final : Node {
  const char* name() const noexcept override { return "add"; }
  // y_i = a_i + b_i:  da = dy,  db = dy  (summed down to the operands' shapes by the engine, here and below).
  Tensors backward(const Tensors& dy) override { return {dy[0], dy[0]}; }
};

Tensor add(const Tensor& a, const Tensor& b) {
  require_defined("add", a, b);
  const DType dtype = promote_types(a.dtype(), b.dtype());
  if (Tensor y = promoted(dtype, a, b, [](const Tensor& p, const Tensor& q) { return add(p, q); }); y.defined())
    return y;
  Tensor y = map("add", arithmetic().add, dtype, dtype, a, b);
  record<AddNode>(y, a, b);
  return y;
}

struct ShiftNode final : Node {
  const char* name() const noexcept override { return "add"; }
  // y_i = x_i + s for a number s:  dx = dy.
  Tensors backward(const Tensors& dy) override { return {dy[0]}; }
};

Tensor add(const Tensor& a, Scalar b) {
  require_defined("add", a);
  const DType dtype = detail::promote_types(a.dtype(), b);
  if (Tensor y = promoted(dtype, a, [&](const Tensor& p) { return add(p, b); }); y.defined()) return y;
  Tensor y = map("add", arithmetic().add, dtype, dtype, a, Operand("add", b, dtype));
  record<ShiftNode>(y, a);
  return y;
}

struct SubNode final : Node {
  const char* name() const noexcept override { return "sub"; }
  // y_i = a_i - b_i:  da = dy,  db = -dy.
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? dy[0] : Tensor(), needs(1) ? neg(dy[0]) : Tensor()};
  }
};

Tensor sub(const Tensor& a, const Tensor& b) {
  require_defined("sub", a, b);
  const DType dtype = promote_types(a.dtype(), b.dtype());
  if (Tensor y = promoted(dtype, a, b, [](const Tensor& p, const Tensor& q) { return sub(p, q); }); y.defined())
    return y;
  Tensor y = map("sub", arithmetic().sub, dtype, dtype, a, b);
  record<SubNode>(y, a, b);
  return y;
}

Tensor sub(const Tensor& a, Scalar b) {
  require_defined("sub", a);
  const DType dtype = detail::promote_types(a.dtype(), b);
  if (Tensor y = promoted(dtype, a, [&](const Tensor& p) { return sub(p, b); }); y.defined()) return y;
  Tensor y = map("sub", arithmetic().sub, dtype, dtype, a, Operand("sub", b, dtype));
  record<ShiftNode>(y, a);
  return y;
}

struct NegNode final : Node {
  const char* name() const noexcept override { return "neg"; }
  // y_i = a - x_i for a number a:  dx = -dy.
  Tensors backward(const Tensors& dy) override { return {neg(dy[0])}; }
};

Tensor sub(Scalar a, const Tensor& b) {
  require_defined("sub", b);
  const DType dtype = detail::promote_types(b.dtype(), a);
  if (Tensor y = promoted(dtype, b, [&](const Tensor& p) { return sub(a, p); }); y.defined()) return y;
  Tensor y = map("sub", arithmetic().sub, dtype, dtype, Operand("sub", a, dtype), b);
  record<NegNode>(y, b);
  return y;
}

Tensor neg(const Tensor& x) {
  require_defined("neg", x);
  const DType dtype = x.dtype();
  if (Tensor y = promoted(dtype, x, [](const Tensor& p) { return neg(p); }); y.defined()) return y;
  Tensor y = map("neg", arithmetic().neg, dtype, dtype, x);
  record<NegNode>(y, x);
  return y;
}

struct MulNode final : Node {
  Saved a{*this, "a"}, b{*this, "b"};
  const char* name() const noexcept override { return "mul"; }
  // y_i = a_i b_i:  da = dy b,  db = dy a.
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? mul(dy[0], b) : Tensor(), needs(1) ? mul(dy[0], a) : Tensor()};
  }
};

Tensor mul(const Tensor& a, const Tensor& b) {
  require_defined("mul", a, b);
  const DType dtype = promote_types(a.dtype(), b.dtype());
  if (Tensor y = promoted(dtype, a, b, [](const Tensor& p, const Tensor& q) { return mul(p, q); }); y.defined())
    return y;
  Tensor y = map("mul", arithmetic().mul, dtype, dtype, a, b);
  if (auto* node = record<MulNode>(y, a, b)) {
    if (node->needs(0)) node->b = b;
    if (node->needs(1)) node->a = a;
  }
  return y;
}

struct ScaleNode final : Node {
  double factor = 0;
  const char* name() const noexcept override { return "mul"; }
  // y_i = s x_i for a number s:  dx = s dy.
  Tensors backward(const Tensors& dy) override { return {mul(dy[0], factor)}; }
};

Tensor mul(const Tensor& a, Scalar b) {
  require_defined("mul", a);
  const DType dtype = detail::promote_types(a.dtype(), b);
  if (Tensor y = promoted(dtype, a, [&](const Tensor& p) { return mul(p, b); }); y.defined()) return y;
  Tensor y = map("mul", arithmetic().mul, dtype, dtype, a, Operand("mul", b, dtype));
  if (auto* node = record<ScaleNode>(y, a)) node->factor = b.to_double();
  return y;
}

struct DivNode final : Node {
  Saved b{*this, "b"}, y{*this, "y"};
  const char* name() const noexcept override { return "div"; }
  // y_i = a_i / b_i:  da = dy / b,  db = -dy a / b^2 = -(dy / b) y.
  Tensors backward(const Tensors& dy) override {
    const Tensor da = div(dy[0], b);
    return {da, needs(1) ? neg(mul(da, y)) : Tensor()};
  }
};

Tensor div(const Tensor& a, const Tensor& b) {
  require_defined("div", a, b);
  const DType dtype = detail::floating_type(promote_types(a.dtype(), b.dtype()));
  if (Tensor y = promoted(dtype, a, b, [](const Tensor& p, const Tensor& q) { return div(p, q); }); y.defined())
    return y;
  Tensor y = map("div", arithmetic().div, dtype, dtype, a, b);
  if (auto* node = record<DivNode>(y, a, b)) {
    node->b = b;
    if (node->needs(1)) node->y = y;
  }
  return y;
}

struct DivByNumberNode final : Node {
  double divisor = 1;
  const char* name() const noexcept override { return "div"; }
  // y_i = x_i / s for a number s:  dx = dy / s.
  Tensors backward(const Tensors& dy) override { return {div(dy[0], divisor)}; }
};

Tensor div(const Tensor& a, Scalar b) {
  require_defined("div", a);
  const DType dtype = detail::floating_type(a.dtype());
  if (Tensor y = promoted(dtype, a, [&](const Tensor& p) { return div(p, b); }); y.defined()) return y;
  Tensor y = map("div", arithmetic().div, dtype, dtype, a, Operand("div", b, dtype));
  if (auto* node = record<DivByNumberNode>(y, a)) node->divisor = b.to_double();
  return y;
}

struct DivNumberNode final : Node {
  Saved x{*this, "x"}, y{*this, "y"};
  const char* name() const noexcept override { return "div"; }
  // y_i = s / x_i for a number s:  dx = -dy s / x^2 = -(dy / x) y.
  Tensors backward(const Tensors& dy) override { return {neg(mul(div(dy[0], x), y))}; }
};

Tensor div(Scalar a, const Tensor& b) {
  require_defined("div", b);
  const DType dtype = detail::floating_type(b.dtype());
  if (Tensor y = promoted(dtype, b, [&](const Tensor& p) { return div(a, p); }); y.defined()) return y;
  Tensor y = map("div", arithmetic().div, dtype, dtype, Operand("div", a, dtype), b);
  if (auto* node = record<DivNumberNode>(y, b)) {
    node->x = b;
    node->y = y;
  }
  return y;
}

}  // namespace limpid
