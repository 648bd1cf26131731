// The order of a run over the graph.
#pragma once
#include <limpid/core/small_vector.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace limpid::detail {

/// Slots of nodes that wait for their turn: the highest sequence number goes first. It is kept out of the heap of the
/// others, for along a chain it is the one that came last.
class Queue {
 public:
  bool empty() const noexcept { return first_.slot == none && others_.empty(); }

  void push(uint64_t sequence, uint32_t slot) {
    Entry entry{sequence, slot};
    const bool is_first = first_.slot != none ? first_ < entry : others_.empty() || others_.front() < entry;
    if (is_first) std::swap(entry, first_);
    if (entry.slot == none) return;
    others_.push_back(entry);
    std::push_heap(others_.begin(), others_.end());
  }

  uint32_t pop() {
    if (first_.slot != none) return std::exchange(first_, {}).slot;
    std::pop_heap(others_.begin(), others_.end());
    const uint32_t slot = others_.back().slot;
    others_.pop_back();
    return slot;
  }

 private:
  static constexpr uint32_t none = ~uint32_t{0};
  struct Entry {
    uint64_t sequence = 0;
    uint32_t slot = none;
    friend bool operator<(Entry a, Entry b) noexcept { return a.sequence < b.sequence; }
  };
  Entry first_;
  SmallVector<Entry, 8> others_;
};

}  // namespace limpid::detail
