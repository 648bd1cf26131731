// Locks across fork(): a child process has the forking thread alone, and starts with every lock that another thread
// held. So fork() waits until nobody holds one of these, and leaves them free on both sides.
#pragma once
#include <limpid/core/ref.hpp>

#include <mutex>

namespace limpid::detail {

/// A mutex of the library's own, made when it is loaded, for as long as the process lives. Who holds one of rank r
/// takes none of rank r or less: fork() takes them all, by rising rank.
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

/// Work of a library that has locks of its own, which it leaves to a child as they are: fork() waits until no thread is
/// at it. It is that work alone: it takes no ForkMutex, so it makes no tensor and logs nothing, begins no other and
/// waits for no thread that may.
class LibraryCall {
 public:
  LibraryCall() noexcept : counts_(!is_only_thread()) {
    if (counts_) begin();
  }
  ~LibraryCall() {
    if (counts_) end();
  }
  LibraryCall(const LibraryCall&) = delete;
  LibraryCall& operator=(const LibraryCall&) = delete;

 private:
  static void begin() noexcept;
  static void end() noexcept;
  bool counts_;
};

/// Whether this process was forked from one that had several threads. OpenMP's are not there then, though it counts on
/// them: such a process computes on one thread.
bool is_forked_from_threads() noexcept;

}  // namespace limpid::detail
