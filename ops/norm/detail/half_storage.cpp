// Tiles of half precision. See norm_storage.hpp.
#include <limpid/ops/norm/detail/halves.hpp>

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

// ---- rows ----------------------------------------------------------------------------------------------------------

using Rows = NormRows<float>;
using Tile = NormTiles::Tile;

void place_in(Rows& p, const Tile& tile) noexcept {
  p.x = tile.x;
  p.dy = tile.dy;
  if (p.y) p.y = tile.out;
  if (p.dx) p.dx = tile.out;
  p.stream = false;
}
void shift(const float*& p, index_t by) noexcept {
  if (p) p += by;
}
void shift(double*& p, index_t by) noexcept {
  if (p) p += by;
}
void shift(NormStats& stats, index_t by) noexcept {
  for (double** p : {&stats.mean, &stats.mean_lo, &stats.rstd, &stats.var}) shift(*p, by);
}

/// The slices from `first` on, dense in a tile: whole samples, or some of one.
Rows slices_in(const Tile& tile, Rows p, index_t first) noexcept {
  place_in(p, tile);
  const index_t affine = first % p.inner * p.affine_inner;
  shift(p.gamma, affine);
  shift(p.beta, affine);
  shift(p.stats, first);
  shift(p.sum_dy, first * p.rows);
  shift(p.sum_dy_xhat, first * p.rows);
  p.x_stride = p.y_stride = {p.inner * p.slice_size(), p.slice_size(), p.len, 1};
  return p;
}

/// Elements [i, i + rows * len) of slice q as a slice of their own: whole rows, or a part of one.
Rows piece_in(const Tile& tile, Rows p, index_t q, index_t i, index_t rows, index_t len) noexcept {
  place_in(p, tile);
  const index_t affine = q % p.inner * p.affine_inner + (p.along ? i % p.len : i / p.len * p.affine_row);
  shift(p.gamma, affine);
  shift(p.beta, affine);
  shift(p.stats, q);
  p.slices = p.inner = p.sum_rows = 1;
  p.rows = rows;
  p.len = len;
  p.sum_len = rows * len;
  p.x_stride = p.y_stride = {0, 0, len, 1};
  return p;
}

/// Calls f(first, last) for runs of the slices [begin, end) that fit in a tile: whole samples, or some of one.
template <class F>
void each_tile(const Rows& p, index_t begin, index_t end, F&& f) noexcept {
  const index_t at_once = std::max<index_t>(1, kNormTile / p.slice_size());
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

/// Calls f(block, q, i, rows, len) for row blocks [begin, end): element i of slice q is the first of so many whole
/// rows, a block each, or of one block.
template <class F>
void each_row_block(const Rows& p, index_t begin, index_t end, F&& f) noexcept {
  const index_t row_blocks = p.row_blocks();
  for (index_t rows = 0; begin < end; begin += rows) {
    const index_t q = begin / row_blocks / p.rows, row = begin / row_blocks % p.rows;
    const index_t offset = begin % row_blocks * kNormBlock;
    rows = row_blocks > 1 ? 1 : std::min({end - begin, p.rows - row, kNormTile / p.len});
    f(begin, q, row * p.len + offset, rows, std::min(kNormBlock, p.len - offset));
  }
}

}  // namespace

/// Elements [begin, end) of slice q of x.
void HalfRows::widen(index_t q, index_t begin, index_t end, float* to) const noexcept {
  const auto& stride = source_.x_stride;
  const std::uint16_t* x = at_.x + q / source_.inner * stride.outer + q % source_.inner * stride.inner;
  if (source_.rows == 1 || (stride.element == 1 && stride.row == source_.len))
    return widen_run(*at_.convert, x + begin * stride.element, stride.element, to, end - begin);
  each_part(source_.len, source_.len, begin, end, [&](index_t i, index_t len) {
    const index_t at = i / source_.len * stride.row + i % source_.len * stride.element;
    widen_run(*at_.convert, x + at, stride.element, to, len);
    to += len;
  });
}

void HalfRows::widen_slices(index_t first, index_t last, float* to) const noexcept {
  const auto& stride = source_.x_stride;
  const index_t size = source_.slice_size();
  const bool dense = stride.element == 1 && (source_.rows == 1 || stride.row == source_.len) &&
                     (source_.inner == 1 || stride.inner == size) && stride.outer == source_.inner * size;
  if (dense) return at_.convert->widen(at_.x + first * size, to, (last - first) * size);
  for (index_t q = first; q < last; ++q, to += size) widen(q, 0, size, to);
}

void HalfRows::forward(const Plan& p, index_t begin, index_t end) const noexcept {
  const index_t size = p.slice_size();
  if (size > kNormTile) {
    for (index_t q = begin; q < end; ++q) large_forward(p, q);
    return;
  }
  const Tile tile(*at_.tiles);
  each_tile(p, begin, end, [&](index_t first, index_t last) {
    widen_slices(first, last, tile.x);
    k_.forward(slices_in(tile, p, first), 0, last - first);
    if (p.y) at_.convert->narrow(tile.out, at_.y + first * size, (last - first) * size, at_.stream);
  });
}

/// Block by block: what of x a near cache holds in half precision is converted twice.
void HalfRows::large_forward(const Plan& p, index_t q) const noexcept {
  const index_t blocks = p.blocks();
  if (p.moments) {
    double partials[3 * (kNormWholeSlice / kNormBlock)];
    for (index_t b = 0; b < blocks; ++b) block_moments(p, q * blocks + b, partials + 3 * b);
    Plan slice = p;
    shift(slice.stats, q);
    finish(slice, 0, 1, partials);
  }
  if (p.y) apply(p, q * blocks, (q + 1) * blocks);
}

/// Moments are of deviations from the slice's first element, which the kernel finds before the second block.
void HalfRows::block_moments(const Plan& p, index_t block, double* to) const noexcept {
  const index_t q = block / p.blocks(), i = block % p.blocks() * kNormBlock;
  const index_t n = std::min(kNormBlock, p.slice_size() - i);
  const Tile tile(*at_.tiles);
  if (i == 0) {
    widen(q, 0, n, tile.x);
    return k_.moments(piece_in(tile, p, q, 0, 1, n), 0, 1, to);
  }
  widen(q, 0, 1, tile.x);
  widen(q, i, i + n, tile.x + kNormBlock);
  double both[6];
  k_.moments(piece_in(tile, p, q, 0, 1, kNormBlock + n), 1, 2, both);
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
  const Tile tile(*at_.tiles);
  for (index_t b = begin; b < end; ++b) {
    const index_t q = b / blocks, first = b % blocks * kNormBlock;
    each_part(p.len, kRun, first, std::min(size, first + kNormBlock), [&](index_t i, index_t n) {
      widen(q, i, i + n, tile.x);
      k_.apply(piece_in(tile, p, q, i, 1, n), 0, 1);
      at_.convert->narrow(tile.out, at_.y + q * size + i, n, at_.stream);
    });
  }
}

void HalfRows::backward(const Plan& p, index_t begin, index_t end) const noexcept {
  const index_t size = p.slice_size();
  if (size > kNormTile) {
    for (index_t q = begin; q < end; ++q) large_backward(p, q);
    return;
  }
  const Tile tile(*at_.tiles);
  each_tile(p, begin, end, [&](index_t first, index_t last) {
    const index_t count = (last - first) * size;
    widen_slices(first, last, tile.x);
    at_.convert->widen(at_.dy + first * size, tile.dy, count);
    k_.backward(slices_in(tile, p, first), 0, last - first);
    if (p.dx) at_.convert->narrow(tile.out, at_.dx + first * size, count, at_.stream);
  });
}

/// Row block by row block: the sums in the order of the kernel that has the whole slice, then dx.
void HalfRows::large_backward(const Plan& p, index_t q) const noexcept {
  constexpr index_t kAtOnce = 64;
  const index_t row_blocks = p.row_blocks(), begin = q * p.rows * row_blocks, end = begin + p.rows * row_blocks;
  const float* gamma = p.gamma ? p.gamma + q % p.inner * p.affine_inner : nullptr;
  double m1 = 0, m2 = 0, dy = 0, dy_xhat = 0, partials[2 * kAtOnce];
  for (index_t first = begin; first < end; first += kAtOnce) {
    const index_t last = std::min(end, first + kAtOnce);
    reduce_blocks(p, first, last, partials);
    for (index_t b = first; b < last; ++b) {
      dy += partials[2 * (b - first)];
      dy_xhat += partials[2 * (b - first) + 1];
      if ((b + 1) % row_blocks) continue;
      const index_t row = b / row_blocks;
      const double weight = gamma ? static_cast<double>(gamma[row % p.rows * p.affine_row]) : 1.0;
      m1 += weight * dy;
      m2 += weight * dy_xhat;
      if (p.sum_dy) {
        p.sum_dy[row] = dy;
        p.sum_dy_xhat[row] = dy_xhat;
      }
      dy = dy_xhat = 0;
    }
  }
  if (!p.dx) return;
  const double size = static_cast<double>(p.slice_size());
  m1 = p.center ? m1 / size : 0;
  m2 /= size;
  dx_blocks(p, begin, end, &m1, &m2, q);
}

void HalfRows::reduce(const Plan& p, index_t begin, index_t end, double* partials) const noexcept {
  reduce_blocks(p, begin, end, partials + 2 * begin);
}

void HalfRows::reduce_blocks(const Plan& p, index_t begin, index_t end, double* to) const noexcept {
  const Tile tile(*at_.tiles);
  each_row_block(p, begin, end, [&](index_t b, index_t q, index_t i, index_t rows, index_t len) {
    widen(q, i, i + rows * len, tile.x);
    at_.convert->widen(at_.dy + q * p.slice_size() + i, tile.dy, rows * len);
    k_.reduce(piece_in(tile, p, q, i, rows, len), 0, rows, to + 2 * (b - begin));
  });
}

void HalfRows::dx(const Plan& p, index_t begin, index_t end) const noexcept { dx_blocks(p, begin, end, p.m1, p.m2, 0); }

/// m1 and m2: of slices from `first` on.
void HalfRows::dx_blocks(const Plan& p, index_t begin, index_t end, double* m1, double* m2,
                         index_t first) const noexcept {
  const Tile tile(*at_.tiles);
  each_row_block(p, begin, end, [&](index_t, index_t q, index_t i, index_t rows, index_t len) {
    const index_t at = q * p.slice_size() + i;
    widen(q, i, i + rows * len, tile.x);
    at_.convert->widen(at_.dy + at, tile.dy, rows * len);
    Plan piece = piece_in(tile, p, q, i, rows, len);
    piece.m1 = m1 + (q - first);
    piece.m2 = m2 + (q - first);
    k_.dx(piece, 0, rows);
    at_.convert->narrow(tile.out, at_.dx + at, rows * len, at_.stream);
  });
}

/// A tile holds a slice at least, however long.
void HalfRows::backward_along(const Plan& p, index_t begin, index_t end, double* dbeta, double* dgamma) const noexcept {
  const Tile tile(*at_.tiles);
  each_tile(p, begin, end, [&](index_t first, index_t last) {
    const index_t size = p.slice_size(), count = (last - first) * size, affine = first % p.inner * p.affine_inner;
    widen_slices(first, last, tile.x);
    at_.convert->widen(at_.dy + first * size, tile.dy, count);
    k_.backward_along(slices_in(tile, p, first), 0, last - first, dbeta ? dbeta + affine : dbeta,
                      dgamma ? dgamma + affine : dgamma);
    if (p.dx) at_.convert->narrow(tile.out, at_.dx + first * size, count, at_.stream);
  });
}

// ---- columns -------------------------------------------------------------------------------------------------------

/// One block of a sample in a tile: a sample of one block.
struct HalfColumns::Block {
  Plan plan;
  index_t first, count;  ///< elements of the sample, in its memory

  Block(const Tile& tile, const Plan& p, index_t block) noexcept : plan(p), first(block * p.block_rows * p.width) {
    const bool final_block = block + 1 == p.blocks;
    plan.rows = final_block ? p.rows - block * p.block_rows : p.block_rows;
    plan.tail = final_block ? p.tail : 0;
    plan.blocks = 1;
    plan.x_sample = plan.y_sample = 0;
    plan.x_row = p.width;
    plan.stream = false;
    plan.x = tile.x;
    plan.dy = tile.dy;
    if (p.y) plan.y = tile.out;
    if (p.dx) plan.dx = tile.out;
    count = plan.rows * p.width + plan.tail;
  }
};

void HalfColumns::widen(const Plan& p, index_t n, const Block& block, float* to) const noexcept {
  const index_t channels = p.g * p.d, step = at_.x_strides.s, s = block.first / channels;
  const std::uint16_t* x = at_.x + n * at_.x_strides.n + s * step;
  if (step == channels) return at_.convert->widen(x, to, block.count);
  for (index_t i = 0; i < block.count; i += channels, x += step) at_.convert->widen(x, to + i, channels);
}

void HalfColumns::moments(const Plan& p, index_t n, index_t b, double* partials) const noexcept {
  const Tile tile(*at_.tiles);
  const Block block(tile, p, b);
  widen(p, n, block, tile.x);
  k_.moments(block.plan, 0, 0, partials);
}

void HalfColumns::finish(const Plan& p, index_t n, double* partials, double* coefficients) const noexcept {
  Plan anywhere = p;  // x is looked at in float64 alone
  anywhere.x_sample = 0;
  k_.finish(anywhere, n, partials, coefficients);
}

void HalfColumns::apply(const Plan& p, index_t n, index_t begin, index_t end,
                        const double* coefficients) const noexcept {
  const Tile tile(*at_.tiles);
  for (index_t b = end; b-- > begin;) {
    const Block block(tile, p, b);
    widen(p, n, block, tile.x);
    k_.apply(block.plan, 0, 0, 1, coefficients);
    at_.convert->narrow(tile.out, at_.y + n * p.y_sample + block.first, block.count, at_.stream);
  }
}

void HalfColumns::prepare(const Plan& p, index_t n, double* coefficients) const noexcept {
  k_.prepare(p, n, coefficients);
}

void HalfColumns::reduce(const Plan& p, index_t n, index_t b, const double* coefficients,
                         double* partials) const noexcept {
  const Tile tile(*at_.tiles);
  const Block block(tile, p, b);
  widen(p, n, block, tile.x);
  at_.convert->widen(at_.dy + n * p.y_sample + block.first, tile.dy, block.count);
  k_.reduce(block.plan, 0, 0, coefficients, partials);
}

void HalfColumns::finish_sums(const Plan& p, index_t n, double* partials, double* coefficients) const noexcept {
  k_.finish_sums(p, n, partials, coefficients);
}

void HalfColumns::dx(const Plan& p, index_t n, index_t begin, index_t end, const double* coefficients) const noexcept {
  const Tile tile(*at_.tiles);
  for (index_t b = end; b-- > begin;) {
    const Block block(tile, p, b);
    const index_t at = n * p.y_sample + block.first;
    widen(p, n, block, tile.x);
    at_.convert->widen(at_.dy + at, tile.dy, block.count);
    k_.dx(block.plan, 0, 0, 1, coefficients);
    at_.convert->narrow(tile.out, at_.dx + at, block.count, at_.stream);
  }
}

void HalfColumns::forward(const Plan& p, index_t n) const noexcept {
  const Tile tile(*at_.tiles);
  Block block(tile, p, 0);
  widen(p, n, block, tile.x);
  shift(block.plan.stats, n * p.g);
  k_.forward(block.plan, 0);
  if (p.y) at_.convert->narrow(tile.out, at_.y + n * p.y_sample, block.count, at_.stream);
}

void HalfColumns::backward(const Plan& p, index_t n, double* totals) const noexcept {
  const Tile tile(*at_.tiles);
  Block block(tile, p, 0);
  widen(p, n, block, tile.x);
  at_.convert->widen(at_.dy + n * p.y_sample, tile.dy, block.count);
  shift(block.plan.stats, n * p.g);
  k_.backward(block.plan, 0, totals);
  if (p.dx) at_.convert->narrow(tile.out, at_.dx + n * p.y_sample, block.count, at_.stream);
}

}  // namespace limpid::detail
