// Models whose values PyTorch has made or is to read, by name: the outputs are the same. Its half is
// tests/reference/exchange.py, which builds the same models under the same names.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/nn/vectors.hpp>
#include <limpid/tests/settings.hpp>

namespace test_exchange {

using namespace limpid;

struct Tagger : nn::Module {
  nn::Embedding words;
  nn::LSTM lstm;
  nn::Linear out;
  Tagger()
      : words(add("words", nn::Embedding(7, 4, {.padding_idx = 0}))),
        lstm(add("lstm", nn::LSTM(4, 3, {.num_layers = 2, .batch_first = true, .bidirectional = true}))),
        out(add("out", nn::Linear(6, 2))) {}
  Tensor operator()(const Tensor& x) const { return out(lstm(words(x)).sequence); }
};

struct Recurrences : nn::Module {
  nn::GRU gru;
  nn::LayerNorm norm;
  nn::LSTM projected;
  nn::RNN rnn;
  Recurrences()
      : gru(add("gru", nn::GRU(3, 4, {.num_layers = 2, .bidirectional = true}))),
        norm(add("norm", nn::LayerNorm(3))),
        projected(add("projected", nn::LSTM(8, 4, {.proj_size = 3}))),
        rnn(add("rnn", nn::RNN(3, 2, {.nonlinearity = Nonlinearity::relu, .bias = false}))) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor y = projected(gru(norm(x)).sequence).sequence;
    return cat({y, rnn(y).sequence}, 2);
  }
};

struct Cells : nn::Module {
  nn::RNNCell rnn;
  nn::GRUCell gru;
  nn::LSTMCell lstm;
  nn::Bilinear bilinear;
  Cells()
      : rnn(add("rnn", nn::RNNCell(3, 2))),
        gru(add("gru", nn::GRUCell(3, 2))),
        lstm(add("lstm", nn::LSTMCell(3, 2))),
        bilinear(add("bilinear", nn::Bilinear(2, 2, 2))) {}
  Tensor operator()(const Tensor& x) const {
    const LSTMState state = lstm(x);
    return bilinear(rnn(x) + gru(x), state.h) + state.c;
  }
};

struct Attention : nn::Module {
  nn::MultiheadAttention self, cross;
  Attention()
      : self(add("self", nn::MultiheadAttention(4, 2, {.batch_first = true}))),
        cross(add("cross", nn::MultiheadAttention(4, 2, {.kdim = 3, .vdim = 5, .batch_first = true}))) {}
  Tensor operator()(const Tensor& x) const {
    const Tensor y = self(x, x, x).output;
    return cross(y, slice(x, 2, 0, 3), cat({y, slice(x, 2, 0, 1)}, 2)).output;
  }
};

struct Transformer : nn::Module {
  nn::TransformerEncoder encoder;
  nn::TransformerDecoder decoder;
  Transformer()
      : encoder(add("encoder", nn::TransformerEncoder(
                                   nn::TransformerEncoderLayer(4, 2, {.dim_feedforward = 6, .batch_first = true}), 2,
                                   {.norm = nn::LayerNorm(4)}))),
        decoder(add("decoder",
                    nn::TransformerDecoder(nn::TransformerDecoderLayer(4, 2,
                                                                       {.dim_feedforward = 6,
                                                                        .activation = nn::TransformerActivation::gelu,
                                                                        .batch_first = true,
                                                                        .norm_first = true}),
                                           1))) {}
  Tensor operator()(const Tensor& x) const { return decoder(flip(x, {1}), encoder(x)); }
};

struct Model {
  std::string name;
  nn::Module module;
  Tensor x;
  std::function<Tensor(const Tensor& x)> call;
};

template <class M>
Model model(const char* name, const M& m, const Tensor& x) {
  return {name, m, x, [m](const Tensor& at) { return m(at); }};
}

/// Those of exchange.py, with values and inputs of limpid's own.
std::vector<Model> models() {
  const nn::Sequential volume{nn::Conv3d(2, 3, 3, {.padding = 1}), nn::BatchNorm3d(3), nn::ReLU(),
                              nn::Conv3d(3, 3, 2, {.stride = 2, .groups = 3}), nn::Flatten()};
  const nn::Sequential painter{nn::ConvTranspose2d(4, 6, 3, {.stride = 2, .output_padding = 1, .groups = 2}),
                               nn::BatchNorm2d(6), nn::PReLU(6),
                               nn::ConvTranspose2d(6, 1, 2, {.padding = 1, .bias = false})};
  const nn::Sequential signal{nn::Conv1d(2, 4, 5, {.padding = 2, .padding_mode = PadMode::circular}),
                              nn::InstanceNorm1d(4, {.affine = true, .track_running_stats = true}), nn::GroupNorm(2, 4),
                              nn::GELU(), nn::ConvTranspose1d(4, 2, 3, {.dilation = 2})};
  const nn::Sequential image{
      nn::Sequential{nn::Conv2d(1, 3, 3, {.padding = Padding::same}), nn::BatchNorm2d(3, {.affine = false})},
      nn::MaxPool2d(2), nn::Flatten(), nn::BatchNorm1d(12), nn::Linear(12, 2, {.bias = false})};
  return {
      model("tagger", Tagger(), reshape(remainder(arange(10), 7), {2, 5})),
      model("recurrences", Recurrences(), randn({4, 2, 3})),
      model("cells", Cells(), randn({2, 3})),
      model("attention", Attention(), randn({2, 3, 4})),
      model("transformer", Transformer(), randn({2, 3, 4})),
      model("volume", volume, randn({2, 2, 2, 3, 3})),
      model("painter", painter, randn({2, 4, 2, 3})),
      model("signal", signal, randn({2, 2, 6})),
      model("image", image, randn({3, 1, 4, 5})),
  };
}

double difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  const Tensor p = a.detach().to(float64), q = b.detach().to(float64);
  return (max(abs(p - q)) / max(abs(q))).item<double>();
}

/// The worst difference of outputs from those in the file, whose values the models have taken.
double read(const std::string& path) {
  const TensorMap file = load_pt(path);
  double worst = 0;
  for (Model& m : models()) {
    CAPTURE(path, m.name);
    const TensorMap vectors = members_of(file, m.name + '.'), state = members_of(vectors, "state.");
    CHECK(names(m.module.state_dict()) == names(state));
    m.module.load_state_dict(state);
    m.module.eval();
    const double found = difference(m.call(vectors.at("x")), vectors.at("y"));
    CHECK(found <= 1e-6);
    worst = std::max(worst, found);
  }
  return worst;
}

/// Models with running statistics of their own, what they are given and what they make of it.
void write(const std::string& path) {
  const NoGradGuard no_grad;
  TensorMap file;
  for (Model& m : models()) {
    m.call(m.x);  // moves what is tracked
    m.module.eval();
    for (const auto& [name, tensor] : m.module.state_dict()) file[m.name + ".state." + name] = tensor;
    file[m.name + ".x"] = m.x;
    file[m.name + ".y"] = m.call(m.x);
  }
  save_safetensors(path, file);
}

TEST_CASE("models that PyTorch saved give its outputs") { read(LIMPID_TEST_DATA "/torch/exchange.pt"); }

// For exchange.py, which sets the folder.
TEST_CASE("models are exchanged with PyTorch", "[.exchange]") {
  const char* folder = std::getenv("LIMPID_EXCHANGE");
  if (!folder) return test::left_out("models exchanged with PyTorch, but by tests/reference/exchange.py");
  const double worst = read(std::string(folder) + "/from_pytorch.pt");
  std::cout << "from PyTorch: worst relative difference of outputs " << worst << std::endl;
  write(std::string(folder) + "/from_limpid.safetensors");
}

}  // namespace test_exchange
