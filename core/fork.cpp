#include <limpid/core/detail/fork.hpp>

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <thread>

namespace limpid::detail {
namespace {

struct Entry {
  ForkMutex* mutex = nullptr;
  int rank = 0;
};
// By rising rank.
struct Registry {
  std::mutex mutex;
  std::array<Entry, 16> entries{};
  std::size_t count = 0;
};
constinit Registry all;

bool had_threads = false, forked_from_threads = false;

// How many threads are at a LibraryCall; the highest bit: none may begin.
constinit std::atomic<uint32_t> calls = 0;
constexpr uint32_t closed = uint32_t{1} << 31;

void lock_all() {
  had_threads = !is_only_thread();
  all.mutex.lock();
  for (std::size_t i = 0; i < all.count; ++i) all.entries[i].mutex->lock();
  calls |= closed;
  while (calls != closed) std::this_thread::yield();
}
void unlock_all() {
  calls &= ~closed;
  for (std::size_t i = all.count; i-- > 0;) all.entries[i].mutex->unlock();
  all.mutex.unlock();
}
void start_child() {
  calls = 0;  // a thread that was about to begin is not here
  unlock_all();
  forked_from_threads = forked_from_threads || had_threads;
}

}  // namespace

ForkMutex::ForkMutex(int rank) noexcept {
  static const int registered = pthread_atfork(lock_all, unlock_all, start_child);
  static_cast<void>(registered);
  const std::lock_guard lock(all.mutex);
  if (all.count == all.entries.size()) std::abort();  // while the library is loaded: nobody meets this but who adds one
  std::size_t place = all.count++;
  for (; place > 0 && all.entries[place - 1].rank > rank; --place) all.entries[place] = all.entries[place - 1];
  all.entries[place] = {this, rank};
}

void LibraryCall::begin() noexcept {
  while (++calls & closed) {
    --calls;
    while (calls & closed) std::this_thread::yield();
  }
}
void LibraryCall::end() noexcept { --calls; }

bool is_forked_from_threads() noexcept { return forked_from_threads; }

}  // namespace limpid::detail
