#include <limpid/ops/reduce/kernels/softmax.hpp>

#include <limpid/core/kernels/simd.hpp>
#include <limpid/ops/elementwise/kernels/exp.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace limpid::kernels {
namespace {

using std::int64_t;
using Floats = xsimd::batch<float>;
using Ints = xsimd::as_integer_t<Floats>;
constexpr auto kSize = static_cast<int64_t>(Floats::size);

// Those results that are not normal, one by one: a double holds them all.
[[gnu::noinline, gnu::cold]] void exponentials_of_small(float* y, const float* x, float largest) noexcept {
  for (int64_t k = 0; k < kSize; ++k)
    if (x[k] - largest < -87.0f)
      y[k] = static_cast<float>(exp_down(static_cast<double>(x[k]) - static_cast<double>(largest)));
}

// e^(x - largest) of one row.
class Exponential {
 public:
  explicit Exponential(float largest) noexcept
      : largest_(largest),
        floor_(largest - std::max(128.0f, std::abs(largest))) {}

  // y and x: a registerful.
  void operator()(float* y, const float* x) const noexcept {
    // x is raised to 128 below the largest, where e^(x - largest) is 0, so that no infinity is subtracted; to |largest|
    // below where that is more, for of 128 less the rounded difference might be the largest again.
    const Floats inside = xsimd::max(floor_, Floats::load_unaligned(x));
    // x - largest = d + low exactly (Knuth, The Art of Computer Programming, volume 2, 4.2.2, theorem B).
    const Floats d = inside - largest_, back = d - inside, low = (inside - (d - back)) - (largest_ + back);
    // As Power has it, but for multiply-adds, which round otherwise where they are not fused: k times the high part of
    // ln 2 is exact, and so is what is multiplied by a power of two.
    const Floats z = xsimd::max(Floats(-87.0f), d), round(0x1.8p23f), shifted = z * Floats(1.44269504f) + round;
    const Floats k = shifted - round, r = (z - k * Floats(0x1.62e4p-1f)) - k * Floats(0x1.7f7d1cp-20f);
    const Floats scale = xsimd::bitwise_cast<Floats>((xsimd::bitwise_cast<Ints>(shifted) + Ints(127)) << 23);
    Floats p(0.0013882492952177142f);
    p = p * r + Floats(0.008366581277308471f);
    p = p * r + Floats(0.041667202029718f);
    p = p * r + Floats(0.16666543168170378f);
    p = p * r + Floats(0.49999998143381524f);
    Floats part = r + (r * r) * p;
    part = part + (low + low * part);
    const auto small = d < Floats(-87.0f);
    xsimd::select(small, Floats(0.0f), scale + scale * part).store_unaligned(y);
    if (xsimd::any(small & (d > Floats(-105.0f)))) [[unlikely]]
      exponentials_of_small(y, x, largest_.get(0));
  }

 private:
  Floats largest_, floor_;
};

// f(y, x) for each registerful of a row, the last in a copy where it is not full.
template <class F>
inline void each(float* y, const float* x, int64_t n, const F& f) noexcept {
  int64_t j = 0;
  for (; j + kSize <= n; j += kSize) f(y + j, x + j);
  if (j == n) return;
  float padded[kSize], result[kSize];
  for (int64_t k = 0; k < kSize; ++k) padded[k] = x[j + k < n ? j + k : j];
  f(result, padded);
  std::copy_n(result, n - j, y + j);
}

void exponentials(float* y, const float* x, const float* largest, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, x += stride, y += stride) each(y, x, n, Exponential(largest[i]));
}

// The rest are plain loops, which compilers turn into vectors.

void scale(float* y, const double* factor, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, y += stride) {
    const double by = factor[i];
    for (int64_t j = 0; j < n; ++j) y[j] = static_cast<float>(static_cast<double>(y[j]) * by);
  }
}

void shift(float* __restrict y, const float* __restrict x, const float* largest, const double* log,
           const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, x += stride, y += stride) {
    const double a = static_cast<double>(largest[i]), b = log[i];
    for (int64_t j = 0; j < n; ++j) y[j] = static_cast<float>((static_cast<double>(x[j]) - a) - b);
  }
}

void weigh(float* __restrict t, const float* __restrict dy, const float* __restrict p, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, t += stride, dy += stride, p += stride) {
    constexpr auto heavy = static_cast<float>(heavy_weight);
    std::uint32_t bits = 0;  // of the one dy that is chosen, if any
    for (int64_t j = 0; j < n; ++j) bits |= p[j] > heavy ? std::bit_cast<std::uint32_t>(dy[j]) : 0;
    const float heaviest = std::bit_cast<float>(bits);
    for (int64_t j = 0; j < n; ++j) {
      const float d = dy[j] - heaviest, product = d * p[j];
      t[j] = d == 0 ? 0 : product;
    }
  }
}

void centre(float* __restrict t, const float* __restrict p, const double* total, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, t += stride, p += stride) {
    const float sum = static_cast<float>(total[i]);
    if (sum == 0) continue;
    for (int64_t j = 0; j < n; ++j) t[j] -= sum * p[j];
  }
}

}  // namespace

namespace LIMPID_KERNEL_ISA {
const SoftmaxRows softmax_rows = {
    .exponentials = exponentials, .scale = scale, .shift = shift, .weigh = weigh, .centre = centre};
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
