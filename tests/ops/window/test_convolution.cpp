// Convolutions against plain loops in double, and the adjoints against each other.
#include <limpid/autograd/backward.hpp>
#include <limpid/ops/window/detail/im2col.hpp>

#include <limpid/tests/ops/window/plain_convolution.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_convolution {

using namespace limpid;
using namespace plain;

struct Case {
  int64_t n, c;
  Shape size;
  int64_t o;
  Shape kernel;
  ConvOptions options;

  Shape x() const { return joined({n, c}, size); }
  Shape weight() const { return joined({o, c / options.groups}, kernel); }
  int64_t taps() const { return kernel.numel(); }
};

const Case cases[] = {
    {2, 1, {28, 28}, 16, {3, 3}, {.padding = 1}},
    {2, 16, {14, 14}, 32, {3, 3}, {.padding = 1}},
    {1, 1, {1, 1}, 1, {1, 1}, {}},
    {3, 4, {5, 5}, 6, {1, 1}, {}},
    {2, 3, {9, 11}, 5, {3, 3}, {.stride = 2}},
    {2, 3, {9, 11}, 5, {2, 3}, {.stride = {1, 3}, .padding = {1, 2}}},
    {1, 5, {12, 13}, 7, {3, 3}, {.padding = 2, .dilation = 2}},
    {2, 4, {11, 9}, 4, {3, 2}, {.stride = {2, 1}, .padding = {0, 1}, .dilation = {1, 3}}},
    {2, 6, {8, 8}, 4, {3, 3}, {.padding = 1, .groups = 2}},
    {2, 8, {9, 9}, 8, {3, 3}, {.stride = 2, .padding = 1, .groups = 8}},
    {1, 32, {7, 7}, 64, {5, 5}, {.padding = 2, .groups = 4}},
    {1, 2, {4, 5}, 3, {4, 5}, {}},
    {1, 2, {3, 3}, 3, {5, 5}, {.padding = 1}},   // the window is wider than x
    {1, 2, {3, 3}, 3, {1, 1}, {.padding = 4}},   // windows that see padding alone
    {2, 3, {10, 10}, 2, {3, 3}, {.stride = 4}},  // rows and columns that no window sees
    {1, 3, {40, 300}, 2, {9, 9}, {.padding = 4}},
    {2, 3, {9, 10}, 4, {2, 4}, {.padding = Padding::same, .dilation = {1, 3}}},
    {2, 3, {20}, 4, {5}, {.padding = 2}},
    {1, 16, {300}, 16, {3}, {.stride = 2, .padding = 1}},
    {3, 6, {17}, 9, {4}, {.stride = 3, .padding = 5, .dilation = 2, .groups = 3}},
    {2, 5, {12}, 5, {4}, {.padding = Padding::same, .groups = 5}},
    {1, 8, {1000}, 4, {7}, {.dilation = 16}},
    {2, 3, {5, 6, 7}, 4, {3, 3, 3}, {.padding = 1}},
    {1, 4, {7, 5, 6}, 6, {2, 3, 1}, {.stride = {2, 1, 3}, .padding = {1, 0, 2}, .groups = 2}},
    {2, 2, {6, 7, 5}, 3, {2, 2, 3}, {.padding = {0, 2, 1}, .dilation = {2, 3, 1}}},
    {1, 16, {8, 8, 8}, 16, {3, 3, 3}, {.stride = 2, .padding = 1}},
    {1, 3, {4, 3, 5}, 2, {3, 2, 4}, {.padding = Padding::same}},
    {1, 8, {4, 6, 6}, 8, {3, 3, 3}, {.padding = 1, .groups = 8}},
};

Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const ConvOptions& options = {}) {
  return (x.dim() == 3 ? conv1d : x.dim() == 4 ? conv2d : conv3d)(x, weight, bias, options);
}

std::vector<double> plain_conv(const Case& k, const Tensor& x, const Tensor& weight, const Tensor& bias,
                               const Shape& ys) {
  const auto vx = values(x), vw = values(weight);
  const auto vb = bias.defined() ? values(bias) : std::vector<double>(static_cast<std::size_t>(k.o));
  const int64_t rank = k.size.dim(), in = k.c / k.options.groups, out = k.o / k.options.groups;
  const Numbers size(k.size), kernel(k.kernel), y_size(Shape(ys.begin() + 2, ys.end())),
      stride(k.options.stride, rank, 1), dilation(k.options.dilation, rank, 1);
  Numbers padding(k.options.padding.sizes(), rank, 0);
  if (k.options.padding.name() == Padding::same)
    for (int a = 0; a < 3; ++a) padding.of[a] = dilation.of[a] * (kernel.of[a] - 1) / 2;
  std::vector<double> y;
  for (int64_t n = 0; n < k.n; ++n)
    for (int64_t o = 0; o < k.o; ++o)
      for (int64_t p = 0; p < y_size.count(); ++p) {
        double sum = vb[static_cast<std::size_t>(o)];
        for (int64_t c = 0; c < in; ++c)
          for (int64_t t = 0; t < kernel.count(); ++t) {
            const auto window = y_size.place(p), tap = kernel.place(t);
            int64_t at = n * k.c + o / out * in + c;
            bool inside = true;
            for (std::size_t a = 0; a < 3; ++a) {
              const int64_t i = window[a] * stride.of[a] - padding.of[a] + tap[a] * dilation.of[a];
              inside = inside && i >= 0 && i < size.of[a];
              at = at * size.of[a] + i;
            }
            if (inside)
              sum += vx[static_cast<std::size_t>(at)] * vw[static_cast<std::size_t>((o * in + c) * kernel.count() + t)];
          }
        y.push_back(sum);
      }
  return y;
}

double scale(const Case& k) { return 2 * static_cast<double>(k.c / k.options.groups * k.taps() + 4); }

TEST_CASE("values of convolutions, in either format and dtype") {
  for (DType dtype : {float32, float64})
    for (const Case& k : cases)
      for (MemoryFormat format : formats)
        for (bool with_bias : {false, true}) {
          const Tensor x = noise(k.x(), dtype, format), weight = noise(k.weight(), dtype);
          const Tensor bias = with_bias ? noise({k.o}, dtype) : Tensor();
          CAPTURE(k.x(), k.weight(), dtype, with_bias, x.strides());
          const Tensor y = conv(x, weight, bias, k.options);
          CHECK(y.is_contiguous(x.memory_format()));
          CHECK(error(y, plain_conv(k, x, weight, bias, y.shape()), scale(k) * (1 + largest(x, weight))) <= 1);
        }
}

TEST_CASE("gradients of convolutions are their adjoints: <y, dy> = <x, dx> = <weight, dweight>") {
  for (DType dtype : {float32, float64})
    for (const Case& k : cases)
      for (MemoryFormat format : formats)
        for (MemoryFormat dy_format : formats) {
          const Tensor x = noise(k.x(), dtype, format), weight = noise(k.weight(), dtype);
          CAPTURE(k.x(), k.weight(), dtype, x.strides());
          const Tensor y = conv(x, weight, {}, k.options), dy = noise(y.shape(), dtype, dy_format);
          const Tensor dx = conv_input_grad(dy, weight, k.x(), k.options);
          const Tensor dweight = conv_weight_grad(x, dy, k.weight(), k.options);
          const double form = plain::dot(y, dy);
          const double tolerance = scale(k) * epsilon(dtype) * std::sqrt(static_cast<double>(y.numel())) * 4;
          CHECK(std::abs(plain::dot(x, dx) - form) <= tolerance);
          CHECK(std::abs(plain::dot(weight, dweight) - form) <= tolerance);
          CHECK(dx.is_contiguous(dy.memory_format()));
          CHECK(dweight.is_contiguous());
        }
}

TEST_CASE("float32 gradients of convolutions agree with float64's") {
  for (const Case& k : cases)
    for (MemoryFormat format : formats) {
      const Tensor x = noise(k.x(), float32, format), weight = noise(k.weight(), float32);
      const Tensor dy = noise(conv(x, weight, {}, k.options).shape(), float32, format);
      CAPTURE(k.x(), k.weight());
      const auto wide = [](const Tensor& t) { return detail::as_dtype(t, float64); };
      const double per_pixel = 2 * static_cast<double>(k.o * k.taps()) + 8;
      CHECK(error(conv_input_grad(dy, weight, k.x(), k.options),
                  values(conv_input_grad(wide(dy), wide(weight), k.x(), k.options)),
                  per_pixel * largest(dy, weight)) <= 1);
      const double per_weight = 2 * static_cast<double>(dy.numel() / k.o) + 8;
      CHECK(error(conv_weight_grad(x, dy, k.weight(), k.options),
                  values(conv_weight_grad(wide(x), wide(dy), k.weight(), k.options)),
                  per_weight * largest(x, dy)) <= 1);
    }
}

TEST_CASE("the fallback agrees with oneDNN") {
  const detail::ConvDims d{
      .n = 2,
      .c = 6,
      .o = 4,
      .groups = 2,
      .rank = 2,
      .axis = {detail::single_axis,
               {.size = 9, .kernel = 3, .out = 5, .stride = 2, .dilation = 1, .before = 1, .after = 1},
               {.size = 8, .kernel = 2, .out = 8, .stride = 1, .dilation = 2, .before = 1, .after = 1}}};
  const Tensor x = noise({2, 6, 9, 8}, float32), weight = noise({4, 3, 3, 2}, float32), bias = noise({4}, float32);
  const ConvOptions options{.stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .groups = 2};
  const Tensor expected = conv2d(x, weight, bias, options);
  const Tensor y = empty(expected.shape());
  detail::im2col::conv_forward(d, x.data<float>(), weight.data<float>(), bias.data<float>(), y.data<float>());
  CHECK(allclose(y, expected, 1e-5, 1e-5));
}

TEST_CASE("conv2d's backward gives the gradients asked for, in x's format") {
  for (MemoryFormat format : formats)
    for (int mask = 1; mask < 8; ++mask) {
      CAPTURE(mask);
      const ConvOptions options{.stride = 2, .padding = 1};
      Tensor xs[] = {noise({2, 3, 7, 6}, float64, format), noise({4, 3, 3, 3}, float64), noise({4}, float64)};
      Tensors wanted;
      for (int i = 0; i < 3; ++i)
        if (mask >> i & 1) wanted.push_back(xs[i].set_requires_grad());
      const Tensor y = conv2d(xs[0], xs[1], xs[2], options), dy = noise(y.shape(), float64, format);
      const Tensors dx = grad({y}, wanted, {dy});
      const double form = plain::dot(conv2d(xs[0].detach(), xs[1].detach(), {}, options), dy);
      std::size_t next = 0;
      for (int i = 0; i < 3; ++i)
        if (mask >> i & 1) {
          const Tensor g = dx[next++];
          REQUIRE(g.shape() == xs[i].shape());
          CHECK(g.is_contiguous(xs[i].memory_format()));
          CHECK(plain::dot(xs[i], g) == Approx(i == 2 ? plain::dot(y, dy) - form : form));
        }
    }
}

TEST_CASE("the three convolutions differentiate into each other") {
  const ConvOptions options{.stride = {2, 1}, .padding = 1, .groups = 2};
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
  CHECK(allclose(second[1], conv_weight_grad(v, dy.detach(), weight.shape(), options), 1e-12, 1e-12));
  const Tensors third = grad({first[1]}, {dy, x}, {u});
  CHECK(allclose(third[0], conv2d(x.detach(), u, {}, options), 1e-12, 1e-12));
  CHECK(allclose(third[1], conv_input_grad(dy.detach(), u, x.shape(), options), 1e-12, 1e-12));
}

TEST_CASE("convolutions and their gradients are the same for any number of threads") {
  // What a weight gradient is cut into: samples, rows, output channels, all of them.
  const Case large[] = {
      {64, 16, {28, 28}, 32, {3, 3}, {.padding = 1}},
      {64, 1, {28, 28}, 16, {3, 3}, {.padding = 1}},
      {1, 32, {96, 90}, 64, {3, 3}, {.stride = 2}},
      {3, 8, {60, 50}, 16, {9, 5}, {.padding = {4, 2}, .dilation = {3, 1}}},
      {1, 128, {7, 7}, 256, {3, 3}, {.padding = 1}},
      {2, 32, {28, 28}, 96, {1, 1}, {}},
      {5, 24, {19, 19}, 40, {5, 5}, {.groups = 2}},
      {1, 3, {64, 64}, 32, {1, 3}, {.padding = {40, 0}}},
      {4, 16, {700}, 32, {5}, {.padding = 2}},
      {1, 64, {2000}, 64, {3}, {.stride = 2}},
      {2, 16, {12, 14, 13}, 24, {3, 3, 3}, {.padding = 1}},
      {1, 8, {20, 9, 10}, 8, {2, 3, 3}, {.stride = {2, 1, 1}, .groups = 4}},
  };
  int number = 0;
  for (DType dtype : {float32, float64})
    for (const Case& k : large)
      for (MemoryFormat format : formats) {
        if (test::is_thinned_out(number++, 5)) continue;
        const Tensor x = noise(k.x(), dtype, format), weight = noise(k.weight(), dtype), bias = noise({k.o}, dtype);
        CAPTURE(k.x(), k.weight(), dtype, x.strides());
        const Tensor y = conv(x, weight, {}, k.options), dy = noise(y.shape(), dtype, format);
        check_threads([&]() -> Tensors {
          return {conv(x, weight, bias, k.options), conv_input_grad(dy, weight, k.x(), k.options),
                  conv_weight_grad(x, dy, k.weight(), k.options)};
        });
        const double form = plain::dot(y, dy);
        const double tolerance = scale(k) * epsilon(dtype) * std::sqrt(static_cast<double>(y.numel())) * 4;
        CHECK(std::abs(plain::dot(weight, conv_weight_grad(x, dy, k.weight(), k.options)) - form) <= tolerance);
      }
}

TEST_CASE("a weight gradient in parts is the whole one") {
  const Case parts[] = {
      {1, 4, {70, 40}, 40, {3, 3}, {.stride = {3, 1}, .padding = 1}},
      {3, 8, {60, 50}, 16, {9, 5}, {.padding = {4, 2}, .dilation = {3, 1}}},
      {1, 3, {64, 64}, 40, {1, 3}, {.padding = {40, 0}}},
      {11, 4, {30, 20}, 70, {3, 3}, {.groups = 2}},
      {1, 16, {9, 9}, 130, {3, 3}, {.padding = 1}},
      {1, 4, {17, 20, 21}, 40, {3, 2, 3}, {.stride = {2, 1, 1}, .padding = 1}},
      {2, 3, {9, 16, 20}, 33, {1, 3, 3}, {.padding = {3, 1, 1}}},
      {3, 8, {4000}, 40, {9}, {.padding = 4, .dilation = 2}},
  };
  for (const Case& k : parts)
    for (MemoryFormat format : formats) {
      const Tensor x = noise(k.x(), float32, format), weight = noise(k.weight(), float32);
      CAPTURE(k.x(), k.weight(), x.strides());
      const Tensor dy = noise(conv(x, weight, {}, k.options).shape(), float32, format);
      const auto wide = [](const Tensor& t) { return detail::as_dtype(t, float64); };
      CHECK(error(conv_weight_grad(x, dy, k.weight(), k.options),
                  values(conv_weight_grad(wide(x), wide(dy), k.weight(), k.options)),
                  (2 * static_cast<double>(dy.numel() / k.o) + 8) * largest(x, dy)) <= 1);
    }
}

// oneDNN's kernels for few channels err there.
TEST_CASE("weight gradients of volumes with several windows beginning before x") {
  const Case padded[] = {
      {1, 1, {3, 4, 4}, 1, {4, 3, 3}, {.stride = {2, 1, 1}, .padding = {3, 1, 1}}},
      {1, 3, {2, 4, 4}, 1, {4, 3, 3}, {.stride = {2, 1, 1}, .padding = {3, 1, 1}}},
      {2, 2, {5, 4, 6}, 5, {7, 3, 3}, {.stride = {2, 1, 1}, .padding = {6, 1, 1}}},
      {2, 3, {4, 5, 4}, 16, {5, 3, 2}, {.stride = {3, 2, 1}, .padding = {4, 1, 1}}},
  };
  for (const Case& k : padded)
    for (MemoryFormat format : formats) {
      const Tensor x = noise(k.x(), float32, format);
      CAPTURE(k.x(), k.weight(), x.strides());
      const Tensor dy = noise(conv(x, zeros(k.weight()), {}, k.options).shape(), float32, format);
      CHECK(allclose(conv_weight_grad(x, dy, k.weight(), k.options).to(float64),
                     conv_weight_grad(x.to(float64), dy.to(float64), k.weight(), k.options), 1e-5, 1e-5));
    }
  const Tensor sums = conv_weight_grad(ones({1, 1, 3, 4, 4}), ones({1, 1, 3, 4, 4}), {1, 1, 4, 3, 3},
                                       {.stride = {2, 1, 1}, .padding = {3, 1, 1}});
  CHECK(equal(flatten(narrow(narrow(sums, 3, 1, 1), 4, 1, 1), 0), tensor({16, 32, 16, 32}, float32)));
}

TEST_CASE("conv2d of nothing") {
  for (DType dtype : {float32, float64}) {
    CHECK(conv2d(zeros({0, 3, 8, 8}, dtype), zeros({4, 3, 3, 3}, dtype)).shape() == Shape{0, 4, 6, 6});
    CHECK(conv2d(zeros({2, 3, 8, 8}, dtype), zeros({0, 3, 3, 3}, dtype)).shape() == Shape{2, 0, 6, 6});
    const Tensor only_bias = conv2d(zeros({2, 0, 8, 8}, dtype), zeros({2, 0, 3, 3}, dtype), arange(2, dtype));
    CHECK(values(only_bias)[36] == 1);
    CHECK(values(only_bias)[71] == 1);
    CHECK(values(only_bias)[0] == 0);
    CHECK(equal(conv_weight_grad(zeros({0, 3, 8, 8}, dtype), zeros({0, 4, 6, 6}, dtype), {4, 3, 3, 3}),
                zeros({4, 3, 3, 3}, dtype)));
    CHECK(equal(conv_input_grad(zeros({2, 0, 6, 6}, dtype), zeros({0, 3, 3, 3}, dtype), {2, 3, 8, 8}),
                zeros({2, 3, 8, 8}, dtype)));
  }
}

TEST_CASE("conv2d says what does not fit") {
  const auto conv = [](const Shape& x, const Shape& weight, const ConvOptions& options = {}) {
    return [=] { conv2d(zeros(x), zeros(weight), {}, options); };
  };
  CHECK(thrown<ShapeError>(conv({8, 8}, {4, 3, 3, 3})) ==
        "conv2d: expected x of shape (N, C, H, W) or (C, H, W), got (8, 8)");
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
  // Of one sample, with the shape that it has.
  CHECK(thrown<ShapeError>(conv({3, 8, 8}, {4, 2, 3, 3})) ==
        "conv2d: expected x of shape (N, 2, H, W) or (2, H, W) for weight of shape (4, 2, 3, 3) and groups = 1, got "
        "(3, 8, 8)");
  CHECK(thrown<ShapeError>(conv({3, 4, 8}, {4, 3, 7, 3})) ==
        "conv2d: expected a kernel that fits the padded input, got x of shape (3, 4, 8), weight of shape "
        "(4, 3, 7, 3), padding = (0, 0) and dilation = (1, 1)");
  CHECK(thrown<ShapeError>([] {
          conv_transpose1d(zeros({3, 1}), zeros({3, 2, 1}), {}, {.padding = 1});
        }) ==
        "conv_transpose1d: expected a result of at least one element along each axis, got x of shape (3, 1), weight of "
        "shape (3, 2, 1), stride = 1, padding = 1 and dilation = 1");
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
        }) == "conv2d: expected x of a floating-point dtype, got uint8; convert with to()");
  CHECK(thrown<ValueError>([] {
          conv2d(zeros({1, 3, 8, 8}), Tensor());
        }) == "conv2d: expected a defined weight, got an undefined tensor");
  CHECK(thrown<ShapeError>([] {
          conv_input_grad(zeros({1, 4, 5, 6}), zeros({4, 3, 3, 3}), {1, 3, 8, 8});
        }) == "conv_input_grad: expected dy of shape (1, 4, 6, 6), got (1, 4, 5, 6)");
  CHECK(thrown<ShapeError>([] {
          conv_weight_grad(zeros({1, 3, 8, 8}), zeros({1, 4, 6, 5}), {4, 3, 3, 3});
        }) == "conv_weight_grad: expected dy of shape (1, 4, 6, 6), got (1, 4, 6, 5)");
  CHECK(thrown<ShapeError>([] {
          conv_weight_grad(zeros({1, 3}), zeros({1, 4}), {4, 3});
        }) ==
        "conv_weight_grad: expected weight of shape (O, C / groups, *kernel) with one to three axes of a kernel, got "
        "(4, 3)");
  CHECK(thrown<ShapeError>([] {
          conv1d(zeros({8}), zeros({4, 3, 3}));
        }) == "conv1d: expected x of shape (N, C, L) or (C, L), got (8,)");
  CHECK(thrown<ShapeError>([] {
          conv1d(zeros({3, 8}), zeros({4, 3, 3, 3}));
        }) == "conv1d: expected weight of shape (O, C / groups, K), got (4, 3, 3, 3)");
  CHECK(thrown<ShapeError>([] {
          conv3d(zeros({1, 3, 4, 4, 4}), zeros({4, 2, 1, 1, 1}));
        }) ==
        "conv3d: expected x of shape (N, 2, D, H, W) for weight of shape (4, 2, 1, 1, 1) and groups = 1, got "
        "(1, 3, 4, 4, 4)");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.stride = {1, 1, 1}})) ==
        "conv2d: expected stride of one number or of two, got (1, 1, 1)");
  CHECK(thrown<ValueError>([] {
          conv1d(zeros({1, 3, 8}), zeros({4, 3, 3}), {}, {.dilation = {1, 2}});
        }) == "conv1d: expected dilation of one number, got (1, 2)");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.stride = {1, 2}, .padding = Padding::same})) ==
        "conv2d: expected a stride of 1 with Padding::same, got (1, 2)");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {4, 3, 3, 3}, {.padding = static_cast<Padding>(7)})) ==
        "conv2d: expected Padding::valid or same, got Padding(7)");
}

TEST_CASE("Padding::same puts the odd one at the end") {
  const Tensor x = reshape(arange(1, 6, 1, float64), {1, 1, 5}), weight = reshape(tensor({1, 10}, float64), {1, 1, 2});
  CHECK(equal(conv1d(x, weight, {}, {.padding = Padding::same}),
              reshape(tensor({21, 32, 43, 54, 5}, float64), {1, 1, 5})));
  CHECK(equal(conv1d(x, weight, {}, {.padding = Padding::valid}), conv1d(x, weight)));
  CHECK(conv2d(ones({1, 1, 5, 4}), ones({1, 1, 4, 6}), {}, {.padding = Padding::same, .dilation = {3, 1}}).shape() ==
        Shape{1, 1, 5, 4});
}

TEST_CASE("weights may be expanded, and operands of any layout") {
  for (DType dtype : {float32, float64}) {
    const Tensor one = noise({1, 3, 3, 3}, dtype), weight = expand(one, {8, 3, 3, 3});
    const Tensor x = noise({2, 3, 9, 8}, dtype);
    CHECK(equal(conv2d(x, weight), conv2d(x, weight.clone())));
    CHECK(equal(conv_transpose2d(noise({1, 8, 4, 4}, dtype) * 0 + 1, weight),
                conv_transpose2d(ones({1, 8, 4, 4}, dtype), weight.clone())));
    CHECK(equal(conv2d(strided(x), strided(one)), conv2d(x, one)));
    const Tensor volume = noise({1, 2, 3, 4, 5}, dtype), cube = noise({3, 2, 2, 2, 2}, dtype);
    CHECK(allclose(conv3d(strided(volume), strided(cube)), conv3d(volume, cube), 1e-5, 1e-5));
  }
}

TEST_CASE("convolutions take one sample without a batch") {
  const Tensor signal = noise({3, 9}, float64), image = noise({3, 6, 7}, float64),
               volume = noise({3, 4, 5, 6}, float64);
  const Tensor w1 = noise({3, 2, 3}, float64), w2 = noise({3, 2, 3, 2}, float64), w3 = noise({3, 2, 2, 3, 2}, float64);
  const auto same = [](const Tensor& y, const Tensor& batch) { return equal(unsqueeze(y, 0), batch); };
  const auto turned = [](const Tensor& w) { return transpose(w, 0, 1); };
  CHECK(same(conv1d(signal, turned(w1)), conv1d(unsqueeze(signal, 0), turned(w1))));
  CHECK(same(conv2d(image, turned(w2)), conv2d(unsqueeze(image, 0), turned(w2))));
  CHECK(same(conv3d(volume, turned(w3)), conv3d(unsqueeze(volume, 0), turned(w3))));
  CHECK(same(conv_transpose1d(signal, w1), conv_transpose1d(unsqueeze(signal, 0), w1)));
  CHECK(same(conv_transpose2d(image, w2), conv_transpose2d(unsqueeze(image, 0), w2)));
  CHECK(same(conv_transpose3d(volume, w3), conv_transpose3d(unsqueeze(volume, 0), w3)));
  const Tensor leaf = image.clone().set_requires_grad();
  CHECK(grad({sum(conv2d(leaf, turned(w2)))}, {leaf})[0].shape() == Shape{3, 6, 7});
}

// A convolution of rank 1 to 3 with its sizes, and whether it is a transposed one.
struct HalfCase {
  Shape x, weight;
  ConvOptions options;
  bool transposed = false;
};
const HalfCase half_cases[] = {
    {{2, 32, 20, 20}, {48, 32, 3, 3}, {.padding = 1}},
    {{2, 3, 33, 30}, {16, 3, 5, 5}, {.stride = 2, .padding = 2}},
    {{3, 16, 17, 19}, {16, 16, 3, 3}, {.padding = 2, .dilation = 2}},
    {{2, 32, 16, 16}, {64, 8, 3, 3}, {.padding = 1, .groups = 4}},
    {{2, 32, 16, 16}, {32, 1, 3, 3}, {.padding = 1, .groups = 32}},
    {{4, 64, 16, 16}, {64, 64, 1, 1}, {}},
    {{1, 7, 9, 8}, {5, 7, 3, 2}, {.stride = {2, 1}}},
    {{2, 4, 12, 12}, {4, 4, 3, 3}, {.stride = 4}},  // goes on beyond all windows
    {{2, 16, 100}, {24, 16, 5}, {.padding = 2}},
    {{2, 8, 9, 10, 11}, {16, 8, 3, 3, 3}, {.padding = 1}},
    {{1, 3, 12, 9, 9}, {8, 3, 5, 3, 3}, {.stride = 2, .padding = {3, 1, 1}}},
    {{2, 32, 12, 12}, {32, 16, 3, 3}, {.stride = 2, .padding = 1}, true},
    {{2, 6, 9}, {6, 4, 4}, {.stride = 3}, true},
};

Tensor run(const HalfCase& c, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const auto& [stride, padding, dilation, groups] = c.options;
  if (c.transposed) {
    const ConvTransposeOptions options{.stride = stride, .padding = padding.sizes(), .groups = groups};
    return x.dim() == 3 ? conv_transpose1d(x, weight, bias, options) : conv_transpose2d(x, weight, bias, options);
  }
  return x.dim() == 3   ? conv1d(x, weight, bias, c.options)
         : x.dim() == 4 ? conv2d(x, weight, bias, c.options)
                        : conv3d(x, weight, bias, c.options);
}

TEST_CASE("convolutions of half precision and their gradients are sums of float32, rounded once") {
  const int threads = get_num_threads();
  for (const HalfCase& c : half_cases)
    for (const DType half : {bfloat16, float16})
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
        CAPTURE(c.x, c.weight, half, format == MemoryFormat::channels_last);
        const int64_t outs = c.transposed ? c.weight[1] : c.weight[0];
        Tensors xs{noise(c.x, float32).to(half).contiguous(format), noise(c.weight, float32).to(half),
                   noise({outs}, float32).to(half)},
            wide;
        for (Tensor& x : xs) {
          x = x.detach().set_requires_grad();
          wide.push_back(x.detach().to(float32).set_requires_grad());
        }
        Tensors expected;
        for (const int count : {1, 2, 3}) {
          set_num_threads(count);
          const Tensor y = run(c, xs[0], xs[1], xs[2]), z = run(c, wide[0], wide[1], wide[2]);
          const Tensor dy = noise(y.shape(), float32).to(half);
          const Tensors dx = grad({y}, xs, {count == 1 ? dy : expected[4]}),
                        dz = grad({z}, wide, {(count == 1 ? dy : expected[4]).to(float32)});
          const Tensors got{y.detach(), dx[0], dx[1], dx[2]}, exact{z.detach(), dz[0], dz[1], dz[2]};
          CHECK(y.memory_format() == z.memory_format());
          if (expected.empty()) {
            expected = got;
            expected.push_back(dy);
          }
          for (std::size_t i = 0; i < got.size(); ++i) {
            CAPTURE(i);
            const double scale = max(abs(exact[i])).item<double>();
            CHECK(got[i].dtype() == half);
            CHECK(allclose(got[i].to(float32), exact[i], 0x1p-8, scale * 1e-5));
            CHECK(equal(got[i], expected[i]));
          }
        }
      }
  set_num_threads(threads);
}

TEST_CASE("half precision is added in float32 and rounded once") {
  for (DType half : {bfloat16, float16}) {
    Tensors xs{noise({2, 64, 9, 8}, float32).to(half), noise({4, 64, 3, 3}, float32).to(half),
               noise({4}, float32).to(half)};
    for (Tensor& x : xs) x.set_requires_grad();
    const Tensor y = conv2d(xs[0], xs[1], xs[2], {.padding = 1});
    const Tensor wide =
        conv2d(xs[0].detach().to(float32), xs[1].detach().to(float32), xs[2].detach().to(float32), {.padding = 1});
    CHECK(y.dtype() == half);
    // oneDNN adds products of bfloat16 in an order of its own.
    if (half == bfloat16)
      CHECK(allclose(y.detach().to(float32), wide, 0x1p-8, 1e-4));
    else
      CHECK(equal(y.detach(), wide.to(half)));
    for (const Tensor& dx : grad({y}, xs, {ones(y.shape(), half)})) CHECK(dx.dtype() == half);
    CHECK(conv_transpose3d(ones({1, 2, 2, 2, 2}, half), ones({2, 1, 2, 2, 2}, half)).dtype() == half);
    CHECK(conv_input_grad(ones({1, 4, 7, 6}, half), ones({4, 3, 3, 3}, half), {1, 3, 9, 8}).dtype() == half);
    CHECK(conv_weight_grad(ones({1, 3, 9, 8}, half), ones({1, 4, 7, 6}, half), {4, 3, 3, 3}).dtype() == half);
  }
  CHECK(thrown<DTypeError>([] {
          conv1d(zeros({1, 3, 8}, float16), zeros({4, 3, 3}));
        }) == "conv1d: expected x and weight of one dtype, got float16 and float32; convert with to()");
}

TEST_CASE("convolutions of nothing have sizes, and gradients of zero") {
  CHECK(conv1d(zeros({0, 3, 8}), zeros({4, 3, 3})).shape() == Shape{0, 4, 6});
  CHECK(conv3d(zeros({0, 3, 4, 4, 4}), zeros({4, 3, 2, 2, 2})).shape() == Shape{0, 4, 3, 3, 3});
  const Tensor x = zeros({0, 3, 8}).set_requires_grad(), weight = ones({3, 2, 3}).set_requires_grad(),
               bias = ones({2}).set_requires_grad();
  const Tensor y = conv_transpose1d(x, weight, bias);
  CHECK(y.shape() == Shape{0, 2, 10});
  const Tensors dx = grad({y}, {x, weight, bias}, {y.detach()});
  CHECK(dx[0].shape() == x.shape());
  CHECK(equal(dx[1], zeros({3, 2, 3})));
  CHECK(equal(dx[2], zeros({2})));
  // Without input channels there is the bias alone.
  CHECK(equal(conv_transpose2d(zeros({1, 0, 2, 2}), zeros({0, 2, 2, 2}), tensor({3, 4})),
              cat({full({1, 1, 3, 3}, 3), full({1, 1, 3, 3}, 4)}, 1)));
}

}  // namespace test_convolution
