// Sampling x at the points of a grid.
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/window.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace limpid {

using detail::throw_error;

namespace {

// ---- where points lie

// A point along one axis lies between elements `below` and `above`, so far from the first; -1 stands for none.
struct Place {
  double part, slope;  // of the part by the grid's number
  int64_t below, above;
};

// x reflected between low and high, and the sign of its slope.
struct Reflected {
  double at, sign;
};
Reflected reflected(double at, double low, double high) {
  const double span = high - low;
  if (span <= 0) return {low, 0};
  const double from_low = at - low, distance = std::abs(from_low), sign = from_low < 0 ? -1 : 1;
  const double rest = std::fmod(distance, span);
  const bool is_odd = std::fmod(distance - rest, 2 * span) >= span;
  // On the turning point itself the slope is that within.
  return is_odd ? Reflected{high - rest, rest == 0 ? sign : -sign} : Reflected{low + rest, sign};
}

Place place_of(double number, int64_t size, const GridSampleOptions& o) {
  const auto n = static_cast<double>(size), last = n - 1;
  const bool nearest = o.mode == Interpolation::nearest;
  double at = o.align_corners ? (number + 1) / 2 * last : ((number + 1) * n - 1) / 2;
  double slope = o.align_corners ? last / 2 : n / 2;
  if (at != at) return {at, slope, 0, 0};
  if (o.padding_mode == GridPadding::reflection) {
    if (std::isinf(at)) at = slope = 0;
    const auto [inside, sign] = o.align_corners ? reflected(at, 0, last) : reflected(at, -0.5, n - 0.5);
    at = inside;
    slope *= sign;
  }
  if (o.padding_mode != GridPadding::zeros) {
    if (at < 0 || at > last) slope = 0;
    at = std::clamp(at, 0.0, last);
    if (nearest) {
      const auto here = static_cast<int64_t>(std::nearbyint(at));
      return {0, 0, here, here};
    }
    // The last element is reached from within: what is beyond it does not count.
    const int64_t below = std::clamp<int64_t>(static_cast<int64_t>(at), 0, std::max<int64_t>(size - 2, 0));
    return {at - static_cast<double>(below), slope, below, std::min(below + 1, size - 1)};
  }
  if (!(at > -1 && at < n)) return {0, 0, -1, -1};
  const auto inside = [=](double i) { return i >= 0 && i <= last ? static_cast<int64_t>(i) : int64_t{-1}; };
  if (nearest) return {0, 0, inside(std::nearbyint(at)), -1};
  const double below = std::floor(at);
  return {at - below, slope, inside(below), inside(below + 1)};
}

// The part as a function of the grid's number; piecewise linear, so that its slope is constant.
struct PartNode final : SymmetricNode {
  Saved slope{*this, "slope"};
  const char* name() const noexcept override { return "grid_sample_place"; }
  // part_i is linear in number_i but for steps:  dnumber_i = dpart_i slope_i
  Tensors backward(const Tensors& dy) override { return {detail::chain(dy[0], slope)}; }
};

// ---- y = a sum of elements of x with weights, and its adjoints

struct Sizes {
  int64_t n, c, pixels;  // x (n, c, pixels)
  int64_t taps, points;  // weight and index (n, taps, points); y (n, c, points)
  bool channels_last;    // x and y
  int64_t x_step() const { return channels_last ? c : 1; }
  int64_t x_channel() const { return channels_last ? 1 : pixels; }
  int64_t y_step() const { return channels_last ? c : 1; }
  int64_t y_channel() const { return channels_last ? 1 : points; }
  Shape x() const { return {n, c, pixels}; }
  Shape y() const { return {n, c, points}; }
  Shape weight() const { return {n, taps, points}; }
};
constexpr int64_t block = 64;  // channels, or points, of one task
constexpr int64_t most_taps = 8;

template <class F>
void in_blocks(const Sizes& s, int64_t size, F&& f) {  // f(sample, begin, end)
  const int64_t blocks = (size + block - 1) / block;
  parallel_for(s.n * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i / blocks, i % blocks * block, std::min(size, (i % blocks + 1) * block));
  });
}

template <class T>
void sample_into(const Sizes& s, const T* x, const T* weight, const int64_t* index, T* y) {
  in_blocks(s, s.points, [&](int64_t n, int64_t begin, int64_t end) {
    const T* w = weight + n * s.taps * s.points;
    const int64_t* at = index + n * s.taps * s.points;
    double sums[block];
    if (!s.channels_last) {
      // Of most points all taps count; the others look at each.
      double by[block * most_taps];
      bool is_whole[block];
      for (int64_t p = begin; p < end; ++p) {
        is_whole[p - begin] = s.taps == 4;
        for (int64_t k = 0; k < s.taps; ++k) {
          by[(p - begin) * s.taps + k] = static_cast<double>(w[k * s.points + p]);
          is_whole[p - begin] &= at[k * s.points + p] >= 0 && w[k * s.points + p] != 0;
        }
      }
      for (int64_t c = 0; c < s.c; ++c) {
        const T* plane = x + (n * s.c + c) * s.pixels;
        const auto tap = [&](int64_t k, int64_t p) {
          return by[(p - begin) * s.taps + k] * static_cast<double>(plane[at[k * s.points + p]]);
        };
        for (int64_t p = begin; p < end; ++p) {
          double sum = 0;
          if (is_whole[p - begin])
            sum = (tap(0, p) + tap(1, p)) + (tap(2, p) + tap(3, p));
          else
            for (int64_t k = 0; k < s.taps; ++k)
              if (at[k * s.points + p] >= 0 && by[(p - begin) * s.taps + k] != 0) sum += tap(k, p);
          y[(n * s.c + c) * s.points + p] = static_cast<T>(sum);
        }
      }
      return;
    }
    for (int64_t p = begin; p < end; ++p)
      for (int64_t first = 0; first < s.c; first += block) {
        const int64_t count = std::min(block, s.c - first);
        std::fill_n(sums, count, 0.0);
        for (int64_t k = 0; k < s.taps; ++k) {
          const int64_t i = at[k * s.points + p];
          const auto by = static_cast<double>(w[k * s.points + p]);
          if (i < 0 || by == 0) continue;
          const T* pixel = x + (n * s.pixels + i) * s.c + first;
          for (int64_t c = 0; c < count; ++c) sums[c] += by * static_cast<double>(pixel[c]);
        }
        for (int64_t c = 0; c < count; ++c) y[(n * s.points + p) * s.c + first + c] = static_cast<T>(sums[c]);
      }
  });
}

// dx, zero at first, += weight dy where index points; each channel by one thread.
template <class T>
void scatter_into(const Sizes& s, const T* dy, const T* weight, const int64_t* index, T* dx) {
  const int64_t width = s.channels_last ? std::min(block, s.c) : 1, blocks = (s.c + width - 1) / width;
  parallel_for(s.n * blocks, std::max<int64_t>(1, 8192 / (s.points * s.taps * width + 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t b = begin; b < end; ++b) {
                   const int64_t n = b / blocks, first = b % blocks * width, count = std::min(width, s.c - first);
                   T* to = dx + n * s.c * s.pixels + first * s.x_channel();
                   const T* from = dy + n * s.c * s.points + first * s.y_channel();
                   for (int64_t i = 0; i < s.pixels; ++i) std::fill_n(to + i * s.x_step(), count, T{});
                   for (int64_t k = n * s.taps; k < (n + 1) * s.taps; ++k)
                     for (int64_t p = 0; p < s.points; ++p) {
                       const int64_t i = index[k * s.points + p];
                       const T by = weight[k * s.points + p];
                       if (i < 0 || by == 0) continue;
                       if (!s.channels_last)
                         to[i] += by * from[p];
                       else
                         for (int64_t c = 0; c < count; ++c) to[i * s.c + c] += by * from[p * s.c + c];
                     }
                 }
               });
}

// dweight = the sum over channels of x, where index points, and dy.
template <class T>
void weigh_into(const Sizes& s, const T* x, const T* dy, const int64_t* index, T* dweight) {
  in_blocks(s, s.points, [&](int64_t n, int64_t begin, int64_t end) {
    double sums[block * most_taps] = {};
    const int64_t* at = index + n * s.taps * s.points;
    const auto add = [&](int64_t p, const T* pixels, T by) {
      for (int64_t k = 0; k < s.taps; ++k)
        if (const int64_t i = at[k * s.points + p]; i >= 0)
          sums[(p - begin) * s.taps + k] += static_cast<double>(pixels[i * s.x_step()]) * static_cast<double>(by);
    };
    if (s.channels_last)
      for (int64_t p = begin; p < end; ++p)
        for (int64_t c = 0; c < s.c; ++c) add(p, x + n * s.c * s.pixels + c, dy[(n * s.points + p) * s.c + c]);
    else
      for (int64_t c = 0; c < s.c; ++c)
        for (int64_t p = begin; p < end; ++p) add(p, x + (n * s.c + c) * s.pixels, dy[(n * s.c + c) * s.points + p]);
    for (int64_t k = 0; k < s.taps; ++k)
      for (int64_t p = begin; p < end; ++p)
        dweight[(n * s.taps + k) * s.points + p] = static_cast<T>(sums[(p - begin) * s.taps + k]);
  });
}

Tensor sampled(const Sizes& s, const Tensor& x, const Tensor& weight, const Tensor& index);
Tensor scattered(const Sizes& s, const Tensor& dy, const Tensor& weight, const Tensor& index);
Tensor weighed(const Sizes& s, const Tensor& x, const Tensor& dy, const Tensor& index);

// With the taps k of point p, and i_nkp the pixel of x that one has:
//   y_ncp = sum_k weight_nkp x_nc(i_nkp)
// is linear in x and in weight, and so are its adjoints:
//   dx_ncq = sum_{k,p: i_nkp = q} weight_nkp dy_ncp,  dweight_nkp = sum_c x_nc(i_nkp) dy_ncp.
struct GridNode : Node {
  Saved index{*this, "index"};
  Sizes sizes{};
};
struct SampleNode final : GridNode {
  Saved x{*this, "x"}, weight{*this, "weight"};
  const char* name() const noexcept override { return "grid_sample"; }
  Tensors backward(const Tensors& dy) override {
    return {needs(0) ? scattered(sizes, dy[0], weight, index) : Tensor(),
            needs(1) ? weighed(sizes, x, dy[0], index) : Tensor()};
  }
  Tensors jvp(const Tensors& d) override {
    Tensor dy;
    if (d[0].defined()) detail::accumulate(dy, sampled(sizes, d[0], weight, index));
    if (d[1].defined()) detail::accumulate(dy, sampled(sizes, x, d[1], index));
    return {dy};
  }
};
struct ScatterNode final : GridNode {
  Saved dy{*this, "dy"}, weight{*this, "weight"};
  const char* name() const noexcept override { return "grid_sample_scatter"; }
  Tensors backward(const Tensors& ddx) override {
    return {needs(0) ? sampled(sizes, ddx[0], weight, index) : Tensor(),
            needs(1) ? weighed(sizes, ddx[0], dy, index) : Tensor()};
  }
  Tensors jvp(const Tensors& d) override {
    Tensor ddx;
    if (d[0].defined()) detail::accumulate(ddx, scattered(sizes, d[0], weight, index));
    if (d[1].defined()) detail::accumulate(ddx, scattered(sizes, dy, d[1], index));
    return {ddx};
  }
};
struct WeighNode final : GridNode {
  Saved x{*this, "x"}, dy{*this, "dy"};
  const char* name() const noexcept override { return "grid_sample_weigh"; }
  Tensors backward(const Tensors& ddweight) override {
    return {needs(0) ? scattered(sizes, dy, ddweight[0], index) : Tensor(),
            needs(1) ? sampled(sizes, x, ddweight[0], index) : Tensor()};
  }
  Tensors jvp(const Tensors& d) override {
    Tensor ddweight;
    if (d[0].defined()) detail::accumulate(ddweight, weighed(sizes, d[0], dy, index));
    if (d[1].defined()) detail::accumulate(ddweight, weighed(sizes, x, d[1], index));
    return {ddweight};
  }
};

MemoryFormat format_of(const Sizes& s) {
  return s.channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

Tensor sampled(const Sizes& s, const Tensor& x_any, const Tensor& weight_any, const Tensor& index) {
  const Tensor x = detail::as_contiguous(x_any, format_of(s)), weight = detail::as_contiguous(weight_any);
  Tensor y = empty(s.y(), x.dtype(), format_of(s));
  if (y.numel())
    detail::visit_float(x.dtype(), [&]<class T>(T) {
      sample_into(s, x.data<T>(), weight.data<T>(), index.data<int64_t>(), y.data<T>());
    });
  if (auto* node = record<SampleNode>(y, x_any, weight_any)) {
    node->sizes = s;
    node->index = index;
    if (node->needs(0)) node->weight = weight_any;
    if (node->needs(1)) node->x = x_any;
  }
  return y;
}

Tensor scattered(const Sizes& s, const Tensor& dy_any, const Tensor& weight_any, const Tensor& index) {
  const Tensor dy = detail::as_contiguous(dy_any, format_of(s)), weight = detail::as_contiguous(weight_any);
  Tensor dx = empty(s.x(), dy.dtype(), format_of(s));
  if (dx.numel())
    detail::visit_float(dy.dtype(), [&]<class T>(T) {
      scatter_into(s, dy.data<T>(), weight.data<T>(), index.data<int64_t>(), dx.data<T>());
    });
  if (auto* node = record<ScatterNode>(dx, dy_any, weight_any)) {
    node->sizes = s;
    node->index = index;
    if (node->needs(0)) node->weight = weight_any;
    if (node->needs(1)) node->dy = dy_any;
  }
  return dx;
}

Tensor weighed(const Sizes& s, const Tensor& x_any, const Tensor& dy_any, const Tensor& index) {
  const Tensor x = detail::as_contiguous(x_any, format_of(s)), dy = detail::as_contiguous(dy_any, format_of(s));
  Tensor dweight = empty(s.weight(), x.dtype());
  if (dweight.numel())
    detail::visit_float(x.dtype(), [&]<class T>(T) {
      weigh_into(s, x.data<T>(), dy.data<T>(), index.data<int64_t>(), dweight.data<T>());
    });
  if (auto* node = record<WeighNode>(dweight, x_any, dy_any)) {
    node->sizes = s;
    node->index = index;
    if (node->needs(0)) node->dy = dy_any;
    if (node->needs(1)) node->x = x_any;
  }
  return dweight;
}

// What one axis of a grid (n, points, axes) says: the part of each point, and the elements beside it.
struct Places {
  Tensor part, below, above;  // (n, points)
};
Places places_along(const Tensor& numbers, int64_t size, const GridSampleOptions& options) {
  const Tensor dense = detail::as_contiguous(numbers);
  Tensor part = empty(dense.shape(), dense.dtype());
  const Tensor slope = empty(dense.shape(), dense.dtype()), below = empty(dense.shape(), int64),
               above = empty(dense.shape(), int64);
  detail::visit_float(dense.dtype(), [&]<class T>(T) {
    parallel_for(dense.numel(), 4096,
                 [&, from = dense.data<T>(), to = part.data<T>(), d = slope.data<T>(), low = below.data<int64_t>(),
                  high = above.data<int64_t>()](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const Place place = place_of(static_cast<double>(from[i]), size, options);
                     to[i] = static_cast<T>(place.part);
                     d[i] = static_cast<T>(place.slope);
                     low[i] = place.below;
                     high[i] = place.above;
                   }
                 });
  });
  if (auto* node = record<PartNode>(part, numbers)) node->slope = slope;
  return {part, below, above};
}

// A point that is NaN along one axis is NaN, though it lie outside along another: taps outside would not count.
void keep_nans(const std::vector<Places>& places) {
  for (const Places& along : places)
    detail::visit_float(along.part.dtype(), [&]<class T>(T) {
      const T* part = along.part.data<T>();
      for (int64_t i = 0; i < along.part.numel(); ++i)
        if (part[i] != part[i])
          for (const Places& other : places)
            for (int64_t* at : {other.below.data<int64_t>(), other.above.data<int64_t>()})
              at[i] = std::max<int64_t>(at[i], 0);
    });
}

// Row-major numbers of pixels from those along each axis; -1 where one is.
void append_axis(const Tensor& pixel, const Tensor& along, int64_t size) {
  int64_t* to = pixel.data<int64_t>();
  const int64_t* from = along.data<int64_t>();
  for (int64_t i = 0; i < pixel.numel(); ++i) to[i] = to[i] < 0 || from[i] < 0 ? -1 : to[i] * size + from[i];
}

void require_options(const char* op, const GridSampleOptions& options) {
  const auto& [mode, padding_mode, align_corners] = options;
  if (mode != Interpolation::bilinear && mode != Interpolation::nearest)
    throw_error<ValueError>(op, ": expected Interpolation::bilinear or nearest, got Interpolation(",
                            static_cast<int>(mode), ')');
  detail::require_member(op, "GridPadding", padding_mode, GridPadding::reflection, "zeros, border or reflection");
}

}  // namespace

Tensor grid_sample(const Tensor& x_any, const Tensor& grid_any, const GridSampleOptions& options) {
  const char* op = "grid_sample";
  detail::require_defined(op, "x", x_any);
  detail::require_defined(op, "grid", grid_any);
  const Shape &xs = x_any.shape(), &gs = grid_any.shape();
  const int64_t rank = xs.dim() - 2;
  if (rank != 2 && rank != 3)
    throw_error<ShapeError>(op, ": expected x of shape (N, C, H, W) or (N, C, D, H, W), got ", xs);
  if (gs.dim() != rank + 2 || gs[0] != xs[0] || gs[gs.size() - 1] != rank)
    throw_error<ShapeError>(op, ": expected grid of shape (", xs[0], rank == 2 ? ", H, W, 2" : ", D, H, W, 3",
                            ") for x of shape ", xs, ", got ", gs);
  for (int64_t a = 0; a < rank; ++a)
    if (xs[static_cast<std::size_t>(a) + 2] < 1)
      throw_error<ShapeError>(op, ": expected spatial axes of at least one element, got x of shape ", xs);
  require_options(op, options);
  const DType dtype = detail::require_one_floating_dtype(op, {{"x", &x_any}, {"grid", &grid_any}});
  if (is_half(dtype)) return grid_sample(x_any.to(float32), grid_any.to(float32), options).to(dtype);
  const detail::OpScope scope(op);

  Shape out{xs[0], xs[1]};
  int64_t points = 1;
  for (int64_t a = 0; a < rank; ++a) {
    out.push_back(gs[static_cast<std::size_t>(a) + 1]);
    points *= out[out.size() - 1];
  }
  const Tensor grid = reshape(grid_any, {xs[0], points, rank});
  // The grid's numbers are those of the last axis first.
  std::vector<Places> places;
  for (int64_t a = 0; a < rank; ++a)
    places.push_back(places_along(select(grid, 2, rank - 1 - a), xs[static_cast<std::size_t>(a) + 2], options));
  keep_nans(places);

  const bool nearest = options.mode == Interpolation::nearest;
  const int64_t taps = nearest ? 1 : int64_t{1} << rank;
  Tensors weights, indices;
  for (int64_t k = 0; k < taps; ++k) {
    Tensor weight;
    const Tensor index = zeros({xs[0], points}, int64);
    for (int64_t a = 0; a < rank; ++a) {
      const Places& along = places[static_cast<std::size_t>(a)];
      const bool above = k >> (rank - 1 - a) & 1;
      const Tensor factor = above ? along.part : 1 - along.part;
      weight = weight.defined() ? weight * factor : factor;
      append_axis(index, above ? along.above : along.below, xs[static_cast<std::size_t>(a) + 2]);
    }
    weights.push_back(weight);
    indices.push_back(index);
  }
  const bool channels_last = x_any.memory_format() == MemoryFormat::channels_last;
  const int64_t pixels = Shape(xs.begin() + 2, xs.end()).numel();
  const Sizes sizes{xs[0], xs[1], pixels, taps, points, channels_last};
  // Axes merge without a copy in either format.
  const Tensor x = flatten(x_any.contiguous(channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous), 2);
  return reshape(sampled(sizes, x, stack(weights, 1), stack(indices, 1)), out);
}

Tensor affine_grid(const Tensor& theta, const Shape& size, bool align_corners) {
  const char* op = "affine_grid";
  detail::require_defined(op, "theta", theta);
  const int64_t rank = size.dim() - 2;
  if (rank != 2 && rank != 3)
    throw_error<ShapeError>(op, ": expected a size (N, C, H, W) or (N, C, D, H, W), got ", size);
  for (const int64_t n : size)
    if (n < 1) throw_error<ShapeError>(op, ": expected sizes of at least 1, got ", size);
  if (theta.shape() != Shape{size[0], rank, rank + 1})
    throw_error<ShapeError>(op, ": expected theta of shape ", Shape{size[0], rank, rank + 1}, " for size ", size,
                            ", got ", theta.shape());
  const DType dtype = detail::require_one_floating_dtype(op, {{"theta", &theta}});
  if (is_half(dtype)) return affine_grid(theta.to(float32), size, align_corners).to(dtype);
  // The points that theta maps, each (x, y, 1) or (x, y, z, 1): from -1 to 1 at corners, or at the corners' pixels.
  const Shape axes(size.begin() + 2, size.end());
  const Tensor base = empty({axes.numel(), rank + 1}, dtype);
  detail::visit_float(dtype, [&]<class T>(T) {
    T* to = base.data<T>();
    for (int64_t p = 0; p < axes.numel(); ++p, to += rank + 1) {
      int64_t rest = p;
      for (int64_t a = rank; a-- > 0;) {
        const int64_t n = axes[static_cast<std::size_t>(a)], i = rest % n;
        rest /= n;
        const auto at = static_cast<double>(2 * i), count = static_cast<double>(n);
        const double number = align_corners ? (n > 1 ? at / (count - 1) - 1 : 0) : (at + 1) / count - 1;
        to[rank - 1 - a] = static_cast<T>(number);
      }
      to[rank] = 1;
    }
  });
  Shape shape{size[0]};
  for (const int64_t n : axes) shape.push_back(n);
  shape.push_back(rank);
  return reshape(matmul(base, transpose(theta, 1, 2)), shape);
}

}  // namespace limpid
