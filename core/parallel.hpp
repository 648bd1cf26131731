// How many threads limpid uses.
#pragma once
#include <limpid/core/export.hpp>

namespace LIMPID_API limpid {

/// For kernels, BLAS and oneDNN alike, from the next call on; results are the same bits for any. Throws ValueError
/// below 1, above 4096, and where the system cannot start so many; and above 1 in a process that was forked from one
/// with several threads, which computes on one.
void set_num_threads(int threads);
/// At first OMP_NUM_THREADS, or the number of cores.
int get_num_threads() noexcept;

}  // namespace limpid
