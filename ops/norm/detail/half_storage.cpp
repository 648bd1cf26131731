// Half precision through buffers of float32. See half_storage.hpp.
#include <limpid/ops/norm/detail/half_storage.hpp>

#include <limpid/ops/norm/detail/forms.hpp>

#include <algorithm>

namespace limpid::detail {
namespace {

using namespace kernels;
using index_t = std::int64_t;

/// Elements of a block that are taken at a time where each is looked at once: the nearest cache holds them and their
/// results.
constexpr index_t kRun = 2048;

/// n elements, `step` apart, to dense float32.
void widen_run(const HalfKernels& convert, const std::uint16_t* from, index_t step, float* to, index_t n) noexcept {
  if (step == 1) return convert.widen(from, to, n);
  constexpr index_t kPacked = 256;
  std::uint16_t packed[kPacked];
  for (index_t i = 0; i < n; i += kPacked) {
    const index_t count = std::min(kPacked, n - i);
    for (index_t j = 0; j < count; ++j) packed[j] = from[(i + j) * step];
    convert.widen(packed, to + i, count);
  }
}

using Buffer = HalfBuffers::Buffer;

void shift(const float*& p, index_t by) noexcept {
  if (p) p += by;
}
void shift(double*& p, index_t by) noexcept {
  if (p) p += by;
}
void shift(NormStats& stats, index_t by) noexcept {
  for (double** p : {&stats.mean, &stats.mean_lo, &stats.rstd, &stats.var}) shift(*p, by);
}

/// Lets the kernels of a plan, of rows or columns, find x and dy in a buffer, and leave results there.
template <class Plan>
void place_in(const Buffer& buffer, Plan& p) noexcept {
  p.in.x = buffer.x;
  p.in.dy = buffer.dy;
  if (p.out.y) p.out.y = buffer.out;
  if (p.out.dx) p.out.dx = buffer.out;
  p.mode.stream = false;
}

// ---- rows ----------------------------------------------------------------------------------------------------------

using Rows = NormRows<float>;

/// The slices from `first` on, dense in a buffer: whole samples, or some of one.
Rows slices_in(const Buffer& buffer, Rows p, index_t first) noexcept {
  place_in(buffer, p);
  const index_t channel = first % p.inner * p.affine_inner;
  shift(p.in.gamma, channel);
  shift(p.in.beta, channel);
  shift(p.stats, first);
  shift(p.sums.dy, first * p.rows);
  shift(p.sums.dy_xhat, first * p.rows);
  p.x_stride = p.y_stride = {.outer = p.inner * p.slice_size(), .inner = p.slice_size(), .row = p.len};
  return p;
}

/// Part of slice q: `rows` rows of `len` elements from element `begin` on; whole rows, or a part of one.
struct Piece {
  index_t q, begin, rows, len;
  index_t end() const noexcept { return begin + rows * len; }
};

/// A piece, dense in a buffer, as a slice of its own.
Rows piece_in(const Buffer& buffer, Rows p, const Piece& piece) noexcept {
  place_in(buffer, p);
  const index_t row = p.channel_rows ? piece.begin % p.len : piece.begin / p.len * p.affine_row;
  const index_t channel = piece.q % p.inner * p.affine_inner + row;
  shift(p.in.gamma, channel);
  shift(p.in.beta, channel);
  shift(p.stats, piece.q);
  p.slices = p.inner = p.sum_rows = 1;
  p.rows = piece.rows;
  p.len = piece.len;
  p.sum_len = piece.rows * piece.len;
  p.x_stride = p.y_stride = {.outer = 0, .inner = 0, .row = piece.len};
  return p;
}

/// Calls f(first, last) for runs of the slices [begin, end) that fit in a buffer: whole samples, or some of one.
template <class F>
void each_run(const NormRowGeometry& p, index_t begin, index_t end, F&& f) noexcept {
  const index_t at_once = std::max<index_t>(1, kHalfBuffer / p.slice_size());
  for (index_t last = begin; begin < end; begin = last) {
    const index_t inner = begin % p.inner;
    last = std::min(end, begin + at_once);
    if (inner) last = std::min(last, begin + p.inner - inner);
    f(begin, last);
  }
}

/// Calls f(i, len) for the parts of rows, of at most `most` elements, that make up elements [begin, end) of a slice.
template <class F>
void each_part(index_t row_len, index_t most, index_t begin, index_t end, F&& f) noexcept {
  for (index_t len = 0; begin < end; begin += len) {
    len = std::min({end - begin, row_len - begin % row_len, most});
    f(begin, len);
  }
}

/// Calls f(block, piece) for row blocks [begin, end): the piece is some whole rows, a block each, or one block.
template <class F>
void each_row_piece(const NormRowGeometry& p, index_t begin, index_t end, F&& f) noexcept {
  const index_t row_blocks = p.row_blocks();
  for (index_t rows = 0; begin < end; begin += rows) {
    const index_t q = begin / row_blocks / p.rows, row = begin / row_blocks % p.rows;
    const index_t offset = begin % row_blocks * kNormBlock;
    rows = row_blocks > 1 ? 1 : std::min({end - begin, p.rows - row, kHalfBuffer / p.len});
    f(begin, Piece{.q = q, .begin = row * p.len + offset, .rows = rows, .len = std::min(kNormBlock, p.len - offset)});
  }
}

}  // namespace

NormCall<float> with_stand_ins(NormCall<float> call) noexcept {
  float* stand_in = call.half.buffers->stand_in();
  call.half.x_strides = call.geometry.x_strides;
  call.geometry.x_strides = dense_strides(call.geometry.dims);
  call.in.x = call.in.dy = stand_in;
  call.out.y = call.half.y ? stand_in : nullptr;
  call.out.dx = call.half.dx ? stand_in : nullptr;
  return call;
}

void HalfRows::widen(index_t q, index_t begin, index_t end, float* to) const noexcept {
  const auto& stride = source_.x_stride;
  const std::uint16_t* x = half_.x + q / source_.inner * stride.outer + q % source_.inner * stride.inner;
  if (source_.rows == 1 || (stride.element == 1 && stride.row == source_.len))
    return widen_run(*half_.convert, x + begin * stride.element, stride.element, to, end - begin);
  each_part(source_.len, source_.len, begin, end, [&](index_t i, index_t len) {
    const index_t at = i / source_.len * stride.row + i % source_.len * stride.element;
    widen_run(*half_.convert, x + at, stride.element, to, len);
    to += len;
  });
}

void HalfRows::widen_slices(index_t first, index_t last, float* to) const noexcept {
  const auto& stride = source_.x_stride;
  const index_t size = source_.slice_size();
  const bool dense = stride.element == 1 && (source_.rows == 1 || stride.row == source_.len) &&
                     (source_.inner == 1 || stride.inner == size) && stride.outer == source_.inner * size;
  if (dense) return half_.convert->widen(half_.x + first * size, to, (last - first) * size);
  for (index_t q = first; q < last; ++q, to += size) widen(q, 0, size, to);
}

void HalfRows::forward(const Plan& p, index_t begin, index_t end) const noexcept {
  const index_t size = p.slice_size();
  if (size > kHalfBuffer) {
    for (index_t q = begin; q < end; ++q) large_forward(p, q);
    return;
  }
  const Buffer buffer(*half_.buffers);
  each_run(p, begin, end, [&](index_t first, index_t last) {
    widen_slices(first, last, buffer.x);
    k_.forward(slices_in(buffer, p, first), 0, last - first);
    if (p.out.y) half_.convert->narrow(buffer.out, half_.y + first * size, (last - first) * size, half_.stream);
  });
}

/// Block by block: what of x a near cache holds in half precision is converted twice.
void HalfRows::large_forward(const Plan& p, index_t q) const noexcept {
  const index_t blocks = p.blocks();
  if (!p.mode.given_stats) {
    double partials[3 * (kNormWholeSlice / kNormBlock)];
    for (index_t b = 0; b < blocks; ++b) block_moments(p, q * blocks + b, partials + 3 * b);
    Plan slice = p;
    shift(slice.stats, q);
    finish(slice, 0, 1, partials);
  }
  if (p.out.y) apply(p, q * blocks, (q + 1) * blocks);
}

/// Moments are of deviations from the slice's first element, which the kernel finds before the second block.
void HalfRows::block_moments(const Plan& p, index_t block, double* to) const noexcept {
  const index_t q = block / p.blocks(), i = block % p.blocks() * kNormBlock;
  const index_t n = std::min(kNormBlock, p.slice_size() - i);
  const Buffer buffer(*half_.buffers);
  if (i == 0) {
    widen(q, 0, n, buffer.x);
    return k_.moments(piece_in(buffer, p, {.q = q, .begin = 0, .rows = 1, .len = n}), 0, 1, to);
  }
  widen(q, 0, 1, buffer.x);
  widen(q, i, i + n, buffer.x + kNormBlock);
  double both[6];
  k_.moments(piece_in(buffer, p, {.q = q, .begin = 0, .rows = 1, .len = kNormBlock + n}), 1, 2, both);
  std::copy(both + 3, both + 6, to);
}

void HalfRows::moments(const Plan& p, index_t begin, index_t end, double* partials) const noexcept {
  for (index_t b = begin; b < end; ++b) block_moments(p, b, partials + 3 * b);
}

void HalfRows::finish(const Plan& p, index_t begin, index_t end, const double* partials) const noexcept {
  Plan anywhere = p;  // x is looked at in float64 alone
  anywhere.x_stride = {};
  k_.finish(anywhere, begin, end, partials);
}

void HalfRows::apply(const Plan& p, index_t begin, index_t end) const noexcept {
  const index_t blocks = p.blocks(), size = p.slice_size();
  const Buffer buffer(*half_.buffers);
  for (index_t b = begin; b < end; ++b) {
    const index_t q = b / blocks, first = b % blocks * kNormBlock;
    each_part(p.len, kRun, first, std::min(size, first + kNormBlock), [&](index_t i, index_t n) {
      widen(q, i, i + n, buffer.x);
      k_.apply(piece_in(buffer, p, {.q = q, .begin = i, .rows = 1, .len = n}), 0, 1);
      half_.convert->narrow(buffer.out, half_.y + q * size + i, n, half_.stream);
    });
  }
}

void HalfRows::backward(const Plan& p, index_t begin, index_t end) const noexcept {
  const index_t size = p.slice_size();
  if (size > kHalfBuffer) {
    for (index_t q = begin; q < end; ++q) large_backward(p, q);
    return;
  }
  const Buffer buffer(*half_.buffers);
  each_run(p, begin, end, [&](index_t first, index_t last) {
    const index_t count = (last - first) * size;
    widen_slices(first, last, buffer.x);
    half_.convert->widen(half_.dy + first * size, buffer.dy, count);
    k_.backward(slices_in(buffer, p, first), 0, last - first);
    if (p.out.dx) half_.convert->narrow(buffer.out, half_.dx + first * size, count, half_.stream);
  });
}

/// Row block by row block: the sums in the order of the kernel that has the whole slice, then dx.
void HalfRows::large_backward(const Plan& p, index_t q) const noexcept {
  constexpr index_t kAtOnce = 64;
  const index_t row_blocks = p.row_blocks(), begin = q * p.rows * row_blocks, end = begin + p.rows * row_blocks;
  const float* gamma = p.in.gamma ? p.in.gamma + q % p.inner * p.affine_inner : nullptr;
  double mean_a = 0, mean_a_xhat = 0, dy = 0, dy_xhat = 0, partials[2 * kAtOnce];
  for (index_t first = begin; first < end; first += kAtOnce) {
    const index_t last = std::min(end, first + kAtOnce);
    reduce_blocks(p, first, last, partials);
    for (index_t b = first; b < last; ++b) {
      dy += partials[2 * (b - first)];
      dy_xhat += partials[2 * (b - first) + 1];
      if ((b + 1) % row_blocks) continue;
      const index_t row = b / row_blocks;
      const double weight = gamma ? static_cast<double>(gamma[row % p.rows * p.affine_row]) : 1.0;
      mean_a += weight * dy;
      mean_a_xhat += weight * dy_xhat;
      if (p.sums.dy) {
        p.sums.dy[row] = dy;
        p.sums.dy_xhat[row] = dy_xhat;
      }
      dy = dy_xhat = 0;
    }
  }
  if (!p.out.dx) return;
  const double size = static_cast<double>(p.slice_size());
  mean_a = p.mode.center ? mean_a / size : 0;
  mean_a_xhat /= size;
  Plan slice = p;
  slice.means = {.a = &mean_a, .a_xhat = &mean_a_xhat};
  dx_blocks(slice, begin, end, q);
}

void HalfRows::reduce(const Plan& p, index_t begin, index_t end, double* partials) const noexcept {
  reduce_blocks(p, begin, end, partials + 2 * begin);
}

void HalfRows::reduce_blocks(const Plan& p, index_t begin, index_t end, double* to) const noexcept {
  const Buffer buffer(*half_.buffers);
  each_row_piece(p, begin, end, [&](index_t b, const Piece& piece) {
    const std::uint16_t* dy = half_.dy + piece.q * p.slice_size() + piece.begin;
    widen(piece.q, piece.begin, piece.end(), buffer.x);
    half_.convert->widen(dy, buffer.dy, piece.rows * piece.len);
    k_.reduce(piece_in(buffer, p, piece), 0, piece.rows, to + 2 * (b - begin));
  });
}

void HalfRows::dx(const Plan& p, index_t begin, index_t end) const noexcept { dx_blocks(p, begin, end, 0); }

/// p.means are those of slices from `first_slice` on.
void HalfRows::dx_blocks(const Plan& p, index_t begin, index_t end, index_t first_slice) const noexcept {
  const Buffer buffer(*half_.buffers);
  each_row_piece(p, begin, end, [&](index_t, const Piece& piece) {
    const index_t at = piece.q * p.slice_size() + piece.begin, count = piece.rows * piece.len;
    widen(piece.q, piece.begin, piece.end(), buffer.x);
    half_.convert->widen(half_.dy + at, buffer.dy, count);
    Plan one = piece_in(buffer, p, piece);
    one.means = {.a = p.means.a + (piece.q - first_slice), .a_xhat = p.means.a_xhat + (piece.q - first_slice)};
    k_.dx(one, 0, piece.rows);
    half_.convert->narrow(buffer.out, half_.dx + at, count, half_.stream);
  });
}

/// A buffer holds a slice at least, however long.
void HalfRows::channel_backward(const Plan& p, index_t begin, index_t end, double* dbeta,
                                double* dgamma) const noexcept {
  const Buffer buffer(*half_.buffers);
  each_run(p, begin, end, [&](index_t first, index_t last) {
    const index_t size = p.slice_size(), count = (last - first) * size, channel = first % p.inner * p.affine_inner;
    widen_slices(first, last, buffer.x);
    half_.convert->widen(half_.dy + first * size, buffer.dy, count);
    k_.channel_backward(slices_in(buffer, p, first), 0, last - first, dbeta ? dbeta + channel : dbeta,
                        dgamma ? dgamma + channel : dgamma);
    if (p.out.dx) half_.convert->narrow(buffer.out, half_.dx + first * size, count, half_.stream);
  });
}

// ---- columns -------------------------------------------------------------------------------------------------------

/// One block of a sample in a buffer: a sample of one block.
struct HalfColumns::Block {
  Plan plan;
  index_t first, count;  ///< elements of the sample, in its memory

  Block(const Buffer& buffer, const Plan& p, index_t block) noexcept : plan(p), first(block * p.block_rows * p.width) {
    const bool final_block = block + 1 == p.blocks;
    plan.rows = final_block ? p.rows - block * p.block_rows : p.block_rows;
    plan.tail = final_block ? p.tail : 0;
    plan.blocks = 1;
    plan.x_sample = plan.y_sample = 0;
    plan.x_row = p.width;
    place_in(buffer, plan);
    count = plan.rows * p.width + plan.tail;
  }
};

void HalfColumns::widen(const Plan& p, index_t n, const Block& block, float* to) const noexcept {
  const index_t channels = p.g * p.d, step = half_.x_strides.s, s = block.first / channels;
  const std::uint16_t* x = half_.x + n * half_.x_strides.n + s * step;
  if (step == channels) return half_.convert->widen(x, to, block.count);
  for (index_t i = 0; i < block.count; i += channels, x += step) half_.convert->widen(x, to + i, channels);
}

void HalfColumns::moments(const Plan& p, index_t n, index_t b, double* partials) const noexcept {
  const Buffer buffer(*half_.buffers);
  const Block block(buffer, p, b);
  widen(p, n, block, buffer.x);
  k_.moments(block.plan, 0, 0, partials);
}

void HalfColumns::finish(const Plan& p, index_t n, double* partials, double* coefficients) const noexcept {
  Plan anywhere = p;  // x is looked at in float64 alone
  anywhere.x_sample = 0;
  k_.finish(anywhere, n, partials, coefficients);
}

void HalfColumns::apply(const Plan& p, index_t n, index_t begin, index_t end,
                        const double* coefficients) const noexcept {
  const Buffer buffer(*half_.buffers);
  for (index_t b = end; b-- > begin;) {
    const Block block(buffer, p, b);
    widen(p, n, block, buffer.x);
    k_.apply(block.plan, 0, 0, 1, coefficients);
    half_.convert->narrow(buffer.out, half_.y + n * p.y_sample + block.first, block.count, half_.stream);
  }
}

void HalfColumns::prepare(const Plan& p, index_t n, double* coefficients) const noexcept {
  k_.prepare(p, n, coefficients);
}

void HalfColumns::reduce(const Plan& p, index_t n, index_t b, const double* coefficients,
                         double* partials) const noexcept {
  const Buffer buffer(*half_.buffers);
  const Block block(buffer, p, b);
  widen(p, n, block, buffer.x);
  half_.convert->widen(half_.dy + n * p.y_sample + block.first, buffer.dy, block.count);
  k_.reduce(block.plan, 0, 0, coefficients, partials);
}

void HalfColumns::finish_sums(const Plan& p, index_t n, double* partials, double* coefficients) const noexcept {
  k_.finish_sums(p, n, partials, coefficients);
}

void HalfColumns::dx(const Plan& p, index_t n, index_t begin, index_t end, const double* coefficients) const noexcept {
  const Buffer buffer(*half_.buffers);
  for (index_t b = end; b-- > begin;) {
    const Block block(buffer, p, b);
    const index_t at = n * p.y_sample + block.first;
    widen(p, n, block, buffer.x);
    half_.convert->widen(half_.dy + at, buffer.dy, block.count);
    k_.dx(block.plan, 0, 0, 1, coefficients);
    half_.convert->narrow(buffer.out, half_.dx + at, block.count, half_.stream);
  }
}

void HalfColumns::forward(const Plan& p, index_t n) const noexcept {
  const Buffer buffer(*half_.buffers);
  Block block(buffer, p, 0);
  widen(p, n, block, buffer.x);
  shift(block.plan.stats, n * p.g);
  k_.forward(block.plan, 0);
  if (p.out.y) half_.convert->narrow(buffer.out, half_.y + n * p.y_sample, block.count, half_.stream);
}

void HalfColumns::backward(const Plan& p, index_t n, double* totals) const noexcept {
  const Buffer buffer(*half_.buffers);
  Block block(buffer, p, 0);
  widen(p, n, block, buffer.x);
  half_.convert->widen(half_.dy + n * p.y_sample, buffer.dy, block.count);
  shift(block.plan.stats, n * p.g);
  k_.backward(block.plan, 0, totals);
  if (p.out.dx) half_.convert->narrow(buffer.out, half_.dx + n * p.y_sample, block.count, half_.stream);
}

}  // namespace limpid::detail
