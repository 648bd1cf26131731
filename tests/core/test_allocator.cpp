#include <limpid/core/allocator.hpp>
#include <limpid/tests/catch.hpp>

#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

using namespace limpid;

namespace {

// The sanitizer's builds do not recycle.
bool recycles() {
  void* p = allocate(100);
  deallocate(p, 100);
  void* q = allocate(100);
  deallocate(q, 100);
  return p == q;
}

}  // namespace

TEST_CASE("blocks of all sizes are aligned, writable and apart") {
  std::vector<std::pair<char*, std::size_t>> blocks;
  for (std::size_t bytes = 0; bytes < 300000; bytes = bytes * 5 / 4 + 7) {
    auto* p = static_cast<char*>(allocate(bytes));
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 64 == 0);
    std::memset(p, static_cast<int>(blocks.size()), bytes);
    blocks.emplace_back(p, bytes);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i)
    for (std::size_t k = 0; k < blocks[i].second; ++k)
      if (blocks[i].first[k] != static_cast<char>(i)) FAIL("block " << i << " was overwritten");
  for (auto [p, bytes] : blocks) deallocate(p, bytes);
}

TEST_CASE("a block given back is handed out again without asking the system") {
  if (!recycles()) return;
  for (std::size_t bytes : {std::size_t{64}, std::size_t{5000}, std::size_t{1} << 22}) {
    deallocate(allocate(bytes), bytes);
    const int64_t before = memory_stats().system_allocations;
    for (int i = 0; i < 100; ++i) deallocate(allocate(bytes), bytes);
    CHECK(memory_stats().system_allocations == before);
  }
}

TEST_CASE("statistics follow large blocks") {
  if (!recycles()) return;
  empty_cache();
  reset_peak_memory_stats();
  const MemoryStats before = memory_stats();
  constexpr std::size_t bytes = std::size_t{1} << 24;
  void* p = allocate(bytes);
  CHECK(memory_stats().in_use == before.in_use + static_cast<int64_t>(bytes));
  deallocate(p, bytes);
  CHECK(memory_stats().in_use == before.in_use);
  CHECK(memory_stats().cached == before.cached + static_cast<int64_t>(bytes));
  CHECK(memory_stats().peak_in_use >= before.in_use + static_cast<int64_t>(bytes));
  empty_cache();
  CHECK(memory_stats().cached == 0);
}

TEST_CASE("an absurd size is refused") { CHECK_THROWS_AS(allocate(std::size_t{1} << 60), std::bad_alloc); }

TEST_CASE("blocks may be given back by another thread") {
  std::vector<void*> blocks(1000);
  for (void*& p : blocks) p = allocate(200);
  std::thread([&] {
    for (void* p : blocks) deallocate(p, 200);
  }).join();
  const std::set<void*> distinct = [] {
    std::set<void*> seen;
    std::vector<void*> again(1000);
    for (void*& p : again) seen.insert(p = allocate(200));
    for (void* p : again) deallocate(p, 200);
    return seen;
  }();
  CHECK(distinct.size() == 1000);
}
