// The engine: replays the tape backwards. What callers see of it, with their checks, is backward.cpp.
#include <limpid/autograd/detail/engine.hpp>

#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/extras.hpp>
#include <limpid/autograd/detail/fit.hpp>
#include <limpid/autograd/detail/sums.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <numeric>
#include <utility>

namespace limpid {

using detail::NeedsGuard;
using detail::throw_error;

inline void Engine::Slot::begin(const Node& n) {
  needs = n.needs_;
  needs_beyond = n.inputs().size() > 64;
  wanted = n.is_leaf();
  waits = is_end = false;
  for (std::size_t k = n.outputs().size(); k > 0; --k) dy.emplace_back();
}

void Engine::end_at(const Tensors& targets) {
  for (const Tensor& x : targets) slots_[slots_.find_or_add(*grad_node(x))].is_end = true;
}

void Engine::only_towards(const Tensors& targets) {
  // Whatever leads to a target was recorded after it.
  uint64_t oldest = ~uint64_t{0};
  for (const Tensor& x : targets) oldest = std::min(oldest, grad_node(x)->sequence());
  for (uint32_t i = 0; i < slots_.size(); ++i)  // grows as nodes are reached
    if (!slots_[i].is_end)
      for (const Edge& edge : slots_[i].node->inputs())
        if (edge.node && edge.node->sequence() >= oldest) slots_.find_or_add(*edge.node);
  for (uint32_t i = 0; i < slots_.size(); ++i) slots_[i].needs = 0, slots_[i].needs_beyond = slots_[i].wanted = false;
  for (const Tensor& x : targets)
    if (const uint32_t index = slots_.find(grad_node(x)); index != slots_.none) slots_[index].wanted = true;
  need_what_leads_to_targets();
}

void Engine::need_what_leads_to_targets() {
  // From the oldest node on: an input's answer is known before its user's.
  detail::Pooled<uint32_t> order(slots_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [this](uint32_t a, uint32_t b) { return slots_[a].node->sequence() < slots_[b].node->sequence(); });
  for (const uint32_t k : order) {
    if (slots_[k].is_end) continue;
    const auto& inputs = slots_[k].node->inputs();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const uint32_t input = inputs[i].node ? slots_.find(inputs[i].node.get()) : slots_.none;
      if (input == slots_.none || !slots_[input].leads_to_target()) continue;
      if (i < 64)
        slots_[k].needs |= uint64_t{1} << i;
      else
        slots_[k].needs_beyond = true;
    }
  }
}

void Engine::run(bool retain_graph, const Visit& visit) {
  while (!queue_.empty()) {
    const uint32_t index = queue_.pop();
    Slot& slot = slots_[index];
    Node& node = *slot.node;
    if (node.has_extras() && !slot.is_end) [[unlikely]]
      detail::complete(node, slot.dy);
    if (slot.wanted) visit(node, slot.dy);
    if (slot.needs || slot.needs_beyond) {
      if (node.is_released())
        throw_error<AutogradError>(op_, ": expected a graph not used up, got one whose op ", node.name(),
                                   " has run already; pass retain_graph = true to the first backward");
      if (!propagate_in_place(node, slot)) propagate(node, slot);
      if (!retain_graph) node.use_up();
    }
    finish(index);
  }
}

Tensors Engine::gradients(const Tensors& xs, bool retain_graph) {
  Tensors result(xs.size());
  run(retain_graph, [&](Node& node, const Tensors& dy) {
    for (std::size_t i = 0; i < xs.size(); ++i)
      if (grad_node(xs[i]) == &node) result[i] = dy[xs[i].impl().grad_index];
  });
  return result;
}

/// What has reached an output so far, for more to be added: its node waits in the queue from now on.
inline Tensor& Engine::sum_of(Node& node, uint32_t output) {
  if (Slot* slot = slots_.claimed_by(node); slot && slot->waits) return slot->dy[output];
  return queue(node).dy[output];
}

[[gnu::noinline]] Engine::Slot& Engine::queue(Node& node) {
  const uint32_t index = slots_.find_or_add(node);
  Slot& slot = slots_[index];
  if (!std::exchange(slot.waits, true)) queue_.push(node.sequence(), index);
  return slot;
}

void Engine::receive(Node& node, uint32_t output, Tensor&& g) {
  Tensor& sum = sum_of(node, output);
  if (!sum.defined())
    sum = std::move(g);
  else
    detail::accumulate(sum, std::move(g));
}

inline void Engine::finish(uint32_t index) {
  slots_[index].dy.clear();
  slots_.free(index);
}

[[gnu::always_inline]] inline bool Engine::propagate_in_place(Node& node, Slot& slot) {
  if (records_ || node.has_extras() || detail::watching || slot.dy.size() != 1) return false;
  const NeedsGuard needs(node, slot.needs);
  detail::Sums sums(*this, node);
  Tensor dy = std::move(slot.dy[0]);  // the slot may move
  if (node.add_to(sums, dy)) return true;
  slot.dy[0] = std::move(dy);  // nothing was done
  return false;
}

namespace {

Tensors backward_of(Node& node, const Tensors& dy, bool records) {
  if (!node.has_extras() && !detail::watching) [[likely]]
    return records ? node.recorded_backward(dy) : node.backward(dy);
  const detail::BackwardScope scope(node);
  Tensors dx = detail::hooked_backward(node, dy, records);
  if (detail::watching & detail::watch_anomalies) detail::check_backward(node, dx, dy);
  return dx;
}

// Sums g down to the shape that input i of the node was broadcast from.
[[gnu::noinline]] void fit(Tensor& g, const Node& node, std::size_t i, const Node::Output& output) {
  const Shape& shape = output.shape();
  detail::require_fit(node, detail::of_backward, i, g, output, detail::broadcasts_to(shape, g.shape()));
  g = detail::unbroadcast(g, shape);
}

}  // namespace

void Engine::propagate(Node& node, const Slot& slot) {
  const NeedsGuard needs(node, slot.needs);
  // The slot may move as soon as others are added.
  Tensors dx = backward_of(node, slot.dy, records_);
  const auto& inputs = node.inputs();
  detail::require_count(node, detail::of_backward, inputs.size(), dx.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!dx[i].defined() || !node.needs(i)) continue;
    const Node::Output& output = inputs[i].node->outputs()[inputs[i].index];
    const TensorImpl& g = dx[i].impl();
    if (g.dtype != output.dtype || !(g.layout == output.layout || g.shape() == output.shape()))
      fit(dx[i], node, i, output);
    receive(*inputs[i].node, inputs[i].index, std::move(dx[i]));
  }
}

Tensor& detail::Sums::operator[](std::size_t i) {
  const Edge& edge = node_.inputs()[i];
  return engine_.sum_of(*edge.node, edge.index);
}

}  // namespace limpid
