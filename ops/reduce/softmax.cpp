// softmax and its kin: one pass for the maximum, one for the exponentials and their sum, one to finish.
//
// A slice of -inf alone has no distribution: its softmax is 0 and its log_softmax and logsumexp are -inf, with finite
// gradients, so that a fully masked row harms no other. One with inf has none either: its softmax and log_softmax are
// NaN, as in PyTorch, and its logsumexp is inf.
//
// Rows of float32 of up to 4096 elements go by kernels of their own, in float32 with sums in doubles
// (kernels/softmax.hpp); all else, and rows with infinity, NaN or numbers above 1e30, goes by tiles, in doubles.
#include <limpid/ops/reduce/detail/softmax.hpp>

#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/kernels/elementwise.hpp>
#include <limpid/ops/elementwise/kernels/exp.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/driver.hpp>
#include <limpid/ops/reduce/kernels/reduce.hpp>
#include <limpid/ops/reduce/kernels/softmax.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace limpid {

using detail::chain;
using detail::from_heaviest;
using detail::infinity;
using detail::require_defined;

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t lanes = 64, columns = 256;
constexpr int64_t softmax_grain = 8192;  // elements: an exponential is dearer than a copy

template <class T>
const kernels::SoftmaxKernels<T>& softmax_kernels() {
  if constexpr (std::is_same_v<T, float>)
    return kernels::reduce_table().softmax_f32;
  else
    return kernels::reduce_table().softmax_f64;
}

// A dense x as (outer, n, inner) in the order of its memory, n being the axis.
struct Slices {
  int64_t outer, n, inner;
  Slices(const Tensor& x, int64_t axis)
      : n(x.size(axis)),
        inner(n == 1 ? 1 : x.strides()[static_cast<std::size_t>(axis)]) {
    outer = x.numel() / (n * inner);
  }
};

// Some slices side by side: up to 256 columns, or one slice cut into rows of 64 lanes and a rest.
template <class T>
struct Tile {
  const T* x;
  int64_t rows, stride, width, rest;
  bool is_row;

  int64_t slices() const { return is_row ? 1 : width; }
  // How many accumulators it takes.
  int64_t used() const { return rows ? width : rest; }
  void spread(double* acc) const {
    if (is_row) std::fill_n(acc + 1, used() - 1, acc[0]);
  }

  // f(position, block)
  template <class F>
  void each(F&& f) const {
    if (rows) f(int64_t{0}, kernels::RowBlock{.rows = rows, .stride = stride, .columns = width});
    if (rest) f(rows * stride, kernels::RowBlock{.rows = 1, .stride = 0, .columns = rest});
  }
  // Lanes to one number, given back to every lane.
  template <class F>
  void fold(double* acc, F&& merge) const {
    if (!is_row) return;
    for (int64_t count = used(); count > 1;) {
      const int64_t half = (count + 1) / 2;
      for (int64_t j = 0; j + half < count; ++j) acc[j] = merge(acc[j], acc[j + half]);
      count = half;
    }
    spread(acc);
  }
};

// A slice whose elements lie side by side.
template <class T>
Tile<T> row_tile(const T* x, int64_t n) {
  return {x, n / lanes, lanes, lanes, n % lanes, true};
}

// The largest element of each slice of a tile and the sum of exp(x - largest). Where that is -inf, 0 stands for it;
// where it is inf, so is the sum, and nothing is subtracted, which would raise exceptions.
template <class T>
struct Statistics {
  double largest[columns], sum[columns];

  // y: where the exponentials go, or null
  Statistics(const Tile<T>& tile, T* y) {
    const auto& kernel = softmax_kernels<T>();
    const int64_t width = tile.used();
    std::fill_n(largest, width, -infinity);
    std::fill_n(sum, width, 0.0);
    tile.each([&](int64_t at, const kernels::RowBlock& block) { kernel.max_rows(largest, tile.x + at, block); });
    tile.fold(largest, [](double a, double b) { return ((b > a) | (b != b)) ? b : a; });
    for (int64_t j = 0; j < width; ++j)
      if (largest[j] == -infinity) largest[j] = 0;
    const bool finite = std::none_of(largest, largest + width, [](double most) { return most == infinity; });
    tile.each([&](int64_t at, const kernels::RowBlock& block) {
      if (finite) return kernel.exp_rows(sum, largest, tile.x + at, y ? y + at : nullptr, block);
      for (int64_t j = 0; j < block.columns; ++j) {
        const kernels::RowBlock column{.rows = block.rows, .stride = block.stride, .columns = 1};
        if (largest[j] != infinity) {
          kernel.exp_rows(sum + j, largest + j, tile.x + at + j, y ? y + at + j : nullptr, column);
          continue;
        }
        sum[j] = infinity;
        for (int64_t i = 0; y && i < block.rows; ++i) y[at + j + i * block.stride] = static_cast<T>(nan);
      }
    });
    tile.fold(sum, [](double a, double b) { return a + b; });
  }
};

// The logarithms of the sums of exp(x - largest) of a tile's slices; -inf where all are. Those near 1 are formed anew
// of all but the largest, which would be lost beside its 1.
template <class T>
void log_of_sums(double* y, const Tile<T>& tile, const Statistics<T>& s) {
  for (int64_t j = 0; j < tile.slices(); ++j) {
    if (!(s.sum[j] >= 1 && s.sum[j] < 1.25)) {
      y[j] = s.sum[j] == 0 ? -infinity : std::log(s.sum[j]);
      continue;
    }
    double others = 0;
    tile.each([&](int64_t at, const kernels::RowBlock& block) {
      const int64_t count =
          tile.is_row ? block.rows * block.stride + (block.stride == 0 ? block.columns : 0) : block.rows;
      const int64_t step = tile.is_row ? 1 : block.stride;
      for (int64_t i = 0; i < count; ++i) {
        const double d = static_cast<double>(tile.x[at + j + i * step]) - s.largest[j];
        others += d == 0 ? 0 : kernels::exp_down(d);
      }
    });
    y[j] = std::log1p(others);
  }
}

// f(tile, position of its first element, index of its first slice) for every tile of a dense, non-empty x.
template <class T, class F>
void for_tiles(const Tensor& x, int64_t axis, F&& f) {
  const Slices s(x, axis);
  const bool is_row = s.inner == 1;
  const int64_t tiles = (s.inner + columns - 1) / columns;
  const int64_t grain = std::max<int64_t>(softmax_grain / (s.n * std::min(s.inner, columns)), 1);
  const T* data = x.data<T>();
  parallel_for(s.outer * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % tiles * columns, slice = i / tiles * s.inner + column;
      const int64_t at = i / tiles * s.n * s.inner + column;
      if (is_row)
        f(row_tile(data + at, s.n), at, slice);
      else
        f(Tile<T>{data + at, s.n, s.inner, std::min(columns, s.inner - column), 0, false}, at, slice);
    }
  });
}

const kernels::SoftmaxRows& row_kernels() { return LIMPID_AT_ISA(softmax_rows); }

constexpr int64_t most_in_block = 4096, most_rows = 256;  // elements of a block of rows: 16 KiB

// Whether the slices of x are rows for the kernels of those.
bool has_rows(const Tensor& x, const Slices& s) { return x.dtype() == float32 && s.inner == 1 && s.n <= most_in_block; }

// f(first row, block) for blocks of the rows of x.
template <class F>
void for_blocks(const Slices& s, F&& f) {
  const int64_t grain = std::max<int64_t>(softmax_grain / s.n, 1);
  const int64_t most = std::clamp<int64_t>(most_in_block / s.n, 1, most_rows);
  parallel_for(s.outer, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += most)
      f(i, kernels::RowBlock{.rows = std::min(most, end - i), .stride = s.n, .columns = s.n});
  });
}

// f(where it begins, row) for each row of a block.
template <class F>
void for_each_row(const kernels::RowBlock& block, F&& f) {
  kernels::RowBlock row = block;
  row.rows = 1;
  for (int64_t i = 0; i < block.rows; ++i) f(i * block.stride, row);
}

// The largest element of each row of a block, and the sum of exp(x - largest), which is written to e.
struct RowStatistics {
  float largest[most_rows];
  double sum[most_rows];

  // False where some row has infinity, NaN or numbers so large that differences of them may be lost: rows then go one
  // by one, for none is to depend on others.
  bool compute(float* e, const float* x, const kernels::RowBlock& block) {
    const kernels::ReduceKernels& fold = kernels::reduce_table();
    fold.max_f32.runs(largest, x, block);
    if (!std::all_of(largest, largest + block.rows, [](float most) { return std::abs(most) <= 1e30f; })) return false;
    row_kernels().exponentials(e, x, largest, block);
    fold.sum_f32.runs(sum, e, block);
    return true;
  }

  // sum becomes its logarithm; a sum near 1 is formed anew of all but the largest, which would be lost beside its 1.
  void sums_to_logarithms(float* e, const float* x, const kernels::RowBlock& block) {
    for (int64_t i = 0; i < block.rows; ++i, e += block.stride, x += block.stride) {
      if (sum[i] >= 1.25) {
        sum[i] = std::log(sum[i]);
        continue;
      }
      *std::find(e, e + block.columns, 1.0f) = 0;  // that of the largest is exactly 1
      double others;
      kernels::reduce_table().sum_f32.runs(&others, e, {.rows = 1, .stride = block.stride, .columns = block.columns});
      if (others > 1e-30) {
        sum[i] = std::log1p(others);
      } else {  // of floats near the least: with the digits of doubles
        const Tile<float> tile = row_tile(x, block.columns);
        log_of_sums(sum + i, tile, Statistics<float>(tile, nullptr));
      }
    }
  }
};

template <class T>
void softmax_of_tile(T* to, const Tile<T>& tile, bool log) {
  Statistics<T> s(tile, log ? nullptr : to);
  double shift[columns] = {}, factor[columns];
  if (log) log_of_sums(shift, tile, s);
  // Of infinity there is no share: all of its slice is NaN.
  std::replace(s.largest, s.largest + tile.used(), infinity, nan);
  for (int64_t j = 0; j < tile.slices(); ++j) {
    if (shift[j] == -infinity) shift[j] = 0;
    factor[j] = log || s.sum[j] == 0 ? 1 : 1 / s.sum[j];
  }
  tile.spread(shift);
  tile.spread(factor);
  if (!log) std::fill_n(s.largest, tile.used(), 0.0);
  tile.each([&](int64_t p, const kernels::RowBlock& block) {
    softmax_kernels<T>().affine_rows({.a = s.largest, .b = shift, .factor = factor}, (log ? tile.x : to) + p, to + p,
                                     block);
  });
}

void softmax_of_rows(float* y, const float* x, const kernels::RowBlock& block, bool log) {
  const kernels::SoftmaxRows& kernel = row_kernels();
  RowStatistics s;
  if (!s.compute(y, x, block)) {
    if (block.rows == 1) return softmax_of_tile(y, row_tile(x, block.columns), log);
    for_each_row(block, [&](int64_t at, const kernels::RowBlock& row) { softmax_of_rows(y + at, x + at, row, log); });
  } else if (log) {
    s.sums_to_logarithms(y, x, block);
    kernel.shift(y, x, s.largest, s.sum, block);
  } else {
    for (int64_t i = 0; i < block.rows; ++i) s.sum[i] = 1 / s.sum[i];
    kernel.scale(y, s.sum, block);
  }
}

Tensor as_dense(const Tensor& x) { return detail::as_contiguous(x, x.memory_format()); }

Tensor softmax_of(const Tensor& given, int64_t axis, bool log) {
  const Tensor x = as_dense(given), y = empty_like(x);
  if (x.numel() == 0) return y;
  if (const Slices s(x, axis); has_rows(x, s)) {
    for_blocks(s, [&](int64_t row, const kernels::RowBlock& block) {
      softmax_of_rows(y.data<float>() + row * s.n, x.data<float>() + row * s.n, block, log);
    });
    return y;
  }
  detail::visit_float(x.dtype(), [&]<class T>(T) {
    for_tiles<T>(x, axis,
                 [&](const Tile<T>& tile, int64_t at, int64_t) { softmax_of_tile(y.data<T>() + at, tile, log); });
  });
  return y;
}

bool has_heaviest(const Tensor& p) {
  const Tensor flat = as_dense(p);
  return detail::visit_float(flat.dtype(), [&]<class T>(T) {
    const T* x = flat.data<T>();
    bool found = false;
    for (int64_t begin = 0; begin < flat.numel() && !found; begin += columns) {
      const int64_t end = std::min(begin + columns, flat.numel());
      int above = 0;
      for (int64_t i = begin; i < end; ++i) above |= x[i] > static_cast<T>(kernels::heavy_weight);
      found = above != 0;
    }
    return found;
  });
}

// The gradients below, where nothing is recorded: all of one is done to a block of rows while that is in a cache, with
// the bits of the composition.
bool are_rows(const Tensor& dy, const Tensor& p, const Axes& axes) {
  return axes.size() == 1 && p.numel() > 0 && p.impl().layout->is_gapless() && has_rows(p, Slices(p, axes[0])) &&
         dy.strides() == p.strides();
}

// f(dx, dy, p, block) for blocks of rows.
template <class F>
Tensor map_rows(const Tensor& dy, const Tensor& p, const Axes& axes, F&& f) {
  Tensor dx = empty_like(p);
  for_blocks(Slices(p, axes[0]), [&](int64_t row, const kernels::RowBlock& block) {
    const int64_t at = row * block.stride;
    f(dx.data<float>() + at, dy.data<float>() + at, p.data<float>() + at, block);
  });
  return dx;
}

void softmax_gradient(float* dx, const float* dy, const float* p, const kernels::RowBlock& block) {
  double total[most_rows];
  row_kernels().weigh(dx, dy, p, block);
  kernels::reduce_table().sum_f32.runs(total, dx, block);
  row_kernels().centre(dx, p, total, block);
}

void log_softmax_gradient(float* dx, const float* dy, const float* p, const kernels::RowBlock& block) {
  const auto& fold = kernels::reduce_table();
  double total[most_rows];
  float heaviest[most_rows];
  fold.sum_f32.runs(total, dy, block);
  std::copy_n(dy, block.rows * block.stride, dx);
  row_kernels().centre(dx, p, total, block);
  fold.max_f32.runs(heaviest, p, block);
  for (int64_t i = 0; i < block.rows; ++i) {
    if (!(heaviest[i] > static_cast<float>(kernels::heavy_weight))) continue;
    const int64_t n = block.columns, h = std::find(p + i * n, p + (i + 1) * n, heaviest[i]) - (p + i * n);
    const auto sum_of_others = [&](const float* t) {
      float others[most_in_block];
      std::copy_n(t + i * n, n, others);
      others[h] = 0;
      double sum;
      fold.sum_f32.runs(&sum, others, {.rows = 1, .stride = n, .columns = n});
      return static_cast<float>(sum);
    };
    const auto sum = static_cast<float>(total[i]);
    dx[i * n + h] = (sum == 0 ? 0 : sum * sum_of_others(p)) - sum_of_others(dy);
  }
}

// The same of log p, so that p is never more than a block.
void log_softmax_gradient_of_log(float* dx, const float* dy, const float* log_p, const kernels::RowBlock& block) {
  float p[most_in_block];
  kernels::functions().exp[float32]({block.rows * block.stride, p, 1, {log_p}, {1}});
  log_softmax_gradient(dx, dy, p, block);
}

}  // namespace

Tensor detail::from_heaviest(const Tensor& dy, const Tensor& p, const Axes& axes) {
  if (!has_heaviest(p)) return dy;
  return sub(dy, sum(where(gt(p, kernels::heavy_weight), dy, 0), axes, true));
}

namespace {

struct SoftmaxNode final : SymmetricNode {
  Saved y{*this, "y"};
  Axes axes;
  const char* name() const noexcept override { return "softmax"; }
  // y_i = exp(x_i) / sum_j exp(x_j) over j along the axes:  dx_i = y_i (dy_i - sum_j dy_j y_j)
  Tensors backward(const Tensors& dy) override {
    if (!is_grad_enabled() && are_rows(dy[0], y, axes)) return {map_rows(dy[0], y, axes, softmax_gradient)};
    const Tensor t = chain(from_heaviest(dy[0], y, axes), y);
    return {detail::sub_chain(t, sum(t, axes, true), y)};
  }
};

void record_softmax(Tensor& y, const Tensor& x, const Axes& axes) {
  if (auto* node = record<SoftmaxNode>(y, x)) {
    node->y = y;
    node->axes = axes;
  }
}

}  // namespace

Tensor detail::log_softmax_gradient(const Tensor& dy, const Tensor& p, const Axes& axes) {
  if (!is_grad_enabled() && are_rows(dy, p, axes)) return map_rows(dy, p, axes, limpid::log_softmax_gradient);
  const Tensor total = sum(dy, axes, true), dx = sub_chain(dy, total, p);
  if (!has_heaviest(p)) return dx;
  const Tensor is_heaviest = gt(p, kernels::heavy_weight);
  const auto sum_of_others = [&](const Tensor& t) { return sum(where(is_heaviest, 0, t), axes, true); };
  return where(is_heaviest, sub(chain(total, sum_of_others(p)), sum_of_others(dy)), dx);
}

namespace {

struct LogSoftmaxNode final : Node {
  Saved y{*this, "y"};
  Axes axes;
  const char* name() const noexcept override { return "log_softmax"; }
  // y_i = x_i - log sum_j exp(x_j) over j along the axes:  dx_i = dy_i - exp(y_i) sum_j dy_j
  Tensors backward(const Tensors& dy) override {
    if (!is_grad_enabled() && are_rows(dy[0], y, axes)) return {map_rows(dy[0], y, axes, log_softmax_gradient_of_log)};
    return {detail::log_softmax_gradient(dy[0], exp(y), axes)};
  }
  // dy_i = dx_i - sum_j exp(y_j) dx_j
  Tensors jvp(const Tensors& dx) override {
    const Tensor p = exp(y), d = from_heaviest(dx[0], p, axes);
    return {sub(d, sum(chain(d, p), axes, true))};
  }
};

template <class N>
Tensor softmax_op(const char* op, const Tensor& x, int64_t axis, bool log) {
  const detail::OpScope scope(op);
  require_defined(op, x);
  if (!is_floating_point(x.dtype())) return softmax_op<N>(op, x.to(float32), axis, log);
  if (is_half(x.dtype())) return softmax_op<N>(op, x.to(float32), axis, log).to(x.dtype());
  const int64_t along = normalize_axis(axis, x.dim(), op);
  Tensor y = softmax_of(x, along, log);
  if (auto* node = record<N>(y, x)) {
    node->y = y;
    node->axes = along;
  }
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) { return softmax_op<SoftmaxNode>("softmax", x, axis, false); }
Tensor log_softmax(const Tensor& x, int64_t axis) { return softmax_op<LogSoftmaxNode>("log_softmax", x, axis, true); }

namespace {

// The axes given behind the others, as one.
Tensor as_rows(const Tensor& x, const Axes& axes) {
  Shape shape = detail::reduced_shape(x.shape(), axes, false);
  shape.push_back(detail::reduced_count(x.shape(), axes));
  return detail::as_contiguous(reshape(permute(x, detail::reduced_last(x.dim(), axes)), shape));
}

// softmax() over all the axes at once, in x's memory format.
Tensor softmax_over(const Tensor& x, const Axes& axes) {
  if (axes.size() == 1) return softmax_of(x, axes[0], false);
  const Axes order = detail::reduced_last(x.dim(), axes);
  Axes back = order;
  for (std::size_t i = 0; i < order.size(); ++i) back[static_cast<std::size_t>(order[i])] = static_cast<int64_t>(i);
  const Tensor rows = as_rows(x, axes);
  const Tensor p = reshape(softmax_of(rows, rows.dim() - 1, false), permute(x, order).shape());
  return detail::as_contiguous(permute(p, back), x.memory_format());
}

struct LogSumExpNode final : Node {
  Saved x{*this, "x"}, y{*this, "y"};
  Shape kept;
  Axes axes;
  const char* name() const noexcept override { return "logsumexp"; }
  // y_k = log sum_r exp(x_kr) over reduced r:  dx_kr = dy_k exp(x_kr - y_k)
  Tensors backward(const Tensors& dy) override { return {chain(reshape(dy[0], kept), shares())}; }
  // dy_k = sum_r exp(x_kr - y_k) dx_kr
  Tensors jvp(const Tensors& dx) override {
    return {reshape(sum_to(chain(dx[0], shares()), kept), outputs()[0].shape())};
  }
  // They are the softmax, and recorded as such; formed of y, they would be off by what y was rounded by. But beside
  // inf, a finite x has a share of 0.
  Tensor shares() const {
    Tensor p;
    {
      const NoGradGuard guard;
      p = softmax_over(x, axes);
      const Tensor is_infinite = eq(reshape(y.get().detach(), kept), infinity);
      if (any(is_infinite).item<bool>()) p = where(logical_and(is_infinite, ne(x, infinity)), 0, p);
    }
    record_softmax(p, x, axes);
    return p;
  }
};

template <class T>
void logsumexp_of_tile(T* y, const Tile<T>& tile) {
  const Statistics<T> s(tile, nullptr);
  double sums[columns];
  log_of_sums(sums, tile, s);
  for (int64_t j = 0; j < tile.slices(); ++j) y[j] = static_cast<T>(s.largest[j] + sums[j]);
}

void logsumexp_of_rows(float* y, const float* x, const kernels::RowBlock& block) {
  float e[most_in_block];
  RowStatistics s;
  if (!s.compute(e, x, block)) {
    if (block.rows == 1) return logsumexp_of_tile(y, row_tile(x, block.columns));
    return for_each_row(block, [&](int64_t at, const kernels::RowBlock& row) { logsumexp_of_rows(y++, x + at, row); });
  }
  s.sums_to_logarithms(e, x, block);
  for (int64_t i = 0; i < block.rows; ++i, x += block.stride) {
    const double largest = static_cast<double>(s.largest[i]), total = largest + s.sum[i];
    y[i] = static_cast<float>(total);
    // Where the two cancel, the sum is to be known to more than a float's digits.
    if (std::abs(total) < 0.5 * std::abs(largest)) logsumexp_of_tile(y + i, row_tile(x, block.columns));
  }
}

// Over one axis of a dense x; the result keeps it.
Tensor logsumexp_of(const Tensor& x, int64_t axis) {
  Tensor y = detail::reduced_like(x, axis, true, x.dtype());
  if (x.numel() == 0) {
    detail::fill(y, -infinity);
    return y;
  }
  if (const Slices slices(x, axis); has_rows(x, slices)) {
    for_blocks(slices, [&](int64_t row, const kernels::RowBlock& block) {
      logsumexp_of_rows(y.data<float>() + row, x.data<float>() + row * slices.n, block);
    });
    return y;
  }
  detail::visit_float(x.dtype(), [&]<class T>(T) {
    for_tiles<T>(x, axis,
                 [&](const Tile<T>& tile, int64_t, int64_t slice) { logsumexp_of_tile(y.data<T>() + slice, tile); });
  });
  return y;
}

}  // namespace

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdims) {
  const detail::OpScope scope("logsumexp");
  require_defined("logsumexp", x);
  if (!is_floating_point(x.dtype())) return logsumexp(x.to(float32), axes, keepdims);
  if (is_half(x.dtype())) return logsumexp(x.to(float32), axes, keepdims).to(x.dtype());
  const Axes over = normalize_axes(axes, x.dim(), "logsumexp");
  const Shape kept = detail::reduced_shape(x.shape(), over, true);
  Tensor y;
  {
    const NoGradGuard guard;
    if (over.size() == 1) {
      y = logsumexp_of(as_dense(x), over[0]);
    } else {
      const Tensor rows = as_rows(x, over);
      y = reshape(logsumexp_of(rows, rows.dim() - 1), kept);
    }
    if (!keepdims) y = reshape(y, detail::reduced_shape(x.shape(), over, false));
  }
  if (auto* node = record<LogSumExpNode>(y, x)) {
    node->x = x;
    node->y = y;
    node->kept = kept;
    node->axes = over;
  }
  return y;
}

}  // namespace limpid
