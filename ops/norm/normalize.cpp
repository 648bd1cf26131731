// Forward and backward of the normalisation family, once for all its members. Second derivatives: second.cpp.
//
// Indices: a slice is the set I of M elements that share statistics; i runs over it; c(i) is the channel of i.
// For batch_norm I spans the samples as well; for rms_norm the mean is left out, which drops the marked [terms].
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/elementwise/kernels/elementwise.hpp>
#include <limpid/ops/norm/detail/memory.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::detail {
namespace {

/// Of the statistics, whether they are given, or to be computed: for this y alone, or to be kept where they are asked
/// for.
enum class Statistics { given, transient, kept };

/// What relu, or with dy the gate of its gradient, makes of y where the call left it.
template <class T>
void relu_in_place(const NormCall<T>& call, DType dtype) noexcept {
  const kernels::StripKernel gate = kernels::arithmetic().gate[dtype], relu = kernels::arithmetic().relu[dtype];
  parallel_for(call.geometry.dims.size(), kNormGrain, [&](int64_t begin, int64_t end) {
    T* y = call.out.y + begin;
    const T* dy = call.in.dy ? call.in.dy + begin : nullptr;
    dy ? gate({end - begin, y, 1, {dy, y}, {1, 1}}) : relu({end - begin, y, 1, {y}, {1}});
  });
}

/// y in x's shape and the plan's layout; with relu_dy, what arrives for the plan's relu, that where y > 0 or NaN and
/// else 0 in its place. What follows the normalisation finds y in cache.
Tensor y_or_masked_dy(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats, Statistics kind,
                      const Tensor& relu_dy) {
  Tensor y = empty(in.x.shape(), in.x.dtype(), format_of(plan));
  if (y.numel() == 0) return y;
  const Readable x = readable(plan, in.x);
  const Tensor gamma = contiguous_or_none(in.gamma), beta = contiguous_or_none(in.beta);
  const Tensor dy = dense_or_none(plan, relu_dy);
  const NormPass pass = kind == Statistics::given ? NormPass::apply : NormPass::forward;
  Parts parts(plan, x.strides, plan.relu);
  const Tensor work = parts.scratch(norm_scratch(pass, {parts.largest(), x.strides}));
  visit_float(y.dtype(), [&]<class T>(T) {
    NormCall<T> whole{.pass = pass,
                      .geometry = {plan.dims, x.strides},
                      .eps = plan.eps,
                      .in = {.x = x.tensor.data<T>(),
                             .dy = data_or_null<T>(dy),
                             .gamma = data_or_null<T>(gamma),
                             .beta = data_or_null<T>(beta)},
                      .out = {.y = y.data<T>()},
                      .stats = pointers(stats),
                      .scratch = data_or_null<double>(work)};
    whole.stats.wanted = kind == Statistics::kept;
    parts.each(whole, [&](const NormCall<T>& call) {
      run_norm(call);
      if (plan.relu) relu_in_place(call, y.dtype());
    });
  });
  return y;
}

Tensor values_of(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats, Statistics kind) {
  return y_or_masked_dy(plan, in, stats, kind, {});
}

/// The gradient that reaches the normalisation below the plan's relu: its mask follows from what is saved, by the
/// forward's own arithmetic, bit for bit.
Tensor relu_gate(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats, const Tensor& dy);

struct NormGateNode final : SymmetricNode {
  Saved x{*this, "x"}, gamma{*this, "gamma"}, beta{*this, "beta"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return plan.names->relu_backward; }
  // z_i = dy_i [not y_i <= 0]:  d(dy)_i = dz_i [not y_i <= 0];  what decides about y_i gets none.
  Tensors backward(const Tensors& dz) override { return {relu_gate(plan, {x, gamma, beta}, {mean, rstd}, dz[0])}; }
};

Tensor relu_gate(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats, const Tensor& dy) {
  Tensor z = y_or_masked_dy(plan, in, stats, Statistics::given, dy);
  if (auto* node = record<NormGateNode>(z, dy)) {
    node->plan = plan;
    node->x = in.x, node->gamma = in.gamma, node->beta = in.beta, node->mean = stats.mean, node->rstd = stats.rstd;
  }
  return z;
}

struct NormNode : Node {
  Saved x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return plan.names->forward; }

  // y_i = gamma_c(i) xhat_i + beta_c(i),  xhat_i = r (x_i - mean),  r = (var + eps)^(-1/2).
  //
  // With a_i = gamma_c(i) dy_i, and since d mean / d x_i = 1/M and d r / d x_i = -r^2 xhat_i / M,
  //     dx_i     = r (a_i - [(1/M) sum_{j in I} a_j] - xhat_i (1/M) sum_{j in I} a_j xhat_j)
  //     dgamma_c = sum over all i with c(i) = c of dy_i xhat_i
  //     dbeta_c  = sum over all i with c(i) = c of dy_i
  // (within a sample, where each has a gamma and beta of its own: c then counts channels of samples).
  Tensors backward(const Tensors& dy) override {
    return norm_gradients(plan.without_relu(), {x, gamma}, {mean, rstd}, dy[0], {needs(0), needs(1), needs(2)});
  }
  Tensors jvp(const Tensors& dx) override {
    return {norm_tangent(plan.without_relu(), {dx[0], dx[1], dx[2]}, {x, gamma}, {mean, rstd})};
  }
};

/// y_i = max(0, the same).
struct NormReluNode final : NormNode {
  Saved beta{*this, "beta"};
  Tensors backward(const Tensors& dy) override {
    const NormInputs in{x, gamma, beta};
    if (is_grad_enabled() || plan.dims.pooled || plan.per_sample)
      return NormNode::backward({relu_gate(plan, in, {mean, rstd}, dy[0])});
    return norm_gradients(plan, in, {mean, rstd}, dy[0], {needs(0), needs(1), needs(2)});
  }
  Tensors jvp(const Tensors& dx) override {
    return {relu_gate(plan, {x, gamma, beta}, {mean, rstd}, NormNode::jvp(dx)[0])};
  }
};

struct RstdNode final : Node {
  Saved x{*this, "x"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return plan.names->rstd; }

  // d r / d x_i = -r^2 xhat_i / M.
  Tensors backward(const Tensors& dy) override {
    const Tensor xhat = reshape(normalized(plan, x, {mean, rstd}), plan.grouped_shape());
    const Tensor r = rstd_of(plan, x, {mean, rstd});
    const double m = static_cast<double>(plan.slice_size());
    return {reshape(xhat * (dy[0] * square(r) * (-1.0 / m)), x.get().shape())};
  }
};

/// gamma xhat + beta from saved statistics, as the function of x that it is.
Tensor scaled(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats) {
  Tensor y = values_of(plan, in, stats, Statistics::given);
  if (auto* node = record<NormNode>(y, in.x, in.gamma, in.beta)) {
    node->plan = plan;
    node->x = in.x, node->gamma = in.gamma, node->mean = stats.mean, node->rstd = stats.rstd;
  }
  return y;
}

struct NormBackwardNode final : Node {
  Saved dy{*this, "dy"}, x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return plan.names->backward; }

  Tensors backward(const Tensors& u) override {
    return norm_double_backward(plan, {.u = u[0], .v = u[1], .w = u[2], .dy = dy, .x = x, .gamma = gamma}, {mean, rstd},
                                {.ddy = needs(0), .dx = needs(1), .dgamma = needs(2)});
  }
};

/// The mask of a fused relu taken of dy: dy where y > 0 or NaN and else 0, slice by slice, y being what the forward
/// made of x before relu.
template <class T>
struct DyMask {
  NormCall<T> apply;       ///< Makes y where the masked dy is to be; in.dy is the dy that arrives.
  int64_t sample_scratch;  ///< Doubles per sample; only channels-last samples need any.
  kernels::StripKernel gate;

  static void make(const void* context, int64_t begin, int64_t end) noexcept {
    const auto& mask = *static_cast<const DyMask*>(context);
    const int64_t groups = mask.apply.geometry.dims.g;
    for (int64_t count = 0; begin < end; begin += count) {
      const int64_t n = begin / groups, g = begin % groups;
      count = std::min(end - begin, groups - g);
      mask.make_groups(n, g, count);
    }
  }
  /// Of groups [g, g + count) of sample n.
  void make_groups(int64_t n, int64_t g, int64_t count) const noexcept {
    const auto& [dims, x] = apply.geometry;
    const int64_t channel = g * dims.d;
    NormPart part{.dims = dims};
    part.dims.n = 1;
    part.dims.g = count;
    part.x = n * x.n + channel * x.c;
    part.dense = n * dims.channels() * dims.s + channel * dims.s;
    part.channel = channel;
    part.slice = n * dims.g + g;
    part.scratch = n * sample_scratch;
    const NormCall<T> call = view(apply, part);
    run_norm(call);
    gate({part.dims.size(), call.out.y, 1, {call.in.dy, call.out.y}, {1, 1}});
  }
};

}  // namespace

Tensor normalized(const NormPlan& plan, const Tensor& x, const NormStatistics& stats) {
  return scaled(plan, {x}, stats);
}

Tensor rstd_of(const NormPlan& plan, const Tensor& x, const NormStatistics& stats) {
  const auto& [mean, rstd] = stats;
  Tensor r =
      as_dtype(make_view(rstd, plan.stat_shape(), contiguous_strides(plan.stat_shape()), rstd.offset()), x.dtype());
  if (auto* node = record<RstdNode>(r, x)) {
    node->plan = plan;
    node->x = x, node->mean = mean, node->rstd = rstd;
  }
  return r;
}

Tensors norm_gradients(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats, const Tensor& dy,
                       const NormWanted& wanted) {
  const OpScope scope(plan.names->backward);
  const DType dtype = in.x.dtype();
  const Tensor dx = wanted.dx ? empty(in.x.shape(), dtype, format_of(plan)) : Tensor();
  const Tensor dgamma = wanted.dgamma ? empty(plan.affine_shape(), dtype) : Tensor();
  const Tensor dbeta = wanted.dbeta ? empty(plan.affine_shape(), dtype) : Tensor();
  if (in.x.numel() == 0) {
    if (wanted.dgamma) fill(dgamma, 0);
    if (wanted.dbeta) fill(dbeta, 0);
  } else {
    const NormSource from = without_idle_slices(plan, {in.x, stats}, dy);
    const Readable x = readable(plan, from.x);
    const Tensor dense_dy = dense(plan, dy), gamma = contiguous_or_none(in.gamma);
    const Tensor beta = plan.relu ? contiguous_or_none(in.beta) : Tensor();
    const Tensor masked = plan.relu ? empty(in.x.shape(), dtype, format_of(plan)) : Tensor();
    Parts parts(plan, x.strides);
    const Tensor work = parts.scratch(norm_scratch(NormPass::backward, {parts.largest(), x.strides}));
    NormDims sample = plan.dims;
    sample.n = 1;
    const int64_t sample_scratch = plan.relu ? norm_scratch(NormPass::apply, {sample, x.strides}) : 0;
    const Tensor mask_work = sample_scratch ? empty({sample_scratch * plan.dims.n}, float64) : Tensor();
    visit_float(dtype, [&]<class T>(T) {
      const NormOperands<T> operands{
          .x = x.tensor.data<T>(), .dy = dense_dy.data<T>(), .gamma = data_or_null<T>(gamma)};
      DyMask<T> mask{.apply = {.pass = NormPass::apply,
                               .geometry = {plan.dims, x.strides},
                               .in = operands,
                               .out = {.y = data_or_null<T>(masked)},
                               .stats = pointers(from.stats),
                               .scratch = data_or_null<double>(mask_work)},
                     .sample_scratch = sample_scratch,
                     .gate = kernels::arithmetic().gate[dtype]};
      mask.apply.in.beta = data_or_null<T>(beta);
      NormCall<T> whole{
          .pass = NormPass::backward,
          .geometry = {plan.dims, x.strides},
          .in = operands,
          .out = {.dx = data_or_null<T>(dx), .dgamma = data_or_null<T>(dgamma), .dbeta = data_or_null<T>(dbeta)},
          .stats = pointers(from.stats),
          .scratch = data_or_null<double>(work)};
      if (plan.relu) {
        whole.in.dy = masked.data<T>();
        whole.make_dy = {.make = &DyMask<T>::make, .context = &mask};
      }
      parts.each(whole, [](const NormCall<T>& call) { run_norm(call); });
    });
  }
  Tensors results{dx, dgamma, dbeta};
  if (auto* node = record<NormBackwardNode>(results, {dy, in.x, in.gamma})) {
    node->plan = plan;
    node->dy = dy, node->x = in.x, node->gamma = in.gamma, node->mean = stats.mean, node->rstd = stats.rstd;
  }
  return results;
}

namespace {

struct NormTangentNode final : Node {
  Saved dx{*this, "dx"}, dgamma{*this, "dgamma"}, x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"},
      rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return plan.names->tangent; }

  // dy = J d with d = (dx, dgamma, dbeta), and NormNode's backward is J^T, so that L = sum ddy dy = sum d J^T ddy: by d
  // its gradient is that backward; by x and gamma it is that of the L of NormBackwardNode, d for the gradients there.
  Tensors backward(const Tensors& ddy) override {
    const Tensors first = norm_gradients(plan, {x, gamma}, {mean, rstd}, ddy[0], {needs(0), needs(1), needs(2)});
    Tensors second(3);
    if (needs(3) || needs(4))
      second = norm_double_backward(plan, {.u = dx, .v = dgamma, .w = {}, .dy = ddy[0], .x = x, .gamma = gamma},
                                    {mean, rstd}, {.ddy = false, .dx = needs(3), .dgamma = needs(4)});
    return {first[0], first[1], first[2], second[1], second[2]};
  }
};

/// norm_tangent() of an x that moves: gamma and beta do so in the same passes.
Tensor moving_x(const NormPlan& plan, const NormTangents& d, const NormInputs& in, const NormStatistics& stats) {
  const OpScope scope(plan.names->tangent);
  Tensor dy = empty(in.x.shape(), in.x.dtype(), format_of(plan));
  if (in.x.numel() != 0) {
    const NormSource from = without_idle_slices(plan, {in.x, stats}, d.dx, d.dgamma);
    const Readable x = readable(plan, from.x);
    const Tensor dx = dense(plan, d.dx), gamma = contiguous_or_none(in.gamma);
    const Tensor dgamma = contiguous_or_none(d.dgamma), dbeta = contiguous_or_none(d.dbeta);
    Parts parts(plan, x.strides);
    const Tensor work = parts.scratch(norm_scratch(NormPass::tangent, {parts.largest(), x.strides}));
    visit_float(dy.dtype(), [&]<class T>(T) {
      const NormCall<T> whole{.pass = NormPass::tangent,
                              .geometry = {plan.dims, x.strides},
                              .in = {.x = x.tensor.data<T>(),
                                     .dy = dx.data<T>(),
                                     .gamma = data_or_null<T>(gamma),
                                     .slope = data_or_null<T>(dgamma),
                                     .offset = data_or_null<T>(dbeta)},
                              .out = {.dx = dy.data<T>()},
                              .stats = pointers(from.stats),
                              .scratch = data_or_null<double>(work)};
      parts.each(whole, [](const NormCall<T>& call) { run_norm(call); });
    });
  }
  if (auto* node = record<NormTangentNode>(dy, d.dx, d.dgamma, d.dbeta, in.x, in.gamma)) {
    node->plan = plan;
    node->dx = d.dx, node->dgamma = d.dgamma, node->x = in.x, node->gamma = in.gamma;
    node->mean = stats.mean, node->rstd = stats.rstd;
  }
  return dy;
}

}  // namespace

// dy_i = gamma_c(i) r P(dx)_i + dgamma_c(i) xhat_i + dbeta_c(i),  P(t)_i = t_i - [<t>] - xhat_i <t xhat>: P is
// symmetric, so that r P is the pass of a backward's kernels.
Tensor norm_tangent(const NormPlan& plan, const NormTangents& d, const NormInputs& in, const NormStatistics& stats) {
  if (d.dx.defined()) return moving_x(plan, d, in, stats);
  if (d.dgamma.defined()) return scaled(plan, {in.x, d.dgamma, d.dbeta}, stats);
  if (!d.dbeta.defined()) return {};
  return reshape(expand(reshape(d.dbeta, plan.channel_shape()), plan.grouped_shape()), in.x.shape());
}

Tensor norm_values(const NormPlan& plan, const NormInputs& in, const NormStatistics& stats) {
  return values_of(plan, in, stats, Statistics::kept);
}

namespace {

/// It is of the rounded y that relu asks whether it is above 0.
Tensor above_zero(const Tensor& rounded, const NormPlan& plan) { return plan.relu ? relu(rounded) : rounded; }

}  // namespace

Tensor normalize(const NormPlan& plan, const NormInputs& in) {
  const OpScope scope(plan.names->forward);
  if (is_half(in.x.dtype())) return above_zero(normalize_half(plan.without_relu(), in), plan);
  const NormStatistics stats = empty_statistics(plan);
  const bool records =
      is_grad_enabled() && (in.x.requires_grad() || in.gamma.requires_grad() || in.beta.requires_grad());
  Tensor y = values_of(plan, in, stats, records ? Statistics::kept : Statistics::transient);
  const auto fill = [&](NormNode& node) {
    node.plan = plan;
    node.x = in.x, node.gamma = in.gamma, node.mean = stats.mean, node.rstd = stats.rstd;
    node.plan.dims.affine = in.gamma.defined() || in.beta.defined();
  };
  if (!plan.relu) {
    if (auto* node = record<NormNode>(y, in.x, in.gamma, in.beta)) fill(*node);
  } else if (auto* node = record<NormReluNode>(y, in.x, in.gamma, in.beta)) {
    fill(*node);
    node->beta = in.beta;
  }
  return y;
}

SliceMoments slice_moments(const NormPlan& plan, const Tensor& x, const NormStrides& strides) {
  const NormStatistics stats = empty_statistics(plan);
  const Tensor var = empty({plan.dims.slices()}, float64);
  Parts parts(plan, strides);
  const Tensor work = parts.scratch(norm_scratch(NormPass::forward, {parts.largest(), strides}));
  visit_float(x.dtype(), [&]<class T>(T) {
    run_norm<T>({.geometry = {plan.dims, strides},
                 .eps = plan.eps,
                 .in = {.x = x.data<T>()},
                 .stats = pointers(stats, var.data<double>()),
                 .scratch = data_or_null<double>(work)});
  });
  return {make_view(stats.mean, var.shape(), {1}, 0), var};
}

SliceMoments slice_moments(const NormPlan& plan, const Tensor& x) {
  const Readable in = readable(plan, x);
  return slice_moments(plan, in.tensor, in.strides);
}

namespace {

/// mean and var (C,) as the kernels read statistics.
NormStatistics fixed_statistics(const NormPlan& plan, const Tensor& mean, const Tensor& var) {
  const NormStatistics stats = empty_statistics(plan);
  const Tensor m = as_contiguous(mean), v = as_contiguous(var);
  visit_float(mean.dtype(), [&]<class T>(T) {
    norm_fixed_stats<T>(plan.dims.slices(), m.data<T>(), v.data<T>(), plan.eps, pointers(stats));
  });
  return stats;
}

// r = 1 / sqrt(var + eps), one per channel, and 0 where var + eps is 0, as the forward has it: by double, for float32
// need not hold eps.
Tensor fixed_rstd(const NormPlan& plan, const Tensor& var) {
  const Tensor v = reshape(var, plan.stat_shape()).to(float64) + plan.eps, is_zero = eq(v, 0);
  return where(is_zero, 0, rsqrt(where(is_zero, 1, v))).to(var.dtype());
}

struct FixedNormNode final : Node {
  Saved x{*this, "x"}, mean{*this, "mean"}, var{*this, "var"}, gamma{*this, "gamma"}, beta{*this, "beta"};
  NormPlan plan;
  const char* name() const noexcept override { return plan.names->forward; }

  // y_i = gamma_c (x_i - mean_c) r_c + beta_c with r_c = (var_c + eps)^(-1/2), and statistics that do not depend on x:
  //     dx_i = gamma_c r_c dy_i;   dbeta_c = sum dy_i;   dmean_c = -sum dx_i;
  //     dgamma_c = sum dy_i (x_i - mean_c) r_c;   dvar_c = -1/2 r_c^2 sum dx_i (x_i - mean_c),
  // each sum over all i with c(i) = c; of dgamma and dbeta within a sample, where each has its own.
  Tensors backward(const Tensors& dys) override {
    const Shape grouped = plan.grouped_shape(), channels{plan.dims.channels()};
    const auto statistic = [&](const Tensor& t) { return reshape(t, plan.stat_shape()); };
    const auto channel_sum = [&](const Tensor& t) { return reshape(sum(t, {0, 3}), channels); };
    const auto affine_sum = [&](const Tensor& t) { return reshape(sum(t, plan.affine_axes()), plan.affine_shape()); };
    const Tensor below_relu =
        plan.relu ? relu_gate(plan, {x, gamma, beta}, fixed_statistics(plan, mean, var), dys[0]) : dys[0];
    const Tensor dy = reshape(below_relu, grouped), r = fixed_rstd(plan, var);
    const Tensor centred = needs(2) || needs(3) ? reshape(x, grouped) - statistic(mean) : Tensor();
    const Tensor dx = chain(dy, gamma.peek().defined() ? reshape(gamma, plan.channel_shape()) * r : r);
    return {needs(0) ? reshape(dx, x.get().shape()) : Tensor(), needs(1) ? neg(channel_sum(dx)) : Tensor(),
            needs(2) ? reshape(chain(chain(reshape(channel_sum(chain(dx, centred)), plan.stat_shape()), r), r) * -0.5,
                               channels)
                     : Tensor(),
            needs(3) ? affine_sum(chain(chain(dy, centred), r)) : Tensor(), needs(4) ? affine_sum(dy) : Tensor()};
  }
  // dy_i = gamma_c r_c (dx_i - dmean_c - 1/2 r_c^2 (x_i - mean_c) dvar_c) + dgamma_c (x_i - mean_c) r_c + dbeta_c.
  Tensors jvp(const Tensors& d) override {
    const auto statistic = [&](const Tensor& t) { return reshape(t, plan.stat_shape()); };
    const auto affine = [&](const Tensor& t) { return reshape(t, plan.channel_shape()); };
    const Tensor r = fixed_rstd(plan, var), scale = gamma.peek().defined() ? affine(gamma) * r : r;
    Tensor dy;
    if (d[0].defined()) accumulate(dy, chain(reshape(d[0], plan.grouped_shape()), scale));
    if (d[1].defined()) accumulate(dy, neg(chain(statistic(d[1]), scale)));
    if (d[4].defined()) accumulate(dy, affine(d[4]));
    Tensor slope;
    if (d[2].defined()) accumulate(slope, chain(chain(chain(statistic(d[2]), scale), r), r) * -0.5);
    if (d[3].defined()) accumulate(slope, chain(affine(d[3]), r));
    if (slope.defined()) accumulate(dy, chain(slope, reshape(x, plan.grouped_shape()) - statistic(mean)));
    dy = reshape(expand(dy, plan.grouped_shape()), outputs()[0].shape());
    return {plan.relu ? relu_gate(plan, {x, gamma, beta}, fixed_statistics(plan, mean, var), dy) : dy};
  }
};

}  // namespace

Tensor normalize_with(const NormPlan& plan, const NormInputs& in, const Tensor& mean, const Tensor& var) {
  const OpScope scope(plan.names->forward);
  if (is_half(in.x.dtype())) {
    const NormInputs wide{to_float32(in.x), to_float32(in.gamma), to_float32(in.beta)};
    const Tensor y = normalize_with(plan.without_relu(), wide, to_float32(mean), to_float32(var));
    return above_zero(y.to(in.x.dtype()), plan);
  }
  NormPlan fixed = plan;
  fixed.dims.pooled = true;  // statistics per channel
  const NormStatistics stats = fixed_statistics(fixed, mean, var);
  Tensor y = values_of(fixed, in, stats, Statistics::given);
  if (auto* node = record<FixedNormNode>(y, in.x, mean, var, in.gamma, in.beta)) {
    node->plan = fixed;
    node->x = in.x, node->mean = mean, node->var = var, node->gamma = in.gamma;
    if (plan.relu) node->beta = in.beta;
  }
  return y;
}

}  // namespace limpid::detail
