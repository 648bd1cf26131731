#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/onednn_windows.hpp>
#include <limpid/ops/window/detail/window.hpp>
#include <limpid/ops/window/kernels/pool.hpp>
#include <limpid/ops/window/kernels/spans.hpp>

#include <algorithm>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

namespace limpid {

using detail::PoolAxis;
using detail::shape_in_words;
using detail::spread;
using detail::throw_error;
using kernels::PoolDims;
using kernels::Span;
using kernels::SpanDims;

namespace {

// ---- where windows lie

// All that is known of a pooling but its operand's layout. Its windows are regular, of one size and step along each
// axis, or each has a span of its own.
struct Pooling {
  int64_t n = 0, c = 0, rank = 0;
  PoolAxis axis[3];  ///< the last `rank` are x's, those before are single
  std::vector<Span> spans[3];
  double divisor = 0;     ///< of every mean; 0: what the spans say
  bool is_plain = false;  ///< `plane` tells of the windows, too: there are two axes at most, and no dilation
  PoolDims plane{};       ///< x with all axes but the last as one

  Shape shape(int64_t PoolAxis::*size) const {
    Shape s{n, c};
    for (int64_t a = 3 - rank; a < 3; ++a) s.push_back(axis[a].*size);
    return s;
  }
  Shape x_shape() const { return shape(&PoolAxis::size); }
  Shape y_shape() const { return shape(&PoolAxis::out); }

  SpanDims dims(bool channels_last) const {
    const auto along = [this](int a) {
      return kernels::SpanAxis{spans[a].data(), axis[a].size, axis[a].out, axis[a].dilation};
    };
    return {n, c, {along(0), along(1), along(2)}, divisor, channels_last};
  }
  PoolDims plain(bool channels_last) const {
    PoolDims d = plane;
    d.channels_last = channels_last;
    return d;
  }
  /// Elements of all windows of n channels, which may be more than fit 64 bits.
  double work() const {
    double elements = static_cast<double>(n) * static_cast<double>(c);
    for (const auto& along : spans) {
      double sum = 0;
      for (const Span& span : along) sum += static_cast<double>(span.count);
      elements *= sum;
    }
    return elements;
  }
};
using PoolingRef = std::shared_ptr<const Pooling>;

void finish(Pooling& p) {
  const auto& [far, down, across] = p.axis;
  p.plane = {.n = p.n,
             .c = p.c,
             .h = far.size * down.size,
             .w = across.size,
             .oh = far.out * down.out,
             .ow = across.out,
             .kernel_h = 1,
             .kernel_w = 1,
             .stride_h = 1,
             .stride_w = 1,
             .padding_h = 0,
             .padding_w = 0,
             .kernel_size = 1};
  if (!p.is_plain) return;
  const detail::Extent rows = detail::cut_window(down.size, down.kernel, down.stride, down.padding, down.out),
                       columns =
                           detail::cut_window(across.size, across.kernel, across.stride, across.padding, across.out);
  p.plane.kernel_h = rows.kernel, p.plane.kernel_w = columns.kernel;
  p.plane.stride_h = down.stride, p.plane.stride_w = across.stride;
  p.plane.padding_h = rows.padding, p.plane.padding_w = columns.padding;
  p.plane.kernel_size = p.divisor;
}

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// How many windows an axis has; 0 where none fits.
int64_t count_windows(const PoolAxis& a, bool ceil_mode) {
  if (a.size == 0) return 0;
  if (!ceil_mode) return detail::window_count(a.size, a.kernel, a.stride, 2 * a.padding, a.dilation);
  int64_t extent;
  if (__builtin_mul_overflow(a.dilation, a.kernel - 1, &extent)) return 0;
  const int64_t count = floor_div(a.size + 2 * a.padding - extent - 1 + a.stride - 1, a.stride) + 1;
  // One that begins behind x would lie in the padding alone.
  return std::max<int64_t>(0, count - ((count - 1) * a.stride >= a.size + a.padding));
}

// Regular window p. Its size is that of its part within x and the padding, or within x alone.
Span regular_span(const PoolAxis& a, int64_t p, bool count_padding) {
  const int64_t start = p * a.stride - a.padding;
  const int64_t skipped = start < 0 ? (-start + a.dilation - 1) / a.dilation : 0, first = start + skipped * a.dilation;
  const int64_t count = first >= a.size ? 0 : std::min(a.kernel - skipped, (a.size - 1 - first) / a.dilation + 1);
  const int64_t padded = std::min(start + a.kernel, a.size + a.padding) - start;  // without dilation
  return {first, std::max<int64_t>(count, 0), count_padding ? padded : count};
}

// Whether a regular window has no element of x. None does that begins within x, nor one that steps no farther than x is
// long: it starts less than its kernel before x.
bool misses(const PoolAxis& a) {
  if (a.dilation <= a.size) return false;
  for (int64_t p = 0; p < a.out && p * a.stride < a.padding; ++p)
    if (regular_span(a, p, false).count < 1) return true;
  return false;
}

// The tables of windows, by span_of(axis, p), where there are any to compute. What exceeds the limit of memory says so
// before its table is made.
template <class F>
void make_tables(Pooling& p, DType dtype, F&& span_of) {
  if (p.is_plain || p.n == 0 || p.c == 0) return;
  empty(p.y_shape(), dtype);
  for (std::size_t a = 0; a < 3; ++a) {
    p.spans[a].reserve(static_cast<std::size_t>(p.axis[a].out));
    for (int64_t i = 0; i < p.axis[a].out; ++i) p.spans[a].push_back(span_of(p.axis[a], i));
  }
}

struct Rule {
  Spatial kernel, stride, padding, dilation = 1;
  bool ceil_mode = false, count_include_pad = true;
  std::optional<int64_t> divisor = {};
};

// Of an x that has that many axes behind its channels, and perhaps one of samples before them.
int64_t samples_of(const Tensor& x, int64_t rank) { return x.dim() == rank + 2 ? x.size(0) : 1; }

PoolingRef regular(const char* op, const Tensor& x, int64_t rank, const Rule& rule) {
  const Spatial &kernel = rule.kernel, &stride = rule.stride, &padding = rule.padding, &dilation = rule.dilation;
  detail::require_at_least(op, "kernel", 1, kernel, rank);
  detail::require_at_least(op, "stride", 1, stride, rank);
  detail::require_at_least(op, "padding", 0, padding, rank);
  detail::require_at_least(op, "dilation", 1, dilation, rank);
  detail::require_half_padded(op, kernel, padding, rank);
  if (rule.divisor && *rule.divisor == 0)
    throw_error<ValueError>(op, ": expected a divisor_override other than 0, got 0");
  const auto given = [&] {
    const bool dense = spread(dilation, rank) == spread(1, rank);
    return detail::message("x of shape ", x.shape(), ", kernel = ", spread(kernel, rank),
                           dense ? "" : detail::message(", dilation = ", spread(dilation, rank)),
                           " and padding = ", spread(padding, rank));
  };
  auto p = std::make_shared<Pooling>();
  const int64_t first = x.dim() - rank;  // of its axes, behind that of channels
  p->n = samples_of(x, rank), p->c = x.size(first - 1), p->rank = rank;
  double size = 1;
  bool is_uniform = true, is_dense = true;
  for (int64_t i = 0; i < rank; ++i) {
    PoolAxis& axis = p->axis[3 - rank + i];
    axis = {.size = x.size(first + i),
            .out = 0,
            .kernel = kernel[i],
            .stride = stride[i],
            .padding = padding[i],
            .dilation = kernel[i] == 1 ? 1 : dilation[i]};
    axis.out = count_windows(axis, rule.ceil_mode);
    if (axis.out < 1) throw_error<ShapeError>(op, ": expected a kernel that fits the padded input, got ", given());
    const int64_t counted = rule.count_include_pad ? axis.padding : 0;  // at either end
    is_uniform = is_uniform && counted == axis.padding &&
                 (axis.out - 1) * axis.stride - axis.padding + axis.kernel <= axis.size + counted;
    is_dense = is_dense && axis.dilation == 1;
    size *= static_cast<double>(axis.kernel);
  }
  p->divisor = rule.divisor ? static_cast<double>(*rule.divisor) : is_uniform ? size : 0;
  p->is_plain = rank < 3 && p->divisor != 0 && is_dense;
  if (std::any_of(std::begin(p->axis), std::end(p->axis), misses))
    throw_error<ShapeError>(op, ": expected windows that meet x, got one wholly in the padding of ", given());
  make_tables(*p, x.dtype(),
              [&](const PoolAxis& axis, int64_t i) { return regular_span(axis, i, rule.count_include_pad); });
  finish(*p);
  return p;
}

PoolingRef adaptive(const char* op, const Tensor& x, int64_t rank, const Spatial& size) {
  detail::require_at_least(op, "size", 1, size, rank);
  auto p = std::make_shared<Pooling>();
  const int64_t first = x.dim() - rank;
  p->n = samples_of(x, rank), p->c = x.size(first - 1), p->rank = rank;
  bool is_regular = true;
  double elements = 1;
  for (int64_t i = 0; i < rank; ++i) {
    PoolAxis& axis = p->axis[3 - rank + i];
    axis.size = x.size(first + i), axis.out = size[i];
    if (axis.size < 1)
      throw_error<ShapeError>(op, ": expected spatial axes of at least one element, got x of shape ", x.shape());
    axis.kernel = axis.stride = axis.size / axis.out;
    elements *= static_cast<double>(axis.kernel);
    is_regular = is_regular && axis.size % axis.out == 0;
  }
  p->divisor = is_regular ? elements : 0;
  p->is_plain = is_regular && rank < 3;
  make_tables(*p, x.dtype(), [](const PoolAxis& axis, int64_t i) {
    const int64_t m = axis.out, whole = axis.size / m,
                  rest = axis.size % m;  // i n / m without a product that overflows
    const int64_t start = i * whole + i * rest / m, end = (i + 1) * whole + ((i + 1) * rest + m - 1) / m;
    return Span{start, end - start, end - start};
  });
  finish(*p);
  return p;
}

// ---- kernels over tensors

// f(kernels for windows that are plain, those for any, x's type)
template <class F>
void with_kernels(DType dtype, F&& f) {
  dtype == float32 ? f(LIMPID_AT_ISA(pool_float), LIMPID_AT_ISA(spans_float), float{})
                   : f(LIMPID_AT_ISA(pool_double), LIMPID_AT_ISA(spans_double), double{});
}

MemoryFormat format_of(bool channels_last) {
  return channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

// Whether to lay the result out so: as x is, or where x is in both formats, as single pixels are, as otherwise.
bool lies_channels_last(const Tensor& x, bool otherwise) {
  if (x.is_contiguous() && x.is_contiguous(MemoryFormat::channels_last)) return otherwise;
  return x.memory_format() == MemoryFormat::channels_last;
}

// Shares out `count` rows of y or planes, each range with work for about so many elements of x.
template <class F>
void share_out(int64_t count, double work, F&& f) {
  parallel_for(count, std::max<int64_t>(1, static_cast<int64_t>(32768 * static_cast<double>(count) / work)), f);
}
template <class F>
void for_planes(const PoolDims& d, F&& f) {
  share_out(d.planes(), static_cast<double>(d.n * d.c) * static_cast<double>(d.h * d.w), f);
}

// oneDNN knows regular windows alone, and computes on several channels or rows at a time.
bool is_for_onednn(const Pooling& p) {
  if (p.rank == 1 || p.c < 8) return false;
  double size = 1;
  for (const PoolAxis& a : p.axis) size *= static_cast<double>(a.kernel);
  return p.divisor != 0 && p.divisor == size && !(p.is_plain && p.plane.is_cut());
}
detail::onednn::MeanDims mean_dims(const Pooling& p, bool channels_last) {
  return {p.n, p.c, p.rank, {p.axis[0], p.axis[1], p.axis[2]}, channels_last};
}

// ---- the pair of linear maps that a maximum's gradients go by: y[p] = x[index[p]], and dx[index[p]] += dy[p]

struct IndexedNode : Node {
  Saved index{*this, "index"};
  PoolingRef pooling;
  bool channels_last = false;
};

// index is in the format given, which x and dy are brought to.
Tensor gather_windows(const PoolingRef& p, bool channels_last, const Tensor& x, const Tensor& index);
Tensor scatter_windows(const PoolingRef& p, bool channels_last, const Tensor& dy, const Tensor& index);

struct GatherWindowsNode final : IndexedNode {
  const char* name() const noexcept override { return "max_pool_gather"; }
  Tensors backward(const Tensors& dy) override { return {scatter_windows(pooling, channels_last, dy[0], index)}; }
  Tensors jvp(const Tensors& dx) override { return {gather_windows(pooling, channels_last, dx[0], index)}; }
};

struct ScatterWindowsNode final : IndexedNode {
  const char* name() const noexcept override { return "max_pool_scatter"; }
  Tensors backward(const Tensors& ddx) override { return {gather_windows(pooling, channels_last, ddx[0], index)}; }
  Tensors jvp(const Tensors& d) override { return {scatter_windows(pooling, channels_last, d[0], index)}; }
};

struct MaxPoolNode final : IndexedNode {
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // With index_p the first maximum of window p, y_p = x_(index_p):  dx_q = sum_{p: index_p = q} dy_p
  Tensors backward(const Tensors& dy) override { return {scatter_windows(pooling, channels_last, dy[0], index)}; }
  Tensors jvp(const Tensors& dx) override { return {gather_windows(pooling, channels_last, dx[0], index)}; }
};

void keep(IndexedNode* node, const PoolingRef& p, bool channels_last, const Tensor& index) {
  if (!node) return;
  node->index = index;
  node->pooling = p;
  node->channels_last = channels_last;
}

Tensor gather_windows(const PoolingRef& p, bool channels_last, const Tensor& x_any, const Tensor& index) {
  const PoolDims d = p->plain(channels_last);
  const Tensor x = detail::as_contiguous(x_any, format_of(channels_last));
  Tensor y = empty(p->y_shape(), x.dtype(), format_of(channels_last));
  if (y.numel())
    with_kernels(x.dtype(), [&]<class T>(const auto& k, const auto&, T) {
      for_planes(d, [&, from = x.data<T>(), at = index.data<int32_t>(), to = y.data<T>()](int64_t begin, int64_t end) {
        k.gather(d, begin, end, from, at, to);
      });
    });
  keep(record<GatherWindowsNode>(y, x_any), p, channels_last, index);
  return y;
}

Tensor scatter_windows(const PoolingRef& p, bool channels_last, const Tensor& dy_any, const Tensor& index) {
  const PoolDims d = p->plain(channels_last);
  const Tensor dy = detail::as_contiguous(dy_any, format_of(channels_last));
  Tensor dx = empty(p->x_shape(), dy.dtype(), format_of(channels_last));
  if (dx.numel())
    with_kernels(dy.dtype(), [&]<class T>(const auto& k, const auto&, T) {
      for_planes(d, [&, from = dy.data<T>(), at = index.data<int32_t>(), to = dx.data<T>()](
                        int64_t begin, int64_t end) { k.scatter(d, begin, end, from, at, to); });
    });
  keep(record<ScatterWindowsNode>(dx, dy_any), p, channels_last, index);
  return dx;
}

// y, and the indices where they are wanted or recorded.
Selection maxima(const char* op, const PoolingRef& p, const Tensor& x_any, bool with_indices) {
  const detail::OpScope scope(op);
  if (p->plane.h * p->plane.w > std::numeric_limits<int32_t>::max())
    throw_error<ShapeError>(op, ": expected planes of fewer than 2^31 elements, got x of shape ", x_any.shape());
  const bool channels_last = lies_channels_last(x_any, false);
  const Tensor x = detail::as_contiguous(x_any, format_of(channels_last));
  Tensor y = empty(p->y_shape(), x.dtype(), format_of(channels_last));
  const bool indexed = with_indices || (is_grad_enabled() && x_any.requires_grad());
  const Tensor index = indexed ? empty(p->y_shape(), int32, format_of(channels_last)) : Tensor();
  if (y.numel())
    with_kernels(x.dtype(), [&]<class T>(const auto& plain, const auto& any, T) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      int32_t* at = indexed ? index.data<int32_t>() : nullptr;
      if (p->is_plain) {
        const PoolDims d = p->plain(channels_last);
        share_out(d.rows(), d.work(), [&](int64_t begin, int64_t end) { plain.max(d, begin, end, from, to, at); });
      } else {
        const SpanDims d = p->dims(channels_last);
        share_out(d.rows(), p->work(), [&](int64_t begin, int64_t end) { any.max(d, begin, end, from, to, at); });
      }
    });
  keep(record_as<MaxPoolNode>(op, y, x_any), p, channels_last, index);
  return {y, with_indices ? detail::as_dtype(index, int64) : Tensor()};
}

// ---- means and their adjoint

Tensor means(const char* op, const PoolingRef& p, bool channels_last, const Tensor& x);
Tensor spread_over_windows(const char* op, const PoolingRef& p, bool channels_last, const Tensor& dy);

struct MeanNode : Node {
  PoolingRef pooling;
  bool channels_last = false;
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
};

struct AvgPoolNode final : MeanNode {
  // y_p = sum_{k} x_(p+k) / K_p over the elements k of window p:  dx_q = sum_{p+k=q} dy_p / K_p
  Tensors backward(const Tensors& dy) override {
    return {spread_over_windows("avg_pool_grad", pooling, channels_last, dy[0])};
  }
  Tensors jvp(const Tensors& dx) override { return {means(op, pooling, channels_last, dx[0])}; }
};

struct AvgPoolGradNode final : MeanNode {
  // The adjoint of the adjoint.
  Tensors backward(const Tensors& ddx) override { return {means("avg_pool", pooling, channels_last, ddx[0])}; }
  Tensors jvp(const Tensors& d) override { return {spread_over_windows(op, pooling, channels_last, d[0])}; }
};

void keep(MeanNode* node, const PoolingRef& p, bool channels_last) {
  if (!node) return;
  node->pooling = p;
  node->channels_last = channels_last;
}

Tensor means(const char* op, const PoolingRef& p, bool otherwise, const Tensor& x_any) {
  const detail::OpScope scope(op);
  const bool channels_last = lies_channels_last(x_any, otherwise);
  const Tensor x = detail::as_contiguous(x_any, format_of(channels_last));
  Tensor y = empty(p->y_shape(), x.dtype(), format_of(channels_last));
  if (y.numel())
    with_kernels(x.dtype(), [&]<class T>(const auto& plain, const auto& any, T) {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      if constexpr (std::is_same_v<T, float>)
        if (is_for_onednn(*p) && detail::onednn::mean_forward(mean_dims(*p, channels_last), from, to)) return;
      if (p->is_plain) {
        const PoolDims d = p->plain(channels_last);
        share_out(d.rows(), d.work(), [&](int64_t begin, int64_t end) { plain.mean(d, begin, end, from, to); });
      } else {
        const SpanDims d = p->dims(channels_last);
        share_out(d.rows(), p->work(), [&](int64_t begin, int64_t end) { any.mean(d, begin, end, from, to); });
      }
    });
  keep(record_as<AvgPoolNode>(op, y, x_any), p, channels_last);
  return y;
}

Tensor spread_over_windows(const char* op, const PoolingRef& p, bool otherwise, const Tensor& dy_any) {
  const bool channels_last = lies_channels_last(dy_any, otherwise);
  const Tensor dy = detail::as_contiguous(dy_any, format_of(channels_last));
  Tensor dx = empty(p->x_shape(), dy.dtype(), format_of(channels_last));
  if (dx.numel())
    with_kernels(dy.dtype(), [&]<class T>(const auto& plain, const auto& any, T) {
      const T* from = dy.data<T>();
      T* to = dx.data<T>();
      if constexpr (std::is_same_v<T, float>)
        if (is_for_onednn(*p) && detail::onednn::mean_grad(mean_dims(*p, channels_last), from, to)) return;
      if (p->is_plain) {
        const PoolDims d = p->plain(channels_last);
        for_planes(d, [&](int64_t begin, int64_t end) { plain.spread(d, begin, end, from, to); });
      } else {
        const SpanDims d = p->dims(channels_last);
        share_out(d.planes(), p->work(), [&](int64_t begin, int64_t end) { any.spread(d, begin, end, from, to); });
      }
    });
  keep(record_as<AvgPoolGradNode>(op, dx, dy_any), p, channels_last);
  return dx;
}

// ---- arguments

// What of a pooling is asked for.
enum class Wanted { means, maxima, maxima_and_indices };

// pooling_of(): of x as it was given, whose shape messages show.
template <class F>
Selection pool(const char* op, const Tensor& x, int64_t rank, Wanted wanted, F&& pooling_of) {
  detail::require_defined(op, "x", x);
  if (x.dim() != rank + 1 && x.dim() != rank + 2)
    throw_error<ShapeError>(op, ": expected x of shape ", shape_in_words("(N, C, ", "", rank), " or ",
                            shape_in_words("(C, ", "", rank), ", got ", x.shape());
  const bool is_batch = x.dim() == rank + 2;
  const Tensor batch = is_batch ? x : unsqueeze(x, 0);
  const PoolingRef pooling = pooling_of();
  const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x}});
  const Tensor computed = is_half(dtype) ? batch.to(float32) : batch;
  Selection y = wanted == Wanted::means ? Selection{means(op, pooling, false, computed), {}}
                                        : maxima(op, pooling, computed, wanted == Wanted::maxima_and_indices);
  y.values = y.values.to(dtype);
  if (is_batch) return y;
  return {squeeze(y.values, 0), y.indices.defined() ? squeeze(y.indices, 0) : Tensor()};
}

Selection max_pool(const char* op, const Tensor& x, int64_t rank, Wanted wanted, const Spatial& kernel,
                   const MaxPoolOptions& options) {
  const auto& [stride, padding, dilation, ceil_mode] = options;
  const Rule rule{.kernel = kernel,
                  .stride = stride.value_or(kernel),
                  .padding = padding,
                  .dilation = dilation,
                  .ceil_mode = ceil_mode,
                  // A maximum counts nothing: the windows of all sizes are alike to it.
                  .divisor = 1};
  return pool(op, x, rank, wanted, [&] { return regular(op, x, rank, rule); });
}

Tensor avg_pool(const char* op, const Tensor& x, int64_t rank, const Spatial& kernel, const AvgPoolOptions& options) {
  const auto& [stride, padding, ceil_mode, count_include_pad, divisor_override] = options;
  const Rule rule{.kernel = kernel,
                  .stride = stride.value_or(kernel),
                  .padding = padding,
                  .ceil_mode = ceil_mode,
                  .count_include_pad = count_include_pad,
                  .divisor = divisor_override};
  return pool(op, x, rank, Wanted::means, [&] { return regular(op, x, rank, rule); }).values;
}

Selection adaptive_pool(const char* op, const Tensor& x, int64_t rank, Wanted wanted, const Spatial& size) {
  return pool(op, x, rank, wanted, [&] { return adaptive(op, x, rank, size); });
}

}  // namespace

#define LIMPID_POOLS(rank)                                                                                          \
  Tensor max_pool##rank##d(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options) {                 \
    return max_pool("max_pool" #rank "d", x, rank, Wanted::maxima, kernel, options).values;                         \
  }                                                                                                                 \
  Selection max_pool##rank##d_with_indices(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options) { \
    return max_pool("max_pool" #rank "d", x, rank, Wanted::maxima_and_indices, kernel, options);                    \
  }                                                                                                                 \
  Tensor avg_pool##rank##d(const Tensor& x, const Spatial& kernel, const AvgPoolOptions& options) {                 \
    return avg_pool("avg_pool" #rank "d", x, rank, kernel, options);                                                \
  }                                                                                                                 \
  Tensor adaptive_avg_pool##rank##d(const Tensor& x, const Spatial& size) {                                         \
    return adaptive_pool("adaptive_avg_pool" #rank "d", x, rank, Wanted::means, size).values;                       \
  }                                                                                                                 \
  Tensor adaptive_max_pool##rank##d(const Tensor& x, const Spatial& size) {                                         \
    return adaptive_pool("adaptive_max_pool" #rank "d", x, rank, Wanted::maxima, size).values;                      \
  }                                                                                                                 \
  Selection adaptive_max_pool##rank##d_with_indices(const Tensor& x, const Spatial& size) {                         \
    return adaptive_pool("adaptive_max_pool" #rank "d", x, rank, Wanted::maxima_and_indices, size);                 \
  }
LIMPID_POOLS(1)
LIMPID_POOLS(2)
LIMPID_POOLS(3)
#undef LIMPID_POOLS

}  // namespace limpid
