#include <limpid/core/allocator.hpp>

#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/pool.hpp>
#include <limpid/core/error.hpp>

#include <pthread.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <mutex>
#include <new>
#include <utility>

namespace limpid {

using detail::class_count, detail::class_of, detail::FreeBlock, detail::pop, detail::push;
using detail::small_classes;

namespace {

#if defined(__SANITIZE_ADDRESS__)
#define LIMPID_NO_CACHE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LIMPID_NO_CACHE 1
#endif
#endif

// A recycled block would hide a use after free from the sanitizer. Here alone, for a header would say it to a test that
// is compiled without one, too.
#if defined(LIMPID_NO_CACHE)
constexpr bool caching = false;
#else
constexpr bool caching = true;
#endif

}  // namespace

LIMPID_FAST_TLS thread_local constinit detail::ThreadCache detail::thread_cache;

namespace {

detail::ThreadCache& cache() noexcept { return detail::thread_cache; }

constexpr std::size_t alignment = 64;

/// Large blocks ask for huge pages, where the system leaves that to programs: with 4 KiB pages a sixth of the time of
/// streaming through memory goes into finding them.
constexpr std::size_t huge_page = std::size_t{1} << 21, huge_block = 2 * huge_page;

constexpr std::align_val_t alignment_of(std::size_t bytes) noexcept {
  return std::align_val_t{bytes >= huge_block ? huge_page : alignment};
}
void* aligned_new(std::size_t bytes) noexcept {
  void* p = ::operator new(bytes, alignment_of(bytes), std::nothrow);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (p && bytes >= huge_block) ::madvise(p, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // a hint: may fail
#endif
  return p;
}

constexpr std::size_t class_bytes(std::size_t index) noexcept {
  if (index < 8) return (index + 1) * 64;
  const std::size_t octave = 9 + (index - 8) / 4, quarter = (index - 8) % 4;
  return (std::size_t{4} + quarter + 1) << (octave - 2);
}
static_assert(class_bytes(class_of(513)) == 640 && class_bytes(class_of(1024)) == 1024);

struct Counters {
  std::atomic<int64_t> in_use{0}, peak{0}, cached{0}, system{0};
  std::atomic<int64_t> held{0}, limit{no_memory_limit};  // held: in use and cached, and what is about to be

  void add_in_use(int64_t bytes) noexcept {
    const int64_t now = in_use.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    int64_t seen = peak.load(std::memory_order_relaxed);
    while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {}
  }

  /// Whether so many bytes more are within the limit; they count as held then.
  bool hold(int64_t bytes) noexcept {
    int64_t now = held.load(std::memory_order_relaxed);
    do {
      if (now > limit.load(std::memory_order_relaxed) - bytes) return false;
    } while (!held.compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
    return true;
  }
};

// Blocks above small_limit, and small ones that no thread keeps. Never destroyed: tensors may outlive statics.
struct Central {
  detail::ForkMutex mutex{3};  // allocating is possible under every other
  std::array<FreeBlock*, class_count> free{};
  detail::ThreadCache* open = nullptr;  // a list
  Counters counters;
};
Central& central() noexcept {
  alignas(Central) static std::byte storage[sizeof(Central)];
  static Central* const instance = new (storage) Central;
  return *instance;
}

// When the library is loaded, or before: a child would wait for ever for one that another thread was making.
[[maybe_unused]] Central& made_early = central();

[[noreturn, gnu::cold]] void throw_beyond_limit(int64_t bytes) {
  const Counters& counters = central().counters;
  detail::throw_error<MemoryError>("allocate: expected to stay within the memory limit of ", counters.limit.load(),
                                   " bytes, got a request for ", bytes, " beside the ", counters.held.load(),
                                   " that are held");
}

[[noreturn, gnu::cold]] void throw_none_left(int64_t bytes) {
  detail::throw_error<MemoryError>("allocate: expected ", bytes, " bytes from the system, got none, beside the ",
                                   central().counters.held.load(), " that are held");
}

void* from_system(std::size_t bytes) {
  Counters& counters = central().counters;
  const auto size = static_cast<int64_t>(bytes);
  if (!counters.hold(size)) {
    empty_cache();
    if (!counters.hold(size)) throw_beyond_limit(size);
  }
  counters.system.fetch_add(1, std::memory_order_relaxed);
  void* p = aligned_new(bytes);
  if (!p) {
    empty_cache();
    p = aligned_new(bytes);
  }
  if (!p) {
    counters.held.fetch_sub(size, std::memory_order_relaxed);
    throw_none_left(size);
  }
  return p;
}
void to_system(void* p, int64_t bytes) noexcept {
  central().counters.held.fetch_sub(bytes, std::memory_order_relaxed);
  ::operator delete(p, alignment_of(static_cast<std::size_t>(bytes)));
}

void give_back_all() noexcept {
  std::array<FreeBlock*, small_classes> last{};  // found before the lock: lists may be long
  for (std::size_t i = 0; i < small_classes; ++i)
    for (FreeBlock* block = cache().free[i]; block; block = block->next) last[i] = block;
  Central& shared = central();
  const std::lock_guard lock(shared.mutex);
  for (std::size_t i = 0; i < small_classes; ++i)
    if (last[i]) {
      last[i]->next = shared.free[i];
      shared.free[i] = std::exchange(cache().free[i], nullptr);
    }
  cache().slow = false;
}

// Opens this thread's cache, and closes it at the thread's end.
struct ThreadGuard {
  ThreadGuard() noexcept {
    Central& shared = central();
    const std::lock_guard lock(shared.mutex);
    cache().next = shared.open;
    shared.open = &cache();
    cache().guarded = true;
    cache().slow = false;
  }
  ~ThreadGuard() {
    give_back_all();
    Central& shared = central();
    const std::lock_guard lock(shared.mutex);
    detail::ThreadCache** place = &shared.open;
    while (*place != &cache()) place = &(*place)->next;
    *place = cache().next;
    cache().closed = cache().slow = true;
  }
};

// In the child of a fork(), where the other threads are not.
[[maybe_unused]] const int forgets = pthread_atfork(nullptr, nullptr, [] {
  central().open = cache().guarded && !cache().closed ? &cache() : nullptr;
  cache().next = nullptr;
});

// Where one thread makes tensors and another drops them, blocks gather with the other. So a thread that takes the last
// shared block of a class, and has taken so much since it last asked, asks the others to give theirs back with the next
// that they drop.
constexpr std::size_t refilled_before_asking = std::size_t{1} << 18;

void ask_others(const Central& shared) noexcept {
  if (cache().refilled < refilled_before_asking) return;
  cache().refilled = 0;
  for (detail::ThreadCache* other = shared.open; other; other = other->next)
    if (other != &cache()) other->slow.store(true, std::memory_order_relaxed);
}

void* refill(std::size_t index) {
  if (!cache().guarded) {
    thread_local ThreadGuard guard;
    static_cast<void>(guard);
  }
  Central& shared = central();
  const std::size_t bytes = class_bytes(index);
  const std::size_t count = cache().closed ? 1 : std::clamp<std::size_t>(16384 / bytes, 1, 64);
  {
    const std::lock_guard lock(shared.mutex);
    FreeBlock* const block = pop(shared.free[index]);
    cache().refilled += block ? bytes : 0;
    for (std::size_t i = 1; i < count && shared.free[index]; ++i) {
      push(cache().free[index], pop(shared.free[index]));
      cache().refilled += bytes;
    }
    if (!shared.free[index]) ask_others(shared);
    if (block) return block;
  }
  auto* slab = static_cast<std::byte*>(from_system(bytes * count));
  cache().refilled += bytes * count;
  shared.counters.add_in_use(static_cast<int64_t>(bytes * count));
  for (std::size_t i = count; i-- > 1;) push(cache().free[index], slab + i * bytes);
  return slab;
}

void* allocate_large(std::size_t index) {
  Central& shared = central();
  const auto bytes = static_cast<int64_t>(class_bytes(index));
  void* p = nullptr;
  {
    const std::lock_guard lock(shared.mutex);
    p = pop(shared.free[index]);
  }
  if (p) {
    shared.counters.cached.fetch_sub(bytes, std::memory_order_relaxed);
  } else {
    p = from_system(class_bytes(index));
  }
  shared.counters.add_in_use(bytes);
  return p;
}

}  // namespace

void* allocate(std::size_t bytes) { return detail::pool_allocate(bytes); }
void deallocate(void* p, std::size_t bytes) noexcept { detail::pool_deallocate(p, bytes); }

// Never inlined into the fast way, which a compiler that sees both (LIMPID_UNITY) would do.
[[gnu::noinline]] void* detail::allocate_slowly(std::size_t bytes) {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<int64_t>::max());
  if (bytes > (std::size_t{1} << 58)) throw_none_left(static_cast<int64_t>(std::min(bytes, most)));
  const std::size_t index = class_of(bytes);
  return !caching || index >= small_classes ? allocate_large(index) : refill(index);
}

[[gnu::noinline]] void detail::deallocate_slowly(void* p, std::size_t bytes) noexcept {
  const std::size_t index = class_of(bytes);
  Central& shared = central();
  const auto size = static_cast<int64_t>(class_bytes(index));
  if (!caching) {
    shared.counters.in_use.fetch_sub(size, std::memory_order_relaxed);
    return to_system(p, size);
  }
  if (index < small_classes && cache().guarded && !cache().closed) {
    push(cache().free[index], p);
    return give_back_all();
  }
  if (index >= small_classes) {
    shared.counters.in_use.fetch_sub(size, std::memory_order_relaxed);
    shared.counters.cached.fetch_add(size, std::memory_order_relaxed);
  }
  const std::lock_guard lock(shared.mutex);
  push(shared.free[index], p);
}

MemoryStats memory_stats() noexcept {
  const Counters& counters = central().counters;
  return {counters.in_use.load(), counters.peak.load(), counters.cached.load(), counters.system.load()};
}

void reset_peak_memory_stats() noexcept {
  Counters& counters = central().counters;
  counters.peak.store(counters.in_use.load());
}

void set_memory_limit(int64_t bytes) {
  if (bytes < 0) detail::throw_error<ValueError>("set_memory_limit: expected at least 0 bytes, got ", bytes);
  central().counters.limit.store(bytes);
}

int64_t memory_limit() noexcept { return central().counters.limit.load(); }

void empty_cache() noexcept {
  Central& shared = central();
  const std::lock_guard lock(shared.mutex);
  for (std::size_t i = small_classes; i < class_count; ++i)
    while (FreeBlock* block = pop(shared.free[i])) {
      const auto bytes = static_cast<int64_t>(class_bytes(i));
      shared.counters.cached.fetch_sub(bytes, std::memory_order_relaxed);
      to_system(block, bytes);
    }
}

}  // namespace limpid
