#include <limpid/ops/product/detail/onednn.hpp>
#include <limpid/ops/product/detail/threads.hpp>
#include <limpid/ops/window/detail/onednn_windows.hpp>

namespace limpid::detail::onednn {
namespace {

using dnnl::memory;

#if DNNL_VERSION_MAJOR >= 3
using Forward = dnnl::pooling_forward;
using Backward = dnnl::pooling_backward;
#else
using Forward = dnnl::pooling_v2_forward;  // takes what version 3 takes
using Backward = dnnl::pooling_v2_backward;
#endif

struct MeanKey {
  bool backward;
  MeanDims dims;
  int threads;
  friend bool operator==(const MeanKey&, const MeanKey&) = default;
};

// Means over windows that count the padding, and their adjoint, in place.
Plan make_mean_plan(const dnnl::engine& engine, const MeanKey& key) {
  const MeanDims& d = key.dims;
  constexpr auto f32 = memory::data_type::f32;
  constexpr auto mean = dnnl::algorithm::pooling_avg_include_padding;
  using tag = memory::format_tag;
  // A single axis counts as a row of height 1.
  const int64_t first = d.rank == 3 ? 0 : 1;
  const auto with_axes = [&](memory::dims dims, int64_t PoolAxis::*number) {
    for (int64_t a = first; a < 3; ++a) dims.push_back(d.axis[a].*number);
    return dims;
  };
  const tag format = d.rank == 3       ? (d.channels_last ? tag::ndhwc : tag::ncdhw)
                     : d.channels_last ? tag::nhwc
                                       : tag::nchw;
  const memory::desc x(with_axes({d.n, d.c}, &PoolAxis::size), f32, format),
      y(with_axes({d.n, d.c}, &PoolAxis::out), f32, format);
  const memory::dims stride = with_axes({}, &PoolAxis::stride), kernel = with_axes({}, &PoolAxis::kernel),
                     padding = with_axes({}, &PoolAxis::padding);
  const memory::dims dilation(kernel.size(), 0);
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

// Products of all windows and channels, which may be more than fit 64 bits.
double work(const MeanDims& d) {
  double elements = static_cast<double>(d.n) * static_cast<double>(d.c);
  for (const PoolAxis& a : d.axis) elements *= static_cast<double>(a.out) * static_cast<double>(a.kernel);
  return elements;
}

bool run(bool backward, const MeanDims& d, const float* from, float* to) {
  if (is_over()) return false;
  thread_local PlanCache<MeanKey, make_mean_plan> cache;
  MeanKey key{.backward = backward, .dims = d, .threads = use_our_threads()};
  if (!onednn::is_tiny(work(d))) return cache.run(key, {from, to});
  const OneThread guard;
  key.threads = 1;
  return cache.run(key, {from, to});
}

}  // namespace

bool mean_forward(const MeanDims& dims, const float* x, float* y) { return run(false, dims, x, y); }

bool mean_grad(const MeanDims& dims, const float* dy, float* dx) {
  // Where windows overlap, oneDNN's sums depend on the number of threads if channels are interleaved; and are no
  // faster.
  if (dims.channels_last)
    for (const PoolAxis& a : dims.axis)
      if (a.kernel > a.stride) return false;
  return run(true, dims, dy, dx);
}

}  // namespace limpid::detail::onednn
