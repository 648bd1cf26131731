// Run-time choice of instruction set for the kernels that are compiled once per set.
#pragma once
#include <atomic>
#include <span>
#include <string_view>

namespace limpid {

/// The levels kernels are compiled for: SSE2, AVX2 + FMA and AVX-512 (F, CD, DQ, BW, VL) on x86-64; NEON on aarch64,
/// which every such machine has; elsewhere what the compiler makes of them, called baseline.
enum class Isa { baseline, avx2, avx512, neon };

/// The best level of this machine, or the other one that LIMPID_ISA names; read once. A LIMPID_ISA that is not the name
/// of a level of this machine is ignored with a warning.
inline Isa isa() noexcept;

/// The levels this machine can run, whatever LIMPID_ISA says, and the best of them, which stands last.
std::span<const Isa> isa_levels() noexcept;
Isa best_isa() noexcept;

/// For tests: use this level from now on, or the best where the machine does not have it. Not to be called while
/// kernels run.
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

#if defined(__x86_64__)
namespace detail {
template <class T>
const T& at_isa(const T& baseline, const T& avx2, const T& avx512) noexcept {
  const Isa level = isa();
  return level == Isa::avx512 ? avx512 : level == Isa::avx2 ? avx2 : baseline;
}
}  // namespace detail
#endif

/// Of the kernels of one name that are compiled once per level, those of the level in use.
#if defined(__x86_64__)
#define LIMPID_AT_ISA(name)                                                                  \
  ::limpid::detail::at_isa(::limpid::kernels::baseline::name, ::limpid::kernels::avx2::name, \
                           ::limpid::kernels::avx512::name)
#elif defined(__aarch64__)
#define LIMPID_AT_ISA(name) ::limpid::kernels::neon::name
#else
#define LIMPID_AT_ISA(name) ::limpid::kernels::baseline::name
#endif

}  // namespace limpid
