#include <limpid/core/parallel.hpp>

#include <omp.h>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/pool.hpp>
#include <limpid/core/error.hpp>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <exception>
#include <semaphore>
#include <thread>
#include <vector>

namespace limpid {
namespace {

// OpenMP ends the process where the system gives it no thread, so others ask first.

constexpr int most_threads = 4096;

// How many threads the system gives, up to so many, the calling one among them.
int count_startable(int threads) {
  std::counting_semaphore<most_threads> end(0);
  std::vector<std::thread> probes;
  probes.reserve(static_cast<std::size_t>(threads));
  try {
    while (static_cast<int>(probes.size()) + 1 < threads) probes.emplace_back([&] { end.acquire(); });
  } catch (const std::exception&) {}  // std::system_error, or no memory
  end.release(static_cast<std::ptrdiff_t>(probes.size()));
  for (std::thread& probe : probes) probe.join();
  return static_cast<int>(probes.size()) + 1;
}

std::atomic<int>& thread_count() noexcept {
  static std::atomic<int> count{std::clamp(omp_get_max_threads(), 1, most_threads)};
  return count;
}

// Before OpenMP is to start a team of so many for the calling thread, which has one of its own. Where the system does
// not give them, limpid goes on with as many as there are: results do not depend on it.
int usable(int threads) noexcept {
  LIMPID_FAST_TLS thread_local constinit int proven = 1;
  if (threads <= proven) return threads;
  try {
    proven = count_startable(threads);
  } catch (...) {}  // no memory for that either
  if (proven >= threads) return threads;
  log_message(LogLevel::warning, "limpid: expected ", threads, " threads from the system, got ", proven,
              "; computing on these from now on");
  thread_count().store(proven, std::memory_order_relaxed);
  omp_set_num_threads(proven);
  return proven;
}

// What a thread's floating-point arithmetic does: rounding, and whether it flushes denormal numbers. Kernels are to do
// on all threads what they do on the caller's.
#if defined(__x86_64__)
constexpr unsigned state_flags = 0x3f;  // what has happened so far
constexpr unsigned usual = 0x1f80;
unsigned arithmetic() noexcept { return _mm_getcsr() & ~state_flags; }
void set_arithmetic(unsigned control) noexcept {
  const unsigned state = _mm_getcsr();
  if ((state & ~state_flags) != control) _mm_setcsr((state & state_flags) | control);
}
#else
constexpr unsigned usual = 0;
#if defined(__aarch64__)
unsigned arithmetic() noexcept { return static_cast<unsigned>(__builtin_aarch64_get_fpcr()); }
void set_arithmetic(unsigned control) noexcept {
  if (arithmetic() != control) __builtin_aarch64_set_fpcr(control);
}
#else
unsigned arithmetic() noexcept { return 0; }
void set_arithmetic(unsigned) noexcept {}
#endif
#endif

}  // namespace

void set_num_threads(int threads) {
  if (threads < 1 || threads > most_threads)
    detail::throw_error<ValueError>("set_num_threads: expected a number from 1 to ", most_threads, ", got ", threads);
  if (detail::is_forked_from_threads() && threads > 1)
    detail::throw_error<ValueError>("set_num_threads: expected 1 in a process that was forked from one with several ",
                                    "threads, got ", threads);
  // As many as there are cores are left to be tried when they are needed: a process without threads counts references
  // faster.
  if (threads > static_cast<int>(std::thread::hardware_concurrency()))
    if (const int count = count_startable(threads); count < threads)
      detail::throw_error<ValueError>("set_num_threads: expected a number of threads that the system can start, which ",
                                      "are ", count, " now, got ", threads);
  thread_count() = threads;
  omp_set_num_threads(threads);  // BLAS and oneDNN ask OpenMP
}

int get_num_threads() noexcept {
  return detail::is_forked_from_threads() ? 1 : thread_count().load(std::memory_order_relaxed);
}

namespace detail {

bool in_parallel() noexcept { return omp_in_parallel(); }

// What the threads of the calling thread's team do, as far as is known. New ones do as the one that starts them.
LIMPID_FAST_TLS static thread_local constinit unsigned shared = usual;

void share_arithmetic() noexcept {
  const unsigned control = arithmetic();
  if (control == shared || in_parallel()) return;
  shared = control;
  if (const int threads = usable(get_num_threads()); threads > 1) {
#pragma omp parallel num_threads(threads)
    set_arithmetic(control);
  }
}

void parallel_for_impl(int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) noexcept {
  grain = std::max<int64_t>(grain, 1);
  const int64_t wanted = std::min<int64_t>(get_num_threads(), (n - 1) / grain + 1);
  const int64_t ranges = usable(static_cast<int>(wanted));
  if (ranges == 1) return body(context, 0, n);
  const unsigned control = arithmetic();
  if (control != shared) shared = ~0u;  // not all of the team's threads may take part
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1)
  for (int64_t i = 0; i < ranges; ++i) {
    set_arithmetic(control);
    // Spelled so that n * i cannot overflow.
    const int64_t share = n / ranges, extra = n % ranges;
    const int64_t begin = i * share + std::min(i, extra);
    body(context, begin, begin + share + (i < extra ? 1 : 0));
  }
}

}  // namespace detail
}  // namespace limpid
