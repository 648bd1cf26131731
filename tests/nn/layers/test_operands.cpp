// Every layer and loss module, given no tensor where it wants one: the message names who wants it, and which operand.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_operands {

using namespace limpid;

struct Call {
  std::string expected;
  Tensor (*f)(const Tensor& none, const Tensor& x);
};

// "who: expected a defined operand, got an undefined tensor", for each way to call a layer with one operand missing.
void check(const std::vector<Call>& calls) {
  const Tensor none, x = ones({2, 4});
  for (const auto& [expected, f] : calls) {
    INFO(expected);
    CHECK(message_of([&, f = f] { f(none, x); }) == expected + ", got an undefined tensor");
  }
}

#define CALL(...) \
  +[]([[maybe_unused]] const Tensor& none, [[maybe_unused]] const Tensor& x) -> Tensor { return __VA_ARGS__; }

TEST_CASE("layers with weights name the operand that they were not given") {
  check({
      {"linear: expected a defined x", CALL(nn::Linear(4, 2)(none))},
      {"Bilinear: expected a defined x1", CALL(nn::Bilinear(4, 4, 2)(none, x))},
      {"Bilinear: expected a defined x2", CALL(nn::Bilinear(4, 4, 2)(x, none))},
      {"Embedding: expected a defined index", CALL(nn::Embedding(4, 2)(none))},
      {"Conv1d: expected a defined x", CALL(nn::Conv1d(1, 1, 1)(none))},
      {"Conv2d: expected a defined x", CALL(nn::Conv2d(1, 1, 1)(none))},
      {"Conv3d: expected a defined x", CALL(nn::Conv3d(1, 1, 1)(none))},
      {"Conv2d: expected a defined x",
       CALL(nn::Conv2d(1, 1, 3, {.padding = 1, .padding_mode = PadMode::circular})(none))},
      {"ConvTranspose1d: expected a defined x", CALL(nn::ConvTranspose1d(1, 1, 1)(none))},
      {"ConvTranspose2d: expected a defined x", CALL(nn::ConvTranspose2d(1, 1, 1)(none))},
      {"ConvTranspose3d: expected a defined x", CALL(nn::ConvTranspose3d(1, 1, 1)(none))},
      {"InstanceNorm1d: expected a defined x", CALL(nn::InstanceNorm1d(2)(none))},
      {"InstanceNorm2d: expected a defined x", CALL(nn::InstanceNorm2d(2)(none))},
      {"InstanceNorm3d: expected a defined x", CALL(nn::InstanceNorm3d(2)(none))},
      {"BatchNorm1d: expected a defined x", CALL(nn::BatchNorm1d(2)(none))},
      {"BatchNorm2d: expected a defined x", CALL(nn::BatchNorm2d(2)(none))},
      {"BatchNorm3d: expected a defined x", CALL(nn::BatchNorm3d(2)(none))},
      {"GroupNorm: expected a defined x", CALL(nn::GroupNorm(1, 2)(none))},
      {"layer_norm: expected a defined x", CALL(nn::LayerNorm(2)(none))},
      {"rms_norm: expected a defined x", CALL(nn::RMSNorm(2)(none))},
      {"local_response_norm: expected a defined x", CALL(nn::LocalResponseNorm(2)(none))},
      {"RNN: expected a defined x", CALL(nn::RNN(4, 2)(none).sequence)},
      {"GRU: expected a defined x", CALL(nn::GRU(4, 2)(none).sequence)},
      {"LSTM: expected a defined x", CALL(nn::LSTM(4, 2)(none).sequence)},
      {"RNNCell: expected a defined x", CALL(nn::RNNCell(4, 2)(none))},
      {"GRUCell: expected a defined x", CALL(nn::GRUCell(4, 2)(none))},
      {"LSTMCell: expected a defined x", CALL(nn::LSTMCell(4, 2)(none).h)},
      {"MultiheadAttention: expected a defined query", CALL(nn::MultiheadAttention(4, 2)(none, x, x).output)},
      {"MultiheadAttention: expected a defined key", CALL(nn::MultiheadAttention(4, 2)(x, none, x).output)},
      {"MultiheadAttention: expected a defined value", CALL(nn::MultiheadAttention(4, 2)(x, x, none).output)},
      {"TransformerEncoderLayer: expected a defined src", CALL(nn::TransformerEncoderLayer(4, 2)(none))},
      {"TransformerDecoderLayer: expected a defined tgt", CALL(nn::TransformerDecoderLayer(4, 2)(none, x))},
      {"TransformerDecoderLayer: expected a defined memory", CALL(nn::TransformerDecoderLayer(4, 2)(x, none))},
      {"layers.0: TransformerEncoderLayer: expected a defined src",
       CALL(nn::TransformerEncoder(nn::TransformerEncoderLayer(4, 2), 1)(none))},
      {"layers.0: TransformerDecoderLayer: expected a defined tgt",
       CALL(nn::TransformerDecoder(nn::TransformerDecoderLayer(4, 2), 1)(none, x))},
      {"layers.0: TransformerDecoderLayer: expected a defined memory",
       CALL(nn::TransformerDecoder(nn::TransformerDecoderLayer(4, 2), 1)(x, none))},
  });
}

TEST_CASE("layers without weights name the operand that they were not given") {
  check({
      {"Dropout: expected a defined x", CALL(nn::Dropout(0.5)(none))},
      {"Dropout1d: expected a defined x", CALL(nn::Dropout1d(0.5)(none))},
      {"Dropout2d: expected a defined x", CALL(nn::Dropout2d(0)(none))},
      {"Dropout3d: expected a defined x", CALL(nn::Dropout3d(1)(none))},
      {"flatten: expected a defined tensor", CALL(nn::Flatten()(none))},
      {"interpolate: expected a defined x", CALL(nn::Upsample(2)(none))},
      {"max_pool1d: expected a defined x", CALL(nn::MaxPool1d(2)(none))},
      {"max_pool2d: expected a defined x", CALL(nn::MaxPool2d(2)(none))},
      {"max_pool3d: expected a defined x", CALL(nn::MaxPool3d(2)(none))},
      {"max_pool2d: expected a defined x", CALL(nn::MaxPool2d(2).with_indices(none).values)},
      {"avg_pool1d: expected a defined x", CALL(nn::AvgPool1d(2)(none))},
      {"avg_pool2d: expected a defined x", CALL(nn::AvgPool2d(2)(none))},
      {"avg_pool3d: expected a defined x", CALL(nn::AvgPool3d(2)(none))},
      {"adaptive_avg_pool1d: expected a defined x", CALL(nn::AdaptiveAvgPool1d(2)(none))},
      {"adaptive_avg_pool2d: expected a defined x", CALL(nn::AdaptiveAvgPool2d(2)(none))},
      {"adaptive_avg_pool3d: expected a defined x", CALL(nn::AdaptiveAvgPool3d(2)(none))},
      {"adaptive_max_pool1d: expected a defined x", CALL(nn::AdaptiveMaxPool1d(2)(none))},
      {"adaptive_max_pool2d: expected a defined x", CALL(nn::AdaptiveMaxPool2d(2)(none))},
      {"adaptive_max_pool3d: expected a defined x", CALL(nn::AdaptiveMaxPool3d(2)(none))},
      {"adaptive_max_pool3d: expected a defined x", CALL(nn::AdaptiveMaxPool3d(2).with_indices(none).values)},
      {"ConstantPad1d: expected a defined x", CALL(nn::ConstantPad1d(1, 0)(none))},
      {"ZeroPad2d: expected a defined x", CALL(nn::ZeroPad2d(1)(none))},
      {"ReflectionPad2d: expected a defined x", CALL(nn::ReflectionPad2d(1)(none))},
      {"ReplicationPad3d: expected a defined x", CALL(nn::ReplicationPad3d(1)(none))},
      {"CircularPad1d: expected a defined x", CALL(nn::CircularPad1d(1)(none))},
      {"relu: expected a defined tensor", CALL(nn::ReLU()(none))},
      {"relu6: expected a defined tensor", CALL(nn::ReLU6()(none))},
      {"gelu: expected a defined tensor", CALL(nn::GELU()(none))},
      {"gelu_tanh: expected a defined tensor", CALL(nn::GELU({.approximate = true})(none))},
      {"silu: expected a defined tensor", CALL(nn::SiLU()(none))},
      {"sigmoid: expected a defined tensor", CALL(nn::Sigmoid()(none))},
      {"tanh: expected a defined tensor", CALL(nn::Tanh()(none))},
      {"hardswish: expected a defined tensor", CALL(nn::Hardswish()(none))},
      {"hardsigmoid: expected a defined tensor", CALL(nn::Hardsigmoid()(none))},
      {"mish: expected a defined tensor", CALL(nn::Mish()(none))},
      {"selu: expected a defined tensor", CALL(nn::SELU()(none))},
      {"softsign: expected a defined tensor", CALL(nn::Softsign()(none))},
      {"logsigmoid: expected a defined tensor", CALL(nn::LogSigmoid()(none))},
      {"leaky_relu: expected a defined tensor", CALL(nn::LeakyReLU()(none))},
      {"elu: expected a defined tensor", CALL(nn::ELU()(none))},
      {"celu: expected a defined tensor", CALL(nn::CELU()(none))},
      {"hardtanh: expected a defined tensor", CALL(nn::Hardtanh()(none))},
      {"prelu: expected a defined tensor", CALL(nn::PReLU()(none))},
      {"glu: expected a defined tensor", CALL(nn::GLU()(none))},
      {"softplus: expected a defined tensor", CALL(nn::Softplus()(none))},
      {"softmax: expected a defined tensor", CALL(nn::Softmax(1)(none))},
      {"log_softmax: expected a defined tensor", CALL(nn::LogSoftmax(1)(none))},
  });
}

TEST_CASE("loss modules name the operand that they were not given") {
  check({
      {"mse_loss: expected a defined x", CALL(nn::MSELoss()(none, x))},
      {"mse_loss: expected a defined target", CALL(nn::MSELoss()(x, none))},
      {"l1_loss: expected a defined target", CALL(nn::L1Loss()(x, none))},
      {"huber_loss: expected a defined target", CALL(nn::HuberLoss()(x, none))},
      {"smooth_l1_loss: expected a defined target", CALL(nn::SmoothL1Loss()(x, none))},
      {"poisson_nll_loss: expected a defined target", CALL(nn::PoissonNLLLoss()(x, none))},
      {"gaussian_nll_loss: expected a defined target", CALL(nn::GaussianNLLLoss()(x, none, x))},
      {"gaussian_nll_loss: expected a defined var", CALL(nn::GaussianNLLLoss()(x, x, none))},
      {"kl_div: expected a defined target", CALL(nn::KLDivLoss()(x, none))},
      {"binary_cross_entropy: expected a defined target", CALL(nn::BCELoss()(x, none))},
      {"bce_with_logits: expected a defined target", CALL(nn::BCEWithLogitsLoss()(x, none))},
      {"nll_loss: expected a defined target", CALL(nn::NLLLoss()(x, none))},
      {"cross_entropy: expected a defined x", CALL(nn::CrossEntropyLoss()(none, x))},
      {"cross_entropy: expected a defined target", CALL(nn::CrossEntropyLoss()(x, none))},
      {"ctc_loss: expected a defined log_probs", CALL(nn::CTCLoss()(none, x, x, x))},
      {"ctc_loss: expected a defined targets", CALL(nn::CTCLoss()(x, none, x, x))},
      {"ctc_loss: expected a defined input_lengths", CALL(nn::CTCLoss()(x, x, none, x))},
      {"ctc_loss: expected a defined target_lengths", CALL(nn::CTCLoss()(x, x, x, none))},
      {"margin_ranking_loss: expected a defined x2", CALL(nn::MarginRankingLoss()(x, none, x))},
      {"margin_ranking_loss: expected a defined target", CALL(nn::MarginRankingLoss()(x, x, none))},
      {"cosine_embedding_loss: expected a defined x1", CALL(nn::CosineEmbeddingLoss()(none, x, x))},
      {"cosine_embedding_loss: expected a defined target", CALL(nn::CosineEmbeddingLoss()(x, x, none))},
      {"hinge_embedding_loss: expected a defined target", CALL(nn::HingeEmbeddingLoss()(x, none))},
      {"triplet_margin_loss: expected a defined anchor", CALL(nn::TripletMarginLoss()(none, x, x))},
      {"triplet_margin_loss: expected a defined positive", CALL(nn::TripletMarginLoss()(x, none, x))},
      {"triplet_margin_loss: expected a defined negative", CALL(nn::TripletMarginLoss()(x, x, none))},
  });
}

}  // namespace test_operands
