// Layers over windows: convolutions, pools and what goes with them. Numbers are PyTorch's where nothing else is said.
#include <limpid/limpid.hpp>

#include <cmath>
#include <sstream>

#include "../../catch.hpp"

using namespace limpid;

namespace {

Tensor sequence(const Shape& shape) { return reshape(arange(1, shape.numel() + 1, 1, float64), shape); }

template <class L>
L with_weight(L layer, const Tensor& weight) {
  layer.to(float64);
  NoGradGuard no_grad;
  layer.weight.copy_(weight);
  return layer;
}

template <class L>
std::string printed(const L& layer) {
  std::ostringstream out;
  out << layer;
  return out.str();
}

}  // namespace

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
