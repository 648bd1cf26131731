#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/extras.hpp>
#include <limpid/autograd/detail/grad_between.hpp>
#include <limpid/autograd/detail/queue.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/engine.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/pool.hpp>

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>
#include <vector>

namespace limpid {

using detail::throw_error;

/// One run over the graph below some outputs.
///
/// Nodes that have received a gradient wait in a queue, and the one recorded last goes first: nothing that waits, or
/// that is yet to be reached, leads to it. While it waits it has a slot, where the gradients of its outputs gather.
/// Node::slot_ holds the slot's number. A run that finds it taken, by the run whose backward started it or by another
/// thread's above a leaf of both, looks that node up in a map.
class Engine {
 public:
  explicit Engine(const char* op) : op_(op) {}
  ~Engine() {
    for (const Slot& slot : slots_) unclaim(slot);
  }

  void add_root(const Tensor& y, Tensor dy) { receive(*grad_node(y), y.impl().grad_index, std::move(dy)); }

  /// The graph is to end at the targets: to be called first.
  void end_at(const Tensors& targets) {
    for (const Tensor& x : targets) slots_[slot_of(*grad_node(x))].is_end = true;
  }

  /// Restricts the run to what leads to a target; these are visited instead of the leaves.
  void only_towards(const Tensors& targets) {
    for (std::size_t i = 0; i < slots_.size(); ++i)  // grows as nodes are reached
      if (!slots_[i].is_end)
        for (const Edge& edge : slots_[i].node->inputs())
          if (edge.node) slot_of(*edge.node);
    for (Slot& slot : slots_) slot.needs = 0, slot.needs_beyond = slot.wanted = false;
    for (const Tensor& x : targets)
      if (const uint32_t index = index_of(grad_node(x)); index != Node::no_slot) slots_[index].wanted = true;
    // From the oldest node on: an input's answer is known before its user's.
    Pooled<uint32_t> order(slots_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [this](uint32_t a, uint32_t b) { return slots_[a].node->sequence() < slots_[b].node->sequence(); });
    for (const uint32_t k : order) {
      if (slots_[k].is_end) continue;
      const auto& inputs = slots_[k].node->inputs();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!inputs[i].node || !slots_[index_of(inputs[i].node.get())].leads_to_target()) continue;
        if (i < 64)
          slots_[k].needs |= uint64_t{1} << i;
        else
          slots_[k].needs_beyond = true;
      }
    }
  }

  bool reaches(const Tensor& x) const { return index_of(grad_node(x)) != Node::no_slot; }

  /// visit(node, dy) is called with the finished gradients of each target's outputs, before the node's backward.
  template <class F>
  void run(bool retain_graph, F&& visit) {
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
        propagate(node, slot);
        if (!retain_graph) node.use_up();
      }
      free(index);
    }
  }

  /// A run that gives the gradients of xs, undefined where there is none.
  Tensors gradients(const Tensors& xs, bool retain_graph) {
    Tensors result(xs.size());
    run(retain_graph, [&](Node& node, const Tensors& dy) {
      for (std::size_t i = 0; i < xs.size(); ++i)
        if (grad_node(xs[i]) == &node) result[i] = dy[xs[i].impl().grad_index];
    });
    return result;
  }

 private:
  static constexpr auto relaxed = std::memory_order_relaxed;

  struct Slot {
    Node* node = nullptr;       ///< null where the slot is free
    uint64_t needs = 0;         ///< the inputs whose gradients are wanted
    bool needs_beyond = false;  ///< those past the 64th are
    bool wanted = false;        ///< a target
    bool claimed = false;       ///< Node::slot_ is ours
    bool waits = false;         ///< in the queue
    bool is_end = false;        ///< nothing below it belongs to the run
    Tensors dy;                 ///< one per output
    bool leads_to_target() const noexcept { return wanted || needs || needs_beyond; }
  };
  template <class T>
  using Pooled = std::vector<T, detail::PoolAllocator<T>>;

  uint32_t index_of(const Node* node) const {
    const uint32_t index = node->slot_.load(relaxed);
    if (index < slots_.size() && slots_[index].node == node) return index;
    if (elsewhere_.empty()) return Node::no_slot;
    const auto it = elsewhere_.find(node);
    return it == elsewhere_.end() ? Node::no_slot : it->second;
  }

  uint32_t slot_of(Node& node) {
    if (const uint32_t index = index_of(&node); index != Node::no_slot) return index;
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.node = &node;
    slot.needs = node.needs_;
    slot.needs_beyond = node.inputs().size() > 64;
    slot.wanted = node.is_leaf();
    slot.claimed = claim(node, index);
    slot.waits = slot.is_end = false;
    for (std::size_t k = node.outputs().size(); k > 0; --k) slot.dy.emplace_back();
    if (!slot.claimed) elsewhere_.emplace(&node, index);
    return index;
  }

  // Of a graph, only the leaves may be another thread's too.
  static bool claim(Node& node, uint32_t index) {
    uint32_t free = Node::no_slot;
    if (node.is_leaf()) return node.slot_.compare_exchange_strong(free, index, relaxed);
    if (node.slot_.load(relaxed) != free) return false;
    node.slot_.store(index, relaxed);
    return true;
  }

  static void unclaim(const Slot& slot) noexcept {
    if (slot.node && slot.claimed) slot.node->slot_.store(Node::no_slot, relaxed);
  }

  void receive(Node& node, uint32_t output, Tensor&& g) {
    const uint32_t index = slot_of(node);
    Slot& slot = slots_[index];
    if (!slot.waits) {
      slot.waits = true;
      queue_.push(node.sequence(), index);
    }
    Tensor& sum = slot.dy[output];
    if (!sum.defined())
      sum = std::move(g);
    else
      detail::accumulate(sum, std::move(g));
  }

  void free(uint32_t index) {
    Slot& slot = slots_[index];
    unclaim(slot);
    if (!slot.claimed) elsewhere_.erase(slot.node);
    slot.node = nullptr;
    slot.dy.clear();
    free_.push_back(index);
  }

  void propagate(Node& node, const Slot& slot) {
    struct Restore {
      Node& node;
      uint64_t needs;
      ~Restore() { node.needs_ = needs; }
    } restore{node, std::exchange(node.needs_, slot.needs)};
    // The slot may move as soon as others are added.
    Tensors dx = backward_of(node, slot.dy);
    const auto& inputs = node.inputs();
    if (dx.size() != inputs.size())
      throw_error<AutogradError>(node.name(), ": expected ", inputs.size(), " gradients from backward, got ",
                                 dx.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!dx[i].defined() || !node.needs(i)) continue;
      const Node::Output& output = inputs[i].node->outputs()[inputs[i].index];
      const TensorImpl& g = dx[i].impl();
      if (g.dtype != output.dtype || !(g.layout == output.layout || g.shape() == output.shape()))
        fit(dx[i], node, i, output);
      receive(*inputs[i].node, inputs[i].index, std::move(dx[i]));
    }
  }

  static Tensors backward_of(Node& node, const Tensors& dy) {
    if (!node.has_extras() && !detail::watching) [[likely]]
      return node.backward(dy);
    const detail::BackwardScope scope(node);
    Tensors dx = detail::hooked_backward(node, dy);
    if (detail::watching & detail::watch_anomalies) detail::check_backward(node, dx, dy);
    return dx;
  }

  // Sums g down to the shape that input i of the node was broadcast from.
  [[gnu::noinline]] static void fit(Tensor& g, const Node& node, std::size_t i, const Node::Output& output) {
    const Shape& shape = output.shape();
    if (g.dtype() != output.dtype)
      throw_error<AutogradError>(node.name(), ": expected a gradient of dtype ", output.dtype, " for input ", i,
                                 " from backward, got ", g.dtype());
    if (g.dim() < shape.dim() || broadcast_shapes(g.shape(), shape, node.name()) != g.shape())
      throw_error<AutogradError>(node.name(), ": expected a gradient of shape ", shape, " for input ", i,
                                 " from backward, got ", g.shape());
    g = detail::unbroadcast(g, shape);
  }

  const char* op_;
  SmallVector<Slot, 4> slots_;
  SmallVector<uint32_t, 8> free_;  // slots that none uses
  detail::Queue queue_;
  std::unordered_map<const Node*, uint32_t> elsewhere_;  // slots of nodes that another run has claimed
};

namespace {

Tensor seed(const Tensor& y, const Tensors& dys, std::size_t i, const char* op) {
  if (!y.defined() || !y.requires_grad())
    throw_error<AutogradError>(op, ": expected outputs computed from a tensor that requires a gradient, got output ", i,
                               (y.defined() ? ", which is not recorded" : ", which is undefined"));
  if (y.impl().is_view && y.impl().epoch != y.impl().storage->epoch())
    throw_error<AutogradError>(op, ": expected outputs with a history of their present values, got view ", i,
                               " of shape ", y.shape(), " whose base was changed in place while recording");
  const Tensor dy = dys.empty() ? Tensor() : dys[i];
  if (!dy.defined()) {
    if (y.numel() == 1) return ones_like(y.detach());
    throw_error<ShapeError>(op, ": expected a dy for an output with more than one element, got none for shape ",
                            y.shape());
  }
  if (dy.shape() != y.shape()) throw_error<ShapeError>(op, ": expected dy of shape ", y.shape(), ", got ", dy.shape());
  if (dy.dtype() != y.dtype()) throw_error<DTypeError>(op, ": expected dy of dtype ", y.dtype(), ", got ", dy.dtype());
  return dy;
}

void add_roots(Engine& engine, const Tensors& ys, const Tensors& dys, const char* op) {
  if (ys.empty()) throw_error<ValueError>(op, ": expected at least one output, got none");
  if (!dys.empty() && dys.size() != ys.size())
    throw_error<ValueError>(op, ": expected one dy per output (", ys.size(), "), got ", dys.size());
  for (std::size_t i = 0; i < ys.size(); ++i) engine.add_root(ys[i], seed(ys[i], dys, i, op));
}

// A leaf's gradient is its owner's to change: dense, and nobody else's memory.
Tensor own_gradient(const Tensor& g) {
  const bool dense = g.is_contiguous() || g.is_contiguous(MemoryFormat::channels_last);
  // One reference is the engine's.
  return dense && g.is_unique() ? g : g.clone();
}

}  // namespace

void backward(const Tensors& ys, const Tensors& dys, bool retain_graph, bool create_graph) {
  const GradGuard mode(create_graph);
  Engine engine("backward");
  add_roots(engine, ys, dys, "backward");
  engine.run(retain_graph || create_graph, [&](Node& node, const Tensors& dy) {
    static_cast<Leaf&>(node).change_grad([&](Tensor& grad) {
      if (grad.defined())
        detail::accumulate(grad, dy[0]);
      else
        grad = create_graph ? dy[0] : own_gradient(dy[0]);
    });
  });
}

Tensors grad(const Tensors& ys, const Tensors& xs, const Tensors& dys, const GradOptions& options) {
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (!xs[i].requires_grad())
      throw_error<AutogradError>("grad: expected inputs that require a gradient, got input ", i,
                                 xs[i].defined() ? ", which does not" : ", which is undefined");
  const GradGuard mode(options.create_graph);
  Engine engine("grad");
  add_roots(engine, ys, dys, "grad");
  engine.only_towards(xs);
  const auto require_use = [&](std::size_t i, bool used) {
    if (!used && !options.allow_unused)
      throw_error<AutogradError>("grad: expected outputs that depend on every input, got none for input ", i,
                                 " of shape ", xs[i].shape(), "; pass allow_unused = true for an undefined gradient");
  };
  for (std::size_t i = 0; i < xs.size(); ++i) require_use(i, engine.reaches(xs[i]));  // before the graph is used up
  const Tensors result = engine.gradients(xs, options.retain_graph || options.create_graph);
  for (std::size_t i = 0; i < xs.size(); ++i) require_use(i, result[i].defined());
  return result;
}

Tensors detail::grad_between(const Tensors& ys, const Tensors& xs, const Tensors& dys, bool create_graph) {
  const GradGuard mode(create_graph);
  Engine engine("grad");
  engine.end_at(xs);
  add_roots(engine, ys, dys, "grad");
  engine.only_towards(xs);
  return engine.gradients(xs, create_graph);
}

void Tensor::backward(const Tensor& dy, bool retain_graph, bool create_graph) const {
  limpid::backward({*this}, dy.defined() ? Tensors{dy} : Tensors{}, retain_graph, create_graph);
}

}  // namespace limpid
