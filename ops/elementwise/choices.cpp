// Comparisons, choices and logic.
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::compute_type;
using detail::map;
using detail::Operand;
using detail::require_defined;
using kernels::arithmetic;
using kernels::KernelRow;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor compare(const char* op, const KernelRow& f, const Tensor& a, const Tensor& b) {
  require_defined(op, a);
  require_defined(op, b);
  const DType dtype = compute_type(promote_types(a.dtype(), b.dtype()));
  return map({op, f, dtype, bool_}, a.to(dtype), b.to(dtype));
}

// A number as tensors of a dtype meet it: in a dtype that both have. Exact where the tensor's is an integer; a float
// tensor rounds the number.
struct Met {
  DType dtype;
  Scalar number;
};
Met meet(DType dtype, Scalar b) {
  const double value = b.to_double();
  if (is_floating_point(dtype)) {
    // What float32 would round to infinity is less than that, as float64 tells.
    const DType compute = compute_type(dtype);
    const bool beyond = compute == float32 && std::isinf(static_cast<float>(value)) && std::isfinite(value);
    return {beyond ? float64 : compute, b};
  }
  if (b.is_bool()) return {dtype, b};
  constexpr double end = 0x1p63;
  if (b.is_floating() ? value >= end || value < -end : !b.fits()) return {float64, std::copysign(infinity, value)};
  if (!b.is_floating() || std::trunc(value) == value) return {int64, b.to_int64()};
  return {float64, b};  // a fraction or NaN, which no rounded integer is taken for
}

Tensor compare(const char* op, const KernelRow& f, const Tensor& a, Scalar b) {
  require_defined(op, a);
  const auto [dtype, number] = meet(a.dtype(), b);
  return map({op, f, dtype, bool_}, a.to(dtype), Operand(op, number, dtype));
}

}  // namespace

// clang-format off
Tensor eq(const Tensor& a, const Tensor& b) { return compare("eq", arithmetic().eq, a, b); }
Tensor ne(const Tensor& a, const Tensor& b) { return compare("ne", arithmetic().ne, a, b); }
Tensor lt(const Tensor& a, const Tensor& b) { return compare("lt", arithmetic().lt, a, b); }
Tensor le(const Tensor& a, const Tensor& b) { return compare("le", arithmetic().le, a, b); }
Tensor gt(const Tensor& a, const Tensor& b) { return compare("gt", arithmetic().gt, a, b); }
Tensor ge(const Tensor& a, const Tensor& b) { return compare("ge", arithmetic().ge, a, b); }
Tensor eq(const Tensor& a, Scalar b) { return compare("eq", arithmetic().eq, a, b); }
Tensor ne(const Tensor& a, Scalar b) { return compare("ne", arithmetic().ne, a, b); }
Tensor lt(const Tensor& a, Scalar b) { return compare("lt", arithmetic().lt, a, b); }
Tensor le(const Tensor& a, Scalar b) { return compare("le", arithmetic().le, a, b); }
Tensor gt(const Tensor& a, Scalar b) { return compare("gt", arithmetic().gt, a, b); }
Tensor ge(const Tensor& a, Scalar b) { return compare("ge", arithmetic().ge, a, b); }
// clang-format on

Tensor isnan(const Tensor& x) { return compare("isnan", arithmetic().ne, x, x); }

Tensor isfinite(const Tensor& x) {
  require_defined("isfinite", x);
  const DType dtype = compute_type(detail::floating_type(x.dtype()));
  return map({"isfinite", arithmetic().isfinite, dtype, bool_}, x.to(dtype));
}

Tensor logical_not(const Tensor& x) { return compare("logical_not", arithmetic().eq, x, false); }

// On bool, + is or and * is and.
Tensor logical_and(const Tensor& a, const Tensor& b) {
  require_defined("logical_and", a);
  require_defined("logical_and", b);
  return map({"logical_and", arithmetic().mul, bool_}, a.to(bool_), b.to(bool_));
}

Tensor logical_or(const Tensor& a, const Tensor& b) {
  require_defined("logical_or", a);
  require_defined("logical_or", b);
  return map({"logical_or", arithmetic().add, bool_}, a.to(bool_), b.to(bool_));
}

namespace {

struct WhereNode final : SymmetricNode {
  Saved condition{*this, "condition"};
  const char* name() const noexcept override { return "where"; }
  // y_i = a_i where c_i, else b_i:  da_i = dy_i [c_i],  db_i = dy_i [not c_i].
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? where(condition, dy[0], 0) : Tensor(), needs(1) ? where(condition, 0, dy[0]) : Tensor()};
  }
  // dy_i = da_i where c_i, else db_i.
  Tensors jvp(const Tensors& dx) override {
    return dx[0].defined() && dx[1].defined() ? Tensors{where(condition, dx[0], dx[1])} : SymmetricNode::jvp(dx);
  }
};

void require_condition(const Tensor& condition) {
  require_defined("where", condition);
  if (condition.dtype() != bool_)
    detail::throw_error<DTypeError>("where: expected a condition of dtype bool, got ", condition.dtype());
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  require_condition(condition);
  require_defined("where", a);
  require_defined("where", b);
  const DType dtype = promote_types(a.dtype(), b.dtype());
  if (a.dtype() != b.dtype()) return where(condition, a.to(dtype), b.to(dtype));
  Tensor y = map({"where", arithmetic().where, dtype}, condition, a, b);
  if (auto* node = record<WhereNode>(y, a, b)) node->condition = condition;
  return y;
}

namespace {

struct WhereNumberNode final : SymmetricNode {
  Saved condition{*this, "condition"};
  bool where_true = true;
  const char* name() const noexcept override { return "where"; }
  // y_i = x_i where c_i holds (or does not), else a number:  dx_i = dy_i there, else 0.
  Tensors backward(const Tensors& dy) override {
    return {where_true ? where(condition, dy[0], 0) : where(condition, 0, dy[0])};
  }
};

Tensor where_number(const Tensor& condition, const Tensor& x, Scalar number, bool where_true) {
  require_condition(condition);
  require_defined("where", x);
  const DType dtype = detail::promote_types(x.dtype(), number);
  const Tensor z = x.to(dtype);
  const Operand other("where", number, dtype);
  Tensor y = where_true ? map({"where", arithmetic().where, dtype}, condition, z, other)
                        : map({"where", arithmetic().where, dtype}, condition, other, z);
  if (auto* node = record<WhereNumberNode>(y, z)) {
    node->condition = condition;
    node->where_true = where_true;
  }
  return y;
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, Scalar b) { return where_number(condition, a, b, true); }
Tensor where(const Tensor& condition, Scalar a, const Tensor& b) { return where_number(condition, b, a, false); }

}  // namespace limpid
