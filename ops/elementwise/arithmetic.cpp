// Arithmetic of two operands. bool + bool is or, bool * bool is and; bool has no other arithmetic.
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/sums.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace limpid {

using detail::chain;
using detail::chain_over;
using detail::map;
using detail::map_tiny;
using detail::Operand;
using detail::promoted;
using detail::require_defined;
using kernels::arithmetic;

namespace {

struct Binary {
  const char* name;
  Tensor (*op)(const Tensor&, const Tensor&);
  const kernels::KernelRow& f;
  bool floats = false;  ///< of integers as float32
};
// y = f(a, b) of whatever operands. True where `op` itself did it, on operands converted to another dtype: y is
// recorded then. Out of line, so that tiny ops pass by.
[[gnu::noinline]] bool map_any(Tensor& y, const Binary& binary, const Tensor& a, const Tensor& b) {
  require_defined(binary.name, a);
  require_defined(binary.name, b);
  const DType common = promote_types(a.dtype(), b.dtype());
  const DType dtype = binary.floats ? detail::floating_type(common) : common;
  y = promoted(dtype, a, b, binary.op);
  if (y.defined()) return true;
  y = map({binary.name, binary.f, dtype}, a, b);
  return false;
}

// f of a tensor and a number.
struct WithNumber {
  const char* name;
  const kernels::KernelRow& f;
  bool number_first = false;
  bool floats = false;  ///< of integers as float32
};
// y_i = f(x_i, s), or f(s, x_i), in the dtype that x and s have in common. keep(node, x, y, met) saves what N needs,
// met() being the number that f met.
template <class N, class Keep>
Tensor map_number(const WithNumber& op, const Tensor& x, Scalar s, Keep keep) {
  require_defined(op.name, x);
  const DType dtype = op.floats ? detail::floating_type(x.dtype()) : detail::promote_types(x.dtype(), s);
  const auto again = [&](const Tensor& p) { return map_number<N>(op, p, s, keep); };
  if (Tensor y = promoted(dtype, x, again); y.defined()) return y;
  const Operand number(op.name, s, dtype);
  Tensor y = op.number_first ? map({op.name, op.f, dtype}, number, x) : map({op.name, op.f, dtype}, x, number);
  if (auto* node = record<N>(y, x)) keep(*node, x, y, [&] { return detail::stored(op.name, s, dtype); });
  return y;
}
constexpr auto nothing = [](Node&, const Tensor&, const Tensor&, auto&&) {};

struct AddNode final : SymmetricNode {
  const char* name() const noexcept override { return "add"; }
  // y_i = a_i + b_i:  da = dy,  db = dy  (summed down to the operands' shapes by the engine, here and below).
  Tensors backward(const Tensors& dy) override { return {dy[0], dy[0]}; }
  bool add_to(detail::Sums& dx, Tensor& dy) override {
    const TensorImpl& g = dy.impl();
    for (std::size_t i = 0; i < 2; ++i)
      if (needs(i) && !dx.lies_like(i, g)) return false;
    if (needs(1)) detail::accumulate(dx[1], needs(0) ? dy : std::move(dy));
    if (needs(0)) detail::accumulate(dx[0], std::move(dy));
    return true;
  }
};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y = map_tiny(arithmetic().add_run, a, b);
  if (!y.defined() && map_any(y, {"add", add, arithmetic().add}, a, b)) return y;
  record<AddNode>(y, a, b);
  return y;
}

namespace {

struct ShiftNode final : SymmetricNode {
  const char* name() const noexcept override { return "add"; }
  // y_i = x_i + s for a number s:  dx = dy.
  Tensors backward(const Tensors& dy) override { return {dy[0]}; }
};

}  // namespace

Tensor add(const Tensor& a, Scalar b) { return map_number<ShiftNode>({"add", arithmetic().add}, a, b, nothing); }

namespace {

struct SubNode final : SymmetricNode {
  const char* name() const noexcept override { return "sub"; }
  // y_i = a_i - b_i:  da = dy,  db = -dy.
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? dy[0] : Tensor(), needs(1) ? neg(dy[0]) : Tensor()};
  }
};

}  // namespace

Tensor sub(const Tensor& a, const Tensor& b) {
  Tensor y = map_tiny(arithmetic().sub_run, a, b);
  if (!y.defined() && map_any(y, {"sub", sub, arithmetic().sub}, a, b)) return y;
  record<SubNode>(y, a, b);
  return y;
}

Tensor sub(const Tensor& a, Scalar b) { return map_number<ShiftNode>({"sub", arithmetic().sub}, a, b, nothing); }

namespace {

struct NegNode final : SymmetricNode {
  const char* name() const noexcept override { return "neg"; }
  // y_i = a - x_i for a number a:  dx = -dy.
  Tensors backward(const Tensors& dy) override { return {neg(dy[0])}; }
};

}  // namespace

Tensor sub(Scalar a, const Tensor& b) {
  return map_number<NegNode>({.name = "sub", .f = arithmetic().sub, .number_first = true}, b, a, nothing);
}

Tensor neg(const Tensor& x) {
  require_defined("neg", x);
  const DType dtype = x.dtype();
  if (Tensor y = promoted(dtype, x, [](const Tensor& p) { return neg(p); }); y.defined()) return y;
  Tensor y = map({"neg", arithmetic().neg, dtype}, x);
  record<NegNode>(y, x);
  return y;
}

namespace {

// sum += chain(dy, x) for tiny tensors that lie alike; in dy's memory where the sum is yet to begin and dy is `free`,
// in nobody else's hands and no longer needed. Calls come last, so that no register need be saved for what follows.
[[gnu::noinline]] void add_new_product(const kernels::ArithmeticKernels& f, Tensor& sum, const Tensor& dy,
                                       const Tensor& x) {
  detail::accumulate(sum, map_tiny(f.chain_run, dy, x));
}

void add_product(const kernels::ArithmeticKernels& f, Tensor& sum, Tensor& dy, const Tensor& x, bool free) {
  const TensorImpl &p = dy.impl(), &q = x.impl();
  if (sum.is_unique() && sum.impl().layout == p.layout) {
    std::byte* s = sum.impl().data;
    return f.add_chain_run[p.dtype](p.numel(), s, s, p.data, q.data);
  }
  if (!free || sum.defined() || !dy.is_unique()) return add_new_product(f, sum, dy, x);
  std::swap(sum, dy);
  return f.chain_run[p.dtype](p.numel(), p.data, p.data, q.data);
}

struct MulNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"};
  const char* name() const noexcept override { return "mul"; }
  // y_i = a_i b_i:  da = dy b,  db = dy a.
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? chain(dy[0], b) : Tensor(), needs(1) ? chain(dy[0], a) : Tensor()};
  }
  // dy = da b + a db.
  Tensors jvp(const Tensors& dx) override {
    if (is_grad_enabled() || !dx[0].defined() || !dx[1].defined()) return SymmetricNode::jvp(dx);
    const DType dtype = outputs()[0].dtype;
    return {map({"mul", arithmetic().mul_tangent, dtype}, dx[0], b.get(), dx[1], a.get())};
  }
  bool add_to(detail::Sums& dx, Tensor& dy) override {
    const kernels::ArithmeticKernels& f = arithmetic();
    const TensorImpl& g = dy.impl();
    if (!detail::is_tiny(g) || !f.chain_run[g.dtype]) return false;
    const auto suits = [&](std::size_t i, const Tensor* factor) {
      return !needs(i) || (factor && detail::lie_alike(g, factor->impl()) && dx.lies_like(i, g));
    };
    const Tensor *p = a.intact(), *q = b.intact();
    if (!suits(0, q) || !suits(1, p)) return false;
    if (needs(1)) add_product(f, dx[1], dy, *p, !needs(0));
    if (needs(0)) add_product(f, dx[0], dy, *q, true);
    return true;
  }
};

}  // namespace

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor y = map_tiny(arithmetic().mul_run, a, b);
  if (!y.defined() && map_any(y, {"mul", mul, arithmetic().mul}, a, b)) return y;
  if (auto* node = record<MulNode>(y, a, b)) {
    if (node->needs(0)) node->b = b;
    if (node->needs(1)) node->a = a;
  }
  return y;
}

namespace {

struct ScaleNode final : SymmetricNode {
  Scalar factor = 0;
  const char* name() const noexcept override { return "mul"; }
  // y_i = s x_i for a number s:  dx = s dy.
  Tensors backward(const Tensors& dy) override { return {chain(dy[0], factor)}; }
};

}  // namespace

Tensor mul(const Tensor& a, Scalar b) {
  return map_number<ScaleNode>({"mul", arithmetic().mul}, a, b,
                               [](ScaleNode& node, const Tensor&, const Tensor&, auto&& met) { node.factor = met(); });
}

namespace {

// -dy (y / b), the gradient of b in y = a / b.
Tensor divisor_gradient(const Tensor& dy, const Tensor& y, const Tensor& b) {
  if (is_grad_enabled()) return neg(chain(dy, div(y, b)));
  return map({"div", arithmetic().div_gradient, y.dtype()}, dy, y, b);
}

struct DivNode final : SymmetricNode {
  Saved b{*this, "b"}, y{*this, "y"};
  const char* name() const noexcept override { return "div"; }
  // y_i = a_i / b_i:  da = dy / b,  db = -dy a / b^2 = -dy (y / b).
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? chain_over(dy[0], b) : Tensor(), needs(1) ? divisor_gradient(dy[0], y, b) : Tensor()};
  }
  // dy = (da - y db) / b.
  Tensors jvp(const Tensors& dx) override {
    if (is_grad_enabled() || !dx[0].defined() || !dx[1].defined()) return SymmetricNode::jvp(dx);
    const DType dtype = outputs()[0].dtype;
    return {map({"div", arithmetic().div_tangent, dtype}, dx[0], dx[1], y.get(), b.get())};
  }
};

}  // namespace

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor y = map_tiny(arithmetic().div_run, a, b);
  if (!y.defined() && map_any(y, {"div", div, arithmetic().div, true}, a, b)) return y;
  if (auto* node = record<DivNode>(y, a, b)) {
    node->b = b;
    if (node->needs(1)) node->y = y;
  }
  return y;
}

namespace {

struct DivByNumberNode final : SymmetricNode {
  Scalar divisor = 1;
  const char* name() const noexcept override { return "div"; }
  // y_i = x_i / s for a number s:  dx = dy / s.
  Tensors backward(const Tensors& dy) override { return {chain_over(dy[0], divisor)}; }
};

}  // namespace

Tensor div(const Tensor& a, Scalar b) {
  return map_number<DivByNumberNode>(
      {.name = "div", .f = arithmetic().div, .floats = true}, a, b,
      [](DivByNumberNode& node, const Tensor&, const Tensor&, auto&& met) { node.divisor = met(); });
}

namespace {

struct DivNumberNode final : SymmetricNode {
  Saved x{*this, "x"}, y{*this, "y"};
  const char* name() const noexcept override { return "div"; }
  // y_i = s / x_i for a number s:  dx = -dy s / x^2 = -dy (y / x).
  Tensors backward(const Tensors& dy) override { return {divisor_gradient(dy[0], y, x)}; }
};

}  // namespace

Tensor div(Scalar a, const Tensor& b) {
  return map_number<DivNumberNode>({.name = "div", .f = arithmetic().div, .number_first = true, .floats = true}, b, a,
                                   [](DivNumberNode& node, const Tensor& x, const Tensor& y, auto&&) {
                                     node.x = x;
                                     node.y = y;
                                   });
}

namespace {

struct RemainderNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"}, y{*this, "y"};
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // y_i = a_i - b_i q_i for a whole q_i, a_i / b_i rounded down (fmod: towards 0), constant but for jumps:  da = dy,
  // db = -dy q.
  Tensors backward(const Tensors& dy) override { return {dy[0], needs(1) ? chain(dy[0], whole()) : Tensor()}; }

  // Of a constant there is nothing to record.
  Tensor whole() const {
    const NoGradGuard guard;
    return div(sub(y, a), b);
  }
};

struct FloorDivideNode final : SymmetricNode {
  const char* name() const noexcept override { return "floor_divide"; }
  // Constant but for jumps.
  Tensors backward(const Tensors& dy) override { return Tensors(inputs().size(), zeros_like(dy[0])); }
};

// Of integers.
void require_no_zero(const char* op, const Tensor& b) {
  if (is_floating_point(b.dtype()) || b.dtype() == bool_) return;
  const Tensor zero = eq(b, 0).contiguous();
  const bool* first = zero.data<bool>();
  if (std::find(first, first + zero.numel(), true) != first + zero.numel())
    detail::throw_error<ValueError>(op, ": expected divisors other than 0, got 0");
}

// y_i = f(a_i, b_i) for f one of those that divide. keep(node, a, b, y) saves what N needs.
template <class N, class Keep>
Tensor divide(const char* op, const kernels::KernelRow& f, const Tensor& a, const Tensor& b, Keep keep) {
  require_defined(op, a);
  require_defined(op, b);
  const DType dtype = promote_types(a.dtype(), b.dtype());
  const auto again = [&](const Tensor& p, const Tensor& q) { return divide<N>(op, f, p, q, keep); };
  if (Tensor y = promoted(dtype, a, b, again); y.defined()) return y;
  require_no_zero(op, b);
  Tensor y = map({op, f, dtype}, a, b);
  if (auto* node = record<N>(y, a, b)) keep(*node, a, b, y);
  return y;
}
Tensor remainder_of(const char* op, const kernels::KernelRow& f, const Tensor& a, const Tensor& b) {
  return divide<RemainderNode>(op, f, a, b,
                               [op](RemainderNode& node, const Tensor& p, const Tensor& q, const Tensor& y) {
                                 node.op = op;
                                 if (!node.needs(1)) return;
                                 node.a = p;
                                 node.b = q;
                                 node.y = y;
                               });
}
template <class N>
Tensor divide_number(const char* op, const kernels::KernelRow& f, const Tensor& a, Scalar b) {
  require_defined(op, a);
  if (!is_floating_point(detail::promote_types(a.dtype(), b)) && b.to_int64() == 0)
    detail::throw_error<ValueError>(op, ": expected a divisor other than 0, got 0");
  return map_number<N>({op, f}, a, b, nothing);
}

}  // namespace

Tensor remainder(const Tensor& a, const Tensor& b) { return remainder_of("remainder", arithmetic().remainder, a, b); }
Tensor remainder(const Tensor& a, Scalar b) {
  return divide_number<ShiftNode>("remainder", arithmetic().remainder, a, b);
}
Tensor fmod(const Tensor& a, const Tensor& b) { return remainder_of("fmod", arithmetic().fmod, a, b); }
Tensor fmod(const Tensor& a, Scalar b) { return divide_number<ShiftNode>("fmod", arithmetic().fmod, a, b); }
Tensor floor_divide(const Tensor& a, const Tensor& b) {
  return divide<FloorDivideNode>("floor_divide", arithmetic().floor_divide, a, b, [](auto&&...) {});
}
Tensor floor_divide(const Tensor& a, Scalar b) {
  return divide_number<FloorDivideNode>("floor_divide", arithmetic().floor_divide, a, b);
}

namespace {

// The derivatives of a^b. By a: b a^(b - 1); 0 for b = 0.
Tensor pow_slope(const Tensor& a, const Tensor& b);
// By b, of y = a^b: y log a; 0 at a = 0, b >= 0, and wherever y is 0.
Tensor pow_slope_by_exponent(const Tensor& a, const Tensor& b, const Tensor& y);
// By both: p (1 + b log a) with p = a^(b - 1); 0 wherever p is. At a = b = 0, a 1 stands in for a.
Tensor pow_slope_by_both(const Tensor& a, const Tensor& b) {
  const Tensor base = where(logical_and(eq(a, 0), eq(b, 0)), 1, a), p = pow(base, sub(b, 1));
  return chain(p, add(chain(b, log(where(eq(p, 0), 1, base))), 1));
}

struct PowSlopeNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"}, z{*this, "z"};
  const char* name() const noexcept override { return "pow"; }
  // z_i = b_i a_i^(b_i - 1):  d(a) = dz b (b - 1) a^(b - 2) = dz b z(a, b - 1) = (b - 1) z / a, the latter where b - 1
  // would be rounded.
  Tensors backward(const Tensors& dz) override {
    Tensor da;
    if (needs(0)) {
      const Tensor whole = logical_or(ge(b, 1.5), logical_or(eq(a, 0), logical_not(isfinite(a)))), e = sub(b, 1);
      da = chain(dz[0], where(whole, chain(b, pow_slope(a, e)), chain_over(chain(e, z), a)));
    }
    return {da, needs(1) ? chain(dz[0], pow_slope_by_both(a, b)) : Tensor()};
  }
};

Tensor pow_slope(const Tensor& a, const Tensor& b) {
  Tensor z = map({"pow", arithmetic().pow_slope, a.dtype()}, a, b);
  if (auto* node = record<PowSlopeNode>(z, a, b)) {
    node->a = a;
    node->b = b;
    node->z = z;
  }
  return z;
}

// log a, but 0 where its infinity or NaN has to count for nothing.
Tensor log_of_base(const Tensor& a, const Tensor& b, const Tensor& y) {
  return log(where(logical_or(eq(y, 0), logical_and(eq(a, 0), ge(b, 0))), 1, a));
}

struct PowSlopeByExponentNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"}, y{*this, "y"};
  const char* name() const noexcept override { return "pow"; }
  // z_i = y_i log a_i for y = a^b:  d(a) as above;  d(b) = dz z log a.
  Tensors backward(const Tensors& dz) override {
    return {needs(0) ? chain(dz[0], pow_slope_by_both(a, b)) : Tensor(),
            needs(1) ? chain(dz[0], mul(pow_slope_by_exponent(a, b, y), log_of_base(a, b, y))) : Tensor()};
  }
};

Tensor pow_slope_by_exponent(const Tensor& a, const Tensor& b, const Tensor& y) {
  Tensor z = [&] {
    const NoGradGuard guard;
    return mul(y, log_of_base(a, b, y));
  }();
  if (auto* node = record<PowSlopeByExponentNode>(z, a, b)) {
    node->a = a;
    node->b = b;
    node->y = y;
  }
  return z;
}

struct PowNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"}, y{*this, "y"};
  const char* name() const noexcept override { return "pow"; }
  // y_i = a_i^b_i:  da = dy b a^(b-1), but 0 at a = b = 0;  db = dy y log a, but 0 at a = 0, b >= 0.
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? chain(dy[0], pow_slope(a, b)) : Tensor(),
            needs(1) ? chain(dy[0], pow_slope_by_exponent(a, b, y)) : Tensor()};
  }
};

[[noreturn]] void refuse_exponent(int64_t b) {
  detail::throw_error<ValueError>("pow: expected exponents of at least 0 for integers, got ", b);
}
// Of integers: most powers below 0 are none.
void require_integer_powers(const Tensor& b) {
  const Tensor e = detail::as_contiguous(detail::as_dtype(b, int64));
  const int64_t* first = e.data<int64_t>();
  const int64_t* found = std::find_if(first, first + e.numel(), [](int64_t i) { return i < 0; });
  if (found != first + e.numel()) refuse_exponent(*found);
}

}  // namespace

Tensor pow(const Tensor& a, const Tensor& b) {
  require_defined("pow", a);
  require_defined("pow", b);
  const DType dtype = promote_types(a.dtype(), b.dtype());
  if (Tensor y = promoted(dtype, a, b, [](const Tensor& p, const Tensor& q) { return pow(p, q); }); y.defined())
    return y;
  if (!is_floating_point(dtype)) require_integer_powers(b);
  Tensor y = map({"pow", arithmetic().pow, dtype}, a, b);
  if (auto* node = record<PowNode>(y, a, b)) {
    node->a = a;
    node->b = b;
    if (node->needs(1)) node->y = y;
  }
  return y;
}

namespace {

struct PowNumberNode final : SymmetricNode {
  Saved x{*this, "x"};
  double exponent = 0;
  const char* name() const noexcept override { return "pow"; }
  // y_i = x_i^s for a number s:  dx = dy s x^(s-1), but 0 for s = 0. From 1/2 on s - 1 is exact.
  Tensors backward(const Tensors& dy) override {
    const DType dtype = dy[0].dtype();
    if (exponent >= 0.5) return {chain(dy[0], mul(pow(x, exponent - 1), exponent))};
    return {chain(dy[0], pow_slope(x, full({}, exponent, dtype)))};
  }
};

}  // namespace

Tensor pow(const Tensor& a, Scalar b) {
  require_defined("pow", a);
  if (b.to_double() < 0 && !is_floating_point(detail::promote_types(a.dtype(), b))) refuse_exponent(b.to_int64());
  if (b.to_double() == 2) return square(a.to(detail::promote_types(a.dtype(), b)));
  return map_number<PowNumberNode>({"pow", arithmetic().pow}, a, b,
                                   [](PowNumberNode& node, const Tensor& x, const Tensor&, auto&& met) {
                                     node.x = x;
                                     node.exponent = met().to_double();
                                   });
}

namespace {

struct ExponentialNode final : SymmetricNode {
  Saved y{*this, "y"};
  double base = 1;
  const char* name() const noexcept override { return "pow"; }
  // y_i = s^x_i for a number s:  dx = dy y log s, but 0 where s = 0 and y is finite, and where y = 0.
  Tensors backward(const Tensors& dy) override {
    if (base == 0) return {chain(dy[0], where(isfinite(y), 0, -y.get()))};
    // That of a base below 0 is NaN, which is no exception where y is 0.
    const double log_base = base < 0 ? std::numeric_limits<double>::quiet_NaN() : std::log(base);
    return {chain(dy[0], chain(y, log_base))};
  }
};

}  // namespace

Tensor pow(Scalar a, const Tensor& b) {
  require_defined("pow", b);
  if (!is_floating_point(detail::promote_types(b.dtype(), a))) require_integer_powers(b);
  return map_number<ExponentialNode>({.name = "pow", .f = arithmetic().pow, .number_first = true}, b, a,
                                     [](ExponentialNode& node, const Tensor&, const Tensor& y, auto&& met) {
                                       node.y = y;
                                       node.base = met().to_double();
                                     });
}

namespace {

// What of dy goes to a, where a and b were compared. Linear in dy; a and b alone decide, and get none.
Tensor share(const Tensor& dy, const Tensor& a, const Tensor& b, bool largest, const char* op);

struct ShareNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"};
  bool largest = true;
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // z_i = w_i dy_i for w_i of 0, 1/2 or 1:  d(dy)_i = w_i dz_i.
  Tensors backward(const Tensors& dz) override { return {share(dz[0], a, b, largest, op)}; }
};

Tensor share(const Tensor& dy, const Tensor& a, const Tensor& b, bool largest, const char* op) {
  const kernels::KernelRow& f = largest ? arithmetic().maximum_gradient : arithmetic().minimum_gradient;
  Tensor z = map({op, f, a.dtype()}, dy, a, b);
  if (auto* node = record_as<ShareNode>(op, z, dy)) {
    node->a = a;
    node->b = b;
    node->largest = largest;
  }
  return z;
}

struct ExtremumNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"};
  bool largest = true;
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // y_i = the larger (smaller) of a_i and b_i:  dy_i goes to it; half to each where a_i = b_i; to the one that is NaN.
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? share(dy[0], a, b, largest, op) : Tensor(),
            needs(1) ? share(dy[0], b, a, largest, op) : Tensor()};
  }
  // dy_i = that of the larger (smaller) of the two, or half of both.
  Tensors jvp(const Tensors& dx) override {
    if (is_grad_enabled() || !dx[0].defined() || !dx[1].defined()) return SymmetricNode::jvp(dx);
    const kernels::KernelRow& f = largest ? arithmetic().maximum_tangent : arithmetic().minimum_tangent;
    return {map({op, f, outputs()[0].dtype}, dx[0], dx[1], a.get(), b.get())};
  }
};

Tensor extremum(const char* op, const kernels::KernelRow& f, bool largest, const Tensor& a, const Tensor& b) {
  require_defined(op, a);
  require_defined(op, b);
  const DType dtype = promote_types(a.dtype(), b.dtype());
  const auto again = [&](const Tensor& p, const Tensor& q) { return extremum(op, f, largest, p, q); };
  if (Tensor y = promoted(dtype, a, b, again); y.defined()) return y;
  Tensor y = map({op, f, dtype}, a, b);
  if (auto* node = record_as<ExtremumNode>(op, y, a, b)) {
    node->a = a;
    node->b = b;
    node->largest = largest;
  }
  return y;
}

}  // namespace

Tensor maximum(const Tensor& a, const Tensor& b) { return extremum("maximum", arithmetic().maximum, true, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return extremum("minimum", arithmetic().minimum, false, a, b); }

}  // namespace limpid
