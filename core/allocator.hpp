// The caching allocator behind every tensor and graph node.
#pragma once
#include <limpid/core/export.hpp>

#include <cstddef>
#include <cstdint>

namespace LIMPID_API limpid {

/// 64-byte-aligned memory of at least bytes bytes, from this thread's cache where it holds a block of that size class.
/// Throws MemoryError beyond the limit, std::bad_alloc where the system has none. bytes = 0 gives a valid, unique
/// pointer.
void* allocate(std::size_t bytes);

/// Gives back what allocate(bytes) returned, from any thread; kept for the next allocation of the same class.
void deallocate(void* p, std::size_t bytes) noexcept;

/// All in bytes, of the whole process.
struct MemoryStats {
  int64_t in_use;              ///< handed out and not yet given back
  int64_t peak_in_use;         ///< the largest in_use since the start or reset_peak_memory_stats()
  int64_t cached;              ///< given back and kept for reuse (slabs of blocks up to 64 KiB count as in use)
  int64_t system_allocations;  ///< a count: how often the system was asked for memory
};
MemoryStats memory_stats() noexcept;
void reset_peak_memory_stats() noexcept;

/// Returns the cached blocks above 64 KiB to the system. Smaller ones are carved from slabs and stay.
void empty_cache() noexcept;

/// The most bytes that may be held from the system at once, in use or cached: none at first. An allocation that would
/// pass it empties the cache, and where that is not enough throws MemoryError: a tensor too many is an error that can
/// be caught, not the end of the process. What is held already stays. Throws ValueError below 0.
void set_memory_limit(int64_t bytes);
int64_t memory_limit() noexcept;
inline constexpr int64_t no_memory_limit = INT64_MAX;

}  // namespace limpid
