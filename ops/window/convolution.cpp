#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/product/detail/bfloat16.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/im2col.hpp>
#include <limpid/ops/window/detail/onednn_windows.hpp>
#include <limpid/ops/window/detail/window.hpp>

#include <algorithm>
#include <type_traits>

namespace limpid {

using detail::ConvAxis;
using detail::ConvDims;
using detail::shape_in_words;
using detail::spread;
using detail::throw_error;

namespace {

// ---- sizes

// (n, channels) and a number of each axis
Shape with_axes(const ConvDims& d, int64_t n, int64_t channels, int64_t ConvAxis::*number) {
  Shape shape{n, channels};
  for (int64_t a = 3 - d.rank; a < 3; ++a) shape.push_back(d.axis[a].*number);
  return shape;
}
Shape x_shape(const ConvDims& d) { return with_axes(d, d.n, d.c, &ConvAxis::size); }
Shape y_shape(const ConvDims& d) { return with_axes(d, d.n, d.o, &ConvAxis::out); }
Shape weight_shape(const ConvDims& d) { return with_axes(d, d.o, d.c / d.groups, &ConvAxis::kernel); }

// What convolutions and transposed ones ask of weight and groups; in: of the operand that the weight counts first.
void require_weight(const char* op, const Shape& ws, int64_t groups, int64_t rank, bool transposed) {
  if (ws.dim() != rank + 2)
    throw_error<ShapeError>(op, ": expected weight of shape ",
                            shape_in_words(transposed ? "(C, O / groups, " : "(O, C / groups, ", "K", rank), ", got ",
                            ws);
  const char* side = transposed ? "input" : "output";
  if (groups < 1 || groups > std::max<int64_t>(ws[0], 1))
    throw_error<ValueError>(op, ": expected groups from 1 to the number of ", side, " channels, got weight of shape ",
                            ws, " and groups = ", groups);
  if (ws[0] % groups != 0)
    throw_error<ShapeError>(op, ": expected ", side, " channels divisible by groups, got weight of shape ", ws,
                            " and groups = ", groups);
}

// A shape with an axis of samples, which messages do not show where x has none.
Shape with_samples(const Shape& xs, int64_t rank) {
  if (xs.dim() == rank + 2) return xs;
  Shape shape{1};
  for (const int64_t size : xs) shape.push_back(size);
  return shape;
}

void require_channels(const char* op, const Shape& xs, int64_t channels, const Shape& ws, int64_t groups,
                      int64_t rank) {
  if (xs[xs.size() - static_cast<std::size_t>(rank) - 1] == channels) return;
  const auto words = [=](const char* before) {
    return shape_in_words(detail::message(before, channels, ", ").c_str(), "", rank);
  };
  throw_error<ShapeError>(op, ": expected x of shape ", words("(N, "), xs.dim() == rank + 1 ? " or " + words("(") : "",
                          " for weight of shape ", ws, " and groups = ", groups, ", got ", xs);
}

// Every size of a convolution of an x of that shape, of samples or of one, with a weight of shape ws; throws where
// there is none.
ConvDims conv_dims(const char* op, const Shape& shape, const Shape& ws, int64_t rank, const ConvOptions& options) {
  const auto& [stride, padding, dilation, groups] = options;
  const Shape xs = with_samples(shape, rank);
  require_weight(op, ws, groups, rank, false);
  detail::require_at_least(op, "stride", 1, stride, rank);
  detail::require_at_least(op, "padding", 0, padding.sizes(), rank);
  detail::require_member(op, "Padding", padding.name(), Padding::same, "valid or same");
  detail::require_at_least(op, "dilation", 1, dilation, rank);
  require_channels(op, shape, ws[1] * groups, ws, groups, rank);
  ConvDims d{.n = xs[0], .c = xs[1], .o = ws[0], .groups = groups, .rank = rank, .axis = {}};
  std::fill_n(d.axis, 3, detail::single_axis);
  const bool same = padding.name() == Padding::same;
  for (int64_t a = 0; a < rank; ++a) {
    const int64_t size = xs[static_cast<std::size_t>(a) + 2], kernel = ws[static_cast<std::size_t>(a) + 2];
    int64_t before = padding.sizes()[a], after = before, extra = 0;
    if (same) {
      if (stride[a] != 1)
        throw_error<ValueError>(op, ": expected a stride of 1 with Padding::same, got ", spread(stride, rank));
      if (kernel >= 1 && __builtin_mul_overflow(dilation[a], kernel - 1, &extra)) extra = 0;
      before = extra / 2, after = extra - before;
    }
    const int64_t out = kernel < 1 ? 0 : detail::window_count(size, kernel, stride[a], before + after, dilation[a]);
    if (out < 1) {
      const Spatial sizes = same ? Spatial(before) : spread(padding.sizes(), rank);
      throw_error<ShapeError>(op, ": expected a kernel that fits the padded input, got x of shape ", shape,
                              ", weight of shape ", ws, ", padding = ", sizes,
                              " and dilation = ", spread(dilation, rank));
    }
    d.axis[3 - rank + a] = {.size = size,
                            .kernel = kernel,
                            .out = out,
                            .stride = stride[a],
                            .dilation = dilation[a],
                            .before = before,
                            .after = after};
  }
  return d;
}

// Those of the convolution that has an input gradient of an x of that shape with a weight of shape ws: x is its y.
ConvDims transposed_dims(const char* op, const Shape& shape, const Shape& ws, int64_t rank,
                         const ConvTransposeOptions& options) {
  const auto& [stride, padding, extra, groups, dilation] = options;
  const Shape xs = with_samples(shape, rank);
  require_weight(op, ws, groups, rank, true);
  detail::require_at_least(op, "stride", 1, stride, rank);
  detail::require_at_least(op, "padding", 0, padding, rank);
  detail::require_at_least(op, "output_padding", 0, extra, rank);
  detail::require_at_least(op, "dilation", 1, dilation, rank);
  for (int64_t a = 0; a < rank; ++a)
    if (extra[a] >= std::max(stride[a], dilation[a]))
      throw_error<ValueError>(
          op, ": expected output_padding below stride or dilation, got output_padding = ", spread(extra, rank),
          ", stride = ", spread(stride, rank), " and dilation = ", spread(dilation, rank));
  require_channels(op, shape, ws[0], ws, groups, rank);
  ConvDims d{.n = xs[0], .c = ws[1] * groups, .o = ws[0], .groups = groups, .rank = rank, .axis = {}};
  std::fill_n(d.axis, 3, detail::single_axis);
  for (int64_t a = 0; a < rank; ++a) {
    const int64_t out = xs[static_cast<std::size_t>(a) + 2], kernel = ws[static_cast<std::size_t>(a) + 2];
    int64_t size = 0, reach = 0;
    if (out < 1 || kernel < 1 || __builtin_mul_overflow(out - 1, stride[a], &size) ||
        __builtin_mul_overflow(dilation[a], kernel - 1, &reach) || __builtin_add_overflow(size, reach, &size) ||
        __builtin_add_overflow(size, extra[a] + 1 - 2 * padding[a], &size) || size < 1)
      throw_error<ShapeError>(op, ": expected a result of at least one element along each axis, got x of shape ", shape,
                              ", weight of shape ", ws, ", stride = ", spread(stride, rank),
                              ", padding = ", spread(padding, rank), " and dilation = ", spread(dilation, rank));
    // What is beyond the last window by a stride or more must not make room for another.
    d.axis[3 - rank + a] = {.size = size,
                            .kernel = kernel,
                            .out = out,
                            .stride = stride[a],
                            .dilation = dilation[a],
                            .before = padding[a],
                            .after = padding[a] - (extra[a] < stride[a] ? 0 : extra[a])};
  }
  return d;
}

// ---- the three products, on tensors of one dtype; empty sums are zeros

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

// y += bias, one number for each channel; both of float32 or float64.
void add_bias(const Tensor& y, const Tensor& bias) {
  const int64_t channels = y.size(1), plane = y.numel() / y.size(0) / channels;
  const bool channels_last = !y.is_contiguous();
  detail::visit_float(y.dtype(), [&]<class T>(T) {
    const Tensor dense = detail::as_contiguous(bias);
    T* to = y.data<T>();
    const T* b = dense.data<T>();
    const int64_t rows = y.numel() / (channels_last ? channels : plane);
    parallel_for(rows, std::max<int64_t>(1, 32768 / (channels_last ? channels : plane)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r)
                     if (channels_last)
                       for (int64_t c = 0; c < channels; ++c) to[r * channels + c] += b[c];
                     else
                       for (int64_t i = 0; i < plane; ++i) to[r * plane + i] += b[r % channels];
                 });
  });
}

// y = bias likewise, of any dtype.
void fill_with_bias(const Tensor& y, const Tensor& bias) {
  Shape shape(static_cast<std::size_t>(y.dim()), 1);
  Strides strides(static_cast<std::size_t>(y.dim()), 0);
  shape[1] = bias.size(0), strides[1] = bias.strides()[0];
  detail::copy_into(y, detail::make_view(bias, shape, strides, bias.offset()));
}

// float64 is not oneDNN's.
bool is_for_onednn(DType dtype) { return dtype == float32 || dtype == bfloat16; }

Tensor forward(const ConvDims& d, const Tensor& x_any, const Tensor& weight_any, const Tensor& bias_any) {
  const DType dtype = x_any.dtype();
  const MemoryFormat format = common_format(x_any, weight_any);
  const Tensor y = empty(y_shape(d), dtype, format);
  if (y.numel() == 0) return y;
  if (x_any.numel() == 0) {  // no channels, or only padding
    bias_any.defined() ? fill_with_bias(y, bias_any) : detail::fill(y, 0);
    return y;
  }
  const Tensor x = detail::as_contiguous(x_any, format), weight = detail::as_contiguous(weight_any);
  const Tensor bias = bias_any.defined() ? detail::as_contiguous(bias_any) : Tensor();
  if (is_for_onednn(dtype) && detail::onednn::conv_forward(d, format, dtype, x.raw_data(), weight.raw_data(),
                                                           bias.defined() ? bias.raw_data() : nullptr, y.raw_data()))
    return y;
  if (dtype == bfloat16) {
    const Tensor wide_bias = bias.defined() ? detail::as_dtype(bias, float32) : bias;
    return detail::as_dtype(forward(d, detail::as_dtype(x, float32), detail::as_dtype(weight, float32), wide_bias),
                            dtype);
  }
  detail::visit_float(dtype, [&]<class T>(T) {
    compute_row_major(y, [&](const Tensor& to) {
      detail::im2col::conv_forward(d, detail::as_contiguous(x).data<T>(), weight.data<T>(),
                                   bias.defined() ? bias.data<T>() : nullptr, to.data<T>());
    });
  });
  return y;
}

// dx in dx_dtype, which is that of the operands, or float32 where they are of bfloat16.
Tensor input_grad(const ConvDims& d, const Tensor& dy_any, const Tensor& weight_any, DType dx_dtype) {
  const DType dtype = dy_any.dtype();
  const MemoryFormat format = common_format(dy_any, weight_any);
  const Tensor dx = empty(x_shape(d), dx_dtype, format);
  if (dx.numel() == 0) return dx;
  if (dy_any.numel() == 0) {
    detail::fill(dx, 0);
    return dx;
  }
  const Tensor dy = detail::as_contiguous(dy_any, format), weight = detail::as_contiguous(weight_any);
  if (is_for_onednn(dtype) &&
      detail::onednn::conv_input_grad(d, format, dtype, dy.raw_data(), weight.raw_data(), dx_dtype, dx.raw_data()))
    return dx;
  if (dtype == bfloat16)
    return detail::as_dtype(input_grad(d, detail::as_dtype(dy, float32), detail::as_dtype(weight, float32), float32),
                            dx_dtype);
  detail::visit_float(dtype, [&]<class T>(T) {
    compute_row_major(dx, [&](const Tensor& to) {
      detail::im2col::conv_input_grad(d, detail::as_contiguous(dy).data<T>(), weight.data<T>(), to.data<T>());
    });
  });
  return dx;
}

Tensor weight_grad(const ConvDims& d, const Tensor& x_any, const Tensor& dy_any) {
  const DType dtype = x_any.dtype(), summed = dtype == bfloat16 ? float32 : dtype;
  const MemoryFormat format = common_format(x_any, dy_any);
  const Tensor dweight = empty(weight_shape(d), summed);
  if (dweight.numel() == 0 || x_any.numel() == 0 || dy_any.numel() == 0) {
    detail::fill(dweight, 0);
    return detail::as_dtype(dweight, dtype);
  }
  const Tensor x = detail::as_contiguous(x_any, format), dy = detail::as_contiguous(dy_any, format);
  if (is_for_onednn(dtype) && detail::onednn::conv_weight_grad(d, format, dtype, x.raw_data(), dy.raw_data(),
                                                               static_cast<float*>(dweight.raw_data())))
    return detail::as_dtype(dweight, dtype);
  if (dtype == bfloat16)
    return detail::as_dtype(weight_grad(d, detail::as_dtype(x, float32), detail::as_dtype(dy, float32)), dtype);
  detail::visit_float(dtype, [&]<class T>(T) {
    detail::im2col::conv_weight_grad(d, detail::as_contiguous(x).data<T>(), detail::as_contiguous(dy).data<T>(),
                                     dweight.data<T>());
  });
  return dweight;
}

// ---- their nodes, which differentiate into each other

Tensor convolved(const char* op, const ConvDims& d, const Tensor& x, const Tensor& weight, const Tensor& bias);
Tensor transposed(const char* op, const ConvDims& d, const Tensor& dy, const Tensor& weight, const Tensor& bias);
Tensor weighed(const char* op, const ConvDims& d, const Tensor& x, const Tensor& dy);

const char* name_of(const ConvDims& d) {
  static constexpr const char* names[] = {"conv1d", "conv2d", "conv3d"};
  return names[d.rank - 1];
}

struct ConvolutionNode : Node {
  ConvDims dims{};
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }

  // Two convolutions are added in float32, and rounded once. Not of one that stands alone.
  static Tensor wide(const Tensor& x, bool added) {
    return added && x.defined() && is_half(x.dtype()) ? x.to(float32) : x;
  }

  // All axes but that of the channels.
  Tensor sum_of_channels(const Tensor& dy) const {
    Axes others{0};
    for (int64_t a = 0; a < dims.rank; ++a) others.push_back(a + 2);
    return sum(dy, others);
  }
  Tensor bias_of_channels(const Tensor& bias) const {
    Shape shape(static_cast<std::size_t>(dims.rank + 1), 1);
    shape[0] = -1;
    return reshape(bias, shape);
  }
};

// With windows p, channels c, kernel positions k, and p + k the pixel that k of window p lies on:
//   y_nop = sum_{c,k} x_nc(p+k) weight_ock + bias_o
// is linear in x, weight and bias, and so are its adjoints:
//   dx_ncq = sum_{o, p+k=q} dy_nop weight_ock,  dweight_ock = sum_{n,p} dy_nop x_nc(p+k),  dbias_o = sum_{n,p} dy_nop.
// Each of <y, dy> = <x, dx> = <weight, dweight> is the same trilinear form, which is all the three backwards need.
struct ConvNode final : ConvolutionNode {
  Saved x{*this, "x"}, weight{*this, "weight"};
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? transposed("conv_input_grad", dims, dy[0], weight, {}) : Tensor(),
            needs(1) ? weighed("conv_weight_grad", dims, x, dy[0]) : Tensor(),
            needs(2) ? sum_of_channels(dy[0]) : Tensor()};
  }
  Tensors jvp(const Tensors& dx) override {
    if (!dx[0].defined() && !dx[1].defined()) return {bias_of_channels(dx[2])};
    const bool added = dx[0].defined() && dx[1].defined();
    const auto w = [&](const Tensor& t) { return wide(t, added); };
    Tensor dy;
    if (dx[0].defined()) detail::accumulate(dy, convolved(op, dims, w(dx[0]), w(weight), w(dx[2])));
    if (dx[1].defined())
      detail::accumulate(dy, convolved(op, dims, w(x), w(dx[1]), dx[0].defined() ? Tensor() : dx[2]));
    return {dy.to(dx[dx[0].defined() ? 0 : 1].dtype())};
  }
};

// A transposed convolution is the map from dy to dx, plus a bias for each channel of dx.
struct TransposedNode final : ConvolutionNode {
  Saved dy{*this, "x"}, weight{*this, "weight"};
  Tensors backward(const Tensors& ddx) override {
    return {needs(0) ? convolved(name_of(dims), dims, ddx[0], weight, {}) : Tensor(),
            needs(1) ? weighed("conv_weight_grad", dims, ddx[0], dy) : Tensor(),
            needs(2) ? sum_of_channels(ddx[0]) : Tensor()};
  }
  Tensors jvp(const Tensors& d) override {
    if (!d[0].defined() && !d[1].defined()) return {bias_of_channels(d[2])};
    const bool added = d[0].defined() && d[1].defined();
    const auto w = [&](const Tensor& t) { return wide(t, added); };
    Tensor ddx;
    if (d[0].defined()) detail::accumulate(ddx, transposed(op, dims, w(d[0]), w(weight), w(d[2])));
    if (d[1].defined()) detail::accumulate(ddx, transposed(op, dims, w(dy), w(d[1]), d[0].defined() ? Tensor() : d[2]));
    return {ddx.to(d[d[0].defined() ? 0 : 1].dtype())};
  }
};

struct ConvWeightGradNode final : ConvolutionNode {
  Saved x{*this, "x"}, dy{*this, "dy"};
  Tensors backward(const Tensors& ddweight) override {
    return {needs(0) ? transposed("conv_input_grad", dims, dy, ddweight[0], {}) : Tensor(),
            needs(1) ? convolved(name_of(dims), dims, x, ddweight[0], {}) : Tensor()};
  }
  Tensors jvp(const Tensors& d) override {
    const bool added = d[0].defined() && d[1].defined();
    const auto w = [&](const Tensor& t) { return wide(t, added); };
    Tensor ddweight;
    if (d[0].defined()) detail::accumulate(ddweight, weighed(op, dims, w(d[0]), w(dy)));
    if (d[1].defined()) detail::accumulate(ddweight, weighed(op, dims, w(x), w(d[1])));
    return {ddweight.to(d[d[0].defined() ? 0 : 1].dtype())};
  }
};

Tensor convolved(const char* op, const ConvDims& d, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const detail::OpScope scope(op);
  Tensor y = forward(d, x, weight, bias);
  if (auto* node = record_as<ConvNode>(op, y, x, weight, bias)) {
    node->dims = d;
    if (node->needs(0)) node->weight = weight;
    if (node->needs(1)) node->x = x;
  }
  return y;
}

Tensor transposed(const char* op, const ConvDims& d, const Tensor& dy, const Tensor& weight, const Tensor& bias) {
  const detail::OpScope scope(op);
  const DType dtype = dy.dtype(), summed = bias.defined() && is_half(dtype) ? float32 : dtype;  // rounded once
  Tensor dx = input_grad(d, dy, weight, summed);
  if (bias.defined() && dx.numel() > 0) add_bias(dx, detail::as_dtype(bias, summed));
  dx = detail::as_dtype(dx, dtype);
  if (auto* node = record_as<TransposedNode>(op, dx, dy, weight, bias)) {
    node->dims = d;
    if (node->needs(0)) node->weight = weight;
    if (node->needs(1)) node->dy = dy;
  }
  return dx;
}

Tensor weighed(const char* op, const ConvDims& d, const Tensor& x, const Tensor& dy) {
  const detail::OpScope scope(op);
  Tensor dweight = weight_grad(d, x, dy);
  if (auto* node = record_as<ConvWeightGradNode>(op, dweight, x, dy)) {
    node->dims = d;
    if (node->needs(0)) node->dy = dy;
    if (node->needs(1)) node->x = x;
  }
  return dweight;
}

// ---- arguments

// f(operands in a dtype that is computed in), and the result back in theirs. bfloat16 is one where the processor
// multiplies it.
template <class F>
Tensor in_computed_dtype(DType dtype, const Tensor& a, const Tensor& b, const Tensor& c, F&& f) {
  if (!is_half(dtype) || (dtype == bfloat16 && detail::multiplies_bfloat16())) return f(a, b, c);
  return f(a.to(float32), b.to(float32), c.defined() ? c.to(float32) : Tensor()).to(dtype);
}

// f(x with an axis of samples), without that axis where x has none.
template <class F>
Tensor batched(const char* op, const Tensor& x, int64_t rank, F&& f) {
  if (x.dim() == rank + 2) return f(x);
  if (x.dim() != rank + 1)
    throw_error<ShapeError>(op, ": expected x of shape ", shape_in_words("(N, C, ", "", rank), " or ",
                            shape_in_words("(C, ", "", rank), ", got ", x.shape());
  return squeeze(f(unsqueeze(x, 0)), 0);
}

void require_bias(const char* op, const Tensor& bias, int64_t channels) {
  if (bias.defined() && bias.shape() != Shape{channels})
    throw_error<ShapeError>(op, ": expected bias of shape ", Shape{channels}, ", got ", bias.shape());
}

Tensor conv(const char* op, const Tensor& any, const Tensor& w, const Tensor& b, int64_t rank,
            const ConvOptions& options) {
  detail::require_defined(op, "x", any);
  detail::require_defined(op, "weight", w);
  return batched(op, any, rank, [&](const Tensor& x_any) {
    const ConvDims dims = conv_dims(op, any.shape(), w.shape(), rank, options);
    require_bias(op, b, dims.o);
    const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x_any}, {"weight", &w}, {"bias", &b}});
    return in_computed_dtype(dtype, x_any, w, b, [&](const Tensor& x, const Tensor& weight, const Tensor& bias) {
      return convolved(op, dims, x, weight, bias);
    });
  });
}

Tensor conv_transpose(const char* op, const Tensor& any, const Tensor& w, const Tensor& b, int64_t rank,
                      const ConvTransposeOptions& options) {
  detail::require_defined(op, "x", any);
  detail::require_defined(op, "weight", w);
  return batched(op, any, rank, [&](const Tensor& x_any) {
    const ConvDims dims = transposed_dims(op, any.shape(), w.shape(), rank, options);
    require_bias(op, b, dims.c);
    const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x_any}, {"weight", &w}, {"bias", &b}});
    return in_computed_dtype(dtype, x_any, w, b, [&](const Tensor& x, const Tensor& weight, const Tensor& bias) {
      return transposed(op, dims, x, weight, bias);
    });
  });
}

// The sizes of a gradient, for which dy has to fit.
ConvDims gradient_dims(const char* op, const Shape& xs, const Shape& ws, const Tensor& dy, const ConvOptions& options) {
  if (ws.dim() < 3 || ws.dim() > 5)
    throw_error<ShapeError>(op,
                            ": expected weight of shape (O, C / groups, *kernel) with one to three axes of a "
                            "kernel, got ",
                            ws);
  if (xs.dim() != ws.dim())
    throw_error<ShapeError>(op, ": expected x of shape ", shape_in_words("(N, C, ", "", ws.dim() - 2), ", got ", xs);
  const ConvDims dims = conv_dims(op, xs, ws, ws.dim() - 2, options);
  if (dy.shape() != y_shape(dims))
    throw_error<ShapeError>(op, ": expected dy of shape ", y_shape(dims), ", got ", dy.shape());
  return dims;
}

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return conv("conv1d", x, weight, bias, 1, options);
}
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return conv("conv2d", x, weight, bias, 2, options);
}
Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  return conv("conv3d", x, weight, bias, 3, options);
}

Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTransposeOptions& options) {
  return conv_transpose("conv_transpose1d", x, weight, bias, 1, options);
}
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTransposeOptions& options) {
  return conv_transpose("conv_transpose2d", x, weight, bias, 2, options);
}
Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const ConvTransposeOptions& options) {
  return conv_transpose("conv_transpose3d", x, weight, bias, 3, options);
}

Tensor conv_input_grad(const Tensor& dy, const Tensor& weight, const Shape& x_shape, const ConvOptions& options) {
  const char* op = "conv_input_grad";
  detail::require_defined(op, "dy", dy);
  detail::require_defined(op, "weight", weight);
  const ConvDims dims = gradient_dims(op, x_shape, weight.shape(), dy, options);
  const DType dtype = detail::require_one_floating_dtype(op, {{"dy", &dy}, {"weight", &weight}});
  return in_computed_dtype(dtype, dy, weight, {}, [&](const Tensor& g, const Tensor& w, const Tensor& none) {
    return transposed(op, dims, g, w, none);
  });
}

Tensor conv_weight_grad(const Tensor& x, const Tensor& dy, const Shape& weight_shape, const ConvOptions& options) {
  const char* op = "conv_weight_grad";
  detail::require_defined(op, "x", x);
  detail::require_defined(op, "dy", dy);
  const ConvDims dims = gradient_dims(op, x.shape(), weight_shape, dy, options);
  const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x}, {"dy", &dy}});
  return in_computed_dtype(dtype, x, dy, {},
                           [&](const Tensor& a, const Tensor& g, const Tensor&) { return weighed(op, dims, a, g); });
}

}  // namespace limpid
