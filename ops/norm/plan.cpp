// Forward and backward of the normalisation family, once for all its members. Second derivatives: norm_double.cpp.
//
// Indices: a slice is the set I of M elements that share statistics; i runs over it; c(i) is the channel of i.
// For batch_norm I spans the samples as well; for rms_norm the mean is left out, which drops the marked [terms].
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/elementwise/kernels/elementwise.hpp>
#include <limpid/ops/norm/detail/memory.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::detail {
namespace {

/// Of the statistics, whether they are given, or to be computed: for this y alone, or to be left in their place.
enum class Statistics { given, passing, wanted };

/// y in x's shape and the plan's layout. With relu_dy, what arrives for the plan's relu, dy where y > 0 and else 0
/// instead. What follows the normalisation finds y in cache.
Tensor affine_of(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                 const NormStatistics& stats, Statistics kind, const Tensor& relu_dy = {}) {
  Tensor y = empty(x.shape(), x.dtype(), format_of(plan));
  if (y.numel() == 0) return y;
  const Readable in = readable(plan, x);
  const Tensor g = contiguous_or_none(gamma), b = contiguous_or_none(beta);
  const Tensor dense_dy = relu_dy.defined() ? dense(plan, relu_dy) : relu_dy;
  const Parts parts(plan, in.strides, plan.relu);
  const PartScratch work(parts, norm_forward_scratch(parts.most()));
  visit_float(x.dtype(), [&]<class T>(T) {
    const kernels::StripKernel gate = kernels::arithmetic().gate[x.dtype()],
                               relu = kernels::arithmetic().relu[x.dtype()];
    parts.each([&, x_data = static_cast<const T*>(in.tensor.data<T>()), y_data = y.data<T>(),
                g_data = data_or_null<T>(g), b_data = data_or_null<T>(b), dy_data = data_or_null<T>(dense_dy),
                all_stats = pointers(stats)](int64_t part) {
      const NormDims dims = parts.dims(part);
      const T *x_at = parts.in_x(x_data, part), *gamma_at = parts.in_affine(g_data, part, plan.per_sample),
              *beta_at = parts.in_affine(b_data, part, plan.per_sample), *dy_at = parts.in_dense(dy_data, part);
      T* y_at = parts.in_dense(y_data, part);
      NormStats stats_at = parts.in_stats(all_stats, part);
      stats_at.wanted = kind == Statistics::wanted;
      if (kind != Statistics::given)
        norm_forward<T>(dims, x_at, in.strides, gamma_at, beta_at, plan.eps, y_at, stats_at, work[part]);
      else
        norm_apply<T>(dims, x_at, in.strides, gamma_at, beta_at, stats_at, y_at, work[part]);
      if (!plan.relu) return;
      parallel_for(dims.size(), kNormGrain, [&](int64_t begin, int64_t end) {
        T* to = y_at + begin;
        dy_at ? gate({end - begin, to, 1, {dy_at + begin, to}, {1, 1}}) : relu({end - begin, to, 1, {to}, {1}});
      });
    });
  });
  return y;
}

/// What lies below the plan's relu.
NormPlan linear(NormPlan plan) {
  plan.relu = false;
  return plan;
}

/// The gradient that reaches the normalisation below the plan's relu: its mask follows from what is saved, by the
/// forward's own arithmetic, bit for bit.
Tensor relu_gate(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                 const NormStatistics& stats, const Tensor& dy);

struct NormGateNode final : SymmetricNode {
  Saved x{*this, "x"}, gamma{*this, "gamma"}, beta{*this, "beta"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return "relu_backward"; }
  // z_i = dy_i [y_i > 0]:  d(dy)_i = dz_i [y_i > 0];  what decides about y_i gets none.
  Tensors backward(const Tensors& dz) override { return {relu_gate(plan, x, gamma, beta, {mean, rstd}, dz[0])}; }
};

Tensor relu_gate(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                 const NormStatistics& stats, const Tensor& dy) {
  Tensor z = affine_of(plan, x, gamma, beta, stats, Statistics::given, dy);
  if (auto* node = record<NormGateNode>(z, dy)) {
    node->x = x, node->gamma = gamma, node->beta = beta, node->mean = stats.mean, node->rstd = stats.rstd;
    node->plan = plan;
  }
  return z;
}

/// relu_beta: y = relu(...) of that beta, or of none, and its mask has yet to be taken of dy; not recorded then.
struct ReluBeta {
  Tensor beta;
};
Tensors norm_backward(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                      const Tensor& rstd, const Tensor& dy, NormWanted wanted, const ReluBeta* relu_beta = nullptr);

struct NormNode : Node {
  Saved x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* op = "group_norm";
  const char* name() const noexcept override { return op; }

  // y_i = gamma_c(i) xhat_i + beta_c(i),  xhat_i = r (x_i - mean),  r = (var + eps)^(-1/2).
  //
  // With a_i = gamma_c(i) dy_i, and since d mean / d x_i = 1/M and d r / d x_i = -r^2 xhat_i / M,
  //     dx_i     = r (a_i - [(1/M) sum_{j in I} a_j] - xhat_i (1/M) sum_{j in I} a_j xhat_j)
  //     dgamma_c = sum over all i with c(i) = c of dy_i xhat_i
  //     dbeta_c  = sum over all i with c(i) = c of dy_i
  // (within a sample, where each has a gamma and beta of its own: c then counts channels of samples).
  Tensors backward(const Tensors& dy) override {
    return norm_backward(plan, x, gamma, mean, rstd, dy[0], {needs(0), needs(1), needs(2)});
  }
  Tensors jvp(const Tensors& dx) override {
    return {norm_tangent(linear(plan), {dx[0], dx[1], dx[2]}, x, gamma, {mean, rstd})};
  }
};

/// y_i = max(0, the same).
struct NormReluNode final : NormNode {
  Saved beta{*this, "beta"};
  Tensors backward(const Tensors& dy) override {
    if (is_grad_enabled() || plan.dims.batch || plan.per_sample)
      return NormNode::backward({relu_gate(plan, x, gamma, beta, {mean, rstd}, dy[0])});
    const ReluBeta relu_beta{beta};
    return norm_backward(plan, x, gamma, mean, rstd, dy[0], {needs(0), needs(1), needs(2)}, &relu_beta);
  }
  Tensors jvp(const Tensors& dx) override {
    return {relu_gate(plan, x, gamma, beta, {mean, rstd}, NormNode::jvp(dx)[0])};
  }
};

struct RstdNode final : Node {
  Saved x{*this, "x"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return "norm_rstd"; }
  Tensors backward(const Tensors& dy) override;
};

}  // namespace

Tensor rstd_of(const NormPlan& plan, const Tensor& x, const NormStatistics& stats) {
  const auto& [mean, rstd] = stats;
  Tensor r =
      as_dtype(make_view(rstd, plan.stat_shape(), contiguous_strides(plan.stat_shape()), rstd.offset()), x.dtype());
  if (auto* node = record<RstdNode>(r, x)) {
    node->x = x, node->mean = mean, node->rstd = rstd;
    node->plan = plan;
  }
  return r;
}

// d r / d x_i = -r^2 xhat_i / M.
Tensors RstdNode::backward(const Tensors& dy) {
  const Tensor xhat = reshape(normalized(plan, x, {mean, rstd}), plan.grouped_shape());
  const Tensor r = rstd_of(plan, x, {mean, rstd});
  const double m = static_cast<double>(plan.slice_size());
  return {reshape(xhat * (dy[0] * square(r) * (-1.0 / m)), x.get().shape())};
}

namespace {

/// gamma xhat + beta from saved statistics, as the function of x that it is.
Tensor scaled(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& beta,
              const NormStatistics& stats) {
  Tensor y = affine_of(plan, x, gamma, beta, stats, Statistics::given);
  if (auto* node = record<NormNode>(y, x, gamma, beta)) {
    node->x = x, node->gamma = gamma, node->mean = stats.mean, node->rstd = stats.rstd;
    node->plan = plan;
  }
  return y;
}

}  // namespace

Tensor normalized(const NormPlan& plan, const Tensor& x, const NormStatistics& stats) {
  return scaled(plan, x, {}, {}, stats);
}

namespace {

struct NormBackwardNode final : Node {
  Saved dy{*this, "dy"}, x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return "group_norm_backward"; }

  Tensors backward(const Tensors& u) override {
    return norm_double_backward(plan, {u[0], u[1], u[2], dy, x, gamma}, {mean, rstd}, {needs(0), needs(1), needs(2)});
  }
};

/// dy where y > 0 and else 0, slice by slice, y being what the forward made of x before relu.
template <class T>
struct MaskedDy {
  NormDims sample;
  NormStrides x_strides;
  const T *x, *gamma, *beta, *dy;
  NormStats stats;
  T* masked;
  double* scratch;  ///< of sample_scratch doubles per sample; only channels-last samples need any
  int64_t sample_scratch;
  kernels::StripKernel gate;

  static void make(const void* context, int64_t begin, int64_t end) noexcept {
    const auto& m = *static_cast<const MaskedDy*>(context);
    for (int64_t count = 0; begin < end; begin += count) {
      const int64_t n = begin / m.sample.g, g = begin % m.sample.g;
      count = std::min(end - begin, m.sample.g - g);
      m.make_groups(n, g, count);
    }
  }
  void make_groups(int64_t n, int64_t g, int64_t count) const noexcept {
    NormDims dims = sample;
    dims.g = count;
    const int64_t c = g * dims.d, at = n * sample.size() + c * dims.s, q = n * sample.g + g;
    norm_apply<T>(dims, x + n * x_strides.n + c * x_strides.c, x_strides, gamma ? gamma + c : gamma,
                  beta ? beta + c : beta, {stats.mean + q, stats.mean_lo + q, stats.rstd + q}, masked + at,
                  scratch + n * sample_scratch);
    gate({dims.size(), masked + at, 1, {dy + at, masked + at}, {1, 1}});
  }
};

Tensors norm_backward(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                      const Tensor& rstd, const Tensor& dy, NormWanted wanted, const ReluBeta* relu_beta) {
  const detail::OpScope scope("norm_backward");
  Tensor dx = wanted.dx ? empty(x.shape(), x.dtype(), format_of(plan)) : Tensor();
  Tensor dgamma = wanted.dgamma ? empty(plan.affine_shape(), x.dtype()) : Tensor();
  Tensor dbeta = wanted.dbeta ? empty(plan.affine_shape(), x.dtype()) : Tensor();
  if (x.numel() == 0) {
    if (wanted.dgamma) fill(dgamma, 0);
    if (wanted.dbeta) fill(dbeta, 0);
  } else {
    const Readable in = readable(plan, x);
    const Tensor dense_dy = dense(plan, dy), g = contiguous_or_none(gamma);
    const Tensor b = relu_beta ? contiguous_or_none(relu_beta->beta) : Tensor();
    const Tensor masked = relu_beta ? empty(x.shape(), x.dtype(), format_of(plan)) : Tensor();
    const Parts parts(plan, in.strides);
    const PartScratch work(parts, norm_backward_scratch(parts.most()));
    NormDims sample = plan.dims;
    sample.n = 1;
    const int64_t sample_scratch = relu_beta ? norm_forward_scratch(sample) : 0;
    const Tensor mask_work = scratch(sample_scratch * plan.dims.n);
    visit_float(x.dtype(), [&]<class T>(T) {
      const MaskedDy<T> mask{.sample = sample,
                             .x_strides = in.strides,
                             .x = in.tensor.data<T>(),
                             .gamma = data_or_null<T>(g),
                             .beta = data_or_null<T>(b),
                             .dy = dense_dy.data<T>(),
                             .stats = pointers({mean, rstd}),
                             .masked = data_or_null<T>(masked),
                             .scratch = data_or_null<double>(mask_work),
                             .sample_scratch = sample_scratch,
                             .gate = kernels::arithmetic().gate[x.dtype()]};
      const NormDyMaker make_dy = relu_beta ? NormDyMaker{&MaskedDy<T>::make, &mask} : NormDyMaker{};
      parts.each([&, x_data = static_cast<const T*>(in.tensor.data<T>()), g_data = data_or_null<T>(g),
                  dy_data = static_cast<const T*>((relu_beta ? masked : dense_dy).template data<T>()),
                  dx_data = data_or_null<T>(dx), dgamma_data = data_or_null<T>(dgamma),
                  dbeta_data = data_or_null<T>(dbeta), all_stats = pointers({mean, rstd})](int64_t part) {
        detail::norm_backward<T>(parts.dims(part), parts.in_x(x_data, part), in.strides, parts.in_dense(dy_data, part),
                                 parts.in_affine(g_data, part, plan.per_sample), parts.in_stats(all_stats, part),
                                 parts.in_dense(dx_data, part), parts.in_affine(dgamma_data, part, plan.per_sample),
                                 parts.in_affine(dbeta_data, part, plan.per_sample), work[part], make_dy);
      });
    });
  }
  Tensors results{dx, dgamma, dbeta};
  if (auto* node = record<NormBackwardNode>(results, {dy, x, gamma})) {
    node->dy = dy, node->x = x, node->gamma = gamma, node->mean = mean, node->rstd = rstd;
    node->plan = linear(plan);
  }
  return results;
}

struct NormTangentNode final : Node {
  Saved dx{*this, "dx"}, dgamma{*this, "dgamma"}, x{*this, "x"}, gamma{*this, "gamma"}, mean{*this, "mean"},
      rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return "group_norm_tangent"; }

  // dy = J d with d = (dx, dgamma, dbeta), and NormNode's backward is J^T, so that L = sum ddy dy = sum d J^T ddy: by d
  // its gradient is that backward; by x and gamma it is that of the L of NormBackwardNode, d for the gradients there.
  Tensors backward(const Tensors& ddy) override {
    Tensors first = norm_backward(plan, x, gamma, mean, rstd, ddy[0], {needs(0), needs(1), needs(2)}), second(3);
    if (needs(3) || needs(4))
      second =
          norm_double_backward(plan, {dx, dgamma, {}, ddy[0], x, gamma}, {mean, rstd}, {false, needs(3), needs(4)});
    return {first[0], first[1], first[2], second[1], second[2]};
  }
};

/// norm_tangent() of an x that moves: gamma and beta do so in the same passes.
Tensor moving_x(const NormPlan& plan, const NormTangents& d, const Tensor& x, const Tensor& gamma,
                const NormStatistics& stats) {
  const OpScope scope("norm_tangent");
  Tensor dy = empty(x.shape(), x.dtype(), format_of(plan));
  if (x.numel() != 0) {
    const Readable in = readable(plan, x);
    const Tensor dx = dense(plan, d.dx), g = contiguous_or_none(gamma);
    const Tensor dgamma = contiguous_or_none(d.dgamma), dbeta = contiguous_or_none(d.dbeta);
    const Parts parts(plan, in.strides);
    const PartScratch work(parts, norm_backward_scratch(parts.most()));
    visit_float(x.dtype(), [&]<class T>(T) {
      parts.each([&, x_data = static_cast<const T*>(in.tensor.data<T>()), dx_data = static_cast<const T*>(dx.data<T>()),
                  g_data = data_or_null<T>(g), dgamma_data = data_or_null<T>(dgamma),
                  dbeta_data = data_or_null<T>(dbeta), dy_data = dy.data<T>(),
                  all_stats = pointers(stats)](int64_t part) {
        const auto affine = [&](const T* t) { return parts.in_affine(t, part, plan.per_sample); };
        detail::norm_tangent<T>(parts.dims(part), parts.in_x(x_data, part), in.strides, parts.in_dense(dx_data, part),
                                affine(g_data), affine(dgamma_data), affine(dbeta_data),
                                parts.in_stats(all_stats, part), parts.in_dense(dy_data, part), work[part]);
      });
    });
  }
  if (auto* node = record<NormTangentNode>(dy, d.dx, d.dgamma, d.dbeta, x, gamma)) {
    node->dx = d.dx, node->dgamma = d.dgamma, node->x = x, node->gamma = gamma;
    node->mean = stats.mean, node->rstd = stats.rstd;
    node->plan = plan;
  }
  return dy;
}

}  // namespace

// dy_i = gamma_c(i) r P(dx)_i + dgamma_c(i) xhat_i + dbeta_c(i),  P(t)_i = t_i - [<t>] - xhat_i <t xhat>: P is
// symmetric, so that r P is the pass of a backward's kernels.
Tensor norm_tangent(const NormPlan& plan, const NormTangents& d, const Tensor& x, const Tensor& gamma,
                    const NormStatistics& stats) {
  if (d.dx.defined()) return moving_x(plan, d, x, gamma, stats);
  if (d.dgamma.defined()) return scaled(plan, x, d.dgamma, d.dbeta, stats);
  if (!d.dbeta.defined()) return {};
  return reshape(expand(reshape(d.dbeta, plan.channel_shape()), plan.grouped_shape()), x.shape());
}

namespace {

// Half precision is stored alone; arithmetic is float32's.
Tensor wide(const Tensor& t) { return t.defined() ? t.to(float32) : t; }

// It is of the rounded y that relu asks whether it is above 0.
Tensor above_zero(const Tensor& rounded, const NormPlan& plan) { return plan.relu ? relu(rounded) : rounded; }

}  // namespace

Tensor norm_affine(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                   const NormStatistics& stats) {
  return affine_of(plan, x, gamma, beta, stats, Statistics::wanted);
}

Tensors norm_gradients(const NormPlan& plan, const Tensor& x, const Tensor& gamma, const NormStatistics& stats,
                       const Tensor& dy, NormWanted wanted) {
  return norm_backward(plan, x, gamma, stats.mean, stats.rstd, dy, wanted);
}

Tensor normalize(const NormPlan& plan, const char* op, const Tensor& x, const Tensor& gamma, const Tensor& beta) {
  const detail::OpScope scope(op);
  if (is_half(x.dtype())) return above_zero(normalize_half(linear(plan), op, x, gamma, beta), plan);
  const NormStatistics stats = empty_statistics(plan);
  const bool records = is_grad_enabled() && (x.requires_grad() || gamma.requires_grad() || beta.requires_grad());
  Tensor y = affine_of(plan, x, gamma, beta, stats, records ? Statistics::wanted : Statistics::passing);
  const auto fill = [&](NormNode& node) {
    node.x = x, node.gamma = gamma, node.mean = stats.mean, node.rstd = stats.rstd;
    node.plan = plan;
    node.plan.dims.affine = gamma.defined() || beta.defined();
  };
  if (!plan.relu) {
    if (auto* node = record_as<NormNode>(op, y, x, gamma, beta)) fill(*node);
  } else if (auto* node = record_as<NormReluNode>(op, y, x, gamma, beta)) {
    fill(*node);
    node->beta = beta;
  }
  return y;
}

SliceMoments slice_moments(const NormPlan& plan, const Tensor& x, const NormStrides& strides) {
  const NormStatistics stats = empty_statistics(plan);
  const Tensor var = empty({plan.dims.slices()}, float64);
  const PartScratch work(Parts(plan, strides), norm_forward_scratch(plan.dims));
  visit_float(x.dtype(), [&]<class T>(T) {
    norm_forward<T>(plan.dims, x.data<T>(), strides, nullptr, nullptr, plan.eps, nullptr,
                    pointers(stats, var.data<double>()), work[0]);
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

struct FixedNormNode final : Node {
  Saved x{*this, "x"}, mean{*this, "mean"}, var{*this, "var"}, gamma{*this, "gamma"}, beta{*this, "beta"};
  NormPlan plan;
  const char* op = "batch_norm";
  const char* name() const noexcept override { return op; }

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
        plan.relu ? relu_gate(plan, x, gamma, beta, fixed_statistics(plan, mean, var), dys[0]) : dys[0];
    const Tensor dy = reshape(below_relu, grouped), r = rsqrt(statistic(var) + plan.eps);
    const Tensor centred = needs(2) || needs(3) ? reshape(x, grouped) - statistic(mean) : Tensor();
    const Tensor dx = dy * (gamma.peek().defined() ? reshape(gamma, plan.channel_shape()) * r : r);
    return {needs(0) ? reshape(dx, x.get().shape()) : Tensor(), needs(1) ? neg(channel_sum(dx)) : Tensor(),
            needs(2) ? channel_sum(dx * centred) * reshape(square(r), channels) * -0.5 : Tensor(),
            needs(3) ? affine_sum(dy * centred * r) : Tensor(), needs(4) ? affine_sum(dy) : Tensor()};
  }
  // dy_i = gamma_c r_c (dx_i - dmean_c - 1/2 r_c^2 (x_i - mean_c) dvar_c) + dgamma_c (x_i - mean_c) r_c + dbeta_c.
  Tensors jvp(const Tensors& d) override {
    const auto statistic = [&](const Tensor& t) { return reshape(t, plan.stat_shape()); };
    const auto affine = [&](const Tensor& t) { return reshape(t, plan.channel_shape()); };
    const Tensor r = rsqrt(statistic(var) + plan.eps), scale = gamma.peek().defined() ? affine(gamma) * r : r;
    Tensor dy;
    if (d[0].defined()) accumulate(dy, reshape(d[0], plan.grouped_shape()) * scale);
    if (d[1].defined()) accumulate(dy, neg(statistic(d[1]) * scale));
    if (d[4].defined()) accumulate(dy, affine(d[4]));
    Tensor slope;
    if (d[2].defined()) accumulate(slope, statistic(d[2]) * scale * square(r) * -0.5);
    if (d[3].defined()) accumulate(slope, affine(d[3]) * r);
    if (slope.defined()) accumulate(dy, (reshape(x, plan.grouped_shape()) - statistic(mean)) * slope);
    dy = reshape(expand(dy, plan.grouped_shape()), outputs()[0].shape());
    return {plan.relu ? relu_gate(plan, x, gamma, beta, fixed_statistics(plan, mean, var), dy) : dy};
  }
};

}  // namespace

Tensor normalize_with(const NormPlan& plan, const char* op, const Tensor& x, const Tensor& mean, const Tensor& var,
                      const Tensor& gamma, const Tensor& beta) {
  const detail::OpScope scope(op);
  if (is_half(x.dtype())) {
    const Tensor y = normalize_with(linear(plan), op, wide(x), wide(mean), wide(var), wide(gamma), wide(beta));
    return above_zero(y.to(x.dtype()), plan);
  }
  NormPlan fixed = plan;
  fixed.dims.batch = true;  // statistics per channel
  const NormStatistics stats = fixed_statistics(fixed, mean, var);
  Tensor y = affine_of(fixed, x, gamma, beta, stats, Statistics::given);
  if (auto* node = record_as<FixedNormNode>(op, y, x, mean, var, gamma, beta)) {
    node->x = x, node->mean = mean, node->var = var, node->gamma = gamma;
    if (plan.relu) node->beta = beta;
    node->plan = fixed;
  }
  return y;
}

}  // namespace limpid::detail
