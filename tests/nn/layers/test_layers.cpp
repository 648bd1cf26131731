#include <limpid/limpid.hpp>

#include <cmath>

#include "../../catch.hpp"
#include "../printed.hpp"

namespace test_layers {

using namespace limpid;

double largest(const Tensor& x) { return max(abs(x.detach())).item<double>(); }
double spread(const Tensor& x) { return stddev(x.detach()).item<double>(); }

TEST_CASE("Linear and Conv2d begin as PyTorch's do") {
  manual_seed(1);
  const nn::Linear linear(64, 128);
  CHECK(linear.weight.shape() == Shape{128, 64});
  CHECK(largest(linear.weight) <= 0.125);
  CHECK(largest(linear.weight) > 0.12);
  CHECK(spread(linear.weight) == Approx(0.125 / std::sqrt(3)).epsilon(0.03));
  CHECK(largest(linear.bias) <= 0.125);
  CHECK(largest(linear.bias) > 0.11);
  const nn::Conv2d conv(8, 32, {3, 2}, {.groups = 2});
  CHECK(conv.weight.shape() == Shape{32, 4, 3, 2});
  CHECK(spread(conv.weight) == Approx(1 / std::sqrt(3 * 24.0)).epsilon(0.06));
  CHECK(largest(conv.bias) <= 1 / std::sqrt(24.0));
  CHECK_FALSE(nn::Linear(2, 2, {.bias = false}).bias.defined());
  CHECK_FALSE(nn::Conv2d(2, 2, 1, {.bias = false}).bias.defined());
}

TEST_CASE("options that fit no input are refused where the layer is made") {
  CHECK_THROWS_WITH(nn::MaxPool2d(2, {.padding = 2}),
                    "MaxPool2d: expected padding of at most half the kernel, got padding = (2, 2) and kernel = (2, 2)");
  CHECK_THROWS_WITH(nn::AvgPool2d({4, 3}, {.padding = {2, 2}}),
                    "AvgPool2d: expected padding of at most half the kernel, got padding = (2, 2) and kernel = (4, 3)");
  CHECK_NOTHROW(nn::MaxPool2d(2, {.padding = 1}));
  CHECK_THROWS_WITH(nn::Flatten(2, 1), "Flatten: expected first at or before last, got axes 2 and 1");
  CHECK_THROWS_WITH(nn::Flatten(-1, -2), "Flatten: expected first at or before last, got axes -1 and -2");
  CHECK_NOTHROW(nn::Flatten(2, -3));  // one axis of four
}

TEST_CASE("one seed gives one network") {
  manual_seed(4);
  const nn::Linear a(3, 3);
  manual_seed(4);
  const nn::Linear b(3, 3);
  CHECK(equal(a.weight.detach(), b.weight.detach()));
  CHECK(equal(a.bias.detach(), b.bias.detach()));
}

TEST_CASE("layers draw from the generator given") {
  manual_seed(4);
  const Tensor next = rand({4});
  manual_seed(4);
  const auto check = [](const auto& make) {
    Generator same(9), twin(9), other(10);
    const TensorMap a = make(&same).state_dict(), b = make(&twin).state_dict(), c = make(&other).state_dict();
    for (const auto& [name, tensor] : a) {
      CHECK(equal(tensor, b.at(name)));
      CHECK_FALSE(equal(tensor, c.at(name)));
    }
    CHECK(same.advance(0) > 0);
  };
  check([](Generator* g) { return nn::Linear(5, 3, {.generator = g}); });
  check([](Generator* g) { return nn::Conv2d(2, 3, 3, {.generator = g}); });
  check([](Generator* g) { return nn::Embedding(5, 3, {.generator = g}); });
  Generator one(3), two(3);
  const Tensor x = ones({100});
  CHECK(equal(nn::Dropout(0.5, {.generator = &one})(x), nn::Dropout(0.5, {.generator = &two})(x)));
  CHECK(one.advance(0) > 0);
  CHECK(equal(rand({4}), next));  // the default generator has not moved
}

TEST_CASE("a lone option may be given as a number") {
  const Tensor x = randn({10});
  CHECK(equal(nn::LeakyReLU({.negative_slope = 0.2})(x), nn::LeakyReLU(0.2)(x)));
  CHECK(equal(nn::ELU({.alpha = 2})(x), nn::ELU(2)(x)));
  CHECK(equal(nn::Softplus({.beta = 2})(x), nn::Softplus(2)(x)));
  CHECK(equal(nn::LeakyReLU()(x), leaky_relu(x)));
}

TEST_CASE("braces stand for what is in them") {
  const Tensor x = randn({1, 1, 6, 6});
  CHECK(equal(nn::LeakyReLU({})(x), nn::LeakyReLU()(x)));
  CHECK(equal(nn::ELU({})(x), nn::ELU()(x)));
  CHECK(equal(nn::Softplus({})(x), nn::Softplus()(x)));
  CHECK(equal(nn::MaxPool2d({2})(x), nn::MaxPool2d(2)(x)));
  CHECK(equal(nn::MaxPool2d({2}, {.stride = {1}})(x), nn::MaxPool2d(2, {.stride = 1})(x)));
  CHECK(equal(nn::AvgPool2d({3})(x), nn::AvgPool2d(3)(x)));
  CHECK(equal(nn::AdaptiveAvgPool2d({2})(x), nn::AdaptiveAvgPool2d(2)(x)));
  CHECK(equal(nn::ReflectionPad2d({1})(x), nn::ReflectionPad2d(1)(x)));
  CHECK(equal(nn::Upsample({2})(x), nn::Upsample(2)(x)));
}

TEST_CASE("pools move by their kernel where no stride is given") {
  const Tensor x = randn({1, 1, 6, 6});
  CHECK(equal(nn::MaxPool2d({2, 3})(x), max_pool2d(x, {2, 3})));
  CHECK(nn::MaxPool2d({2, 3})(x).shape() == Shape{1, 1, 3, 2});
  CHECK(nn::AvgPool2d({2, 3}, {.stride = 1})(x).shape() == Shape{1, 1, 5, 4});
  CHECK(nn::MaxPool2d(2, {.stride = {1, 2}})(x).shape() == Shape{1, 1, 5, 3});
  CHECK(nn::MaxPool2d(2, {.stride = std::nullopt})(x).shape() == Shape{1, 1, 3, 3});
}

TEST_CASE("layers compute what the functions of their names do") {
  const Tensor x = randn({2, 4, 6, 6});
  const nn::Conv2d conv(4, 2, 3, {.stride = 2, .padding = 1, .dilation = 2, .groups = 2});
  CHECK(equal(conv(x).detach(), conv2d(x, conv.weight.detach(), conv.bias.detach(),
                                       {.stride = 2, .padding = 1, .dilation = 2, .groups = 2})));
  const nn::Linear linear_layer(6, 5);
  CHECK(equal(linear_layer(x).detach(), linear(x, linear_layer.weight.detach(), linear_layer.bias.detach())));
  CHECK(equal(nn::ReLU()(x), relu(x)));
  CHECK(equal(nn::GELU()(x), gelu(x)));
  CHECK(equal(nn::SiLU()(x), silu(x)));
  CHECK(equal(nn::Sigmoid()(x), sigmoid(x)));
  CHECK(equal(nn::Tanh()(x), tanh(x)));
  CHECK(equal(nn::LeakyReLU(0.2)(x), leaky_relu(x, 0.2)));
  CHECK(equal(nn::ELU(2)(x), elu(x, 2)));
  CHECK(equal(nn::Softplus(2)(x), softplus(x, 2)));
  CHECK(equal(nn::ReLU6()(x), relu6(x)));
  CHECK(equal(nn::Hardswish()(x), hardswish(x)));
  CHECK(equal(nn::Hardsigmoid()(x), hardsigmoid(x)));
  CHECK(equal(nn::Mish()(x), mish(x)));
  CHECK(equal(nn::SELU()(x), selu(x)));
  CHECK(equal(nn::Softsign()(x), softsign(x)));
  CHECK(equal(nn::LogSigmoid()(x), logsigmoid(x)));
  CHECK(equal(nn::GELU({.approximate = true})(x), gelu_tanh(x)));
  CHECK(equal(nn::CELU(2)(x), celu(x, 2)));
  CHECK(equal(nn::Hardtanh()(x), hardtanh(x)));
  CHECK(equal(nn::Hardtanh(-0.5, 2)(x), hardtanh(x, -0.5, 2)));
  CHECK(equal(nn::GLU(1)(x), glu(x, 1)));
  CHECK(equal(nn::Softmax(1)(x), softmax(x, 1)));
  CHECK(equal(nn::LogSoftmax(1)(x), log_softmax(x, 1)));
  CHECK(equal(nn::MaxPool2d(3, {.stride = 2, .padding = 1})(x), max_pool2d(x, 3, {.stride = 2, .padding = 1})));
  CHECK(equal(nn::AvgPool2d(2)(x), avg_pool2d(x, 2)));
  CHECK(equal(nn::ReflectionPad2d({2, 2, 1, 1})(x), pad(x, {2, 2, 1, 1}, PadMode::reflect)));
  CHECK(nn::Identity()(x).is_same(x));
  CHECK(nn::Flatten()(x).shape() == Shape{2, 144});
  CHECK(nn::Flatten(0, 1)(x).shape() == Shape{8, 6, 6});
}

TEST_CASE("PReLU learns one slope, or one for each channel") {
  const Tensor x = randn({2, 4, 3}, float32).set_requires_grad();
  nn::PReLU one, each(4);
  CHECK(each.state_dict().at("weight").shape() == Shape{4});
  CHECK(equal(one(x).detach(), leaky_relu(x.detach(), 0.25)));
  const Tensor dy = randn({2, 4, 3});
  const Tensor dw = grad({each(x)}, {each.weight}, {dy})[0];
  CHECK(allclose(dw, sum(where(x.detach() > 0, 0, x.detach() * dy), {0, 2}), 1e-6, 1e-6));
  CHECK_THROWS_WITH(nn::PReLU(3)(x.detach()),
                    "prelu: expected a weight of one element, or of one for each channel of x (N, C, ...), got x of "
                    "shape (2, 4, 3) and a weight of shape (3,)");
  CHECK_THROWS_WITH(one(x.detach().to(float64)),
                    "prelu: expected x and weight of one dtype, got float64 and float32; convert with to()");
  CHECK(one(arange(3)).dtype() == float32);
  CHECK_THROWS_WITH(nn::PReLU(0), "PReLU: expected num_parameters in [1, inf), got 0");
  CHECK_THROWS_WITH(glu(x.detach(), 2), "glu: expected an even size along axis 2, got x of shape (2, 4, 3)");
}

TEST_CASE("AdaptiveAvgPool2d averages equal windows") {
  const Tensor x = randn({2, 3, 4, 6});
  CHECK(allclose(nn::AdaptiveAvgPool2d(1)(x), mean(x, {2, 3}, true), 1e-5, 1e-6));
  CHECK(nn::AdaptiveAvgPool2d({2, 3})(x).shape() == Shape{2, 3, 2, 3});
  CHECK(equal(nn::AdaptiveAvgPool2d(4)(x), adaptive_avg_pool2d(x, 4)));
}

TEST_CASE("Upsample repeats pixels, in either memory format") {
  const Tensor x = reshape(arange(4, float32), {1, 1, 2, 2});
  CHECK(equal(nn::Upsample({.scale_factor = {1, 2}})(x), reshape(tensor({0, 0, 1, 1, 2, 2, 3, 3}), {1, 1, 2, 4})));
  const Tensor wide = randn({2, 3, 4, 5}), last = wide.contiguous(MemoryFormat::channels_last);
  CHECK(nn::Upsample(2)(last).is_contiguous(MemoryFormat::channels_last));
  CHECK(equal(nn::Upsample(2)(last), nn::Upsample(2)(wide)));
}

TEST_CASE("Embedding looks up rows at indices of any shape") {
  const nn::Embedding embedding(5, 3);
  const Tensor index = randint(0, 5, {2, 4});
  const Tensor y = embedding(index);
  CHECK(y.shape() == Shape{2, 4, 3});
  CHECK(equal(select(select(y, 0, 1), 0, 2).detach(),
              select(embedding.weight.detach(), 0, select(select(index, 0, 1), 0, 2).item<int64_t>())));
}

TEST_CASE("Dropout scales what it keeps while training, and is the identity in evaluation") {
  manual_seed(9);
  nn::Dropout dropout(0.25);
  Tensor x = ones({100, 100});
  x.set_requires_grad();
  const Tensor y = dropout(x);
  const Tensor kept = eq(y.detach(), 1 / 0.75);
  CHECK(mean(kept.to(float32)).item<double>() == Approx(0.75).margin(0.02));
  CHECK(all(logical_or(kept, eq(y.detach(), 0))).item<bool>());
  y.backward(ones({100, 100}));
  CHECK(equal(x.grad(), y.detach()));
  manual_seed(9);
  CHECK(equal(dropout(x).detach(), y.detach()));
  CHECK_FALSE(equal(dropout(x).detach(), y.detach()));
  dropout.eval();
  CHECK(dropout(x).is_same(x));
  CHECK(nn::Dropout(0)(x).is_same(x));
  x.set_grad({});
  nn::Dropout(1)(x).backward(ones({100, 100}));
  CHECK(largest(x.grad()) == 0);
}

TEST_CASE("layers refuse sizes that make no sense") {
  CHECK_THROWS_WITH(nn::Linear(0, 3), "Linear: expected in features in [1, inf), got 0");
  CHECK_THROWS_WITH(nn::Conv2d(3, 4, 1, {.groups = 2}),
                    "Conv2d: expected in and out divisible by groups, got in = 3, out = 4, groups = 2");
  CHECK_THROWS_WITH(nn::Conv2d(1, 1, 3, {.padding = {0, -1}}),
                    "Conv2d: expected padding in [0, 2147483647], got (0, -1)");
  CHECK_THROWS_WITH(nn::Conv2d(1, 1, 3, {.stride = 0}), "Conv2d: expected stride in [1, 2147483647], got (0, 0)");
  CHECK_THROWS_WITH(nn::AvgPool2d(2, {.stride = {1, 0}}), "AvgPool2d: expected stride in [1, 2147483647], got (1, 0)");
  CHECK_THROWS_WITH(nn::MaxPool2d(2, {.padding = -1}), "MaxPool2d: expected padding in [0, 2147483647], got (-1, -1)");
  CHECK_THROWS_WITH(nn::MaxPool2d(0), "MaxPool2d: expected kernel in [1, 2147483647], got (0, 0)");
  CHECK_THROWS_WITH(nn::Dropout(1.5), "Dropout: expected p in [0, 1], got 1.5");
}

TEST_CASE("layers that rearrange are their functions") {
  const Tensor x = randn({2, 8, 3, 4});
  CHECK(equal(nn::PixelShuffle(2)(x), pixel_shuffle(x, 2)));
  CHECK(equal(nn::PixelUnshuffle(2)(nn::PixelShuffle(2)(x)), x));
  CHECK(equal(nn::Unflatten(1, {2, 4})(x), reshape(x, {2, 2, 4, 3, 4})));
  CHECK(equal(nn::Unflatten(-3, {-1, 4})(x), reshape(x, {2, 2, 4, 3, 4})));
  CHECK(equal(nn::Identity()(x), x));
  CHECK(printed(nn::PixelShuffle(2)) == "PixelShuffle(2)");
  CHECK(printed(nn::PixelUnshuffle(3)) == "PixelUnshuffle(3)");
  CHECK(printed(nn::Unflatten(1, {2, -1})) == "Unflatten(1, (2, -1))");
  CHECK_THROWS_WITH(nn::PixelShuffle(0), "PixelShuffle: expected upscale_factor in [1, inf), got 0");
  CHECK_THROWS_WITH(nn::PixelUnshuffle(-1), "PixelUnshuffle: expected downscale_factor in [1, inf), got -1");
  CHECK_THROWS_WITH(nn::Unflatten(1, {}), "Unflatten: expected sizes, got none");
  CHECK_THROWS_WITH(nn::Unflatten(1, {-1, -1}),
                    "Unflatten: expected sizes from 0 on, one of which may be -1, got (-1, -1)");
  const nn::Sequential net{nn::PixelShuffle(3), nn::Unflatten(1, {3, 3})};
  CHECK_THROWS_WITH(net(x), StartsWith("0: pixel_shuffle: "));
  CHECK_THROWS_WITH(nn::Sequential(nn::Unflatten(1, {3, 3}))(x), StartsWith("0: unflatten: "));
}

}  // namespace test_layers
