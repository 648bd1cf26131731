// The second derivative of the normalisation family: a fused kernel, itself differentiable by its closed form.
//
// Let u, v, w be the gradients of dx, dgamma, dbeta; <t> the mean of t over the slice I; a_i = gamma_c(i) dy_i; and
//     P(t)_i = t_i - [<t>] - xhat_i <t xhat>,   linear and symmetric: sum_I u P(a) = sum_I P(u) a.
// Then dx = r P(a), and L = sum u dx + sum_c v_c dgamma_c + sum_c w_c dbeta_c has
//     dL/d dy_i    = gamma_c(i) r P(u)_i + v_c(i) xhat_i + w_c(i)
//     dL/d gamma_c = sum over all i with c(i) = c of dy_i r P(u)_i
// and through xhat and r, with h_i = v_c(i) dy_i - r (u_i <a xhat> + a_i <u xhat>) and k = <u P(a)>,
//     dL/d x_i     = r P(h)_i - r^2 xhat_i k.
#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/norm/detail/memory.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::detail {
namespace {

Tensor plus(const Tensor& a, const Tensor& b) { return !a.defined() ? b : !b.defined() ? a : a + b; }
Tensor times(const Tensor& t, const Tensor& factor) { return factor.defined() ? t * factor : t; }

/// The three lines above in primitive ops.
Tensors closed_form(const NormPlan& plan, const NormSecondInputs& in, const NormStatistics& stats,
                    const NormSecondWanted& wanted) {
  const Shape shape = in.x.shape(), grouped = plan.grouped_shape();
  const auto in_groups = [&](const Tensor& t) { return t.defined() ? reshape(t, grouped) : t; };
  const auto per_channel = [&](const Tensor& t) { return t.defined() ? reshape(t, plan.channel_shape()) : t; };
  const auto slice_mean = [&](const Tensor& t) { return mean(t, plan.slice_axes(), true); };
  const Tensor u = in_groups(in.u), dy = in_groups(in.dy);
  const Tensor v = per_channel(in.v), w = per_channel(in.w), gamma = per_channel(in.gamma);
  const Tensor xhat = in_groups(normalized(plan, in.x, stats)), r = rstd_of(plan, in.x, stats);
  const auto project = [&](const Tensor& t) {
    const Tensor rest = t - xhat * slice_mean(t * xhat);
    return plan.dims.center ? rest - slice_mean(t) : rest;
  };
  const Tensor projected_u = u.defined() ? r * project(u) : u;

  Tensor ddy, dx, dgamma;
  if (wanted.ddy) {
    if (u.defined()) ddy = times(projected_u, gamma);
    if (v.defined()) ddy = plus(ddy, v * xhat);
    if (w.defined()) ddy = plus(ddy, w);
    if (ddy.defined()) ddy = reshape(expand(ddy, grouped), shape);
  }
  if (wanted.dx) {
    Tensor h, k;
    if (v.defined()) h = v * dy;
    if (u.defined()) {
      const Tensor a = times(dy, gamma);
      const Tensor along_a = a * slice_mean(u * xhat), along_u = u * slice_mean(a * xhat);  // recorded in this order
      h = plus(h, neg(r * (along_u + along_a)));
      k = slice_mean(u * project(a));
    }
    if (h.defined()) dx = r * project(h);
    if (k.defined()) dx = dx - square(r) * xhat * k;
    if (dx.defined()) dx = reshape(dx, shape);
  }
  if (wanted.dgamma && u.defined()) dgamma = reshape(sum(dy * projected_u, plan.affine_axes()), plan.affine_shape());
  return {ddy, dx, dgamma};
}

struct NormDoubleBackwardNode final : Node {
  Saved u{*this, "u"}, v{*this, "v"}, w{*this, "w"}, dy{*this, "dy"}, x{*this, "x"}, gamma{*this, "gamma"},
      mean{*this, "mean"}, rstd{*this, "rstd"};
  NormPlan plan;
  const char* name() const noexcept override { return plan.names->double_backward; }

  // The closed form, recorded as a function of stand-ins for the inputs, and differentiated towards these.
  Tensors backward(const Tensors& dys) override {
    const bool recorded = is_grad_enabled();
    const EnableGradGuard enable_grad;
    Tensors inputs{u, v, w, dy, x, gamma}, wanted;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].defined()) continue;
      inputs[i] = recorded && inputs[i].requires_grad() ? reshape(inputs[i], inputs[i].shape()) : inputs[i].detach();
      if (!needs(i)) continue;
      wanted.push_back(inputs[i].requires_grad() ? inputs[i] : inputs[i].set_requires_grad());
    }
    const Tensors outputs = closed_form(
        plan, {.u = inputs[0], .v = inputs[1], .w = inputs[2], .dy = inputs[3], .x = inputs[4], .gamma = inputs[5]},
        {mean, rstd}, {.ddy = dys[0].defined(), .dx = dys[1].defined(), .dgamma = dys[2].defined()});
    Tensors roots, seeds;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i].defined() && outputs[i].requires_grad()) {
        roots.push_back(outputs[i]);
        seeds.push_back(dys[i]);
      }
    if (roots.empty()) return Tensors(inputs.size());
    const Tensors found = grad(roots, wanted, seeds, {.create_graph = recorded, .allow_unused = true});
    Tensors dx(inputs.size());
    for (std::size_t i = 0, next = 0; i < inputs.size(); ++i)
      if (inputs[i].defined() && needs(i)) dx[i] = found[next++];
    return dx;
  }
};

/// The three gradients, not recorded.
Tensors second_values(const NormPlan& plan, const NormSecondInputs& in, const NormStatistics& stats,
                      const NormSecondWanted& wanted) {
  const Tensor &u = in.u, &v = in.v, &w = in.w, &x = in.x;
  Tensors out(3);
  if (wanted.ddy) out[0] = empty(x.shape(), x.dtype(), format_of(plan));
  if (wanted.dx && (u.defined() || v.defined())) out[1] = empty(x.shape(), x.dtype(), format_of(plan));
  if (wanted.dgamma && u.defined()) out[2] = empty(plan.affine_shape(), x.dtype());
  const Readable readable_x = readable(plan, x);
  const Tensor dense_dy = dense(plan, in.dy), dense_u = dense_or_none(plan, u);
  const Tensor gamma = contiguous_or_none(in.gamma), flat_v = contiguous_or_none(v), flat_w = contiguous_or_none(w);
  Parts parts(plan, readable_x.strides);
  const Tensor work = parts.scratch(norm_second_scratch({parts.largest(), readable_x.strides}));
  visit_float(x.dtype(), [&]<class T>(T) {
    const NormSecondCall<T> whole{
        .geometry = {plan.dims, readable_x.strides},
        .in = {.x = readable_x.tensor.data<T>(),
               .dy = dense_dy.data<T>(),
               .u = data_or_null<T>(dense_u),
               .gamma = data_or_null<T>(gamma),
               .v = data_or_null<T>(flat_v),
               .w = data_or_null<T>(flat_w)},
        .out = {.ddy = data_or_null<T>(out[0]), .dx = data_or_null<T>(out[1]), .dgamma = data_or_null<T>(out[2])},
        .stats = pointers(stats),
        .scratch = data_or_null<double>(work)};
    parts.each(whole, [](const NormSecondCall<T>& call) { run_norm_second(call); });
  });
  return out;
}

}  // namespace

Tensors norm_double_backward(const NormPlan& plan, const NormSecondInputs& in, const NormStatistics& stats,
                             const NormSecondWanted& wanted) {
  // ddy is linear in u and v; dx and dgamma are so in them and in dy.
  const NormSource of_ddy = without_idle_slices(plan, {in.x, stats}, in.u, in.v),
                   of_dx = without_idle_slices(plan, of_ddy, in.dy);
  const auto values = [&](const NormSource& from, const NormSecondWanted& these) {
    NormSecondInputs inputs = in;
    inputs.x = from.x;
    return second_values(plan, inputs, from.stats, these);
  };
  Tensors out;
  if (of_ddy.x.is_same(of_dx.x)) {
    out = values(of_dx, wanted);
  } else {
    out = values(of_dx, {.ddy = false, .dx = wanted.dx, .dgamma = wanted.dgamma});
    if (wanted.ddy) out[0] = values(of_ddy, {.ddy = true, .dx = false, .dgamma = false})[0];
  }
  const auto& [u, v, w, dy, x, gamma] = in;
  if (auto* node = record<NormDoubleBackwardNode>(out, {u, v, w, dy, x, gamma})) {
    node->plan = plan;
    node->u = u, node->v = v, node->w = w, node->dy = dy, node->x = x, node->gamma = gamma;
    node->mean = stats.mean, node->rstd = stats.rstd;
  }
  return out;
}

}  // namespace limpid::detail
