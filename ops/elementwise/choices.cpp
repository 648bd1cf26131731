// Comparisons, choices and logic.
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::compute_type;
using detail::infinity;
using detail::map;
using detail::Operand;
using detail::require_defined;
using kernels::arithmetic;
using kernels::KernelRow;

namespace {

// The largest finite number of a floating dtype.
double largest_of(DType dtype) {
  return visit_dtype(dtype, []<class T>(T) -> double {
    if constexpr (std::is_same_v<T, Half>)
      return 65504;
    else if constexpr (std::is_same_v<T, BFloat16>)
      return 0x1.fep127;
    else
      return static_cast<double>(std::numeric_limits<T>::max());
  });
}

Tensor compare(const char* op, const KernelRow& f, const Tensor& a, const Tensor& b) {
  require_defined(op, a);
  require_defined(op, b);
  const auto is_wide = [](const Tensor& x) { return x.dtype() == int32 || x.dtype() == int64; };
  const DType common = promote_types(a.dtype(), b.dtype());
  const bool mixed = is_floating_point(common) && (is_wide(a) || is_wide(b));
  const DType dtype = mixed ? float64 : compute_type(common);
  return map({op, f, dtype, bool_}, a.to(dtype), b.to(dtype));
}

// A comparison with a number that no element is like is as true of the next element above or below it; that of being
// equal, as of NaN.
enum class Beside { above, below, neither };

// A number as tensors of a dtype meet it: in a dtype that both have.
struct Met {
  DType dtype;
  Scalar number;
};

// As an element of dtype; but where that would make it infinite or 0, which it is not, as what lies beside it.
Met meet_float(const char* op, DType dtype, Scalar b, Beside beside) {
  const DType compute = compute_type(dtype);
  const double held = detail::saturated(op, b, dtype).to_double(), value = b.to_double();
  const bool is_lost = std::isinf(held) ? std::isfinite(value) : held == 0 && value != 0;
  if (!is_lost) return {compute, held};
  if (beside == Beside::neither) return {compute, std::numeric_limits<double>::quiet_NaN()};
  return detail::visit_float(compute, [&]<class T>(T) -> Met {
    using Limits = std::numeric_limits<T>;
    const bool is_negative = value < 0, is_far = is_negative == (beside == Beside::below);  // from 0
    const T size = held == 0 ? (is_far ? Limits::denorm_min() : T{}) : is_far ? Limits::infinity() : Limits::max();
    return {compute, is_negative ? -size : size};
  });
}

// Exact.
Met meet_integer(DType dtype, Scalar b) {
  if (b.is_bool()) return {dtype, b};
  constexpr double end = 0x1p63;
  const double value = b.to_double();
  if (b.is_int64()) return {int64, b.to_int64()};
  if (value >= end || value < -end) return {float64, std::copysign(infinity, value)};
  return {float64, b};  // a fraction or NaN, which no rounded integer is taken for
}

Tensor compare(const char* op, const KernelRow& f, const Tensor& a, Scalar b, Beside beside = Beside::neither) {
  require_defined(op, a);
  const DType of = a.dtype();
  const auto [dtype, number] = is_floating_point(of) ? meet_float(op, of, b, beside) : meet_integer(of, b);
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
Tensor lt(const Tensor& a, Scalar b) { return compare("lt", arithmetic().lt, a, b, Beside::above); }
Tensor le(const Tensor& a, Scalar b) { return compare("le", arithmetic().le, a, b, Beside::below); }
Tensor gt(const Tensor& a, Scalar b) { return compare("gt", arithmetic().gt, a, b, Beside::below); }
Tensor ge(const Tensor& a, Scalar b) { return compare("ge", arithmetic().ge, a, b, Beside::above); }
// clang-format on

Tensor isnan(const Tensor& x) { return compare("isnan", arithmetic().ne, x, x); }

Tensor isfinite(const Tensor& x) {
  require_defined("isfinite", x);
  const DType dtype = compute_type(detail::floating_type(x.dtype()));
  return map({"isfinite", arithmetic().isfinite, dtype, bool_}, x.to(dtype));
}

Tensor isinf(const Tensor& x) {
  require_defined("isinf", x);
  return is_floating_point(x.dtype()) ? eq(abs(x), infinity) : zeros(x.shape(), bool_);
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

void require_bool(const char* op, const Tensor& x) {
  require_defined(op, x);
  if (x.dtype() != bool_)
    detail::throw_error<DTypeError>(op, ": expected operands of dtype bool, got ", x.dtype(),
                                    "; of numbers, compare them first");
}

}  // namespace

Tensor operator&(const Tensor& a, const Tensor& b) {
  require_bool("operator&", a);
  require_bool("operator&", b);
  return logical_and(a, b);
}
Tensor operator|(const Tensor& a, const Tensor& b) {
  require_bool("operator|", a);
  require_bool("operator|", b);
  return logical_or(a, b);
}
Tensor operator~(const Tensor& x) {
  require_bool("operator~", x);
  return logical_not(x);
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
Tensor where(const Tensor& condition, Scalar a, Scalar b) {
  require_condition(condition);
  const DType dtype = detail::promote_types(detail::promote_types(bool_, a), b);
  return map({"where", arithmetic().where, dtype}, condition, Operand("where", a, dtype), Operand("where", b, dtype));
}

Tensor nan_to_num(const Tensor& x, double nan, std::optional<double> posinf, std::optional<double> neginf) {
  require_defined("nan_to_num", x);
  if (!is_floating_point(x.dtype())) return x;
  const double largest = largest_of(x.dtype());
  for (const double number : {nan, posinf.value_or(0), neginf.value_or(0)})
    detail::stored("nan_to_num", number, x.dtype());  // which refuses it by name
  const Tensor y = where(isnan(x), nan, x), z = where(eq(x, infinity), posinf.value_or(largest), y);
  return where(eq(x, -infinity), neginf.value_or(-largest), z);
}

namespace {

struct ClampNode final : SymmetricNode {
  Saved x{*this, "x"};
  Scalar low = 0, high = 0;
  const char* name() const noexcept override { return "clamp"; }
  // y_i = min(max(x_i, low), high):  dx_i = dy_i where low <= x_i <= high or x_i is NaN, as y_i then is, else 0.
  Tensors backward(const Tensors& dy) override {
    const DType dtype = x.peek().dtype();
    if (!is_grad_enabled())
      return {detail::map({name(), arithmetic().clamp_gradient, dtype}, dy[0], x.get(),
                          detail::Operand(name(), low, dtype), detail::Operand(name(), high, dtype))};
    return {where(logical_or(lt(x, low), gt(x, high)), 0, dy[0])};
  }
};

// Whether a <= b, exactly; false of NaN.
bool are_ordered(Scalar a, Scalar b) {
  const double x = a.to_double(), y = b.to_double();
  if (x != y || (a.is_floating() && b.is_floating())) return x <= y;
  return detail::whole_of(a) <= detail::whole_of(b);  // one is an integer, which may have been rounded to the other
}

Tensor clamped(const char* op, const Tensor& x, Scalar low, Scalar high) {
  detail::require_defined(op, x);
  const bool whole = !is_floating_point(x.dtype());
  // Integers within [0.5, 2.5] are those within [1, 2].
  const Scalar first = whole && low.is_floating() ? std::ceil(low.to_double()) : low;
  const Scalar last = whole && high.is_floating() ? std::floor(high.to_double()) : high;
  if (!are_ordered(low, high))
    detail::throw_error<ValueError>(op, ": expected low <= high, got ", detail::text_of(low), " and ",
                                    detail::text_of(high));
  // As the elements are, which they may become: float32 has no 1e300.
  const Scalar least = detail::saturated(op, first, x.dtype()), most = detail::saturated(op, last, x.dtype());
  if (whole ? !(are_ordered(first, last) && are_ordered(first, least) && are_ordered(most, last))
            : std::isinf(least.to_double()) && least.to_double() == most.to_double() &&
                  std::isfinite(low.to_double()) && std::isfinite(high.to_double()))
    detail::throw_error<ValueError>(op, ": expected bounds between which ", x.dtype(), " has a number, got ",
                                    detail::text_of(low), " and ", detail::text_of(high));
  if (Tensor y = detail::promoted(x.dtype(), x, [&](const Tensor& p) { return clamped(op, p, least, most); });
      y.defined())
    return y;
  Tensor y = detail::map({op, arithmetic().clamp, x.dtype()}, x, detail::Operand(op, least, x.dtype()),
                         detail::Operand(op, most, x.dtype()));
  if (auto* node = record<ClampNode>(y, x)) {
    node->x = x;
    node->low = least;
    node->high = most;
  }
  return y;
}

// x, or bound where x is beyond it; NaN of either stays.
Tensor bounded(const char* op, Tensor (*within)(const Tensor&, const Tensor&), const Tensor& x, const Tensor& bound) {
  require_defined(op, x);
  require_defined(op, bound);
  broadcast_shapes(x.shape(), bound.shape(), op);  // whose message names op
  return where(logical_or(within(x, bound), isnan(x)), x, bound);
}

}  // namespace

Tensor clamp(const Tensor& x, Scalar low, Scalar high) { return clamped("clamp", x, low, high); }
Tensor clamp(const Tensor& x, const Tensor& low, const Tensor& high) {
  require_defined("clamp", high);
  return bounded("clamp", le, bounded("clamp", ge, x, low), high);
}
Tensor clamp_min(const Tensor& x, const Tensor& low) { return bounded("clamp_min", ge, x, low); }
Tensor clamp_max(const Tensor& x, const Tensor& high) { return bounded("clamp_max", le, x, high); }
Tensor clamp_min(const Tensor& x, Scalar low) { return clamped("clamp_min", x, low, infinity); }
Tensor clamp_max(const Tensor& x, Scalar high) { return clamped("clamp_max", x, -infinity, high); }

}  // namespace limpid
