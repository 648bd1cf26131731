// The tape: one node per recorded op.
#pragma once
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <atomic>
#include <cstdint>
#include <initializer_list>

// Friends that stay inside the library.
namespace limpid {
class Engine;
class ForwardSweep;
namespace detail {
class ExtrasOfNodes;
class NeedsGuard;
class Sums;
template <class Slot>
class Slots;
}  // namespace detail
}  // namespace limpid

namespace LIMPID_API limpid {

class Node;

/// Where a gradient flows on to: one output of the node that made a tensor. Without a node: nowhere.
struct Edge {
  Ref<Node> node;
  uint32_t index = 0;
};

/// A tensor that a node keeps for its backward: a named, typed member,
///     Saved x{*this, "x"};
/// assigned by the forward (`node->x = x`) and read as a Tensor by the backward. Reading throws AutogradError, naming
/// op and tensor, where the memory was written to in between. A node's own output is held without a cycle.
class Saved {
 public:
  Saved(Node& owner, const char* name) noexcept;
  Saved(const Saved&) = delete;
  Saved& operator=(const Saved&) = delete;
  inline Saved& operator=(const Tensor& x);
  operator Tensor() const { return get(); }  // NOLINT: read like the tensor it holds
  Tensor get() const {
    if (const Tensor* x = intact()) [[likely]]
      return *x;
    return get_otherwise();
  }
  /// The tensor held, not counted once more; null where get() would have more to do than to hand it out.
  const Tensor* intact() const noexcept {
    return tensor_.defined() && output_ == no_output && tensor_.version() == version_ ? &tensor_ : nullptr;
  }

  const char* name() const noexcept { return name_; }
  /// What is held, unchecked; undefined after release.
  const Tensor& peek() const noexcept { return tensor_; }
  /// Whether get() would give a tensor.
  bool is_readable() const noexcept { return tensor_.defined() && tensor_.version() == version_; }

 private:
  friend class Node;
  Tensor get_otherwise() const;
  Saved& assign(const Tensor& x);

  Node& owner_;
  const char* name_;
  Saved* next_;
  Tensor tensor_;
  static constexpr uint32_t no_output = ~uint32_t{0};
  uint32_t version_ = 0;
  uint32_t output_ = no_output;  ///< which of the node's own outputs it is
};

/// A recorded op. An op derives a struct from it, beside its forward, with Saved members, and creates it by record().
class Node : public GradHandle {
 public:
  virtual const char* name() const noexcept = 0;

  /// The gradient of each input, given those of the outputs. dy[k] is undefined where output k got none; an undefined
  /// dx[i] stands for zero, and one that is not needed need not be computed. A dx[i] of the shape that input i was
  /// broadcast to is summed down by the engine. Written with differentiable ops, so that it can be recorded itself.
  virtual Tensors backward(const Tensors& dy) = 0;

  /// The same where what it gives is to be differentiated again (create_graph). A node whose backward may leave the
  /// tape sees to it here that nobody takes a part of a derivative for the whole.
  virtual Tensors recorded_backward(const Tensors& dy) { return backward(dy); }

  /// Forward mode: the tangent of each output, given those of the inputs. Undefined stands for zero, and some dx[i] is
  /// defined. A dy[k] of a shape that broadcasts to output k's is expanded by the caller. Written with differentiable
  /// ops as well. Where a node has no rule of its own: the derivative of its backward, which is linear in dy.
  virtual Tensors jvp(const Tensors& dx);

  /// The same as backward, bit for bit, for the smallest ops, of one output: adds the gradients of the inputs to what
  /// others have brought there, without a tensor for each in between. Asked only where nothing is recorded and nothing
  /// watches; false, with nothing done, sends the run to backward(). dy is the node's own: its memory may be reused.
  virtual bool add_to(detail::Sums&, Tensor& /*dy*/) { return false; }

  /// Whether the gradient of input i is wanted: while recording, by anyone; in backward, by this run.
  bool needs(std::size_t i) const noexcept { return i < 64 ? needs_ >> i & 1 : static_cast<bool>(inputs_[i].node); }

  struct Output {
    Ref<const Layout> layout;  ///< null for an output that was not asked for
    DType dtype = float32;
    const Shape& shape() const noexcept {
      if (layout) return layout->shape;
      static const Shape none;
      return none;
    }
  };
  const SmallVector<Edge, 3>& inputs() const noexcept { return inputs_; }
  const SmallVector<Output, 1>& outputs() const noexcept { return outputs_; }
  /// Rises along every path of the graph, and with each op that a thread records.
  uint64_t sequence() const noexcept { return sequence_; }
  bool is_leaf() const noexcept { return sequence_ == 0; }
  bool is_released() const noexcept { return released_; }
  /// A node that this one keeps, though no gradient flows on to it.
  virtual Node* kept_beside_inputs() const noexcept { return nullptr; }
  /// The tensor that retained the gradient of an output is gone.
  void owner_gone(uint32_t output) noexcept override;
  /// Whether it has hooks, a retained gradient or a source line, see hooks.hpp and anomaly.hpp.
  bool has_extras() const noexcept { return has_extras_; }
  /// The tensors held for backward: calls f(const Saved&) for each.
  template <class F>
  void for_each_saved(F&& f) const {
    for (const Saved* s = saved_; s; s = s->next_) f(*s);
  }

  void dispose() noexcept final;
  static void* operator new(std::size_t bytes);
  static void operator delete(void* p, std::size_t bytes) noexcept;

  // For record() and the engine.

  /// All of the recording of one y: takes the new node over.
  void record(Tensor& y, std::initializer_list<const Tensor*> xs);
  void connect(const Tensor& x);
  void connect(const Edge& edge);
  void attach(Tensor& y);
  void start();
  /// The sequence of the node that this thread recorded last.
  static uint64_t clock() noexcept;
  /// x, changed in place, has the history of y from now on.
  static void rebase(const Tensor& x, const Tensor& y);
  /// To be called where recorded gradients are kept for the tensors they belong to. Nodes below them hold tensors that
  /// gradients are gathered for; these hold their gradients, and so the nodes: a circle that nobody would ever free.
  /// From now on the nodes hold the same values by other handles, whose going is nobody's loss.
  static void let_go_of_owners(const Tensors& gradients);
  /// x, or where a gradient is gathered for it another handle on the same, for which none is.
  static Tensor without_owner(const Tensor& x);

 private:
  friend class Saved;
  friend class Leaf;
  friend class detail::ExtrasOfNodes;
  friend class detail::NeedsGuard;
  friend class detail::Sums;
  friend class Engine;
  friend class ForwardSweep;
  template <class Slot>
  friend class detail::Slots;

  /// Lets go of the saved tensors; another backward through this node is an error.
  void use_up() noexcept;
  void drop_extras() noexcept;

  uint64_t sequence_ = 0;
  uint64_t needs_ = 0;
  Saved* saved_ = nullptr;
  Node* next_disposed_ = nullptr;
  static constexpr uint32_t no_slot = ~uint32_t{0};
  std::atomic<uint32_t> slot_{no_slot};  ///< this node's place in a run over the graph, see detail/slots.hpp
  bool released_ = false;
  mutable bool has_extras_ = false;
  SmallVector<Edge, 3> inputs_;
  SmallVector<Output, 1> outputs_;
};

/// A node of one output whose Jacobian by each input is symmetric, but for broadcasting: element-wise ops, softmax.
/// What its backward makes of a dy it makes of a dx.
class SymmetricNode : public Node {
 public:
  Tensors jvp(const Tensors& dx) override;
};

inline Saved::Saved(Node& owner, const char* name) noexcept : owner_(owner), name_(name), next_(owner.saved_) {
  owner.saved_ = this;
}

inline Saved& Saved::operator=(const Tensor& x) {
  if (tensor_.defined() || !x.defined()) return assign(x);
  const TensorImpl& impl = x.impl();
  if (impl.grad.get() == &owner_ || impl.storage->from_inference()) return assign(x);
  version_ = impl.storage->version();
  output_ = no_output;
  tensor_ = x;
  return *this;
}

/// The node of a tensor that requires a gradient and was not computed: gathers that gradient.
class Leaf final : public Node {
 public:
  const char* name() const noexcept override { return "leaf"; }
  Tensors backward(const Tensors&) override { return {}; }
  Tensor grad() const;
  /// The gradient gathered from now on; what was gathered goes.
  void set_grad(Tensor grad);
  /// x, which it gathers for, has another dtype or layout by now.
  void follow(const Tensor& x) noexcept;
  /// Adds dx, which the caller holds, to what was gathered; as the first, keeps it, or what make_own(dx) makes of it.
  /// Does nothing where the tensor that the gradient is gathered for is gone.
  void gather(const Tensor& dx, Tensor (*make_own)(const Tensor&));
  void owner_gone(uint32_t) noexcept override;

 private:
  struct Lock;

  mutable std::atomic_flag busy_;
  bool has_owner_ = true;
  Tensor grad_;
};

/// The node of x, or null.
inline Node* grad_node(const Tensor& x) noexcept { return static_cast<Node*>(x.impl().grad.get()); }

namespace detail {
inline bool any_requires_grad(const Tensors& xs) noexcept {
  for (const Tensor& x : xs)
    if (x.requires_grad()) return true;
  return false;
}
}  // namespace detail

/// Records that y came from xs: returns the new node, for the caller to save into, or null where nothing is recorded.
/// y must be fresh: held by nobody but the caller.
template <class N, class... Xs>
N* record(Tensor& y, const Xs&... xs) {
  if (!(xs.requires_grad() || ...) || !is_grad_enabled()) return nullptr;
  N* node = new N;
  node->record(y, {&xs...});
  return node;
}

/// The same for a node that serves several ops and has a member `op`, its name.
template <class N, class... Xs>
N* record_as(const char* op, Tensor& y, const Xs&... xs) {
  if (!(xs.requires_grad() || ...) || !is_grad_enabled()) return nullptr;
  N* node = new N;
  node->op = op;
  node->record(y, {&xs...});
  return node;
}

/// The same for any number of outputs and inputs; outputs that were not asked for may be undefined.
template <class N>
N* record(Tensors& ys, const Tensors& xs) {
  if (!detail::any_requires_grad(xs) || !is_grad_enabled()) return nullptr;
  N* node = new N;
  const auto hold = Ref<Node>::first(node);
  for (const Tensor& x : xs) node->connect(x);
  node->start();
  for (Tensor& y : ys) node->attach(y);
  return node;
}

}  // namespace limpid
