#include <limpid/autograd/node.hpp>

#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/extras.hpp>
#include <limpid/autograd/detail/stand_in.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/pool.hpp>

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

namespace limpid {
namespace {

LIMPID_FAST_TLS thread_local constinit uint64_t last_sequence = 0;

}  // namespace

// All that may be assigned.
Saved& Saved::assign(const Tensor& x) {
  output_ = no_output;
  if (!x.defined()) {
    tensor_ = Tensor();
    return *this;
  }
  const TensorImpl& impl = x.impl();
  if (impl.storage->from_inference()) [[unlikely]]
    detail::throw_error<AutogradError>(owner_.name(), ": expected ", name_, " to be made where it may be recorded, ",
                                       "got a tensor of shape ", impl.shape(),
                                       " from inference mode; clone() it first");
  version_ = impl.storage->version();
  if (impl.grad.get() != &owner_) {
    tensor_ = x;
  } else {
    output_ = impl.grad_index;
    tensor_ = x.detach();  // an output that held its own node would never be freed
  }
  return *this;
}

// Own outputs, and errors.
Tensor Saved::get_otherwise() const {
  if (owner_.released_)
    detail::throw_error<AutogradError>(owner_.name(), ": expected a graph not used up, got a second backward through ",
                                       "it; pass retain_graph = true to the first");
  if (!tensor_.defined()) return {};
  if (tensor_.version() != version_)
    detail::throw_error<AutogradError>(owner_.name(), ": expected saved tensor ", name_, " of shape ", tensor_.shape(),
                                       " unchanged since forward (version ", version_, "), got version ",
                                       tensor_.version(), ": it was changed in place");
  Tensor y = tensor_.detach();
  y.impl().grad = Ref<GradHandle>(&owner_);
  y.impl().grad_index = output_;
  return y;
}

void* Node::operator new(std::size_t bytes) { return detail::pool_allocate(bytes); }
void Node::operator delete(void* p, std::size_t bytes) noexcept { detail::pool_deallocate(p, bytes); }

void Node::dispose() noexcept {
  // Deleting a node may drop the last reference to those below it, and so on for a million: a list, not the stack.
  LIMPID_FAST_TLS thread_local constinit Node* pending = nullptr;
  LIMPID_FAST_TLS thread_local constinit bool draining = false;
  next_disposed_ = pending;
  pending = this;
  if (draining) return;
  draining = true;
  while (pending) {
    Node* node = pending;
    pending = node->next_disposed_;
    if (node->has_extras_) [[unlikely]]
      node->drop_extras();  // found by its address; not in ~Node, which every kind of node would have to call
    delete node;
  }
  draining = false;
}

void Node::record(Tensor& y, std::initializer_list<const Tensor*> xs) {
  auto self = Ref<Node>::first(this);
  for (const Tensor* x : xs) connect(*x);
  start();
  TensorImpl& impl = y.impl();
  outputs_.push_back({impl.layout, impl.dtype});
  impl.grad = std::move(self);
  impl.grad_index = 0;
  if (detail::watching & detail::watch_anomalies) [[unlikely]]
    detail::check_forward(*this, y, xs);
}

[[noreturn, gnu::noinline]] static void refuse_stale(const Node& node, std::size_t i, const Tensor& view) {
  detail::throw_error<AutogradError>(
      node.name(), ": expected operands with a history of their present values, got view ", i, " of shape ",
      view.shape(), " whose base was changed in place while ", "recording; take the view again");
}

void Node::connect(const Tensor& x) {
  const std::size_t i = inputs_.size();
  if (!x.requires_grad()) {
    inputs_.emplace_back();
    return;
  }
  const TensorImpl& impl = x.impl();
  Node* node = grad_node(x);
  if (impl.is_view && impl.epoch != impl.storage->epoch()) [[unlikely]]
    refuse_stale(*this, i, x);
  inputs_.push_back({Ref<Node>(node), impl.grad_index});
  if (i < 64) needs_ |= uint64_t{1} << i;
  sequence_ = std::max(sequence_, node->sequence_);
}

void Node::connect(const Edge& edge) {
  if (inputs_.size() < 64) needs_ |= uint64_t{1} << inputs_.size();
  sequence_ = std::max(sequence_, edge.node->sequence_);
  inputs_.push_back(edge);
}

uint64_t Node::clock() noexcept { return last_sequence; }

void Node::start() {
  // A Lamport clock: rises within a thread and along every path, without a counter shared by threads.
  last_sequence = std::max(last_sequence, sequence_) + 1;
  sequence_ = last_sequence;
  if (detail::watching & detail::watch_layers) [[unlikely]]
    detail::note_source(*this);
}

void Node::attach(Tensor& y) {
  if (!y.defined()) {
    outputs_.emplace_back();
    return;
  }
  TensorImpl& impl = y.impl();
  impl.grad_index = static_cast<uint32_t>(outputs_.size());
  impl.grad = Ref<GradHandle>(this);
  outputs_.push_back({impl.layout, impl.dtype});
  if ((detail::watching & detail::watch_anomalies) && !is_leaf()) [[unlikely]]
    detail::check_forward(*this, y, {});
}

void Node::use_up() noexcept {
  released_ = true;
  for (Saved* s = saved_; s; s = s->next_) s->tensor_ = Tensor();
}

void Node::drop_extras() noexcept { detail::ExtrasOfNodes::drop(*this); }

void Node::rebase(const Tensor& x, const Tensor& y) {
  TensorImpl& impl = x.impl();
  const Ref<GradHandle> before = impl.grad;
  const uint64_t sequence = before ? grad_node(x)->sequence_ : 0;
  // Ops on x that led to y may have saved x itself: with y's history it would hold the node that holds it.
  if (impl.use_count() > 1)
    detail::walk({y}, [&](Node* node) {
      for (Saved* s = node->saved_; s; s = s->next_) {
        if (!s->tensor_.is_same(x)) continue;
        s->tensor_ = x.detach();
        s->tensor_.impl().grad = before;
        s->tensor_.impl().grad_index = impl.grad_index;
      }
      return node->sequence_ > sequence;
    });
  if (before && y.requires_grad())
    detail::move_retained(*grad_node(x), impl.grad_index, *grad_node(y), y.impl().grad_index);
  else if (std::exchange(impl.owns_gradient, false))
    before->owner_gone(impl.grad_index);
  impl.grad = y.impl().grad;
  impl.grad_index = y.impl().grad_index;
  impl.storage->begin_epoch();
  impl.epoch = impl.storage->epoch();
}

bool Tensor::is_leaf() const noexcept { return !requires_grad() || grad_node(*this)->is_leaf(); }

Tensor& Tensor::set_requires_grad(bool requires_grad) {
  TensorImpl& self = impl();
  if (!is_leaf())
    detail::throw_error<AutogradError>("set_requires_grad: expected a leaf, got the result of ",
                                       grad_node(*this)->name(), "; detach() it first");
  if (requires_grad && !is_floating_point(dtype()))
    detail::throw_error<DTypeError>("set_requires_grad: expected a floating-point tensor, got ", dtype());
  if (!requires_grad) {
    const Ref<GradHandle> leaf = std::exchange(self.grad, nullptr);
    if (std::exchange(self.owns_gradient, false)) leaf->owner_gone(0);
  } else if (!self.grad) {
    if (self.storage->from_inference())
      detail::throw_error<AutogradError>("set_requires_grad: expected a tensor that may be recorded, got one of shape ",
                                         self.shape(), " from inference mode; clone() it first");
    (new Leaf)->attach(*this);
    self.owns_gradient = true;
  }
  return *this;
}

void Node::owner_gone(uint32_t output) noexcept {
  if (has_extras_) detail::ExtrasOfNodes::forget(*this, output);
}

Tensor Node::without_owner(const Tensor& x) {
  if (!x.defined() || !x.impl().owns_gradient) return x;
  Tensor alias = x.detach();
  alias.impl().grad = x.impl().grad;
  alias.impl().grad_index = x.impl().grad_index;
  return alias;
}

void Node::let_go_of_owners(const Tensors& gradients) {
  std::vector<Node*> pending;
  std::unordered_set<const Node*> seen;
  const auto reach = [&](Node* node) {
    if (node && seen.insert(node).second) pending.push_back(node);
  };
  for (const Tensor& g : gradients)
    if (g.requires_grad()) reach(grad_node(g));
  while (!pending.empty()) {
    Node* node = pending.back();
    pending.pop_back();
    for (Saved* s = node->saved_; s; s = s->next_)
      if (s->tensor_.defined() && s->tensor_.impl().owns_gradient) s->tensor_ = without_owner(s->tensor_);
    for (const Edge& edge : node->inputs()) reach(edge.node.get());
    reach(node->kept_beside_inputs());
  }
}

// Under the lock nothing goes that may be the last of its kind: a deleter, or what a hook captured, might ask for this
// very gradient.
struct Leaf::Lock {
  explicit Lock(const Leaf& leaf) noexcept : busy(leaf.busy_) {
    while (busy.test_and_set(std::memory_order_acquire)) busy.wait(true, std::memory_order_relaxed);
  }
  ~Lock() {
    busy.clear(std::memory_order_release);
    busy.notify_one();
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  detail::ShortLock delay;  // of fork(), in whose child nobody would open this
  std::atomic_flag& busy;
};

Tensor Leaf::grad() const {
  const Lock lock(*this);
  return grad_;
}

void Leaf::set_grad(Tensor grad) {
  const Lock lock(*this);
  std::swap(grad_, grad);
}

void Leaf::follow(const Tensor& x) noexcept { outputs_[0] = {x.impl().layout, x.dtype()}; }

void Leaf::gather(const Tensor& dx, Tensor (*make_own)(const Tensor&)) {
  Tensor before;  // goes behind the lock
  const Lock lock(*this);
  if (!has_owner_) return;
  if (!grad_.defined()) {
    grad_ = make_own ? make_own(dx) : dx;
    return;
  }
  const bool in_place = grad_.is_unique() && !is_grad_enabled() && grad_.impl().layout->is_gapless() &&
                        !is_half(grad_.dtype()) && grad_.shape() == dx.shape();
  if (!in_place) before = grad_;
  detail::accumulate(grad_, dx);
}

void Leaf::owner_gone(uint32_t) noexcept {
  Tensor before;
  const Lock lock(*this);
  has_owner_ = false;
  std::swap(before, grad_);
}

namespace {

Leaf* leaf_of(const Tensor& x, const char* op) {
  if (!x.requires_grad()) return nullptr;
  Node* node = grad_node(x);
  if (!node->is_leaf())
    detail::throw_error<AutogradError>(op, ": expected a leaf, got the result of ", node->name(),
                                       "; retain_grad() keeps gradients of results, and grad() gives them");
  return static_cast<Leaf*>(node);
}

}  // namespace

Tensor Tensor::grad() const {
  if (!is_leaf() && grad_node(*this)->has_extras()) {
    const detail::Extras extras = detail::ExtrasOfNodes::look(*grad_node(*this), [](auto& all) { return all; });
    for (const auto& retained : extras.retained)
      if (retained.output == impl().grad_index && retained.is_wanted) return retained.grad;
  }
  const Leaf* leaf = leaf_of(*this, "grad");
  return leaf ? leaf->grad() : Tensor();
}

void Tensor::set_grad(const Tensor& grad) const {
  Leaf* leaf = leaf_of(*this, "set_grad");
  if (!leaf) detail::throw_error<AutogradError>("set_grad: expected a tensor that requires a gradient");
  if (grad.defined() && (grad.shape() != shape() || grad.dtype() != dtype()))
    detail::throw_error<ShapeError>("set_grad: expected shape ", shape(), " and dtype ", dtype(), ", got ",
                                    grad.shape(), " and ", grad.dtype());
  if (grad.requires_grad()) Node::let_go_of_owners({grad});
  leaf->set_grad(Node::without_owner(grad));
}

Tensor Tensor::detach() const {
  const TensorImpl& self = impl();
  return Tensor(TensorImpl::create(self.storage, self.data, self.layout, self.dtype));
}

}  // namespace limpid
