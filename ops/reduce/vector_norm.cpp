// The p-norm of vectors.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/reduce/detail/reduction_node.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::chain;
using detail::chain_over;
using detail::reduced_shape;
using detail::ReductionNode;
using detail::throw_error;

namespace {

double smallest(DType dtype) {
  return dtype == float32 ? double{std::numeric_limits<float>::min()} : std::numeric_limits<double>::min();
}

// Whether every quotient a / b, and b, is normal, or a 0: none left the range, or was rounded more than once.
bool all_normal(const Tensor& quotient, const Tensor& a, const Tensor& b) {
  const Tensor q = detail::as_contiguous(quotient), p = detail::as_contiguous(a), d = detail::as_contiguous(b);
  return detail::visit_float(q.dtype(), [&]<class T>(T) {
    const T *qs = q.data<T>(), *ps = p.data<T>(), *ds = d.data<T>();
    bool normal = true;
    for (int64_t i = 0; i < q.numel(); ++i) normal &= ps[i] == 0 || (std::isnormal(qs[i]) && std::isnormal(ds[i]));
    return normal;
  });
}

struct VectorNormNode final : ReductionNode {
  Saved x{*this, "x"}, y{*this, "y"};
  double p = 2;
  const char* name() const noexcept override { return "vector_norm"; }
  // y_k = (sum_r |x_kr|^p)^(1/p) over reduced r:  dx_kr = dy_k sign(x_kr) (|x_kr| / y_k)^(p-1), for p = 2 dy_k x_kr /
  // y_k; 0 where y_k or x_kr is 0. Zeros are replaced before a division or a power sees them, so that neither this line
  // nor its derivatives meet an infinity there.
  Tensors backward(const Tensors& dy) override {
    const Tensor a = x, length = kept(y), none = eq(length, 0);
    const Tensor g = where(none, 0, kept(dy[0])), safe = where(none, 1, length);
    if (p == 2) {
      // One division per slice, where dy_k / y_k stays in range.
      const auto by_slices = [&] {
        const NoGradGuard off;
        const Tensor ratio = chain_over(g, safe);
        return all_normal(ratio, g, safe) ? chain(ratio, a) : Tensor();
      };
      const Tensor quick = by_slices();
      if (quick.defined() && !is_grad_enabled()) return {quick};
      // What is differentiated again is dy_k times x_kr / y_k, for the derivatives of dy_k / y_k, of the size of
      // 1 / y_k^2, would leave the range where those of the whole do not. Its bits are those of the other.
      const Tensor dx = chain(g, direction());
      if (quick.defined()) detail::copy_into(dx, quick);
      return {dx};
    }
    const Tensor size = where(eq(a, 0), 1, abs(a));
    return {chain(chain(g, sign(a)), pow(div(size, safe), p - 1))};
  }
  // For p = 2 dy_k = sum_r (x_kr / y_k) dx_kr, divided first, lest a product leave the range; 0 where y_k is.
  Tensors jvp(const Tensors& dx) override {
    if (p != 2) return ReductionNode::jvp(dx);
    return {reshape(sum(chain(dx[0], direction()), axes), outputs()[0].shape())};
  }

  // x_kr / y_k, 0 where y_k is. A subnormal y_k has few digits: of such slices the norm is formed anew, of larger x.
  Tensor direction() const {
    const auto without_zeros = [](const Tensor& length) { return where(eq(length, 0), 1, length); };
    const Tensor safe = without_zeros(kept(y)), few = lt(safe, smallest(safe.dtype()));
    if (!any(few).item<bool>()) return div(x, safe);
    const Tensor large = full({}, safe.dtype() == float32 ? 0x1p100 : 0x1p900, safe.dtype());
    const Tensor scaled = mul(x, where(few, large, 1));
    return div(scaled, without_zeros(vector_norm(scaled, 2, axes, true)));
  }
};

// With the largest element divided out no power leaves the range.
Tensor scaled_norm(const Tensor& x, const Axes& over, bool keepdims, double p) {
  const Tensor size = abs(x), largest = amax(size, over, true);
  const Tensor scale = where(logical_and(gt(largest, 0), isfinite(largest)), largest, 1);
  const Tensor y = mul(pow(sum(pow(div(size, scale), p), over, true), 1 / p), scale);
  return keepdims ? y : reshape(y, reduced_shape(x.shape(), over, false));
}

// Whether a sum of squares in double may have overflowed or lost digits to underflow.
bool out_of_range(const Tensor& y) {
  return y.dtype() == float64 && any(logical_not(logical_and(gt(y, 1e-140), isfinite(y)))).item<bool>();
}

}  // namespace

Tensor vector_norm(const Tensor& x, double p, const Axes& axes, bool keepdims) {
  detail::require_defined("vector_norm", x);
  if (!(p > 0)) throw_error<ValueError>("vector_norm: expected p > 0, got ", p);
  if (!is_floating_point(x.dtype())) return vector_norm(x.to(float32), p, axes, keepdims);
  if (is_half(x.dtype())) return vector_norm(x.to(float32), p, axes, keepdims).to(x.dtype());
  // The p of every power, in derivatives as well, is one that x's dtype holds.
  if (const double held = detail::stored("vector_norm", p, x.dtype()).to_double(); held != p)
    return vector_norm(x, held, axes, keepdims);
  const Axes over = normalize_axes(axes, x.dim(), "vector_norm");
  if (detail::reduced_count(x.shape(), over) == 0) return sum(x, axes, keepdims);
  if (std::isinf(p)) return amax(abs(x), axes, keepdims);
  if (p == 1) return sum(abs(x), axes, keepdims);
  Tensor y;
  {
    const NoGradGuard guard;
    if (p == 2) {
      y = detail::reduced_like(x, over, keepdims, x.dtype());
      detail::norm_into(y, x, over);
    }
    if (p != 2 || out_of_range(y)) y = scaled_norm(x, over, keepdims, p);
  }
  if (auto* node = detail::record_reduction<VectorNormNode>(y, x, over)) {
    node->x = x;
    node->y = y;
    node->p = p;
  }
  return y;
}

}  // namespace limpid
