// Forward mode: tangents follow the ops in the order they were recorded.
#include <limpid/autograd/detail/forward.hpp>

#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/fit.hpp>
#include <limpid/autograd/detail/grad_between.hpp>
#include <limpid/autograd/detail/slots.hpp>
#include <limpid/autograd/detail/values.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>

namespace limpid {

using detail::throw_error;

/// One sweep over the nodes between some xs and ys.
class ForwardSweep {
 public:
  explicit ForwardSweep(const char* op) : op_(op) {}

  /// The graph ends at x. All are to be named before the first root.
  void end_at(const Tensor& x, const Tensor& dx) {
    Node& node = *grad_node(x);
    Slot& slot = slots_[slots_.find_or_add(node)];
    slot.is_end = true;
    slot.dy[x.impl().grad_index] = dx;
    oldest_ = std::min(oldest_, node.sequence());
  }
  void add_root(const Tensor& y) { reach(*grad_node(y)); }

  void run(bool retain_graph) {
    for (uint32_t i = 0; i < slots_.size(); ++i)  // grows as nodes are reached
      if (!slots_[i].is_end)
        for (const Edge& edge : slots_[i].node->inputs())
          if (edge.node) reach(*edge.node);
    detail::Pooled<std::pair<uint64_t, uint32_t>> order;
    for (uint32_t i = 0; i < slots_.size(); ++i)
      if (!slots_[i].is_end) order.emplace_back(slots_[i].node->sequence(), i);
    std::sort(order.begin(), order.end());
    for (const auto& [sequence, index] : order) visit(index, retain_graph);
  }

  /// The tangent of an output, for one of its readers.
  Tensor take(const Node& node, uint32_t output) {
    const uint32_t index = slots_.find(&node);
    if (index == slots_.none) return {};
    Slot& slot = slots_[index];
    if (--slot.readers > 0) return slot.dy[output];
    Tensor dy = std::move(slot.dy[output]);
    slot.dy.clear();
    return dy;
  }

 private:
  struct Slot : detail::NodeSlot {
    bool is_end = false;
    uint32_t readers = 0;  ///< that are yet to take a tangent
    Tensors dy;            ///< the tangents of the outputs
    void begin(const Node& n) { dy = Tensors(n.outputs().size()); }
  };

  // What was recorded before each x depends on none.
  void reach(Node& node) {
    if (node.sequence() >= oldest_) ++slots_[slots_.find_or_add(node)].readers;
  }

  void visit(uint32_t index, bool retain_graph) {
    Node& node = *slots_[index].node;
    bool moves = false;
    Tensors dx;
    for (const Edge& edge : node.inputs()) {
      dx.push_back(edge.node ? take(*edge.node, edge.index) : Tensor());
      moves = moves || dx.back().defined();
    }
    if (!moves) return;
    if (node.is_released())
      throw_error<AutogradError>(op_, ": expected a graph not used up, got one whose op ", node.name(),
                                 " has run already; pass retain_graph = true to the first backward");
    Tensors dy = node.jvp(dx);
    const auto& outputs = node.outputs();
    detail::require_count(node, detail::of_jvp, outputs.size(), dy.size());
    for (std::size_t k = 0; k < dy.size(); ++k)
      if (dy[k].defined()) fit(dy[k], node, k);
    if (detail::watching & detail::watch_anomalies) [[unlikely]]
      detail::check_tangents(node, dy);
    if (!retain_graph) node.use_up();
    slots_[index].dy = std::move(dy);
  }

  static void fit(Tensor& dy, const Node& node, std::size_t k) {
    const Node::Output& output = node.outputs()[k];
    detail::require_fit(node, detail::of_jvp, k, dy, output, detail::broadcasts_to(dy.shape(), output.shape()));
    if (dy.shape() == output.shape()) return;
    dy = detail::broadcast(dy, output.shape());
  }

  const char* op_;
  uint64_t oldest_ = ~uint64_t{0};
  detail::Slots<Slot> slots_;
};

Tensors detail::push_forward(const char* op, const Tensors& ys, const Tensors& xs, const Tensors& dxs,
                             bool create_graph) {
  const GradGuard mode(create_graph);
  ForwardSweep sweep(op);
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (xs[i].requires_grad()) sweep.end_at(xs[i], dxs[i]);
  for (std::size_t k = 0; k < ys.size(); ++k) {
    if (!ys[k].requires_grad()) continue;
    require_present(ys[k], k, op);
    sweep.add_root(ys[k]);
  }
  sweep.run(create_graph);
  Tensors dys;
  for (const Tensor& y : ys)
    dys.push_back(y.requires_grad() ? sweep.take(*grad_node(y), y.impl().grad_index) : Tensor());
  return dys;
}

namespace {

/// An end of the graph, younger than all that a node may have kept.
struct CotangentNode final : Node {
  const char* name() const noexcept override { return "cotangent"; }
  Tensors backward(const Tensors&) override { return {}; }
};

// One per output that is there, to be differentiated by: recorded, so that a run towards it looks no further back.
Tensors zero_cotangents(const Node& node) {
  Tensors us;
  auto* made = new CotangentNode;
  const Ref<Node> hold(made);
  made->start();
  for (const Node::Output& output : node.outputs()) {
    us.push_back(output.layout ? zeros(output.shape(), output.dtype) : Tensor());
    made->attach(us.back());
  }
  return us;
}

// A backward that the tape does not see is fine where it gives zeros, as those of step functions do.
void require_zeros(Node& node) {
  const NoGradGuard off;
  detail::Cotangents random(1);
  Tensors dy;
  for (const Node::Output& output : node.outputs())
    dy.push_back(output.layout ? random.like(zeros(output.shape(), output.dtype)) : Tensor());
  for (const Tensor& dx : node.backward(dy))
    if (dx.defined() && detail::largest(detail::values_of(dx)) > 0)
      throw_error<detail::OffTape>(node.name(), ": expected a jvp, or a backward made of recorded ops, for forward ",
                                   "mode, got neither");
}

uint64_t moving(const Tensors& dx) {
  uint64_t inputs = 0;
  for (std::size_t i = 0; i < dx.size() && i < 64; ++i)
    if (dx[i].defined()) inputs |= uint64_t{1} << i;
  return inputs;
}

}  // namespace

// J^T u is linear in u, so its derivative by u in direction v is J v, whatever u is (Townsend, "A new trick for
// calculating Jacobian vector products", 2017).
Tensors Node::jvp(const Tensors& dx) {
  const bool create_graph = is_grad_enabled();
  const EnableGradGuard recording;
  const detail::NeedsGuard needs(*this, moving(dx));
  const Tensors us = zero_cotangents(*this), pulled = create_graph ? recorded_backward(us) : backward(us);
  detail::require_count(*this, detail::of_backward, inputs_.size(), pulled.size());
  Tensors roots, directions, wanted;
  bool seen = true;
  for (std::size_t i = 0; i < dx.size(); ++i) {
    if (!dx[i].defined() || !pulled[i].defined()) continue;
    seen = seen && pulled[i].requires_grad();
    if (!pulled[i].requires_grad()) continue;
    roots.push_back(pulled[i]);
    directions.push_back(detail::broadcast(dx[i], pulled[i].shape()));
  }
  if (!seen) require_zeros(*this);
  for (const Tensor& u : us)
    if (u.defined()) wanted.push_back(u);
  Tensors found(wanted.size()), dy;
  if (!roots.empty()) found = grad(roots, wanted, directions, {.create_graph = create_graph, .allow_unused = true});
  for (std::size_t k = 0, j = 0; k < us.size(); ++k) dy.push_back(us[k].defined() ? found[j++] : Tensor());
  return dy;
}

Tensors SymmetricNode::jvp(const Tensors& dx) {
  Tensor dy;
  for (std::size_t i = 0; i < dx.size(); ++i) {
    if (!dx[i].defined()) continue;
    const detail::NeedsGuard needs(*this, uint64_t{1} << i);
    Tensor part = std::move(backward({dx[i]})[i]);
    if (part.defined()) detail::accumulate(dy, std::move(part));
  }
  return {dy};
}

}  // namespace limpid
