#include <limpid/ops/window.hpp>

#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/float_operands.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window/detail/im2col.hpp>
#include <limpid/ops/window/detail/onednn_windows.hpp>
#include <limpid/ops/window/detail/window.hpp>

#include <algorithm>

namespace limpid {

using detail::ConvDims;
using detail::throw_error;

namespace {

// Every size of a convolution of an x of shape xs with a weight of shape ws; throws where there is none.
ConvDims conv_dims(const char* op, const Shape& xs, const Shape& ws, const Conv2dOptions& options) {
  const auto& [stride, padding, dilation, groups] = options;
  if (xs.dim() != 4) throw_error<ShapeError>(op, ": expected x of shape (N, C, H, W), got ", xs);
  if (ws.dim() != 4) throw_error<ShapeError>(op, ": expected weight of shape (O, C / groups, KH, KW), got ", ws);
  detail::require_at_least(op, "stride", 1, stride);
  detail::require_at_least(op, "padding", 0, padding);
  detail::require_at_least(op, "dilation", 1, dilation);
  if (groups < 1 || groups > std::max<int64_t>(ws[0], 1))
    throw_error<ValueError>(op, ": expected groups from 1 to the number of output channels, got weight of shape ", ws,
                            " and groups = ", groups);
  if (ws[0] % groups != 0)
    throw_error<ShapeError>(op, ": expected output channels divisible by groups, got weight of shape ", ws,
                            " and groups = ", groups);
  if (xs[1] % groups != 0 || ws[1] != xs[1] / groups)
    throw_error<ShapeError>(op, ": expected x of shape (N, ", ws[1] * groups, ", H, W) for weight of shape ", ws,
                            " and groups = ", groups, ", got ", xs);
  const int64_t oh = detail::window_count(xs[2], ws[2], stride.h, padding.h, dilation.h);
  const int64_t ow = detail::window_count(xs[3], ws[3], stride.w, padding.w, dilation.w);
  if (ws[2] < 1 || ws[3] < 1 || oh < 1 || ow < 1)
    throw_error<ShapeError>(op, ": expected a kernel that fits the padded input, got x of shape ", xs,
                            ", weight of shape ", ws, ", padding = ", padding, " and dilation = ", dilation);
  return {
      .n = xs[0],
      .c = xs[1],
      .h = xs[2],
      .w = xs[3],
      .o = ws[0],
      .kh = ws[2],
      .kw = ws[3],
      .oh = oh,
      .ow = ow,
      .stride_h = stride.h,
      .stride_w = stride.w,
      .padding_h = padding.h,
      .padding_w = padding.w,
      .dilation_h = dilation.h,
      .dilation_w = dilation.w,
      .groups = groups,
  };
}

Shape y_shape(const ConvDims& d) { return {d.n, d.o, d.oh, d.ow}; }

// The format of the first that is in one format alone, as images of one channel or one pixel are not.
MemoryFormat common_format(const Tensor& a, const Tensor& b) {
  const bool undecided = a.is_contiguous() && a.is_contiguous(MemoryFormat::channels_last);
  return (undecided ? b : a).memory_format();
}

// Runs compute(result), which writes row-major memory, on y or where y is laid out otherwise beside it.
template <class F>
void compute_row_major(const Tensor& y, F&& compute) {
  if (y.is_contiguous()) return compute(y);
  const Tensor result = empty(y.shape(), y.dtype());
  compute(result);
  detail::copy_into(y, result);
}

// The three products, on tensors of one dtype. Empty sums are zeros.
Tensor forward(const ConvDims& d, const Tensor& x_any, const Tensor& weight_any, const Tensor& bias_any) {
  const detail::OpScope scope("conv2d");
  const MemoryFormat format = common_format(x_any, weight_any);
  const Tensor y = empty(y_shape(d), x_any.dtype(), format);
  if (y.numel() == 0) return y;
  if (x_any.numel() == 0) {  // no channels, or only padding
    detail::fill(y, 0);
    if (bias_any.defined())
      detail::copy_into(y, detail::make_view(bias_any, {d.o, 1, 1}, {bias_any.strides()[0], 0, 0}, bias_any.offset()));
    return y;
  }
  const Tensor x = detail::as_contiguous(x_any, format), weight = detail::as_contiguous(weight_any);
  const Tensor bias = bias_any.defined() ? detail::as_contiguous(bias_any) : Tensor();
  detail::visit_float(y.dtype(), [&]<class T>(T) {
    const T* pb = bias.defined() ? bias.data<T>() : nullptr;
    if constexpr (std::is_same_v<T, float>)
      if (detail::onednn::conv_forward(d, format, x.data<T>(), weight.data<T>(), pb, y.data<T>())) return;
    compute_row_major(y, [&](const Tensor& to) {
      detail::im2col::conv_forward(d, detail::as_contiguous(x).data<T>(), weight.data<T>(), pb, to.data<T>());
    });
  });
  return y;
}

Tensor input_grad(const ConvDims& d, const Tensor& dy_any, const Tensor& weight_any) {
  const detail::OpScope scope("conv2d_input_grad");
  const MemoryFormat format = common_format(dy_any, weight_any);
  const Tensor dx = empty({d.n, d.c, d.h, d.w}, dy_any.dtype(), format);
  if (dx.numel() == 0) return dx;
  if (dy_any.numel() == 0) {
    detail::fill(dx, 0);
    return dx;
  }
  const Tensor dy = detail::as_contiguous(dy_any, format), weight = detail::as_contiguous(weight_any);
  detail::visit_float(dx.dtype(), [&]<class T>(T) {
    if constexpr (std::is_same_v<T, float>)
      if (detail::onednn::conv_input_grad(d, format, dy.data<T>(), weight.data<T>(), dx.data<T>())) return;
    compute_row_major(dx, [&](const Tensor& to) {
      detail::im2col::conv_input_grad(d, detail::as_contiguous(dy).data<T>(), weight.data<T>(), to.data<T>());
    });
  });
  return dx;
}

Tensor weight_grad(const ConvDims& d, const Tensor& x_any, const Tensor& dy_any) {
  const detail::OpScope scope("conv2d_weight_grad");
  const MemoryFormat format = common_format(x_any, dy_any);
  const Tensor dweight = empty({d.o, d.c / d.groups, d.kh, d.kw}, x_any.dtype());
  if (dweight.numel() == 0) return dweight;
  if (x_any.numel() == 0 || dy_any.numel() == 0) {
    detail::fill(dweight, 0);
    return dweight;
  }
  const Tensor x = detail::as_contiguous(x_any, format), dy = detail::as_contiguous(dy_any, format);
  detail::visit_float(dweight.dtype(), [&]<class T>(T) {
    if constexpr (std::is_same_v<T, float>)
      if (detail::onednn::conv_weight_grad(d, format, x.data<T>(), dy.data<T>(), dweight.data<T>())) return;
    detail::im2col::conv_weight_grad(d, detail::as_contiguous(x).data<T>(), detail::as_contiguous(dy).data<T>(),
                                     dweight.data<T>());
  });
  return dweight;
}

// With windows p, channels c, kernel positions k, and p + k the pixel that k of window p lies on:
//   y_nop = sum_{c,k} x_nc(p+k) weight_ock + bias_o
// is linear in x, weight and bias, and so are its adjoints:
//   dx_ncq = sum_{o, p+k=q} dy_nop weight_ock,  dweight_ock = sum_{n,p} dy_nop x_nc(p+k),  dbias_o = sum_{n,p} dy_nop.
// Each of <y, dy> = <x, dx> = <weight, dweight> is the same trilinear form, which is all the three backwards need.
struct ConvNode final : Node {
  Saved x{*this, "x"}, weight{*this, "weight"};
  Shape x_shape, weight_shape;
  Conv2dOptions options;
  const char* name() const noexcept override { return "conv2d"; }
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? conv2d_input_grad(dy[0], weight, x_shape, options) : Tensor(),
            needs(1) ? conv2d_weight_grad(x, dy[0], weight_shape, options) : Tensor(),
            needs(2) ? sum(dy[0], {0, 2, 3}) : Tensor()};
  }
  Tensors jvp(const Tensors& dx) override {
    Tensor dy;
    if (dx[0].defined()) detail::accumulate(dy, conv2d(dx[0], weight, dx[2], options));
    if (dx[1].defined()) detail::accumulate(dy, conv2d(x, dx[1], dx[0].defined() ? Tensor() : dx[2], options));
    return {dy.defined() ? dy : reshape(dx[2], {-1, 1, 1})};
  }
};

struct ConvInputGradNode final : Node {
  Saved dy{*this, "dy"}, weight{*this, "weight"};
  Shape weight_shape;
  Conv2dOptions options;
  const char* name() const noexcept override { return "conv2d_input_grad"; }
  Tensors backward(const Tensors& ddx) override {
    return {needs(0) ? conv2d(ddx[0], weight, {}, options) : Tensor(),
            needs(1) ? conv2d_weight_grad(ddx[0], dy, weight_shape, options) : Tensor()};
  }
  Tensors jvp(const Tensors& d) override {
    const Shape& x_shape = outputs()[0].shape();
    Tensor ddx;
    if (d[0].defined()) detail::accumulate(ddx, conv2d_input_grad(d[0], weight, x_shape, options));
    if (d[1].defined()) detail::accumulate(ddx, conv2d_input_grad(dy, d[1], x_shape, options));
    return {ddx};
  }
};

struct ConvWeightGradNode final : Node {
  Saved x{*this, "x"}, dy{*this, "dy"};
  Shape x_shape;
  Conv2dOptions options;
  const char* name() const noexcept override { return "conv2d_weight_grad"; }
  Tensors backward(const Tensors& ddweight) override {
    return {needs(0) ? conv2d_input_grad(dy, ddweight[0], x_shape, options) : Tensor(),
            needs(1) ? conv2d(x, ddweight[0], {}, options) : Tensor()};
  }
  Tensors jvp(const Tensors& d) override {
    const Shape& weight_shape = outputs()[0].shape();
    Tensor ddweight;
    if (d[0].defined()) detail::accumulate(ddweight, conv2d_weight_grad(d[0], dy, weight_shape, options));
    if (d[1].defined()) detail::accumulate(ddweight, conv2d_weight_grad(x, d[1], weight_shape, options));
    return {ddweight};
  }
};

void require_dy(const char* op, const Tensor& dy, const ConvDims& d) {
  if (dy.shape() != y_shape(d))
    throw_error<ShapeError>(op, ": expected dy of shape ", y_shape(d), ", got ", dy.shape());
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  detail::require_defined("conv2d", "x", x);
  detail::require_defined("conv2d", "weight", weight);
  const ConvDims dims = conv_dims("conv2d", x.shape(), weight.shape(), options);
  if (bias.defined() && bias.shape() != Shape{dims.o})
    throw_error<ShapeError>("conv2d: expected bias of shape ", Shape{dims.o}, ", got ", bias.shape());
  detail::require_one_float_dtype("conv2d", {{"x", &x}, {"weight", &weight}, {"bias", &bias}});
  Tensor y = forward(dims, x, weight, bias);
  if (auto* node = record<ConvNode>(y, x, weight, bias)) {
    node->x_shape = x.shape();
    node->weight_shape = weight.shape();
    node->options = options;
    if (node->needs(0)) node->weight = weight;
    if (node->needs(1)) node->x = x;
  }
  return y;
}

Tensor conv2d_input_grad(const Tensor& dy, const Tensor& weight, const Shape& x_shape, const Conv2dOptions& options) {
  detail::require_defined("conv2d_input_grad", "dy", dy);
  detail::require_defined("conv2d_input_grad", "weight", weight);
  const ConvDims dims = conv_dims("conv2d_input_grad", x_shape, weight.shape(), options);
  require_dy("conv2d_input_grad", dy, dims);
  detail::require_one_float_dtype("conv2d_input_grad", {{"dy", &dy}, {"weight", &weight}});
  Tensor dx = input_grad(dims, dy, weight);
  if (auto* node = record<ConvInputGradNode>(dx, dy, weight)) {
    node->weight_shape = weight.shape();
    node->options = options;
    if (node->needs(0)) node->weight = weight;
    if (node->needs(1)) node->dy = dy;
  }
  return dx;
}

Tensor conv2d_weight_grad(const Tensor& x, const Tensor& dy, const Shape& weight_shape, const Conv2dOptions& options) {
  detail::require_defined("conv2d_weight_grad", "x", x);
  detail::require_defined("conv2d_weight_grad", "dy", dy);
  const ConvDims dims = conv_dims("conv2d_weight_grad", x.shape(), weight_shape, options);
  require_dy("conv2d_weight_grad", dy, dims);
  detail::require_one_float_dtype("conv2d_weight_grad", {{"x", &x}, {"dy", &dy}});
  Tensor dweight = weight_grad(dims, x, dy);
  if (auto* node = record<ConvWeightGradNode>(dweight, x, dy)) {
    node->x_shape = x.shape();
    node->options = options;
    if (node->needs(0)) node->dy = dy;
    if (node->needs(1)) node->x = x;
  }
  return dweight;
}

}  // namespace limpid
