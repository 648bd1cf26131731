// Writing that fails by its result alone.
#pragma once
#include <signal.h>

#include <cerrno>
#include <ctime>
#include <initializer_list>

namespace limpid::detail {

/// Writing to a pipe without a reader, or beyond what a process may write to a file (ulimit -f), raises a signal that
/// ends the process. While one of these lives both are held back in this thread, and taken off again, so that EPIPE and
/// EFBIG say what is wrong.
class WithoutWriteSignals {
 public:
  WithoutWriteSignals() noexcept {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    sigemptyset(&held_);
    sigemptyset(&raised_);
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      sigaddset(&held_, signal);
      // One that was waiting before is none of ours.
      if (sigismember(&pending, signal) != 1) sigaddset(&raised_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &held_, &before_);
  }
  WithoutWriteSignals(const WithoutWriteSignals&) = delete;
  WithoutWriteSignals& operator=(const WithoutWriteSignals&) = delete;
  ~WithoutWriteSignals() {
    const int error = errno;
    const timespec at_once{};
    for (int taken = 0; taken >= 0 || errno == EINTR;) taken = sigtimedwait(&raised_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }

 private:
  sigset_t held_, raised_, before_;
};

}  // namespace limpid::detail
