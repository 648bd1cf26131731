#include <limpid/autograd/hooks.hpp>

#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/extras.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <utility>

namespace limpid {

using detail::Extras;
using detail::ExtrasOfNodes;
using detail::throw_error;

namespace detail {

// Made when the library is loaded: a child would find one that another thread was making half made for ever.
static ForkMutex extras_mutex(1);
[[maybe_unused]] static const bool made_early = (ExtrasOfNodes::make(), true);

ForkMutex& ExtrasOfNodes::mutex() { return extras_mutex; }

void ExtrasOfNodes::make() { all(); }

std::unordered_map<const Node*, Extras>& ExtrasOfNodes::all() {
  static auto& all = *new std::unordered_map<const Node*, Extras>;
  return all;
}

void ExtrasOfNodes::remove(Hook& hook) noexcept {
  const std::lock_guard lock(mutex());  // the caller holds another reference
  if (!hook.node) return;
  Extras& extras = all().at(hook.node);
  hook.node = nullptr;
  std::erase_if(extras.on_gradient, [&](const auto& h) { return h.hook.get() == &hook; });
  for (auto* hooks : {&extras.before, &extras.after})
    std::erase_if(*hooks, [&](const auto& h) { return h.get() == &hook; });
}

bool ExtrasOfNodes::hangs(const Hook& hook) noexcept {
  const std::lock_guard lock(mutex());
  return hook.node;
}

void ExtrasOfNodes::drop(const Node& node) noexcept {
  Extras dead;  // goes after the lock: what hooks capture may be the last of other nodes
  const std::lock_guard lock(mutex());
  const auto it = all().find(&node);
  if (it == all().end()) return;
  dead = std::move(it->second);
  all().erase(it);
  for (auto& [output, hook] : dead.on_gradient) hook->node = nullptr;
  for (auto* hooks : {&dead.before, &dead.after})
    for (auto& hook : *hooks) hook->node = nullptr;
}

void ExtrasOfNodes::forget(const Node& node, uint32_t output) noexcept {
  Tensor dead;  // goes after the lock
  const std::lock_guard lock(mutex());
  const auto it = all().find(&node);
  if (it == all().end()) return;
  for (Extras::Retained& retained : it->second.retained)
    if (retained.output == output) {
      std::swap(dead, retained.grad);
      retained.is_wanted = false;
    }
}

void add_gradient_hook(const Tensor& x, Ref<Hook> hook) {
  if (!x.requires_grad())
    throw_error<AutogradError>("register_hook: expected a tensor that requires a gradient, got one that does not");
  const Node& node = *grad_node(x);
  hook->node = &node;
  ExtrasOfNodes::change(node, [&](Extras& extras) {
    extras.on_gradient.push_back({x.impl().grad_index, std::move(hook)});
  });
}

void add_node_hook(Node* node, Ref<Hook> hook, bool before) {
  const char* op = before ? "register_prehook" : "register_hook";
  if (!node)
    throw_error<AutogradError>(op, ": expected a node, got none: grad_node(x) of a tensor that is not recorded");
  if (node->is_leaf())
    throw_error<AutogradError>(op, ": expected a node that computes, got a leaf; hook its tensor instead");
  hook->node = node;
  ExtrasOfNodes::change(*node,
                        [&](Extras& extras) { (before ? extras.before : extras.after).push_back(std::move(hook)); });
}

namespace {

// What a hook made of gs, if anything: of as many, and each of the shape and dtype it had.
void replace(const char* what, const Node& node, Tensors& gs, Tensors made, bool same_shapes) {
  if (made.empty()) return;
  if (made.size() != gs.size())
    throw_error<AutogradError>(what, " of ", node.name(), ": expected ", gs.size(), " gradients, got ", made.size());
  for (std::size_t k = 0; same_shapes && k < gs.size(); ++k) {
    if (!made[k].defined() || !gs[k].defined()) continue;
    if (made[k].shape() != gs[k].shape() || made[k].dtype() != gs[k].dtype())
      throw_error<AutogradError>(what, " of ", node.name(), ": expected a gradient of shape ", gs[k].shape(), " and ",
                                 gs[k].dtype(), ", got ", made[k].shape(), " and ", made[k].dtype());
  }
  gs = std::move(made);
}

}  // namespace

void complete(const Node& node, Tensors& dy) {
  // A copy, so that hooks may remove themselves and others.
  const auto hooks = ExtrasOfNodes::look(node, [](const Extras& extras) { return extras.on_gradient; });
  for (const auto& [output, hook] : hooks) {
    if (!dy[output].defined() || !ExtrasOfNodes::hangs(*hook)) continue;
    Tensors one{dy[output]};
    replace("hook", node, one, hook->call(one, {}), true);
    dy[output] = std::move(one[0]);
  }
  // Sums are formed, and what they replace goes, outside of the lock.
  auto all = ExtrasOfNodes::look(node, [](const Extras& extras) { return extras.retained; });
  for (Extras::Retained& retained : all) {
    const Tensor g = Node::without_owner(dy[retained.output]);
    if (!g.defined() || !retained.is_wanted) continue;
    if (g.requires_grad()) Node::let_go_of_owners({g});
    Tensor sum = retained.grad;
    if (sum.defined())
      accumulate(sum, g);
    else
      sum = g.requires_grad() ? g : g.clone();  // its owner's to change
    retained.grad = ExtrasOfNodes::look(node, [&](Extras& extras) {
      for (Extras::Retained& mine : extras.retained)
        if (mine.output == retained.output && mine.is_wanted) return std::exchange(mine.grad, sum);
      return Tensor();
    });
  }
}

Tensors hooked_backward(Node& node, const Tensors& dy, bool records) {
  const auto run = [&](const Tensors& dys) { return records ? node.recorded_backward(dys) : node.backward(dys); };
  if (!node.has_extras()) return run(dy);
  const auto [before, after] =
      ExtrasOfNodes::look(node, [](const Extras& extras) { return std::pair(extras.before, extras.after); });
  Tensors dys = dy;
  for (const auto& hook : before)
    if (ExtrasOfNodes::hangs(*hook)) replace("prehook", node, dys, hook->call({}, dys), true);
  Tensors dxs = run(dys);
  for (const auto& hook : after)
    if (ExtrasOfNodes::hangs(*hook)) replace("hook", node, dxs, hook->call(dxs, dys), false);
  return dxs;
}

bool has_hooks(const Tensor& x) {
  const Node& node = *grad_node(x);
  return node.has_extras() && ExtrasOfNodes::look(node, [&](const Extras& extras) {
           return std::any_of(extras.on_gradient.begin(), extras.on_gradient.end(),
                              [&](const auto& h) { return h.output == x.impl().grad_index; });
         });
}

void move_retained(const Node& from, uint32_t output, const Node& to, uint32_t index) {
  if (!from.has_extras()) return;
  Tensor grad;
  const bool found = ExtrasOfNodes::look(from, [&](Extras& extras) {
    auto& all = extras.retained;
    const auto it =
        std::find_if(all.begin(), all.end(), [&](const auto& r) { return r.output == output && r.is_wanted; });
    if (it == all.end()) return false;
    grad = it->grad;
    all.erase(it);
    return true;
  });
  if (found) ExtrasOfNodes::change(to, [&](Extras& extras) { extras.retained.push_back({index, grad}); });
}

}  // namespace detail

void HookHandle::remove() {
  const Ref<detail::Hook> hook = std::move(hook_);  // dropped after the lock
  if (hook) ExtrasOfNodes::remove(*hook);
}

void retain_grad(const Tensor& x) {
  if (!x.requires_grad())
    throw_error<AutogradError>("retain_grad: expected a tensor that requires a gradient, got one that does not");
  if (x.is_leaf()) return;
  const uint32_t output = x.impl().grad_index;
  ExtrasOfNodes::change(*grad_node(x), [&](Extras& extras) {
    for (const auto& retained : extras.retained)
      if (retained.output == output && retained.is_wanted) return;
    extras.retained.push_back({output, {}});
  });
  x.impl().owns_gradient = true;
}

}  // namespace limpid
