// Pooling against plain loops.
#include <limpid/autograd/backward.hpp>
#include <limpid/limpid.hpp>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>

namespace test_pooling {

using namespace limpid;
using namespace plain;

// What both kinds of pools take.
struct Options {
  OptionalSpatial stride = {};
  Spatial padding = 0;

  operator MaxPoolOptions() const { return {.stride = stride, .padding = padding}; }
  operator AvgPoolOptions() const { return {.stride = stride, .padding = padding}; }
};

struct Case {
  Shape x;
  Spatial kernel;
  Options options;
};

const Case cases[] = {
    {{2, 3, 8, 8}, 2, {}},
    {{1, 1, 1, 1}, 1, {}},
    {{2, 3, 9, 7}, 2, {}},                            // a row that no window sees
    {{2, 70, 9, 7}, 3, {.stride = 2, .padding = 1}},  // overlapping windows, more channels than a block
    {{1, 5, 10, 40}, {3, 2}, {.stride = {1, 3}, .padding = {1, 0}}},
    {{1, 2, 5, 6}, {5, 6}, {}},
    {{1, 300, 4, 4}, 2, {.stride = 1, .padding = 1}},
    {{1, 2, 3, 600}, {2, 4}, {.stride = 1, .padding = {1, 2}}},
    {{2, 3, 12, 12}, 2, {.stride = 5}},
};

constexpr MemoryFormat formats[] = {MemoryFormat::contiguous, MemoryFormat::channels_last};

// f(window's output offset, offsets of the elements of x that it sees, first to last)
template <class F>
Shape each_window(const Case& k, F f) {
  const Spatial stride = k.options.stride.value_or(k.kernel), padding = k.options.padding;
  const int64_t h = k.x[2], w = k.x[3];
  const int64_t oh = (h + 2 * padding[0] - k.kernel[0]) / stride[0] + 1,
                ow = (w + 2 * padding[1] - k.kernel[1]) / stride[1] + 1;
  std::size_t at = 0;
  for (int64_t plane = 0; plane < k.x[0] * k.x[1]; ++plane)
    for (int64_t p = 0; p < oh; ++p)
      for (int64_t q = 0; q < ow; ++q) {
        std::vector<std::size_t> seen;
        for (int64_t i = 0; i < k.kernel[0]; ++i)
          for (int64_t j = 0; j < k.kernel[1]; ++j) {
            const int64_t r = p * stride[0] - padding[0] + i, s = q * stride[1] - padding[1] + j;
            if (r >= 0 && r < h && s >= 0 && s < w) seen.push_back(static_cast<std::size_t>((plane * h + r) * w + s));
          }
        f(at++, seen);
      }
  return {k.x[0], k.x[1], oh, ow};
}

std::size_t first_maximum(const std::vector<double>& x, const std::vector<std::size_t>& seen) {
  std::size_t best = seen[0];
  for (std::size_t i : seen)
    if (x[i] > x[best] || (std::isnan(x[i]) && !std::isnan(x[best]))) best = i;
  return best;
}

// Small integers, so that maxima tie.
Tensor ties(const Shape& shape, DType dtype, MemoryFormat format) {
  const Tensor x = empty(shape, dtype, format);
  detail::copy_into(x, randint(-2, 3, shape));
  return x;
}

TEST_CASE("max_pool2d takes the first maximum, and sends the gradient there") {
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (DType dtype : {float32, float64})
      for (const Case& k : cases)
        for (MemoryFormat format : formats) {
          Tensor x = ties(k.x, dtype, format).set_requires_grad();
          CAPTURE(k.x, k.kernel[0], k.kernel[1], dtype, x.strides(), to_string(level));
          const Tensor y = max_pool2d(x, k.kernel, k.options), dy = noise(y.shape(), dtype, format);
          const auto vx = values(x), vdy = values(dy);
          std::vector<double> expected(static_cast<std::size_t>(y.numel())), dx(vx.size());
          const Shape shape = each_window(k, [&](std::size_t p, const auto& seen) {
            const std::size_t best = first_maximum(vx, seen);
            expected[p] = vx[best];
            dx[best] += vdy[p];
          });
          CHECK(y.shape() == shape);
          CHECK(y.is_contiguous(x.memory_format()));
          CHECK(values(y) == expected);
          CHECK(values(max_pool2d(x.detach(), k.kernel, k.options)) == expected);
          const Tensor g = grad({y}, {x}, {dy})[0];
          CHECK(g.is_contiguous(x.memory_format()));
          CHECK(error(g, dx, 64) <= 1);
        }
  }
}

TEST_CASE("avg_pool2d's means and their adjoint") {
  for (DType dtype : {float32, float64})
    for (const Case& k : cases)
      for (MemoryFormat format : formats) {
        Tensor x = noise(k.x, dtype, format).set_requires_grad();
        CAPTURE(k.x, k.kernel[0], k.kernel[1], dtype, x.strides());
        const Tensor y = avg_pool2d(x, k.kernel, k.options), dy = noise(y.shape(), dtype, format);
        const auto vx = values(x), vdy = values(dy);
        std::vector<double> expected(static_cast<std::size_t>(y.numel())), dx(vx.size());
        const double size = static_cast<double>(k.kernel[0] * k.kernel[1]);
        const Shape shape = each_window(k, [&](std::size_t p, const auto& seen) {
          for (std::size_t i : seen) expected[p] += vx[i] / size, dx[i] += vdy[p] / size;
        });
        CHECK(y.shape() == shape);
        CHECK(y.is_contiguous(x.memory_format()));
        CHECK(error(y, expected, 16) <= 1);
        const Tensor g = grad({y}, {x}, {dy})[0];
        CHECK(g.is_contiguous(x.memory_format()));
        CHECK(error(g, dx, 64) <= 1);
      }
}

TEST_CASE("the first NaN of a window wins, minus infinity is a value, padding is none") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (MemoryFormat format : formats) {
    Tensor x = empty({1, 2, 2, 4}, float64, format);
    detail::copy_into(
        x, from_values({1, nan, -inf, -inf, nan, 9, -inf, -inf, -1, -2, -3, -4, -5, -6, -7, -8}, {1, 2, 2, 4}));
    x.set_requires_grad();
    const Tensor y = max_pool2d(x, 2);
    CHECK(std::isnan(values(y)[0]));
    CHECK(values(y)[1] == -inf);
    CHECK(values(grad({y}, {x}, {ones({1, 2, 1, 2}, float64)})[0]) ==
          std::vector<double>{0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0});
    CHECK(values(max_pool2d(x, 2, {.stride = 2, .padding = 1}))[3 + 3] == -1);
  }
}

TEST_CASE("pools can be differentiated again") {
  for (MemoryFormat format : formats)
    for (bool average : {false, true}) {
      Tensor x = noise({2, 3, 7, 6}, float64, format).set_requires_grad();
      const auto pool = [&](const Tensor& t) {
        const Options options{.stride = 2, .padding = 1};
        return average ? avg_pool2d(t, 3, options) : max_pool2d(t, 3, options);
      };
      const Tensor y = pool(x);
      Tensor dy = noise(y.shape(), float64).set_requires_grad();
      Tensor v = noise(x.shape(), float64).set_requires_grad();
      const Tensor dx = grad({y}, {x}, {dy}, {.create_graph = true})[0];
      const Tensor ddy = grad({dx}, {dy}, {v}, {.create_graph = true})[0];
      CHECK(plain::dot(ddy, dy) == Approx(plain::dot(dx, v)));
      if (average) CHECK(allclose(ddy.detach(), pool(v.detach()), 1e-12, 1e-12));
      // The adjoint of the adjoint is the map itself, whose adjoint is the first gradient again.
      CHECK(allclose(grad({ddy}, {v}, {dy})[0], dx.detach(), 1e-12, 1e-12));
    }
}

TEST_CASE("the first NaN wins wherever it lies, for every kernel") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  struct Window {
    int64_t kernel, stride, padding;
  };
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (DType dtype : {float32, float64})
      for (const auto& [kernel, stride, padding] :
           {Window{2, 2, 0}, Window{2, 2, 1}, Window{3, 2, 1}, Window{3, 1, 1}, Window{3, 1, 0}, Window{4, 2, 1}})
        for (int64_t channels : {1, 5, 20})
          for (int64_t width : {2, 5, 21, 50}) {
            const Case k{{2, channels, 6, width}, kernel, {.stride = stride, .padding = padding}};
            if (width + 2 * padding < kernel) continue;
            for (MemoryFormat format : formats) {
              Tensor x = ties(k.x, dtype, format);
              Tensor holes = where(eq(randint(0, 6, k.x), 0), full({}, nan, dtype), x).contiguous(format);
              holes.set_requires_grad();
              CAPTURE(k.x, kernel, stride, padding, dtype, holes.strides(), to_string(level));
              const Tensor y = max_pool2d(holes, kernel, k.options), dy = noise(y.shape(), dtype, format);
              const auto vx = values(holes), vy = values(y), vdy = values(dy);
              std::vector<double> dx(vx.size());
              bool right = true;
              each_window(k, [&](std::size_t p, const auto& seen) {
                const std::size_t best = first_maximum(vx, seen);
                right &= vy[p] == vx[best] || (std::isnan(vy[p]) && std::isnan(vx[best]));
                dx[best] += vdy[p];
              });
              CHECK(right);
              CHECK(error(grad({y}, {holes}, {dy})[0], dx, 64) <= 1);
            }
          }
  }
}

TEST_CASE("pools are the same for any number of threads") {
  for (DType dtype : {float32, float64})
    for (MemoryFormat format : formats)
      for (int64_t stride : {1, 2, 3}) {
        Tensor x = noise({3, 70, 33, 31}, dtype, format).set_requires_grad();
        CAPTURE(dtype, x.strides(), stride);
        const Options options{.stride = stride, .padding = 1};
        check_threads([&]() -> Tensors {
          const Tensor a = avg_pool2d(x, 3, options), m = max_pool2d(x, 3, options);
          return {a.detach(), m.detach(), grad({a}, {x}, {m.detach()})[0], grad({m}, {x}, {a.detach()})[0]};
        });
      }
}

TEST_CASE("pools of nothing, and of strided views") {
  for (auto pool :
       {+[](const Tensor& x) { return max_pool2d(x, 2); }, +[](const Tensor& x) { return avg_pool2d(x, 2); }}) {
    Tensor x = zeros({0, 3, 4, 4}).set_requires_grad();
    const Tensor y = pool(x);
    CHECK(y.shape() == Shape{0, 3, 2, 2});
    CHECK(grad({y}, {x}, {zeros({0, 3, 2, 2})})[0].shape() == x.shape());
    CHECK(pool(zeros({2, 0, 4, 4})).shape() == Shape{2, 0, 2, 2});
    const Tensor wide = noise({2, 3, 8, 4}, float64);
    const Tensor view = detail::make_view(wide, {2, 3, 4, 4}, {96, 32, 8, 1}, 0);
    CHECK(equal(pool(view), pool(detail::as_contiguous(view))));
  }
}

// Windows that reach far beyond x on both sides cover all of it, wherever they go.
TEMPLATE_TEST_CASE("windows much larger than x cost what x costs", "", float, double) {
  const DType dtype = dtype_of<TestType>();
  const int64_t huge = int64_t{1} << 30;
  for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
    Tensor x = noise({2, 3, 4, 5}, dtype).contiguous(format).set_requires_grad();
    const Options options{.stride = 1, .padding = huge / 2};
    const Tensor largest = max_pool2d(x, huge, {.stride = {1, 1}, .padding = {huge / 2, huge / 2}});
    CHECK(largest.shape() == Shape{2, 3, 5, 6});
    // All but the last row and column of windows begin before x; each of them ends behind it.
    CHECK(equal(select(select(largest, 3, 0), 2, 0), amax(x, {2, 3})));
    const Tensor means = avg_pool2d(x, huge, options);
    const Tensor whole = sum(x.to(float64), {2, 3}) / (static_cast<double>(huge) * static_cast<double>(huge));
    CHECK(allclose(select(select(means, 3, 0), 2, 0).to(float64), whole, 1e-6, 0));
    means.backward(ones(means.shape(), dtype));
    CHECK(allclose(x.grad().to(float64), full(x.shape(), 30 / (0x1p30 * 0x1p30), float64).to(dtype).to(float64), 1, 0));
    CHECK(max(x.grad()).template item<double>() > 0);
  }
  // One cut side, against a window that has none of it.
  const Tensor x = noise({1, 2, 6, 7}, dtype);
  CHECK(equal(max_pool2d(x, {100, 3}, {.stride = {1, 1}, .padding = {50, 1}}),
              expand(max_pool2d(x, {6, 3}, {.stride = {1, 1}, .padding = {0, 1}}), {1, 2, 7, 7})));
}

TEST_CASE("pools say what does not fit") {
  const Tensor x = zeros({1, 2, 4, 5});
  CHECK(thrown<ShapeError>([] {
          max_pool2d(zeros({4, 4}), 2);
        }) == "max_pool2d: expected x of shape (N, C, H, W) or (C, H, W), got (4, 4)");
  CHECK(thrown<ShapeError>([&] {
          avg_pool2d(x, {2, 6});
        }) ==
        "avg_pool2d: expected a kernel that fits the padded input, got x of shape (1, 2, 4, 5), kernel = (2, 6) and "
        "padding = (0, 0)");
  CHECK(thrown<ShapeError>([] {
          max_pool2d(zeros({1, 2, 0, 5}), 2, {.padding = 1});
        }).find("fits the padded input") != std::string::npos);
  CHECK(thrown<ValueError>([&] {
          max_pool2d(x, 2, {.padding = {0, 2}});
        }) == "max_pool2d: expected padding of at most half the kernel, got padding = (0, 2) and kernel = (2, 2)");
  CHECK(thrown<ValueError>([&] {
          max_pool2d(x, {0, 2});
        }) == "max_pool2d: expected kernel of at least 1 and below 2^31, got (0, 2)");
  CHECK(thrown<ValueError>([&] {
          avg_pool2d(x, 2, {.stride = {-1, 1}});
        }) == "avg_pool2d: expected stride of at least 1 and below 2^31, got (-1, 1)");
  CHECK(thrown<ValueError>([&] { max_pool2d(x, 2, {.stride = 0}); }) ==
        "max_pool2d: expected stride of at least 1 and below 2^31, got (0, 0)");
  CHECK(thrown<DTypeError>([&] {
          max_pool2d(zeros({1, 2, 4, 5}, int32), 2);
        }) == "max_pool2d: expected x of a floating-point dtype, got int32; convert with to()");
  CHECK(thrown<ValueError>([&] { avg_pool2d(Tensor(), 2); }) ==
        "avg_pool2d: expected a defined x, got an undefined tensor");
}

}  // namespace test_pooling
