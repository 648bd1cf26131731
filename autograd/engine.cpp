#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/extras.hpp>
#include <limpid/autograd/detail/grad_between.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/engine.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/pool.hpp>

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <vector>

namespace limpid {

using detail::throw_error;

/// One run over the graph below some outputs: finds the nodes, orders them, replays them.
///
/// Each node reached has a slot, and the gradients of its outputs are gathered in grads_. Node::slot_ holds the slot's
/// number until the node has had its turn. A run that finds it taken, by the run whose backward started it or by
/// another thread's above a leaf of both, looks that node up in a map.
class Engine {
 public:
  explicit Engine(const char* op) : op_(op) {}
  ~Engine() {
    for (; done_ < slots_.size(); ++done_) unclaim(slots_[order_.empty() ? done_ : order_[done_]]);
  }

  void add_root(const Tensor& y, const Tensor& dy) {
    detail::accumulate(grads_[slots_[reach(grad_node(y))].grads + y.impl().grad_index], dy);
  }

  /// The graph is to end at the targets.
  void end_at(const Tensors& targets) {
    for (const Tensor& x : targets) slots_[reach(grad_node(x))].is_end = true;
  }

  void collect() {
    for (std::size_t i = 0; i < slots_.size(); ++i)  // grows as nodes are reached
      if (!slots_[i].is_end)
        for (const Edge& edge : slots_[i].node->inputs())
          if (edge.node) reach(edge.node.get());
    // Leaves come last. The rest is mostly in order by now.
    order_.reserve(slots_.size());
    for (const bool leaves : {false, true})
      for (uint32_t i = 0; i < slots_.size(); ++i)
        if (slots_[i].is_leaf() == leaves) order_.push_back(i);
    const auto later = [this](uint32_t a, uint32_t b) {
      const uint64_t p = slots_[a].sequence, q = slots_[b].sequence;
      return p != q ? p > q : a < b;
    };
    if (!std::is_sorted(order_.begin(), order_.end(), later)) std::sort(order_.begin(), order_.end(), later);
  }

  /// Restricts the run to what leads to a target. From the oldest node on: an input's answer is known before its
  /// user's.
  void only_towards(const Tensors& targets) {
    for (Slot& slot : slots_) slot.needs = 0, slot.needs_beyond = false;
    for (const Tensor& x : targets)
      if (Slot* slot = find(grad_node(x))) slot->wanted = true;
    for (std::size_t k = order_.size(); k-- > 0;) {
      Slot& slot = slots_[order_[k]];
      if (slot.is_end) continue;
      const auto& inputs = slot.node->inputs();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        const Slot* input = inputs[i].node ? find(inputs[i].node.get()) : nullptr;
        if (!input || !(input->wanted || input->needs || input->needs_beyond)) continue;
        if (i < 64)
          slot.needs |= uint64_t{1} << i;
        else
          slot.needs_beyond = true;
      }
    }
  }

  bool reaches(const Tensor& x) const { return index_of(grad_node(x)) != Node::no_slot; }

  /// visit(node, grads) is called with the finished gradients of each node's outputs, before the node's backward.
  template <class F>
  void run(bool retain_graph, F&& visit) {
    for (; done_ < order_.size(); ++done_) {
      const Slot& slot = slots_[order_[done_]];
      Node& node = *slot.node;
      const auto first = std::make_move_iterator(grads_.begin() + slot.grads);
      Tensors dy(first, first + static_cast<std::ptrdiff_t>(node.outputs().size()));
      if (std::any_of(dy.begin(), dy.end(), [](const Tensor& g) { return g.defined(); })) {
        if (node.has_extras() && !slot.is_end) [[unlikely]]
          detail::complete(node, dy);
        visit(node, dy);
        if (!slot.is_leaf() && (slot.needs || slot.needs_beyond)) {
          if (node.is_released())
            throw_error<AutogradError>(op_, ": expected a graph not used up, got one whose op ", node.name(),
                                       " has run already; pass retain_graph = true to the first backward");
          propagate(node, slot, dy);
          if (!retain_graph) node.use_up();
        }
      }
      unclaim(slot);
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
    Node* node;
    uint64_t sequence;  ///< the node's
    uint64_t needs;     ///< the inputs that lead to a target
    uint32_t grads;     ///< where those of its outputs begin in grads_
    bool claimed;       ///< Node::slot_ is ours
    bool wanted;        ///< one of its outputs is a target
    bool needs_beyond;  ///< an input past the 64th leads to a target
    bool is_end;        ///< nothing below it belongs to the run
    bool is_leaf() const noexcept { return sequence == 0; }
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

  Slot* find(const Node* node) {
    const uint32_t index = index_of(node);
    return index == Node::no_slot ? nullptr : &slots_[index];
  }

  uint32_t reach(Node* node) {
    if (const uint32_t index = index_of(node); index != Node::no_slot) return index;
    const auto index = static_cast<uint32_t>(slots_.size());
    const bool claimed = claim(*node, index);
    slots_.push_back({.node = node,
                      .sequence = node->sequence(),
                      .needs = node->needs_,
                      .grads = static_cast<uint32_t>(grads_.size()),
                      .claimed = claimed,
                      .wanted = false,
                      .needs_beyond = node->inputs().size() > 64,
                      .is_end = false});
    for (std::size_t k = node->outputs().size(); k > 0; --k) grads_.emplace_back();
    if (!claimed) elsewhere_.emplace(node, index);
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
    if (slot.claimed) slot.node->slot_.store(Node::no_slot, relaxed);
  }

  void propagate(Node& node, const Slot& slot, const Tensors& dy) {
    struct Restore {
      Node& node;
      uint64_t needs;
      ~Restore() { node.needs_ = needs; }
    } restore{node, node.needs_};
    node.needs_ = slot.needs;
    Tensors dx = backward_of(node, dy);
    const auto& inputs = node.inputs();
    if (dx.size() != inputs.size())
      throw_error<AutogradError>(node.name(), ": expected ", inputs.size(), " gradients from backward, got ",
                                 dx.size());
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (dx[i].defined() && inputs[i].node && node.needs(i)) deliver(node, i, std::move(dx[i]));
  }

  static Tensors backward_of(Node& node, const Tensors& dy) {
    if (!node.has_extras() && !detail::watching) [[likely]]
      return node.backward(dy);
    const detail::BackwardScope scope(node);
    Tensors dx = detail::hooked_backward(node, dy);
    if (detail::watching & detail::watch_anomalies) detail::check_backward(node, dx, dy);
    return dx;
  }

  void deliver(const Node& from, std::size_t i, Tensor g) {
    const Edge& edge = from.inputs()[i];
    const Node::Output& output = edge.node->outputs()[edge.index];
    if (g.dtype() != output.dtype)
      throw_error<AutogradError>(from.name(), ": expected a gradient of dtype ", output.dtype, " for input ", i,
                                 " from backward, got ", g.dtype());
    if (g.shape() != output.shape) {
      if (g.dim() < output.shape.dim() || broadcast_shapes(g.shape(), output.shape, from.name()) != g.shape())
        throw_error<AutogradError>(from.name(), ": expected a gradient of shape ", output.shape, " for input ", i,
                                   " from backward, got ", g.shape());
      g = detail::unbroadcast(g, output.shape);
    }
    if (Slot* slot = find(edge.node.get())) detail::accumulate(grads_[slot->grads + edge.index], std::move(g));
  }

  const char* op_;
  Pooled<Slot> slots_;
  Pooled<Tensor> grads_;
  Pooled<uint32_t> order_;
  std::size_t done_ = 0;                                 // of order_
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
  engine.collect();
  engine.run(retain_graph || create_graph, [&](Node& node, const Tensors& dy) {
    if (!node.is_leaf()) return;
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
  engine.collect();
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
  add_roots(engine, ys, dys, "grad");
  engine.end_at(xs);
  engine.collect();
  engine.only_towards(xs);
  return engine.gradients(xs, create_graph);
}

void Tensor::backward(const Tensor& dy, bool retain_graph, bool create_graph) const {
  limpid::backward({*this}, dy.defined() ? Tensors{dy} : Tensors{}, retain_graph, create_graph);
}

}  // namespace limpid
