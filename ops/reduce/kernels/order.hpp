// Kernels of sorting and of the first elements in an order: the table each instruction set fills. They compute with
// ranks, which are whole numbers: every instruction set gives the same.
#pragma once
#include <limpid/core/kernels/tables.hpp>
#include <limpid/ops/elementwise/kernels/elementwise.hpp>

#include <cstdint>
#include <type_traits>

namespace limpid::kernels {

/// Ranks of elements of T: as many bits as T has, but 32 at least.
template <class T>
using Rank = std::conditional_t<sizeof(T) <= sizeof(std::uint32_t), std::uint32_t, std::uint64_t>;

/// Writes the rank of each x. Ranks are in the order of x, or against it where turned is all ones and not 0; -0 and 0
/// have the same, and NaN that of what is greatest.
using RankKernel = void (*)(std::int64_t n, void* rank, const void* x, std::uint64_t turned) noexcept;

/// least[i] = the least of the ranks i, i + least_lanes, i + 2 * least_lanes, ...; those behind the last whole turn are
/// left out.
inline constexpr std::int64_t least_lanes = 32;
template <class R>
using LeastKernel = void (*)(std::int64_t n, R* least, const R* rank) noexcept;

/// Writes the indices of the ranks up to a bound into place, which has room for n, and returns how many there are.
template <class R>
using WithinKernel = std::int64_t (*)(std::int64_t n, std::int32_t* place, const R* rank, R bound) noexcept;

template <class R>
struct SelectKernels {
  LeastKernel<R> least;
  WithinKernel<R> within;
};

struct OrderKernels {
  ByDType<RankKernel> rank;
  SelectKernels<std::uint32_t> select_u32;
  SelectKernels<std::uint64_t> select_u64;
};

LIMPID_DECLARE_KERNELS(OrderKernels, order_kernels)

}  // namespace limpid::kernels
