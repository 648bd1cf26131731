// The two halves of the normalisation driver: slices as rows of memory, and samples as columns. Each makes its plan,
// runs its kernels and splits their work over threads; norm_driver.cpp says which of them a call takes.
#pragma once
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/norm/detail/driver.hpp>
#include <limpid/ops/norm/detail/half_storage.hpp>

#include <algorithm>

namespace limpid::detail {

/// One call, forward or backward: what it reads and what is wanted of it. The members have the meaning of the
/// parameters of norm_forward and norm_backward.
template <class T>
struct NormCall {
  NormDims dims;
  NormStrides x_strides;
  bool affine = false;  ///< A weight, a bias or a gradient of either is in play.
  bool moments = true;  ///< Forward: compute the statistics.
  double eps = 0;
  const T* x = nullptr;
  const T* dy = nullptr;
  const T* gamma = nullptr;
  const T* beta = nullptr;
  T* y = nullptr;
  T* dx = nullptr;
  T* dgamma = nullptr;
  T* dbeta = nullptr;
  bool tangent = false;  ///< dx is the tangent of y for those of x, which is dy, of gamma, slope, and of beta, offset.
  const T* slope = nullptr;
  const T* offset = nullptr;
  NormStats stats;
  double* scratch = nullptr;
  NormDyMaker make_dy = {};
  const NormStorage* storage = nullptr;  ///< Of float32 alone: where x, dy, y and dx really are.

  /// All of dy at once, where it is not made slice by slice.
  void make_all_dy() const noexcept;

  /// Hands all of it that a kernel plan has to that plan.
  void fill(auto& plan) const noexcept {
    plan.x = x;
    plan.dy = dy;
    plan.gamma = gamma;
    plan.beta = beta;
    plan.y = y;
    plan.dx = dx;
    plan.slope = slope;
    plan.offset = offset;
    plan.outside = tangent && dims.d > 1;
    plan.eps = eps;
    plan.moments = moments;
    plan.stats = stats;
  }
};

/// along: gamma and beta, where there are any, run along the rows.
template <class T>
void norm_forward_rows(const NormCall<T>& call, bool along) noexcept;
template <class T>
void norm_backward_rows(const NormCall<T>& call, bool along) noexcept;
std::int64_t norm_forward_rows_scratch(const NormDims& dims) noexcept;
std::int64_t norm_backward_rows_scratch(const NormDims& dims) noexcept;
std::int64_t norm_rows_tile(const NormDims& dims) noexcept;

template <class T>
void norm_forward_columns(const NormCall<T>& call) noexcept;
template <class T>
void norm_backward_columns(const NormCall<T>& call) noexcept;
std::int64_t norm_forward_columns_scratch(const NormDims& dims) noexcept;
std::int64_t norm_backward_columns_scratch(const NormDims& dims) noexcept;
std::int64_t norm_columns_tile(const NormDims& dims) noexcept;

// What both halves share. How the work is split depends on the dims alone, never on the number of threads: that only
// decides who does it.

constexpr std::int64_t kNormGrain = 32768;         // elements that are worth a thread
constexpr std::int64_t kNormWholeSlice = 1 << 18;  // elements up to which a slice is done at once while it is in cache
constexpr std::int64_t kNormFewSlices = 4, kNormLots = 32;

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }
constexpr std::int64_t norm_grain(std::int64_t elements_each) noexcept {
  return std::max<std::int64_t>(1, kNormGrain / std::max<std::int64_t>(1, elements_each));
}

template <class T>
void NormCall<T>::make_all_dy() const noexcept {
  if (!make_dy) return;
  parallel_for(dims.n, norm_grain(dims.size() / dims.n),
               [&](std::int64_t begin, std::int64_t end) { make_dy(begin * dims.g, end * dims.g); });
}

/// Large slices, or a few of some size, are shared between threads block by block.
constexpr bool in_phases(std::int64_t slices, std::int64_t slice_size) noexcept {
  return slice_size > kNormWholeSlice || (slices < kNormFewSlices && slice_size >= 2 * kernels::kNormBlock);
}

/// Samples may be taken in lots, each with its own scratch: where a lot begins.
constexpr std::int64_t lot_begin(std::int64_t lot, std::int64_t lots, std::int64_t n) noexcept {
  return lot * (n / lots) + std::min(lot, n % lots);
}

/// Bytes of the last-level cache that a thread shares in.
std::int64_t last_cache() noexcept;

/// Whether an output is written past the caches: from the size on where it and what is read beside it leave little of
/// the last one. A line written past it need not be fetched first, which saves more than a reader that comes at once
/// loses: a relu of y, measured, breaks even between a tenth and a fifth of the cache. Several threads wait less for
/// lines from the last-level cache than for memory up to a larger size.
bool norm_streams(std::int64_t bytes) noexcept;

/// to[c] = sum over i of from[i * step + c * stride], in order, for several c abreast. to may be null.
template <class T>
void norm_total(const double* from, std::int64_t count, std::int64_t step, std::int64_t channels, std::int64_t stride,
                T* to) noexcept {
  if (!to) return;
  if (count == 1) {
    for (std::int64_t c = 0; c < channels; ++c) to[c] = static_cast<T>(0.0 + from[c * stride]);
    return;
  }
  parallel_for(channels, norm_grain(count), [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kAbreast = 64;  // memory is met in order where channels are neighbours
    for (std::int64_t first = begin; first < end; first += kAbreast) {
      double sums[kAbreast] = {};
      const std::int64_t n = std::min(kAbreast, end - first);
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = 0; c < n; ++c) sums[c] += from[i * step + (first + c) * stride];
      for (std::int64_t c = 0; c < n; ++c) to[first + c] = static_cast<T>(sums[c]);
    }
  });
}

}  // namespace limpid::detail
