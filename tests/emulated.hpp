// The switch that thins the slowest tests.
#pragma once
#include <cstdlib>

namespace limpid::test {

/// Whether LIMPID_EMULATED is set, as scripts/cross_aarch64.sh does: a test that would take minutes under an emulator
/// then runs a part of its cases.
inline bool emulated() { return std::getenv("LIMPID_EMULATED") != nullptr; }

}  // namespace limpid::test
