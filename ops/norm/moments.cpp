#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/norm.hpp>
#include <limpid/ops/norm/detail/plan.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/driver.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <limits>

namespace limpid {

using detail::chain;
using detail::NormLayout;
using detail::NormStrides;
using detail::require_defined;
using detail::throw_error;

namespace {

/// Axes of x, each merged with its successor where memory allows.
struct AxisGroup {
  Shape sizes;
  Strides strides;
  int64_t count = 1;

  void add(int64_t size, int64_t stride) {
    count *= size;
    if (size == 1) return;
    if (!sizes.empty() && strides.back() == stride * size) {
      sizes.back() *= size;
      strides.back() = stride;
    } else {
      sizes.push_back(size);
      strides.push_back(stride);
    }
  }
  /// Of the axis that is `back` places before the last one.
  int64_t size(std::size_t back) const { return back < sizes.size() ? sizes[sizes.size() - 1 - back] : 1; }
  int64_t stride(std::size_t back) const { return back < sizes.size() ? strides[sizes.size() - 1 - back] : 0; }
};

/// x as the normalisations' kernels see it: a plan whose slices are the sets, in the order of the result.
struct MomentsPlan {
  detail::NormDims dims;
  NormStrides strides;
  bool in_place = false;

  MomentsPlan(const AxisGroup& kept, const AxisGroup& reduced) {
    if (kept.sizes.size() <= 2 && reduced.sizes.size() <= 1) {  // (N, C) sets of S
      dims = {.n = kept.size(1), .g = kept.size(0), .d = 1, .s = reduced.size(0)};
      strides = {.n = kept.stride(1), .c = kept.stride(0), .s = reduced.stride(0)};
      if (strides.c == 1 && strides.s != 1) dims.layout = NormLayout::channels_last;
      in_place = true;
    } else if (kept.sizes.size() <= 1 && reduced.sizes.size() == 2) {  // C sets of (N, S)
      dims = {.n = reduced.size(1), .g = kept.size(0), .d = 1, .s = reduced.size(0), .pooled = true};
      strides = {.n = reduced.stride(1), .c = kept.stride(0), .s = reduced.stride(0)};
      in_place = true;
    } else {
      dims = {.n = kept.count, .g = 1, .d = 1, .s = reduced.count};
      strides = detail::dense_strides(dims);
    }
  }
};

/// The axes that stay before those that go, row-major.
Tensor in_rows(const Tensor& x, const Axes& over) {
  return detail::as_contiguous(permute(x, detail::reduced_last(x.dim(), over)));
}

struct MomentsNode final : Node {
  Saved x{*this, "x"}, mean{*this, "mean"};
  Shape kept;  // the result's, with reduced axes of size 1
  double count = 0;
  const char* name() const noexcept override { return "moments"; }

  // mean_k = (1/M) sum_r x_kr and v_k = (1/M) sum_r (x_kr - mean_k)^2 over the M reduced r; what v_k gets by way of
  // mean_k is a multiple of sum_r (x_kr - mean_k) = 0:
  //     dx_kr = dmean_k / M + dv_k (2/M) (x_kr - mean_k).
  Tensors backward(const Tensors& dy) override {
    const Tensor in = x, m = mean;
    Tensor dx;
    if (dy[0].defined()) dx = expand(reshape(dy[0] / count, kept), in.shape());
    if (dy[1].defined()) {
      const Tensor through = chain(reshape(dy[1] * (2 / count), kept), in.to(float64) - reshape(m, kept));
      dx = dx.defined() ? dx + through : through;
    }
    return {dx.defined() ? dx.to(in.dtype()) : dx};
  }
  // dmean_k = (1/M) sum_r dx_kr,  dv_k = (2/M) sum_r (x_kr - mean_k) dx_kr
  Tensors jvp(const Tensors& dx) override {
    const Tensor d = dx[0].to(float64), centred = x.get().to(float64) - reshape(mean, kept);
    const auto average = [&](const Tensor& t) { return reshape(sum_to(t, kept) / count, outputs()[0].shape()); };
    return {average(d), average(2 * chain(d, centred))};
  }
};

void check_merged(const Moments& m, const char* side) {
  constexpr const char* op = "merge";
  if (!m.mean.defined() || !m.variance.defined())
    throw_error<ValueError>(op, ": expected ", side, " with a defined mean and variance, got an undefined tensor");
  if (m.mean.shape() != m.variance.shape())
    throw_error<ShapeError>(op, ": expected ", side, " with mean and variance of one shape, got ", m.mean.shape(),
                            " and ", m.variance.shape());
  if (m.mean.dtype() != float64 || m.variance.dtype() != float64)
    throw_error<DTypeError>(op, ": expected ", side, " of dtype float64, got ", m.mean.dtype(), " and ",
                            m.variance.dtype());
  if (m.count < 0) throw_error<ValueError>(op, ": expected ", side, " with a count of at least 0, got ", m.count);
}

}  // namespace

Moments moments(const Tensor& x, const Axes& axes, bool keepdims) {
  require_defined("moments", x);
  if (is_half(x.dtype())) return moments(x.to(float32), axes, keepdims);
  if (!is_floating_point(x.dtype())) return moments(x.to(float64), axes, keepdims);
  const Axes over = normalize_axes(axes, x.dim(), "moments");
  AxisGroup kept, reduced;
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    (std::binary_search(over.begin(), over.end(), axis) ? reduced : kept).add(x.shape()[i], x.strides()[i]);
  }
  const Shape shape = detail::reduced_shape(x.shape(), over, keepdims);
  const auto recorded = [&](Tensors ys) -> Moments {
    if (auto* node = record<MomentsNode>(ys, {x})) {
      node->x = x, node->mean = ys[0];
      node->kept = detail::reduced_shape(x.shape(), over, true);
      node->count = static_cast<double>(reduced.count);
    }
    return {ys[0], ys[1], reduced.count};
  };
  if (x.numel() == 0) {
    const double none = reduced.count == 0 ? std::numeric_limits<double>::quiet_NaN() : 0;
    return recorded({full(shape, none, float64), full(shape, none, float64)});
  }
  const MomentsPlan view(kept, reduced);
  const detail::NormPlan plan{.dims = view.dims};
  const auto [mean, var] = detail::slice_moments(plan, view.in_place ? x.detach() : in_rows(x.detach(), over),
                                                 view.in_place ? view.strides : detail::dense_strides(view.dims));
  return recorded({detail::make_view(mean, shape, contiguous_strides(shape), mean.offset()),
                   detail::make_view(var, shape, contiguous_strides(shape), var.offset())});
}

Moments merge(const Moments& a, const Moments& b) {
  check_merged(a, "a");
  check_merged(b, "b");
  if (a.mean.shape() != b.mean.shape())
    throw_error<ShapeError>("merge: expected moments of one shape, got ", a.mean.shape(), " and ", b.mean.shape());
  if (b.count == 0) return a;
  if (a.count == 0) return b;
  if (a.count > std::numeric_limits<int64_t>::max() - b.count)
    throw_error<ValueError>("merge: expected counts whose sum fits 64 bits, got ", a.count, " and ", b.count);
  // The larger side is the base, from which the smaller one moves the mean by half the distance at most.
  if (a.count < b.count) return merge(b, a);
  const int64_t count = a.count + b.count;
  const double of_a = static_cast<double>(a.count) / static_cast<double>(count),
               of_b = static_cast<double>(b.count) / static_cast<double>(count);
  // The distance of means of opposite signs may be out of range; then nothing cancels in their sum.
  const Tensor distance = b.mean - a.mean;
  return {where(isfinite(distance), a.mean + distance * of_b, a.mean * of_a + b.mean * of_b),
          a.variance * of_a + b.variance * of_b + (distance * of_a) * (distance * of_b), count};
}

}  // namespace limpid
