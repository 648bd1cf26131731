// The normalisation of half precision: stored in 16 bits, computed in float32, rounded once.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/ops/norm/detail/half_storage.hpp>
#include <limpid/ops/norm/detail/memory.hpp>

namespace limpid::detail {
namespace {

Tensor dense_float32(const Tensor& t) { return t.defined() ? as_contiguous(as_dtype(t.detach(), float32)) : t; }
Tensor narrow(const Tensor& t, DType dtype) { return t.defined() ? t.to(dtype) : t; }

/// Scratch memory for all parts.
Tensor scratch_of(Parts& parts, NormPass pass) {
  const NormDims dims = parts.largest();
  return parts.scratch(norm_scratch(pass, {dims, dense_strides(dims)}));
}

uint16_t* bits(const Tensor& t) { return t.defined() ? static_cast<uint16_t*>(t.raw_data()) : nullptr; }

/// Runs a call on half precision, part by part, whose tensors are `half`.
void run_parts(const Parts& parts, NormCall<float> whole, const HalfTensors& half) {
  const int64_t room = (half_buffer_size(parts.largest()) + 15) / 16 * 16;
  const int64_t count = std::min<int64_t>(get_num_threads(), HalfBuffers::kMost);
  const Tensor memory = empty({count * 3 * room}, float32);
  HalfBuffers buffers(memory.data<float>(), room, count);
  whole.half = half;
  whole.half.buffers = &buffers;
  whole.half.stream = norm_streams(whole.geometry.dims.size() * static_cast<int64_t>(sizeof(uint16_t)));
  parts.each(whole, [](const NormCall<float>& call) { run_norm(call); });
}

Tensor half_forward(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats) {
  if (plan.dims.pooled) {
    const NormInputs wide{to_float32(in.x.detach()), to_float32(in.gamma), to_float32(in.beta)};
    return as_dtype(norm_values(plan, wide, stats), in.x.dtype());
  }
  const Tensor y = empty(in.x.shape(), in.x.dtype(), format_of(plan));
  if (y.numel() == 0) return y;
  const Readable x = readable(plan, in.x);
  const Tensor gamma = dense_float32(in.gamma), beta = dense_float32(in.beta);
  Parts parts(plan, x.strides);
  const Tensor work = scratch_of(parts, NormPass::forward);
  run_parts(parts,
            {.pass = NormPass::forward,
             .geometry = {plan.dims, x.strides},
             .eps = plan.eps,
             .in = {.gamma = data_or_null<float>(gamma), .beta = data_or_null<float>(beta)},
             .stats = pointers(stats),
             .scratch = data_or_null<double>(work)},
            {.convert = &kernels::half_kernels(y.dtype()), .x = bits(x.tensor), .y = bits(y)});
  return y;
}

/// dx in x's dtype, dgamma and dbeta in float32.
Tensors half_backward(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats, const Tensor& any_dy,
                      const NormWanted& wanted) {
  const OpScope scope(plan.names->backward);
  const Tensor dx = wanted.dx ? empty(in.x.shape(), in.x.dtype(), format_of(plan)) : Tensor();
  const Tensor dgamma = wanted.dgamma ? zeros(plan.affine_shape()) : Tensor();
  const Tensor dbeta = wanted.dbeta ? zeros(plan.affine_shape()) : Tensor();
  if (in.x.numel() == 0) return {dx, dgamma, dbeta};
  const NormSource from = without_idle_slices(plan, {in.x, stats}, any_dy);
  const Readable x = readable(plan, from.x);
  const Tensor dy = dense(plan, any_dy), gamma = dense_float32(in.gamma);
  Parts parts(plan, x.strides);
  const Tensor work = scratch_of(parts, NormPass::backward);
  run_parts(parts,
            {.pass = NormPass::backward,
             .geometry = {plan.dims, x.strides},
             .in = {.gamma = data_or_null<float>(gamma)},
             .out = {.dgamma = data_or_null<float>(dgamma), .dbeta = data_or_null<float>(dbeta)},
             .stats = pointers(from.stats),
             .scratch = data_or_null<double>(work)},
            {.convert = &kernels::half_kernels(in.x.dtype()), .x = bits(x.tensor), .dy = bits(dy), .dx = bits(dx)});
  return {dx, dgamma, dbeta};
}

struct HalfNormNode final : Node {
  Saved x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  DType gamma_dtype{}, beta_dtype{};
  const char* name() const noexcept override { return plan.names->forward; }

  // The gradients of NormNode, rounded once; where they are to be differentiated, through float32 copies.
  Tensors backward(const Tensors& dy) override {
    const NormWanted wanted{.dx = needs(0), .dgamma = needs(1), .dbeta = needs(2)};
    const bool copies = is_grad_enabled() || plan.dims.pooled;
    const Tensors d =
        copies ? norm_gradients(plan, {to_float32(x), to_float32(gamma)}, {mean, rstd}, to_float32(dy[0]), wanted)
               : half_backward(plan, {x, gamma}, {mean, rstd}, dy[0], wanted);
    return {narrow(d[0], x.peek().dtype()), narrow(d[1], gamma_dtype), narrow(d[2], beta_dtype)};
  }
  Tensors jvp(const Tensors& dx) override {
    return {norm_tangent(plan, {to_float32(dx[0]), to_float32(dx[1]), to_float32(dx[2])},
                         {to_float32(x), to_float32(gamma)}, {mean, rstd})
                .to(x.peek().dtype())};
  }
};

}  // namespace

Tensor normalize_half(const NormPlan& plan, const NormInputs& in) {
  const NormStatistics stats = empty_statistics(plan);
  Tensor y = half_forward(plan, in, stats);
  if (auto* node = record<HalfNormNode>(y, in.x, in.gamma, in.beta)) {
    node->plan = plan;
    node->x = in.x, node->gamma = in.gamma, node->mean = stats.mean, node->rstd = stats.rstd;
    node->plan.dims.affine = in.gamma.defined() || in.beta.defined();
    if (in.gamma.defined()) node->gamma_dtype = in.gamma.dtype();
    if (in.beta.defined()) node->beta_dtype = in.beta.dtype();
  }
  return y;
}

}  // namespace limpid::detail
