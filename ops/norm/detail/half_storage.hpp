// x, dy, y and dx in half precision: the float32 kernels of the driver run on tiles, pieces that are widened into
// memory that stays in a near cache, and whose results are narrowed from there. A tile is what a kernel would have met
// in whole tensors of float32, so the bits are those of converting all of them.
#pragma once
#include <limpid/core/kernels/half.hpp>
#include <limpid/ops/norm/kernels/norm.hpp>

#include <atomic>
#include <bit>
#include <thread>

namespace limpid::detail {

/// A tile for each of the threads of a call. A thread takes one while it needs it.
class NormTiles {
 public:
  static constexpr std::int64_t kMost = 64;

  /// memory: `tiles` (at most kMost) times 3 * room floats.
  NormTiles(float* memory, std::int64_t room, std::int64_t tiles) noexcept
      : memory_(memory),
        room_(room),
        free_(~std::uint64_t{0} >> (kMost - tiles)) {}

  /// Not for reading or writing: stands for tensors of float32 that are not there.
  float* stand_in() const noexcept { return memory_; }

  /// Room for x, dy and a result.
  class Tile {
   public:
    explicit Tile(NormTiles& tiles) noexcept : tiles_(tiles), bit_(tiles.take()) {
      x = tiles.memory_ + std::countr_zero(bit_) * 3 * tiles.room_;
      dy = x + tiles.room_;
      out = dy + tiles.room_;
    }
    ~Tile() { tiles_.free_.fetch_or(bit_, std::memory_order_release); }
    Tile(const Tile&) = delete;
    Tile& operator=(const Tile&) = delete;

    float *x, *dy, *out;

   private:
    NormTiles& tiles_;
    std::uint64_t bit_;
  };

 private:
  std::uint64_t take() noexcept {
    for (;;) {
      std::uint64_t free = free_.load(std::memory_order_relaxed);
      const std::uint64_t bit = free & -free;
      if (bit && free_.compare_exchange_weak(free, free & ~bit, std::memory_order_acquire)) return bit;
      if (!bit) std::this_thread::yield();
    }
  }

  float* memory_;
  std::int64_t room_;
  std::atomic<std::uint64_t> free_;
};

/// Where the tensors of a call are; y, or dx, may be null. dy, y and dx: dense.
struct NormStorage {
  const kernels::HalfKernels* convert = nullptr;
  NormTiles* tiles = nullptr;
  const std::uint16_t* x = nullptr;
  const std::uint16_t* dy = nullptr;
  std::uint16_t* y = nullptr;
  std::uint16_t* dx = nullptr;
  kernels::NormStrides x_strides = {};
  bool stream = false;  ///< y or dx is written past the caches.

  explicit operator bool() const noexcept { return convert != nullptr; }
};

/// Elements that a tile has of each of x, dy and a result, where slices are no larger or come in blocks.
constexpr std::int64_t kNormTile = 2 * kernels::kNormBlock;

/// The table of row kernels for tensors in half precision, but that a plan's own x, dy, y and dx are not looked at.
/// source: the plan of x where it is.
class HalfRows {
 public:
  using Plan = kernels::NormRows<float>;
  using index_t = std::int64_t;

  HalfRows(const kernels::NormRowKernels<float>& kernels, const NormStorage& storage, const Plan& source) noexcept
      : k_(kernels),
        at_(storage),
        source_(source) {}

  void forward(const Plan& p, index_t begin, index_t end) const noexcept;
  void moments(const Plan& p, index_t begin, index_t end, double* partials) const noexcept;
  void finish(const Plan& p, index_t begin, index_t end, const double* partials) const noexcept;
  void apply(const Plan& p, index_t begin, index_t end) const noexcept;
  void backward(const Plan& p, index_t begin, index_t end) const noexcept;
  void reduce(const Plan& p, index_t begin, index_t end, double* partials) const noexcept;
  void dx(const Plan& p, index_t begin, index_t end) const noexcept;
  void backward_along(const Plan& p, index_t begin, index_t end, double* dbeta, double* dgamma) const noexcept;

 private:
  void block_moments(const Plan& p, index_t block, double* to) const noexcept;
  void large_forward(const Plan& p, index_t q) const noexcept;
  void large_backward(const Plan& p, index_t q) const noexcept;
  void reduce_blocks(const Plan& p, index_t begin, index_t end, double* to) const noexcept;
  void dx_blocks(const Plan& p, index_t begin, index_t end, double* m1, double* m2, index_t first) const noexcept;
  void widen_slices(index_t first, index_t last, float* to) const noexcept;
  void widen(index_t q, index_t begin, index_t end, float* to) const noexcept;

  const kernels::NormRowKernels<float>& k_;
  const NormStorage& at_;
  const Plan& source_;
};

/// The same of column kernels.
class HalfColumns {
 public:
  using Plan = kernels::NormColumns<float>;
  using index_t = std::int64_t;

  HalfColumns(const kernels::NormColumnKernels<float>& kernels, const NormStorage& storage) noexcept
      : k_(kernels),
        at_(storage) {}

  void moments(const Plan& p, index_t n, index_t block, double* partials) const noexcept;
  void finish(const Plan& p, index_t n, double* partials, double* coefficients) const noexcept;
  void apply(const Plan& p, index_t n, index_t begin, index_t end, const double* coefficients) const noexcept;
  void prepare(const Plan& p, index_t n, double* coefficients) const noexcept;
  void reduce(const Plan& p, index_t n, index_t block, const double* coefficients, double* partials) const noexcept;
  void finish_sums(const Plan& p, index_t n, double* partials, double* coefficients) const noexcept;
  void dx(const Plan& p, index_t n, index_t begin, index_t end, const double* coefficients) const noexcept;
  void forward(const Plan& p, index_t n) const noexcept;
  void backward(const Plan& p, index_t n, double* totals) const noexcept;
  bool whole(const Plan& p) const noexcept { return k_.whole(p); }

 private:
  struct Block;
  void widen(const Plan& p, index_t n, const Block& block, float* to) const noexcept;

  const kernels::NormColumnKernels<float>& k_;
  const NormStorage& at_;
};

}  // namespace limpid::detail
