// Windows as columns, and columns as windows.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/im2col.hpp>
#include <limpid/ops/window/detail/window.hpp>

#include <algorithm>

namespace limpid {

using detail::ConvDims;
using detail::spread;
using detail::throw_error;

namespace {

// Windows over a plane of shape (h, w), as a convolution of one channel counts them.
ConvDims plane_dims(const char* op, int64_t h, int64_t w, const Spatial& kernel, const FoldOptions& options) {
  const auto& [dilation, padding, stride] = options;
  detail::require_at_least(op, "kernel", 1, kernel, 2);
  detail::require_at_least(op, "dilation", 1, dilation, 2);
  detail::require_at_least(op, "padding", 0, padding, 2);
  detail::require_at_least(op, "stride", 1, stride, 2);
  ConvDims d{.n = 1, .c = 1, .o = 1, .groups = 1, .rank = 2, .axis = {}};
  std::fill_n(d.axis, 3, detail::single_axis);
  for (int64_t a = 0; a < 2; ++a) {
    const int64_t size = a == 0 ? h : w;
    const int64_t out = detail::window_count(size, kernel[a], stride[a], 2 * padding[a], dilation[a]);
    if (size < 1 || out < 1)
      throw_error<ShapeError>(op, ": expected a kernel that fits the padded plane, got height and width ",
                              Spatial(h, w), ", kernel = ", spread(kernel, 2), ", dilation = ", spread(dilation, 2),
                              " and padding = ", spread(padding, 2));
    d.axis[a + 1] = {.size = size,
                     .kernel = kernel[a],
                     .out = out,
                     .stride = stride[a],
                     .dilation = dilation[a],
                     .before = padding[a],
                     .after = padding[a]};
  }
  int64_t windows;
  if (__builtin_mul_overflow(d.axis[1].out, d.axis[2].out, &windows))
    throw_error<ShapeError>(op, ": expected fewer than 2^63 windows, got height and width ", Spatial(h, w),
                            ", kernel = ", spread(kernel, 2), ", stride = ", spread(stride, 2),
                            " and padding = ", spread(padding, 2));
  return d;
}

Tensor unfolded(ConvDims d, const Tensor& x);
Tensor folded(ConvDims d, const Tensor& columns);

struct UnfoldNode final : Node {
  ConvDims dims{};
  const char* name() const noexcept override { return "unfold"; }
  // y_nckp = x_nc(p+k) for window elements k and windows p:  dx_ncq = sum_{p+k=q} dy_nckp
  Tensors backward(const Tensors& dy) override { return {folded(dims, dy[0])}; }
  Tensors jvp(const Tensors& dx) override { return {unfolded(dims, dx[0])}; }
};

struct FoldNode final : Node {
  ConvDims dims{};
  const char* name() const noexcept override { return "fold"; }
  // The transpose of a transpose.
  Tensors backward(const Tensors& dy) override { return {unfolded(dims, dy[0])}; }
  Tensors jvp(const Tensors& dx) override { return {folded(dims, dx[0])}; }
};

// (N, C, H, W) to (N, C taps, windows), and back.
Tensor unfolded(ConvDims d, const Tensor& x_any) {
  const detail::OpScope scope("unfold");
  const Tensor x = detail::as_contiguous(x_any);
  Tensor y = empty({x.size(0), x.size(1) * d.taps(), d.y_plane()}, x.dtype());
  d.n = x.size(0) * x.size(1);
  if (y.numel())
    detail::visit_float(x.dtype(), [&]<class T>(T) { detail::im2col::unfold(d, x.data<T>(), y.data<T>()); });
  if (auto* node = record<UnfoldNode>(y, x_any)) node->dims = d;
  return y;
}

Tensor folded(ConvDims d, const Tensor& columns_any) {
  const detail::OpScope scope("fold");
  const Tensor columns = detail::as_contiguous(columns_any);
  const int64_t channels = columns.size(1) / d.taps();
  Tensor x = empty({columns.size(0), channels, d.axis[1].size, d.axis[2].size}, columns.dtype());
  d.n = columns.size(0) * channels;
  if (x.numel())
    detail::visit_float(x.dtype(), [&]<class T>(T) { detail::im2col::fold(d, columns.data<T>(), x.data<T>()); });
  if (auto* node = record<FoldNode>(x, columns_any)) node->dims = d;
  return x;
}

// f(x in a dtype that is computed in), and the result in x's.
template <class F>
Tensor in_computed_dtype(const char* op, const Tensor& x, F&& f) {
  const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x}});
  return is_half(dtype) ? f(x.to(float32)).to(dtype) : f(x);
}

}  // namespace

Tensor unfold(const Tensor& x, const Spatial& kernel, const FoldOptions& options) {
  detail::require_defined("unfold", "x", x);
  if (x.dim() == 3) return squeeze(unfold(unsqueeze(x, 0), kernel, options), 0);
  if (x.dim() != 4) throw_error<ShapeError>("unfold: expected x of shape (N, C, H, W) or (C, H, W), got ", x.shape());
  const ConvDims d = plane_dims("unfold", x.size(2), x.size(3), kernel, options);
  int64_t rows;
  if (__builtin_mul_overflow(x.size(1), d.taps(), &rows))
    throw_error<ShapeError>("unfold: expected columns of fewer than 2^63 elements, got x of shape ", x.shape(),
                            " and kernel = ", spread(kernel, 2));
  return in_computed_dtype("unfold", x, [&](const Tensor& images) { return unfolded(d, images); });
}

Tensor fold(const Tensor& x, const Spatial& size, const Spatial& kernel, const FoldOptions& options) {
  detail::require_defined("fold", "x", x);
  detail::require_at_least("fold", "size", 1, size, 2);
  const ConvDims d = plane_dims("fold", size[0], size[1], kernel, options);
  const bool is_sample = x.dim() == 2;
  if ((x.dim() != 3 && !is_sample) || x.size(-2) % d.taps() != 0 || x.size(-1) != d.y_plane())
    throw_error<ShapeError>("fold: expected x of shape (", is_sample ? "" : "N, ", "C times ", d.taps(), ", ",
                            d.y_plane(), "), got ", x.shape());
  if (is_sample) return squeeze(fold(unsqueeze(x, 0), size, kernel, options), 0);
  return in_computed_dtype("fold", x, [&](const Tensor& columns) { return folded(d, columns); });
}

}  // namespace limpid
