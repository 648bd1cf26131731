#include <limpid/core/allocator.hpp>
#include <limpid/core/error.hpp>
#include <limpid/tests/catch.hpp>
#include <limpid/tests/memory.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <semaphore>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace test_allocator {

using namespace limpid;
using namespace limpid::test;

constexpr std::size_t MiB = std::size_t{1} << 20;
constexpr int64_t bytes_of(std::size_t mebibytes) { return static_cast<int64_t>(mebibytes * MiB); }

// What the limit counts.
int64_t held() { return memory_stats().in_use + memory_stats().cached; }

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
  if (lacks_recycling()) return;
  for (std::size_t bytes : {std::size_t{64}, std::size_t{5000}, std::size_t{1} << 22}) {
    deallocate(allocate(bytes), bytes);
    const int64_t before = memory_stats().system_allocations;
    for (int i = 0; i < 100; ++i) deallocate(allocate(bytes), bytes);
    CHECK(memory_stats().system_allocations == before);
  }
}

TEST_CASE("statistics follow large blocks") {
  if (lacks_recycling()) return;
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

TEST_CASE("an absurd size is refused") { CHECK_THROWS_AS(allocate(std::size_t{1} << 60), MemoryError); }

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

TEST_CASE("blocks that one thread makes and another drops serve again") {
  if (lacks_recycling()) return;
  constexpr int rounds = 300, count = 500;
  const bool drops_only = GENERATE(true, false);
  CAPTURE(drops_only);
  std::vector<void*> blocks(count);
  std::binary_semaphore made(0), dropped(1);
  std::thread other([&] {
    if (!drops_only) deallocate(allocate(200), 200);
    for (int i = 0; i < rounds; ++i) {
      made.acquire();
      for (void* p : blocks) deallocate(p, 200);
      dropped.release();
    }
  });
  const int64_t before = memory_stats().in_use;
  for (int i = 0; i < rounds; ++i) {
    dropped.acquire();
    for (void*& p : blocks) p = allocate(200);
    made.release();
  }
  other.join();
  CHECK(memory_stats().in_use - before <= bytes_of(1));  // of 38 MB that went over
}

TEST_CASE("a thread that only drops blocks takes none along") {
  if (lacks_recycling()) return;
  std::vector<void*> blocks(1000);
  for (void*& p : blocks) p = allocate(3000);
  std::thread([&] {
    for (void* p : blocks) deallocate(p, 3000);
  }).join();
  const int64_t before = memory_stats().system_allocations;
  for (void*& p : blocks) p = allocate(3000);
  CHECK(memory_stats().system_allocations == before);
  for (void* p : blocks) deallocate(p, 3000);
}

TEST_CASE("no limit is set at first, and one below 0 is refused") {
  CHECK(memory_limit() == no_memory_limit);
  CHECK_THROWS_WITH(set_memory_limit(-1), "set_memory_limit: expected at least 0 bytes, got -1");
  CHECK_THROWS_AS(set_memory_limit(-1), ValueError);
  CHECK(memory_limit() == no_memory_limit);
}

TEST_CASE("an allocation beyond the limit throws, and nothing is lost") {
  empty_cache();
  const int64_t before = held();
  const WithLimit limit(before + bytes_of(10));
  CHECK(memory_limit() == before + bytes_of(10));
  void* p = allocate(8 * MiB);
  const int64_t in_use = memory_stats().in_use;
  for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(allocate(4 * MiB), MemoryError);
  CHECK_THROWS_WITH(allocate(4 * MiB), "allocate: expected to stay within the memory limit of " +
                                           std::to_string(before + bytes_of(10)) +
                                           " bytes, got a request for 4194304 beside the " +
                                           std::to_string(before + bytes_of(8)) + " that are held");
  CHECK(memory_stats().in_use == in_use);
  void* q = allocate(2 * MiB);  // the last byte of it may be used
  deallocate(q, 2 * MiB);
  set_memory_limit(before + bytes_of(14));
  deallocate(allocate(4 * MiB), 4 * MiB);
  deallocate(p, 8 * MiB);
}

TEST_CASE("cached blocks make room before the limit is an error") {
  if (lacks_recycling()) return;
  empty_cache();
  const int64_t before = held();
  const WithLimit limit(before + bytes_of(20));
  for (int i = 0; i < 2; ++i) {
    deallocate(allocate(16 * MiB), 16 * MiB);
    CHECK(memory_stats().cached == bytes_of(16));
    deallocate(allocate(20 * MiB), 20 * MiB);  // of another size: the 16 MiB go back to the system
    CHECK(memory_stats().cached == bytes_of(20));
  }
  CHECK_THROWS_AS(allocate(24 * MiB), MemoryError);
  CHECK(memory_stats().cached == 0);
}

TEST_CASE("what is held already stays, and is recycled, under a limit below it") {
  if (lacks_recycling()) return;
  void* p = allocate(4 * MiB);
  deallocate(allocate(MiB), MiB);
  deallocate(allocate(100), 100);
  const WithLimit limit(0);
  void* q = allocate(MiB);
  void* r = allocate(100);
  CHECK_THROWS_AS(allocate(2 * MiB), MemoryError);
  std::memset(p, 1, 4 * MiB);
  std::memset(q, 2, MiB);
  deallocate(p, 4 * MiB), deallocate(q, MiB), deallocate(r, 100);
}

TEST_CASE("small blocks come under the limit too") {
  const WithLimit limit(0);
  std::vector<void*> blocks;
  bool refused = false;
  try {
    for (int i = 0; i < 1000; ++i) blocks.push_back(allocate(5000));  // what the thread has cached is served
  } catch (const MemoryError&) {
    refused = true;
  }
  CHECK(refused);
  for (void* p : blocks) deallocate(p, 5000);
}

TEST_CASE("threads together never pass the limit") {
  empty_cache();
  const int64_t most = held() + bytes_of(16);
  const WithLimit limit(most);
  std::atomic<int64_t> refused{0}, beyond{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        std::vector<std::pair<void*, std::size_t>> blocks;
        for (std::size_t k = 1; k <= 6; ++k) {
          const std::size_t bytes = MiB + (static_cast<std::size_t>(i + t) % 5) * MiB / 2;
          try {
            blocks.emplace_back(allocate(bytes), bytes);
          } catch (const MemoryError&) {
            ++refused;
          }
          if (memory_stats().in_use > most) ++beyond;
        }
        for (auto [p, bytes] : blocks) deallocate(p, bytes);
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(refused > 0);
  CHECK(beyond == 0);
}

}  // namespace test_allocator
