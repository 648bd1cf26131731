// Loops shared out over the one OpenMP pool.
#pragma once
#include <limpid/core/parallel.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>

namespace limpid {

namespace detail {
void parallel_for_impl(int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) noexcept;
/// Makes the threads that libraries compute on round, and flush denormal numbers or not, as the calling thread does.
/// parallel_for does so by itself.
void share_arithmetic() noexcept;
/// True inside a parallel_for that runs on several threads.
bool in_parallel() noexcept;
}  // namespace detail

/// Calls body(begin, end) for ranges that cover [0, n), at most n / grain rounded up of them and of about one size, on
/// at most get_num_threads() threads; on the calling thread alone where that leaves one range or a parallel loop runs
/// already. A grain below 1 counts as 1. body must not throw. Results must not depend on where ranges begin: that
/// depends on the number of threads.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& body) noexcept {
  if (n <= 0) return;
  if (n <= grain || get_num_threads() == 1 || detail::in_parallel()) return body(int64_t{0}, n);
  using Body = std::remove_reference_t<F>;
  detail::parallel_for_impl(
      n, grain, [](void* context, int64_t begin, int64_t end) { (*static_cast<Body*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

/// parallel_for with a body that may throw: one of its exceptions is thrown on when all threads are done.
template <class F>
void parallel_for_throwing(int64_t n, int64_t grain, F&& body) {
  std::atomic_flag caught = ATOMIC_FLAG_INIT;
  std::exception_ptr error;
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    try {
      body(begin, end);
    } catch (...) {
      if (!caught.test_and_set()) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace limpid
