// What tests of memory share.
#pragma once
#include <limpid/core/allocator.hpp>
#include <limpid/tests/settings.hpp>

namespace limpid::test {

/// Whether a freed block does not serve again, as in the sanitizers' builds; if so, says that it is left out.
inline bool lacks_recycling() {
  void* p = allocate(100);
  deallocate(p, 100);
  void* q = allocate(100);
  deallocate(q, 100);
  if (p == q) return false;
  left_out("in this build no freed block serves again");
  return true;
}

/// Sets a limit, and lifts it on the way out.
struct WithLimit {
  explicit WithLimit(int64_t bytes) { set_memory_limit(bytes); }
  ~WithLimit() { set_memory_limit(no_memory_limit); }
};

}  // namespace limpid::test
