// What a run over the graph knows of each node that it has reached.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/pool.hpp>
#include <limpid/core/small_vector.hpp>

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace limpid::detail {

template <class T>
using Pooled = std::vector<T, PoolAllocator<T>>;

/// What every slot holds.
struct NodeSlot {
  Node* node = nullptr;  ///< null where the slot is free
  bool claimed = false;  ///< Node::slot_ is ours
};

/// A slot per node. Node::slot_ holds the slot's number. A run that finds it taken, by the run whose rule started it or
/// by another thread's above a leaf of both, looks that node up in a map. Slot derives from NodeSlot; begin(node) makes
/// one that was used before as good as new.
template <class Slot>
class Slots {
 public:
  static constexpr uint32_t none = Node::no_slot;

  Slots() = default;
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  ~Slots() {
    for (const Slot& slot : slots_) unclaim(slot);
  }

  Slot& operator[](uint32_t index) { return slots_[index]; }
  /// How many there have been at once.
  uint32_t size() const noexcept { return static_cast<uint32_t>(slots_.size()); }

  /// The slot that a node names as its own; null where that is another run's.
  Slot* claimed_by(const Node& node) {
    const uint32_t index = node.slot_.load(relaxed);
    return index < slots_.size() && slots_[index].node == &node ? &slots_[index] : nullptr;
  }
  /// none where the node has no slot.
  uint32_t find(const Node* node) const {
    const uint32_t index = node->slot_.load(relaxed);
    if (index < slots_.size() && slots_[index].node == node) return index;
    if (elsewhere_.empty()) return none;
    const auto it = elsewhere_.find(node);
    return it == elsewhere_.end() ? none : it->second;
  }
  /// That of the node; slots may move.
  uint32_t find_or_add(Node& node) {
    if (const uint32_t index = find(&node); index != none) return index;
    if (free_.empty()) {
      free_.push_back(size());
      slots_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = slots_[index];
    slot.node = &node;
    slot.begin(node);
    slot.claimed = claim(node, index);
    if (!slot.claimed) elsewhere_.emplace(&node, index);
    return index;
  }
  void free(uint32_t index) {
    Slot& slot = slots_[index];
    unclaim(slot);
    if (!slot.claimed) elsewhere_.erase(slot.node);
    slot.node = nullptr;
    free_.push_back(index);
  }

 private:
  static constexpr auto relaxed = std::memory_order_relaxed;

  // Of a graph, only the leaves may be another thread's too.
  static bool claim(Node& node, uint32_t index) {
    uint32_t free = none;
    if (node.is_leaf()) return node.slot_.compare_exchange_strong(free, index, relaxed);
    if (node.slot_.load(relaxed) != free) return false;
    node.slot_.store(index, relaxed);
    return true;
  }
  static void unclaim(const Slot& slot) noexcept {
    if (slot.node && slot.claimed) slot.node->slot_.store(none, relaxed);
  }

  SmallVector<Slot, 4> slots_;
  SmallVector<uint32_t, 8> free_;                        // slots that none uses
  std::unordered_map<const Node*, uint32_t> elsewhere_;  // of nodes that another run has claimed
};

/// While it lives, node.needs() tells what it is told.
class NeedsGuard {
 public:
  NeedsGuard(Node& node, uint64_t needs) noexcept : node_(node), before_(std::exchange(node.needs_, needs)) {}
  ~NeedsGuard() { node_.needs_ = before_; }
  NeedsGuard(const NeedsGuard&) = delete;
  NeedsGuard& operator=(const NeedsGuard&) = delete;

 private:
  Node& node_;
  uint64_t before_;
};

}  // namespace limpid::detail
