#include <unistd.h>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/detail/norm_driver.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace limpid::detail {
namespace {

using namespace kernels;
using index_t = std::int64_t;

// How the work is split depends on the dims alone, never on the number of threads: that only decides who does it.
constexpr index_t kGrain = 32768;         // elements that are worth a thread
constexpr index_t kWholeSlice = 1 << 18;  // elements up to which a slice is done at once while it is in cache
constexpr index_t kFewSlices = 4, kLots = 32;
constexpr index_t kStep = 16;  // per-column arrays are padded to this

template <class T>
const NormRowKernels<T>& row_kernels() noexcept;
template <class T>
const NormColumnKernels<T>& column_kernels() noexcept;

#if defined(__x86_64__)
#define LIMPID_PICK(name) isa() == Isa::avx512 ? avx512::name : isa() == Isa::avx2 ? avx2::name : baseline::name
#else
#define LIMPID_PICK(name) baseline::name
#endif
template <>
const NormRowKernels<float>& row_kernels() noexcept {
  return LIMPID_PICK(norm_rows_float);
}
template <>
const NormRowKernels<double>& row_kernels() noexcept {
  return LIMPID_PICK(norm_rows_double);
}
template <>
const NormColumnKernels<float>& column_kernels() noexcept {
  return LIMPID_PICK(norm_columns_float);
}
template <>
const NormColumnKernels<double>& column_kernels() noexcept {
  return LIMPID_PICK(norm_columns_double);
}
#undef LIMPID_PICK

/// Bytes of the last-level cache.
index_t last_cache() noexcept {
  static const long size = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return size > 0 ? size : index_t{1} << 25;
}

/// Whether an output is written past the caches: where it, and what it is computed from, would not stay in them. A
/// reader finds it in memory then, where half of it would be anyway.
bool streams(index_t bytes) noexcept { return bytes >= last_cache() / 2; }

/// How many samples of so many bytes go through their phases together: as many as are still in cache for the second.
index_t batch_of(index_t samples, index_t bytes_each) noexcept {
  return std::clamp<index_t>(last_cache() / 2 / std::max<index_t>(bytes_each, 1), 1, samples);
}

index_t ceil_div(index_t a, index_t b) noexcept { return (a + b - 1) / b; }
index_t grain(index_t elements_each) noexcept {
  return std::max<index_t>(1, kGrain / std::max<index_t>(1, elements_each));
}

/// Large slices, or a few of some size, are shared between threads block by block.
bool in_phases(index_t slices, index_t slice_size) noexcept {
  return slice_size > kWholeSlice || (slices < kFewSlices && slice_size >= 2 * kNormBlock);
}

/// Unit strides where an axis has one element or none, and batch_norm over (N, C) seen as channels-last.
struct View {
  NormDims dims;
  NormStrides x;
};
View simplify(NormDims dims, NormStrides x) noexcept {
  if (dims.s == 1) x.s = dims.layout == NormLayout::channels_last ? dims.channels() : 1;
  if (dims.channels() == 1) x.c = dims.layout == NormLayout::channels_last ? 1 : dims.s;
  if (dims.batch && dims.s == 1 && (x.c == 1 || dims.channels() == 1)) {
    dims.layout = NormLayout::channels_last;
    dims.s = dims.n;
    x.s = x.n;
    x.c = 1;
    dims.n = 1;
  } else if (dims.batch && dims.layout == NormLayout::channels_last) {
    if (dims.s == 1) x.s = x.n;
    dims.s *= dims.n;
    dims.n = 1;
  }
  return {dims, x};
}

/// Which form of kernels a plan takes. Without affine a single group of channels-last is rows like any other; with one,
/// it is columns unless its channels make long rows.
enum class Form { rows, rows_along, columns };
Form form(const NormDims& dims, bool affine, bool backward) noexcept {
  constexpr index_t kLongRow = 256;
  if (dims.s == 1 && !dims.batch) return Form::rows_along;
  if (dims.layout == NormLayout::contiguous) return Form::rows;
  if (dims.g > 1 || dims.batch) return Form::columns;
  if (!affine) return Form::rows;
  return !backward && dims.d >= kLongRow ? Form::rows_along : Form::columns;
}

template <class T>
NormRows<T> rows_plan(const NormDims& dims, const NormStrides& x, Form form, bool affine) noexcept {
  NormRows<T> p;
  const index_t c = dims.channels(), s = dims.s;
  p.slices = dims.slices();
  p.inner = dims.g;
  p.center = dims.center;
  if (dims.s == 1 && !dims.batch) {  // (N, C): a slice is one row of D channels
    p.len = dims.d;
    p.x_stride = {x.n, dims.d * x.c, 0, x.c};
    p.y_stride = {c, dims.d, 0, 1};
    p.affine_inner = dims.d;
  } else if (dims.layout == NormLayout::channels_last) {  // one group: a slice is S rows of C channels
    p.rows = s;
    p.len = c;
    p.x_stride = {x.n, 0, x.s, 1};
    p.y_stride = {s * c, 0, c, 1};
  } else if (dims.batch) {  // a slice is a channel, its rows are the samples
    p.rows = dims.n;
    p.len = s;
    p.x_stride = {0, x.c, x.n, x.s};
    p.y_stride = {0, s, c * s, 1};
    p.affine_inner = 1;
  } else {
    p.rows = dims.d;
    p.len = s;
    p.x_stride = {x.n, dims.d * x.c, x.c, x.s};
    p.y_stride = {c * s, dims.d * s, s, 1};
    p.affine_inner = dims.d;
    p.affine_row = 1;
  }
  p.along = form == Form::rows_along;
  const bool dense = p.x_stride.element == 1 && (p.rows == 1 || p.x_stride.row == p.len);
  p.sum_rows = dense ? 1 : p.rows;
  p.sum_len = dense ? p.rows * p.len : p.len;
  if (dense && !affine && (p.rows == 1 || p.y_stride.row == p.len)) {
    p.len *= p.rows;
    p.rows = 1;
    p.along = false;
    p.affine_row = 0;
  }
  return p;
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
  p.block_rows = std::max<index_t>(64, kNormBlock / p.width);
  p.blocks = ceil_div(p.rows, p.block_rows);
  p.x_sample = x.n;
  p.x_row = x.s * p.fold;
  p.y_sample = dims.s * c;
  return p;
}

void choose_stream(auto& p, const auto* out, index_t size) noexcept {
  p.stream = out && streams(size * static_cast<index_t>(sizeof *out));
}
/// Whole steps of every row must begin cache lines.
template <class T>
void choose_stream(NormColumns<T>& p, const T* out, index_t size) noexcept {
  constexpr index_t kLine = 64;
  p.stream = out && streams(size * static_cast<index_t>(sizeof(T))) &&
             p.width * static_cast<index_t>(sizeof(T)) % kLine == 0 &&
             p.y_sample * static_cast<index_t>(sizeof(T)) % kLine == 0 &&
             reinterpret_cast<std::uintptr_t>(out) % kLine == 0;
}

/// Samples are taken in lots, each with its own scratch: one sample per lot when samples are done in phases.
template <class T>
index_t lots(const NormColumns<T>& p) noexcept {
  return in_phases(p.n, p.s * p.g * p.d) ? p.n : std::min(p.n, kLots);
}
index_t lot_begin(index_t lot, index_t lots, index_t n) noexcept { return lot * (n / lots) + std::min(lot, n % lots); }

template <class T>
index_t forward_scratch(const NormColumns<T>& p) noexcept {
  return (kNormCoefficientArrays + kNormMomentArrays * p.blocks) * p.pitch;
}
template <class T>
index_t backward_scratch(const NormColumns<T>& p) noexcept {
  return (kNormCoefficientArrays + kNormSumArrays * (p.blocks + 1)) * p.pitch;
}

// ---- forward -------------------------------------------------------------------------------------------------------

template <class T>
void forward_rows(const NormRows<T>& p, double* scratch) noexcept {
  const NormRowKernels<T>& k = row_kernels<T>();
  if (!in_phases(p.slices, p.slice_size())) {
    parallel_for(p.slices, grain(p.slice_size()), [&](index_t begin, index_t end) { k.forward(p, begin, end); });
    return;
  }
  const index_t blocks = p.slices * p.blocks();
  if (p.moments) {
    parallel_for(blocks, grain(kNormBlock), [&](index_t begin, index_t end) { k.moments(p, begin, end, scratch); });
    parallel_for(p.slices, grain(p.blocks()), [&](index_t begin, index_t end) { k.finish(p, begin, end, scratch); });
  }
  if (p.y) parallel_for(blocks, grain(kNormBlock), [&](index_t begin, index_t end) { k.apply(p, begin, end); });
}

template <class T>
void forward_columns(const NormColumns<T>& p, double* scratch) noexcept {
  const NormColumnKernels<T>& k = column_kernels<T>();
  const index_t share = forward_scratch(p), all = lots(p), block_size = p.block_rows * p.width;
  const auto partials = [&](index_t lot) { return scratch + lot * share + kNormCoefficientArrays * p.pitch; };
  if (!in_phases(p.n, p.s * p.g * p.d)) {
    parallel_for(all, grain(p.y_sample * ceil_div(p.n, all)), [&](index_t begin, index_t end) {
      for (index_t lot = begin; lot < end; ++lot)
        for (index_t n = lot_begin(lot, all, p.n); n < lot_begin(lot + 1, all, p.n); ++n) {
          for (index_t b = 0; p.moments && b < p.blocks; ++b)
            k.moments(p, n, b, partials(lot) + b * kNormMomentArrays * p.pitch);
          k.finish(p, n, partials(lot), scratch + lot * share);
          if (p.y) k.apply(p, n, 0, p.blocks, scratch + lot * share);
        }
    });
    return;
  }
  const index_t batch = batch_of(p.n, p.y_sample * static_cast<index_t>(sizeof(T)));
  for (index_t first = 0; first < p.n; first += batch) {
    const index_t last = std::min(first + batch, p.n);
    if (p.moments)
      parallel_for((last - first) * p.blocks, grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
          const index_t n = first + i / p.blocks, b = i % p.blocks;
          k.moments(p, n, b, partials(n) + b * kNormMomentArrays * p.pitch);
        }
      });
    parallel_for(last - first, 1, [&](index_t begin, index_t end) {
      for (index_t n = first + begin; n < first + end; ++n) k.finish(p, n, partials(n), scratch + n * share);
    });
    if (p.y)
      parallel_for((last - first) * p.blocks, grain(block_size), [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
          const index_t n = first + i / p.blocks, b = i % p.blocks;
          k.apply(p, n, b, b + 1, scratch + n * share);
        }
      });
  }
}

template <class T>
void run_forward(const NormDims& given, const T* x, const NormStrides& strides, const T* gamma, const T* beta,
                 double eps, bool moments, T* y, const NormStats& stats, double* scratch) noexcept {
  if (given.size() == 0) return;
  const auto [dims, x_strides] = simplify(given, strides);
  const bool affine = dims.affine || gamma || beta;
  const auto fill = [&](auto& p) {
    p.x = x;
    p.y = y;
    p.gamma = gamma;
    p.beta = beta;
    p.eps = eps;
    p.moments = moments;
    p.stats = stats;
  };
  const Form f = form(dims, affine, false);
  if (f == Form::columns) {
    auto p = columns_plan<T>(dims, x_strides);
    fill(p);
    choose_stream(p, y, dims.size());
    forward_columns(p, scratch);
  } else {
    auto p = rows_plan<T>(dims, x_strides, f, affine);
    fill(p);
    choose_stream(p, y, dims.size());
    forward_rows(p, scratch);
  }
}

// ---- backward ------------------------------------------------------------------------------------------------------

/// to[c] = sum over i of from[i * step + c * stride], in order.
template <class T>
void total(const double* from, index_t count, index_t step, index_t channels, index_t stride, T* to) noexcept {
  if (!to) return;
  parallel_for(channels, grain(count), [&](index_t begin, index_t end) {
    for (index_t c = begin; c < end; ++c) {
      double sum = 0;
      for (index_t i = 0; i < count; ++i) sum += from[i * step + c * stride];
      to[c] = static_cast<T>(sum);
    }
  });
}

template <class T>
void backward_rows(NormRows<T> p, const NormDims& dims, T* dgamma, T* dbeta, double* scratch) noexcept {
  const NormRowKernels<T>& k = row_kernels<T>();
  const index_t rows = p.slices * p.rows;
  if (dgamma || dbeta) {
    p.sum_dy = scratch;
    p.sum_dy_xhat = scratch + rows;
  }
  if (!in_phases(p.slices, p.slice_size())) {
    parallel_for(p.slices, grain(p.slice_size()), [&](index_t begin, index_t end) { k.backward(p, begin, end); });
  } else {
    const index_t row_blocks = p.row_blocks(), blocks = rows * row_blocks, each = std::min(p.len, kNormBlock);
    double* partials = scratch + 2 * rows;
    p.m1 = partials + 2 * blocks;
    p.m2 = p.m1 + p.slices;
    if (p.sum_dy || !p.fixed) {
      parallel_for(blocks, grain(each), [&](index_t begin, index_t end) { k.reduce(p, begin, end, partials); });
      parallel_for(p.slices, grain(p.rows * row_blocks), [&](index_t begin, index_t end) {
        for (index_t q = begin; q < end; ++q) {
          double m1 = 0, m2 = 0;
          for (index_t r = 0; r < p.rows; ++r) {
            double dy = 0, dy_xhat = 0;
            for (index_t b = 0; b < row_blocks; ++b) {
              dy += partials[2 * ((q * p.rows + r) * row_blocks + b)];
              dy_xhat += partials[2 * ((q * p.rows + r) * row_blocks + b) + 1];
            }
            const index_t c = (q % p.inner) * p.affine_inner + r * p.affine_row;
            const double gamma = p.gamma ? static_cast<double>(p.gamma[c]) : 1.0;
            m1 += gamma * dy;
            m2 += gamma * dy_xhat;
            if (p.sum_dy) {
              p.sum_dy[q * p.rows + r] = dy;
              p.sum_dy_xhat[q * p.rows + r] = dy_xhat;
            }
          }
          const double size = static_cast<double>(p.slice_size());
          p.m1[q] = p.center ? m1 / size : 0;
          p.m2[q] = m2 / size;
        }
      });
    }
    if (p.dx) parallel_for(blocks, grain(each), [&](index_t begin, index_t end) { k.dx(p, begin, end); });
  }
  // Row (slice, row) is (n, channel), or (channel, n) under batch.
  const index_t c = dims.channels(), step = dims.batch ? 1 : c, stride = dims.batch ? dims.n : 1;
  total(p.sum_dy, dims.n, step, c, stride, dbeta);
  total(p.sum_dy_xhat, dims.n, step, c, stride, dgamma);
}

template <class T>
void backward_along(const NormRows<T>& p, const NormDims& dims, T* dgamma, T* dbeta, double* scratch) noexcept {
  const NormRowKernels<T>& k = row_kernels<T>();
  const index_t c = dims.channels(), all = std::min(dims.n, kLots);
  const bool sums = dgamma || dbeta;
  parallel_for(all, grain(c * ceil_div(dims.n, all)), [&](index_t begin, index_t end) {
    for (index_t lot = begin; lot < end; ++lot) {
      double* sum_dy = sums ? scratch + 2 * lot * c : nullptr;
      if (sums) std::fill(sum_dy, sum_dy + 2 * c, 0.0);
      k.backward_along(p, lot_begin(lot, all, dims.n) * dims.g, lot_begin(lot + 1, all, dims.n) * dims.g, sum_dy,
                       sums ? sum_dy + c : nullptr);
    }
  });
  total(scratch, all, 2 * c, c, 1, dbeta);
  total(scratch + c, all, 2 * c, c, 1, dgamma);
}

template <class T>
void backward_columns(const NormColumns<T>& p, T* dgamma, T* dbeta, double* scratch) noexcept {
  const NormColumnKernels<T>& k = column_kernels<T>();
  const index_t share = backward_scratch(p), all = lots(p), block_size = p.block_rows * p.width, c = p.g * p.d;
  const bool sums = dgamma || dbeta || !p.fixed;
  const auto coefficients = [&](index_t lot) { return scratch + lot * share; };
  const auto totals = [&](index_t lot) { return coefficients(lot) + kNormCoefficientArrays * p.pitch; };
  const auto partials = [&](index_t lot) { return totals(lot) + kNormSumArrays * p.pitch; };
  const auto finish = [&](index_t lot, index_t n) {
    k.finish_sums(p, n, sums ? partials(lot) : nullptr, coefficients(lot));
    for (index_t i = 0; sums && i < kNormSumArrays * p.pitch; ++i) totals(lot)[i] += partials(lot)[i];
  };
  const auto reduce = [&](index_t lot, index_t n, index_t b) {
    k.reduce(p, n, b, coefficients(lot), partials(lot) + b * kNormSumArrays * p.pitch);
  };
  const auto clear = [&](index_t lot) { std::fill(totals(lot), totals(lot) + kNormSumArrays * p.pitch, 0.0); };
  if (!in_phases(p.n, p.s * c)) {
    parallel_for(all, grain(p.y_sample * ceil_div(p.n, all)), [&](index_t begin, index_t end) {
      for (index_t lot = begin; lot < end; ++lot) {
        clear(lot);
        for (index_t n = lot_begin(lot, all, p.n); n < lot_begin(lot + 1, all, p.n); ++n) {
          k.prepare(p, n, coefficients(lot));
          for (index_t b = 0; sums && b < p.blocks; ++b) reduce(lot, n, b);
          finish(lot, n);
          if (p.dx) k.dx(p, n, 0, p.blocks, coefficients(lot));
        }
      }
    });
  } else {
    const index_t batch = batch_of(p.n, 2 * p.y_sample * static_cast<index_t>(sizeof(T)));
    for (index_t first = 0; first < p.n; first += batch) {
      const index_t last = std::min(first + batch, p.n), blocks = (last - first) * p.blocks;
      for (index_t n = first; n < last; ++n) k.prepare(p, n, coefficients(n));
      if (sums)
        parallel_for(blocks, grain(block_size), [&](index_t begin, index_t end) {
          for (index_t i = begin; i < end; ++i) reduce(first + i / p.blocks, first + i / p.blocks, i % p.blocks);
        });
      parallel_for(last - first, 1, [&](index_t begin, index_t end) {
        for (index_t n = first + begin; n < first + end; ++n) {
          clear(n);
          finish(n, n);
        }
      });
      if (p.dx)
        parallel_for(blocks, grain(block_size), [&](index_t begin, index_t end) {
          for (index_t i = begin; i < end; ++i) {
            const index_t n = first + i / p.blocks, b = i % p.blocks;
            k.dx(p, n, b, b + 1, coefficients(n));
          }
        });
    }
  }
  total(totals(0), all, share, c, 1, dbeta);
  total(totals(0) + p.pitch, all, share, c, 1, dgamma);
}

}  // namespace

NormStrides dense_strides(const NormDims& dims) noexcept {
  const index_t c = dims.channels();
  if (dims.layout == NormLayout::channels_last) return {c * dims.s, 1, c};
  return {c * dims.s, dims.s, 1};
}

bool reads_in_place(const NormDims& dims, const NormStrides& x) noexcept {
  if (dims.layout == NormLayout::contiguous) return true;
  if (dims.channels() != 1 && x.c != 1) return false;
  return !dims.batch || dims.n == 1 || dims.s == 1 || x.n == dims.s * x.s;
}

index_t norm_forward_scratch(const NormDims& given) noexcept {
  if (given.size() == 0) return 0;
  const NormDims dims = simplify(given, dense_strides(given)).dims;
  const auto rows = rows_plan<float>(dims, dense_strides(dims), Form::rows, false);
  index_t size = in_phases(rows.slices, rows.slice_size()) ? 3 * rows.slices * rows.blocks() : 0;
  if (dims.layout == NormLayout::channels_last && form(dims, true, false) == Form::columns) {
    const auto p = columns_plan<float>(dims, dense_strides(dims));
    size = std::max(size, lots(p) * forward_scratch(p));
  }
  return size;
}

index_t norm_backward_scratch(const NormDims& given) noexcept {
  if (given.size() == 0) return 0;
  const NormDims dims = simplify(given, dense_strides(given)).dims;
  if (dims.s == 1 && !dims.batch) return 2 * dims.channels() * std::min(dims.n, kLots);
  const auto rows = rows_plan<float>(dims, dense_strides(dims), Form::rows, true);
  const index_t all = rows.slices * rows.rows;
  index_t size = 2 * all;
  if (in_phases(rows.slices, rows.slice_size())) size += 2 * all * (rows.row_blocks() + 1) + 2 * rows.slices;
  if (dims.layout == NormLayout::channels_last) {
    const auto p = columns_plan<float>(dims, dense_strides(dims));
    size = std::max(size, lots(p) * backward_scratch(p));
  }
  return size;
}

template <class T>
void norm_forward(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* gamma, const T* beta,
                  double eps, T* y, const NormStats& stats, double* scratch) noexcept {
  run_forward(dims, x, x_strides, gamma, beta, eps, true, y, stats, scratch);
}

template <class T>
void norm_apply(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* gamma, const T* beta,
                const NormStats& stats, T* y, double* scratch) noexcept {
  run_forward(dims, x, x_strides, gamma, beta, 0.0, false, y, stats, scratch);
}

template <class T>
void norm_fixed_stats(index_t slices, const T* mean, const T* var, double eps, const NormStats& stats) noexcept {
  for (index_t i = 0; i < slices; ++i) {
    const double v = static_cast<double>(var[i]) + eps;
    stats.mean[i] = static_cast<double>(mean[i]);
    stats.mean_lo[i] = 0;
    stats.rstd[i] = v == 0 ? 0.0 : 1.0 / std::sqrt(v);
    if (stats.var) stats.var[i] = static_cast<double>(var[i]);
  }
}

template <class T>
void norm_backward(const NormDims& given, const T* x, const NormStrides& strides, const T* dy, const T* gamma,
                   const NormStats& stats, bool fixed_stats, T* dx, T* dgamma, T* dbeta, double* scratch) noexcept {
  if (given.size() == 0) {
    if (dgamma) std::fill(dgamma, dgamma + given.channels(), T{});
    if (dbeta) std::fill(dbeta, dbeta + given.channels(), T{});
    return;
  }
  const auto [dims, x_strides] = simplify(given, strides);
  const bool affine = dims.affine || gamma || dgamma || dbeta;
  const auto fill = [&](auto& p) {
    p.x = x;
    p.dy = dy;
    p.dx = dx;
    p.gamma = gamma;
    p.fixed = fixed_stats;
    p.stats = stats;
  };
  const Form f = form(dims, affine, true);
  if (f == Form::columns) {
    auto p = columns_plan<T>(dims, x_strides);
    fill(p);
    choose_stream(p, dx, dims.size());
    backward_columns(p, dgamma, dbeta, scratch);
    return;
  }
  auto p = rows_plan<T>(dims, x_strides, f, affine);
  fill(p);
  choose_stream(p, dx, dims.size());
  if (p.along)
    backward_along(p, dims, dgamma, dbeta, scratch);
  else
    backward_rows(p, dims, dgamma, dbeta, scratch);
}

#define LIMPID_INSTANTIATE(T)                                                                                          \
  template void norm_forward<T>(const NormDims&, const T*, const NormStrides&, const T*, const T*, double, T*,         \
                                const NormStats&, double*) noexcept;                                                   \
  template void norm_apply<T>(const NormDims&, const T*, const NormStrides&, const T*, const T*, const NormStats&, T*, \
                              double*) noexcept;                                                                       \
  template void norm_fixed_stats<T>(index_t, const T*, const T*, double, const NormStats&) noexcept;                   \
  template void norm_backward<T>(const NormDims&, const T*, const NormStrides&, const T*, const T*, const NormStats&,  \
                                 bool, T*, T*, T*, double*) noexcept;
LIMPID_INSTANTIATE(float)
LIMPID_INSTANTIATE(double)
#undef LIMPID_INSTANTIATE

}  // namespace limpid::detail
