// Columns: channels side by side, several of them in each row of memory. See norm_halves.hpp.
#include <limpid/ops/norm/detail/halves.hpp>

#include <algorithm>
#include <numeric>

namespace limpid::detail {
namespace {

using namespace kernels;
using index_t = std::int64_t;

constexpr index_t kStep = kNormColumnStep;

template <class T>
const NormColumnKernels<T>& column_kernels() noexcept {
  if constexpr (sizeof(T) == 4)
    return LIMPID_AT_ISA(norm_columns_float);
  else
    return LIMPID_AT_ISA(norm_columns_double);
}

/// Elements of a block of rows, but for the shortest and longest ones.
constexpr index_t kBlock = 32768;

/// How many samples go through their phases together: small ones enough for all threads, large ones one by one, so that
/// the second phase finds what the first has read still in cache.
template <class T>
index_t batch_of(const NormColumns<T>& p) noexcept {
  const index_t bytes = p.y_sample * static_cast<index_t>(sizeof(T));
  return std::clamp<index_t>(last_cache() / 16 / bytes, 1, p.n);
}

template <class T>
NormColumns<T> columns_plan(const NormDims& dims, const NormStrides& x) noexcept {
  NormColumns<T> p;
  const index_t c = dims.channels();
  p.n = dims.n;
  p.g = dims.g;
  p.d = dims.d;
  p.s = dims.s;
  p.center = dims.center;
  if (c < 8 * kStep && c % kStep != 0 && (x.s == c || dims.s == 1))
    p.fold = std::min(kStep / std::gcd(c, kStep), dims.s);
  p.width = p.fold * c;
  p.rows = dims.s / p.fold;
  p.tail = dims.s % p.fold * c;
  p.pitch = ceil_div(p.width, kStep) * kStep;
  p.block_rows = std::clamp<index_t>(kBlock / p.width, 64, 1024);
  p.blocks = ceil_div(p.rows, p.block_rows);
  p.x_sample = x.n;
  p.x_row = x.s * p.fold;
  p.y_sample = dims.s * c;
  return p;
}

/// Whole steps of every row must begin cache lines.
template <class T>
void choose_stream(NormColumns<T>& p, const T* out, index_t size) noexcept {
  constexpr index_t kLine = 64;
  p.stream = out && norm_streams(size * static_cast<index_t>(sizeof(T))) &&
             p.width * static_cast<index_t>(sizeof(T)) % kLine == 0 &&
             p.y_sample * static_cast<index_t>(sizeof(T)) % kLine == 0 &&
             reinterpret_cast<std::uintptr_t>(out) % kLine == 0;
}

/// Samples are taken in lots, each with its own scratch: one sample per lot when samples are done in phases.
template <class T>
index_t lots(const NormColumns<T>& p) noexcept {
  return in_phases(p.n, p.s * p.g * p.d) ? p.n : std::min(p.n, kNormLots);
}

template <class T>
index_t forward_scratch(const NormColumns<T>& p) noexcept {
  return (kNormCoefficientArrays + kNormMomentArrays * p.blocks) * p.pitch;
}
template <class T>
index_t backward_scratch(const NormColumns<T>& p) noexcept {
  return (kNormCoefficientArrays + kNormSumArrays * (p.blocks + 1)) * p.pitch;
}

/// Calls f(first, samples) for each batch. The second phase of a batch goes through memory backwards: what was read
/// last is in cache still.
template <class T, class F>
void in_batches(const NormColumns<T>& p, F&& f) noexcept {
  const index_t batch = batch_of(p);
  for (index_t first = 0; first < p.n; first += batch) f(first, std::min(batch, p.n - first));
}

template <class T>
NormColumns<T> filled_plan(const NormCall<T>& call, const T* out) noexcept {
  NormColumns<T> p = columns_plan<T>(call.dims, call.x_strides);
  call.fill(p);
  choose_stream(p, out, call.dims.size());
  return p;
}

/// Calls f with the kernels that suit the call.
template <class T, class F>
void with_kernels(const NormCall<T>& call, F&& f) noexcept {
  if constexpr (sizeof(T) == 4)
    if (call.storage) return f(HalfColumns(column_kernels<T>(), *call.storage));
  f(column_kernels<T>());
}

template <class T>
void forward_columns(const NormColumns<T>& p, double* scratch, const auto& k) noexcept {
  const index_t share = forward_scratch(p), all = lots(p), block_size = p.block_rows * p.width;
  const auto partials = [&](index_t lot) { return scratch + lot * share + kNormCoefficientArrays * p.pitch; };
  const bool whole = k.whole(p);
  if (!in_phases(p.n, p.s * p.g * p.d)) {
    parallel_for(all, norm_grain(p.y_sample * ceil_div(p.n, all)), [&](index_t begin, index_t end) {
      for (index_t lot = begin; lot < end; ++lot)
        for (index_t n = lot_begin(lot, all, p.n); n < lot_begin(lot + 1, all, p.n); ++n) {
          if (whole) {
            k.forward(p, n);
            continue;
          }
          for (index_t b = 0; p.moments && b < p.blocks; ++b)
            k.moments(p, n, b, partials(lot) + b * kNormMomentArrays * p.pitch);
          k.finish(p, n, partials(lot), scratch + lot * share);
          if (p.y) k.apply(p, n, 0, p.blocks, scratch + lot * share);
        }
    });
    return;
  }
  in_batches(p, [&](index_t first, index_t samples) {
    if (p.moments)
      parallel_for(samples * p.blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
          const index_t n = first + i / p.blocks, b = i % p.blocks;
          k.moments(p, n, b, partials(n) + b * kNormMomentArrays * p.pitch);
        }
      });
    parallel_for(samples, 1, [&](index_t begin, index_t end) {
      for (index_t n = first + begin; n < first + end; ++n) k.finish(p, n, partials(n), scratch + n * share);
    });
    if (p.y)
      parallel_for(samples * p.blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = end; i-- > begin;) {
          const index_t n = first + i / p.blocks, b = i % p.blocks;
          k.apply(p, n, b, b + 1, scratch + n * share);
        }
      });
  });
}

template <class T>
void backward_columns(const NormColumns<T>& p, const NormCall<T>& call, const auto& k) noexcept {
  double* scratch = call.scratch;
  const index_t share = backward_scratch(p), all = lots(p), block_size = p.block_rows * p.width, c = p.g * p.d;
  const bool whole = k.whole(p);
  const auto coefficients = [&](index_t lot) { return scratch + lot * share; };
  const auto totals = [&](index_t lot) { return coefficients(lot) + kNormCoefficientArrays * p.pitch; };
  const auto partials = [&](index_t lot) { return totals(lot) + kNormSumArrays * p.pitch; };
  const auto finish = [&](index_t lot, index_t n) {
    k.finish_sums(p, n, partials(lot), coefficients(lot));
    double* __restrict__ to = totals(lot);
    const double* __restrict__ from = partials(lot);
    for (index_t i = 0; i < kNormSumArrays * p.pitch; ++i) to[i] += from[i];
  };
  const auto reduce = [&](index_t lot, index_t n, index_t b) {
    k.reduce(p, n, b, coefficients(lot), partials(lot) + b * kNormSumArrays * p.pitch);
  };
  const auto clear = [&](index_t lot) { std::fill(totals(lot), totals(lot) + kNormSumArrays * p.pitch, 0.0); };
  if (!in_phases(p.n, p.s * c)) {
    parallel_for(all, norm_grain(p.y_sample * ceil_div(p.n, all)), [&](index_t begin, index_t end) {
      for (index_t lot = begin; lot < end; ++lot) {
        clear(lot);
        for (index_t n = lot_begin(lot, all, p.n); n < lot_begin(lot + 1, all, p.n); ++n) {
          call.make_dy(n * p.g, (n + 1) * p.g);
          if (whole) {
            k.backward(p, n, totals(lot));
            continue;
          }
          k.prepare(p, n, coefficients(lot));
          for (index_t b = 0; b < p.blocks; ++b) reduce(lot, n, b);
          finish(lot, n);
          if (p.dx) k.dx(p, n, 0, p.blocks, coefficients(lot));
        }
      }
    });
  } else {
    call.make_all_dy();
    in_batches(p, [&](index_t first, index_t samples) {
      const index_t last = first + samples, blocks = samples * p.blocks;
      for (index_t n = first; n < last; ++n) k.prepare(p, n, coefficients(n));
      parallel_for(blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) reduce(first + i / p.blocks, first + i / p.blocks, i % p.blocks);
      });
      parallel_for(samples, 1, [&](index_t begin, index_t end) {
        for (index_t n = first + begin; n < first + end; ++n) {
          clear(n);
          finish(n, n);
        }
      });
      if (p.dx)
        parallel_for(blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
          for (index_t i = end; i-- > begin;) {
            const index_t n = first + i / p.blocks, b = i % p.blocks;
            k.dx(p, n, b, b + 1, coefficients(n));
          }
        });
    });
  }
  norm_total(totals(0), all, share, c, 1, call.dbeta);
  norm_total(totals(0) + p.pitch, all, share, c, 1, call.dgamma);
}

}  // namespace

template <class T>
void norm_forward_columns(const NormCall<T>& call) noexcept {
  const NormColumns<T> p = filled_plan(call, call.y);
  with_kernels(call, [&](const auto& k) { forward_columns(p, call.scratch, k); });
}

template <class T>
void norm_backward_columns(const NormCall<T>& call) noexcept {
  const NormColumns<T> p = filled_plan(call, call.dx);
  with_kernels(call, [&](const auto& k) { backward_columns(p, call, k); });
}

index_t norm_forward_columns_scratch(const NormDims& dims) noexcept {
  const auto p = columns_plan<float>(dims, dense_strides(dims));
  return lots(p) * forward_scratch(p);
}

index_t norm_backward_columns_scratch(const NormDims& dims) noexcept {
  const auto p = columns_plan<float>(dims, dense_strides(dims));
  return lots(p) * backward_scratch(p);
}

index_t norm_columns_tile(const NormDims& dims) noexcept {
  const auto p = columns_plan<float>(dims, dense_strides(dims));
  return std::min(p.rows, p.block_rows) * p.width + p.tail;
}

template void norm_forward_columns<float>(const NormCall<float>&) noexcept;
template void norm_forward_columns<double>(const NormCall<double>&) noexcept;
template void norm_backward_columns<float>(const NormCall<float>&) noexcept;
template void norm_backward_columns<double>(const NormCall<double>&) noexcept;

}  // namespace limpid::detail
