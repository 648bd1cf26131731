#include <limpid/ops/window/detail/onednn.hpp>

#include <limpid/core/allocator.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/detail/threads.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace limpid::detail::onednn {
namespace {

using dnnl::memory;

// Version 2 builds a primitive from an operation descriptor, version 3 at once. Both give an empty result where no
// implementation fits.
template <class Primitive, class... Args>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const dnnl::primitive_attr& attr,
                                            const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, args..., attr, true};
#else
  return {typename Primitive::desc(args...), attr, engine, true};
#endif
}
template <class Primitive, class Forward, class... Args>
typename Primitive::primitive_desc describe_backward(const dnnl::engine& engine, const dnnl::primitive_attr& attr,
                                                     const Forward& forward, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, args..., forward, attr, true};
#else
  return {typename Primitive::desc(args...), attr, engine, forward, true};
#endif
}

// Memory from our allocator, for the length of a call.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes), data_(bytes ? allocate(bytes) : nullptr) {}
  Buffer(Buffer&& other) noexcept : bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}
  ~Buffer() {
    if (data_) deallocate(data_, bytes_);
  }
  void* data() const noexcept { return data_; }

 private:
  std::size_t bytes_;
  void* data_;
};

enum class Kind : int64_t { conv, conv_input_grad, conv_weight_grad, mean, mean_grad };

// All that a primitive was made for.
struct Key {
  Kind kind;
  ConvDims dims;
  int64_t channels_last, bias, threads;
  // A weight gradient's x and y may be parts of wider ones.
  int64_t padding_below, x_rows, y_rows, y_channels;
  friend bool operator==(const Key& a, const Key& b) noexcept { return std::memcmp(&a, &b, sizeof(Key)) == 0; }
};
static_assert(sizeof(Key) % sizeof(int64_t) == 0 && std::has_unique_object_representations_v<Key>);

// A primitive with its operands: ours, and where oneDNN wants another layout, its own and the way between the two.
class Plan {
 public:
  Plan() = default;  // for what oneDNN does not have
  Plan(const dnnl::engine& engine, const dnnl::primitive& primitive, const memory::desc& scratchpad)
      : engine_(engine),
        primitive_(primitive),
        scratchpad_(scratchpad, engine, nullptr) {
    args_.emplace(DNNL_ARG_SCRATCHPAD, scratchpad_);
  }
  explicit operator bool() const noexcept { return static_cast<bool>(primitive_); }

  /// Whether the result is the same bits for any number of threads: set it false for what is known not to be.
  bool steady = true;

  void add_input(int arg, const memory::desc& ours, const memory::desc& theirs) { add(arg, ours, theirs, false); }
  void add_output(int arg, const memory::desc& ours, const memory::desc& theirs) { add(arg, ours, theirs, true); }

  /// One pointer per operand, in the order they were added.
  void run(dnnl::stream& stream, std::initializer_list<const float*> pointers) {
    const Buffer scratch(scratchpad_.get_desc().get_size());
    scratchpad_.set_data_handle(scratch.data());
    std::vector<Buffer> buffers;
    buffers.reserve(operands_.size());
    auto pointer = pointers.begin();
    for (Operand& x : operands_) {
      x.ours.set_data_handle(const_cast<float*>(*pointer++));
      if (!x.reorder) continue;
      buffers.emplace_back(x.theirs.get_desc().get_size());
      x.theirs.set_data_handle(buffers.back().data());
      if (!x.is_output) x.reorder.execute(stream, x.ours, x.theirs);
    }
    primitive_.execute(stream, args_);
    for (Operand& x : operands_)
      if (x.reorder && x.is_output) x.reorder.execute(stream, x.theirs, x.ours);
    stream.wait();
  }

 private:
  struct Operand {
    bool is_output;
    memory ours, theirs;
    dnnl::reorder reorder;
  };

  void add(int arg, const memory::desc& ours, const memory::desc& theirs, bool is_output) {
    Operand x{is_output, memory(ours, engine_, nullptr), {}, {}};
    if (ours != theirs) {
      x.theirs = memory(theirs, engine_, nullptr);
      x.reorder = is_output ? dnnl::reorder(x.theirs, x.ours) : dnnl::reorder(x.ours, x.theirs);
    }
    args_.emplace(arg, x.reorder ? x.theirs : x.ours);
    operands_.push_back(std::move(x));
  }

  dnnl::engine engine_;
  dnnl::primitive primitive_;
  memory scratchpad_;
  std::unordered_map<int, memory> args_;
  std::vector<Operand> operands_;
};

constexpr auto f32 = memory::data_type::f32;

// Scratch memory is ours to give.
dnnl::primitive_attr plan_attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

// By matrix products, and without AVX-512 in input gradients channels-last, oneDNN cuts sums by the number of threads.
bool is_steady(const Key& key, std::string_view implementation) {
  const auto has = [&](std::string_view part) { return implementation.find(part) != std::string_view::npos; };
  return !has("gemm") && (has("avx512") || !(key.channels_last && key.kind == Kind::conv_input_grad));
}

Plan make_conv(const dnnl::engine& engine, const Key& key) {
  const ConvDims& d = key.dims;
  using tag = memory::format_tag;
  const bool grouped = d.groups != 1;
  const memory::dims x_dims{d.n, d.c, d.h, d.w}, y_dims{d.n, d.o, d.oh, d.ow}, bias_dims{d.o};
  const memory::dims w_dims =
      grouped ? memory::dims{d.groups, d.o / d.groups, d.c / d.groups, d.kh, d.kw} : memory::dims{d.o, d.c, d.kh, d.kw};
  const memory::dims stride{d.stride_h, d.stride_w}, padding{d.padding_h, d.padding_w};
  const memory::dims padding_after{key.padding_below, d.padding_w};
  const memory::dims dilation{d.dilation_h - 1, d.dilation_w - 1};  // oneDNN counts the gaps

  const auto part_of = [&](const memory::dims& part, int64_t channels, int64_t rows) -> memory::desc {
    const int64_t n = part[0], w = part[3];
    const int64_t sample = n == 1 ? part[1] * part[2] * w : channels * rows * w;  // what is not used must look dense
    if (key.channels_last) return {part, f32, memory::dims{sample, 1, w * channels, channels}};
    return {part, f32, memory::dims{sample, rows * w, w, 1}};
  };
  const memory::desc x_ours = part_of(x_dims, d.c, key.x_rows), y_ours = part_of(y_dims, key.y_channels, key.y_rows);
  const memory::desc w_ours(w_dims, f32, grouped ? tag::goihw : tag::oihw), bias_ours(bias_dims, f32, tag::x);
  // Weights, and contiguous x and y, are reordered to the layout that the kernel asks for; channels-last stays in
  // place.
  const tag inner = key.channels_last ? tag::nhwc : tag::any;
  const memory::desc x_any(x_dims, f32, inner), y_any(y_dims, f32, inner), w_any(w_dims, f32, tag::any);

  const dnnl::primitive_attr attr = plan_attributes();
  constexpr auto training = dnnl::prop_kind::forward_training;
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  using Forward = dnnl::convolution_forward;
  const auto forward = key.bias ? describe<Forward>(engine, attr, training, direct, x_any, w_any, bias_ours, y_any,
                                                    stride, dilation, padding, padding_after)
                                : describe<Forward>(engine, attr, training, direct, x_any, w_any, y_any, stride,
                                                    dilation, padding, padding_after);
  if (!forward) return {};
  switch (key.kind) {
    case Kind::conv: {
      Plan plan(engine, Forward(forward), forward.scratchpad_desc());
      plan.add_input(DNNL_ARG_SRC, x_ours, forward.src_desc());
      plan.add_input(DNNL_ARG_WEIGHTS, w_ours, forward.weights_desc());
      if (key.bias) plan.add_input(DNNL_ARG_BIAS, bias_ours, bias_ours);
      plan.add_output(DNNL_ARG_DST, y_ours, forward.dst_desc());
      plan.steady = is_steady(key, forward.impl_info_str());
      return plan;
    }
    case Kind::conv_input_grad: {
      using Backward = dnnl::convolution_backward_data;
      const auto backward = describe_backward<Backward>(engine, attr, forward, direct, x_any, w_any, y_any, stride,
                                                        dilation, padding, padding_after);
      if (!backward) return {};
      Plan plan(engine, Backward(backward), backward.scratchpad_desc());
      plan.add_input(DNNL_ARG_DIFF_DST, y_ours, backward.diff_dst_desc());
      plan.add_input(DNNL_ARG_WEIGHTS, w_ours, backward.weights_desc());
      plan.add_output(DNNL_ARG_DIFF_SRC, x_ours, backward.diff_src_desc());
      plan.steady = is_steady(key, backward.impl_info_str());
      return plan;
    }
    default: break;
  }
  using Backward = dnnl::convolution_backward_weights;
  const auto backward = describe_backward<Backward>(engine, attr, forward, direct, x_any, w_any, y_any, stride,
                                                    dilation, padding, padding_after);
  if (!backward) return {};
  Plan plan(engine, Backward(backward), backward.scratchpad_desc());
  plan.add_input(DNNL_ARG_SRC, x_ours, backward.src_desc());
  plan.add_input(DNNL_ARG_DIFF_DST, y_ours, backward.diff_dst_desc());
  plan.add_output(DNNL_ARG_DIFF_WEIGHTS, w_ours, backward.diff_weights_desc());
  return plan;
}

// Means over windows that count the padding, and their adjoint, in place.
Plan make_mean(const dnnl::engine& engine, const Key& key) {
#if DNNL_VERSION_MAJOR >= 3
  using Forward = dnnl::pooling_forward;
  using Backward = dnnl::pooling_backward;
#else
  using Forward = dnnl::pooling_v2_forward;  // takes what version 3 takes
  using Backward = dnnl::pooling_v2_backward;
#endif
  const ConvDims& d = key.dims;
  const auto outer = key.channels_last ? memory::format_tag::nhwc : memory::format_tag::nchw;
  const memory::desc x({d.n, d.c, d.h, d.w}, f32, outer), y({d.n, d.c, d.oh, d.ow}, f32, outer);
  const memory::dims stride{d.stride_h, d.stride_w}, kernel{d.kh, d.kw}, padding{d.padding_h, d.padding_w};
  const memory::dims dilation{0, 0};
  const dnnl::primitive_attr attr = plan_attributes();
  constexpr auto mean = dnnl::algorithm::pooling_avg_include_padding;
  const auto forward = describe<Forward>(engine, attr, dnnl::prop_kind::forward_training, mean, x, y, stride, kernel,
                                         dilation, padding, padding);
  if (!forward) return {};
  if (key.kind == Kind::mean) {
    Plan plan(engine, Forward(forward), forward.scratchpad_desc());
    plan.add_input(DNNL_ARG_SRC, x, x);
    plan.add_output(DNNL_ARG_DST, y, y);
    return plan;
  }
  const auto backward =
      describe_backward<Backward>(engine, attr, forward, mean, x, y, stride, kernel, dilation, padding, padding);
  if (!backward) return {};
  Plan plan(engine, Backward(backward), backward.scratchpad_desc());
  plan.add_input(DNNL_ARG_DIFF_DST, y, y);
  plan.add_output(DNNL_ARG_DIFF_SRC, x, x);
  return plan;
}

Plan make_plan(const dnnl::engine& engine, const Key& key) {
  return key.kind == Kind::mean || key.kind == Kind::mean_grad ? make_mean(engine, key) : make_conv(engine, key);
}

// A thread's plans, the most recent ones; each thread has its own, for a plan holds the pointers of a call.
class Cache {
 public:
  bool run(const Key& key, std::initializer_list<const float*> pointers) {
    Plan& plan = find(key);
    if (!plan) return false;
    plan.run(stream_, pointers);
    return true;
  }

  bool is_steady(const Key& key) { return find(key).steady; }

 private:
  static constexpr std::size_t capacity = 256;
  struct Entry {
    Key key;
    uint64_t last_use;
    Plan plan;
  };

  Plan& find(const Key& key) {
    ++clock_;
    for (Entry& entry : entries_)
      if (entry.key == key) {
        entry.last_use = clock_;
        return entry.plan;
      }
    Entry fresh{key, clock_, {}};
    try {
      fresh.plan = make_plan(engine_, key);
    } catch (const dnnl::error& e) {
      log_debug("oneDNN refuses an operation: {}", e.what());
    }
    if (entries_.size() < capacity) return entries_.emplace_back(std::move(fresh)).plan;
    const auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                         [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; });
    *oldest = std::move(fresh);
    return oldest->plan;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::vector<Entry> entries_;
  uint64_t clock_ = 0;
};

Cache& cache() {
  thread_local Cache of_thread;
  return of_thread;
}

Key key_of(Kind kind, const ConvDims& d, MemoryFormat format, bool bias) {
  return {kind, d, format == MemoryFormat::channels_last, bias, use_our_threads(), d.padding_h, d.h, d.oh, d.o};
}

// Whether so many products are done sooner than other threads would begin: they stay on the calling one.
bool is_tiny(int64_t products) noexcept { return products < int64_t{1} << 18; }
bool is_tiny(const ConvDims& d) noexcept { return is_tiny(d.n * d.o * d.oh * d.ow * (d.c / d.groups) * d.kh * d.kw); }

// From x to y, or from dy to dx: where oneDNN's result would depend on the number of threads, each sample on one.
bool run_conv(Kind kind, const ConvDims& d, MemoryFormat format, const float* from, const float* weight,
              const float* bias, float* to) {
  const int64_t x_size = d.c * d.h * d.w, y_size = d.o * d.oh * d.ow;
  const auto run = [&, forward = kind == Kind::conv](const Key& key, int64_t n) {
    const float* in = from + n * (forward ? x_size : y_size);
    float* out = to + n * (forward ? y_size : x_size);
    return bias ? cache().run(key, {in, weight, bias, out}) : cache().run(key, {in, weight, out});
  };
  Key key = key_of(kind, d, format, bias != nullptr);
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

bool run(Kind kind, const kernels::PoolDims& d, std::initializer_list<const float*> pointers) {
  const ConvDims dims{d.n,  d.c,        d.h,        d.w,         d.c,         d.kernel_h, d.kernel_w, d.oh,
                      d.ow, d.stride_h, d.stride_w, d.padding_h, d.padding_w, 1,          1,          d.c};
  const auto format = d.channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
  Key key = key_of(kind, dims, format, false);
  if (!is_tiny(d.n * d.c * d.oh * d.ow * d.kernel_h * d.kernel_w)) return cache().run(key, pointers);
  const OneThread guard;
  key.threads = 1;
  return cache().run(key, pointers);
}

// oneDNN sums a weight gradient over samples and rows in as many parts as there are threads. So we cut it by its sizes
// alone, each part for one thread: into summands, of some samples or of some rows of y of one sample, and where these
// are few by output channels.
struct Cut {
  int64_t samples, rows, outs;  // how many parts
  explicit Cut(const ConvDims& d) {
    constexpr int64_t parts = 8, few = 2, least_pixels = 1024, least_outs = 32;
    const int64_t most = std::clamp<int64_t>(d.n * d.oh * d.ow / least_pixels, 1, parts);
    samples = std::min(d.n, most);
    rows = samples < d.n ? 1 : std::min(d.oh, most / samples);
    outs = d.groups > 1 || summands() > few ? 1 : std::clamp<int64_t>(d.o / least_outs, 1, parts / (samples * rows));
  }
  int64_t summands() const noexcept { return samples * rows; }
  int64_t count() const noexcept { return summands() * outs; }
};

bool weight_grad_of_part(const ConvDims& d, const Cut& cut, int64_t part, MemoryFormat format, const float* x,
                         const float* dy, float* dweight) {
  const auto share = [](int64_t size, int64_t parts, int64_t i) {
    return std::pair(size * i / parts, size * (i + 1) / parts);
  };
  const auto [n, n_end] = share(d.n, cut.samples, part / cut.outs / cut.rows);
  const auto [p, p_end] = share(d.oh, cut.rows, part / cut.outs % cut.rows);
  const auto [o, o_end] = share(d.o, cut.outs, part % cut.outs);
  // The rows of x that windows of rows [p, p_end) reach.
  const int64_t above = p * d.stride_h - d.padding_h;
  const int64_t below = (p_end - 1) * d.stride_h - d.padding_h + (d.kh - 1) * d.dilation_h + 1;
  const int64_t top = std::clamp<int64_t>(above, 0, d.h), bottom = std::clamp<int64_t>(below, 0, d.h);
  float* to = dweight + o * (d.c / d.groups) * d.kh * d.kw;
  if (top == bottom) {  // they see padding alone
    std::fill_n(to, (o_end - o) * (d.c / d.groups) * d.kh * d.kw, 0.0f);
    return true;
  }
  ConvDims piece = d;
  piece.n = n_end - n, piece.h = bottom - top, piece.oh = p_end - p, piece.o = o_end - o;
  piece.padding_h = top - above;
  const bool channels_last = format == MemoryFormat::channels_last;
  const float* x_part = x + n * d.c * d.h * d.w + top * d.w * (channels_last ? d.c : 1);
  const float* dy_part =
      dy + n * d.o * d.oh * d.ow + p * d.ow * (channels_last ? d.o : 1) + o * (channels_last ? 1 : d.oh * d.ow);
  return cache().run({Kind::conv_weight_grad, piece, channels_last, false, 1, below - bottom, d.h, d.oh, d.o},
                     {x_part, dy_part, to});
}

}  // namespace

bool conv_forward(const ConvDims& dims, MemoryFormat format, const float* x, const float* weight, const float* bias,
                  float* y) {
  return run_conv(Kind::conv, dims, format, x, weight, bias, y);
}

bool conv_input_grad(const ConvDims& dims, MemoryFormat format, const float* dy, const float* weight, float* dx) {
  return run_conv(Kind::conv_input_grad, dims, format, dy, weight, nullptr, dx);
}

bool conv_weight_grad(const ConvDims& d, MemoryFormat format, const float* x, const float* dy, float* dweight) {
  const Cut cut(d);
  const int64_t size = d.o * (d.c / d.groups) * d.kh * d.kw;
  const Buffer sums(static_cast<std::size_t>((cut.summands() - 1) * size) * sizeof(float));
  const auto summand = [&](int64_t i) { return i ? static_cast<float*>(sums.data()) + (i - 1) * size : dweight; };
  std::atomic<bool> done = true;
  parallel_for_throwing(cut.count(), is_tiny(d) ? cut.count() : 1, [&](int64_t begin, int64_t end) {
    const OneThread guard;
    for (int64_t i = begin; i < end; ++i)
      if (!weight_grad_of_part(d, cut, i, format, x, dy, summand(i / cut.outs))) done = false;
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

bool mean_forward(const kernels::PoolDims& dims, const float* x, float* y) { return run(Kind::mean, dims, {x, y}); }

bool mean_grad(const kernels::PoolDims& dims, const float* dy, float* dx) {
  // Where windows overlap, oneDNN's sums depend on the number of threads if channels are interleaved; and are no
  // faster.
  if (dims.channels_last && (dims.kernel_h > dims.stride_h || dims.kernel_w > dims.stride_w)) return false;
  return run(Kind::mean_grad, dims, {dy, dx});
}

}  // namespace limpid::detail::onednn
