#include <limpid/ops/window/kernels/spans.hpp>

#include <algorithm>

namespace limpid::kernels {
namespace {

using index_t = std::int64_t;

// The window of one position of y.
struct Window {
  Span span[3];
  index_t step[3], size[3];

  // f(pixel of the plane) for each of its elements, first to last
  template <class F>
  void each(F f) const noexcept {
    for (index_t i = 0; i < span[0].count; ++i)
      for (index_t j = 0; j < span[1].count; ++j) {
        const index_t line =
            ((span[0].start + i * step[0]) * size[1] + span[1].start + j * step[1]) * size[2] + span[2].start;
        for (index_t k = 0; k < span[2].count; ++k) f(line + k * step[2]);
      }
  }
  index_t first() const noexcept { return (span[0].start * size[1] + span[1].start) * size[2] + span[2].start; }
  double elements() const noexcept {
    return static_cast<double>(span[0].size) * static_cast<double>(span[1].size) * static_cast<double>(span[2].size);
  }
};

inline Window window_at(const SpanDims& d, index_t p0, index_t p1, index_t p2) noexcept {
  const auto& [a, b, c] = d.axis;
  return {{a.at[p0], b.at[p1], c.at[p2]}, {a.step, b.step, c.step}, {a.size, b.size, c.size}};
}

// f(x of the plane or sample, y at the first of its channels, its window) for each position of rows [begin, end) of y.
template <class F>
inline void for_each_position(const SpanDims& d, index_t begin, index_t end, F f) noexcept {
  const index_t channels = d.channels_last ? d.c : 1, height = d.axis[1].out, width = d.axis[2].out;
  for (index_t row = begin; row < end; ++row) {
    const index_t p1 = row % height, p0 = row / height % d.axis[0].out, plane = row / height / d.axis[0].out;
    Window window = window_at(d, p0, p1, 0);
    for (index_t q = 0; q < width; ++q) {
      window.span[2] = d.axis[2].at[q];
      f(plane * d.x_plane() * channels, (row * width + q) * channels, window);
    }
  }
}

template <bool with_index, class T>
void max_rows(const SpanDims& d, index_t begin, index_t end, const T* x, T* y, std::int32_t* index) noexcept {
  for_each_position(d, begin, end, [=, &d](index_t from, index_t to, const Window& window) {
    if (!d.channels_last) {
      index_t where = window.first();
      T best = x[from + where];
      window.each([&, plane = x + from](index_t pixel) {
        const T v = plane[pixel];
        if (v <= best) [[likely]]  // a run of maxima rises seldom
          return;
        if (best == best) best = v, where = pixel;
      });
      y[to] = best;
      if constexpr (with_index) index[to] = static_cast<std::int32_t>(where);
      return;
    }
    const index_t first = window.first();
    std::copy_n(x + from + first * d.c, d.c, y + to);
    if constexpr (with_index) std::fill_n(index + to, d.c, static_cast<std::int32_t>(first));
    window.each([=, count = d.c](index_t pixel) {
      const T* __restrict v = x + from + pixel * count;
      T* __restrict best = y + to;
      std::int32_t* __restrict at = with_index ? index + to : nullptr;
      const auto here = static_cast<std::int32_t>(pixel);
      for (index_t c = 0; c < count; ++c) {
        const bool take = !(v[c] <= best[c]) & (best[c] == best[c]);
        best[c] = take ? v[c] : best[c];
        if constexpr (with_index) at[c] = take ? here : at[c];
      }
    });
  });
}

template <class T>
void max(const SpanDims& d, index_t begin, index_t end, const T* x, T* y, std::int32_t* index) noexcept {
  index ? max_rows<true>(d, begin, end, x, y, index) : max_rows<false>(d, begin, end, x, y, index);
}

template <class T>
void mean(const SpanDims& d, index_t begin, index_t end, const T* x, T* y) noexcept {
  for_each_position(d, begin, end, [=, &d](index_t from, index_t to, const Window& window) {
    const double size = d.divisor != 0 ? d.divisor : window.elements();
    if (!d.channels_last) {
      double sum = 0;
      window.each([&, plane = x + from](index_t pixel) { sum += static_cast<double>(plane[pixel]); });
      y[to] = static_cast<T>(sum / size);
      return;
    }
    constexpr index_t chunk = 256;
    double sums[chunk];
    for (index_t start = 0; start < d.c; start += chunk) {
      const index_t count = std::min(chunk, d.c - start);
      std::fill_n(sums, count, 0.0);
      window.each([&sums, &d, count, sample = x + from + start](index_t pixel) {
        const T* __restrict v = sample + pixel * d.c;
        for (index_t c = 0; c < count; ++c) sums[c] += static_cast<double>(v[c]);
      });
      for (index_t c = 0; c < count; ++c) y[to + start + c] = static_cast<T>(sums[c] / size);
    }
  });
}

// Channels of a sample that one task has: one, or a block of interleaved ones.
struct Planes {
  index_t x, y, channels, step;
};
inline Planes planes_at(const SpanDims& d, index_t i) noexcept {
  if (!d.channels_last) return {i * d.x_plane(), i * d.y_plane(), 1, 1};
  const index_t blocks = (d.c + d.channel_block - 1) / d.channel_block;
  const index_t n = i / blocks, c = i % blocks * d.channel_block;
  return {n * d.x_plane() * d.c + c, n * d.y_plane() * d.c + c, std::min(d.channel_block, d.c - c), d.c};
}

template <class T>
void spread(const SpanDims& d, index_t begin, index_t end, const T* dy, T* dx) noexcept {
  for (index_t i = begin; i < end; ++i) {
    const Planes planes = planes_at(d, i);
    if (!d.channels_last) std::fill_n(dx + planes.x, d.x_plane(), T{});
    for (index_t p = 0; d.channels_last && p < d.x_plane(); ++p)
      std::fill_n(dx + planes.x + p * planes.step, planes.channels, T{});
    index_t p = 0;
    for (index_t p0 = 0; p0 < d.axis[0].out; ++p0)
      for (index_t p1 = 0; p1 < d.axis[1].out; ++p1) {
        Window window = window_at(d, p0, p1, 0);
        for (index_t p2 = 0; p2 < d.axis[2].out; ++p2, ++p) {
          window.span[2] = d.axis[2].at[p2];
          const T size = static_cast<T>(d.divisor != 0 ? d.divisor : window.elements());
          if (!d.channels_last) {
            const T share = dy[planes.y + p] / size;
            window.each([to = dx + planes.x, share](index_t pixel) { to[pixel] += share; });
            continue;
          }
          T shares[SpanDims::channel_block];
          for (index_t c = 0; c < planes.channels; ++c) shares[c] = dy[planes.y + p * planes.step + c] / size;
          window.each([&](index_t pixel) {
            T* to = dx + planes.x + pixel * planes.step;
            for (index_t c = 0; c < planes.channels; ++c) to[c] += shares[c];
          });
        }
      }
  }
}

template <class T>
constexpr SpanKernels<T> table = {.max = max<T>, .mean = mean<T>, .spread = spread<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const SpanKernels<float> spans_float = table<float>;
const SpanKernels<double> spans_double = table<double>;
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
