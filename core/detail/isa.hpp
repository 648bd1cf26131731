// Run-time choice of instruction set for the kernels that are compiled once per set.
#pragma once
#include <atomic>
#include <string_view>

namespace limpid {

/// The levels kernels are compiled for: SSE2, AVX2 + FMA, AVX-512 (F, CD, DQ, BW, VL). Elsewhere than on x86-64 only
/// baseline exists.
enum class Isa { baseline, avx2, avx512 };

/// The best level of this machine, or the lower one that LIMPID_ISA (baseline, avx2, avx512) names; read once.
/// A LIMPID_ISA that is unknown or above the machine is ignored with a warning.
inline Isa isa() noexcept;

/// The best level this machine can run, whatever LIMPID_ISA says.
Isa best_isa() noexcept;

/// For tests: use this level from now on (clamped to best_isa()). Not to be called while kernels run.
void set_isa(Isa level) noexcept;

std::string_view to_string(Isa level) noexcept;

namespace detail {
inline constexpr Isa undecided{-1};
extern std::atomic<Isa> isa_in_use;
Isa decide_isa() noexcept;
}  // namespace detail

inline Isa isa() noexcept {
  const Isa level = detail::isa_in_use.load(std::memory_order_relaxed);
  return level == detail::undecided ? detail::decide_isa() : level;
}

}  // namespace limpid
