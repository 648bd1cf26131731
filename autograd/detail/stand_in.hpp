// Tensors that stand in for others in a part of a graph, and a walk over such a part.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/pool.hpp>

#include <functional>
#include <unordered_set>
#include <vector>

namespace limpid::detail {

/// x's values, as the input of a part of the graph: a gradient with respect to it tells of that part alone. Recorded as
/// a view of x where recording is on and x requires a gradient; else a leaf. x must be of floating point.
Tensor stand_in(const Tensor& x);

/// Calls visit(Node*) for the node of each y and all nodes below them, once each. visit tells whether to go below it.
template <class F>
void walk(const Tensors& ys, F&& visit) {
  std::vector<Node*, PoolAllocator<Node*>> pending;
  std::unordered_set<Node*, std::hash<Node*>, std::equal_to<>, PoolAllocator<Node*>> seen;
  const auto reach = [&](Node* node) {
    if (node && seen.insert(node).second && visit(node)) pending.push_back(node);
  };
  for (const Tensor& y : ys)
    if (y.requires_grad()) reach(grad_node(y));
  while (!pending.empty()) {
    const Node* node = pending.back();
    pending.pop_back();
    for (const Edge& edge : node->inputs()) reach(edge.node.get());
  }
}

}  // namespace limpid::detail
