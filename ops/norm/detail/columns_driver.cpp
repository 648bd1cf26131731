// Columns: channels side by side, several of them in each row of memory. See forms.hpp.
#include <limpid/ops/norm/detail/forms.hpp>
#include <limpid/ops/norm/detail/half_storage.hpp>

#include <algorithm>

namespace limpid::detail {
namespace {

using namespace kernels;
using index_t = std::int64_t;

template <class T>
const NormColumnKernels<T>& column_kernels() noexcept {
  if constexpr (sizeof(T) == 4)
    return LIMPID_AT_ISA(norm_columns_float);
  else
    return LIMPID_AT_ISA(norm_columns_double);
}

NormColumnGeometry columns_geometry(const NormGeometry& at) noexcept {
  constexpr index_t kBlock = 32768;  // elements of a block of rows, but for the shortest and longest ones
  const auto& [dims, x] = at;
  const index_t c = dims.channels();
  NormColumnGeometry p;
  p.n = dims.n;
  p.g = dims.g;
  p.d = dims.d;
  p.s = dims.s;
  p.repeat = column_repeat(dims, x);
  p.width = p.repeat * c;
  p.rows = dims.s / p.repeat;
  p.tail = dims.s % p.repeat * c;
  p.pitch = column_pitch(p.width);
  p.block_rows = std::clamp<index_t>(kBlock / p.width, 64, 1024);
  p.blocks = ceil_div(p.rows, p.block_rows);
  p.x_sample = x.n;
  p.x_row = x.s * p.repeat;
  p.y_sample = dims.s * c;
  return p;
}

/// Whether y or dx, where there is one, is written past the caches: whole steps of every row must begin cache lines.
template <class T>
bool streams(const NormColumnGeometry& p, const T* out, index_t size) noexcept {
  constexpr index_t kLine = 64;
  return out && norm_streams(size * static_cast<index_t>(sizeof(T))) &&
         p.width * static_cast<index_t>(sizeof(T)) % kLine == 0 &&
         p.y_sample * static_cast<index_t>(sizeof(T)) % kLine == 0 &&
         reinterpret_cast<std::uintptr_t>(out) % kLine == 0;
}

/// What the kernels of a call are given. out: y or dx, what it writes.
template <class T>
NormColumns<T> columns_of(const NormCall<T>& call, const T* out) noexcept {
  const NormColumnGeometry geometry = columns_geometry(call.geometry);
  const bool stream = streams(geometry, out, call.geometry.dims.size());
  return {geometry, mode_of(call, stream), call.in, call.out, call.stats};
}

/// Calls f with the kernels that suit the call.
template <class T, class F>
void with_kernels(const NormCall<T>& call, F&& f) noexcept {
  if constexpr (sizeof(T) == 4)
    if (call.half) return f(HalfColumns(column_kernels<T>(), call.half));
  f(column_kernels<T>());
}

bool is_phased(const NormColumnGeometry& p) noexcept { return in_phases(p.n, p.s * p.g * p.d); }

/// Samples are taken in chunks: of one sample each where samples are done in phases.
index_t chunks_of(const NormColumnGeometry& p) noexcept { return is_phased(p) ? p.n : std::min(p.n, kNormChunks); }

/// Calls f(chunk, n) for the samples of all chunks; begin(chunk) before each chunk's first.
template <class Begin, class F>
void each_sample(const NormColumnGeometry& p, Begin&& begin_chunk, F&& f) noexcept {
  const index_t chunks = chunks_of(p);
  parallel_for(chunks, norm_grain(p.y_sample * ceil_div(p.n, chunks)), [&](index_t begin, index_t end) {
    for (index_t chunk = begin; chunk < end; ++chunk) {
      begin_chunk(chunk);
      for (index_t n = chunk_begin(chunk, chunks, p.n); n < chunk_begin(chunk + 1, chunks, p.n); ++n) f(chunk, n);
    }
  });
}

/// Samples that go through their phases together: a wave. Small ones are enough for all threads, large ones go one by
/// one, so that the second phase finds what the first has read still in cache. It goes through memory backwards, for
/// what was read last is in cache still. Calls f(first, samples) for each wave.
template <class T, class F>
void each_wave(const NormColumns<T>& p, F&& f) noexcept {
  const index_t bytes = p.y_sample * static_cast<index_t>(sizeof(T));
  const index_t wave = std::clamp<index_t>(last_cache() / 16 / bytes, 1, p.n);
  for (index_t first = 0; first < p.n; first += wave) f(first, std::min(wave, p.n - first));
}

/// Scratch memory of a forward: of each chunk its coefficients, then the moments of a sample's blocks.
struct ForwardScratch {
  const NormColumnGeometry& p;
  double* scratch;

  static index_t chunk_size(const NormColumnGeometry& p) noexcept {
    return (kNormCoefficientArrays + kNormMomentArrays * p.blocks) * p.pitch;
  }
  double* coefficients(index_t chunk) const noexcept { return scratch + chunk * chunk_size(p); }
  double* partials(index_t chunk, index_t block = 0) const noexcept {
    return coefficients(chunk) + (kNormCoefficientArrays + block * kNormMomentArrays) * p.pitch;
  }
};

/// Of a backward: of each chunk its coefficients, the totals over its samples, and the sums of a sample's blocks.
struct BackwardScratch {
  const NormColumnGeometry& p;
  double* scratch;

  static index_t chunk_size(const NormColumnGeometry& p) noexcept {
    return (kNormCoefficientArrays + kNormSumArrays * (p.blocks + 1)) * p.pitch;
  }
  double* coefficients(index_t chunk) const noexcept { return scratch + chunk * chunk_size(p); }
  double* totals(index_t chunk) const noexcept { return coefficients(chunk) + kNormCoefficientArrays * p.pitch; }
  double* partials(index_t chunk, index_t block = 0) const noexcept {
    return totals(chunk) + (block + 1) * kNormSumArrays * p.pitch;
  }
  void clear_totals(index_t chunk) const noexcept {
    std::fill(totals(chunk), totals(chunk) + kNormSumArrays * p.pitch, 0.0);
  }
  /// Adds the sums of a sample to the totals.
  void add_to_totals(index_t chunk) const noexcept {
    double* __restrict to = totals(chunk);
    const double* __restrict from = partials(chunk);
    for (index_t i = 0; i < kNormSumArrays * p.pitch; ++i) to[i] += from[i];
  }
};

template <class T>
void forward_columns(const NormColumns<T>& p, const ForwardScratch& at, const auto& k) noexcept {
  const bool whole = k.whole(p), wants_moments = !p.mode.given_stats;
  if (!is_phased(p)) {
    each_sample(
        p, [](index_t) {},
        [&](index_t chunk, index_t n) {
          if (whole) return k.forward(p, n);
          for (index_t b = 0; wants_moments && b < p.blocks; ++b) k.moments(p, n, b, at.partials(chunk, b));
          k.finish(p, n, at.partials(chunk), at.coefficients(chunk));
          if (p.out.y) k.apply(p, n, 0, p.blocks, at.coefficients(chunk));
        });
    return;
  }
  const index_t block_size = p.block_rows * p.width;
  each_wave(p, [&](index_t first, index_t samples) {
    if (wants_moments)
      parallel_for(samples * p.blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
          const index_t n = first + i / p.blocks, b = i % p.blocks;
          k.moments(p, n, b, at.partials(n, b));
        }
      });
    parallel_for(samples, 1, [&](index_t begin, index_t end) {
      for (index_t n = first + begin; n < first + end; ++n) k.finish(p, n, at.partials(n), at.coefficients(n));
    });
    if (p.out.y)
      parallel_for(samples * p.blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = end; i-- > begin;) {
          const index_t n = first + i / p.blocks, b = i % p.blocks;
          k.apply(p, n, b, b + 1, at.coefficients(n));
        }
      });
  });
}

/// Sample by sample.
template <class T>
void backward_samples(const NormColumns<T>& p, const NormCall<T>& call, const BackwardScratch& at,
                      const auto& k) noexcept {
  const bool whole = k.whole(p);
  each_sample(
      p, [&](index_t chunk) { at.clear_totals(chunk); },
      [&](index_t chunk, index_t n) {
        call.make_dy(n * p.g, (n + 1) * p.g);
        if (whole) return k.backward(p, n, at.totals(chunk));
        k.prepare(p, n, at.coefficients(chunk));
        for (index_t b = 0; b < p.blocks; ++b) k.reduce(p, n, b, at.coefficients(chunk), at.partials(chunk, b));
        k.finish_sums(p, n, at.partials(chunk), at.coefficients(chunk));
        at.add_to_totals(chunk);
        if (p.out.dx) k.dx(p, n, 0, p.blocks, at.coefficients(chunk));
      });
}

/// Wave by wave, each in phases; a sample is a chunk.
template <class T>
void backward_in_phases(const NormColumns<T>& p, const NormCall<T>& call, const BackwardScratch& at,
                        const auto& k) noexcept {
  make_all_dy(call);
  const index_t block_size = p.block_rows * p.width;
  each_wave(p, [&](index_t first, index_t samples) {
    const index_t last = first + samples, blocks = samples * p.blocks;
    for (index_t n = first; n < last; ++n) k.prepare(p, n, at.coefficients(n));
    parallel_for(blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        const index_t n = first + i / p.blocks, b = i % p.blocks;
        k.reduce(p, n, b, at.coefficients(n), at.partials(n, b));
      }
    });
    parallel_for(samples, 1, [&](index_t begin, index_t end) {
      for (index_t n = first + begin; n < first + end; ++n) {
        at.clear_totals(n);
        k.finish_sums(p, n, at.partials(n), at.coefficients(n));
        at.add_to_totals(n);
      }
    });
    if (p.out.dx)
      parallel_for(blocks, norm_grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = end; i-- > begin;) {
          const index_t n = first + i / p.blocks, b = i % p.blocks;
          k.dx(p, n, b, b + 1, at.coefficients(n));
        }
      });
  });
}

template <class T>
void backward_columns(const NormColumns<T>& p, const NormCall<T>& call, const auto& k) noexcept {
  const BackwardScratch at{p, call.scratch};
  is_phased(p) ? backward_in_phases(p, call, at, k) : backward_samples(p, call, at, k);
  ChannelSums sums{
      .from = at.totals(0), .count = chunks_of(p), .step = BackwardScratch::chunk_size(p), .channels = p.g * p.d};
  norm_total(sums, call.out.dbeta);
  sums.from += p.pitch;
  norm_total(sums, call.out.dgamma);
}

}  // namespace

template <class T>
void norm_forward_columns(const NormCall<T>& call) noexcept {
  const NormColumns<T> p = columns_of(call, call.out.y);
  with_kernels(call, [&](const auto& k) { forward_columns(p, {p, call.scratch}, k); });
}

template <class T>
void norm_backward_columns(const NormCall<T>& call) noexcept {
  const NormColumns<T> p = columns_of(call, call.out.dx);
  with_kernels(call, [&](const auto& k) { backward_columns(p, call, k); });
}

index_t norm_forward_columns_scratch(const NormGeometry& geometry) noexcept {
  const NormColumnGeometry p = columns_geometry(geometry);
  return chunks_of(p) * ForwardScratch::chunk_size(p);
}

index_t norm_backward_columns_scratch(const NormGeometry& geometry) noexcept {
  const NormColumnGeometry p = columns_geometry(geometry);
  return chunks_of(p) * BackwardScratch::chunk_size(p);
}

index_t norm_columns_buffer(const NormDims& dims) noexcept {
  const NormColumnGeometry p = columns_geometry({dims, dense_strides(dims)});
  return std::min(p.rows, p.block_rows) * p.width + p.tail;
}

template void norm_forward_columns(const NormCall<float>&) noexcept;
template void norm_forward_columns(const NormCall<double>&) noexcept;
template void norm_backward_columns(const NormCall<float>&) noexcept;
template void norm_backward_columns(const NormCall<double>&) noexcept;

}  // namespace limpid::detail
