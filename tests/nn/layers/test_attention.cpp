// Attention layers against PyTorch's: tests/reference/attention_vectors.py.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <limpid/tests/nn/printed.hpp>
#include <limpid/tests/nn/vectors.hpp>
#include <limpid/tests/ops/plain.hpp>

namespace test_attention {

using namespace limpid;
using plain::thrown;

Tensors results(const Tensor& y) { return {y}; }
Tensors results(const nn::AttentionResult& r) { return {r.output, r.weights}; }

template <class M, class Run>
void check_case(const std::string& name, M module, Run run) {
  CAPTURE(name);
  static const TensorMap all = load_npz(LIMPID_TEST_DATA "/attention.npz");
  const TensorMap vectors = members_of(all, name + '/'), state = members_of(vectors, "state/");
  module.to(float64);
  CHECK(names(module.state_dict()) == names(state));
  module.load_state_dict(state);
  const auto same = [&](const Tensor& a, const std::string& key) {
    REQUIRE(vectors.count(key) == 1);
    INFO(key << ": " << a << "\nfor\n" << vectors.at(key));
    CHECK(allclose(a.detach(), vectors.at(key), 1e-9, 1e-10));
  };
  // In training without dropout, and in evaluation.
  for (const bool training : {false, true}) {
    module.train(training);
    module.zero_grad();
    Tensors xs;
    for (int i = 0; vectors.count("x" + std::to_string(i)); ++i)
      xs.push_back(vectors.at("x" + std::to_string(i)).clone().set_requires_grad());
    const Tensors ys = results(run(module, xs));
    for (std::size_t i = 0; i < ys.size(); ++i) {
      CHECK(ys[i].defined() == (vectors.count("y" + std::to_string(i)) == 1));
      if (ys[i].defined()) same(ys[i], "y" + std::to_string(i));
    }
    sum(ys[0] * cos(reshape(arange(ys[0].numel()), ys[0].shape()).to(float64))).backward();
    for (std::size_t i = 0; i < xs.size(); ++i) same(xs[i].grad(), "dx" + std::to_string(i));
    for (const auto& parameter : module.named_parameters()) same(parameter.tensor.grad(), "grad/" + parameter.name);
  }
}

Tensor padding() { return reshape(tensor({0, 0, 0, 0, 1, 0, 1, 0, 0, 0}, bool_), {2, 5}); }
Tensor causal_mask() { return gt(arange(4), reshape(arange(4), {4, 1})); }
nn::TransformerOptions plain_options() { return {.dim_feedforward = 8, .dropout = 0}; }
nn::TransformerOptions other_options(double eps) {
  return {.dim_feedforward = 8,
          .dropout = 0,
          .activation = nn::TransformerActivation::gelu,
          .layer_norm_eps = eps,
          .batch_first = true,
          .norm_first = true};
}

TEST_CASE("attention layers give PyTorch's outputs, weights and gradients, under its names") {
  check_case("mha", nn::MultiheadAttention(6, 2), [](const auto& m, const Tensors& x) {
    const Tensor blocked = gt(arange(5), reshape(arange(4), {4, 1}) + 1);
    return m(x[0], x[1], x[2], {.key_padding_mask = padding(), .attn_mask = blocked});
  });
  check_case("mha self", nn::MultiheadAttention(6, 3, {.bias = false, .batch_first = true}),
             [](const auto& m, const Tensors& x) { return m(x[0], x[0], x[0], {.average_attn_weights = false}); });
  check_case("mha sizes", nn::MultiheadAttention(6, 2, {.kdim = 3, .vdim = 7}), [](const auto& m, const Tensors& x) {
    return m(x[0], x[1], x[2], {.attn_mask = reshape(linspace(-1, 1, 20, float64), {4, 5})});
  });
  check_case("mha unbatched", nn::MultiheadAttention(6, 2),
             [](const auto& m, const Tensors& x) { return m(x[0], x[1], x[1], {.need_weights = false}); });
  check_case("encoder layer", nn::TransformerEncoderLayer(6, 2, plain_options()),
             [](const auto& m, const Tensors& x) { return m(x[0], {.src_key_padding_mask = slice(padding(), 1, 1)}); });
  check_case("encoder layer first", nn::TransformerEncoderLayer(6, 2, other_options(1e-3)),
             [](const auto& m, const Tensors& x) { return m(x[0], {.src_mask = causal_mask()}); });
  check_case("encoder layer first", nn::TransformerEncoderLayer(6, 2, other_options(1e-3)),
             [](const auto& m, const Tensors& x) { return m(x[0], {.causal = true}); });
  check_case("decoder layer", nn::TransformerDecoderLayer(6, 2, plain_options()), [](const auto& m, const Tensors& x) {
    return m(x[0], x[1], {.tgt_mask = causal_mask(), .memory_key_padding_mask = padding()});
  });
  check_case("decoder layer first", nn::TransformerDecoderLayer(6, 2, other_options(1e-5)),
             [](const auto& m, const Tensors& x) { return m(x[0], x[1]); });
  check_case("encoder",
             nn::TransformerEncoder(nn::TransformerEncoderLayer(6, 2, plain_options()), 2, {.norm = nn::LayerNorm(6)}),
             [](const auto& m, const Tensors& x) { return m(x[0]); });
  check_case("decoder", nn::TransformerDecoder(nn::TransformerDecoderLayer(6, 2, plain_options()), 2),
             [](const auto& m, const Tensors& x) { return m(x[0], x[1]); });
}

TEST_CASE("masks of MultiheadAttention for each head, added, and of padding") {
  manual_seed(1);
  const nn::MultiheadAttention layer(6, 2, {.batch_first = true});
  const Tensor x = randn({3, 4, 6});
  const Tensor blocked = gt(rand({6, 4, 4}), 0.6);
  const auto [y, weights] = layer(x, x, x, {.attn_mask = blocked, .average_attn_weights = false});
  CHECK(weights.shape() == Shape{3, 2, 4, 4});
  CHECK(all(eq(weights.detach().index({reshape(blocked, {3, 2, 4, 4})}), 0)).item<bool>());
  const Tensor added = where(blocked, -INFINITY, 0.0);
  CHECK(allclose(layer(x, x, x, {.attn_mask = added}).output.detach(), y.detach(), 1e-5, 1e-6));
  const Tensor pad = tensor({0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1}, bool_).reshape({3, 4});
  const auto both = layer(x, x, x, {.key_padding_mask = pad, .attn_mask = added});
  const auto same = layer(x, x, x, {.key_padding_mask = pad, .attn_mask = blocked});
  CHECK(allclose(both.output.detach(), same.output.detach(), 1e-5, 1e-6));
  // A sequence that is padding alone gives the bias of the output.
  const auto nothing = layer(x, x, x, {.key_padding_mask = ones({3, 4}, bool_)});
  CHECK(allclose(nothing.output.detach(), expand(layer.out_proj.bias.detach(), {3, 4, 6})));
  CHECK(equal(nothing.weights.detach(), zeros({3, 4, 4})));
}

TEST_CASE("dropout of MultiheadAttention leaves the weights it returns alone") {
  manual_seed(2);
  nn::MultiheadAttention layer(8, 2, {.dropout = 0.5, .batch_first = true});
  const Tensor x = randn({2, 6, 8});
  const auto [a, weights] = layer(x, x, x);
  CHECK_FALSE(equal(a.detach(), layer(x, x, x).output.detach()));
  CHECK(allclose(sum(weights.detach(), -1), ones({2, 6})));
  layer.eval();
  CHECK(equal(layer(x, x, x).output.detach(), layer(x, x, x).output.detach()));
}

TEST_CASE("layers of an encoder begin with values of their own") {
  const nn::TransformerEncoderLayer layer(16, 4, {.dim_feedforward = 32, .batch_first = true});
  const nn::TransformerEncoder encoder(layer, 3);
  const TensorMap state = encoder.state_dict();
  CHECK(state.count("layers.2.self_attn.out_proj.weight") == 1);
  CHECK(equal(state.at("layers.0.linear1.weight"), layer.linear1.weight.detach()));
  CHECK_FALSE(equal(state.at("layers.1.linear1.weight"), layer.linear1.weight.detach()));
  CHECK_FALSE(encoder.layers[0].linear1.weight.shares_storage_with(layer.linear1.weight));
  CHECK(encoder(randn({2, 5, 16})).shape() == Shape{2, 5, 16});
  nn::TransformerEncoderLayer wide = nn::clone(layer);
  wide.to(float64);
  const nn::TransformerEncoder other(wide, 2);
  CHECK(other(randn({2, 5, 16}, float64)).dtype() == float64);
  nn::TransformerEncoder copy = nn::clone(encoder);
  CHECK(equal(copy.state_dict().at("layers.2.norm1.weight"), state.at("layers.2.norm1.weight")));
  const nn::Sequential net{nn::Linear(3, 16), encoder, nn::Linear(16, 2)};
  CHECK(net(randn({2, 5, 3})).shape() == Shape{2, 5, 2});
}

TEST_CASE("layers of an encoder are frozen, tied and set to evaluate as the one they are made like") {
  nn::TransformerEncoderLayer layer(4, 2, {.dim_feedforward = 4, .norm_first = true});
  nn::tie(layer.linear2.weight, layer.linear1.weight);
  layer.self_attn.in_proj_weight.set_requires_grad(false);
  layer.norm1.bias.set_requires_grad(false);
  layer.dropout1.eval();
  layer.to(float64);
  layer.linear1.bias.set_grad(ones({4}, float64));
  const nn::TransformerEncoder encoder(layer, 3);
  const TensorMap state = encoder.state_dict();
  CHECK(encoder.parameters().size() == 3 * layer.parameters().size());
  for (const nn::TransformerEncoderLayer& made : encoder.layers) {
    CHECK(made.linear1.weight.is_same(made.linear2.weight));
    CHECK_FALSE(made.linear1.weight.shares_storage_with(layer.linear1.weight));
    CHECK(made.linear1.weight.requires_grad());
    CHECK_FALSE(made.self_attn.in_proj_weight.requires_grad());
    CHECK_FALSE(made.norm1.bias.requires_grad());
    CHECK(made.norm2.bias.requires_grad());
    CHECK_FALSE(made.dropout1.is_training());
    CHECK(made.dropout2.is_training());
    CHECK(made.linear1.weight.dtype() == float64);
    CHECK_FALSE(made.linear1.bias.grad().defined());
  }
  for (const char* name : {".self_attn.in_proj_weight", ".linear1.weight", ".linear2.bias"})
    CHECK_FALSE(equal(state.at(std::string("layers.1") + name), state.at(std::string("layers.2") + name)));

  nn::TransformerEncoderLayer normalised(4, 2, {.dim_feedforward = 3});
  nn::weight_norm(normalised.linear1);
  nn::spectral_norm(normalised.linear2);
  const nn::TransformerEncoder stack(normalised, 3);
  const TensorMap parts = stack.state_dict();
  CHECK(equal(parts.at("layers.0.linear1.weight_v"), normalised.state_dict().at("linear1.weight_v")));
  for (const char* name : {".linear1.weight_v", ".linear2.weight_orig", ".linear1.bias"})
    CHECK_FALSE(equal(parts.at(std::string("layers.1") + name), parts.at(std::string("layers.2") + name)));
  CHECK(equal(parts.at("layers.1.linear1.weight_g"), parts.at("layers.0.linear1.weight_g")));

  nn::TransformerDecoderLayer frozen(4, 2, {.dim_feedforward = 4});
  for (const Tensor& p : frozen.parameters()) Tensor(p).set_requires_grad(false);
  const nn::TransformerDecoder decoder(frozen, 2);
  for (const Tensor& p : decoder.parameters()) CHECK_FALSE(p.requires_grad());
}

TEST_CASE("attention layers print and say what they were given wrong") {
  CHECK(
      printed(nn::MultiheadAttention(6, 2, {.dropout = 0.1, .bias = false, .kdim = 3, .batch_first = true})) ==
      "MultiheadAttention(6, 2, dropout = 0.1, bias = false, kdim = 3, batch_first\n  (out_proj): Linear(6, 6, bias = "
      "false)\n)");
  const auto message = [](auto f) { return thrown<Error>(f); };
  CHECK(message([] { nn::MultiheadAttention(6, 4); }) ==
        "MultiheadAttention: expected embed_dim divisible by num_heads, got 6 and 4");
  CHECK(message([] { nn::MultiheadAttention(0, 4); }) ==
        "MultiheadAttention: expected embed_dim in [1, 2147483647], got 0");
  CHECK(message([] { nn::TransformerEncoderLayer(6, 2, {.dropout = 2}); }) ==
        "TransformerEncoderLayer: expected dropout in [0, 1], got 2");
  CHECK(message([] { nn::TransformerEncoder(nn::TransformerEncoderLayer(4, 2), 0); }) ==
        "TransformerEncoder: expected num_layers in [1, 65536], got 0");
  const nn::MultiheadAttention layer(6, 2, {.vdim = 3});
  const Tensor x = zeros({4, 2, 6}), v = zeros({4, 2, 3});
  CHECK(message([&] { layer(x, x, x); }) ==
        "MultiheadAttention: expected value of shape (S, N, 3), or all without N, got (4, 2, 6)");
  CHECK(message([&] { layer(x, select(x, 1, 0), v); }) ==
        "MultiheadAttention: expected key of shape (S, N, 6), or all without N, got (4, 6)");
  CHECK(message([&] {
          layer(x, zeros({5, 2, 6}), v);
        }) ==
        "MultiheadAttention: expected key and value of one length, and a batch of 2, got (5, 2, 6) and (4, 2, 3)");
  CHECK(message([&] {
          layer(x, x, v, {.key_padding_mask = ones({4, 2}, bool_)});
        }) == "MultiheadAttention: expected key_padding_mask of shape (2, 4), got (4, 2)");
  CHECK(message([&] {
          layer(x, x, v, {.attn_mask = ones({4, 3}, bool_)});
        }) == "MultiheadAttention: expected attn_mask of shape (4, 4) or (4, 4, 4), got (4, 3)");
  const nn::MultiheadAttention first(6, 2, {.batch_first = true});
  CHECK(message([&] { first(x, v, v); }) ==
        "MultiheadAttention: expected key of shape (N, S, 6), or all without N, got (4, 2, 3)");
  CHECK(message([] { nn::TransformerEncoder(nn::TransformerEncoderLayer(4, 2), int64_t{1} << 62); }) ==
        "TransformerEncoder: expected num_layers in [1, 65536], got 4611686018427387904");
  CHECK(message([] { nn::MultiheadAttention(int64_t{1} << 62, 2); }) ==
        "MultiheadAttention: expected embed_dim in [1, 2147483647], got 4611686018427387904");
  const std::string undefined = ", got an undefined tensor";
  CHECK(message([&] { layer(Tensor(), x, v); }) == "MultiheadAttention: expected a defined query" + undefined);
  CHECK(message([&] { layer(x, Tensor(), v); }) == "MultiheadAttention: expected a defined key" + undefined);
  CHECK(message([&] { layer(x, x, Tensor()); }) == "MultiheadAttention: expected a defined value" + undefined);
  const nn::TransformerEncoderLayer encoder(6, 2);
  const nn::TransformerDecoderLayer decoder(6, 2);
  CHECK(message([&] { encoder(Tensor()); }) == "TransformerEncoderLayer: expected a defined src" + undefined);
  CHECK(message([&] { decoder(Tensor(), x); }) == "TransformerDecoderLayer: expected a defined tgt" + undefined);
  CHECK(message([&] { decoder(x, Tensor()); }) == "TransformerDecoderLayer: expected a defined memory" + undefined);
}

TEST_CASE("masks of MultiheadAttention are refused one by one, in its own sense") {
  const nn::MultiheadAttention layer(6, 2);
  const Tensor x = zeros({4, 2, 6}), open = zeros({2, 4}, bool_), floating = zeros({2, 4});
  const auto message = [&](const nn::MultiheadAttentionCall& call) {
    return thrown<Error>([&] { layer(x, x, x, call); });
  };
  const auto meant = [](const std::string& name) {
    return "MultiheadAttention: expected a floating-point " + name +
           " to be added to the scores, 0 and -inf, got one of zeros and ones alone; compare it, " + name +
           " != 0, for a mask of what may not be attended to";
  };
  for (const Tensor& padding : {Tensor(), open, floating}) {
    CHECK(message({.key_padding_mask = padding, .attn_mask = tril(ones({4, 4}))}) == meant("attn_mask"));
    CHECK(message({.key_padding_mask = padding, .attn_mask = zeros({4, 4}, int64)}) ==
          "MultiheadAttention: expected attn_mask of bool or floating point, got int64");
  }
  CHECK(message({.key_padding_mask = ones({2, 4}), .attn_mask = zeros({4, 4}, bool_)}) == meant("key_padding_mask"));
  CHECK(message({.key_padding_mask = ones({2, 4}, int64)}) ==
        "MultiheadAttention: expected key_padding_mask of bool or floating point, got int64");
  CHECK(message({.key_padding_mask = floating, .attn_mask = full({4, 4}, -INFINITY)}).empty());
}

TEST_CASE("a transformer's layer that fails to be made has drawn nothing") {
  Generator generator(1), same(1);
  const nn::TransformerOptions huge{.dim_feedforward = int64_t{1} << 60, .generator = &generator};
  CHECK_THROWS_AS(nn::TransformerEncoderLayer(8, 2, huge), Error);
  CHECK_THROWS_AS(nn::TransformerDecoderLayer(8, 2, huge), Error);
  CHECK(equal(rand({3}, float32, generator), rand({3}, float32, same)));
}

}  // namespace test_attention
