#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/detail/float_operands.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/onednn_windows.hpp>
#include <limpid/ops/window/detail/window.hpp>
#include <limpid/ops/window/kernels/pool.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>

namespace limpid {

using detail::throw_error;
using kernels::PoolDims;

namespace {

// f(kernels of x's type, that type)
template <class F>
void with_kernels(DType dtype, F&& f) {
  dtype == float32 ? f(LIMPID_AT_ISA(pool_float), float{}) : f(LIMPID_AT_ISA(pool_double), double{});
}

// The sizes of a pooling of x; throws where there is none.
PoolDims pool_dims(const char* op, const Tensor& x, Spatial kernel, const Pool2dOptions& options) {
  detail::require_defined(op, "x", x);
  if (x.dim() != 4) throw_error<ShapeError>(op, ": expected x of shape (N, C, H, W), got ", x.shape());
  detail::require_at_least(op, "kernel", 1, kernel, 2);
  const Spatial stride = options.stride.value_or(kernel), padding = options.padding;
  detail::require_at_least(op, "stride", 1, stride, 2);
  detail::require_at_least(op, "padding", 0, padding, 2);
  detail::require_half_padded(op, kernel, padding, 2);
  const int64_t h = x.size(2), w = x.size(3);
  const int64_t oh = h ? detail::window_count(h, kernel[0], stride[0], 2 * padding[0], 1) : 0;
  const int64_t ow = w ? detail::window_count(w, kernel[1], stride[1], 2 * padding[1], 1) : 0;
  if (oh < 1 || ow < 1)
    throw_error<ShapeError>(op, ": expected a kernel that fits the padded input, got x of shape ", x.shape(),
                            ", kernel = ", detail::spread(kernel, 2), " and padding = ", detail::spread(padding, 2));
  detail::require_one_float_dtype(op, {{"x", &x}});
  const detail::Extent down = detail::cut_window(h, kernel[0], stride[0], padding[0], oh),
                       across = detail::cut_window(w, kernel[1], stride[1], padding[1], ow);
  return {
      .n = x.size(0),
      .c = x.size(1),
      .h = h,
      .w = w,
      .oh = oh,
      .ow = ow,
      .kernel_h = down.kernel,
      .kernel_w = across.kernel,
      .stride_h = stride[0],
      .stride_w = stride[1],
      .padding_h = down.padding,
      .padding_w = across.padding,
      .kernel_size = static_cast<double>(kernel[0]) * static_cast<double>(kernel[1]),
  };
}

Shape x_shape(const PoolDims& d) { return {d.n, d.c, d.h, d.w}; }
Shape y_shape(const PoolDims& d) { return {d.n, d.c, d.oh, d.ow}; }

MemoryFormat format_of(const PoolDims& d) {
  return d.channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

// d in x's format, which stays as it is where x is in both, as single pixels are.
PoolDims in_format_of(PoolDims d, const Tensor& x) {
  if (!(x.is_contiguous() && x.is_contiguous(MemoryFormat::channels_last)))
    d.channels_last = x.memory_format() == MemoryFormat::channels_last;
  return d;
}

// Shares out rows of y or planes, each range with work for about `grain` elements of x.
template <class F>
void for_rows(const PoolDims& d, F&& f) {
  const double grain = 32768 * static_cast<double>(d.rows()) / d.work();
  parallel_for(d.rows(), std::max<int64_t>(1, static_cast<int64_t>(grain)), f);
}
template <class F>
void for_planes(const PoolDims& d, F&& f) {
  parallel_for(d.planes(), std::max<int64_t>(1, 32768 * d.planes() / (d.n * d.c * d.h * d.w)), f);
}

// The pair of linear maps that max_pool2d's gradients go by: y[p] = x[index[p]] and its adjoint dx[index[p]] += dy[p].
Tensor gather_windows(const PoolDims& d, const Tensor& x, const Tensor& index);
Tensor scatter_windows(const PoolDims& d, const Tensor& dy, const Tensor& index);

struct GatherWindowsNode final : Node {
  Saved index{*this, "index"};
  PoolDims dims;
  const char* name() const noexcept override { return "max_pool2d_gather"; }
  Tensors backward(const Tensors& dy) override { return {scatter_windows(dims, dy[0], index)}; }
  Tensors jvp(const Tensors& dx) override { return {gather_windows(dims, dx[0], index)}; }
};

struct ScatterWindowsNode final : Node {
  Saved index{*this, "index"};
  PoolDims dims;
  const char* name() const noexcept override { return "max_pool2d_scatter"; }
  Tensors backward(const Tensors& ddx) override { return {gather_windows(dims, ddx[0], index)}; }
  Tensors jvp(const Tensors& d) override { return {scatter_windows(dims, d[0], index)}; }
};

struct MaxPoolNode final : Node {
  Saved index{*this, "index"};
  PoolDims dims;
  const char* name() const noexcept override { return "max_pool2d"; }
  // With index_p the first maximum of window p, y_p = x_(index_p):  dx_q = sum_{p: index_p = q} dy_p
  Tensors backward(const Tensors& dy) override { return {scatter_windows(dims, dy[0], index)}; }
  Tensors jvp(const Tensors& dx) override { return {gather_windows(dims, dx[0], index)}; }
};

// index is in the format of d, which x and dy are brought to.
Tensor gather_windows(const PoolDims& d, const Tensor& x_any, const Tensor& index) {
  const Tensor x = detail::as_contiguous(x_any, format_of(d));
  Tensor y = empty(y_shape(d), x.dtype(), format_of(d));
  if (y.numel())
    with_kernels(x.dtype(), [&]<class T>(const auto& k, T) {
      for_planes(d, [&, from = x.data<T>(), at = index.data<int32_t>(), to = y.data<T>()](int64_t begin, int64_t end) {
        k.gather(d, begin, end, from, at, to);
      });
    });
  if (auto* node = record<GatherWindowsNode>(y, x_any)) {
    node->index = index;
    node->dims = d;
  }
  return y;
}

Tensor scatter_windows(const PoolDims& d, const Tensor& dy_any, const Tensor& index) {
  const Tensor dy = detail::as_contiguous(dy_any, format_of(d));
  Tensor dx = empty(x_shape(d), dy.dtype(), format_of(d));
  if (dx.numel())
    with_kernels(dy.dtype(), [&]<class T>(const auto& k, T) {
      for_planes(d, [&, from = dy.data<T>(), at = index.data<int32_t>(), to = dx.data<T>()](
                        int64_t begin, int64_t end) { k.scatter(d, begin, end, from, at, to); });
    });
  if (auto* node = record<ScatterWindowsNode>(dx, dy_any)) {
    node->index = index;
    node->dims = d;
  }
  return dx;
}

Tensor mean_of_windows(const PoolDims& any, const Tensor& x);
Tensor spread_over_windows(const PoolDims& any, const Tensor& dy);

struct AvgPoolNode final : Node {
  PoolDims dims;
  const char* name() const noexcept override { return "avg_pool2d"; }
  // y_p = sum_{k} x_(p+k) / K over the K elements k of a window:  dx_q = sum_{p+k=q} dy_p / K
  Tensors backward(const Tensors& dy) override { return {spread_over_windows(dims, dy[0])}; }
  Tensors jvp(const Tensors& dx) override { return {mean_of_windows(dims, dx[0])}; }
};

struct AvgPoolGradNode final : Node {
  PoolDims dims;
  const char* name() const noexcept override { return "avg_pool2d_grad"; }
  // The adjoint of the adjoint.
  Tensors backward(const Tensors& ddx) override { return {mean_of_windows(dims, ddx[0])}; }
  Tensors jvp(const Tensors& d) override { return {spread_over_windows(dims, d[0])}; }
};

Tensor mean_of_windows(const PoolDims& any, const Tensor& x_any) {
  const PoolDims d = in_format_of(any, x_any);
  const Tensor x = detail::as_contiguous(x_any, format_of(d));
  Tensor y = empty(y_shape(d), x.dtype(), format_of(d));
  if (y.numel())
    with_kernels(x.dtype(), [&]<class T>(const auto& k, T) {
      if constexpr (std::is_same_v<T, float>)
        if (detail::onednn::mean_forward(d, x.data<T>(), y.data<T>())) return;
      for_rows(d, [&, from = x.data<T>(), to = y.data<T>()](int64_t begin, int64_t end) {
        k.mean(d, begin, end, from, to);
      });
    });
  if (auto* node = record<AvgPoolNode>(y, x_any)) node->dims = d;
  return y;
}

Tensor spread_over_windows(const PoolDims& any, const Tensor& dy_any) {
  const PoolDims d = in_format_of(any, dy_any);
  const Tensor dy = detail::as_contiguous(dy_any, format_of(d));
  Tensor dx = empty(x_shape(d), dy.dtype(), format_of(d));
  if (dx.numel())
    with_kernels(dy.dtype(), [&]<class T>(const auto& k, T) {
      if constexpr (std::is_same_v<T, float>)
        if (detail::onednn::mean_grad(d, dy.data<T>(), dx.data<T>())) return;
      for_planes(d, [&, from = dy.data<T>(), to = dx.data<T>()](int64_t begin, int64_t end) {
        k.spread(d, begin, end, from, to);
      });
    });
  if (auto* node = record<AvgPoolGradNode>(dx, dy_any)) node->dims = d;
  return dx;
}

}  // namespace

Tensor max_pool2d(const Tensor& x_any, Spatial kernel, const Pool2dOptions& options) {
  const detail::OpScope scope("max_pool2d");
  const PoolDims any = pool_dims("max_pool2d", x_any, kernel, options);
  if (x_any.size(2) * x_any.size(3) > std::numeric_limits<int32_t>::max())
    throw_error<ShapeError>("max_pool2d: expected planes of fewer than 2^31 elements, got x of shape ", x_any.shape());
  const PoolDims d = in_format_of(any, x_any);
  const Tensor x = detail::as_contiguous(x_any, format_of(d));
  Tensor y = empty(y_shape(d), x.dtype(), format_of(d));
  const bool recording = is_grad_enabled() && x_any.requires_grad();
  const Tensor index = recording ? empty(y_shape(d), int32, format_of(d)) : Tensor();
  if (y.numel())
    with_kernels(x.dtype(), [&]<class T>(const auto& k, T) {
      for_rows(d, [&, from = x.data<T>(), to = y.data<T>(), at = recording ? index.data<int32_t>() : nullptr](
                      int64_t begin, int64_t end) { k.max(d, begin, end, from, to, at); });
    });
  if (auto* node = record<MaxPoolNode>(y, x_any)) {
    node->index = index;
    node->dims = d;
  }
  return y;
}

Tensor avg_pool2d(const Tensor& x, Spatial kernel, const Pool2dOptions& options) {
  const detail::OpScope scope("avg_pool2d");
  return mean_of_windows(pool_dims("avg_pool2d", x, kernel, options), x);
}

}  // namespace limpid
