// Pools of one to three axes, with all their options, against plain loops and PyTorch's numbers.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <array>

#include <limpid/tests/memory.hpp>
#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_pools {

using namespace limpid;
using namespace plain;

constexpr MemoryFormat formats[] = {MemoryFormat::contiguous, MemoryFormat::channels_last};

struct Case {
  Shape size;  ///< of the spatial axes
  Spatial kernel;
  OptionalSpatial stride = {};
  Spatial padding = 0, dilation = 1;
  bool ceil_mode = false, count_include_pad = true;
  std::optional<int64_t> divisor = {};
};

const Case cases[] = {
    {{9}, 2},
    {{9}, 3, 2, 1},
    {{7}, 2, 2, 1, 3},
    {{10}, 3, 2, 1, 2, true},
    {{5}, 2, 2, 0, 1, true},
    {{6}, 3, 2, 1, 1, true},
    {{6}, 3, 2, 1, 1, true, false},
    {{5}, 3, 3, 1, 1, true},
    {{2}, 3, 2, 0, 1, true},  // a window that reaches beyond x, once
    {{9}, 4, 1, 2, 1, false, false},
    {{600}, 5, 1, 2, 1, false, true, 3},
    {{6, 7}, 3, 2, 1, 2},
    {{6, 7}, {2, 3}, {3, 1}, {1, 0}, {2, 3}, true},
    {{7, 6}, {3, 2}, 2, 1, 1, true},
    {{7, 6}, 3, 2, 1, 1, true, false},
    {{5, 6}, 2, {}, 0, 1, false, true, 7},
    {{5, 6}, {1, 4}, 1, {0, 2}, 1, false, false, -2},
    {{4, 5, 6}, 2},
    {{4, 5, 6}, {2, 3, 1}, {1, 2, 3}, {1, 0, 0}},
    {{5, 4, 7}, 3, 2, 1},
    {{6, 5, 7}, 2, 2, 1, {1, 2, 3}, true},
    {{5, 6, 7}, 3, 2, 1, 1, true, false},
    {{3, 4, 5}, {3, 4, 5}},
};

// Of each axis of y, where the elements of its windows lie in x, and what a mean counts them as.
struct Axis {
  struct Window {
    std::vector<int64_t> elements;
    double size;
  };
  std::vector<Window> windows;
};

Axis axis_of(const Case& k, int64_t a, bool mean) {
  const int64_t size = k.size[static_cast<std::size_t>(a)], kernel = k.kernel[a],
                stride = k.stride.value_or(k.kernel)[a], padding = k.padding[a], dilation = mean ? 1 : k.dilation[a];
  Axis axis;
  // A window begins in x or before it; its last element is in the padding, unless ceil_mode lets its first alone be.
  for (int64_t start = -padding;; start += stride) {
    const int64_t last = start + (kernel - 1) * dilation, room = size + padding - 1;
    if (k.ceil_mode ? start >= size || last - stride >= room : last > room) break;
    Axis::Window window{{}, 0};
    for (int64_t e = 0; e < kernel; ++e) {
      const int64_t i = start + e * dilation;
      if (i >= 0 && i < size) window.elements.push_back(i);
      window.size += k.count_include_pad ? i < size + padding : i >= 0 && i < size;
    }
    axis.windows.push_back(window);
  }
  return axis;
}

Axis adaptive_axis(int64_t size, int64_t count) {
  Axis axis;
  for (int64_t i = 0; i < count; ++i) {
    Axis::Window window{{}, 0};
    for (int64_t e = 0; e < size; ++e)  // beginning before (i + 1) n / m, ending after i n / m
      if (e * count < (i + 1) * size && (e + 1) * count > i * size) window.elements.push_back(e), ++window.size;
    axis.windows.push_back(window);
  }
  return axis;
}

// f(place in y, pixels of the window in x, what a mean counts them as), of one plane; gives the number of windows.
template <class F>
std::size_t each_window(std::vector<Axis> axes, Shape size, F f) {
  while (axes.size() < 3) {
    axes.insert(axes.begin(), Axis{{{{0}, 1.0}}});
    size.insert(0, 1);
  }
  std::size_t at = 0;
  for (const auto& a : axes[0].windows)
    for (const auto& b : axes[1].windows)
      for (const auto& c : axes[2].windows) {
        std::vector<std::size_t> pixels;
        for (int64_t i : a.elements)
          for (int64_t j : b.elements)
            for (int64_t l : c.elements) pixels.push_back(static_cast<std::size_t>((i * size[1] + j) * size[2] + l));
        f(at++, pixels, a.size * b.size * c.size);
      }
  return at;
}

Shape joined(const Shape& front, const Shape& axes) {
  Shape shape = front;
  for (const int64_t axis : axes) shape.push_back(axis);
  return shape;
}
Shape counts(const std::vector<Axis>& axes) {
  Shape shape;
  for (const Axis& axis : axes) shape.push_back(static_cast<int64_t>(axis.windows.size()));
  return shape;
}

struct Pool {
  Tensor y;
  Tensor indices;  ///< of maxima
};

// Checks values, indices and gradient of pool(x) against the windows along the axes.
template <class F>
void check(const Shape& size, const std::vector<Axis>& axes, DType dtype, MemoryFormat format, double divisor, F pool) {
  const int64_t n = 2, c = 67;  // more channels than a block
  Tensor x = empty(joined({n, c}, size), dtype, format);
  detail::copy_into(x, randint(-4, 5, x.shape()));  // maxima tie
  x.set_requires_grad();
  const Pool p = pool(x);
  REQUIRE(p.y.shape() == joined({n, c}, counts(axes)));
  CHECK(p.y.is_contiguous(x.memory_format()));
  const Tensor dy = noise(p.y.shape(), dtype, format);
  const std::vector<double> vx = values(x), vdy = values(dy);
  const std::vector<double> at = p.indices.defined() ? values(p.indices) : std::vector<double>();
  std::vector<double> y(vdy.size()), dx(vx.size());
  const std::size_t plane = vx.size() / static_cast<std::size_t>(n * c);
  const std::size_t windows = vdy.size() / static_cast<std::size_t>(n * c);
  bool indices_are_right = true;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n * c); ++i)
    each_window(axes, size, [&](std::size_t w, const std::vector<std::size_t>& pixels, double count) {
      const std::size_t to = i * windows + w, from = i * plane;
      if (p.indices.defined()) {
        std::size_t best = pixels[0];
        for (std::size_t pixel : pixels)
          if (vx[from + pixel] > vx[from + best]) best = pixel;
        y[to] = vx[from + best];
        dx[from + best] += vdy[to];
        indices_are_right = indices_are_right && at[to] == static_cast<double>(best);
      } else {
        const double by = divisor != 0 ? divisor : count;
        for (std::size_t pixel : pixels) y[to] += vx[from + pixel] / by, dx[from + pixel] += vdy[to] / by;
      }
    });
  CHECK(error(p.y, y, 64) <= 1);
  CHECK(indices_are_right);
  const Tensor g = grad({p.y}, {x}, {dy})[0];
  CHECK(g.is_contiguous(x.memory_format()));
  CHECK(error(g, dx, 512) <= 1);
}

// f(case, its windows along each axis, dtype, format) at each level of instructions; means have no dilation.
template <class F>
void for_each_case(bool of_means, F f) {
  int number = 0;
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (DType dtype : {float32, float64})
      for (const Case& k : cases)
        for (MemoryFormat format : formats) {
          if (test::is_thinned_out(number++, 3)) continue;
          CAPTURE(k.size, k.kernel[0], dtype, format == MemoryFormat::channels_last, to_string(level));
          std::vector<Axis> axes;
          for (int64_t a = 0; a < k.size.dim(); ++a) axes.push_back(axis_of(k, a, of_means));
          f(k, axes, dtype, format);
        }
  }
}

Tensor max_of(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options) {
  return (x.dim() == 3 ? max_pool1d : x.dim() == 4 ? max_pool2d : max_pool3d)(x, kernel, options);
}
Tensor avg_of(const Tensor& x, const Spatial& kernel, const AvgPoolOptions& options) {
  return (x.dim() == 3 ? avg_pool1d : x.dim() == 4 ? avg_pool2d : avg_pool3d)(x, kernel, options);
}
Selection max_with_indices(const Tensor& x, const Spatial& kernel, const MaxPoolOptions& options) {
  return (x.dim() == 3   ? max_pool1d_with_indices
          : x.dim() == 4 ? max_pool2d_with_indices
                         : max_pool3d_with_indices)(x, kernel, options);
}

Tensor row(std::initializer_list<double> numbers) {
  return reshape(tensor(numbers, float64), {1, 1, static_cast<int64_t>(numbers.size())});
}

TEST_CASE("maxima of windows along one to three axes, and where they are") {
  for_each_case(false, [](const Case& k, const std::vector<Axis>& axes, DType dtype, MemoryFormat format) {
    const MaxPoolOptions options{
        .stride = k.stride, .padding = k.padding, .dilation = k.dilation, .ceil_mode = k.ceil_mode};
    check(k.size, axes, dtype, format, 0, [&](const Tensor& x) {
      const Selection s = max_with_indices(x, k.kernel, options);
      CHECK(s.indices.dtype() == int64);
      CHECK_FALSE(s.indices.requires_grad());
      CHECK(equal(max_of(x.detach(), k.kernel, options), s.values.detach()));
      return Pool{s.values, s.indices};
    });
  });
}

TEST_CASE("means of windows along one to three axes") {
  for_each_case(true, [](const Case& k, const std::vector<Axis>& axes, DType dtype, MemoryFormat format) {
    check(k.size, axes, dtype, format, static_cast<double>(k.divisor.value_or(0)), [&](const Tensor& x) {
      return Pool{avg_of(x, k.kernel,
                         {.stride = k.stride,
                          .padding = k.padding,
                          .ceil_mode = k.ceil_mode,
                          .count_include_pad = k.count_include_pad,
                          .divisor_override = k.divisor}),
                  {}};
    });
  });
}

TEST_CASE("adaptive pools take any number of positions") {
  struct Adaptive {
    Shape size;
    Spatial out;
  };
  const Adaptive adaptive[] = {{{3}, 5},
                               {{7}, 3},
                               {{6}, 2},
                               {{9}, 1},
                               {{4, 6}, {2, 3}},
                               {{5, 7}, {3, 2}},
                               {{2, 3}, {5, 4}},
                               {{4, 4, 6}, {2, 1, 3}},
                               {{3, 5, 4}, {2, 7, 3}}};
  for (DType dtype : {float32, float64})
    for (const auto& [size, out] : adaptive)
      for (MemoryFormat format : formats) {
        CAPTURE(size, out[0], dtype);
        std::vector<Axis> axes;
        for (int64_t a = 0; a < size.dim(); ++a)
          axes.push_back(adaptive_axis(size[static_cast<std::size_t>(a)], out[a]));
        const int64_t rank = size.dim();
        check(size, axes, dtype, format, 0, [rank, to = out](const Tensor& x) {
          return Pool{(rank == 1   ? adaptive_avg_pool1d
                       : rank == 2 ? adaptive_avg_pool2d
                                   : adaptive_avg_pool3d)(x, to),
                      {}};
        });
        check(size, axes, dtype, format, 0, [rank, to = out](const Tensor& x) {
          const Selection s = (rank == 1   ? adaptive_max_pool1d_with_indices
                               : rank == 2 ? adaptive_max_pool2d_with_indices
                                           : adaptive_max_pool3d_with_indices)(x, to);
          CHECK(equal((rank == 1   ? adaptive_max_pool1d
                       : rank == 2 ? adaptive_max_pool2d
                                   : adaptive_max_pool3d)(x.detach(), to),
                      s.values.detach()));
          return Pool{s.values, s.indices};
        });
      }
}

TEST_CASE("pools give PyTorch's numbers") {
  const Tensor five = row({1, 2, 3, 4, 5}), six = row({1, 2, 3, 4, 5, 6}), seven = row({3, 1, 4, 1, 5, 9, 2});
  // What hangs over the padded input does not count, what is padding does.
  CHECK(equal(avg_pool1d(five, 2, {.stride = 2, .ceil_mode = true}), row({1.5, 3.5, 5})));
  CHECK(equal(avg_pool1d(six, 3, {.stride = 2, .padding = 1, .ceil_mode = true}), row({1, 3, 5, 3})));
  CHECK(equal(avg_pool1d(six, 3, {.stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false}),
              row({1.5, 3, 5, 6})));
  CHECK(equal(avg_pool1d(row({1, 1}), 3, {.stride = 2, .ceil_mode = true}), row({1})));
  // A third window would begin behind x.
  CHECK(equal(max_pool1d(five, 3, {.stride = 3, .padding = 1, .ceil_mode = true}), row({2, 5})));
  CHECK(equal(avg_pool1d(five, 3, {.stride = 3, .padding = 1, .ceil_mode = true}), row({1, 4})));
  // Windows stay on their grid where they are cut off.
  const Selection dilated = max_pool1d_with_indices(seven, 3, {.stride = 1, .padding = 1, .dilation = 2});
  CHECK(equal(dilated.values, row({1, 5, 9, 5, 9})));
  CHECK(equal(dilated.indices, row({1, 4, 5, 4, 5}).to(int64)));
  const Selection wide = max_pool1d_with_indices(seven, 2, {.stride = 2, .padding = 1, .dilation = 3});
  CHECK(equal(wide.values, row({4, 5, 2})));
  CHECK(equal(wide.indices, row({2, 4, 6}).to(int64)));
  const Tensor image = reshape(tensor({5, 1, 2, 8, 3, 9, 4, 7, 6, 0, 9, 1}, float64), {1, 3, 4});
  const Selection both =
      max_pool2d_with_indices(image, 2, {.stride = {1, 2}, .padding = 1, .dilation = {2, 1}, .ceil_mode = true});
  CHECK(equal(both.values, reshape(tensor({3, 9, 7, 6, 9, 8, 3, 9, 7}, float64), {1, 3, 3})));
  CHECK(equal(both.indices, reshape(tensor({4, 5, 7, 8, 10, 3, 4, 5, 7}, int64), {1, 3, 3})));
  CHECK(allclose(avg_pool2d(image, 2, {.stride = 1, .divisor_override = 3}),
                 reshape(tensor({6, 16 / 3.0, 7, 6, 22 / 3.0, 7}, float64), {1, 2, 3}), 1e-15, 0));
  // Adaptive windows overlap, and may be more than x has elements.
  CHECK(equal(adaptive_avg_pool1d(row({0, 1, 2}), 5), row({0, 0.5, 1, 1.5, 2})));
  CHECK(equal(adaptive_max_pool1d_with_indices(row({0, 1, 2}), 5).indices, row({0, 1, 1, 2, 2}).to(int64)));
  CHECK(equal(adaptive_avg_pool1d(row({0, 1, 2, 3, 4, 5, 6}), 3), row({1, 3, 5})));
  const Tensor volume = reshape(remainder(arange(24) * 7, 24).to(float64), {1, 1, 2, 3, 4});
  const Selection largest = max_pool3d_with_indices(volume, 2, {.stride = 1});
  CHECK(equal(largest.values, reshape(tensor({23, 23, 21, 23, 23, 22}, float64), {1, 1, 1, 2, 3})));
  CHECK(equal(largest.indices, reshape(tensor({17, 17, 3, 17, 17, 10}, int64), {1, 1, 1, 2, 3})));
  CHECK(allclose(avg_pool3d(volume, {2, 2, 3}, {.stride = {1, 1, 2}, .padding = {0, 1, 1}}),
                 reshape(tensor({19 / 6.0, 6, 23 / 3.0, 12, 25 / 3.0, 12, 23 / 6.0, 6}, float64), {1, 1, 1, 4, 2}),
                 1e-15, 0));
  CHECK(equal(adaptive_avg_pool3d(reshape(volume, {1, 2, 3, 4}), {3, 2, 3}),
              reshape(tensor({5.5, 12.5, 13.5, 9.5, 16.5, 11.5, 11.5, 12.5, 10.5, 12.5, 13.5, 11.5, 17.5, 12.5, 7.5,
                              15.5, 10.5, 11.5},
                             float64),
                      {1, 3, 2, 3})));
}

TEST_CASE("a window that hangs over the end of a row takes nothing of the next") {
  for (DType dtype : {float32, float64})
    for (MemoryFormat format : formats) {
      const Tensor rows = reshape(tensor({0, 0, 0, 0, 9, 9, 9, 9}, dtype), {1, 1, 2, 4}).contiguous(format);
      const Selection two = max_pool2d_with_indices(rows, {1, 3}, {.stride = {1, 2}, .ceil_mode = true});
      CHECK(equal(two.values, reshape(tensor({0, 0, 9, 9}, dtype), {1, 1, 2, 2})));
      CHECK(equal(two.indices, reshape(tensor({0, 2, 4, 6}, int64), {1, 1, 2, 2})));
      const Tensor last = narrow(reshape(tensor({1, 2, 3, 4, 5, 6, 7}, dtype), {1, 1, 7}), 2, 0, 6);
      CHECK(equal(max_pool1d(last, 5, {.stride = 3, .ceil_mode = true}), reshape(tensor({5, 6}, dtype), {1, 1, 2})));
    }
}

TEST_CASE("adaptive pools of nothing make no table of their windows") {
  Tensor none = zeros({0, 1, 1}).set_requires_grad();
  const Tensor mean = adaptive_avg_pool1d(none, 2147483647);
  CHECK(mean.shape() == Shape{0, 1, 2147483647});
  CHECK(grad({mean.sum()}, {none})[0].shape() == Shape{0, 1, 1});
  CHECK(adaptive_max_pool1d_with_indices(none, 2147483647).indices.shape() == Shape{0, 1, 2147483647});
  CHECK(adaptive_avg_pool3d(zeros({2, 0, 3, 3, 3}), 1 << 18).shape() == Shape{2, 0, 1 << 18, 1 << 18, 1 << 18});
}

TEST_CASE("adaptive pools and interpolate say that y is beyond the limit of memory, before they make a table") {
  const limpid::test::WithLimit limit(memory_stats().in_use + (int64_t{1} << 30));
  const Tensor one = zeros({1, 1, 1});
  CHECK_THROWS_AS(adaptive_avg_pool1d(one, 2147483647), MemoryError);
  CHECK_THROWS_AS(adaptive_max_pool1d(one, 2147483647), MemoryError);
  CHECK_THROWS_AS(interpolate(one, {.size = {2147483647}}), MemoryError);
}

TEST_CASE("pools of one sample, of strided views and of half precision") {
  const Tensor x = noise({3, 5, 6, 7}, float64);
  CHECK(equal(unsqueeze(max_pool3d(x, 2), 0), max_pool3d(unsqueeze(x, 0), 2)));
  CHECK(equal(unsqueeze(avg_pool3d(x, 2), 0), avg_pool3d(unsqueeze(x, 0), 2)));
  const Tensor flat = select(x, 0, 0);
  CHECK(max_pool1d_with_indices(select(flat, 0, 0), 3).indices.shape() == Shape{6, 2});
  CHECK(equal(adaptive_avg_pool2d(flat, {2, 4}), select(adaptive_avg_pool2d(x, {2, 4}), 0, 0)));
  CHECK(equal(max_pool2d(strided(x), 3, {.dilation = 2}), max_pool2d(x, 3, {.dilation = 2})));
  CHECK(equal(avg_pool3d(strided(unsqueeze(x, 0)), 2), avg_pool3d(unsqueeze(x, 0), 2)));
  for (DType half : {bfloat16, float16}) {
    Tensor ones_of = ones({1, 1, 4096}, half).set_requires_grad();
    const Tensor mean = avg_pool1d(ones_of, 4096);
    CHECK(mean.dtype() == half);
    CHECK(mean.item<float>() == 1);  // which a sum in half precision would not give
    CHECK(adaptive_avg_pool1d(full({1, 1, 4096}, 60000, float32).to(half), 1).item<float>() ==
          full({}, 60000, float32).to(half).item<float>());
    const Tensor y = max_pool1d(ones_of, 2);
    CHECK(grad({y}, {ones_of}, {y.detach()})[0].dtype() == half);
  }
}

TEST_CASE("pools of any rank can be differentiated again, and their indices stay") {
  for (MemoryFormat format : formats) {
    Tensor x = noise({2, 3, 5, 4, 6}, float64, format).set_requires_grad();
    const auto pools = {
        +[](const Tensor& t) { return max_pool3d(t, 3, {.stride = 2, .padding = 1}); },
        +[](const Tensor& t) { return max_pool3d(t, 2, {.stride = 1, .dilation = 2}); },
        +[](const Tensor& t) { return avg_pool3d(t, 3, {.stride = 2, .padding = 1, .ceil_mode = true}); },
        +[](const Tensor& t) {
          return adaptive_avg_pool3d(t, {3, 3, 4});
        },
        +[](const Tensor& t) {
          return adaptive_max_pool3d(t, {3, 3, 4});
        }};
    for (auto pool : pools) {
      const Tensor y = pool(x);
      Tensor dy = noise(y.shape(), float64).set_requires_grad(), v = noise(x.shape(), float64).set_requires_grad();
      const Tensor dx = grad({y}, {x}, {dy}, {.create_graph = true})[0];
      const Tensor ddy = grad({dx}, {dy}, {v}, {.create_graph = true})[0];
      CHECK(plain::dot(ddy, dy) == Approx(plain::dot(dx, v)));
      CHECK(allclose(grad({ddy}, {v}, {dy})[0], dx.detach(), 1e-12, 1e-12));
    }
  }
}

TEST_CASE("pools of any rank are the same for any number of threads") {
  for (DType dtype : {float32, float64})
    for (MemoryFormat format : formats) {
      if (test::thinned() && (dtype == float32) != (format == MemoryFormat::channels_last)) continue;
      Tensor x = noise({2, 70, 13, 11, 12}, dtype, format).set_requires_grad();
      CAPTURE(dtype, x.strides());
      for (int64_t stride : {1, 2, 3})
        check_threads([&]() -> Tensors {
          const Tensor a = avg_pool3d(x, 3, {.stride = stride, .padding = 1}),
                       m = max_pool3d(x, 3, {.stride = stride, .padding = 1}), f = adaptive_avg_pool3d(x, {5, 4, 7});
          return {a.detach(), m.detach(), grad({a}, {x}, {m.detach()})[0], grad({m}, {x}, {a.detach()})[0],
                  grad({f}, {x}, {ones(f.shape(), dtype)})[0]};
        });
    }
}

TEST_CASE("the first NaN of any window wins") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (MemoryFormat format : formats) {
    Tensor x = empty({1, 1, 2, 2, 2}, float64, format);
    detail::copy_into(x, from_values({1, nan, inf, nan, 5, 6, 7, 8}, {1, 1, 2, 2, 2}));
    CHECK(max_pool3d_with_indices(x, 2).indices.item<int64_t>() == 1);
    CHECK(adaptive_max_pool3d_with_indices(x, {1, 1, 3}).indices.numel() == 3);
    detail::copy_into(x, full({1, 1, 2, 2, 2}, -inf, float64));
    CHECK(max_pool3d_with_indices(x, 2).indices.item<int64_t>() == 0);
  }
  CHECK(max_pool1d_with_indices(row({1, nan, 2, nan, 3}), 3, {.dilation = 2}).indices.item<int64_t>() == 4);
  CHECK(max_pool1d_with_indices(row({1, 5, 2, nan, nan}), 3, {.dilation = 2}).indices.item<int64_t>() == 4);
}

TEST_CASE("pools of no samples make no table of the windows that there would be") {
  const int64_t large = int64_t{1} << 40;
  for (const MemoryFormat format : formats) {
    Tensor x = empty({0, 3, 1, large}, float32, format).set_requires_grad();
    const Tensor y = avg_pool2d(x, {1, 3}, {.stride = 1, .padding = {0, 1}, .count_include_pad = false});
    CHECK(y.shape() == x.shape());
    CHECK(grad({y}, {x}, {zeros(y.shape())})[0].shape() == x.shape());
    const Tensor few = slice(x, 3, 0, 9);
    CHECK(max_pool2d_with_indices(few, {1, 3}, {.stride = 1, .dilation = 2}).indices.shape() == Shape{0, 3, 1, 5});
  }
  CHECK(avg_pool3d(empty({2, 0, 1, 1, large}), {1, 1, 2}).shape() == Shape{2, 0, 1, 1, large / 2});
  CHECK(thrown<ShapeError>([] {
          max_pool1d(zeros({0, 1, 1}), 2, {.stride = 1, .padding = 1, .dilation = 2});
        }) ==
        "max_pool1d: expected windows that meet x, got one wholly in the padding of x of shape (0, 1, 1), kernel = 2, "
        "dilation = 2 and padding = 1");
}

TEST_CASE("pools of any rank say what does not fit") {
  CHECK(thrown<ShapeError>([] { max_pool1d(zeros({4}), 2); }) ==
        "max_pool1d: expected x of shape (N, C, L) or (C, L), got (4,)");
  CHECK(thrown<ShapeError>([] {
          adaptive_avg_pool3d(zeros({4, 4, 4}), 2);
        }) == "adaptive_avg_pool3d: expected x of shape (N, C, D, H, W) or (C, D, H, W), got (4, 4, 4)");
  CHECK(thrown<ShapeError>([] {
          max_pool1d(zeros({1, 1, 1}), 2, {.stride = 1, .padding = 1, .dilation = 2});
        }) ==
        "max_pool1d: expected windows that meet x, got one wholly in the padding of x of shape (1, 1, 1), kernel = 2, "
        "dilation = 2 and padding = 1");
  CHECK(thrown<ShapeError>([] {
          max_pool2d(zeros({1, 4, 4}), 3, {.dilation = {1, 2}});
        }) ==
        "max_pool2d: expected a kernel that fits the padded input, got x of shape (1, 4, 4), kernel = (3, 3), "
        "dilation = (1, 2) and padding = (0, 0)");
  CHECK(thrown<ShapeError>([] {
          avg_pool1d(zeros({1, 4}), 5);
        }) ==
        "avg_pool1d: expected a kernel that fits the padded input, got x of shape (1, 4), kernel = 5 and padding = 0");
  CHECK(thrown<ShapeError>([] {
          adaptive_max_pool3d(zeros({1, 4, 0, 4}), 2);
        }) == "adaptive_max_pool3d: expected spatial axes of at least one element, got x of shape (1, 4, 0, 4)");
  CHECK(thrown<ValueError>([] {
          avg_pool3d(zeros({1, 1, 4, 4, 4}), {2, 2});
        }) == "avg_pool3d: expected kernel of one number or of three, got (2, 2)");
  CHECK(thrown<ValueError>([] {
          avg_pool1d(zeros({1, 1, 4}), 2, {.padding = 2});
        }) == "avg_pool1d: expected padding of at most half the kernel, got padding = 2 and kernel = 2");
  CHECK(thrown<ValueError>([] {
          avg_pool2d(zeros({1, 1, 4, 4}), 2, {.divisor_override = 0});
        }) == "avg_pool2d: expected a divisor_override other than 0, got 0");
  CHECK(thrown<ValueError>([] {
          max_pool1d(zeros({1, 1, 4}), 2, {.dilation = 0});
        }) == "max_pool1d: expected dilation of at least 1 and below 2^31, got 0");
  CHECK(thrown<ValueError>([] {
          adaptive_max_pool2d(zeros({1, 1, 4, 4}), {2, 0});
        }) == "adaptive_max_pool2d: expected size of at least 1 and below 2^31, got (2, 0)");
  CHECK(thrown<ShapeError>([] {
          adaptive_avg_pool1d(zeros({1, 1, 0}), 2);
        }) == "adaptive_avg_pool1d: expected spatial axes of at least one element, got x of shape (1, 1, 0)");
  CHECK(thrown<DTypeError>([] {
          max_pool3d(zeros({1, 1, 2, 2, 2}, int64), 2);
        }) == "max_pool3d: expected x of a floating-point dtype, got int64; convert with to()");
  CHECK(thrown<ValueError>([] { adaptive_avg_pool2d(Tensor(), 2); }) ==
        "adaptive_avg_pool2d: expected a defined x, got an undefined tensor");
}

TEST_CASE("pools are pushed forward by the indices of their maxima, strided input too") {
  const Tensor x = noise({2, 3, 6, 7}, float64), dx = noise(x.shape(), float64);
  const auto f = [](const Tensors& t) {
    return Tensors{max_pool2d(t[0], 3, {.stride = 2, .padding = 1}), max_pool2d(t[0], 2, {.dilation = 2}),
                   avg_pool2d(t[0], 3, {.ceil_mode = true}), adaptive_max_pool2d(t[0], {4, 3})};
  };
  const Jvp dense = jvp(f, {x}, {dx}), apart = jvp(f, {strided(x)}, {strided(dx)});
  const Selection maxima = max_pool2d_with_indices(x, 3, {.stride = 2, .padding = 1});
  const Tensor at = flatten(maxima.indices, 2);
  CHECK(equal(flatten(dense.dys[0], 2), gather(flatten(dx, 2), 2, at)));
  for (std::size_t k = 0; k < dense.dys.size(); ++k) CHECK(allclose(dense.dys[k], apart.dys[k], 1e-13, 1e-13));
}

}  // namespace test_pools
