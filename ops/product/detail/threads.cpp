#include <limpid/ops/product/detail/threads.hpp>

#include <omp.h>
#include <limpid/core/detail/parallel.hpp>

namespace limpid::detail {

OneThread::OneThread() noexcept : before_(omp_get_max_threads()) {
  if (before_ != 1) omp_set_num_threads(1);
}
OneThread::~OneThread() {
  if (before_ != 1) omp_set_num_threads(before_);
}

int use_our_threads() noexcept {
  if (in_parallel()) return 1;
  // The count is a thread's own in OpenMP, but one for all in limpid.
  const int threads = get_num_threads();
  if (omp_get_max_threads() != threads) omp_set_num_threads(threads);
  share_arithmetic();
  return threads;
}

}  // namespace limpid::detail
