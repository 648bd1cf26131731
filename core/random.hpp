// Random numbers from a counter-based generator (Philox4x32-10; Salmon, Moraes, Dror, Shaw, 2011): a value depends on
// seed and position alone, so that one seed gives the same numbers for any number of threads.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <cstdint>

namespace LIMPID_API limpid {

/// A stream of random numbers. Copies go on separately from the same position.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0) noexcept : seed_(seed) {}
  void manual_seed(uint64_t seed) noexcept { *this = Generator(seed); }
  uint64_t seed() const noexcept { return seed_; }
  /// Reserves count numbers and returns the position of the first.
  uint64_t advance(uint64_t count) noexcept;

 private:
  uint64_t seed_;
  uint64_t position_ = 0;
};

/// This thread's generator; every thread starts with seed 0.
Generator& default_generator() noexcept;
void manual_seed(uint64_t seed) noexcept;

// All draw from the thread's generator or the one given. A value belongs to an index, whatever the memory format.

/// Uniform in [0, 1).
Tensor rand(const Shape& shape, DType dtype = float32, Generator& generator = default_generator());
Tensor rand(const Shape& shape, DType dtype, MemoryFormat format, Generator& generator = default_generator());
/// Standard normal.
Tensor randn(const Shape& shape, DType dtype = float32, Generator& generator = default_generator());
Tensor randn(const Shape& shape, DType dtype, MemoryFormat format, Generator& generator = default_generator());
/// Of x's shape, dtype and memory format.
Tensor rand_like(const Tensor& x, Generator& generator = default_generator());
Tensor randn_like(const Tensor& x, Generator& generator = default_generator());
/// Uniform integers in [low, high). Throws ValueError where there are none.
Tensor randint(int64_t low, int64_t high, const Shape& shape, DType dtype = int64,
               Generator& generator = default_generator());
Tensor randint(int64_t low, int64_t high, const Shape& shape, DType dtype, MemoryFormat format,
               Generator& generator = default_generator());
/// A random order of 0, ..., n - 1.
Tensor randperm(int64_t n, Generator& generator = default_generator());
/// bool, true with probability p.
Tensor bernoulli(double p, const Shape& shape, Generator& generator = default_generator());
Tensor bernoulli(double p, const Shape& shape, MemoryFormat format, Generator& generator = default_generator());

}  // namespace limpid
