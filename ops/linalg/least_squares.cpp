// The pseudo-inverse and least squares, both by singular values, which tell the rank.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/linalg.hpp>
#include <limpid/ops/linalg/detail/matrices.hpp>
#include <limpid/ops/linalg/detail/plain_svd.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>

#include <algorithm>
#include <limits>

namespace limpid {

using detail::throw_error;
using detail::transposed;
namespace ranges = detail::ranges;

namespace {

// Up to which part of the largest a singular value is rounding.
double rounding_of(const Tensor& a) {
  const double eps =
      a.dtype() == float64 ? std::numeric_limits<double>::epsilon() : double{std::numeric_limits<float>::epsilon()};
  return eps * static_cast<double>(std::max(a.size(-1), a.size(-2)));
}

// Which of the values s (..., k), descending, are above this part of the largest.
Tensor counted(const Tensor& s, double least) {
  if (s.size(-1) == 0) return empty(s.shape(), bool_);
  return logical_and(gt(s, mul(slice(s, -1, 0, 1), least)), gt(s, 0));
}

// 1 / s of those, else 0.
Tensor reciprocals(const Tensor& s, const Tensor& is_counted) {
  return where(is_counted, div(1, where(is_counted, s, 1)), 0);
}

struct PinvNode final : Node {
  Saved a{*this, "a"}, p{*this, "the pseudo-inverse"};
  Tensor is_cut;  // whether more than rounding was
  const char* name() const noexcept override { return "linalg::pinv"; }
  // At constant rank (Golub and Pereyra, 1973)
  //   dp = -p da p + p p^T da^T (1 - a p) + (1 - p a) da^T p^T p
  // so da = -p^T g p^T + (1 - a p) g^T p p^T + p^T p g^T (1 - p a) for g = dp's gradient.
  Tensors backward(const Tensors& dy) override {
    for (int64_t i = 0; is_cut.defined() && i < is_cut.numel(); ++i)
      if (is_cut.data<bool>()[i])
        throw_error<AutogradError>(
            "linalg::pinv: expected an rtol that cuts no more than rounding for a gradient, got "
            "one that cuts singular values above it",
            detail::place_of(is_cut.shape(), i));
    const Tensor x = a, y = p, t = transposed(y), g = transposed(dy[0]);
    Tensor da = neg(matmul(matmul(t, dy[0]), t));
    const Tensor gpp = matmul(matmul(g, y), t), ppg = matmul(matmul(t, y), g);
    da = add(da, sub(gpp, matmul(x, matmul(y, gpp))));
    return {add(da, sub(ppg, matmul(matmul(ppg, y), x)))};
  }
};

struct LeastSquaresNode final : Node {
  Saved a{*this, "a"}, b{*this, "b"}, x{*this, "the solution"};
  Tensor is_full;
  const char* name() const noexcept override { return "linalg::lstsq"; }
  // x = p b for the pseudo-inverse p, whose derivative PinvNode has. With u = p^T dx, r = b - a x, which is 0 at full
  // row rank, and z = dx - a^T u, which is 0 at full column rank:
  //   db = u,  da = -u x^T + r (p u)^T + (p^T x) z^T
  Tensors backward(const Tensors& dy) override {
    for (int64_t i = 0; i < is_full.numel(); ++i)
      if (!is_full.data<bool>()[i])
        throw_error<AutogradError>("linalg::lstsq: expected matrices of full rank for a gradient, got one of less",
                                   detail::place_of(is_full.shape(), i));
    const Tensor m = a, right = b, y = x, p = linalg::pinv(m, 0), u = matmul(transposed(p), dy[0]);
    if (!needs(0)) return {Tensor(), u};
    const Tensor rest = sub(right, matmul(m, y)), z = sub(dy[0], matmul(transposed(m), u));
    const Tensor da = add(matmul(rest, transposed(matmul(p, u))), matmul(matmul(transposed(p), y), transposed(z)));
    return {sub(da, matmul(u, transposed(y))), u};
  }
};

}  // namespace

Tensor linalg::pinv(const Tensor& a, std::optional<double> rtol) {
  constexpr const char* op = "linalg::pinv";
  const detail::OpScope scope(op);
  detail::require_matrices(op, "a", a);
  ranges::expect(op, {{"rtol", rtol, ranges::finite_at_least_0}});
  Tensor p, is_cut;
  {
    const NoGradGuard no_grad;
    const Svd parts = detail::plain_svd(op, a);
    const double rounding = rounding_of(a);
    const Tensor is_counted = counted(parts.s, rtol.value_or(rounding));
    p = matmul(transposed(parts.vh), mul(unsqueeze(reciprocals(parts.s, is_counted), -1), transposed(parts.u)));
    if (rtol && *rtol > rounding) is_cut = any(ne(counted(parts.s, rounding), is_counted), {-1}).contiguous();
  }
  if (auto* node = record<PinvNode>(p, a)) {
    node->a = a;
    node->p = p;
    node->is_cut = is_cut;
  }
  return p;
}

linalg::LeastSquares linalg::lstsq(const Tensor& a, const Tensor& b, std::optional<double> rcond) {
  constexpr const char* op = "linalg::lstsq";
  const detail::OpScope scope(op);
  detail::require_matrices(op, "a", a);
  const Tensor right = detail::right_side(op, a.size(-2), a, b);
  ranges::expect(op, {{"rcond", rcond, ranges::finite_at_least_0}});
  Tensor x, rank, s, is_full;
  {
    const NoGradGuard no_grad;
    const Svd parts = detail::plain_svd(op, a);
    s = parts.s;
    const Tensor is_counted = counted(s, rcond.value_or(rounding_of(a)));
    rank = sum(is_counted, {-1});
    is_full = eq(rank, std::min(a.size(-1), a.size(-2))).contiguous();
    const Tensor parts_of_b = matmul(transposed(parts.u), right.detach());
    x = matmul(transposed(parts.vh), mul(unsqueeze(reciprocals(s, is_counted), -1), parts_of_b));
  }
  if (auto* node = record<LeastSquaresNode>(x, a, right)) {
    node->a = a;
    node->b = right;
    node->x = x;
    node->is_full = is_full;
  }
  const Tensor residuals = sum(square(sub(right, matmul(a, x))), {-2});
  return {detail::like_right_side(x, b), b.dim() == 1 ? squeeze(residuals, -1) : residuals, std::move(rank),
          std::move(s)};
}

}  // namespace limpid
