#pragma once

#include "dataset.hpp"

namespace digits {

/// Different seeds draw from unrelated streams, however near the numbers.
inline constexpr std::uint64_t kTrainSeed = 1;
inline constexpr std::uint64_t kTestSeed = 2;

/// Draws `count` digits the way MNIST's look: a random digit in a random hand, pen, slant and size, a little noise.
/// Digit i depends on (seed, i) alone: neither `count` nor `threads` (0: as many as OpenMP would use) changes it.
Dataset synthesize(std::size_t count, std::uint64_t seed, int threads = 0);

}  // namespace digits
