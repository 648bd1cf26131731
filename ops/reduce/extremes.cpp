// The largest, the smallest and the middle element, and where it is.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/reduce/detail/reduction_node.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <limits>

namespace limpid {

using detail::reduced_shape;
using detail::ReductionNode;
using detail::require_defined;

namespace {

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
  return detail::visit_float(x.dtype(), [&]<class T>(T) { return mean_where_attained_of<T>(x, y, dx); });
}

struct ExtremeNode final : ReductionNode {
  Saved x{*this, "x"}, y{*this, "y"};
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // y_k = x_kr at each of the T_k reduced r that attain it:  dx_kr = dy_k / T_k there, 0 elsewhere, be dy_k infinite
  Tensors backward(const Tensors& dy) override {
    const auto [attains, share] = shares();
    return {where(attains, mul(kept(dy[0]), share), 0)};
  }
  // dy_k = the mean of dx_kr over those r
  Tensors jvp(const Tensors& dx) override {
    if (is_grad_enabled()) return ReductionNode::jvp(dx);
    return {reshape(mean_where_attained(x, kept(y), dx[0]), outputs()[0].shape())};
  }

  struct Shares {
    Tensor attains, share;
  };
  // Where x attains y, and 1 / T_k: constant wherever they have a derivative.
  Shares shares() const {
    const NoGradGuard guard;
    const Tensor a = x.get().detach(), extreme = kept(y.get().detach());
    const Tensor attains = logical_or(eq(a, extreme), logical_and(isnan(a), isnan(extreme)));
    return {attains, reciprocal(sum(attains.to(a.dtype()), axes, true))};
  }
};

Tensor extreme(const char* op, detail::ReduceInto reduction, const Tensor& x, const Axes& axes, bool keepdims) {
  const detail::OpScope scope(op);
  require_defined(op, x);
  if (is_half(x.dtype())) return extreme(op, reduction, x.to(float32), axes, keepdims).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), op);
  if (detail::reduced_count(x.shape(), over) == 0)
    detail::throw_error<ShapeError>(op, ": expected at least one element to reduce over, got x of shape ", x.shape());
  Tensor y = detail::reduced_like(x, over, keepdims, x.dtype());
  reduction(y, x, over);
  if (auto* node = detail::record_reduction_as<ExtremeNode>(op, y, x, over)) {
    node->x = x;
    node->y = y;
  }
  return y;
}

// The first index along axis at which x attains the extreme; y is int64 and contiguous.
Tensor first_at(const char* op, detail::ReduceInto reduction, const Tensor& x, int64_t axis, bool keepdims) {
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

Tensor first_at(const char* op, detail::ReduceInto reduction, const Tensor& x) {
  require_defined(op, x);
  const NoGradGuard guard;
  return first_at(op, reduction, reshape(x, {-1}), 0, false);
}

}  // namespace

Tensor amax(const Tensor& x, const Axes& axes, bool keepdims) {
  return extreme("amax", detail::max_into, x, axes, keepdims);
}
Tensor amin(const Tensor& x, const Axes& axes, bool keepdims) {
  return extreme("amin", detail::min_into, x, axes, keepdims);
}
Tensor max(const Tensor& x) { return extreme("max", detail::max_into, x, {}, false); }
Tensor min(const Tensor& x) { return extreme("min", detail::min_into, x, {}, false); }

namespace {

Selection selected(const char* op, detail::ReduceInto reduction, const Tensor& x, int64_t axis, bool keepdims) {
  const Tensor indices = first_at(op, reduction, x, axis, true), values = gather(x, axis, indices);
  return keepdims ? Selection{values, indices} : Selection{squeeze(values, {axis}), squeeze(indices, {axis})};
}

}  // namespace

Selection max(const Tensor& x, int64_t axis, bool keepdims) {
  return selected("max", detail::max_into, x, axis, keepdims);
}
Selection min(const Tensor& x, int64_t axis, bool keepdims) {
  return selected("min", detail::min_into, x, axis, keepdims);
}

Tensor median(const Tensor& x) {
  const detail::OpScope scope("median");
  require_defined("median", x);
  if (x.numel() == 0)
    detail::throw_error<ShapeError>("median: expected at least one element, got x of shape ", x.shape());
  if (is_half(x.dtype())) return median(x.to(float32)).to(x.dtype());  // which counts those that share the gradient
  Tensor y = median(reshape(x.detach(), {-1}), 0).values.clone();
  // Its gradient is shared as that of an extreme is.
  if (auto* node = detail::record_reduction_as<ExtremeNode>("median", y, x, normalize_axes({}, x.dim(), "median"))) {
    node->x = x;
    node->y = y;
  }
  return y;
}

Tensor argmax(const Tensor& x, int64_t axis, bool keepdims) {
  return first_at("argmax", detail::max_into, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, int64_t axis, bool keepdims) {
  return first_at("argmin", detail::min_into, x, axis, keepdims);
}
Tensor argmax(const Tensor& x) { return first_at("argmax", detail::max_into, x); }
Tensor argmin(const Tensor& x) { return first_at("argmin", detail::min_into, x); }

}  // namespace limpid
