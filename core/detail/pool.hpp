// The allocator's fast path, inline: what every tensor and every node of the tape passes through.
#pragma once
#include <limpid/core/allocator.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <new>

/// For thread-local variables of the library: found by an offset instead of a call. Their sum must stay below the 1 KiB
/// or so that every process keeps for libraries it loads while running.
#define LIMPID_FAST_TLS [[gnu::tls_model("initial-exec")]]

namespace limpid::detail {

// Size classes: multiples of 64 up to 512, then four steps per power of two, so that at most a fifth is lost.
inline constexpr std::size_t class_count = 8 + 4 * 52;
inline constexpr std::size_t small_limit = std::size_t{1} << 16;

constexpr std::size_t class_of(std::size_t bytes) noexcept {
  if (bytes <= 512) return bytes == 0 ? 0 : (bytes - 1) / 64;
  const auto octave = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 1;  // 2^octave <= bytes - 1
  const std::size_t quarter = ((bytes - 1) >> (octave - 2)) & 3;
  return 8 + (octave - 9) * 4 + quarter;
}
inline constexpr std::size_t small_classes = class_of(small_limit) + 1;

struct FreeBlock {
  FreeBlock* next;
};
inline FreeBlock* pop(FreeBlock*& head) noexcept {
  FreeBlock* block = head;
  if (block) head = block->next;
  return block;
}
inline void push(FreeBlock*& head, void* p) noexcept { head = new (p) FreeBlock{head}; }

// All that a thread needs to make tensors, in one thread-local object, so that its address is found once. Small blocks:
// one list per class, refilled from a slab carved in one piece. Trivially destructible, so that statics destroyed after
// the thread's guard may still use it.
struct ThreadCache {
  std::array<FreeBlock*, small_classes> free{};
  std::atomic<bool> slow = true;  ///< the next block given back goes the slow way: it is not open, or another is short
  bool guarded = false, closed = false;  ///< it keeps blocks from the first that its thread asks for until that ends
  bool inference = false;                ///< new tensors may never be part of a graph
  int64_t* meter = nullptr;              ///< where the bytes of new tensors are added up; null where nobody asks
  std::size_t refilled = 0;              ///< bytes of blocks it took since others were last asked for theirs
  ThreadCache* next = nullptr;           ///< of those that are open
};
LIMPID_FAST_TLS extern thread_local constinit ThreadCache thread_cache;

void* allocate_slowly(std::size_t bytes);
void deallocate_slowly(void* p, std::size_t bytes) noexcept;

/// allocate() and deallocate().
inline void* pool_allocate(std::size_t bytes) {
  if (bytes <= small_limit) [[likely]]
    if (FreeBlock* block = pop(thread_cache.free[class_of(bytes)])) return block;
  return allocate_slowly(bytes);
}
inline void pool_deallocate(void* p, std::size_t bytes) noexcept {
  if (bytes <= small_limit && !thread_cache.slow.load(std::memory_order_relaxed)) [[likely]]
    push(thread_cache.free[class_of(bytes)], p);
  else
    deallocate_slowly(p, bytes);
}

/// For standard containers that come and go with every step.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) noexcept {}
  T* allocate(std::size_t count) { return static_cast<T*>(pool_allocate(count * sizeof(T))); }
  void deallocate(T* p, std::size_t count) noexcept { pool_deallocate(p, count * sizeof(T)); }
  friend bool operator==(PoolAllocator, PoolAllocator) noexcept { return true; }
};

}  // namespace limpid::detail
