// Every layer in half precision, against the same in float32, and models of them that train.
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "../../catch.hpp"
#include "../vectors.hpp"

namespace test_half_precision {

using namespace limpid;

const auto halves = {float16, bfloat16};

Tensors flat(const Tensor& y) { return {y}; }
Tensors flat(const nn::AttentionResult& y) { return {y.output, y.weights}; }
Tensors flat(const Recurrence& y) { return {y.sequence, y.state}; }
Tensors flat(const LSTMRecurrence& y) { return {y.sequence, y.state.h, y.state.c}; }
Tensors flat(const LSTMState& y) { return {y.h, y.c}; }

bool is_close(const Tensor& half, const Tensor& wide, double tolerance) {
  const Tensor x = half.detach().to(float32), y = wide.detach();
  if (x.shape() != y.shape()) return false;
  const double scale = y.numel() ? max(abs(y)).item<double>() : 0;
  return allclose(x, y, 0, tolerance * scale + 1e-6);
}

// f(module, xs) in half precision has the values and the gradients of float32 at the same numbers, but for rounding.
template <class M, class F>
void check(const char* name, const M& made, const Tensors& inputs, const F& f) {
  for (const DType dtype : halves) {
    INFO(name << " in " << dtype);
    M low = nn::clone(made);
    low.to(dtype);
    M high = nn::clone(low);
    high.to(float32);
    Tensors xs, wides, of_low, of_high;
    for (const Tensor& x : inputs) {
      const bool is_float = is_floating_point(x.dtype());
      xs.push_back(is_float ? x.to(dtype).detach().set_requires_grad() : x);
      wides.push_back(is_float ? xs.back().detach().to(float32).set_requires_grad() : x);
      if (is_float) of_low.push_back(xs.back()), of_high.push_back(wides.back());
    }
    for (const Tensor& x : low.parameters()) {
      CHECK(x.dtype() == dtype);
      of_low.push_back(x);
    }
    for (const Tensor& x : high.parameters()) of_high.push_back(x);
    const Tensors ys = flat(f(low, xs)), zs = flat(f(high, wides));
    Tensors dys, dzs;
    const double tolerance = dtype == float16 ? 0.005 : 0.04;
    for (std::size_t i = 0; i < ys.size(); ++i) {
      CHECK(ys[i].dtype() == dtype);
      CHECK(is_close(ys[i], zs[i], tolerance));
      dys.push_back(randn(ys[i].shape()).to(dtype));
      dzs.push_back(dys.back().to(float32));
    }
    if (of_low.empty()) continue;
    const Tensors dx = grad(ys, of_low, dys, {.allow_unused = true}),
                  dz = grad(zs, of_high, dzs, {.allow_unused = true});
    for (std::size_t i = 0; i < dx.size(); ++i) {
      CAPTURE(i);
      REQUIRE(dx[i].defined() == dz[i].defined());
      if (!dx[i].defined()) continue;
      CHECK(dx[i].dtype() == dtype);
      CHECK(is_close(dx[i], dz[i], 2 * tolerance));
    }
    const TensorMap a = low.state_dict(), b = high.state_dict();
    for (const auto& [key, value] : a)  // running statistics
      if (is_floating_point(value.dtype())) CHECK(is_close(value, b.at(key), tolerance));
  }
}

// The same for a module of one input.
template <class M>
void check(const char* name, const M& made, const Tensor& x) {
  check(name, made, Tensors{x}, [](const M& m, const Tensors& xs) { return m(xs[0]); });
}

// A function as a module without parameters.
template <class F>
void check_function(const char* name, const Tensors& inputs, const F& f) {
  check(name, nn::Identity(), inputs, [&](const nn::Identity&, const Tensors& xs) { return f(xs); });
}

TEST_CASE("convolutions, linear layers and embeddings run forward and backward in half precision") {
  manual_seed(1);
  check("Linear", nn::Linear(70, 40), randn({50, 70}));
  check("Linear of a batch", nn::Linear(7, 5), randn({2, 3, 7}));
  check("Linear of a vector", nn::Linear(7, 5, {.bias = false}), randn({7}));
  check("Bilinear", nn::Bilinear(4, 5, 3), {randn({6, 4}), randn({6, 5})},
        [](const nn::Bilinear& m, const Tensors& xs) { return m(xs[0], xs[1]); });
  check("Conv1d", nn::Conv1d(8, 16, 3, {.padding = 1}), randn({2, 8, 40}));
  check("Conv2d", nn::Conv2d(16, 32, 3, {.stride = 2, .padding = 1}), randn({2, 16, 20, 20}));
  check("Conv2d of one sample", nn::Conv2d(3, 8, 3), randn({3, 9, 9}));
  check("Conv2d, groups", nn::Conv2d(16, 16, 3, {.padding = 1, .groups = 16}), randn({2, 16, 20, 20}));
  check("Conv2d, reflect", nn::Conv2d(4, 8, 3, {.padding = 1, .padding_mode = PadMode::reflect}), randn({2, 4, 9, 9}));
  check("Conv2d, channels_last", nn::Conv2d(16, 32, 3, {.padding = 1}),
        randn({2, 16, 12, 12}).contiguous(MemoryFormat::channels_last));
  check("Conv3d", nn::Conv3d(4, 8, 3, {.padding = 1}), randn({2, 4, 6, 7, 8}));
  check("ConvTranspose1d", nn::ConvTranspose1d(8, 4, 3, {.stride = 2}), randn({2, 8, 20}));
  check("ConvTranspose2d", nn::ConvTranspose2d(16, 8, 4, {.stride = 2, .padding = 1}), randn({2, 16, 9, 9}));
  check("ConvTranspose3d", nn::ConvTranspose3d(4, 3, 2, {.stride = 2}), randn({1, 4, 3, 4, 5}));
  check("Embedding", nn::Embedding(10, 6, {.padding_idx = 1}), {tensor({1, 2, 3, 2, 9, 0}, int64)},
        [](const nn::Embedding& m, const Tensors& xs) { return m(xs[0]); });
}

TEST_CASE("pools, paddings and resampling run forward and backward in half precision") {
  manual_seed(2);
  const Tensor line = randn({2, 3, 12}), image = randn({2, 3, 12, 10}), volume = randn({2, 3, 6, 8, 6});
  check("MaxPool1d", nn::MaxPool1d(2), line);
  check("MaxPool2d", nn::MaxPool2d(3, {.stride = 2, .padding = 1}), image);
  check("MaxPool3d", nn::MaxPool3d(2), volume);
  check("AvgPool1d", nn::AvgPool1d(3), line);
  check("AvgPool2d", nn::AvgPool2d(2), image);
  check("AvgPool2d, overlapping", nn::AvgPool2d(3, {.stride = 1, .padding = 1}), image);
  check("AvgPool3d", nn::AvgPool3d(2), volume);
  check("AdaptiveAvgPool1d", nn::AdaptiveAvgPool1d(5), line);
  check("AdaptiveAvgPool2d", nn::AdaptiveAvgPool2d(1), image);
  check("AdaptiveAvgPool3d", nn::AdaptiveAvgPool3d(3), volume);
  check("AdaptiveMaxPool1d", nn::AdaptiveMaxPool1d(5), line);
  check("AdaptiveMaxPool2d", nn::AdaptiveMaxPool2d(4), image);
  check("AdaptiveMaxPool3d", nn::AdaptiveMaxPool3d(2), volume);
  check("ConstantPad1d", nn::ConstantPad1d(2, 1.5), line);
  check("ZeroPad2d", nn::ZeroPad2d(2), image);
  check("ReflectionPad2d", nn::ReflectionPad2d(2), image);
  check("ReplicationPad3d", nn::ReplicationPad3d(2), volume);
  check("CircularPad1d", nn::CircularPad1d(2), line);
  check_function("interpolate, nearest", {image},
                 [](const Tensors& xs) { return interpolate(xs[0], {.scale_factor = 2}); });
  check_function("interpolate, bilinear", {image}, [](const Tensors& xs) {
    return interpolate(xs[0], {.scale_factor = 2, .mode = Interpolation::bilinear});
  });
  check_function("grid_sample", {image, rand({2, 5, 4, 2}) - 0.5},
                 [](const Tensors& xs) { return grid_sample(xs[0], xs[1]); });
  check_function("unfold", {image}, [](const Tensors& xs) { return unfold(xs[0], 3); });
  check("Flatten", nn::Flatten(), image);
  check_function("dropout of nothing", {image}, [](const Tensors& xs) { return nn::Dropout(0)(xs[0]); });
}

TEST_CASE("normalisations run forward and backward in half precision") {
  manual_seed(3);
  const Tensor line = randn({4, 6, 12}), image = randn({4, 6, 8, 7}), volume = randn({2, 6, 4, 5, 6});
  check("BatchNorm1d", nn::BatchNorm1d(6), line);
  check("BatchNorm2d", nn::BatchNorm2d(6), image);
  check("BatchNorm3d", nn::BatchNorm3d(6), volume);
  check("InstanceNorm1d", nn::InstanceNorm1d(6, {.affine = true, .track_running_stats = true}), line);
  check("InstanceNorm2d", nn::InstanceNorm2d(6), image);
  check("InstanceNorm3d", nn::InstanceNorm3d(6), volume);
  check("GroupNorm", nn::GroupNorm(3, 6), image);
  check("LayerNorm", nn::LayerNorm({8, 7}), image);
  check("RMSNorm", nn::RMSNorm({7}), image);
  check("LocalResponseNorm", nn::LocalResponseNorm(3), image);
  nn::BatchNorm2d evaluated(6);
  evaluated.eval();
  check("BatchNorm2d, evaluated", evaluated, image);
}

TEST_CASE("recurrent layers run forward and backward in half precision") {
  manual_seed(4);
  const Tensor x = randn({5, 3, 7}), h = randn({2, 3, 8}), lengths = tensor({5, 2, 4}, int64);
  check("RNN", nn::RNN(7, 8), x);
  check("GRU", nn::GRU(7, 8, {.num_layers = 2}), x);
  check("GRU, from a state", nn::GRU(7, 8, {.bidirectional = true}), {x, h, lengths},
        [](const nn::GRU& m, const Tensors& xs) { return m(xs[0], xs[1], {.lengths = xs[2]}); });
  check("LSTM", nn::LSTM(7, 8, {.bidirectional = true}), x);
  check("LSTM, projected", nn::LSTM(7, 8, {.batch_first = true, .proj_size = 3}), x);
  check("RNNCell", nn::RNNCell(7, 8), {x.select(0, 0), h.select(0, 0)},
        [](const nn::RNNCell& m, const Tensors& xs) { return m(xs[0], xs[1]); });
  check("GRUCell", nn::GRUCell(7, 8), {x.select(0, 0), h.select(0, 0)},
        [](const nn::GRUCell& m, const Tensors& xs) { return m(xs[0], xs[1]); });
  check("LSTMCell", nn::LSTMCell(7, 8), {x.select(0, 0), h.select(0, 0), h.select(0, 1)},
        [](const nn::LSTMCell& m, const Tensors& xs) {
          return m(xs[0], {xs[1], xs[2]});
        });
}

TEST_CASE("attention runs forward and backward in half precision") {
  manual_seed(5);
  const Tensor x = randn({6, 3, 8}), memory = randn({4, 3, 8});
  const auto of_self = [](const nn::MultiheadAttention& m, const Tensors& xs) { return m(xs[0], xs[0], xs[0]); };
  check("MultiheadAttention", nn::MultiheadAttention(8, 2), {x}, of_self);
  check("MultiheadAttention, causal", nn::MultiheadAttention(8, 2), {x, memory},
        [](const nn::MultiheadAttention& m, const Tensors& xs) {
          return m(xs[0], xs[1], xs[1], {.causal = true, .need_weights = false}).output;
        });
  check("MultiheadAttention, masks", nn::MultiheadAttention(8, 2, {.batch_first = true}), {x, randn({3, 3})},
        [](const nn::MultiheadAttention& m, const Tensors& xs) {
          Tensor padding = zeros({6, 3}, bool_);
          padding.select(0, 1).select(0, 2).fill_(true);
          return m(xs[0], xs[0], xs[0], {.key_padding_mask = padding, .attn_mask = xs[1]});
        });
  check("TransformerEncoderLayer", nn::TransformerEncoderLayer(8, 2, {.dim_feedforward = 16, .dropout = 0}), x);
  check("TransformerDecoderLayer",
        nn::TransformerDecoderLayer(
            8, 2, {.dim_feedforward = 16, .dropout = 0, .activation = nn::TransformerActivation::gelu}),
        {x, memory}, [](const nn::TransformerDecoderLayer& m, const Tensors& xs) { return m(xs[0], xs[1]); });
  // Rounding may cross the kink of a ReLU, here between layers.
  const nn::TransformerEncoderLayer smooth(
      8, 2, {.dim_feedforward = 16, .dropout = 0, .activation = nn::TransformerActivation::gelu});
  check("TransformerEncoder", nn::TransformerEncoder(smooth, 2), x);
  check_function("scaled_dot_product_attention", {randn({2, 3, 40, 16}), randn({2, 3, 50, 16}), randn({2, 3, 50, 16})},
                 [](const Tensors& xs) { return scaled_dot_product_attention(xs[0], xs[1], xs[2]); });
}

TEST_CASE("activations run forward and backward in half precision") {
  manual_seed(6);
  const Tensor x = 2 * randn({6, 10});
  check("ReLU", nn::ReLU(), x);
  check("GELU", nn::GELU(), x);
  check("SiLU", nn::SiLU(), x);
  check("Sigmoid", nn::Sigmoid(), x);
  check("Tanh", nn::Tanh(), x);
  check("Hardswish", nn::Hardswish(), x);
  check("Mish", nn::Mish(), x);
  check("SELU", nn::SELU(), x);
  check("LogSigmoid", nn::LogSigmoid(), x);
  check("LeakyReLU", nn::LeakyReLU(0.2), x);
  check("ELU", nn::ELU(), x);
  check("PReLU", nn::PReLU(), x);
  check("GLU", nn::GLU(), x);
  check("Softplus", nn::Softplus(), x);
  check("Softmax", nn::Softmax(1), x);
  check("LogSoftmax", nn::LogSoftmax(1), x);
}

TEST_CASE("losses run forward and backward in half precision") {
  manual_seed(7);
  const Tensor x = randn({6, 5}), y = randn({6, 5}), shares = rand({6, 5}) * 0.8 + 0.1,
               classes = tensor({0, 4, 2, 1, 1, 3}, int64), signs = tensor({1, -1, 1, 1, -1, -1});
  const auto of_pairs = [](const auto& loss) { return [&loss](const Tensors& xs) { return loss(xs[0], xs[1]); }; };
  check_function("MSELoss", {x, y}, of_pairs(nn::MSELoss()));
  check_function("L1Loss", {x, y}, of_pairs(nn::L1Loss()));
  check_function("HuberLoss", {x, y}, of_pairs(nn::HuberLoss()));
  check_function("SmoothL1Loss", {x, y}, of_pairs(nn::SmoothL1Loss()));
  check_function("PoissonNLLLoss", {x, shares}, of_pairs(nn::PoissonNLLLoss()));
  check_function("KLDivLoss", {x, shares}, of_pairs(nn::KLDivLoss()));
  check_function("BCELoss", {shares, shares}, of_pairs(nn::BCELoss()));
  check_function("BCEWithLogitsLoss", {x, shares}, of_pairs(nn::BCEWithLogitsLoss()));
  check_function("NLLLoss", {x, classes}, of_pairs(nn::NLLLoss()));
  check_function("CrossEntropyLoss", {x, classes}, of_pairs(nn::CrossEntropyLoss()));
  check_function("CrossEntropyLoss of shares", {x, shares}, of_pairs(nn::CrossEntropyLoss({.label_smoothing = 0.1})));
  check_function("HingeEmbeddingLoss", {x.select(1, 0), signs},
                 [&](const Tensors& xs) { return nn::HingeEmbeddingLoss()(xs[0], xs[1].detach()); });
  check_function("GaussianNLLLoss", {x, y, shares},
                 [](const Tensors& xs) { return nn::GaussianNLLLoss()(xs[0], xs[1], xs[2]); });
  check_function("MarginRankingLoss", {x.select(1, 0), y.select(1, 0), signs},
                 [](const Tensors& xs) { return nn::MarginRankingLoss()(xs[0], xs[1], xs[2].detach()); });
  check_function("CosineEmbeddingLoss", {x, y, signs},
                 [](const Tensors& xs) { return nn::CosineEmbeddingLoss()(xs[0], xs[1], xs[2].detach()); });
  check_function("TripletMarginLoss", {x, y, shares},
                 [](const Tensors& xs) { return nn::TripletMarginLoss()(xs[0], xs[1], xs[2]); });
  check_function("CTCLoss", {randn({8, 2, 5})}, [](const Tensors& xs) {
    return nn::CTCLoss()(log_softmax(xs[0], 2), reshape(tensor({1, 2, 3, 3}, int64), {2, 2}), tensor({8, 7}, int64),
                         tensor({2, 2}, int64));
  });
}

// Bright bars, upright or level, in noise.
struct Bars {
  Tensor images, classes;
};
Bars draw_bars(int64_t n) {
  Tensor images = 0.5 * randn({n, 1, 8, 8});
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < n; ++i) {
    classes.push_back(i % 2);
    images.select(0, i).select(0, 0).select(i % 2, 1 + i % 5).add_(2);
  }
  return {images, from_vector(classes, {n})};
}

// Convolution, normalisation, attention, linear.
struct Net : nn::Module {
  nn::Conv2d conv;
  nn::BatchNorm2d norm;
  nn::TransformerEncoderLayer attention;
  nn::Linear out;
  Net()
      : conv(add("conv", nn::Conv2d(1, 8, 3, {.stride = 2, .padding = 1}))),
        norm(add("norm", nn::BatchNorm2d(8))),
        attention(add("attention",
                      nn::TransformerEncoderLayer(8, 2, {.dim_feedforward = 16, .dropout = 0, .batch_first = true}))),
        out(add("out", nn::Linear(8, 2))) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor tokens = transpose(flatten(relu(norm(conv(x))), 2), 1, 2);
    return out(mean(attention(tokens), 1));
  }
};

struct Run {
  std::vector<double> losses;
  double accuracy;
};

Run train(DType dtype, double scale) {
  manual_seed(11);
  const Bars bars = draw_bars(40), others = draw_bars(40);
  Net net;
  net.to(dtype);
  optim::AdamW optimizer(net.parameters(), {.lr = 1e-2});
  optim::GradScaler scaler({.init_scale = scale > 0 ? scale : 1, .enabled = scale > 0});
  Run run{};
  for (int i = 0; i < 60; ++i) {
    optimizer.zero_grad();
    const Tensor loss = nn::cross_entropy(net(bars.images.to(dtype)).to(float32), bars.classes);
    scaler.scale(loss).backward();
    scaler.step(optimizer);
    scaler.update();
    run.losses.push_back(loss.item<double>());
  }
  net.eval();
  const Tensor found = argmax(net(others.images.to(dtype)), 1);
  run.accuracy = mean((found == others.classes).to(float32)).item<double>();
  return run;
}

TEST_CASE("a model of half precision trains as one of float32 does") {
  const Run single = train(float32, 0);
  CHECK(single.losses.back() < 0.05);
  for (const Run& half : {train(bfloat16, 0), train(float16, 65536), train(float16, 0x1p40)}) {
    CHECK(half.losses.front() < 2 * single.losses.front());
    CHECK(half.losses.back() < 0.1);
    CHECK(half.accuracy >= 0.9);
  }
  CHECK(single.accuracy >= 0.9);
}

}  // namespace test_half_precision
