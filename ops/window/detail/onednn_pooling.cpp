#include <limpid/ops/detail/onednn.hpp>
#include <limpid/ops/detail/threads.hpp>
#include <limpid/ops/window/detail/onednn_windows.hpp>

namespace limpid::detail::onednn {
namespace {

using dnnl::memory;
using kernels::PoolDims;

#if DNNL_VERSION_MAJOR >= 3
using Forward = dnnl::pooling_forward;
using Backward = dnnl::pooling_backward;
#else
using Forward = dnnl::pooling_v2_forward;  // takes what version 3 takes
using Backward = dnnl::pooling_v2_backward;
#endif

struct Key {
  bool backward;
  PoolDims dims;
  int threads;
  friend bool operator==(const Key&, const Key&) = default;
};

// Means over windows that count the padding, and their adjoint, in place.
Plan make_plan(const dnnl::engine& engine, const Key& key) {
  const PoolDims& d = key.dims;
  constexpr auto f32 = memory::data_type::f32;
  constexpr auto mean = dnnl::algorithm::pooling_avg_include_padding;
  const auto format = d.channels_last ? memory::format_tag::nhwc : memory::format_tag::nchw;
  const memory::desc x({d.n, d.c, d.h, d.w}, f32, format), y({d.n, d.c, d.oh, d.ow}, f32, format);
  const memory::dims stride{d.stride_h, d.stride_w}, kernel{d.kernel_h, d.kernel_w}, padding{d.padding_h, d.padding_w};
  const memory::dims dilation{0, 0};
  const dnnl::primitive_attr attr = plan_attributes();
  const auto forward = describe<Forward>(engine, attr, dnnl::prop_kind::forward_training, mean, x, y, stride, kernel,
                                         dilation, padding, padding);
  if (!forward) return {};
  if (!key.backward) {
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

bool run(bool backward, const PoolDims& d, const float* from, float* to) {
  thread_local PlanCache<Key> cache(make_plan);
  Key key{.backward = backward, .dims = d, .threads = use_our_threads()};
  if (!is_tiny(d.work())) return cache.run(key, {from, to});
  const OneThread guard;
  key.threads = 1;
  return cache.run(key, {from, to});
}

}  // namespace

bool mean_forward(const PoolDims& dims, const float* x, float* y) { return !dims.is_cut() && run(false, dims, x, y); }

bool mean_grad(const PoolDims& dims, const float* dy, float* dx) {
  if (dims.is_cut()) return false;
  // Where windows overlap, oneDNN's sums depend on the number of threads if channels are interleaved; and are no
  // faster.
  if (dims.channels_last && (dims.kernel_h > dims.stride_h || dims.kernel_w > dims.stride_w)) return false;
  return run(true, dims, dy, dx);
}

}  // namespace limpid::detail::onednn
