// Where the gradients of a node's inputs gather during a run over the graph.
#pragma once
#include <limpid/autograd/node.hpp>

namespace limpid {

class Engine;

namespace detail {

/// For Node::add_to().
class Sums {
 public:
  Sums(Engine& engine, const Node& node) noexcept : engine_(engine), node_(node) {}

  /// Input i, which needs a gradient, lies as g does.
  bool lies_like(std::size_t i, const TensorImpl& g) const noexcept {
    const Edge& edge = node_.inputs()[i];
    const Node::Output& output = edge.node->outputs()[edge.index];
    return output.layout == g.layout && output.dtype == g.dtype;
  }
  /// The gradient of input i, which needs one, as far as it is known, for the caller to add to; undefined where nothing
  /// has reached it. Stays where it is until the next call.
  Tensor& operator[](std::size_t i);

 private:
  Engine& engine_;
  const Node& node_;
};

}  // namespace detail
}  // namespace limpid
