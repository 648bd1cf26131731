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
  /// Where a stream stands, to be kept beside a model and gone back to.
  struct State {
    uint64_t seed = 0, position = 0;
    bool operator==(const State&) const = default;
  };

  explicit Generator(uint64_t seed = 0) noexcept : seed_(seed) {}
  void manual_seed(uint64_t seed) noexcept { *this = Generator(seed); }
  uint64_t seed() const noexcept { return seed_; }
  State state() const noexcept { return {seed_, position_}; }
  void set_state(const State& state) noexcept { seed_ = state.seed, position_ = state.position; }
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
/// Normal about mean. Throws ValueError where dtype does not hold what may be drawn, up to 9.42 standard deviations
/// from the mean in float64, else 6.67.
Tensor normal(double mean, double stddev, const Shape& shape, DType dtype = float32,
              Generator& generator = default_generator());
/// Of a mean and a standard deviation each, which broadcast, in the dtype they promote to; not differentiable: mean +
/// stddev * randn_like(mean) is. Errors as above.
Tensor normal(const Tensor& mean, const Tensor& stddev, Generator& generator = default_generator());
Tensor normal(const Tensor& mean, double stddev = 1, Generator& generator = default_generator());
Tensor normal(double mean, const Tensor& stddev, Generator& generator = default_generator());
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
/// int64 (count) or (m, count): as many indices of weights (n) or of each row of (m, n), each with a probability in
/// proportion to its weight; none of weight 0 ever. Without replacement, none twice. Throws ValueError on weights that
/// are negative or not finite, or of which too few are above 0; DTypeError on bool.
Tensor multinomial(const Tensor& weights, int64_t count, bool replacement = false,
                   Generator& generator = default_generator());
/// bool, true with probability p.
Tensor bernoulli(double p, const Shape& shape, Generator& generator = default_generator());
Tensor bernoulli(double p, const Shape& shape, MemoryFormat format, Generator& generator = default_generator());

}  // namespace limpid
