// Products, extremes, spread and truth.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/driver.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace limpid {

using detail::reduced_count;
using detail::reduced_like;
using detail::reduced_shape;
using detail::require_defined;
using detail::throw_error;

namespace {

// A reduction's node knows what was reduced; kept() gives a result-shaped tensor x's rank.
struct ReductionNode : Node {
  Axes axes;
  Shape shape;  // x's
  Tensor kept(const Tensor& y) const { return reshape(y, reduced_shape(shape, axes, true)); }
  // dy_k = sum_r w_kr dx_kr over reduced r, for the w that backward multiplies dy_k by.
  Tensors jvp(const Tensors& dx) override {
    const Tensor w = backward({ones(outputs()[0].shape(), outputs()[0].dtype)})[0];
    return {reshape(sum(mul(w, dx[0]), axes), outputs()[0].shape())};
  }
};

template <class N>
N* describe(N* node, const Tensor& x, const Axes& axes) {
  if (node) {
    node->axes = axes;
    node->shape = x.shape();
  }
  return node;
}
template <class N>
N* record_reduction(Tensor& y, const Tensor& x, const Axes& axes) {
  return describe(record<N>(y, x), x, axes);
}

}  // namespace

// ---- var

namespace {

struct VarNode final : ReductionNode {
  Saved x{*this, "x"};
  double freedom = 0;
  const char* name() const noexcept override { return "var"; }
  // y_k = (1/F) sum_r (x_kr - mean_k)^2 over reduced r:  dx_kr = dy_k (2/F) (x_kr - mean_k), for what the mean adds,
  // sum_r (x_kr - mean_k), is 0
  Tensors backward(const Tensors& dy) override {
    const Tensor a = x;
    return {mul(mul(kept(dy[0]), 2 / freedom), sub(a, mean(a, axes, true)))};
  }
  // dy_k = (2/F) sum_r (x_kr - mean_k) dx_kr
  Tensors jvp(const Tensors& dx) override {
    const Tensor a = x;
    return {mul(reshape(sum(mul(sub(a, mean(a, axes, true)), dx[0]), axes), outputs()[0].shape()), 2 / freedom)};
  }
};

}  // namespace

Tensor var(const Tensor& x, const Axes& axes, bool keepdims, double correction) {
  const detail::OpScope scope("var");
  require_defined("var", x);
  if (!is_floating_point(x.dtype())) return var(x.to(float32), axes, keepdims, correction);
  if (is_half(x.dtype())) return var(x.to(float32), axes, keepdims, correction).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), "var");
  const double count = static_cast<double>(reduced_count(x.shape(), over));
  const double freedom = std::max(count - correction, 0.0);
  Tensor y = reduced_like(x, over, keepdims, x.dtype());
  const Tensor centre = empty_like(y, float64);
  detail::mean_into(centre, x, over);
  detail::sum_squares_into(y, x, centre, over, freedom);
  if (auto* node = record_reduction<VarNode>(y, x, over)) {
    node->x = x;
    node->freedom = freedom;
  }
  return y;
}

// ---- prod

namespace {

// e_i = prod_{j != i} x_j along the last axis, without a division. A tree of products goes up pairwise; on the way down
// each half of a pair gets what its pair got, times the other half. Composed of differentiable ops, so that the
// derivatives of any order are exact at any number of zeros.
Tensor product_of_others(const Tensor& x) {
  const int64_t count = x.size(-1);
  if (count == 1) return ones_like(x);
  const Tensor even = count % 2 ? pad(x, {0, 1}, PadMode::constant, 1) : x;
  Shape pairs = even.shape();
  pairs.back() = even.size(-1) / 2;
  pairs.push_back(2);
  const Tensor paired = reshape(even, pairs);
  const Tensor others = product_of_others(mul(select(paired, -1, 0), select(paired, -1, 1)));
  return slice(reshape(mul(unsqueeze(others, -1), flip(paired, -1)), even.shape()), -1, 0, count);
}

struct ProdNode final : ReductionNode {
  Saved x{*this, "x"};
  const char* name() const noexcept override { return "prod"; }
  // y_k = prod_r x_kr over reduced r:  dx_kr = dy_k prod_{s != r} x_ks
  Tensors backward(const Tensors& dy) override {
    // The reduced axes behind the others and merged, and back.
    Axes order, back;
    for (int64_t axis = 0; axis < static_cast<int64_t>(shape.size()); ++axis)
      if (!std::binary_search(axes.begin(), axes.end(), axis)) order.push_back(axis);
    const Shape rest = reduced_shape(shape, axes, false);
    for (int64_t axis : axes) order.push_back(axis);
    back.resize(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) back[static_cast<std::size_t>(order[i])] = static_cast<int64_t>(i);
    const Tensor moved = permute(x, order);
    Shape flat = rest;
    flat.push_back(reduced_count(shape, axes));
    const Tensor others = product_of_others(reshape(moved, flat));
    return {mul(kept(dy[0]), permute(reshape(others, moved.shape()), back))};
  }
};

}  // namespace

Tensor prod(const Tensor& x, const Axes& axes, bool keepdims) {
  const detail::OpScope scope("prod");
  require_defined("prod", x);
  if (is_half(x.dtype())) return prod(x.to(float32), axes, keepdims).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), "prod");
  Tensor y = reduced_like(x, over, keepdims, is_floating_point(x.dtype()) ? x.dtype() : int64);
  detail::prod_into(y, x, over);
  if (x.numel() == 0) return y;  // a constant 1, or nothing
  if (auto* node = record_reduction<ProdNode>(y, x, over)) node->x = x;
  return y;
}

// ---- max and min

namespace {

using Reduction = void (*)(const Tensor&, const Tensor&, const Axes&);

template <class T>
bool attains(T x, T extreme) {
  return x == extreme || (x != x && extreme != extreme);
}

// The mean of dx where x attains y, to whose shape it is reduced. That is at few places: blocks without one are passed
// over at the speed of a read.
template <class T>
Tensor mean_where_attained_of(const Tensor& x, const Tensor& y, const Tensor& dx) {
  const Tensor extreme = detail::as_contiguous(y), total = zeros(y.shape(), float64), hits = zeros(y.shape(), float64);
  const Strides to = detail::broadcast_strides(y.shape(), extreme.strides(), x.shape());
  const auto run = [&, a = x.data<T>(), e = extreme.data<T>(), d = dx.data<T>(), sum = total.data<double>(),
                    count = hits.data<double>()](int64_t length, const auto& offset, const auto& step) {
    constexpr int64_t block = 64;
    for (int64_t begin = 0; begin < length; begin += block) {
      const T *p = a + offset[0] + begin * step[0], *q = e + offset[1] + begin * step[1];
      const int64_t size = std::min(block, length - begin);
      int found = 0;
      if (step[0] == 1 && step[1] == 0)
        for (int64_t i = 0; i < size; ++i) found |= (p[i] == *q) | (p[i] != p[i]);
      else if (step[0] == 1 && step[1] == 1)
        for (int64_t i = 0; i < size; ++i) found |= (p[i] == q[i]) | (p[i] != p[i]);
      else
        found = 1;
      for (int64_t i = 0; found && i < size; ++i) {
        if (!attains(p[i * step[0]], q[i * step[1]])) continue;
        const int64_t at = offset[1] + (begin + i) * step[1];
        sum[at] += static_cast<double>(d[offset[2] + (begin + i) * step[2]]);
        ++count[at];
      }
    }
  };
  // On one thread, for many elements go to one sum.
  detail::StridedLoop<3>(x.shape(), {x.strides(), to, dx.strides()}).run(run, std::numeric_limits<int64_t>::max());
  return div(total, hits).to(dx.dtype());
}
Tensor mean_where_attained(const Tensor& x, const Tensor& y, const Tensor& dx) {
  return x.dtype() == float32 ? mean_where_attained_of<float>(x, y, dx) : mean_where_attained_of<double>(x, y, dx);
}

struct ExtremeNode final : ReductionNode {
  Saved x{*this, "x"}, y{*this, "y"};
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // y_k = x_kr at each of the T_k reduced r that attain it:  dx_kr = dy_k / T_k there, 0 elsewhere
  Tensors backward(const Tensors& dy) override { return {mul(kept(dy[0]), shares())}; }
  // dy_k = the mean of dx_kr over those r
  Tensors jvp(const Tensors& dx) override {
    if (is_grad_enabled()) return ReductionNode::jvp(dx);
    return {reshape(mean_where_attained(x, kept(y), dx[0]), outputs()[0].shape())};
  }

  // 1 / T_k where x attains y, 0 elsewhere: constant wherever it has a derivative.
  Tensor shares() const {
    const NoGradGuard guard;
    const Tensor a = x.get().detach(), extreme = kept(y.get().detach());
    const Tensor attains = logical_or(eq(a, extreme), logical_and(isnan(a), isnan(extreme))).to(a.dtype());
    return div(attains, sum(attains, axes, true));
  }
};

Tensor extreme(const char* op, Reduction reduction, const Tensor& x, const Axes& axes, bool keepdims) {
  const detail::OpScope scope(op);
  require_defined(op, x);
  if (is_half(x.dtype())) return extreme(op, reduction, x.to(float32), axes, keepdims).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), op);
  if (reduced_count(x.shape(), over) == 0)
    throw_error<ShapeError>(op, ": expected at least one element to reduce over, got x of shape ", x.shape());
  Tensor y = reduced_like(x, over, keepdims, x.dtype());
  reduction(y, x, over);
  if (auto* node = describe(record_as<ExtremeNode>(op, y, x), x, over)) {
    node->x = x;
    node->y = y;
  }
  return y;
}

// The first index along axis at which x attains the extreme; y is int64 and contiguous.
Tensor first_at(const char* op, Reduction reduction, const Tensor& x, int64_t axis, bool keepdims) {
  const detail::OpScope scope(op);
  require_defined(op, x);
  const NoGradGuard guard;
  if (is_half(x.dtype())) return first_at(op, reduction, x.to(float32), axis, keepdims);
  const int64_t along = normalize_axis(axis, x.dim(), op);
  const Tensor best = extreme(op, reduction, x, along, true);
  const Tensor y = empty(best.shape(), int64);
  const int64_t step = x.strides()[static_cast<std::size_t>(along)], count = x.size(along);
  Strides starts = x.strides();
  starts[static_cast<std::size_t>(along)] = 0;
  const detail::StridedLoop<3> loop(y.shape(), {y.strides(), best.strides(), starts});
  visit_dtype(x.dtype(), [&]<class T>(T) {
    int64_t* to = y.data<int64_t>();
    const T *wanted = best.data<T>(), *from = x.data<T>();
    const auto run = [&](int64_t n, const auto& offset, const auto& steps) {
      for (int64_t i = 0; i < n; ++i) {
        const T value = wanted[offset[1] + i * steps[1]];
        const T* row = from + offset[2] + i * steps[2];
        int64_t at = 0;
        while (at + 1 < count && !attains(row[at * step], value)) ++at;
        to[offset[0] + i * steps[0]] = at;
      }
    };
    loop.run(run, std::max<int64_t>(detail::elementwise_grain / count, 1));
  });
  return keepdims ? y : reshape(y, reduced_shape(x.shape(), along, false));
}

Tensor first_at(const char* op, Reduction reduction, const Tensor& x) {
  require_defined(op, x);
  const NoGradGuard guard;
  return first_at(op, reduction, reshape(x, {-1}), 0, false);
}

}  // namespace

Tensor max(const Tensor& x, const Axes& axes, bool keepdims) {
  return extreme("max", detail::max_into, x, axes, keepdims);
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdims) {
  return extreme("min", detail::min_into, x, axes, keepdims);
}
Tensor argmax(const Tensor& x, int64_t axis, bool keepdims) {
  return first_at("argmax", detail::max_into, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, int64_t axis, bool keepdims) {
  return first_at("argmin", detail::min_into, x, axis, keepdims);
}
Tensor argmax(const Tensor& x) { return first_at("argmax", detail::max_into, x); }
Tensor argmin(const Tensor& x) { return first_at("argmin", detail::min_into, x); }

// ---- all and any

namespace {

Tensor truth(const char* op, Reduction reduction, const Tensor& x, const Axes& axes, bool keepdims) {
  require_defined(op, x);
  const Axes over = normalize_axes(axes, x.dim(), op);
  const Tensor y = reduced_like(x, over, keepdims, bool_);
  reduction(y, is_half(x.dtype()) ? detail::as_dtype(x, float32) : x, over);
  return y;
}

}  // namespace

Tensor all(const Tensor& x, const Axes& axes, bool keepdims) {
  return truth("all", detail::all_into, x, axes, keepdims);
}
Tensor any(const Tensor& x, const Axes& axes, bool keepdims) {
  return truth("any", detail::any_into, x, axes, keepdims);
}

// ---- norm

namespace {

struct NormNode final : ReductionNode {
  Saved x{*this, "x"}, y{*this, "y"};
  double p = 2;
  const char* name() const noexcept override { return "norm"; }
  // y_k = (sum_r |x_kr|^p)^(1/p) over reduced r:  dx_kr = dy_k sign(x_kr) (|x_kr| / y_k)^(p-1), for p = 2 dy_k x_kr /
  // y_k; 0 where y_k or x_kr is 0. Zeros are replaced before a division or a power sees them, so that neither this line
  // nor its derivatives meet an infinity there.
  Tensors backward(const Tensors& dy) override {
    const Tensor a = x, length = kept(y), none = eq(length, 0);
    const Tensor g = where(none, 0, kept(dy[0])), safe = where(none, 1, length);
    if (p == 2) return {mul(a, div(g, safe))};
    const Tensor size = where(eq(a, 0), 1, abs(a));
    return {mul(mul(sign(a), g), pow(div(size, safe), p - 1))};
  }
  // For p = 2 dy_k = sum_r (x_kr / y_k) dx_kr, divided first, lest a product leave the range; 0 where y_k is.
  Tensors jvp(const Tensors& dx) override {
    if (p != 2) return ReductionNode::jvp(dx);
    const Tensor length = kept(y), safe = where(eq(length, 0), 1, length);
    return {reshape(sum(mul(div(x, safe), dx[0]), axes), outputs()[0].shape())};
  }
};

// With the largest element divided out no power leaves the range.
Tensor scaled_norm(const Tensor& x, const Axes& over, bool keepdims, double p) {
  const Tensor size = abs(x), largest = max(size, over, true);
  const Tensor scale = where(logical_and(gt(largest, 0), isfinite(largest)), largest, 1);
  const Tensor y = mul(pow(sum(pow(div(size, scale), p), over, true), 1 / p), scale);
  return keepdims ? y : reshape(y, reduced_shape(x.shape(), over, false));
}

// Whether a sum of squares in double may have overflowed or lost digits to underflow.
bool out_of_range(const Tensor& y) {
  return y.dtype() == float64 && any(logical_not(logical_and(gt(y, 1e-140), isfinite(y)))).item<bool>();
}

}  // namespace

Tensor norm(const Tensor& x, const Axes& axes, bool keepdims, double p) {
  require_defined("norm", x);
  if (!(p > 0)) throw_error<ValueError>("norm: expected p > 0, got ", p);
  if (!is_floating_point(x.dtype())) return norm(x.to(float32), axes, keepdims, p);
  if (is_half(x.dtype())) return norm(x.to(float32), axes, keepdims, p).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), "norm");
  if (reduced_count(x.shape(), over) == 0) return sum(x, axes, keepdims);
  if (std::isinf(p)) return max(abs(x), axes, keepdims);
  if (p == 1) return sum(abs(x), axes, keepdims);
  Tensor y;
  {
    const NoGradGuard guard;
    if (p == 2) {
      y = reduced_like(x, over, keepdims, x.dtype());
      detail::norm_into(y, x, over);
    }
    if (p != 2 || out_of_range(y)) y = scaled_norm(x, over, keepdims, p);
  }
  if (auto* node = record_reduction<NormNode>(y, x, over)) {
    node->x = x;
    node->y = y;
    node->p = p;
  }
  return y;
}

}  // namespace limpid
