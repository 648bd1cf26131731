// Rows: a slice is a few runs of memory. See forms.hpp.
#include <limpid/ops/norm/detail/forms.hpp>
#include <limpid/ops/norm/detail/half_storage.hpp>

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

/// Where the rows of a plan's slices lie, x by these strides.
NormRowGeometry rows_geometry(const NormDims& dims, const NormStrides& x, bool channel_rows) noexcept {
  NormRowGeometry p;
  const index_t c = dims.channels(), s = dims.s;
  p.slices = dims.slices();
  p.inner = dims.g;
  if (dims.s == 1 && !dims.pooled) {  // (N, C): a slice is one row of D channels
    p.len = dims.d;
    p.x_stride = {.outer = x.n, .inner = dims.d * x.c, .row = 0, .element = x.c};
    p.y_stride = {.outer = c, .inner = dims.d, .row = 0};
    p.affine_inner = dims.d;
  } else if (dims.layout == NormLayout::channels_last) {  // one group: a slice is S rows of C channels
    p.rows = s;
    p.len = c;
    p.x_stride = {.outer = x.n, .inner = 0, .row = x.s};
    p.y_stride = {.outer = s * c, .inner = 0, .row = c};
  } else if (dims.pooled) {  // a slice is a channel, its rows are the samples
    p.rows = dims.n;
    p.len = s;
    p.x_stride = {.outer = 0, .inner = x.c, .row = x.n, .element = x.s};
    p.y_stride = {.outer = 0, .inner = s, .row = c * s};
    p.affine_inner = 1;
  } else {
    p.rows = dims.d;
    p.len = s;
    p.x_stride = {.outer = x.n, .inner = dims.d * x.c, .row = x.c, .element = x.s};
    p.y_stride = {.outer = c * s, .inner = dims.d * s, .row = s};
    p.affine_inner = dims.d;
    p.affine_row = 1;
  }
  p.channel_rows = channel_rows;
  const bool dense = p.x_stride.element == 1 && (p.rows == 1 || p.x_stride.row == p.len);
  p.sum_rows = dense ? 1 : p.rows;
  p.sum_len = dense ? p.rows * p.len : p.len;
  if (dense && !dims.affine && (p.rows == 1 || p.y_stride.row == p.len)) {
    p.len *= p.rows;
    p.rows = 1;
    p.channel_rows = false;
    p.affine_row = 0;
  }
  return p;
}
/// The same where x is dense, whatever it is.
NormRowGeometry dense_geometry(NormDims dims, bool affine) noexcept {
  dims.affine = affine;
  return rows_geometry(dims, dense_strides(dims), false);
}

/// What the kernels of a call are given. out: y or dx, what it writes.
template <class T>
NormRows<T> rows_of(const NormCall<T>& call, bool channel_rows, const T* out) noexcept {
  const NormGeometry& at = call.geometry;
  const bool stream = out && norm_streams(at.dims.size() * static_cast<index_t>(sizeof(T)));
  return {
      rows_geometry(at.dims, at.x_strides, channel_rows), mode_of(call, stream), call.in, call.out, call.stats, {}, {}};
}

/// Calls f with the kernels that suit the call.
template <class T, class F>
void with_kernels(const NormCall<T>& call, bool channel_rows, F&& f) noexcept {
  if constexpr (sizeof(T) == 4)
    if (call.half)
      return f(
          HalfRows(row_kernels<T>(), call.half, rows_geometry(call.geometry.dims, call.half.x_strides, channel_rows)));
  f(row_kernels<T>());
}

template <class T>
void forward_rows(const NormRows<T>& p, double* scratch, const auto& k) noexcept {
  if (!in_phases(p.slices, p.slice_size())) {
    parallel_for(p.slices, norm_grain(p.slice_size()), [&](index_t begin, index_t end) { k.forward(p, begin, end); });
    return;
  }
  const index_t blocks = p.slices * p.blocks();
  if (!p.mode.given_stats) {
    parallel_for(blocks, norm_grain(kNormBlock),
                 [&](index_t begin, index_t end) { k.moments(p, begin, end, scratch); });
    parallel_for(p.slices, norm_grain(p.blocks()),
                 [&](index_t begin, index_t end) { k.finish(p, begin, end, scratch); });
  }
  if (p.out.y)
    parallel_for(blocks, norm_grain(kNormBlock), [&](index_t begin, index_t end) { k.apply(p, begin, end); });
}

/// Slices all at once: each while it is in cache.
template <class T>
void backward_whole_slices(const NormRows<T>& p, const NormCall<T>& call, const auto& k) noexcept {
  const index_t at_once = call.make_dy ? ceil_div(kNormBlock, p.slice_size()) : p.slices;
  parallel_for(p.slices, norm_grain(p.slice_size()), [&](index_t begin, index_t end) {
    for (index_t last = begin; begin < end; begin = last) {
      last = std::min(end, begin + at_once);
      call.make_dy(begin, last);
      k.backward(p, begin, last);
    }
  });
}

/// The sums of the rows of slice q, and its means, from the sums of its row blocks, two numbers each.
template <class T>
void finish_slice(const NormRows<T>& p, index_t q, const double* partials) noexcept {
  const index_t row_blocks = p.row_blocks();
  double sum_a = 0, sum_a_xhat = 0;
  for (index_t r = 0; r < p.rows; ++r) {
    double dy = 0, dy_xhat = 0;
    for (index_t b = 0; b < row_blocks; ++b) {
      dy += partials[2 * ((q * p.rows + r) * row_blocks + b)];
      dy_xhat += partials[2 * ((q * p.rows + r) * row_blocks + b) + 1];
    }
    const index_t c = (q % p.inner) * p.affine_inner + r * p.affine_row;
    const double gamma = p.in.gamma && !p.mode.gamma_outside ? static_cast<double>(p.in.gamma[c]) : 1.0;
    sum_a += gamma * dy;
    sum_a_xhat += gamma * dy_xhat;
    if (p.sums.dy) {
      p.sums.dy[q * p.rows + r] = dy;
      p.sums.dy_xhat[q * p.rows + r] = dy_xhat;
    }
  }
  const double size = static_cast<double>(p.slice_size());
  p.means.a[q] = p.mode.center ? sum_a / size : 0;
  p.means.a_xhat[q] = sum_a_xhat / size;
}

/// Large slices in three phases: sums of row blocks, means of slices, dx. scratch: two numbers per row block and slice.
template <class T>
void backward_in_phases(NormRows<T> p, const NormCall<T>& call, double* scratch, const auto& k) noexcept {
  make_all_dy(call);
  const index_t row_blocks = p.row_blocks(), blocks = p.slices * p.rows * row_blocks,
                each = std::min(p.len, kNormBlock);
  p.means = {.a = scratch + 2 * blocks, .a_xhat = scratch + 2 * blocks + p.slices};
  parallel_for(blocks, norm_grain(each), [&](index_t begin, index_t end) { k.reduce(p, begin, end, scratch); });
  parallel_for(p.slices, norm_grain(p.rows * row_blocks), [&](index_t begin, index_t end) {
    for (index_t q = begin; q < end; ++q) finish_slice(p, q, scratch);
  });
  if (p.out.dx) parallel_for(blocks, norm_grain(each), [&](index_t begin, index_t end) { k.dx(p, begin, end); });
}

template <class T>
void backward_rows(NormRows<T> p, const NormCall<T>& call, const auto& k) noexcept {
  const index_t rows = p.slices * p.rows;
  if (call.out.dgamma || call.out.dbeta) p.sums = {.dy = call.scratch, .dy_xhat = call.scratch + rows};
  if (in_phases(p.slices, p.slice_size()))
    backward_in_phases(p, call, call.scratch + 2 * rows, k);
  else
    backward_whole_slices(p, call, k);
  // Row (slice, row) is (n, channel), or (channel, n) where statistics are pooled.
  const NormDims& dims = call.geometry.dims;
  const index_t c = dims.channels();
  ChannelSums sums{.from = p.sums.dy, .count = dims.n, .step = c, .channels = c};
  if (dims.pooled) sums.step = 1, sums.stride = dims.n;
  norm_total(sums, call.out.dbeta);
  sums.from = p.sums.dy_xhat;
  norm_total(sums, call.out.dgamma);
}

template <class T>
void backward_channel_rows(const NormRows<T>& p, const NormCall<T>& call, const auto& k) noexcept {
  const NormDims& dims = call.geometry.dims;
  const index_t c = dims.channels(), chunks = std::min(dims.n, kNormChunks);
  const bool wanted = call.out.dgamma || call.out.dbeta;
  parallel_for(chunks, norm_grain(c * ceil_div(dims.n, chunks)), [&](index_t begin, index_t end) {
    for (index_t chunk = begin; chunk < end; ++chunk) {
      double* sum_dy = wanted ? call.scratch + 2 * chunk * c : nullptr;
      if (wanted) std::fill(sum_dy, sum_dy + 2 * c, 0.0);
      k.channel_backward(p, chunk_begin(chunk, chunks, dims.n) * dims.g,
                         chunk_begin(chunk + 1, chunks, dims.n) * dims.g, sum_dy, wanted ? sum_dy + c : nullptr);
    }
  });
  ChannelSums sums{.from = call.scratch, .count = chunks, .step = 2 * c, .channels = c};
  norm_total(sums, call.out.dbeta);
  sums.from = call.scratch + c;
  norm_total(sums, call.out.dgamma);
}

}  // namespace

template <class T>
void norm_forward_rows(const NormCall<T>& call, bool channel_rows) noexcept {
  const NormRows<T> p = rows_of(call, channel_rows, call.out.y);
  with_kernels(call, channel_rows, [&](const auto& k) { forward_rows(p, call.scratch, k); });
}

template <class T>
void norm_backward_rows(const NormCall<T>& call, bool channel_rows) noexcept {
  const NormRows<T> p = rows_of(call, channel_rows, call.out.dx);
  if (p.channel_rows && call.pass == NormPass::tangent) {
    parallel_for(p.slices, norm_grain(p.len),
                 [&](index_t begin, index_t end) { row_kernels<T>().channel_tangent(p, begin, end); });
    return;
  }
  with_kernels(call, channel_rows, [&](const auto& k) {
    if (!p.channel_rows) return backward_rows(p, call, k);
    make_all_dy(call);
    backward_channel_rows(p, call, k);
  });
}

index_t norm_forward_rows_scratch(const NormDims& dims) noexcept {
  const NormRowGeometry p = dense_geometry(dims, false);
  return in_phases(p.slices, p.slice_size()) ? 3 * p.slices * p.blocks() : 0;
}

index_t norm_backward_rows_scratch(const NormDims& dims) noexcept {
  if (dims.s == 1 && !dims.pooled) return 2 * dims.channels() * std::min(dims.n, kNormChunks);
  const NormRowGeometry p = dense_geometry(dims, true);
  const index_t all = p.slices * p.rows;
  return 2 * all + (in_phases(p.slices, p.slice_size()) ? 2 * all * (p.row_blocks() + 1) + 2 * p.slices : 0);
}

index_t norm_rows_buffer(const NormDims& dims) noexcept {
  const index_t least = std::min(kHalfBuffer, dims.size());
  return dims.s == 1 ? std::max(least, dims.d) : least;
}

template void norm_forward_rows(const NormCall<float>&, bool) noexcept;
template void norm_forward_rows(const NormCall<double>&, bool) noexcept;
template void norm_backward_rows(const NormCall<float>&, bool) noexcept;
template void norm_backward_rows(const NormCall<double>&, bool) noexcept;

}  // namespace limpid::detail
