#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/log.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>

namespace limpid {

Isa best_isa() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? Isa::avx512 : avx2 ? Isa::avx2 : Isa::baseline;
#else
  return Isa::baseline;
#endif
}

std::string_view to_string(Isa level) noexcept {
  return level == Isa::avx512 ? "avx512" : level == Isa::avx2 ? "avx2" : "baseline";
}

namespace {

Isa chosen_at_start() noexcept {
  const Isa best = best_isa();
  const char* wish = std::getenv("LIMPID_ISA");
  if (!wish || !*wish) return best;
  for (Isa level : {Isa::baseline, Isa::avx2, Isa::avx512})
    if (to_string(level) == wish && level <= best) return level;
  log_warning("LIMPID_ISA: expected baseline, avx2 or avx512, at most {} on this machine, got '{}'; using {}",
              to_string(best), wish, to_string(best));
  return best;
}

}  // namespace

std::atomic<Isa> detail::isa_in_use{undecided};

Isa detail::decide_isa() noexcept {
  static const Isa chosen = chosen_at_start();
  Isa level = undecided;
  isa_in_use.compare_exchange_strong(level, chosen, std::memory_order_relaxed);
  return isa();
}

void set_isa(Isa level) noexcept { detail::isa_in_use.store(std::min(level, best_isa()), std::memory_order_relaxed); }

}  // namespace limpid
