// Rows: a slice is a few runs of memory. See norm_halves.hpp.
#include <limpid/ops/norm/detail/halves.hpp>

#include <algorithm>

namespace limpid::detail {
namespace {

using namespace kernels;
using index_t = std::int64_t;

template <class T>
const NormRowKernels<T>& row_kernels() noexcept {
  if constexpr (sizeof(T) == 4)
    return LIMPID_AT_ISA(norm_rows_float);
  else
    return LIMPID_AT_ISA(norm_rows_double);
}

template <class T>
NormRows<T> rows_plan(const NormDims& dims, const NormStrides& x, bool along, bool affine) noexcept {
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
  p.along = along;
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
NormRows<T> filled_plan(const NormCall<T>& call, bool along, const T* out) noexcept {
  NormRows<T> p = rows_plan<T>(call.dims, call.x_strides, along, call.affine);
  call.fill(p);
  p.stream = out && norm_streams(call.dims.size() * static_cast<index_t>(sizeof(T)));
  return p;
}

/// Calls f with the kernels that suit the call.
template <class T, class F>
void with_kernels(const NormCall<T>& call, bool along, F&& f) noexcept {
  if constexpr (sizeof(T) == 4)
    if (call.storage)
      return f(HalfRows(row_kernels<T>(), *call.storage,
                        rows_plan<T>(call.dims, call.storage->x_strides, along, call.affine)));
  f(row_kernels<T>());
}

template <class T>
void backward_rows(NormRows<T> p, const NormCall<T>& call, const auto& k) noexcept {
  const NormDims& dims = call.dims;
  T *dgamma = call.dgamma, *dbeta = call.dbeta;
  double* scratch = call.scratch;
  const index_t rows = p.slices * p.rows;
  if (dgamma || dbeta) {
    p.sum_dy = scratch;
    p.sum_dy_xhat = scratch + rows;
  }
  if (!in_phases(p.slices, p.slice_size())) {
    const index_t at_once = call.make_dy ? ceil_div(kNormBlock, p.slice_size()) : p.slices;
    parallel_for(p.slices, norm_grain(p.slice_size()), [&](index_t begin, index_t end) {
      for (index_t last = begin; begin < end; begin = last) {
        last = std::min(end, begin + at_once);
        call.make_dy(begin, last);
        k.backward(p, begin, last);
      }
    });
  } else {
    call.make_all_dy();
    const index_t row_blocks = p.row_blocks(), blocks = rows * row_blocks, each = std::min(p.len, kNormBlock);
    double* partials = scratch + 2 * rows;
    p.m1 = partials + 2 * blocks;
    p.m2 = p.m1 + p.slices;
    parallel_for(blocks, norm_grain(each), [&](index_t begin, index_t end) { k.reduce(p, begin, end, partials); });
    parallel_for(p.slices, norm_grain(p.rows * row_blocks), [&](index_t begin, index_t end) {
      for (index_t q = begin; q < end; ++q) {
        double m1 = 0, m2 = 0;
        for (index_t r = 0; r < p.rows; ++r) {
          double dy = 0, dy_xhat = 0;
          for (index_t b = 0; b < row_blocks; ++b) {
            dy += partials[2 * ((q * p.rows + r) * row_blocks + b)];
            dy_xhat += partials[2 * ((q * p.rows + r) * row_blocks + b) + 1];
          }
          const index_t c = (q % p.inner) * p.affine_inner + r * p.affine_row;
          const double gamma = p.gamma && !p.outside ? static_cast<double>(p.gamma[c]) : 1.0;
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
    if (p.dx) parallel_for(blocks, norm_grain(each), [&](index_t begin, index_t end) { k.dx(p, begin, end); });
  }
  // Row (slice, row) is (n, channel), or (channel, n) under batch.
  const index_t c = dims.channels(), step = dims.batch ? 1 : c, stride = dims.batch ? dims.n : 1;
  norm_total(p.sum_dy, dims.n, step, c, stride, dbeta);
  norm_total(p.sum_dy_xhat, dims.n, step, c, stride, dgamma);
}

template <class T>
void backward_along(const NormRows<T>& p, const NormCall<T>& call, const auto& k) noexcept {
  const NormDims& dims = call.dims;
  T *dgamma = call.dgamma, *dbeta = call.dbeta;
  double* scratch = call.scratch;
  const index_t c = dims.channels(), all = std::min(dims.n, kNormLots);
  const bool sums = dgamma || dbeta;
  parallel_for(all, norm_grain(c * ceil_div(dims.n, all)), [&](index_t begin, index_t end) {
    for (index_t lot = begin; lot < end; ++lot) {
      double* sum_dy = sums ? scratch + 2 * lot * c : nullptr;
      if (sums) std::fill(sum_dy, sum_dy + 2 * c, 0.0);
      k.backward_along(p, lot_begin(lot, all, dims.n) * dims.g, lot_begin(lot + 1, all, dims.n) * dims.g, sum_dy,
                       sums ? sum_dy + c : nullptr);
    }
  });
  norm_total(scratch, all, 2 * c, c, 1, dbeta);
  norm_total(scratch + c, all, 2 * c, c, 1, dgamma);
}

template <class T>
void forward_rows(const NormRows<T>& p, double* scratch, const auto& k) noexcept {
  if (!in_phases(p.slices, p.slice_size())) {
    parallel_for(p.slices, norm_grain(p.slice_size()), [&](index_t begin, index_t end) { k.forward(p, begin, end); });
    return;
  }
  const index_t blocks = p.slices * p.blocks();
  if (p.moments) {
    parallel_for(blocks, norm_grain(kNormBlock),
                 [&](index_t begin, index_t end) { k.moments(p, begin, end, scratch); });
    parallel_for(p.slices, norm_grain(p.blocks()),
                 [&](index_t begin, index_t end) { k.finish(p, begin, end, scratch); });
  }
  if (p.y) parallel_for(blocks, norm_grain(kNormBlock), [&](index_t begin, index_t end) { k.apply(p, begin, end); });
}

}  // namespace

template <class T>
void norm_forward_rows(const NormCall<T>& call, bool along) noexcept {
  const NormRows<T> p = filled_plan(call, along, call.y);
  with_kernels(call, along, [&](const auto& k) { forward_rows(p, call.scratch, k); });
}

template <class T>
void norm_backward_rows(const NormCall<T>& call, bool along) noexcept {
  const NormRows<T> p = filled_plan(call, along, call.dx);
  if (p.along && call.tangent) {
    parallel_for(p.slices, norm_grain(p.len),
                 [&](index_t begin, index_t end) { row_kernels<T>().tangent_along(p, begin, end); });
    return;
  }
  with_kernels(call, along, [&](const auto& k) {
    if (!p.along) return backward_rows(p, call, k);
    call.make_all_dy();
    backward_along(p, call, k);
  });
}

index_t norm_forward_rows_scratch(const NormDims& dims) noexcept {
  const auto p = rows_plan<float>(dims, dense_strides(dims), false, false);
  return in_phases(p.slices, p.slice_size()) ? 3 * p.slices * p.blocks() : 0;
}

index_t norm_backward_rows_scratch(const NormDims& dims) noexcept {
  if (dims.s == 1 && !dims.batch) return 2 * dims.channels() * std::min(dims.n, kNormLots);
  const auto p = rows_plan<float>(dims, dense_strides(dims), false, true);
  const index_t all = p.slices * p.rows;
  return 2 * all + (in_phases(p.slices, p.slice_size()) ? 2 * all * (p.row_blocks() + 1) + 2 * p.slices : 0);
}

index_t norm_rows_tile(const NormDims& dims) noexcept {
  const index_t least = std::min(kNormTile, dims.size());
  return dims.s == 1 ? std::max(least, dims.d) : least;
}

template void norm_forward_rows<float>(const NormCall<float>&, bool) noexcept;
template void norm_forward_rows<double>(const NormCall<double>&, bool) noexcept;
template void norm_backward_rows<float>(const NormCall<float>&, bool) noexcept;
template void norm_backward_rows<double>(const NormCall<double>&, bool) noexcept;

}  // namespace limpid::detail
