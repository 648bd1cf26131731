// The two forms in which the driver sees memory: slices as rows, and samples as columns. Each makes its plan, runs its
// kernels and splits their work over threads; driver.cpp says which of them a call takes. Here is what they share.
#pragma once
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/norm/detail/driver.hpp>

#include <algorithm>
#include <numeric>

namespace limpid::detail {

// ---- the two forms -------------------------------------------------------------------------------------------------
//
// A call that gets here has simplified dims and strides, and dims.affine set where a weight, a bias or a gradient of
// either is in play.

/// forward and apply; backward and tangent. channel_rows: gamma and beta, where there are any, run along the rows.
template <class T>
void norm_forward_rows(const NormCall<T>& call, bool channel_rows) noexcept;
template <class T>
void norm_backward_rows(const NormCall<T>& call, bool channel_rows) noexcept;
std::int64_t norm_forward_rows_scratch(const NormDims& dims) noexcept;
std::int64_t norm_backward_rows_scratch(const NormDims& dims) noexcept;
std::int64_t norm_rows_buffer(const NormDims& dims) noexcept;

template <class T>
void norm_forward_columns(const NormCall<T>& call) noexcept;
template <class T>
void norm_backward_columns(const NormCall<T>& call) noexcept;
std::int64_t norm_forward_columns_scratch(const NormGeometry& geometry) noexcept;
std::int64_t norm_backward_columns_scratch(const NormGeometry& geometry) noexcept;
std::int64_t norm_columns_buffer(const NormDims& dims) noexcept;

/// Dims and strides of x with unit strides where an axis has one element or none, and pooled samples seen as more
/// spatial elements where they lie so.
NormGeometry simplified(const NormGeometry& given) noexcept;

/// The mode of a call's kernels. stream: y or dx is to be written past the caches.
template <class T>
kernels::NormMode mode_of(const NormCall<T>& call, bool stream) noexcept {
  return {.eps = call.eps,
          .center = call.geometry.dims.center,
          .given_stats = call.pass == NormPass::apply,
          .stream = stream,
          .gamma_outside = call.pass == NormPass::tangent && call.geometry.dims.d > 1};
}

// ---- how the work is split -----------------------------------------------------------------------------------------
//
// It depends on the dims alone, never on the number of threads: that only decides who does it.

constexpr std::int64_t kNormGrain = 32768;         // elements that are worth a thread
constexpr std::int64_t kNormWholeSlice = 1 << 18;  // elements up to which a slice is done at once while it is in cache
constexpr std::int64_t kNormFewSlices = 4;
constexpr std::int64_t kNormChunks = 32;  // at most, of samples

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }
constexpr std::int64_t norm_grain(std::int64_t elements_each) noexcept {
  return std::max<std::int64_t>(1, kNormGrain / std::max<std::int64_t>(1, elements_each));
}

/// Large slices, or a few of some size, are shared between threads block by block: in phases, each of which all threads
/// finish before the next one begins.
constexpr bool in_phases(std::int64_t slices, std::int64_t slice_size) noexcept {
  return slice_size > kNormWholeSlice || (slices < kNormFewSlices && slice_size >= 2 * kernels::kNormBlock);
}

/// Samples may be taken in chunks, each with scratch memory of its own: where a chunk begins.
constexpr std::int64_t chunk_begin(std::int64_t chunk, std::int64_t chunks, std::int64_t n) noexcept {
  return chunk * (n / chunks) + std::min(chunk, n % chunks);
}

/// All of dy at once, where it is not made slice by slice.
template <class T>
void make_all_dy(const NormCall<T>& call) noexcept {
  if (!call.make_dy) return;
  const NormDims& dims = call.geometry.dims;
  parallel_for(dims.n, norm_grain(dims.size() / dims.n),
               [&](std::int64_t begin, std::int64_t end) { call.make_dy(begin * dims.g, end * dims.g); });
}

/// How often the channels of a channels-last plan are repeated in a row of columns: where they are few, and dense, so
/// often that a row is whole steps.
inline std::int64_t column_repeat(const NormDims& dims, const NormStrides& x) noexcept {
  constexpr std::int64_t kStep = kernels::kNormColumnStep;
  const std::int64_t c = dims.channels();
  return c < 8 * kStep && c % kStep != 0 && x.s == c ? std::min(kStep / std::gcd(c, kStep), dims.s) : 1;
}
/// Length of an array over that many columns: whole steps.
inline std::int64_t column_pitch(std::int64_t width) noexcept {
  constexpr std::int64_t kStep = kernels::kNormColumnStep;
  return ceil_div(width, kStep) * kStep;
}

/// Bytes of the last-level cache that a thread shares in. Written to by tests alone, for which it may be large.
std::int64_t& last_cache() noexcept;

/// Whether an output is written past the caches: from the size on where it and what is read beside it leave little of
/// the last one. A line written past it need not be fetched first, which saves more than a reader that comes at once
/// loses: a relu of y, measured, breaks even between a tenth and a fifth of the cache. Several threads wait less for
/// lines from the last-level cache than for memory up to a larger size.
bool norm_streams(std::int64_t bytes) noexcept;

/// Arrays over the channels, `count` of them `step` apart, in which channel c is at c * stride.
struct ChannelSums {
  const double* from;
  std::int64_t count, step, channels, stride = 1;
};

/// to[c] = the sum of the arrays' numbers of channel c, in order, for several c abreast. to may be null.
template <class T>
void norm_total(const ChannelSums& sums, T* to) noexcept {
  if (!to) return;
  const auto& [from, count, step, channels, stride] = sums;
  if (count == 1) {
    for (std::int64_t c = 0; c < channels; ++c) to[c] = static_cast<T>(0.0 + from[c * stride]);
    return;
  }
  parallel_for(channels, norm_grain(count),
               [&, from = from, count = count, step = step, stride = stride](std::int64_t begin, std::int64_t end) {
                 constexpr std::int64_t kAbreast = 64;  // memory is met in order where channels are neighbours
                 for (std::int64_t first = begin; first < end; first += kAbreast) {
                   double totals[kAbreast] = {};
                   const std::int64_t n = std::min(kAbreast, end - first);
                   for (std::int64_t i = 0; i < count; ++i)
                     for (std::int64_t c = 0; c < n; ++c) totals[c] += from[i * step + (first + c) * stride];
                   for (std::int64_t c = 0; c < n; ++c) to[first + c] = static_cast<T>(totals[c]);
                 }
               });
}

}  // namespace limpid::detail
