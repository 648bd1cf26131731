#pragma once

#include <cstdint>

namespace digits {

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Each (seed, index) names
/// a stream of its own, so that item `index` comes out the same whoever makes it, in whatever order.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t index) : state_(mix(mix(seed + kStep) + index * kStep)) {}

  std::uint64_t next() { return mix(state_ += kStep); }

  /// In [low, high).
  float uniform(float low, float high) { return low + (high - low) * static_cast<float>(next() >> 40) * 0x1p-24f; }

  /// In [0, n).
  int below(int n) { return static_cast<int>((next() >> 32) * static_cast<std::uint64_t>(n) >> 32); }

  bool chance(float probability) { return uniform(0.0f, 1.0f) < probability; }

  /// Mean 0, standard deviation sigma, bell-shaped: the sum of four uniforms. It never leaves 3.5 sigma, so no digit is
  /// torn by an outlier, and it calls no libm, whose last bits differ between machines.
  float bell(float sigma) {
    const std::uint64_t bits = next();
    const auto sum = static_cast<float>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
    return sigma * (sum * 0x1p-16f - 2.0f) * 1.7320508f;
  }

 private:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15u;

  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

}  // namespace digits
