// What tests of memory share.
#pragma once
#include <limpid/core/allocator.hpp>

namespace limpid::test {

/// Whether a freed block serves again: not in the sanitizers' builds.
inline bool recycles() {
  void* p = allocate(100);
  deallocate(p, 100);
  void* q = allocate(100);
  deallocate(q, 100);
  return p == q;
}

/// Sets a limit, and lifts it on the way out.
struct WithLimit {
  explicit WithLimit(int64_t bytes) { set_memory_limit(bytes); }
  ~WithLimit() { set_memory_limit(no_memory_limit); }
};

}  // namespace limpid::test
