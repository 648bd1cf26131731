// Reverse mode: one run over the graph below some outputs.
#pragma once
#include <limpid/autograd/detail/queue.hpp>
#include <limpid/autograd/detail/slots.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/autograd/node.hpp>

#include <functional>

namespace limpid {

/// Nodes that have received a gradient wait in a queue, and the one recorded last goes first: nothing that waits, or
/// that is yet to be reached, leads to it. While it waits it has a slot, where the gradients of its outputs gather.
class Engine {
 public:
  /// op: whom messages speak for.
  explicit Engine(const char* op) : op_(op) {}

  void add_root(const Tensor& y, Tensor dy) { receive(*grad_node(y), y.impl().grad_index, std::move(dy)); }
  /// The graph is to end at the targets: to be called first.
  void end_at(const Tensors& targets);
  /// Restricts the run to what leads to a target; these are visited instead of the leaves.
  void only_towards(const Tensors& targets);
  bool reaches(const Tensor& x) const { return slots_.find(grad_node(x)) != slots_.none; }

  /// visit(node, dy) is called with the finished gradients of each target's outputs, before the node's backward.
  using Visit = std::function<void(Node&, const Tensors& dy)>;
  void run(bool retain_graph, const Visit& visit);
  /// A run that gives the gradients of xs, undefined where there is none.
  Tensors gradients(const Tensors& xs, bool retain_graph);

 private:
  friend class detail::Sums;

  struct Slot : detail::NodeSlot {
    bool needs_beyond = false;  ///< inputs past the 64th are wanted
    bool wanted = false;        ///< a target
    bool waits = false;         ///< in the queue
    bool is_end = false;        ///< nothing below it belongs to the run
    uint64_t needs = 0;         ///< the inputs whose gradients are wanted
    Tensors dy;                 ///< one per output
    void begin(const Node& node);
    bool leads_to_target() const noexcept { return wanted || needs || needs_beyond; }
  };

  void need_what_leads_to_targets();
  Tensor& sum_of(Node& node, uint32_t output);
  Slot& queue(Node& node);
  void receive(Node& node, uint32_t output, Tensor&& g);
  void finish(uint32_t index);
  bool propagate_in_place(Node& node, Slot& slot);
  void propagate(Node& node, const Slot& slot);

  const char* op_;
  const bool records_ = is_grad_enabled();
  detail::Slots<Slot> slots_;
  detail::Queue queue_;
};

}  // namespace limpid
