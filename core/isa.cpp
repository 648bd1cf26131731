#include <limpid/core/detail/isa.hpp>

#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/quote.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

namespace limpid {

namespace {

#if defined(__x86_64__)
constexpr Isa kLevels[] = {Isa::baseline, Isa::avx2, Isa::avx512};

std::size_t count_levels() noexcept {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? 3 : avx2 ? 2 : 1;
}
#else
#if defined(__aarch64__)
constexpr Isa kLevels[] = {Isa::neon};
#else
constexpr Isa kLevels[] = {Isa::baseline};
#endif
std::size_t count_levels() noexcept { return 1; }
#endif

}  // namespace

std::span<const Isa> isa_levels() noexcept { return {kLevels, count_levels()}; }

Isa best_isa() noexcept { return isa_levels().back(); }

std::string_view to_string(Isa level) noexcept {
  switch (level) {
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::neon: return "neon";
    default: return "baseline";
  }
}

namespace {

Isa chosen_at_start() noexcept {
  const Isa best = best_isa();
  const char* wish = std::getenv("LIMPID_ISA");
  if (!wish || !*wish) return best;
  for (Isa level : isa_levels())
    if (to_string(level) == wish) return level;
  log_message(LogLevel::warning, "LIMPID_ISA: expected a level of this machine, up to ", to_string(best), ", got '",
              detail::printable(wish), "'; using ", to_string(best));
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

void set_isa(Isa level) noexcept {
  const auto levels = isa_levels();
  const bool here = std::find(levels.begin(), levels.end(), level) != levels.end();
  detail::isa_in_use.store(here ? level : best_isa(), std::memory_order_relaxed);
}

}  // namespace limpid
