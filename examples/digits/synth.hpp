#pragma once
#include <limpid/limpid.hpp>

namespace digits {

inline constexpr int kSide = 28, kPixels = kSide * kSide, kClasses = 10;

/// Different seeds draw from unrelated streams, however near the numbers.
inline constexpr uint64_t kTrainSeed = 1, kTestSeed = 2;

/// Draws `count` digits the way MNIST's look: a random digit in a random hand, pen, slant and size, a little noise,
/// each pixel a multiple of 1 / 255. Digit i depends on (seed, i) alone: neither `count` nor `threads` (0: as many as
/// OpenMP would use) changes it.
limpid::data::LabelledImages synthesize(int64_t count, uint64_t seed, int threads = 0);

}  // namespace digits
