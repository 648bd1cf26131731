// The normalisation of half precision: stored in 16 bits, computed in float32, rounded once.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/kernels/half.hpp>
#include <limpid/ops/norm/detail/memory.hpp>

namespace limpid::detail {
namespace {

Tensor wide(const Tensor& t) { return t.defined() ? t.to(float32) : t; }
Tensor dense_wide(const Tensor& t) { return t.defined() ? as_contiguous(as_dtype(t.detach(), float32)) : t; }
Tensor narrow(const Tensor& t, DType dtype) { return t.defined() ? t.to(dtype) : t; }

auto* bits(const Tensor& t) { return t.defined() ? static_cast<uint16_t*>(t.raw_data()) : nullptr; }

/// Calls f(part, storage) for the parts of x, dy, y and dx (which may be undefined), in memory of half precision.
template <class F>
void each_stored(const NormPlan& plan, const Parts& parts, const Readable& x, const Tensor& dy, const Tensor& y,
                 const Tensor& dx, F&& f) {
  const int64_t room = (norm_tile(parts.most()) + 15) / 16 * 16;
  const int64_t count = std::min<int64_t>(get_num_threads(), NormTiles::kMost);
  const Tensor memory = empty({count * 3 * room}, float32);
  NormTiles tiles(memory.data<float>(), room, count);
  const NormStorage all{.convert = &kernels::half_kernels(x.tensor.dtype()),
                        .tiles = &tiles,
                        .x = bits(x.tensor),
                        .dy = bits(dy),
                        .y = bits(y),
                        .dx = bits(dx),
                        .x_strides = x.strides,
                        .stream = norm_streams(plan.dims.size() * static_cast<int64_t>(sizeof(uint16_t)))};
  parts.each([&](int64_t part) {
    NormStorage storage = all;
    storage.x = parts.in_x(all.x, part);
    storage.dy = parts.in_dense(all.dy, part);
    storage.y = parts.in_dense(all.y, part);
    storage.dx = parts.in_dense(all.dx, part);
    f(part, storage);
  });
}

Tensor half_forward(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                    const NormStatistics& stats) {
  if (plan.dims.batch) return as_dtype(norm_affine(plan, wide(x.detach()), wide(gamma), wide(beta), stats), x.dtype());
  const Tensor y = empty(x.shape(), x.dtype(), format_of(plan));
  if (y.numel() == 0) return y;
  const Readable in = readable(plan, x);
  const Tensor g = dense_wide(gamma), b = dense_wide(beta);
  const Parts parts(plan, in.strides);
  const PartScratch work(parts, norm_forward_scratch(parts.most()));
  each_stored(plan, parts, in, {}, y, {},
              [&, g_data = data_or_null<float>(g), b_data = data_or_null<float>(b), all_stats = pointers(stats)](
                  int64_t part, const NormStorage& storage) {
                detail::norm_forward(parts.dims(part), storage, parts.in_affine(g_data, part, plan.per_sample),
                                     parts.in_affine(b_data, part, plan.per_sample), plan.eps, true,
                                     parts.in_stats(all_stats, part), work[part]);
              });
  return y;
}

/// dx in x's dtype, dgamma and dbeta in float32.
Tensors half_backward(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const NormStatistics& stats,
                      const Tensor& dy, NormWanted wanted) {
  const OpScope scope("norm_backward");
  const Tensor dx = wanted.dx ? empty(x.shape(), x.dtype(), format_of(plan)) : Tensor();
  const Tensor dgamma = wanted.dgamma ? zeros(plan.affine_shape()) : Tensor();
  const Tensor dbeta = wanted.dbeta ? zeros(plan.affine_shape()) : Tensor();
  if (x.numel() == 0) return {dx, dgamma, dbeta};
  const Readable in = readable(plan, x);
  const Tensor dense_dy = dense(plan, dy), g = dense_wide(gamma);
  const Parts parts(plan, in.strides);
  const PartScratch work(parts, norm_backward_scratch(parts.most()));
  each_stored(
      plan, parts, in, dense_dy, {}, dx,
      [&, g_data = data_or_null<float>(g), dgamma_data = data_or_null<float>(dgamma),
       dbeta_data = data_or_null<float>(dbeta), all_stats = pointers(stats)](int64_t part, const NormStorage& storage) {
        detail::norm_backward(parts.dims(part), storage, parts.in_affine(g_data, part, plan.per_sample),
                              parts.in_stats(all_stats, part), parts.in_affine(dgamma_data, part, plan.per_sample),
                              parts.in_affine(dbeta_data, part, plan.per_sample), work[part]);
      });
  return {dx, dgamma, dbeta};
}

struct HalfNormNode final : Node {
  Saved x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  DType gamma_dtype{}, beta_dtype{};
  const char* op = "group_norm";
  const char* name() const noexcept override { return op; }

  // The gradients of NormNode, rounded once; where they are to be differentiated, through float32 copies.
  Tensors backward(const Tensors& dy) override {
    const NormWanted wanted{needs(0), needs(1), needs(2)};
    const Tensors d = is_grad_enabled() || plan.dims.batch
                          ? norm_gradients(plan, wide(x), wide(gamma), {mean, rstd}, wide(dy[0]), wanted)
                          : half_backward(plan, x, gamma, {mean, rstd}, dy[0], wanted);
    return {narrow(d[0], x.peek().dtype()), narrow(d[1], gamma_dtype), narrow(d[2], beta_dtype)};
  }
  Tensors jvp(const Tensors& dx) override {
    return {norm_tangent(plan, {wide(dx[0]), wide(dx[1]), wide(dx[2])}, wide(x), wide(gamma), {mean, rstd})
                .to(x.peek().dtype())};
  }
};

}  // namespace

Tensor normalize_half(const NormPlan& plan, const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta) {
  const NormStatistics stats = empty_statistics(plan);
  Tensor y = half_forward(plan, x, gamma, beta, stats);
  if (auto* node = record_as<HalfNormNode>(op, y, x, gamma, beta)) {
    node->x = x, node->gamma = gamma, node->mean = stats.mean, node->rstd = stats.rstd;
    node->plan = plan;
    node->plan.dims.affine = gamma.defined() || beta.defined();
    if (gamma.defined()) node->gamma_dtype = gamma.dtype();
    if (beta.defined()) node->beta_dtype = beta.dtype();
  }
  return y;
}

}  // namespace limpid::detail
