#include <limpid/ops/window/kernels/pool.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace limpid::kernels {
namespace {

using index_t = std::int64_t;

struct Range {
  index_t begin, end;
};

// Output positions whose window element k lies inside an axis of `size`.
inline Range inside(index_t k, index_t size, index_t out, index_t stride, index_t padding) noexcept {
  const index_t begin = k >= padding ? 0 : (padding - k + stride - 1) / stride;
  const index_t last = size - 1 + padding - k;
  const index_t end = (out - 1) * stride <= last ? out : last < 0 ? 0 : last / stride + 1;
  return {std::min(begin, end), end};
}

// Window elements inside an axis for output position p.
inline Range elements(index_t p, index_t size, index_t kernel, index_t stride, index_t padding) noexcept {
  const index_t start = p * stride - padding;
  return {std::max<index_t>(0, -start), std::min(kernel, size - start)};
}

// A run of y: a row, or channels-last the channels of a pixel.
struct Run {
  index_t at, count;      // in y
  index_t first;          // the first pixel of x in the first element's window
  index_t step, padding;  // pixels from one window to the next; those of the first that lie before x
};
// One element of the windows of a run, where it lies in x.
struct WindowElement {
  index_t run, skip, count;   // the run, how many of its elements have no such element, how many have
  index_t from, step;         // where these lie in x
  index_t pixel, pixel_step;  // and as pixels of their plane
};

// Visits runs of y over its rows [begin, end): start(run), and then element(window element) for each of its windows'.
template <class Start, class Element>
inline void for_each_window(const PoolDims& d, index_t begin, index_t end, Start start, Element element) noexcept {
  for (index_t row = begin; row < end; ++row) {
    const index_t plane = row / d.oh, p = row % d.oh;
    const Range down = elements(p, d.h, d.kernel_h, d.stride_h, d.padding_h);
    const index_t top = p * d.stride_h - d.padding_h;
    if (!d.channels_last) {
      const index_t x_plane = plane * d.h * d.w, y_row = row * d.ow;
      start(Run{
          .at = y_row, .count = d.ow, .first = (top + down.begin) * d.w, .step = d.stride_w, .padding = d.padding_w});
      for (index_t i = down.begin; i < down.end; ++i)
        for (index_t j = 0; j < d.kernel_w; ++j) {
          const Range across = inside(j, d.w, d.ow, d.stride_w, d.padding_w);
          const index_t pixel = (top + i) * d.w + across.begin * d.stride_w - d.padding_w + j;
          element(WindowElement{.run = y_row,
                                .skip = across.begin,
                                .count = across.end - across.begin,
                                .from = x_plane + pixel,
                                .step = d.stride_w,
                                .pixel = pixel,
                                .pixel_step = d.stride_w});
        }
      continue;
    }
    for (index_t q = 0; q < d.ow; ++q) {
      const Range across = elements(q, d.w, d.kernel_w, d.stride_w, d.padding_w);
      const index_t left = q * d.stride_w - d.padding_w, y_row = (row * d.ow + q) * d.c;
      start(Run{
          .at = y_row, .count = d.c, .first = (top + down.begin) * d.w + left + across.begin, .step = 0, .padding = 0});
      for (index_t i = down.begin; i < down.end; ++i)
        for (index_t j = across.begin; j < across.end; ++j) {
          const index_t pixel = (top + i) * d.w + left + j;
          element(WindowElement{.run = y_row,
                                .skip = 0,
                                .count = d.c,
                                .from = (plane * d.h * d.w + pixel) * d.c,
                                .step = 1,
                                .pixel = pixel,
                                .pixel_step = 0});
        }
    }
  }
}

// Pixels of a plane, as indices of maxima tell them.
struct Pixels {
  std::int32_t first, step;
};

// One window element of a run of maxima. A NaN is taken once and stays; ties stay with the earlier element.
template <bool with_index, index_t fixed_step, class T>
inline void take_larger(index_t count, const T* __restrict x, index_t any_step, T* __restrict y,
                        std::int32_t* __restrict index, Pixels pixels) noexcept {
  const index_t step = fixed_step ? fixed_step : any_step;
  for (index_t t = 0; t < count; ++t) {
    const T v = x[t * step], best = y[t];
    const bool take = !(v <= best) & (best == best);
    y[t] = take ? v : best;
    if constexpr (with_index) index[t] = take ? pixels.first + static_cast<std::int32_t>(t) * pixels.step : index[t];
  }
}

// Where windows tile row-major rows without padding, and none hangs over a row's end into the next, all rows of a plane
// are one run: maxima along rows first, then down columns. The first maximum of the first row that has one is the first
// of the window.
constexpr index_t tiled_limit = 4096;  // elements of h * ow, held on the stack

bool tiles_rows(const PoolDims& d) noexcept {
  return !d.channels_last && d.padding_w == 0 && d.ow * d.stride_w == d.w && d.kernel_w <= d.stride_w &&
         d.h * d.ow <= tiled_limit;
}

// A run of maxima and their indices, against those of later elements.
template <bool with_index, class T>
inline void merge_larger(index_t count, const T* __restrict x, const std::int32_t* __restrict at, T* __restrict y,
                         std::int32_t* __restrict index) noexcept {
  for (index_t t = 0; t < count; ++t) {
    const T v = x[t], best = y[t];
    const bool take = !(v <= best) & (best == best);
    y[t] = take ? v : best;
    if constexpr (with_index) index[t] = take ? at[t] : index[t];
  }
}

template <bool with_index, class T>
void max_tiled_rows(const PoolDims& d, index_t begin, index_t end, const T* x, T* y, std::int32_t* index) noexcept {
  T best[tiled_limit];
  std::int32_t at[tiled_limit];
  for (index_t row = begin, last; row < end; row = last) {
    const index_t plane = row / d.oh, p = row % d.oh;
    last = std::min(end, row + d.oh - p);
    const index_t top = std::max<index_t>(0, p * d.stride_h - d.padding_h);
    const index_t bottom = std::min(d.h, (p + last - row - 1) * d.stride_h - d.padding_h + d.kernel_h);
    const T* from = x + (plane * d.h + top) * d.w;
    const index_t count = (bottom - top) * d.ow;
    const auto first = static_cast<std::int32_t>(top * d.w), step = static_cast<std::int32_t>(d.stride_w);
    for (index_t t = 0; t < count; ++t) best[t] = from[t * d.stride_w];
    if constexpr (with_index)
      for (index_t t = 0; t < count; ++t) at[t] = first + static_cast<std::int32_t>(t) * step;
    for (index_t j = 1; j < d.kernel_w; ++j) {
      const Pixels pixels{first + static_cast<std::int32_t>(j), step};
      if (d.stride_w == 2)
        take_larger<with_index, 2>(count, from + j, 2, best, at, pixels);
      else
        take_larger<with_index, 0>(count, from + j, d.stride_w, best, at, pixels);
    }
    for (index_t r = row; r < last; ++r) {
      const index_t start = (p + r - row) * d.stride_h - d.padding_h;
      const index_t above = std::max<index_t>(0, start), below = std::min(d.h, start + d.kernel_h);
      T* to = y + r * d.ow;
      std::int32_t* to_index = with_index ? index + r * d.ow : nullptr;
      std::copy_n(best + (above - top) * d.ow, d.ow, to);
      if constexpr (with_index) std::copy_n(at + (above - top) * d.ow, d.ow, to_index);
      for (index_t h = above + 1; h < below; ++h) {
        const T* other = best + (h - top) * d.ow;
        const std::int32_t* other_at = at + (h - top) * d.ow;
        merge_larger<with_index>(d.ow, other, other_at, to, to_index);
      }
    }
  }
}

// The windows of a pixel's channels, of a size known to the compiler: element k of channel t is x[k][t], of pixel
// at[k]. Maxima and their indices stay in registers. From the last element to the first, so that one that ties takes
// over, and so does a NaN, whatever came before.
template <bool with_index, class T, std::size_t size, std::size_t... k>
inline void max_of_pixel(std::index_sequence<0, k...>, index_t count, const T* const (&x)[size],
                         const std::int32_t (&at)[size], T* __restrict y, std::int32_t* __restrict index) noexcept {
  const auto run = [=](const T* last, std::int32_t last_at, auto... earlier) {
#pragma GCC ivdep
    for (index_t t = 0; t < count; ++t) {
      T best = last[t];
      std::int32_t where = last_at;
      const auto take = [&](const T* x_k, std::int32_t at_k) {
        const T v = x_k[t];
        const bool wins = (v >= best) | (v != v);
        best = wins ? v : best;
        where = wins ? at_k : where;
      };
      (take(earlier.first, earlier.second), ...);
      y[t] = best;
      if constexpr (with_index) index[t] = where;
    }
  };
  run(x[size - 1], at[size - 1], std::pair(x[size - 1 - k], at[size - 1 - k])...);
}

// Elements in the padding are replaced by the nearest of the window's others: a tie that changes neither the maximum
// nor which of its elements is the first.
template <index_t kernel, bool with_index, class T>
void max_pixels(const PoolDims& d, index_t begin, index_t end, const T* x, T* y, std::int32_t* index) noexcept {
  constexpr index_t size = kernel * kernel;
  const T* from[size];
  std::int32_t at[size];
  index_t line[kernel], column[kernel];
  for (index_t row = begin; row < end; ++row) {
    const T* sample = x + row / d.oh * d.h * d.w * d.c;
    const index_t top = row % d.oh * d.stride_h - d.padding_h;
    for (index_t i = 0; i < kernel; ++i) line[i] = std::clamp<index_t>(top + i, 0, d.h - 1) * d.w;
    for (index_t q = 0; q < d.ow; ++q) {
      const index_t left = q * d.stride_w - d.padding_w, to = (row * d.ow + q) * d.c;
      for (index_t j = 0; j < kernel; ++j) column[j] = std::clamp<index_t>(left + j, 0, d.w - 1);
      for (index_t k = 0; k < size; ++k) {
        const index_t pixel = line[k / kernel] + column[k % kernel];
        at[k] = static_cast<std::int32_t>(pixel);
        from[k] = sample + pixel * d.c;
      }
      max_of_pixel<with_index>(std::make_index_sequence<size>(), d.c, from, at, y + to,
                               with_index ? index + to : nullptr);
    }
  }
}

template <bool with_index, class T>
void max_rows(const PoolDims& d, index_t begin, index_t end, const T* x, T* y, std::int32_t* index) noexcept {
  if (d.channels_last && d.kernel_h == d.kernel_w) {
    if (d.kernel_h == 2) return max_pixels<2, with_index>(d, begin, end, x, y, index);
    if (d.kernel_h == 3) return max_pixels<3, with_index>(d, begin, end, x, y, index);
  }
  if (tiles_rows(d)) return max_tiled_rows<with_index>(d, begin, end, x, y, index);
  for_each_window(
      d, begin, end,
      [=](const Run& run) {
        std::fill_n(y + run.at, run.count, -std::numeric_limits<T>::infinity());
        if constexpr (with_index)
          for (index_t t = 0; t < run.count; ++t)
            index[run.at + t] = static_cast<std::int32_t>(run.first + std::max<index_t>(0, t * run.step - run.padding));
      },
      [=](const WindowElement& e) {
        const auto go = [&](auto take) {
          const index_t to = e.run + e.skip;
          take(e.count, x + e.from, e.step, y + to, with_index ? index + to : nullptr,
               {static_cast<std::int32_t>(e.pixel), static_cast<std::int32_t>(e.pixel_step)});
        };
        if (e.step == 1)
          go(take_larger<with_index, 1, T>);
        else if (e.step == 2)
          go(take_larger<with_index, 2, T>);
        else
          go(take_larger<with_index, 0, T>);
      });
}

template <class T>
void max(const PoolDims& d, index_t begin, index_t end, const T* x, T* y, std::int32_t* index) noexcept {
  index ? max_rows<true>(d, begin, end, x, y, index) : max_rows<false>(d, begin, end, x, y, index);
}

// f(x base, y base, channels, pixel step) for each plane or block of interleaved planes.
template <class F>
inline void for_each_plane(const PoolDims& d, index_t begin, index_t end, F f) noexcept {
  for (index_t plane = begin; plane < end; ++plane) {
    if (!d.channels_last) {
      f(plane * d.h * d.w, plane * d.oh * d.ow, index_t{1}, index_t{1});
      continue;
    }
    const index_t blocks = (d.c + d.channel_block - 1) / d.channel_block;
    const index_t n = plane / blocks, c = plane % blocks * d.channel_block;
    f(n * d.h * d.w * d.c + c, n * d.oh * d.ow * d.c + c, std::min(d.channel_block, d.c - c), d.c);
  }
}

template <class T>
inline void clear(const PoolDims& d, T* dx, index_t channels, index_t step) noexcept {
  if (step == 1)
    std::fill_n(dx, d.h * d.w, T{});
  else
    for (index_t p = 0; p < d.h * d.w; ++p) std::fill_n(dx + p * step, channels, T{});
}

template <class T>
void gather(const PoolDims& d, index_t begin, index_t end, const T* x, const std::int32_t* index, T* y) noexcept {
  for_each_plane(d, begin, end, [&](index_t from, index_t to, index_t channels, index_t step) {
    for (index_t p = 0; p < d.oh * d.ow; ++p)
      for (index_t c = 0; c < channels; ++c) {
        const index_t at = to + p * step + c;
        y[at] = x[from + index[at] * step + c];
      }
  });
}

template <class T>
void scatter(const PoolDims& d, index_t begin, index_t end, const T* dy, const std::int32_t* index, T* dx) noexcept {
  for_each_plane(d, begin, end, [&](index_t to, index_t from, index_t channels, index_t step) {
    clear(d, dx + to, channels, step);
    for (index_t p = 0; p < d.oh * d.ow; ++p)
      for (index_t c = 0; c < channels; ++c) {
        const index_t at = from + p * step + c;
        dx[to + index[at] * step + c] += dy[at];
      }
  });
}

template <class T>
void mean(const PoolDims& d, index_t begin, index_t end, const T* x, T* y) noexcept {
  constexpr index_t chunk = 256;
  const double size = d.kernel_size;
  double sums[chunk];
  for (index_t row = begin; row < end; ++row) {
    const index_t plane = row / d.oh, p = row % d.oh;
    const Range down = elements(p, d.h, d.kernel_h, d.stride_h, d.padding_h);
    const index_t top = p * d.stride_h - d.padding_h;
    const T* from = x + plane * d.h * d.w * (d.channels_last ? d.c : 1);
    if (!d.channels_last) {
      for (index_t start = 0; start < d.ow; start += chunk) {
        const index_t count = std::min(chunk, d.ow - start);
        std::fill_n(sums, count, 0.0);
        for (index_t i = down.begin; i < down.end; ++i)
          for (index_t j = 0; j < d.kernel_w; ++j) {
            const Range all = inside(j, d.w, d.ow, d.stride_w, d.padding_w);
            const Range across{std::max(all.begin, start), std::min(all.end, start + count)};
            const T* line = from + (top + i) * d.w - d.padding_w + j;
            for (index_t q = across.begin; q < across.end; ++q)
              sums[q - start] += static_cast<double>(line[q * d.stride_w]);
          }
        for (index_t t = 0; t < count; ++t) y[row * d.ow + start + t] = static_cast<T>(sums[t] / size);
      }
      continue;
    }
    for (index_t q = 0; q < d.ow; ++q) {
      const Range across = elements(q, d.w, d.kernel_w, d.stride_w, d.padding_w);
      const index_t left = q * d.stride_w - d.padding_w;
      for (index_t start = 0; start < d.c; start += chunk) {
        const index_t count = std::min(chunk, d.c - start);
        std::fill_n(sums, count, 0.0);
        for (index_t i = down.begin; i < down.end; ++i)
          for (index_t j = across.begin; j < across.end; ++j) {
            const T* pixel = from + ((top + i) * d.w + left + j) * d.c + start;
            for (index_t t = 0; t < count; ++t) sums[t] += static_cast<double>(pixel[t]);
          }
        T* to = y + (row * d.ow + q) * d.c + start;
        for (index_t t = 0; t < count; ++t) to[t] = static_cast<T>(sums[t] / size);
      }
    }
  }
}

template <class T>
void spread(const PoolDims& d, index_t begin, index_t end, const T* dy, T* dx) noexcept {
  const T size = static_cast<T>(d.kernel_size);
  for_each_plane(d, begin, end, [&](index_t to, index_t from, index_t channels, index_t step) {
    clear(d, dx + to, channels, step);
    for (index_t p = 0; p < d.oh; ++p) {
      const Range down = elements(p, d.h, d.kernel_h, d.stride_h, d.padding_h);
      for (index_t i = down.begin; i < down.end; ++i)
        for (index_t j = 0; j < d.kernel_w; ++j) {
          const Range across = inside(j, d.w, d.ow, d.stride_w, d.padding_w);
          const T* g = dy + from + p * d.ow * step;
          T* line = dx + to + ((p * d.stride_h - d.padding_h + i) * d.w - d.padding_w + j) * step;
          if (step == 1)
            for (index_t q = across.begin; q < across.end; ++q) line[q * d.stride_w] += g[q];
          else
            for (index_t q = across.begin; q < across.end; ++q)
              for (index_t c = 0; c < channels; ++c) line[q * d.stride_w * step + c] += g[q * step + c];
        }
    }
    if (step == 1)
      for (index_t p = 0; p < d.h * d.w; ++p) dx[to + p] /= size;
    else
      for (index_t p = 0; p < d.h * d.w; ++p)
        for (index_t c = 0; c < channels; ++c) dx[to + p * step + c] /= size;
  });
}

template <class T>
constexpr PoolKernels<T> table = {
    .max = max<T>, .gather = gather<T>, .scatter = scatter<T>, .mean = mean<T>, .spread = spread<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const PoolKernels<float> pool_float = table<float>;
const PoolKernels<double> pool_double = table<double>;
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
