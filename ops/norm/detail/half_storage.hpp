// x, dy, y and dx in half precision: the float32 kernels of the driver run on pieces of them that are widened into
// buffers, memory that stays in a near cache, and whose results are narrowed from there. A piece is what a kernel would
// have met in whole tensors of float32, so the bits are those of converting all of them.
#pragma once
#include <limpid/core/kernels/half.hpp>
#include <limpid/ops/norm/detail/driver.hpp>

#include <atomic>
#include <bit>
#include <thread>

namespace limpid::detail {

/// Elements that a buffer has for each of x, dy and a result, where slices are no larger or come in blocks.
constexpr std::int64_t kHalfBuffer = 2 * kernels::kNormBlock;

/// Elements that it has in calls of these dims.
std::int64_t half_buffer_size(const NormDims& dims) noexcept;

/// A buffer for each of the threads of a call. A thread takes one while it needs it.
class HalfBuffers {
 public:
  static constexpr std::int64_t kMost = 64;

  /// memory: `count` (at most kMost) times 3 * room floats.
  HalfBuffers(float* memory, std::int64_t room, std::int64_t count) noexcept
      : memory_(memory),
        room_(room),
        free_(~std::uint64_t{0} >> (kMost - count)) {}

  /// Not for reading or writing: stands for tensors of float32 that are not there.
  float* stand_in() const noexcept { return memory_; }

  /// Room for x, dy and a result.
  class Buffer {
   public:
    explicit Buffer(HalfBuffers& all) noexcept : all_(all), bit_(all.take()) {
      x = all.memory_ + std::countr_zero(bit_) * 3 * all.room_;
      dy = x + all.room_;
      out = dy + all.room_;
    }
    ~Buffer() { all_.free_.fetch_or(bit_, std::memory_order_release); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    float *x, *dy, *out;

   private:
    HalfBuffers& all_;
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

/// The call with tensors that are dense and float32 in place of those in half precision; they are not looked at.
NormCall<float> with_stand_ins(NormCall<float> call) noexcept;

/// The table of row kernels for tensors in half precision: what they are given stands for dense tensors of float32,
/// whose x, dy, y and dx are not looked at. source: where the rows of x in half precision lie.
class HalfRows {
 public:
  using Plan = kernels::NormRows<float>;
  using index_t = std::int64_t;

  HalfRows(const kernels::NormRowKernels<float>& kernels, const HalfTensors& tensors,
           const kernels::NormRowGeometry& source) noexcept
      : k_(kernels),
        half_(tensors),
        source_(source) {}

  void forward(const Plan& p, index_t begin, index_t end) const noexcept;
  void moments(const Plan& p, index_t begin, index_t end, double* partials) const noexcept;
  void finish(const Plan& p, index_t begin, index_t end, const double* partials) const noexcept;
  void apply(const Plan& p, index_t begin, index_t end) const noexcept;
  void backward(const Plan& p, index_t begin, index_t end) const noexcept;
  void reduce(const Plan& p, index_t begin, index_t end, double* partials) const noexcept;
  void dx(const Plan& p, index_t begin, index_t end) const noexcept;
  void channel_backward(const Plan& p, index_t begin, index_t end, double* dbeta, double* dgamma) const noexcept;

 private:
  void block_moments(const Plan& p, index_t block, double* to) const noexcept;
  void large_forward(const Plan& p, index_t q) const noexcept;
  void large_backward(const Plan& p, index_t q) const noexcept;
  void reduce_blocks(const Plan& p, index_t begin, index_t end, double* to) const noexcept;
  void dx_blocks(const Plan& p, index_t begin, index_t end, index_t first_slice) const noexcept;
  /// x of slices [first, last), or elements [begin, end) of slice q, in float32.
  void widen_slices(index_t first, index_t last, float* to) const noexcept;
  void widen(index_t q, index_t begin, index_t end, float* to) const noexcept;

  const kernels::NormRowKernels<float>& k_;
  const HalfTensors& half_;
  const kernels::NormRowGeometry source_;
};

/// The same of column kernels.
class HalfColumns {
 public:
  using Plan = kernels::NormColumns<float>;
  using index_t = std::int64_t;

  HalfColumns(const kernels::NormColumnKernels<float>& kernels, const HalfTensors& tensors) noexcept
      : k_(kernels),
        half_(tensors) {}

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
  const HalfTensors& half_;
};

}  // namespace limpid::detail
