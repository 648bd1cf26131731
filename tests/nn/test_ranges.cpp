// Every number that a constructor or an option of nn/ takes, against NaN, infinities, and numbers out of its range.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "../catch.hpp"

namespace test_ranges {

using namespace limpid;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double huge = 1e300;
constexpr int64_t most = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();

// What each column is, and how messages print it.
template <class T>
struct Column {
  T value;
  const char* text;
};
const std::vector<Column<double>> doubles{{NAN, "nan"}, {-NAN, "nan"}, {inf, "inf"},     {-inf, "-inf"},
                                          {-1, "-1"},   {0, "0"},      {huge, "1e+300"}, {-huge, "-1e+300"}};
const std::vector<Column<int64_t>> integers{{-1, "-1"}, {0, "0"}, {least, "-9223372036854775808"}};
// Sizes that are too large for a window; where memory is the bound, making such a layer may fail in another way.
const std::vector<Column<int64_t>> windows{{-1, "-1"},
                                           {0, "0"},
                                           {most, "9223372036854775807"},
                                           {int64_t{1} << 31, "2147483648"},
                                           {least, "-9223372036854775808"}};

// "" where f() passes, else the message of the ValueError.
template <class F>
std::string refusal(const F& f) {
  try {
    f();
    return "";
  } catch (const ValueError& error) {
    return error.what();
  }
}

// f(value) takes those that `accepts` says, and refuses all others as "who: expected name in range, got value", before
// it draws a number.
template <class T, class F>
void check(const std::vector<Column<T>>& columns, const char* who, const std::string& name, const std::string& range,
           const std::vector<std::string>& accepted, const F& f) {
  for (const auto& [value, text] : columns) {
    INFO(who << ' ' << name << ' ' << text);
    const bool is_accepted = std::find(accepted.begin(), accepted.end(), text) != accepted.end();
    const Generator::State before = default_generator().state();
    const std::string message = refusal([&, v = value] { f(v); });
    if (is_accepted) {
      CHECK(message.empty());
    } else {
      CHECK(default_generator().state() == before);
      CHECK_THAT(message, StartsWith(std::string(who) + ": expected " + name + " in " + range + ", got "));
      CHECK_THAT(message, ContainsSubstring(text));
    }
  }
}

const std::string from_0 = "[0, 3.4028234663852886e+38]", above_0 = "(0, 3.4028234663852886e+38]",
                  floats = "[-3.4028234663852886e+38, 3.4028234663852886e+38]";
const std::string window = "[1, 2147483647]", padding = "[0, 2147483647]", count = "[1, inf)";
const std::string reals = "(-inf, inf)";
const std::vector<std::string> all_reals{"-1", "0", "1e+300", "-1e+300"};

Tensors leaf() { return {ones({2}).set_requires_grad()}; }

TEST_CASE("optimisers take finite numbers in range") {
  using namespace optim;
  check(doubles, "SGD", "lr", from_0, {"0"}, [](double v) { SGD(leaf(), {.lr = v}); });
  check(doubles, "SGD", "momentum", from_0, {"0"}, [](double v) { SGD(leaf(), {.momentum = v}); });
  check(doubles, "SGD", "dampening", floats, {"0", "-1"}, [](double v) { SGD(leaf(), {.dampening = v}); });
  check(doubles, "SGD", "weight_decay", from_0, {"0"}, [](double v) { SGD(leaf(), {.weight_decay = v}); });
  check(doubles, "Adam", "lr", from_0, {"0"}, [](double v) { Adam(leaf(), {.lr = v}); });
  check(doubles, "Adam", "beta1", "[0, 1)", {"0"}, [](double v) { Adam(leaf(), {.beta1 = v}); });
  check(doubles, "Adam", "beta2", "[0, 1)", {"0"}, [](double v) { Adam(leaf(), {.beta2 = v}); });
  check(doubles, "Adam", "eps", from_0, {"0"}, [](double v) { Adam(leaf(), {.eps = v}); });
  check(doubles, "Adam", "weight_decay", from_0, {"0"}, [](double v) { Adam(leaf(), {.weight_decay = v}); });
  check(doubles, "AdamW", "lr", from_0, {"0"}, [](double v) { AdamW(leaf(), {.lr = v}); });
  check(doubles, "AdamW", "beta1", "[0, 1)", {"0"}, [](double v) { AdamW(leaf(), {.beta1 = v}); });
  check(doubles, "AdamW", "beta2", "[0, 1)", {"0"}, [](double v) { AdamW(leaf(), {.beta2 = v}); });
  check(doubles, "AdamW", "eps", from_0, {"0"}, [](double v) { AdamW(leaf(), {.eps = v}); });
  check(doubles, "AdamW", "weight_decay", from_0, {"0"}, [](double v) { AdamW(leaf(), {.weight_decay = v}); });
  check(doubles, "own", "lr", from_0, {"0"},
        [](double v) { Optimizer(leaf(), {.name = "own", .lr = v}, [](const auto&) {}); });
  SGD sgd(leaf(), {.lr = 0.5});
  check(doubles, "SGD", "lr", from_0, {"0"}, [&](double v) { sgd.set_lr(v); });
  CHECK_THROWS_AS(Adam(leaf(), {.beta1 = 1}), ValueError);
}

TEST_CASE("schedules take finite numbers in range, and give such rates alone") {
  using namespace optim;
  const SGD sgd(leaf(), {.lr = 0.5});
  check(doubles, "StepLR", "gamma", from_0, {"0"}, [&](double v) { StepLR(sgd, {.step_size = 1, .gamma = v}); });
  check(integers, "StepLR", "step_size", count, {}, [&](int64_t v) { StepLR(sgd, {.step_size = v}); });
  check(doubles, "CosineLR", "min_lr", from_0, {"0"},
        [&](double v) { CosineLR(sgd, {.total_steps = 9, .min_lr = v}); });
  check(integers, "CosineLR", "total_steps", count, {}, [&](int64_t v) { CosineLR(sgd, {.total_steps = v}); });
  CHECK(sgd.lr() >= 0);
  const StepLR steps(sgd, {.step_size = 2});
  const CosineLR cosine(sgd, {.total_steps = most});
  check(integers, "Schedule", "step", "[0, inf)", {"0"}, [&](int64_t v) { steps(v); });
  check(integers, "Schedule", "step", "[0, inf)", {"0"}, [&](int64_t v) { cosine(v); });
  CHECK(steps(most) == 0);
  check(doubles, "Schedule", "a rate", from_0, {"0"}, [&](double v) { Schedule(sgd, [=](int64_t) { return v; }); });
  Schedule late(sgd, [](int64_t step) { return step < 2 ? 1.0 : NAN; });
  late.step();
  CHECK_THROWS_WITH(late.step(), "Schedule: expected a rate in " + from_0 + ", got nan");
  CHECK((late.steps() == 1 && sgd.lr() == 1));
  StepLR last(sgd, {.step_size = 1});
  last.load_state_dict({{"step", full({}, 0, int64) + most}, {"base", ones({}, float64)}});
  CHECK_THROWS_WITH(last.step(), "Schedule: expected fewer than 2^63 steps, got one more");
  CHECK(last.steps() == most);
  // What grows beyond all numbers is said where it does.
  StepLR growing(sgd, {.step_size = 1, .gamma = 1e30});
  CHECK_THROWS_AS(growing(20), ValueError);
}

TEST_CASE("layers take finite numbers in range") {
  using namespace nn;
  check(integers, "Linear", "in features", count, {}, [](int64_t v) { Linear(v, 2); });
  check(integers, "Linear", "out features", count, {}, [](int64_t v) { Linear(2, v); });
  check(integers, "Conv2d", "in channels", count, {}, [](int64_t v) { Conv2d(v, 2, 1); });
  check(integers, "Conv2d", "out channels", count, {}, [](int64_t v) { Conv2d(2, v, 1); });
  check(integers, "Conv2d", "groups", count, {}, [](int64_t v) { Conv2d(2, 2, 1, {.groups = v}); });
  CHECK_THROWS_AS(Conv2d(2, 2, 1, {.groups = most}), ValueError);
  check(windows, "Conv2d", "kernel", window, {}, [](int64_t v) { Conv2d(2, 2, {1, v}); });
  check(windows, "Conv2d", "stride", window, {}, [](int64_t v) { Conv2d(2, 2, 1, {.stride = {v, 1}}); });
  check(windows, "Conv2d", "dilation", window, {}, [](int64_t v) { Conv2d(2, 2, 1, {.dilation = {1, v}}); });
  check(windows, "Conv2d", "padding", padding, {"0"}, [](int64_t v) { Conv2d(2, 2, 1, {.padding = {v, 1}}); });
  check(integers, "Conv1d", "in channels", count, {}, [](int64_t v) { Conv1d(v, 2, 1); });
  check(windows, "Conv1d", "kernel", window, {}, [](int64_t v) { Conv1d(2, 2, v); });
  check(windows, "Conv3d", "padding", padding, {"0"}, [](int64_t v) { Conv3d(2, 2, 1, {.padding = {1, 1, v}}); });
  check(integers, "ConvTranspose1d", "out channels", count, {}, [](int64_t v) { ConvTranspose1d(2, v, 1); });
  check(windows, "ConvTranspose2d", "stride", window, {}, [](int64_t v) { ConvTranspose2d(2, 2, 1, {.stride = v}); });
  check(windows, "ConvTranspose2d", "padding", padding, {"0"}, [](int64_t v) {
    ConvTranspose2d(2, 2, 1, {.padding = {v, 1}});
  });
  check(windows, "ConvTranspose3d", "output_padding", padding, {"0"}, [](int64_t v) {
    ConvTranspose3d(2, 2, 1, {.stride = 2, .output_padding = {1, v, 1}});
  });
  check(windows, "ConvTranspose3d", "dilation", window, {},
        [](int64_t v) { ConvTranspose3d(2, 2, 1, {.dilation = v}); });
  check(integers, "ConvTranspose1d", "groups", count, {}, [](int64_t v) { ConvTranspose1d(2, 2, 1, {.groups = v}); });
  check(windows, "MaxPool2d", "kernel", window, {}, [](int64_t v) { MaxPool2d({v, 1}); });
  check(windows, "MaxPool2d", "stride", window, {}, [](int64_t v) { MaxPool2d(2, {.stride = {1, v}}); });
  check(windows, "MaxPool2d", "padding", padding, {"0"}, [](int64_t v) { MaxPool2d(2, {.padding = {1, v}}); });
  check(windows, "AvgPool2d", "kernel", window, {}, [](int64_t v) { AvgPool2d({v, 1}); });
  check(windows, "AvgPool2d", "stride", window, {}, [](int64_t v) { AvgPool2d(2, {.stride = {1, v}}); });
  check(windows, "AvgPool2d", "padding", padding, {"0"}, [](int64_t v) { AvgPool2d(2, {.padding = {1, v}}); });
  check(windows, "AdaptiveAvgPool2d", "size", window, {}, [](int64_t v) { AdaptiveAvgPool2d({1, v}); });
  check(windows, "Upsample", "size", window, {}, [](int64_t v) { Upsample({.size = {v, 1}}); });
  check(doubles, "Upsample", "scale_factor", "(0, inf)", {"1e+300"}, [](double v) {
    Upsample({.scale_factor = {1, v}});
  });
  check(windows, "MaxPool1d", "dilation", window, {}, [](int64_t v) { MaxPool1d(2, {.dilation = v}); });
  check(windows, "AdaptiveMaxPool3d", "size", window, {}, [](int64_t v) { AdaptiveMaxPool3d({1, 1, v}); });
  check(integers, "LocalResponseNorm", "size", count, {}, [](int64_t v) { LocalResponseNorm{v}; });
  check(doubles, "LocalResponseNorm", "beta", reals, all_reals, [](double v) { LocalResponseNorm(2, {.beta = v}); });
  check(doubles, "Dropout2d", "p", "[0, 1]", {"0"}, [](double v) { Dropout2d{v}; });
  check(windows, "ReflectionPad2d", "padding", padding, {"0"}, [](int64_t v) { ReflectionPad2d({1, v, 1, 1}); });
  check(integers, "Embedding", "count", count, {}, [](int64_t v) { Embedding(v, 2); });
  check(integers, "Embedding", "size", count, {}, [](int64_t v) { Embedding(2, v); });
  check(doubles, "Dropout", "p", "[0, 1]", {"0"}, [](double v) { Dropout{v}; });
  check(doubles, "LeakyReLU", "negative_slope", floats, {"0", "-1"}, [](double v) { LeakyReLU{v}; });
  check(doubles, "LeakyReLU", "negative_slope", floats, {"0", "-1"},
        [](double v) { LeakyReLU({.negative_slope = v}); });
  check(doubles, "ELU", "alpha", floats, {"0", "-1"}, [](double v) { ELU{v}; });
  check(doubles, "Softplus", "beta", above_0, {}, [](double v) { Softplus{v}; });
  CHECK_THROWS_AS(Softplus(0), ValueError);
}

TEST_CASE("activations, paddings and dropout take finite numbers in range") {
  using namespace nn;
  check(doubles, "CELU", "alpha", above_0, {}, [](double v) { CELU{v}; });
  check(doubles, "Hardtanh", "min_val", floats, {"-1", "0"}, [](double v) { Hardtanh(v, 2); });
  check(doubles, "Hardtanh", "max_val", "(-2, 3.4028234663852886e+38]", {"-1", "0"}, [](double v) { Hardtanh(-2, v); });
  check(doubles, "PReLU", "init", floats, {"-1", "0"}, [](double v) { PReLU({.init = v}); });
  check(integers, "PReLU", "num_parameters", count, {}, [](int64_t v) { PReLU({.num_parameters = v}); });
  check(doubles, "Dropout1d", "p", "[0, 1]", {"0"}, [](double v) { Dropout1d{v}; });
  check(doubles, "Dropout3d", "p", "[0, 1]", {"0"}, [](double v) { Dropout3d{v}; });
  check(doubles, "ConstantPad1d", "value", floats, {"-1", "0"}, [](double v) { ConstantPad1d(1, v); });
  check(doubles, "ConstantPad3d", "value", floats, {"-1", "0"}, [](double v) { ConstantPad3d(1, v); });
  check(windows, "ZeroPad1d", "padding", "[-2147483647, 2147483647]", {"-1", "0"}, [](int64_t v) { ZeroPad1d{v}; });
  check(windows, "ReplicationPad1d", "padding", padding, {"0"}, [](int64_t v) { ReplicationPad1d({1, v}); });
  check(windows, "CircularPad3d", "padding", padding, {"0"}, [](int64_t v) { CircularPad3d{v}; });
  check(doubles, "LocalResponseNorm", "alpha", reals, all_reals, [](double v) { LocalResponseNorm(2, {.alpha = v}); });
  check(doubles, "LocalResponseNorm", "k", reals, all_reals, [](double v) { LocalResponseNorm(2, {.k = v}); });
}

TEST_CASE("recurrent and attention layers take finite numbers in range, and counts that memory may hold") {
  using namespace nn;
  const std::string features = "[1, 2147483647]", layers = "[1, 65536]", part = "[0, 1]";
  check(windows, "RNN", "in", features, {}, [](int64_t v) { RNN(v, 2); });
  check(windows, "GRU", "hidden", features, {}, [](int64_t v) { GRU(2, v); });
  check(windows, "LSTM", "hidden", features, {}, [](int64_t v) { LSTM(2, v); });
  check(windows, "RNN", "num_layers", layers, {}, [](int64_t v) { RNN(2, 2, {.num_layers = v}); });
  check(windows, "GRU", "num_layers", layers, {}, [](int64_t v) { GRU(2, 2, {.num_layers = v}); });
  check(windows, "LSTM", "num_layers", layers, {}, [](int64_t v) { LSTM(2, 2, {.num_layers = v}); });
  check(windows, "LSTM", "proj_size", "[0, 2)", {"0"}, [](int64_t v) { LSTM(2, 2, {.proj_size = v}); });
  check(doubles, "RNN", "dropout", part, {"0"}, [](double v) { RNN(2, 2, {.num_layers = 2, .dropout = v}); });
  check(doubles, "GRU", "dropout", part, {"0"}, [](double v) { GRU(2, 2, {.num_layers = 2, .dropout = v}); });
  check(doubles, "LSTM", "dropout", part, {"0"}, [](double v) { LSTM(2, 2, {.num_layers = 2, .dropout = v}); });
  check(windows, "RNNCell", "in", features, {}, [](int64_t v) { RNNCell(v, 2); });
  check(windows, "GRUCell", "hidden", features, {}, [](int64_t v) { GRUCell(2, v); });
  check(windows, "LSTMCell", "hidden", features, {}, [](int64_t v) { LSTMCell(2, v); });
  check(windows, "MultiheadAttention", "embed_dim", features, {}, [](int64_t v) { MultiheadAttention(v, 1); });
  check(windows, "MultiheadAttention", "num_heads", features, {}, [](int64_t v) { MultiheadAttention(4, v); });
  check(windows, "MultiheadAttention", "kdim", features, {}, [](int64_t v) { MultiheadAttention(4, 2, {.kdim = v}); });
  check(windows, "MultiheadAttention", "vdim", features, {}, [](int64_t v) { MultiheadAttention(4, 2, {.vdim = v}); });
  check(doubles, "MultiheadAttention", "dropout", part, {"0"},
        [](double v) { MultiheadAttention(4, 2, {.dropout = v}); });
  const auto transformer = [&](const char* who, const auto& made) {
    check(windows, who, "d_model", features, {}, [&](int64_t v) { made(v, 1, TransformerOptions{}); });
    check(windows, who, "nhead", features, {}, [&](int64_t v) { made(4, v, TransformerOptions{}); });
    check(windows, who, "dim_feedforward", features, {}, [&](int64_t v) { made(4, 2, {.dim_feedforward = v}); });
    check(doubles, who, "dropout", part, {"0"}, [&](double v) { made(4, 2, {.dropout = v}); });
    check(doubles, who, "layer_norm_eps", from_0, {"0"}, [&](double v) { made(4, 2, {.layer_norm_eps = v}); });
    CHECK(refusal([&] { made(4, 3, TransformerOptions{}); }) ==
          std::string(who) + ": expected d_model divisible by nhead, got 4 and 3");
  };
  transformer("TransformerEncoderLayer",
              [](int64_t d, int64_t heads, const TransformerOptions& o) { TransformerEncoderLayer(d, heads, o); });
  transformer("TransformerDecoderLayer",
              [](int64_t d, int64_t heads, const TransformerOptions& o) { TransformerDecoderLayer(d, heads, o); });
  const TransformerEncoderLayer encoder(4, 2, {.dim_feedforward = 4});
  const TransformerDecoderLayer decoder(4, 2, {.dim_feedforward = 4});
  check(windows, "TransformerEncoder", "num_layers", layers, {}, [&](int64_t v) { TransformerEncoder(encoder, v); });
  check(windows, "TransformerDecoder", "num_layers", layers, {}, [&](int64_t v) { TransformerDecoder(decoder, v); });
}

TEST_CASE("losses take finite numbers in range") {
  using namespace nn;
  check(doubles, "HuberLoss", "delta", above_0, {}, [](double v) { HuberLoss({.delta = v}); });
  check(doubles, "SmoothL1Loss", "beta", from_0, {"0"}, [](double v) { SmoothL1Loss({.beta = v}); });
  check(doubles, "PoissonNLLLoss", "eps", from_0, {"0"}, [](double v) { PoissonNLLLoss({.eps = v}); });
  check(doubles, "GaussianNLLLoss", "eps", above_0, {}, [](double v) { GaussianNLLLoss({.eps = v}); });
  check(doubles, "CrossEntropyLoss", "label_smoothing", "[0, 1]", {"0"},
        [](double v) { CrossEntropyLoss({.label_smoothing = v}); });
  check(doubles, "MarginRankingLoss", "margin", floats, {"-1", "0"},
        [](double v) { MarginRankingLoss({.margin = v}); });
  check(doubles, "CosineEmbeddingLoss", "margin", "[-1, 1]", {"-1", "0"},
        [](double v) { CosineEmbeddingLoss({.margin = v}); });
  check(doubles, "HingeEmbeddingLoss", "margin", floats, {"-1", "0"},
        [](double v) { HingeEmbeddingLoss({.margin = v}); });
  check(doubles, "TripletMarginLoss", "margin", floats, {"-1", "0"},
        [](double v) { TripletMarginLoss({.margin = v}); });
  check(doubles, "TripletMarginLoss", "p", "(0, inf]", {"inf", "1e+300"},
        [](double v) { TripletMarginLoss({.p = v}); });
  check(doubles, "TripletMarginLoss", "eps", from_0, {"0"}, [](double v) { TripletMarginLoss({.eps = v}); });
  const std::vector<Column<int64_t>> below_0{{-1, "-1"}};
  check(below_0, "CTCLoss", "blank", "[0, inf)", {}, [](int64_t v) { CTCLoss({.blank = v}); });
}

TEST_CASE("a layer that is refused for what is no number has drawn nothing") {
  using namespace nn;
  const auto draws_nothing = [](const char* message, const auto& f) {
    const Generator::State before = default_generator().state();
    CHECK(refusal(f) == message);
    CHECK(default_generator().state() == before);
  };
  draws_nothing("RNNCell: expected Nonlinearity::tanh or relu, got Nonlinearity(5)",
                [] { RNNCell(2, 2, {.nonlinearity = static_cast<Nonlinearity>(5)}); });
  draws_nothing("RNN: expected Nonlinearity::tanh or relu, got Nonlinearity(5)",
                [] { RNN(2, 2, {.nonlinearity = static_cast<Nonlinearity>(5)}); });
  draws_nothing("TransformerDecoderLayer: expected TransformerActivation::relu or gelu, got TransformerActivation(9)",
                [] { TransformerDecoderLayer(4, 2, {.activation = static_cast<TransformerActivation>(9)}); });
  draws_nothing("Embedding: expected padding_idx in [-3, 3), got 3", [] { Embedding(3, 2, {.padding_idx = 3}); });
  draws_nothing("Conv2d: expected in and out divisible by groups, got in = 3, out = 4, groups = 2",
                [] { Conv2d(3, 4, 1, {.groups = 2}); });
  draws_nothing("Conv1d: expected a stride of 1 with Padding::same, got 2",
                [] { Conv1d(1, 1, 3, {.stride = 2, .padding = Padding::same}); });
  draws_nothing(
      "ConvTranspose2d: expected output_padding below stride or dilation, got output_padding = (1, 2), stride = (2, "
      "2) and dilation = (1, 1)",
      [] {
        ConvTranspose2d(1, 1, 1, {.stride = 2, .output_padding = {1, 2}});
      });
  draws_nothing("MultiheadAttention: expected embed_dim divisible by num_heads, got 4 and 3",
                [] { MultiheadAttention(4, 3); });
  draws_nothing("GroupNorm: expected channels divisible by num_groups, got channels = 3, num_groups = 2",
                [] { GroupNorm(2, 3); });
}

TEST_CASE("norms take finite numbers in range") {
  using namespace nn;
  const auto running = [](const char* who, const auto& with_eps, const auto& with_momentum, const auto& of_features) {
    check(doubles, who, "eps", from_0, {"0"}, with_eps);
    check(doubles, who, "momentum", "[0, 1]", {"0"}, with_momentum);
    check(integers, who, "features", count, {}, of_features);
    CHECK_THROWS_AS(with_momentum(2), ValueError);
  };
  running(
      "InstanceNorm1d", [](double v) { InstanceNorm1d(2, {.eps = v}); },
      [](double v) { InstanceNorm1d(2, {.momentum = v}); }, [](int64_t v) { InstanceNorm1d{v}; });
  running(
      "InstanceNorm2d", [](double v) { InstanceNorm2d(2, {.eps = v}); },
      [](double v) { InstanceNorm2d(2, {.momentum = v}); }, [](int64_t v) { InstanceNorm2d{v}; });
  running(
      "InstanceNorm3d", [](double v) { InstanceNorm3d(2, {.eps = v}); },
      [](double v) { InstanceNorm3d(2, {.momentum = v}); }, [](int64_t v) { InstanceNorm3d{v}; });
  running(
      "BatchNorm1d", [](double v) { BatchNorm1d(2, {.eps = v}); }, [](double v) { BatchNorm1d(2, {.momentum = v}); },
      [](int64_t v) { BatchNorm1d{v}; });
  running(
      "BatchNorm2d", [](double v) { BatchNorm2d(2, {.eps = v}); }, [](double v) { BatchNorm2d(2, {.momentum = v}); },
      [](int64_t v) { BatchNorm2d{v}; });
  running(
      "BatchNorm3d", [](double v) { BatchNorm3d(2, {.eps = v}); }, [](double v) { BatchNorm3d(2, {.momentum = v}); },
      [](int64_t v) { BatchNorm3d{v}; });
  CHECK_NOTHROW(BatchNorm2d(2, {.momentum = std::nullopt}));
  check(doubles, "GroupNorm", "eps", from_0, {"0"}, [](double v) { GroupNorm(1, 2, {.eps = v}); });
  check(integers, "GroupNorm", "num_groups", count, {}, [](int64_t v) { GroupNorm(v, 2); });
  check(integers, "GroupNorm", "channels", count, {}, [](int64_t v) { GroupNorm(1, v); });
  check(doubles, "LayerNorm", "eps", from_0, {"0"}, [](double v) { LayerNorm(2, {.eps = v}); });
  check(integers, "LayerNorm", "sizes", count, {}, [](int64_t v) { LayerNorm(Shape{2, v}); });
  check(doubles, "RMSNorm", "eps", from_0, {"0"}, [](double v) { RMSNorm(2, {.eps = v}); });
  check(integers, "RMSNorm", "sizes", count, {}, [](int64_t v) { RMSNorm(Shape{v, 2}); });
  CHECK_THROWS_WITH(LayerNorm(Shape{}), "LayerNorm: expected a shape of at least one axis, got ()");
  CHECK_THROWS_WITH(RMSNorm(Shape{}), "RMSNorm: expected a shape of at least one axis, got ()");
}

TEST_CASE("initial values take finite numbers") {
  using namespace nn::init;
  const Tensor x = full({2, 2}, 5, float64);
  check(doubles, "constant_", "value", reals, all_reals, [&](double v) { constant_(x, v); });
  check(doubles, "normal_", "mean", reals, all_reals, [&](double v) { normal_(x, v, 1); });
  check(doubles, "normal_", "stddev", "[0, inf)", {"0", "1e+300"}, [&](double v) { normal_(x, 0, v); });
  check(doubles, "kaiming_uniform_", "a", reals, all_reals, [&](double v) { kaiming_uniform_(x, {.a = v}); });
  check(doubles, "kaiming_normal_", "a", reals, all_reals, [&](double v) { kaiming_normal_(x, {.a = v}); });
  check(doubles, "xavier_normal_", "gain", reals, all_reals, [&](double v) { xavier_normal_(x, v); });
  check(doubles, "orthogonal_", "gain", reals, all_reals, [&](double v) { orthogonal_(x, v); });
  check(doubles, "uniform_", "low", reals, all_reals, [&](double v) { uniform_(x, v, v > 1 ? v : 1); });
  const Tensor before = x.clone();
  CHECK_THROWS_WITH(uniform_(x, 0, NAN), "uniform_: expected high in [0, inf), got nan");
  CHECK_THROWS_WITH(uniform_(x, 0, inf), "uniform_: expected high in [0, inf), got inf");
  CHECK_THROWS_WITH(uniform_(x, 2, 1), "uniform_: expected high in [2, inf), got 1");
  CHECK_THROWS_WITH(uniform_(x, -1.7e308, 1.7e308), "uniform_: expected high - low in (-inf, inf), got inf");
  CHECK_THROWS_WITH(xavier_uniform_(x, inf), "xavier_uniform_: expected gain in (-inf, inf), got inf");
  CHECK(equal(x, before));
}

TEST_CASE("loaders take batches of at least one sample") {
  const Tensor x = ones({3});
  check(integers, "DataLoader", "batch_size", count, {}, [&](int64_t v) { data::DataLoader(x, {.batch_size = v}); });
  int batches = 0;
  for ([[maybe_unused]] auto batch : data::DataLoader(x, {.batch_size = most})) ++batches;
  CHECK(batches == 1);
  Generator generator;
  CHECK_THROWS_WITH(data::DataLoader(x, {.seed = 1, .generator = &generator}),
                    "DataLoader: expected a seed or a generator, got both");
}

}  // namespace test_ranges
