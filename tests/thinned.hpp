// The switch that thins the slowest tests.
#pragma once
#include <cstdlib>

namespace limpid::test {

/// Whether LIMPID_THIN_TESTS is set, as the sanitizers' presets, scripts/cross_aarch64.sh and scripts/mutate.py do: a
/// test that would take minutes there then runs a part of its cases.
inline bool thinned() { return std::getenv("LIMPID_THIN_TESTS") != nullptr; }

/// Whether the case of this number is left out there: all but each k-th are.
inline bool is_thinned_out(int number, int k) { return number % k != 0 && thinned(); }

}  // namespace limpid::test
