// Convolutions against plain loops in double, and the adjoints against each other.
#include <limpid/autograd/backward.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/window.hpp>
#include <limpid/ops/window/detail/im2col.hpp>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/thinned.hpp>

using namespace limpid;
using namespace plain;

namespace {

struct Case {
  int64_t n, c, h, w, o;
  Size2d kernel;
  Conv2dOptions options;

  Shape x() const { return {n, c, h, w}; }
  Shape weight() const { return {o, c / options.groups, kernel.h, kernel.w}; }
};

const Case cases[] = {
    {2, 1, 28, 28, 16, 3, {.padding = 1}},
    {2, 16, 14, 14, 32, 3, {.padding = 1}},
    {1, 1, 1, 1, 1, 1, {}},
    {3, 4, 5, 5, 6, 1, {}},
    {2, 3, 9, 11, 5, 3, {.stride = 2}},
    {2, 3, 9, 11, 5, {2, 3}, {.stride = {1, 3}, .padding = {1, 2}}},
    {1, 5, 12, 13, 7, 3, {.padding = 2, .dilation = 2}},
    {2, 4, 11, 9, 4, {3, 2}, {.stride = {2, 1}, .padding = {0, 1}, .dilation = {1, 3}}},
    {2, 6, 8, 8, 4, 3, {.padding = 1, .groups = 2}},
    {2, 8, 9, 9, 8, 3, {.stride = 2, .padding = 1, .groups = 8}},
    {1, 32, 7, 7, 64, 5, {.padding = 2, .groups = 4}},
    {1, 2, 4, 5, 3, {4, 5}, {}},
    {1, 2, 3, 3, 3, 5, {.padding = 1}},   // the window is wider than x
    {1, 2, 3, 3, 3, 1, {.padding = 4}},   // windows that see padding alone
    {2, 3, 10, 10, 2, 3, {.stride = 4}},  // rows and columns that no window sees
    {1, 3, 40, 300, 2, {9, 9}, {.padding = 4}},
};

std::vector<double> plain_conv(const Case& k, const Tensor& x, const Tensor& weight, const Tensor& bias,
                               const Shape& ys) {
  const auto vx = values(x), vw = values(weight);
  const auto vb = bias.defined() ? values(bias) : std::vector<double>(static_cast<std::size_t>(k.o));
  const auto& [stride, padding, dilation, groups] = k.options;
  const int64_t in = k.c / groups, out = k.o / groups;
  std::vector<double> y;
  for (int64_t n = 0; n < k.n; ++n)
    for (int64_t o = 0; o < k.o; ++o)
      for (int64_t p = 0; p < ys[2]; ++p)
        for (int64_t q = 0; q < ys[3]; ++q) {
          double sum = vb[static_cast<std::size_t>(o)];
          for (int64_t c = 0; c < in; ++c)
            for (int64_t i = 0; i < k.kernel.h; ++i)
              for (int64_t j = 0; j < k.kernel.w; ++j) {
                const int64_t h = p * stride.h - padding.h + i * dilation.h,
                              w = q * stride.w - padding.w + j * dilation.w;
                if (h < 0 || h >= k.h || w < 0 || w >= k.w) continue;
                const int64_t channel = o / out * in + c;
                sum += vx[static_cast<std::size_t>(((n * k.c + channel) * k.h + h) * k.w + w)] *
                       vw[static_cast<std::size_t>(((o * in + c) * k.kernel.h + i) * k.kernel.w + j)];
              }
          y.push_back(sum);
        }
  return y;
}

/// No product of an element of a and one of b is above it.
double largest(const Tensor& a, const Tensor& b) { return max(abs(a)).item<double>() * max(abs(b)).item<double>(); }

double scale(const Case& k) { return 2 * static_cast<double>(k.c / k.options.groups * k.kernel.h * k.kernel.w + 4); }

constexpr MemoryFormat formats[] = {MemoryFormat::contiguous, MemoryFormat::channels_last};

}  // namespace

TEST_CASE("conv2d's values, in either format and dtype") {
  for (DType dtype : {float32, float64})
    for (const Case& k : cases)
      for (MemoryFormat format : formats)
        for (bool with_bias : {false, true}) {
          const Tensor x = noise(k.x(), dtype, format), weight = noise(k.weight(), dtype);
          const Tensor bias = with_bias ? noise({k.o}, dtype) : Tensor();
          CAPTURE(k.x(), k.weight(), dtype, with_bias, x.strides());
          const Tensor y = conv2d(x, weight, bias, k.options);
          CHECK(y.is_contiguous(x.memory_format()));
          CHECK(error(y, plain_conv(k, x, weight, bias, y.shape()), scale(k) * (1 + largest(x, weight))) <= 1);
        }
}

TEST_CASE("conv2d's gradients are its adjoints: <y, dy> = <x, dx> = <weight, dweight>") {
  for (DType dtype : {float32, float64})
    for (const Case& k : cases)
      for (MemoryFormat format : formats)
        for (MemoryFormat dy_format : formats) {
          const Tensor x = noise(k.x(), dtype, format), weight = noise(k.weight(), dtype);
          CAPTURE(k.x(), k.weight(), dtype, x.strides());
          const Tensor y = conv2d(x, weight, {}, k.options), dy = noise(y.shape(), dtype, dy_format);
          const Tensor dx = conv2d_input_grad(dy, weight, k.x(), k.options);
          const Tensor dweight = conv2d_weight_grad(x, dy, k.weight(), k.options);
          const double form = dot(y, dy);
          const double tolerance = scale(k) * epsilon(dtype) * std::sqrt(static_cast<double>(y.numel())) * 4;
          CHECK(std::abs(dot(x, dx) - form) <= tolerance);
          CHECK(std::abs(dot(weight, dweight) - form) <= tolerance);
          CHECK(dx.is_contiguous(dy.memory_format()));
          CHECK(dweight.is_contiguous());
        }
}

TEST_CASE("float32 gradients of conv2d agree with float64's") {
  for (const Case& k : cases)
    for (MemoryFormat format : formats) {
      const Tensor x = noise(k.x(), float32, format), weight = noise(k.weight(), float32);
      const Tensor dy = noise(conv2d(x, weight, {}, k.options).shape(), float32, format);
      CAPTURE(k.x(), k.weight());
      const auto wide = [](const Tensor& t) { return detail::as_dtype(t, float64); };
      const double per_pixel = 2 * static_cast<double>(k.o * k.kernel.h * k.kernel.w) + 8;
      CHECK(error(conv2d_input_grad(dy, weight, k.x(), k.options),
                  values(conv2d_input_grad(wide(dy), wide(weight), k.x(), k.options)),
                  per_pixel * largest(dy, weight)) <= 1);
      const double per_weight = 2 * static_cast<double>(dy.numel() / k.o) + 8;
      CHECK(error(conv2d_weight_grad(x, dy, k.weight(), k.options),
                  values(conv2d_weight_grad(wide(x), wide(dy), k.weight(), k.options)),
                  per_weight * largest(x, dy)) <= 1);
    }
}

TEST_CASE("the fallback agrees with oneDNN") {
  const detail::ConvDims d{.n = 2,
                           .c = 6,
                           .h = 9,
                           .w = 8,
                           .o = 4,
                           .kh = 3,
                           .kw = 2,
                           .oh = 5,
                           .ow = 8,
                           .stride_h = 2,
                           .stride_w = 1,
                           .padding_h = 1,
                           .padding_w = 1,
                           .dilation_h = 1,
                           .dilation_w = 2,
                           .groups = 2};
  const Tensor x = noise({2, 6, 9, 8}, float32), weight = noise({4, 3, 3, 2}, float32), bias = noise({4}, float32);
  const Conv2dOptions options{.stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .groups = 2};
  const Tensor expected = conv2d(x, weight, bias, options);
  const Tensor y = empty(expected.shape());
  detail::im2col::conv_forward(d, x.data<float>(), weight.data<float>(), bias.data<float>(), y.data<float>());
  CHECK(allclose(y, expected, 1e-5, 1e-5));
}

TEST_CASE("conv2d's backward gives the gradients asked for, in x's format") {
  for (MemoryFormat format : formats)
    for (int mask = 1; mask < 8; ++mask) {
      CAPTURE(mask);
      const Conv2dOptions options{.stride = 2, .padding = 1};
      Tensor xs[] = {noise({2, 3, 7, 6}, float64, format), noise({4, 3, 3, 3}, float64), noise({4}, float64)};
      Tensors wanted;
      for (int i = 0; i < 3; ++i)
        if (mask >> i & 1) wanted.push_back(xs[i].set_requires_grad());
      const Tensor y = conv2d(xs[0], xs[1], xs[2], options), dy = noise(y.shape(), float64, format);
      const Tensors dx = grad({y}, wanted, {dy});
      const double form = dot(conv2d(xs[0].detach(), xs[1].detach(), {}, options), dy);
      std::size_t next = 0;
      for (int i = 0; i < 3; ++i)
        if (mask >> i & 1) {
          const Tensor g = dx[next++];
          REQUIRE(g.shape() == xs[i].shape());
          CHECK(g.is_contiguous(xs[i].memory_format()));
          CHECK(dot(xs[i], g) == Approx(i == 2 ? dot(y, dy) - form : form));
        }
    }
}

TEST_CASE("the three convolutions differentiate into each other") {
  const Conv2dOptions options{.stride = {2, 1}, .padding = 1, .groups = 2};
  Tensor x = noise({2, 4, 6, 5}, float64), weight = noise({6, 2, 3, 3}, float64);
  x.set_requires_grad();
  weight.set_requires_grad();
  const Tensor y = conv2d(x, weight, {}, options);
  Tensor dy = noise(y.shape(), float64);
  dy.set_requires_grad();
  const Tensors first = grad({y}, {x, weight}, {dy}, {.create_graph = true});
  const Tensor v = noise(x.shape(), float64), u = noise(weight.shape(), float64);
  // <dx, v> is <conv2d(v, weight), dy>, and <dweight, u> is <conv2d(x, u), dy>.
  const Tensors second = grad({first[0]}, {dy, weight}, {v}, {.retain_graph = true});
  CHECK(allclose(second[0], conv2d(v, weight.detach(), {}, options), 1e-12, 1e-12));
  CHECK(allclose(second[1], conv2d_weight_grad(v, dy.detach(), weight.shape(), options), 1e-12, 1e-12));
  const Tensors third = grad({first[1]}, {dy, x}, {u});
  CHECK(allclose(third[0], conv2d(x.detach(), u, {}, options), 1e-12, 1e-12));
  CHECK(allclose(third[1], conv2d_input_grad(dy.detach(), u, x.shape(), options), 1e-12, 1e-12));
}

TEST_CASE("conv2d and its gradients are the same for any number of threads") {
  // What a weight gradient is cut into: samples, rows, output channels, all of them.
  const Case large[] = {
      {64, 16, 28, 28, 32, 3, {.padding = 1}}, {64, 1, 28, 28, 16, 3, {.padding = 1}},
      {1, 32, 96, 90, 64, 3, {.stride = 2}},   {3, 8, 60, 50, 16, {9, 5}, {.padding = {4, 2}, .dilation = {3, 1}}},
      {1, 128, 7, 7, 256, 3, {.padding = 1}},  {2, 32, 28, 28, 96, 1, {}},
      {5, 24, 19, 19, 40, 5, {.groups = 2}},   {1, 3, 64, 64, 32, {1, 3}, {.padding = {40, 0}}},
  };
  int number = 0;
  for (DType dtype : {float32, float64})
    for (const Case& k : large)
      for (MemoryFormat format : formats) {
        if (test::is_thinned_out(number++, 5)) continue;
        const Tensor x = noise(k.x(), dtype, format), weight = noise(k.weight(), dtype), bias = noise({k.o}, dtype);
        CAPTURE(k.x(), k.weight(), dtype, x.strides());
        const Tensor y = conv2d(x, weight, {}, k.options), dy = noise(y.shape(), dtype, format);
        check_threads([&]() -> Tensors {
          return {conv2d(x, weight, bias, k.options), conv2d_input_grad(dy, weight, k.x(), k.options),
                  conv2d_weight_grad(x, dy, k.weight(), k.options)};
        });
        const double form = dot(y, dy);
        const double tolerance = scale(k) * epsilon(dtype) * std::sqrt(static_cast<double>(y.numel())) * 4;
        CHECK(std::abs(dot(weight, conv2d_weight_grad(x, dy, k.weight(), k.options)) - form) <= tolerance);
      }
}

TEST_CASE("a weight gradient in parts is the whole one") {
  const Case parts[] = {
      {1, 4, 70, 40, 40, 3, {.stride = {3, 1}, .padding = 1}},
      {3, 8, 60, 50, 16, {9, 5}, {.padding = {4, 2}, .dilation = {3, 1}}},
      {1, 3, 64, 64, 40, {1, 3}, {.padding = {40, 0}}},
      {11, 4, 30, 20, 70, 3, {.groups = 2}},
      {1, 16, 9, 9, 130, 3, {.padding = 1}},
  };
  for (const Case& k : parts)
    for (MemoryFormat format : formats) {
      const Tensor x = noise(k.x(), float32, format), weight = noise(k.weight(), float32);
      CAPTURE(k.x(), k.weight(), x.strides());
      const Tensor dy = noise(conv2d(x, weight, {}, k.options).shape(), float32, format);
      const auto wide = [](const Tensor& t) { return detail::as_dtype(t, float64); };
      CHECK(error(conv2d_weight_grad(x, dy, k.weight(), k.options),
                  values(conv2d_weight_grad(wide(x), wide(dy), k.weight(), k.options)),
                  (2 * static_cast<double>(dy.numel() / k.o) + 8) * largest(x, dy)) <= 1);
    }
}

TEST_CASE("conv2d of nothing") {
  for (DType dtype : {float32, float64}) {
    CHECK(conv2d(zeros({0, 3, 8, 8}, dtype), zeros({4, 3, 3, 3}, dtype)).shape() == Shape{0, 4, 6, 6});
    CHECK(conv2d(zeros({2, 3, 8, 8}, dtype), zeros({0, 3, 3, 3}, dtype)).shape() == Shape{2, 0, 6, 6});
    const Tensor only_bias = conv2d(zeros({2, 0, 8, 8}, dtype), zeros({2, 0, 3, 3}, dtype), arange(2, dtype));
    CHECK(values(only_bias)[36] == 1);
    CHECK(values(only_bias)[71] == 1);
    CHECK(values(only_bias)[0] == 0);
    CHECK(equal(conv2d_weight_grad(zeros({0, 3, 8, 8}, dtype), zeros({0, 4, 6, 6}, dtype), {4, 3, 3, 3}),
                zeros({4, 3, 3, 3}, dtype)));
    CHECK(equal(conv2d_input_grad(zeros({2, 0, 6, 6}, dtype), zeros({0, 3, 3, 3}, dtype), {2, 3, 8, 8}),
                zeros({2, 3, 8, 8}, dtype)));
  }
}

TEST_CASE("conv2d says what does not fit") {
  const auto conv = [](const Shape& x, const Shape& weight, const Conv2dOptions& options = {}) {
    return [=] { conv2d(zeros(x), zeros(weight), {}, options); };
  };
  CHECK(thrown<ShapeError>(conv({3, 8, 8}, {4, 3, 3, 3})) == "conv2d: expected x of shape (N, C, H, W), got (3, 8, 8)");
  CHECK(thrown<ShapeError>(conv({1, 3, 8, 8}, {4, 3, 3})) ==
        "conv2d: expected weight of shape (O, C / groups, KH, KW), got (4, 3, 3)");
  CHECK(thrown<ShapeError>(conv({1, 3, 8, 8}, {4, 2, 3, 3})) ==
        "conv2d: expected x of shape (N, 2, H, W) for weight of shape (4, 2, 3, 3) and groups = 1, got (1, 3, 8, 8)");
  CHECK(thrown<ShapeError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.groups = 2})) ==
        "conv2d: expected x of shape (N, 6, H, W) for weight of shape (4, 3, 3, 3) and groups = 2, got (1, 3, 8, 8)");
  CHECK(thrown<ShapeError>(conv({1, 6, 8, 8}, {5, 3, 3, 3}, {.groups = 2})) ==
        "conv2d: expected output channels divisible by groups, got weight of shape (5, 3, 3, 3) and groups = 2");
  CHECK(thrown<ShapeError>(conv({1, 3, 4, 8}, {4, 3, 7, 3}, {.padding = {1, 0}})) ==
        "conv2d: expected a kernel that fits the padded input, got x of shape (1, 3, 4, 8), weight of shape "
        "(4, 3, 7, 3), padding = (1, 0) and dilation = (1, 1)");
  CHECK(thrown<ShapeError>(conv({1, 3, 4, 8}, {4, 3, 0, 3})).find("fits the padded input") != std::string::npos);
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.stride = {0, 1}})) ==
        "conv2d: expected stride of at least 1 and below 2^31, got (0, 1)");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.padding = -1})) ==
        "conv2d: expected padding of at least 0 and below 2^31, got (-1, -1)");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.dilation = int64_t{1} << 40})) ==
        "conv2d: expected dilation of at least 1 and below 2^31, got (1099511627776, 1099511627776)");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.groups = 0})) ==
        "conv2d: expected groups from 1 to the number of output channels, got weight of shape (4, 3, 3, 3) and groups "
        "= 0");
  CHECK(thrown<ShapeError>([] {
          conv2d(zeros({1, 3, 8, 8}), zeros({4, 3, 3, 3}), zeros({3}));
        }) == "conv2d: expected bias of shape (4,), got (3,)");
  CHECK(thrown<DTypeError>([] {
          conv2d(zeros({1, 3, 8, 8}, uint8), zeros({4, 3, 3, 3}));
        }) == "conv2d: expected x of float32 or float64, got uint8; convert with to()");
  CHECK(thrown<ValueError>([] {
          conv2d(zeros({1, 3, 8, 8}), Tensor());
        }) == "conv2d: expected a defined weight, got an undefined tensor");
  CHECK(thrown<ShapeError>([] {
          conv2d_input_grad(zeros({1, 4, 5, 6}), zeros({4, 3, 3, 3}), {1, 3, 8, 8});
        }) == "conv2d_input_grad: expected dy of shape (1, 4, 6, 6), got (1, 4, 5, 6)");
  CHECK(thrown<ShapeError>([] {
          conv2d_weight_grad(zeros({1, 3, 8, 8}), zeros({1, 4, 6, 5}), {4, 3, 3, 3});
        }) == "conv2d_weight_grad: expected dy of shape (1, 4, 6, 6), got (1, 4, 6, 5)");
}
