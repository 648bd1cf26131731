#include <limpid/limpid.hpp>

#include <cmath>

#include "../catch.hpp"

using namespace limpid;

namespace {

double largest(const Tensor& x) { return max(abs(x.detach())).item<double>(); }
double stddev(const Tensor& x) { return std::sqrt(var(x.detach()).item<double>()); }

}  // namespace

TEST_CASE("Linear and Conv2d begin as PyTorch's do") {
  manual_seed(1);
  const nn::Linear linear(64, 128);
  CHECK(linear.weight.shape() == Shape{128, 64});
  CHECK(largest(linear.weight) <= 0.125);
  CHECK(largest(linear.weight) > 0.12);
  CHECK(stddev(linear.weight) == Approx(0.125 / std::sqrt(3)).epsilon(0.03));
  CHECK(largest(linear.bias) <= 0.125);
  CHECK(largest(linear.bias) > 0.11);
  const nn::Conv2d conv(8, 32, {3, 2}, {.groups = 2});
  CHECK(conv.weight.shape() == Shape{32, 4, 3, 2});
  CHECK(stddev(conv.weight) == Approx(1 / std::sqrt(3 * 24.0)).epsilon(0.06));
  CHECK(largest(conv.bias) <= 1 / std::sqrt(24.0));
  CHECK_FALSE(nn::Linear(2, 2, false).bias.defined());
  CHECK_FALSE(nn::Conv2d(2, 2, 1, {.bias = false}).bias.defined());
}

TEST_CASE("one seed gives one network") {
  manual_seed(4);
  const nn::Linear a(3, 3);
  manual_seed(4);
  const nn::Linear b(3, 3);
  CHECK(equal(a.weight.detach(), b.weight.detach()));
  CHECK(equal(a.bias.detach(), b.bias.detach()));
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
  CHECK(equal(nn::Softmax(1)(x), softmax(x, 1)));
  CHECK(equal(nn::LogSoftmax(1)(x), log_softmax(x, 1)));
  CHECK(equal(nn::MaxPool2d(3, {.stride = 2, .padding = 1})(x), max_pool2d(x, 3, {.stride = 2, .padding = 1})));
  CHECK(equal(nn::AvgPool2d(2)(x), avg_pool2d(x, 2)));
  CHECK(equal(nn::ReflectionPad2d({1, 2})(x), pad(x, {2, 2, 1, 1}, PadMode::reflect)));
  CHECK(nn::Identity()(x).is_same(x));
  CHECK(nn::Flatten()(x).shape() == Shape{2, 144});
  CHECK(nn::Flatten(0, 1)(x).shape() == Shape{8, 6, 6});
}

TEST_CASE("AdaptiveAvgPool2d averages equal windows") {
  const Tensor x = randn({2, 3, 4, 6});
  CHECK(allclose(nn::AdaptiveAvgPool2d(1)(x), mean(x, {2, 3}, true), 1e-5, 1e-6));
  CHECK(nn::AdaptiveAvgPool2d({2, 3})(x).shape() == Shape{2, 3, 2, 3});
  CHECK_THROWS_WITH(nn::AdaptiveAvgPool2d(4)(x),
                    "AdaptiveAvgPool2d: expected height and width divisible by (4, 4), got x of shape (2, 3, 4, 6)");
}

TEST_CASE("Upsample repeats pixels, in either memory format") {
  const Tensor x = reshape(arange(4, float32), {1, 1, 2, 2});
  CHECK(equal(nn::Upsample({1, 2})(x), reshape(tensor({0, 0, 1, 1, 2, 2, 3, 3}), {1, 1, 2, 4})));
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

TEST_CASE("initialisers have the spread their papers ask for") {
  manual_seed(2);
  const Tensor w = empty({64, 16, 3, 3});
  CHECK(nn::init::fans(w).in == 144);
  CHECK(nn::init::fans(w).out == 576);
  nn::init::kaiming_normal_(w);
  CHECK(stddev(w) == Approx(std::sqrt(2 / 144.0)).epsilon(0.03));
  nn::init::kaiming_uniform_(w, {.fan = nn::init::Fan::out});
  CHECK(stddev(w) == Approx(std::sqrt(2 / 576.0)).epsilon(0.03));
  nn::init::xavier_uniform_(w, 2);
  CHECK(stddev(w) == Approx(2 * std::sqrt(2 / 720.0)).epsilon(0.03));
  nn::init::xavier_normal_(w);
  CHECK(stddev(w) == Approx(std::sqrt(2 / 720.0)).epsilon(0.03));
  nn::init::normal_(w, 3, 0.5);
  CHECK(mean(w).item<double>() == Approx(3).margin(0.03));
  nn::init::uniform_(w, -2, -1);
  CHECK(max(w).item<double>() <= -1);
  CHECK(min(w).item<double>() >= -2);
}

TEST_CASE("orthogonal_ gives orthonormal rows or columns, times gain") {
  for (const Shape& shape : {Shape{3, 5}, Shape{5, 3}, Shape{4, 2, 3}}) {
    const Tensor w = empty(shape, float64);
    nn::init::orthogonal_(w, 2);
    const Tensor m = reshape(w, {shape[0], -1}), t = transpose(m, 0, 1);
    const Tensor product = m.size(0) <= m.size(1) ? matmul(m, t) : matmul(t, m);
    CHECK(allclose(product, 4 * eye(product.size(0), float64), 1e-12, 1e-12));
  }
}

TEST_CASE("initialisers write in place to a leaf, of any floating-point dtype and layout") {
  nn::Linear linear(2, 3);
  const uint32_t version = linear.weight.version();
  nn::init::ones_(linear.weight);
  CHECK(linear.weight.version() > version);
  CHECK(equal(linear.weight.detach(), ones({3, 2})));
  const Tensor half = empty({100}, float16);
  nn::init::normal_(half);
  CHECK(stddev(half.to(float32)) == Approx(1).epsilon(0.3));
  const Tensor x = zeros({4, 4});
  nn::init::uniform_(transpose(slice(x, 1, 0, 2), 0, 1), 1, 2);
  CHECK(min(slice(x, 1, 0, 2)).item<double>() >= 1);
  CHECK(equal(slice(x, 1, 2), zeros({4, 2})));
}

TEST_CASE("layers and initialisers refuse sizes that make no sense") {
  CHECK_THROWS_WITH(nn::Linear(0, 3), "Linear: expected in and out of at least 1, got 0");
  CHECK_THROWS_WITH(nn::Conv2d(3, 4, 1, {.groups = 2}),
                    "Conv2d: expected in and out divisible by groups, got in = 3, out = 4, groups = 2");
  CHECK_THROWS_WITH(nn::Conv2d(1, 1, 3, {.padding = {0, -1}}), "Conv2d: expected padding of at least 0, got (0, -1)");
  CHECK_THROWS_WITH(nn::Conv2d(1, 1, 3, {.stride = 0}), "Conv2d: expected stride and dilation of at least 1, got 0");
  CHECK_THROWS_WITH(nn::MaxPool2d(0), "MaxPool2d: expected a kernel of at least 1, got 0");
  CHECK_THROWS_WITH(nn::Dropout(1.5), "Dropout: expected a probability from 0 to 1, got 1.5");
  CHECK_THROWS_WITH(nn::init::fans(zeros({3})), "fans: expected a weight of shape (out, in, *kernel), got (3,)");
  CHECK_THROWS_WITH(nn::init::normal_(zeros({3}, int64)), "normal_: expected a floating-point tensor, got int64");
  CHECK_THROWS_WITH(nn::init::uniform_(zeros({3}), 2, 1), "uniform_: expected low <= high, got low = 2, high = 1");
}
