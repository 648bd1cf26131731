// The switch that thins the slowest tests.
#pragma once
#include <cstdint>
#include <cstdlib>

namespace limpid::test {

/// Whether LIMPID_THIN_TESTS is set, as the sanitizers' presets, scripts/cross_aarch64.sh and scripts/mutate.py do: a
/// test that would take minutes there then runs a part of its cases.
inline bool thinned() { return std::getenv("LIMPID_THIN_TESTS") != nullptr; }

/// Whether the case of this number is left out there: all but one of k are, scattered, for every k-th case of nested
/// loops may be of one kind.
inline bool is_thinned_out(int number, int k) {
  const auto scattered = static_cast<std::uint32_t>(number) * 2654435761u >> 16;  // Knuth's multiplicative hashing
  return scattered % static_cast<std::uint32_t>(k) != 0 && thinned();
}

}  // namespace limpid::test
