#include <limpid/ops/window/detail/im2col.hpp>

#include <limpid/core/detail/parallel.hpp>
#include <limpid/ops/product/detail/blas.hpp>
#include <limpid/ops/product/detail/buffer.hpp>

#include <algorithm>
#include <cstddef>

namespace limpid::detail::im2col {
namespace {

// First and one past the last output position along an axis whose window element k falls inside the input.
struct Range {
  int64_t begin, end;
  bool holds(int64_t p) const noexcept { return p >= begin && p < end; }
};
Range inside(const ConvAxis& a, int64_t k) {
  const int64_t shift = a.before - k * a.dilation;  // input position = output position * stride - shift
  const int64_t begin = shift <= 0 ? 0 : (shift + a.stride - 1) / a.stride;
  const int64_t last = a.size - 1 + shift;
  const int64_t end = last < 0 ? 0 : std::min(a.out, last / a.stride + 1);
  return {std::min(begin, end), end};
}
int64_t input_position(const ConvAxis& a, int64_t p, int64_t k) { return p * a.stride - a.before + k * a.dilation; }

// The windows of output rows [row, row + rows) of one group's channels: a matrix of one row per channel and window
// element, and one column per output position. Rows run along the last axis.
struct Windows {
  const ConvDims& d;
  int64_t row, rows;
  int64_t channels() const { return d.c / d.groups; }
  int64_t height() const { return channels() * d.taps(); }
  int64_t width() const { return rows * d.axis[2].out; }

  // f(run of the matrix, positions of it inside the input or an empty range, input at its first such position)
  template <class T, class F>
  void for_each_run(T* x, F&& f) const {
    const auto& [far, down, across] = d.axis;
    for (int64_t q = 0; q < height(); ++q) {
      const int64_t c = q / d.taps(), j = q % across.kernel, i = q / across.kernel % down.kernel,
                    h = q / across.kernel / down.kernel % far.kernel;
      const Range run = inside(across, j), i_range = inside(down, i), h_range = inside(far, h);
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t p = (row + r) % down.out, o = (row + r) / down.out;
        const bool within = h_range.holds(o) && i_range.holds(p) && run.begin < run.end;
        const int64_t line = (c * far.size + input_position(far, o, h)) * down.size + input_position(down, p, i);
        f(q * width() + r * across.out, within ? run : Range{0, 0},
          within ? x + line * across.size + input_position(across, run.begin, j) : nullptr);
      }
    }
  }

  template <class T>
  void gather(const T* x, T* matrix) const {
    for_each_run(x, [&](int64_t at, Range run, const T* from) {
      T* to = matrix + at;
      std::fill_n(to, run.begin, T{});
      for (int64_t p = run.begin; p < run.end; ++p) to[p] = from[(p - run.begin) * d.axis[2].stride];
      std::fill(to + run.end, to + d.axis[2].out, T{});
    });
  }

  template <class T>
  void scatter_add(const T* matrix, T* x) const {
    for_each_run(x, [&](int64_t at, Range run, T* to) {
      const T* from = matrix + at;
      for (int64_t p = run.begin; p < run.end; ++p) to[(p - run.begin) * d.axis[2].stride] += from[p];
    });
  }
};

// f(windows, sample, group, matrix) for all output rows of samples [begin, end), in pieces whose matrix stays small.
template <class T, class F>
void for_each_piece(const ConvDims& d, int64_t begin, int64_t end, F&& f) {
  constexpr int64_t piece = 1 << 18;  // elements
  const int64_t per_row = d.c / d.groups * d.taps() * d.axis[2].out, all_rows = d.axis[0].out * d.axis[1].out;
  const int64_t rows = std::clamp<int64_t>(piece / per_row, 1, all_rows);
  const Buffer matrix(static_cast<std::size_t>(per_row * rows) * sizeof(T));
  for (int64_t n = begin; n < end; ++n)
    for (int64_t g = 0; g < d.groups; ++g)
      for (int64_t row = 0; row < all_rows; row += rows)
        f(Windows{d, row, std::min(rows, all_rows - row)}, n, g, matrix.as<T>());
}

// Of all output positions, for a single group.
Windows all_windows(const ConvDims& d) { return {d, 0, d.axis[0].out * d.axis[1].out}; }

// Where the parts of one (sample, group) lie.
struct Offsets {
  int64_t x, weight, y;
  Offsets(const ConvDims& d, int64_t n, int64_t g)
      : x((n * d.c + g * (d.c / d.groups)) * d.x_plane()),
        weight(g * (d.o / d.groups) * (d.c / d.groups) * d.taps()),
        y((n * d.o + g * (d.o / d.groups)) * d.y_plane()) {}
};

}  // namespace

template <class T>
void conv_forward(const ConvDims& d, const T* x, const T* weight, const T* bias, T* y) {
  const int64_t out = d.o / d.groups, plane = d.y_plane();
  parallel_for_throwing(d.n, 1, [&](int64_t begin, int64_t end) {
    for_each_piece<T>(d, begin, end, [&](const Windows& windows, int64_t n, int64_t g, T* matrix) {
      const Offsets at(d, n, g);
      T* to = y + at.y + windows.row * d.axis[2].out;
      windows.gather(x + at.x, matrix);
      if (bias)
        for (int64_t o = 0; o < out; ++o) std::fill_n(to + o * plane, windows.width(), bias[g * out + o]);
      gemm<T>({
          .n = out,
          .m = windows.width(),
          .k = windows.height(),
          .a = {weight + at.weight, {windows.height(), 1}},
          .b = {matrix, {windows.width(), 1}},
          .y = to,
          .y_row = plane,
          .accumulate = bias != nullptr,
      });
    });
  });
}

template <class T>
void conv_input_grad(const ConvDims& d, const T* dy, const T* weight, T* dx) {
  const int64_t out = d.o / d.groups, plane = d.y_plane(), sample = d.c * d.x_plane();
  parallel_for_throwing(d.n, 1, [&](int64_t begin, int64_t end) {
    std::fill(dx + begin * sample, dx + end * sample, T{});
    for_each_piece<T>(d, begin, end, [&](const Windows& windows, int64_t n, int64_t g, T* matrix) {
      const Offsets at(d, n, g);
      gemm<T>({
          .n = windows.height(),
          .m = windows.width(),
          .k = out,
          .a = {weight + at.weight, {1, windows.height()}},
          .b = {dy + at.y + windows.row * d.axis[2].out, {plane, 1}},
          .y = matrix,
          .y_row = windows.width(),
      });
      windows.scatter_add(matrix, dx + at.x);
    });
  });
}

template <class T>
void conv_weight_grad(const ConvDims& d, const T* x, const T* dy, T* dweight) {
  const int64_t out = d.o / d.groups, plane = d.y_plane();
  std::fill_n(dweight, d.o * (d.c / d.groups) * d.taps(), T{});
  // Sample by sample: how the sums are formed must not depend on threads, which large products use.
  for_each_piece<T>(d, 0, d.n, [&](const Windows& windows, int64_t n, int64_t g, T* matrix) {
    const Offsets at(d, n, g);
    windows.gather(x + at.x, matrix);
    gemm<T>({
        .n = out,
        .m = windows.height(),
        .k = windows.width(),
        .a = {dy + at.y + windows.row * d.axis[2].out, {plane, 1}},
        .b = {matrix, {1, windows.width()}},
        .y = dweight + at.weight,
        .y_row = windows.height(),
        .accumulate = true,
    });
  });
}

template <class T>
void unfold(const ConvDims& d, const T* x, T* columns) {
  const int64_t size = d.taps() * d.y_plane();
  parallel_for(d.n, std::max<int64_t>(1, 16384 / size), [&](int64_t begin, int64_t end) {
    const Windows windows = all_windows(d);
    for (int64_t n = begin; n < end; ++n) windows.gather(x + n * d.x_plane(), columns + n * size);
  });
}

template <class T>
void fold(const ConvDims& d, const T* columns, T* x) {
  const int64_t size = d.taps() * d.y_plane();
  parallel_for(d.n, std::max<int64_t>(1, 16384 / size), [&](int64_t begin, int64_t end) {
    const Windows windows = all_windows(d);
    std::fill(x + begin * d.x_plane(), x + end * d.x_plane(), T{});
    for (int64_t n = begin; n < end; ++n) windows.scatter_add(columns + n * size, x + n * d.x_plane());
  });
}

#define LIMPID_INSTANTIATE(T)                                                    \
  template void unfold(const ConvDims&, const T*, T*);                           \
  template void fold(const ConvDims&, const T*, T*);                             \
  template void conv_forward(const ConvDims&, const T*, const T*, const T*, T*); \
  template void conv_input_grad(const ConvDims&, const T*, const T*, T*);        \
  template void conv_weight_grad(const ConvDims&, const T*, const T*, T*);
LIMPID_INSTANTIATE(float)
LIMPID_INSTANTIATE(double)
#undef LIMPID_INSTANTIATE

}  // namespace limpid::detail::im2col
