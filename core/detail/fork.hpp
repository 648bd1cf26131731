// Locks across fork(): a child process has the forking thread alone, and starts with every lock that another thread
// held. So fork() waits until nobody holds one of these, and leaves them free on both sides.
#pragma once
#include <limpid/core/ref.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>

namespace limpid::detail {

/// A mutex of the library's own, made when it is loaded, for as long as the process lives. Who holds one of rank r
/// takes none of rank r or less, and begins no ShortLock: fork() lets none begin, and takes all mutexes by rising rank.
class ForkMutex {
 public:
  explicit ForkMutex(int rank) noexcept;
  ForkMutex(const ForkMutex&) = delete;
  ForkMutex& operator=(const ForkMutex&) = delete;
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

/// What fork() waits to be empty before it goes on, while nobody enters.
class ForkGate {
 public:
  void enter() noexcept;
  void leave() noexcept { --inside_; }
  void close() noexcept;
  void open() noexcept { inside_ &= ~closed; }
  void open_in_child() noexcept { inside_ = 0; }  // a thread that was about to enter is not here

 private:
  static constexpr uint32_t closed = uint32_t{1} << 31;
  std::atomic<uint32_t> inside_ = 0;  ///< how many are, and whether it is closed
};
extern ForkGate work_before_locks, work_after_locks;

/// Work that a child must not find half done, for as long as this lives.
template <ForkGate& gate>
class ForkDelay {
 public:
  ForkDelay() noexcept : counts_(!is_only_thread()) {
    if (counts_) gate.enter();
  }
  ~ForkDelay() {
    if (counts_) gate.leave();
  }
  ForkDelay(const ForkDelay&) = delete;
  ForkDelay& operator=(const ForkDelay&) = delete;

 private:
  bool counts_;
};

/// Work under one of many short locks, which fork() cannot take. It may take a ForkMutex, but begins no other such work
/// and waits for no thread that may.
using ShortLock = ForkDelay<work_before_locks>;
/// Work of a library that has locks of its own, which it leaves to a child as they are. It is that work alone: it takes
/// no ForkMutex, so it makes no tensor and logs nothing, begins no other and waits for no thread that may.
using LibraryCall = ForkDelay<work_after_locks>;

/// Whether this process was forked from one that had several threads. OpenMP's are not there then, though it counts on
/// them: such a process computes on one thread.
bool is_forked_from_threads() noexcept;

}  // namespace limpid::detail
