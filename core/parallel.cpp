#include <omp.h>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/error.hpp>

#include <algorithm>
#include <atomic>

namespace limpid {
namespace {

std::atomic<int>& thread_count() noexcept {
  static std::atomic<int> count{std::max(1, omp_get_max_threads())};
  return count;
}

}  // namespace

void set_num_threads(int threads) {
  if (threads < 1) detail::throw_error<ValueError>("set_num_threads: expected at least 1, got ", threads);
  thread_count() = threads;
  omp_set_num_threads(threads);  // BLAS and oneDNN ask OpenMP
}

int get_num_threads() noexcept { return thread_count().load(std::memory_order_relaxed); }

namespace detail {

bool in_parallel() noexcept { return omp_in_parallel(); }

void parallel_for_impl(int64_t n, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) noexcept {
  const int64_t ranges = std::min<int64_t>(get_num_threads(), (n + grain - 1) / std::max<int64_t>(grain, 1));
#pragma omp parallel for num_threads(static_cast <int>(ranges)) schedule(static, 1)
  for (int64_t i = 0; i < ranges; ++i) {
    // Spelled so that n * i cannot overflow.
    const int64_t share = n / ranges, extra = n % ranges;
    const int64_t begin = i * share + std::min(i, extra);
    body(context, begin, begin + share + (i < extra ? 1 : 0));
  }
}

}  // namespace detail
}  // namespace limpid
