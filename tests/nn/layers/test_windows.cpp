// Layers over windows: convolutions, pools and what goes with them. Numbers are PyTorch's where nothing else is said.
#include <limpid/limpid.hpp>

#include <cmath>

#include "../../catch.hpp"

#include <limpid/tests/nn/printed.hpp>

namespace test_windows {

using namespace limpid;

Tensor sequence(const Shape& shape) { return reshape(arange(1, shape.numel() + 1, 1, float64), shape); }

template <class L>
L with_weight(L layer, const Tensor& weight) {
  layer.to(float64);
  NoGradGuard no_grad;
  layer.weight.copy_(weight);
  return layer;
}

TEST_CASE("padding modes of convolutions") {
  const Tensor x = sequence({1, 1, 5}), weight = reshape(tensor({1, 10, 100, 1000}, float64), {1, 1, 4});
  const auto of = [&](PadMode mode, ConvPadding padding) {
    const nn::Conv1d conv(1, 1, 4, {.padding = padding, .bias = false, .padding_mode = mode});
    return flatten(with_weight(conv, weight)(x)).detach();
  };
  CHECK(equal(of(PadMode::constant, 2), tensor({2100, 3210, 4321, 5432, 543, 54}, float64)));
  CHECK(equal(of(PadMode::constant, Padding::same), tensor({3210, 4321, 5432, 543, 54}, float64)));
  CHECK(equal(of(PadMode::reflect, 2), tensor({2123, 3212, 4321, 5432, 4543, 3454}, float64)));
  CHECK(equal(of(PadMode::reflect, Padding::same), tensor({3212, 4321, 5432, 4543, 3454}, float64)));
  CHECK(equal(of(PadMode::replicate, 2), tensor({2111, 3211, 4321, 5432, 5543, 5554}, float64)));
  CHECK(equal(of(PadMode::replicate, Padding::same), tensor({3211, 4321, 5432, 5543, 5554}, float64)));
  CHECK(equal(of(PadMode::circular, 2), tensor({2154, 3215, 4321, 5432, 1543, 2154}, float64)));
  CHECK(equal(of(PadMode::circular, Padding::same), tensor({3215, 4321, 5432, 1543, 2154}, float64)));
  // Each axis by its own amount, as far round as the axis is long.
  const nn::Conv2d torus(1, 1, {2, 3}, {.padding = {1, 2}, .bias = false, .padding_mode = PadMode::circular});
  const Tensor taps = reshape(tensor({1, 10, 100, 1000, 1e4, 1e5}, float64), {1, 1, 2, 3});
  CHECK(equal(with_weight(torus, taps)(sequence({1, 1, 2, 3})).detach(),
              reshape(tensor({132465, 213546, 321654, 132465, 213546, 465132, 546213, 654321, 465132, 546213, 132465,
                              213546, 321654, 132465, 213546},
                             float64),
                      {1, 1, 3, 5})));
  const nn::Conv3d one_side(1, 1, 1, {.padding = {0, 0, 1}, .padding_mode = PadMode::circular});
  CHECK(one_side(ones({1, 1, 2, 3, 4})).shape() == Shape{1, 1, 2, 3, 6});
  CHECK_THROWS_WITH(
      nn::Conv1d(1, 1, 3, {.padding = 5, .padding_mode = PadMode::reflect})(ones({1, 1, 5})),
      "pad: expected amounts below the axis size in reflect mode, got (5, 5) for axis 2 of shape (1, 1, 5)");
}

TEST_CASE("convolutions as layers compute what the functions do") {
  const auto check = [](const auto& layer, const Tensor& x, const auto& function, const auto& options) {
    const Tensor weight = layer.weight.detach(), bias = layer.bias.detach();
    CHECK(equal(layer(x).detach(), function(x, weight, bias, options)));
    CHECK(equal(layer(select(x, 0, 1)).detach(), select(function(x, weight, bias, options), 0, 1)));
  };
  check(nn::Conv1d(4, 6, 3, {.stride = 2, .padding = 1, .dilation = 2, .groups = 2}), randn({2, 4, 9}), conv1d,
        ConvOptions{.stride = 2, .padding = 1, .dilation = 2, .groups = 2});
  check(nn::Conv2d(4, 6, {3, 2}, {.stride = {2, 1}}), randn({2, 4, 9, 8}), conv2d, ConvOptions{.stride = {2, 1}});
  check(nn::Conv3d(2, 3, {1, 2, 3}, {.padding = {1, 0, 2}}), randn({2, 2, 4, 5, 6}), conv3d,
        ConvOptions{.padding = {1, 0, 2}});
  check(nn::ConvTranspose1d(4, 6, 3, {.stride = 2, .padding = 1, .output_padding = 1, .groups = 2, .dilation = 2}),
        randn({2, 4, 9}), conv_transpose1d,
        ConvTransposeOptions{.stride = 2, .padding = 1, .output_padding = 1, .groups = 2, .dilation = 2});
  check(nn::ConvTranspose2d(4, 6, {3, 2}, {.stride = {2, 1}}), randn({2, 4, 5, 6}), conv_transpose2d,
        ConvTransposeOptions{.stride = {2, 1}});
  check(nn::ConvTranspose3d(2, 3, 2, {.stride = 2}), randn({2, 2, 2, 3, 2}), conv_transpose3d,
        ConvTransposeOptions{.stride = 2});
  // Groups, dilation and what is added at the end, all at once.
  const nn::ConvTranspose2d up(
      4, 4, {1, 2},
      {.stride = {2, 3}, .padding = {0, 1}, .output_padding = {1, 2}, .groups = 2, .bias = false, .dilation = {1, 2}});
  const Tensor y = with_weight(up, sequence({4, 2, 1, 2}))(sequence({1, 4, 2, 1})).detach();
  const Tensor rows = select(y, 3, 1), others = y.clone();
  CHECK(equal(rows, reshape(tensor({20, 0, 28, 0, 28, 0, 40, 0, 148, 0, 172, 0, 172, 0, 200, 0}, float64), {1, 4, 4})));
  CHECK(equal(sum(others), sum(rows)));
}

TEST_CASE("convolutions have PyTorch's parameters, and begin as they do") {
  manual_seed(3);
  const auto shapes = [](const auto& layer) {
    const TensorMap state = layer.state_dict();
    CHECK(state.size() == (layer.bias.defined() ? 2 : 1));
    return std::pair(state.at("weight").shape(), layer.bias.defined() ? state.at("bias").shape() : Shape{});
  };
  CHECK(shapes(nn::Conv1d(2, 4, 3)) == std::pair(Shape{4, 2, 3}, Shape{4}));
  CHECK(shapes(nn::Conv3d(2, 4, {1, 2, 3}, {.groups = 2})) == std::pair(Shape{4, 1, 1, 2, 3}, Shape{4}));
  CHECK(shapes(nn::ConvTranspose1d(2, 4, 3)) == std::pair(Shape{2, 4, 3}, Shape{4}));
  CHECK(shapes(nn::ConvTranspose2d(2, 4, 3, {.bias = false})) == std::pair(Shape{2, 4, 3, 3}, Shape{}));
  CHECK(shapes(nn::ConvTranspose3d(2, 4, 3, {.groups = 2})) == std::pair(Shape{2, 2, 3, 3, 3}, Shape{4}));
  // The fan of a transposed weight (in, out / groups, k) is counted from its second axis, as PyTorch does it.
  const nn::ConvTranspose1d up(64, 8, 2, {.groups = 2});
  CHECK(max(abs(up.weight.detach())).item<double>() <= 1 / std::sqrt(8.0));
  CHECK(max(abs(up.weight.detach())).item<double>() > 0.99 / std::sqrt(8.0));
  CHECK(max(abs(nn::ConvTranspose1d(4, 400, 1).bias.detach())).item<double>() <= 1 / std::sqrt(400.0));
}

TEST_CASE("convolutions print what they were given") {
  CHECK(printed(nn::Conv1d(2, 4, 3)) == "Conv1d(2, 4, kernel = 3)");
  CHECK(
      printed(nn::Conv2d(2, 4, {3, 1}, {.padding = Padding::same, .dilation = 2, .padding_mode = PadMode::reflect})) ==
      "Conv2d(2, 4, kernel = (3, 1), padding = same, dilation = (2, 2), padding_mode = reflect)");
  CHECK(printed(nn::Conv3d(2, 4, 3, {.stride = 2, .padding = {1, 0, 0}, .groups = 2, .bias = false})) ==
        "Conv3d(2, 4, kernel = (3, 3, 3), stride = (2, 2, 2), padding = (1, 0, 0), groups = 2, bias = false)");
  CHECK(printed(nn::ConvTranspose2d(2, 4, 3, {.stride = 2, .padding = 1, .output_padding = 1, .dilation = 2})) ==
        "ConvTranspose2d(2, 4, kernel = (3, 3), stride = (2, 2), padding = (1, 1), output_padding = (1, 1), dilation = "
        "(2, 2))");
}

TEST_CASE("convolutions refuse sizes that make no sense, and name themselves") {
  CHECK_THROWS_WITH(nn::Conv3d(1, 1, {1, 2}), "Conv3d: expected kernel of one number or of three, got (1, 2)");
  CHECK_THROWS_WITH(nn::Conv1d(1, 1, 3, {.stride = {1, 1}}), "Conv1d: expected stride of one number, got (1, 1)");
  CHECK_THROWS_WITH(nn::Conv2d(1, 1, 3, {.stride = 2, .padding = Padding::same}),
                    "Conv2d: expected a stride of 1 with Padding::same, got (2, 2)");
  CHECK_THROWS_WITH(nn::Conv2d(1, 1, 3, {.padding_mode = static_cast<PadMode>(9)}),
                    "Conv2d: expected PadMode::constant, reflect, replicate or circular, got PadMode(9)");
  CHECK_THROWS_WITH(nn::ConvTranspose3d(4, 2, 3, {.groups = 4}),
                    "ConvTranspose3d: expected in and out divisible by groups, got in = 4, out = 2, groups = 4");
  CHECK_THROWS_WITH(nn::ConvTranspose1d(4, 2, 3, {.output_padding = -1}),
                    "ConvTranspose1d: expected output_padding in [0, 2147483647], got -1");
  CHECK_THROWS_WITH(nn::ConvTranspose2d(4, 2, 3)(ones({1, 2, 3, 3})),
                    "ConvTranspose2d: expected x of shape (N, 4, H, W), got (1, 2, 3, 3)");
  CHECK_THROWS_WITH(nn::Conv1d(4, 2, 3)(ones({1, 4, 3, 3})), "Conv1d: expected x of shape (N, 4, L), got (1, 4, 3, 3)");
  CHECK_THROWS_WITH(nn::Conv2d(4, 2, 3)(ones({2, 3, 3})),
                    "Conv2d: expected x of shape (N, 4, H, W) or (4, H, W), got (2, 3, 3)");
  CHECK_THROWS_WITH(nn::Conv3d(4, 2, 3)(ones({1, 3, 4, 4, 4})),
                    "Conv3d: expected x of shape (N, 4, D, H, W), got (1, 3, 4, 4, 4)");
}

TEST_CASE("networks of convolutions in half precision run forward and backward") {
  nn::Sequential net{nn::Conv1d(2, 3, 5, {.padding = 2}), nn::ReLU(), nn::ConvTranspose1d(3, 2, 2, {.stride = 2})};
  net.to(bfloat16);
  const Tensor y = net(randn({4, 2, 20}).to(bfloat16));
  CHECK(y.shape() == Shape{4, 2, 40});
  CHECK(y.dtype() == bfloat16);
  sum(y).backward();
  for (const Tensor& p : net.parameters()) CHECK(p.grad().dtype() == bfloat16);
}

TEST_CASE("pools as layers compute what the functions do") {
  const auto same = [](const auto& layer, const Tensor& x, const Tensor& y) {
    CHECK(equal(layer(x), y));
    CHECK(equal(layer(select(x, 0, 1)), select(y, 0, 1)));
  };
  const Tensor signal = randn({2, 3, 11}), image = randn({2, 3, 9, 8}), volume = randn({2, 3, 5, 6, 7});
  same(nn::MaxPool1d(2), signal, max_pool1d(signal, 2));
  same(nn::MaxPool1d({2}, {.stride = {1}}), signal, max_pool1d(signal, 2, {.stride = 1}));
  same(nn::MaxPool2d(3, {.stride = 1, .padding = 1, .dilation = 2, .ceil_mode = true}), image,
       max_pool2d(image, 3, {.stride = 1, .padding = 1, .dilation = 2, .ceil_mode = true}));
  same(nn::MaxPool3d({1, 2, 3}), volume, max_pool3d(volume, {1, 2, 3}));
  same(nn::AvgPool1d(3, {.stride = 2, .padding = 1, .count_include_pad = false}), signal,
       avg_pool1d(signal, 3, {.stride = 2, .padding = 1, .count_include_pad = false}));
  same(nn::AvgPool2d({2}), image, avg_pool2d(image, 2));
  same(nn::AvgPool3d(2, {.ceil_mode = true, .divisor_override = 3}), volume,
       avg_pool3d(volume, 2, {.ceil_mode = true, .divisor_override = 3}));
  same(nn::AdaptiveAvgPool1d(4), signal, adaptive_avg_pool1d(signal, 4));
  same(nn::AdaptiveAvgPool2d({4, 3}), image, adaptive_avg_pool2d(image, {4, 3}));
  same(nn::AdaptiveAvgPool3d({4}), volume, adaptive_avg_pool3d(volume, 4));
  same(nn::AdaptiveMaxPool1d(4), signal, adaptive_max_pool1d(signal, 4));
  same(nn::AdaptiveMaxPool2d(4), image, adaptive_max_pool2d(image, 4));
  same(nn::AdaptiveMaxPool3d({1, 2, 3}), volume, adaptive_max_pool3d(volume, {1, 2, 3}));
  CHECK(equal(nn::MaxPool2d(2).with_indices(image).indices, max_pool2d_with_indices(image, 2).indices));
  CHECK(equal(nn::AdaptiveMaxPool3d(2).with_indices(volume).indices,
              adaptive_max_pool3d_with_indices(volume, 2).indices));
}

TEST_CASE("pools print what they were given, and refuse what makes no sense") {
  CHECK(printed(nn::MaxPool2d(2)) == "MaxPool2d((2, 2))");
  CHECK(printed(nn::MaxPool1d(3, {.stride = 2, .padding = 1, .dilation = 2, .ceil_mode = true})) ==
        "MaxPool1d(3, stride = 2, padding = 1, dilation = 2, ceil_mode)");
  CHECK(printed(nn::AvgPool3d(3, {.count_include_pad = false, .divisor_override = 5})) ==
        "AvgPool3d((3, 3, 3), count_include_pad = false, divisor_override = 5)");
  CHECK(printed(nn::AdaptiveMaxPool2d({2, 3})) == "AdaptiveMaxPool2d((2, 3))");
  CHECK_THROWS_WITH(nn::MaxPool3d({1, 2}), "MaxPool3d: expected kernel of one number or of three, got (1, 2)");
  CHECK_THROWS_WITH(nn::AvgPool1d(2, {.padding = 2}),
                    "AvgPool1d: expected padding of at most half the kernel, got padding = 2 and kernel = 2");
  CHECK_THROWS_WITH(nn::AvgPool2d(2, {.divisor_override = 0}),
                    "AvgPool2d: expected a divisor_override other than 0, got 0");
  CHECK_THROWS_WITH(nn::MaxPool1d(2, {.dilation = {1, 2}}), "MaxPool1d: expected dilation of one number, got (1, 2)");
}

TEST_CASE("Upsample, LocalResponseNorm") {
  const Tensor x = randn({1, 2, 3, 4});
  CHECK(equal(nn::Upsample(2)(x), interpolate(x, {.scale_factor = 2})));
  CHECK(equal(nn::Upsample({.size = {5, 6}, .mode = Interpolation::bilinear, .align_corners = true})(x),
              interpolate(x, {.size = {5, 6}, .mode = Interpolation::bilinear, .align_corners = true})));
  CHECK(nn::Upsample({.scale_factor = {1, 1.5}})(x).shape() == Shape{1, 2, 3, 6});
  CHECK(printed(nn::Upsample({.scale_factor = {2, 1.5}, .mode = Interpolation::bicubic})) ==
        "Upsample(scale_factor = (2, 1.5), mode = bicubic)");
  CHECK(printed(nn::Upsample({.size = {5, 6}, .mode = Interpolation::bilinear, .align_corners = true})) ==
        "Upsample(size = (5, 6), mode = bilinear, align_corners)");
  CHECK_THROWS_WITH(nn::Upsample({.size = {1}, .scale_factor = 2}),
                    "Upsample: expected a size or a scale_factor, got both");
  CHECK_THROWS_WITH(nn::Upsample(InterpolateOptions{}), "Upsample: expected a size or a scale_factor, got neither");
  CHECK_THROWS_WITH(nn::Upsample({.size = {1}, .align_corners = true}),
                    "Upsample: expected align_corners with a linear or cubic mode alone");
  CHECK_THROWS_WITH(nn::Upsample({.size = {1, 1, 1, 1}}),
                    "Upsample: expected a size of at most three numbers, got (1, 1, 1, 1)");
  CHECK(equal(nn::LocalResponseNorm(3)(x), local_response_norm(x, 3)));
  CHECK(equal(nn::LocalResponseNorm(2, {.alpha = 1, .beta = 0.5, .k = 2})(x), local_response_norm(x, 2, 1, 0.5, 2)));
  CHECK(printed(nn::LocalResponseNorm(2)) == "LocalResponseNorm(2, alpha = 0.0001, beta = 0.75, k = 1)");
}

TEST_CASE("paddings of one to three axes") {
  const Tensor signal = randn({2, 3, 5}), image = randn({2, 3, 5, 6}), volume = randn({2, 3, 3, 4, 5});
  CHECK(equal(nn::ConstantPad1d({1, 2}, 7)(signal), pad(signal, {1, 2}, PadMode::constant, 7)));
  CHECK(equal(nn::ConstantPad2d(-1, 7)(image), pad(image, {-1, -1, -1, -1}, PadMode::constant, 7)));
  CHECK(
      equal(nn::ConstantPad3d({0, 1, 2, 0, 1, 1}, -2)(volume), pad(volume, {0, 1, 2, 0, 1, 1}, PadMode::constant, -2)));
  CHECK(equal(nn::ZeroPad1d(2)(signal), pad(signal, {2, 2})));
  CHECK(equal(nn::ZeroPad2d({1, 0, 2, 3})(image), pad(image, {1, 0, 2, 3})));
  CHECK(equal(nn::ZeroPad3d({1})(volume), pad(volume, {1, 1, 1, 1, 1, 1})));
  CHECK(equal(nn::ReflectionPad1d(4)(signal), pad(signal, {4, 4}, PadMode::reflect)));
  CHECK(equal(nn::ReflectionPad3d({1, 2, 3, 0, 2, 2})(volume), pad(volume, {1, 2, 3, 0, 2, 2}, PadMode::reflect)));
  CHECK(equal(nn::ReplicationPad1d(7)(signal), pad(signal, {7, 7}, PadMode::replicate)));
  CHECK(equal(nn::ReplicationPad2d({1, 2, 3, 4})(select(image, 0, 0)),
              pad(select(image, 0, 0), {1, 2, 3, 4}, PadMode::replicate)));
  CHECK(equal(nn::ReplicationPad3d(1)(volume), pad(volume, {1, 1, 1, 1, 1, 1}, PadMode::replicate)));
  CHECK(equal(nn::CircularPad1d({5, 0})(signal), pad(signal, {5, 0}, PadMode::circular)));
  CHECK(equal(nn::CircularPad2d({1, 2, 3, 4})(image), pad(image, {1, 2, 3, 4}, PadMode::circular)));
  CHECK(equal(nn::CircularPad3d({0, 0, 0, 0, 3, 1})(volume), pad(volume, {0, 0, 0, 0, 3, 1}, PadMode::circular)));
  CHECK(printed(nn::ReflectionPad2d({1, 2, 3, 4})) == "ReflectionPad2d((1, 2, 3, 4))");
  CHECK(printed(nn::ConstantPad1d(1, 0.5)) == "ConstantPad1d((1, 1), value = 0.5)");
  CHECK_THROWS_WITH(nn::ReflectionPad1d(-1), "ReflectionPad1d: expected padding in [0, 2147483647], got -1");
  CHECK_THROWS_WITH(nn::ConstantPad1d(1, NAN),
                    "ConstantPad1d: expected value in [-3.4028234663852886e+38, 3.4028234663852886e+38], got nan");
  CHECK_THROWS_WITH(nn::ZeroPad2d(1)(signal.reshape({30})),
                    "ZeroPad2d: expected x of shape (N, C, H, W) or (C, H, W), got (30,)");
}

TEST_CASE("channels are dropped whole") {
  manual_seed(5);
  const auto check = [](auto layer, const Tensor& x, int64_t channels_axis) {
    const Tensor y = layer(x);
    Axes rest;
    for (int64_t a = channels_axis + 1; a < x.dim(); ++a) rest.push_back(a);
    const Tensor low = amin(y, rest), high = amax(y, rest);
    CHECK(equal(low, high));
    CHECK(all(logical_or(eq(low, 0), eq(low, 1 / 0.75))).template item<bool>());
    CHECK(any(eq(low, 0)).template item<bool>());
    CHECK(any(ne(low, 0)).template item<bool>());
    layer.eval();
    CHECK(layer(x).is_same(x));
  };
  check(nn::Dropout1d(0.25), ones({8, 40, 5}), 1);
  check(nn::Dropout1d(0.25), ones({40, 5}), 0);
  check(nn::Dropout2d(0.25), ones({8, 40, 3, 2}), 1);
  check(nn::Dropout2d(0.25), ones({40, 3, 2}), 0);
  check(nn::Dropout3d(0.25), ones({8, 40, 3, 2, 2}), 1);
  Generator one(3), two(3);
  CHECK(equal(nn::Dropout2d(0.5, {.generator = &one})(ones({4, 9, 2, 2})),
              nn::Dropout2d(0.5, {.generator = &two})(ones({4, 9, 2, 2}))));
  CHECK_THROWS_WITH(nn::Dropout2d(0.5)(ones({4, 9})),
                    "Dropout2d: expected x of shape (N, C, H, W) or (C, H, W), got (4, 9)");
  CHECK_THROWS_WITH(nn::Dropout3d(2), "Dropout3d: expected p in [0, 1], got 2");
}

}  // namespace test_windows
