// What few nodes have: hooks, retained gradients, a source line; kept beside the graph so that all others are spared
// even a pointer.
#pragma once
#include <limpid/autograd/detail/source.hpp>
#include <limpid/autograd/hooks.hpp>
#include <limpid/core/detail/fork.hpp>

#include <mutex>
#include <unordered_map>
#include <vector>

namespace limpid::detail {

struct Extras {
  struct OfOutput {
    uint32_t output;
    Ref<Hook> hook;
  };
  struct Retained {
    uint32_t output;
    Tensor grad;
    bool is_wanted = true;  ///< false once the tensor that retained it is gone
  };
  std::vector<OfOutput> on_gradient;
  std::vector<Ref<Hook>> before, after;
  std::vector<Retained> retained;
  Origin source;
};

/// Those of all nodes; a node knows only whether it has some (Node::has_extras()).
class ExtrasOfNodes {
 public:
  /// f(Extras&) while no other thread reads or changes any; made where there were none.
  template <class F>
  static auto change(const Node& node, F&& f) {
    const std::lock_guard lock(mutex());
    Extras& extras = all()[&node];
    node.has_extras_ = true;
    return f(extras);
  }
  /// The same, for a node that has some.
  template <class F>
  static auto look(const Node& node, F&& f) {
    const std::lock_guard lock(mutex());
    return f(all().at(&node));
  }
  static void make();
  static void remove(Hook& hook) noexcept;
  /// Whether nobody has removed it.
  static bool hangs(const Hook& hook) noexcept;
  static void drop(const Node& node) noexcept;
  /// The retained gradient of an output.
  static void forget(const Node& node, uint32_t output) noexcept;

 private:
  // Never destroyed: nodes of static tensors go after all else.
  static ForkMutex& mutex();
  static std::unordered_map<const Node*, Extras>& all();
};

/// The engine's way through a node with extras. The gradients of its outputs are complete: runs the tensors' hooks.
void complete(const Node& node, Tensors& dy);
/// node.backward(dy), or recorded_backward(dy), between its hooks.
Tensors hooked_backward(Node& node, const Tensors& dy, bool records);

/// Whether functions are to be called with the gradient of x, which requires one.
bool has_hooks(const Tensor& x);

/// Output `from` of one node is to be output `to` of another, which retains its gradient if the first did.
void move_retained(const Node& from, uint32_t output, const Node& to, uint32_t index);

}  // namespace limpid::detail
