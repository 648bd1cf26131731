#include <limpid/ops/detail/composed.hpp>

#include <limpid/autograd/detail/forward.hpp>
#include <limpid/autograd/detail/grad_between.hpp>
#include <limpid/autograd/detail/stand_in.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/autograd/node.hpp>

#include <deque>
#include <vector>

namespace limpid::detail {
namespace {

bool can_move(const Tensor& x) { return x.defined() && is_floating_point(x.dtype()); }

// The gradients, of what has one and is wanted, as a list that is as long as wanted; undefined for the others.
Tensors gradients(const Tensors& ys, const Tensors& wanted, const Tensors& dys, bool create_graph) {
  Tensors roots, seeds, xs, dxs(wanted.size());
  for (std::size_t k = 0; k < ys.size(); ++k)
    if (ys[k].defined() && ys[k].requires_grad() && dys[k].defined()) {
      roots.push_back(ys[k]);
      seeds.push_back(dys[k]);
    }
  for (const Tensor& x : wanted)
    if (x.defined()) xs.push_back(x);
  if (roots.empty() || xs.empty()) return dxs;
  const Tensors found = grad_between(roots, xs, seeds, create_graph);
  for (std::size_t i = 0, j = 0; i < wanted.size(); ++i)
    if (wanted[i].defined()) dxs[i] = found[j++];
  return dxs;
}

// Its inputs are dys, then xs.
struct GradientNode final : Node {
  const char* op = "";
  Composition f;
  std::deque<Saved> dys, xs;
  const char* name() const noexcept override { return op; }

  // dx_i = sum_k J_ki^T dy_k for the Jacobians J of the composition, recorded anew: their derivatives along ddx.
  Tensors backward(const Tensors& ddx) override {
    const bool create_graph = is_grad_enabled();
    const EnableGradGuard recording;
    Tensors dy, x, wanted;
    for (const Saved& saved : dys) dy.push_back(moving(saved));
    for (const Saved& saved : xs) x.push_back(moving(saved));
    for (std::size_t i = 0; i < dy.size() + x.size(); ++i) {
      const Tensor& input = i < dy.size() ? dy[i] : x[i - dy.size()];
      wanted.push_back(needs(i) && can_move(input) ? input : Tensor());
    }
    Tensors leaves = x;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!can_move(x[i]) || !ddx[i].defined()) leaves[i] = Tensor();
    return gradients(gradients((*f)(x), leaves, dy, true), wanted, ddx, create_graph);
  }

  static Tensor moving(const Saved& saved) {
    const Tensor x = saved.get();
    return can_move(x) ? stand_in(x) : x;
  }
};

}  // namespace

void record_gradients(const char* op, Tensors& dxs, const Tensors& dys, const Tensors& xs, const Composition& f) {
  if (!is_grad_enabled()) return;
  Tensors inputs = dys;
  for (const Tensor& x : xs) inputs.push_back(x);
  if (!any_requires_grad(inputs)) return;
  auto* node = new GradientNode;
  const Ref<Node> hold(node);
  node->op = op;
  node->f = f;
  for (const Tensor& input : inputs) node->connect(input);
  node->start();
  for (const Tensor& dy : dys) node->dys.emplace_back(*node, "dy") = dy;
  for (const Tensor& x : xs) node->xs.emplace_back(*node, "x") = x;
  for (Tensor& dx : dxs) node->attach(dx);
}

Tensors push_through(const char* op, const Composition& f, const Tensors& xs, const Tensors& dxs) {
  const bool create_graph = is_grad_enabled();
  const EnableGradGuard recording;
  Tensors again = xs, moving, tangents;
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (can_move(xs[i]) && dxs[i].defined()) {
      again[i] = stand_in(xs[i]);
      moving.push_back(again[i]);
      tangents.push_back(dxs[i]);
    }
  return push_forward(op, (*f)(again), moving, tangents, create_graph);
}

}  // namespace limpid::detail
