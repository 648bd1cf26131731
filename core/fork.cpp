#include <limpid/core/detail/fork.hpp>

#include <pthread.h>

#include <array>
#include <cstddef>
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

void lock_all() {
  all.mutex.lock();  // of two threads that fork at once, one goes first
  had_threads = !is_only_thread();
  work_before_locks.close();
  for (std::size_t i = 0; i < all.count; ++i) all.entries[i].mutex->lock();
  work_after_locks.close();
}
void unlock_all() {
  work_after_locks.open();
  for (std::size_t i = all.count; i-- > 0;) all.entries[i].mutex->unlock();
  work_before_locks.open();
  all.mutex.unlock();
}
void start_child() {
  work_after_locks.open_in_child();
  work_before_locks.open_in_child();
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

constinit ForkGate work_before_locks, work_after_locks;

void ForkGate::enter() noexcept {
  while (++inside_ & closed) {
    --inside_;
    while (inside_ & closed) std::this_thread::yield();
  }
}
void ForkGate::close() noexcept {
  inside_ |= closed;
  while (inside_ != closed) std::this_thread::yield();
}

bool is_forked_from_threads() noexcept { return forked_from_threads; }

}  // namespace limpid::detail
