#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/product/detail/buffer.hpp>
#include <limpid/ops/product/detail/onednn.hpp>
#include <limpid/ops/product/detail/threads.hpp>
#include <limpid/ops/window/detail/onednn_windows.hpp>

#include <algorithm>
#include <atomic>
#include <string_view>
#include <utility>

namespace limpid::detail::onednn {
namespace {

using dnnl::memory;
using Type = memory::data_type;

constexpr Type type_of(DType dtype) noexcept { return dtype == bfloat16 ? Type::bf16 : Type::f32; }

enum class Kind { forward, input_grad, weight_grad };

// All that a primitive was made for.
struct ConvKey {
  Kind kind;
  ConvDims dims;
  Type operands, result;
  bool channels_last, bias;
  int threads;
  // A weight gradient's x and y may be parts of wider ones: in so many rows along their first axis and channels.
  int64_t x_rows, y_rows, y_channels;
  friend bool operator==(const ConvKey&, const ConvKey&) = default;
};

// oneDNN is given two axes or three: a single one counts as a row of height 1.
int64_t first_axis(const ConvDims& d) noexcept { return d.rank == 3 ? 0 : 1; }
const ConvAxis& cut_axis(const ConvDims& d) noexcept { return d.axis[first_axis(d)]; }

// Whether a convolution of bfloat16 is faster so than one of float32 with all that converts.
bool is_fast(const ConvKey& key, std::string_view implementation) {
  if (key.operands == Type::f32) return true;
  const bool depthwise = implementation.find("dw") != std::string_view::npos;
  return is_native_bfloat16(implementation) && !(depthwise && key.kind == Kind::weight_grad);
}

// By matrix products, and without AVX-512 in input gradients channels-last, oneDNN cuts sums by the number of threads.
bool is_steady(const ConvKey& key, std::string_view implementation) {
  const auto has = [&](std::string_view part) { return implementation.find(part) != std::string_view::npos; };
  return !has("gemm") && (has("avx512") || !(key.channels_last && key.kind == Kind::input_grad));
}

// A convolution in oneDNN's terms: where our operands lie, and what it may choose between for its own.
class Description {
 public:
  Description(const dnnl::engine& engine, const ConvKey& key)
      : engine_(engine),
        key_(key),
        attr_(plan_attributes()),
        x_ours_(part_of(sizes(d().n, d().c, &ConvAxis::size), type(Kind::input_grad), d().c, key.x_rows)),
        y_ours_(part_of(sizes(d().n, d().o, &ConvAxis::out), type(Kind::forward), key.y_channels, key.y_rows)),
        w_ours_(weight_dims(), type(Kind::weight_grad), weight_tag()),
        bias_({d().o}, key.operands, tag::x) {
    // Weights, and contiguous x and y, are reordered to the layout that the kernel asks for; channels-last stays in
    // place.
    const tag inner = !key.channels_last ? tag::any : d().rank == 3 ? tag::ndhwc : tag::nhwc;
    x_any_ = {sizes(d().n, d().c, &ConvAxis::size), key.operands, inner};
    y_any_ = {sizes(d().n, d().o, &ConvAxis::out), key.operands, inner};
    w_any_ = {weight_dims(), key.operands, tag::any};
    forward_ = key.bias ? describe<Forward>(engine_, attr_, dnnl::prop_kind::forward_training, direct, x_any_, w_any_,
                                            bias_, y_any_, stride(), dilation(), padding(), padding_after())
                        : describe<Forward>(engine_, attr_, dnnl::prop_kind::forward_training, direct, x_any_, w_any_,
                                            y_any_, stride(), dilation(), padding(), padding_after());
    if (key.kind == Kind::input_grad) x_any_ = {sizes(d().n, d().c, &ConvAxis::size), key.result, inner};
    if (key.kind == Kind::weight_grad) w_any_ = {weight_dims(), key.result, tag::any};
  }

  Plan plan() const {
    if (!forward_) return {};
    switch (key_.kind) {
      case Kind::forward: return forward();
      case Kind::input_grad: return input_grad();
      case Kind::weight_grad: break;
    }
    return weight_grad();
  }

 private:
  using tag = memory::format_tag;
  using Forward = dnnl::convolution_forward;
  static constexpr auto direct = dnnl::algorithm::convolution_direct;

  const ConvDims& d() const { return key_.dims; }
  // Of what is the result of one kind, and an operand of the others.
  Type type(Kind result_of) const { return key_.kind == result_of ? key_.result : key_.operands; }
  // A number of each axis, behind what stands before them.
  memory::dims with_axes(memory::dims dims, int64_t ConvAxis::*number) const {
    for (int64_t a = first_axis(d()); a < 3; ++a) dims.push_back(d().axis[a].*number);
    return dims;
  }
  memory::dims sizes(int64_t n, int64_t channels, int64_t ConvAxis::*size) const {
    return with_axes({n, channels}, size);
  }
  memory::dims weight_dims() const {
    const int64_t g = d().groups;
    return with_axes(g == 1 ? memory::dims{d().o, d().c} : memory::dims{g, d().o / g, d().c / g}, &ConvAxis::kernel);
  }
  tag weight_tag() const {
    if (d().rank == 3) return d().groups != 1 ? tag::goidhw : tag::oidhw;
    return d().groups != 1 ? tag::goihw : tag::oihw;
  }
  memory::dims stride() const { return with_axes({}, &ConvAxis::stride); }
  memory::dims dilation() const {
    memory::dims gaps = with_axes({}, &ConvAxis::dilation);  // which is what oneDNN counts
    for (auto& gap : gaps) --gap;
    return gaps;
  }
  memory::dims padding() const { return with_axes({}, &ConvAxis::before); }
  memory::dims padding_after() const { return with_axes({}, &ConvAxis::after); }

  // Dense images, or part of ones with so many channels and rows.
  memory::desc part_of(const memory::dims& part, Type type, int64_t channels, int64_t rows) const {
    memory::dims steps(part.size());
    int64_t step = key_.channels_last ? channels : 1;
    for (std::size_t a = part.size(); --a > 2; step *= part[a]) steps[a] = step;
    steps[2] = step;
    steps[1] = key_.channels_last ? 1 : rows * step;
    // What is not used must look dense.
    steps[0] = part[0] == 1         ? part[1] * part[2] * (key_.channels_last ? step / channels : step)
               : key_.channels_last ? rows * step
                                    : channels * rows * step;
    return {part, type, steps};
  }

  Plan forward() const {
    if (!is_fast(key_, forward_.impl_info_str())) return {};
    Plan plan(engine_, Forward(forward_), forward_.scratchpad_desc());
    plan.add_input(DNNL_ARG_SRC, x_ours_, forward_.src_desc());
    plan.add_input(DNNL_ARG_WEIGHTS, w_ours_, forward_.weights_desc());
    if (key_.bias) plan.add_input(DNNL_ARG_BIAS, bias_, bias_);
    plan.add_output(DNNL_ARG_DST, y_ours_, forward_.dst_desc());
    plan.steady = is_steady(key_, forward_.impl_info_str());
    return plan;
  }

  template <class Backward>
  typename Backward::primitive_desc backward() const {
    return describe_backward<Backward>(engine_, attr_, forward_, direct, x_any_, w_any_, y_any_, stride(), dilation(),
                                       padding(), padding_after());
  }

  Plan input_grad() const {
    using Backward = dnnl::convolution_backward_data;
    const auto gradient = backward<Backward>();
    if (!gradient || !is_fast(key_, gradient.impl_info_str())) return {};
    Plan plan(engine_, Backward(gradient), gradient.scratchpad_desc());
    plan.add_input(DNNL_ARG_DIFF_DST, y_ours_, gradient.diff_dst_desc());
    plan.add_input(DNNL_ARG_WEIGHTS, w_ours_, gradient.weights_desc());
    plan.add_output(DNNL_ARG_DIFF_SRC, x_ours_, gradient.diff_src_desc());
    plan.steady = is_steady(key_, gradient.impl_info_str());
    return plan;
  }

  Plan weight_grad() const {
    using Backward = dnnl::convolution_backward_weights;
    const auto gradient = backward<Backward>();
    if (!gradient || !is_fast(key_, gradient.impl_info_str())) return {};
    Plan plan(engine_, Backward(gradient), gradient.scratchpad_desc());
    plan.add_input(DNNL_ARG_SRC, x_ours_, gradient.src_desc());
    plan.add_input(DNNL_ARG_DIFF_DST, y_ours_, gradient.diff_dst_desc());
    plan.add_output(DNNL_ARG_DIFF_WEIGHTS, w_ours_, gradient.diff_weights_desc());
    return plan;
  }

  const dnnl::engine& engine_;
  const ConvKey& key_;
  dnnl::primitive_attr attr_;
  memory::desc x_ours_, y_ours_, w_ours_, bias_, x_any_, y_any_, w_any_;
  Forward::primitive_desc forward_;
};

Plan make_conv_plan(const dnnl::engine& engine, const ConvKey& key) { return Description(engine, key).plan(); }

PlanCache<ConvKey, make_conv_plan>& cache() {
  thread_local PlanCache<ConvKey, make_conv_plan> of_thread;
  return of_thread;
}

// Where x goes on beyond all windows, by more than a stride.
bool is_cropped(const ConvDims& d) noexcept {
  return std::any_of(d.axis, d.axis + 3, [](const ConvAxis& a) { return a.after < 0; });
}

bool is_tiny(const ConvDims& d) noexcept {
  return onednn::is_tiny(static_cast<double>(d.n * d.o * d.y_plane()) * static_cast<double>(d.c / d.groups * d.taps()));
}

// From x to y, or from dy to dx.
struct Images {
  const void *from, *weight, *bias;
  void* to;
};

// Where oneDNN's result would depend on the number of threads, each sample on one.
bool run(Kind kind, const ConvDims& d, MemoryFormat format, DType dtype, DType to_dtype, const Images& images) {
  if (is_over()) return false;
  const int64_t x_size = d.c * d.x_plane(), y_size = d.o * d.y_plane();
  const auto run = [&, forward = kind == Kind::forward](const ConvKey& key, int64_t n) {
    const auto bytes = [](int64_t size, DType of) { return size * static_cast<int64_t>(itemsize(of)); };
    const void* in = static_cast<const char*>(images.from) + bytes(n * (forward ? x_size : y_size), dtype);
    void* out = static_cast<char*>(images.to) + bytes(n * (forward ? y_size : x_size), to_dtype);
    return images.bias ? cache().run(key, {in, images.weight, images.bias, out})
                       : cache().run(key, {in, images.weight, out});
  };
  ConvKey key{
      .kind = kind,
      .dims = d,
      .operands = type_of(dtype),
      .result = type_of(to_dtype),
      .channels_last = format == MemoryFormat::channels_last,
      .bias = images.bias != nullptr,
      .threads = use_our_threads(),
      .x_rows = cut_axis(d).size,
      .y_rows = cut_axis(d).out,
      .y_channels = d.o,
  };
  if (is_tiny(d)) {
    const OneThread guard;
    key.threads = 1;
    return run(key, 0);
  }
  if (cache().is_steady(key)) return run(key, 0);
  key.dims.n = key.threads = 1;
  std::atomic<bool> done = true;
  parallel_for_throwing(d.n, 1, [&](int64_t begin, int64_t end) {
    const OneThread guard;
    for (int64_t n = begin; n < end; ++n)
      if (!run(key, n)) done = false;
  });
  return done;
}

// oneDNN sums a weight gradient over samples and rows in as many parts as there are threads. So we cut it by its sizes
// alone, each part for one thread: into summands, of some samples or of some rows of y of one sample, and where these
// are few by output channels.
struct Cut {
  int64_t samples, rows, outs;  // how many parts
  explicit Cut(const ConvDims& d) {
    constexpr int64_t parts = 8, few = 2, least_pixels = 1024, least_outs = 32;
    const int64_t most = std::clamp<int64_t>(d.n * d.y_plane() / least_pixels, 1, parts);
    samples = std::min(d.n, most);
    rows = samples < d.n ? 1 : std::min(cut_axis(d).out, most / samples);
    outs = d.groups > 1 || summands() > few ? 1 : std::clamp<int64_t>(d.o / least_outs, 1, parts / (samples * rows));
  }
  int64_t summands() const noexcept { return samples * rows; }
  int64_t count() const noexcept { return summands() * outs; }
};

struct WeightGradient {
  const ConvDims& d;
  MemoryFormat format;
  DType dtype;
  const void *x, *dy;
  Cut cut{d};

  // Part i of the cut, for a dweight that is that part's summand.
  bool run(int64_t i, float* dweight) const {
    const auto share = [](int64_t size, int64_t parts, int64_t k) {
      return std::pair(size * k / parts, size * (k + 1) / parts);
    };
    const auto [n, n_end] = share(d.n, cut.samples, i / cut.outs / cut.rows);
    const ConvAxis& whole = cut_axis(d);
    const auto [p, p_end] = share(whole.out, cut.rows, i / cut.outs % cut.rows);
    const auto [o, o_end] = share(d.o, cut.outs, i % cut.outs);
    // The rows of x that windows of rows [p, p_end) reach.
    const int64_t above = p * whole.stride - whole.before;
    const int64_t below = (p_end - 1) * whole.stride - whole.before + (whole.kernel - 1) * whole.dilation + 1;
    const int64_t top = std::clamp<int64_t>(above, 0, whole.size), bottom = std::clamp<int64_t>(below, 0, whole.size);
    float* to = dweight + o * (d.c / d.groups) * d.taps();
    if (top == bottom) {  // they see padding alone
      std::fill_n(to, (o_end - o) * (d.c / d.groups) * d.taps(), 0.0f);
      return true;
    }
    ConvDims piece = d;
    piece.n = n_end - n, piece.o = o_end - o;
    ConvAxis& axis = piece.axis[first_axis(d)];
    axis.size = bottom - top, axis.out = p_end - p, axis.before = top - above, axis.after = below - bottom;
    const bool channels_last = format == MemoryFormat::channels_last;
    const ConvKey key{
        .kind = Kind::weight_grad,
        .dims = piece,
        .operands = type_of(dtype),
        .result = Type::f32,
        .channels_last = channels_last,
        .bias = false,
        .threads = 1,
        .x_rows = whole.size,
        .y_rows = whole.out,
        .y_channels = d.o,
    };
    const int64_t x_row = d.x_plane() / whole.size, y_row = d.y_plane() / whole.out;
    const auto part_of = [this](const void* whole_one, int64_t first) -> const void* {
      return static_cast<const char*>(whole_one) + first * static_cast<int64_t>(itemsize(dtype));
    };
    const void* x_part = part_of(x, n * d.c * d.x_plane() + top * x_row * (channels_last ? d.c : 1));
    const void* dy_part = part_of(
        dy, n * d.o * d.y_plane() + p * y_row * (channels_last ? d.o : 1) + o * (channels_last ? 1 : d.y_plane()));
    return cache().run(key, {x_part, dy_part, to});
  }
};

// Where several windows along the depth of a volume begin before it, oneDNN's avx512 kernel for few input channels
// steps over planes that it has not: its weight gradient is wrong, or it reads out of bounds.
bool begins_far_before(const ConvDims& d) {
  return d.rank == 3 && d.axis[0].stride > 1 && d.axis[0].before > d.axis[0].stride;
}

}  // namespace

bool conv_forward(const ConvDims& dims, MemoryFormat format, DType dtype, const void* x, const void* weight,
                  const void* bias, void* y) {
  return !is_cropped(dims) &&
         run(Kind::forward, dims, format, dtype, dtype, {.from = x, .weight = weight, .bias = bias, .to = y});
}

bool conv_input_grad(const ConvDims& dims, MemoryFormat format, DType dtype, const void* dy, const void* weight,
                     DType dx_dtype, void* dx) {
  return !is_cropped(dims) && run(Kind::input_grad, dims, format, dtype, dx_dtype,
                                  {.from = dy, .weight = weight, .bias = nullptr, .to = dx});
}

bool conv_weight_grad(const ConvDims& d, MemoryFormat format, DType dtype, const void* x, const void* dy,
                      float* dweight) {
  if (is_over() || is_cropped(d) || begins_far_before(d)) return false;
  const WeightGradient gradient{d, format, dtype, x, dy};
  const Cut& cut = gradient.cut;
  const int64_t size = d.o * (d.c / d.groups) * d.taps();
  const Buffer sums(static_cast<std::size_t>((cut.summands() - 1) * size) * sizeof(float));
  const auto summand = [&](int64_t i) { return i ? sums.as<float>() + (i - 1) * size : dweight; };
  std::atomic<bool> done = true;
  parallel_for_throwing(cut.count(), is_tiny(d) ? cut.count() : 1, [&](int64_t begin, int64_t end) {
    const OneThread guard;
    for (int64_t i = begin; i < end; ++i)
      if (!gradient.run(i, summand(i / cut.outs))) done = false;
  });
  if (!done) return false;
  parallel_for(size, 32768, [&](int64_t begin, int64_t end) {
    for (int64_t s = 1; s < cut.summands(); ++s) {
      const float* __restrict from = summand(s);
      for (int64_t i = begin; i < end; ++i) dweight[i] += from[i];
    }
  });
  return true;
}

}  // namespace limpid::detail::onednn
