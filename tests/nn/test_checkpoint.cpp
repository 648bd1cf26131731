// Layers within checkpoint(): what they move, draw and compute besides is in the second run what it was in the first.
#include <limpid/limpid.hpp>

#include <string>

#include "../catch.hpp"

namespace test_checkpoint {

using namespace limpid;

// The same layers, called as they are and within a checkpoint: values, what they keep, and gradients of two orders.
template <class M, class F>
void check_same(const M& plain, const F& call, const Tensor& x) {
  const M twin = nn::clone(plain);
  const auto values = [&](const M& module, bool kept) {
    Tensor leaf = x.detach().clone().set_requires_grad();
    const auto f = [module, call](const Tensor& t) { return call(module, t); };
    const Tensor y = kept ? f(leaf) : checkpoint(f, leaf);
    f(x + 1);  // before backward, as a discriminator meets two batches
    Tensors leaves = module.parameters();
    leaves.push_back(leaf);
    Tensors all{y};
    const Tensors first = grad({sum(square(y))}, leaves, {}, {.create_graph = true, .allow_unused = true});
    Tensor total = zeros({});
    for (const Tensor& dx : first)
      if (dx.defined()) total = total + sum(square(dx)).to(float32);
    for (const Tensor& dx : first) all.push_back(dx);
    for (const Tensor& dx : grad({total}, leaves, {}, {.allow_unused = true})) all.push_back(dx);
    for (const auto& [name, value] : module.state_dict()) all.push_back(value.clone());
    return all;
  };
  const Tensors expected = values(plain, true), got = values(twin, false);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO(i);
    REQUIRE(got[i].defined() == expected[i].defined());
    if (got[i].defined()) CHECK(allclose(got[i], expected[i], 1e-5, 1e-6, true));
  }
}

Tensor called(const auto& module, const Tensor& x) { return module(x); }

struct Own : nn::Module {
  nn::Parameter weight;
  Own() : weight(parameter("weight", randn({3, 3}))) {}
  Tensor operator()(const Tensor& x) const { return tanh(linear(tanh(linear(x, weight)), weight)); }
};
// The same, with checkpoints of its own.
struct Sparing : nn::Module {
  nn::Parameter weight;
  Sparing() : weight(parameter("weight", randn({3, 3}))) {}
  Tensor operator()(const Tensor& x) const {
    const Sparing self = *this;
    const auto inner = [self](const Tensor& t) { return tanh(linear(t, self.weight)); };
    return checkpoint([self, inner](const Tensor& t) { return checkpoint(inner, tanh(linear(t, self.weight))); }, x);
  }
};

TEST_CASE("a spectral norm is iterated once within a checkpoint, and its gradients are those of that") {
  manual_seed(1);
  nn::Linear layer = nn::spectral_norm(nn::Linear(3, 3));
  {
    const NoGradGuard no_grad;
    layer.named_parameters()[1].tensor.copy_(randn({3, 3}));  // far from its end
  }
  const Tensor x = randn({2, 3});
  check_same(
      layer, [](const auto& m, const Tensor& t) { return m(m(t)); }, x);
  check_same(nn::Sequential{layer, nn::Tanh()}, called<nn::Sequential>, x);
  check_same(
      nn::clone(layer),
      [](const nn::Linear& m, const Tensor& t) {
        return checkpoint([m](const Tensor& s) { return m(checkpoint(m, s)); }, m(t));
      },
      x);
  layer.eval();
  check_same(layer, called<nn::Linear>, x);
}

TEST_CASE("a weight computed for a call is the one that a checkpoint in that call goes through") {
  manual_seed(2);
  const Tensor x = randn({2, 3});
  for (int spectral = 0; spectral < 2; ++spectral)
    for (int within = 0; within < 2; ++within) {
      INFO(spectral << ' ' << within);
      const auto normed = [&](auto module) { return spectral ? nn::spectral_norm(module) : nn::weight_norm(module); };
      const nn::Sequential sparing{normed(Sparing())}, plain{normed(Own())};
      plain.state_dict();
      nn::Sequential(plain).load_state_dict(sparing.state_dict());
      const auto run = [&](const nn::Sequential& net, bool checkpointed) {
        Tensors all{checkpointed ? checkpoint([net](const Tensor& t) { return net(t); }, x) : net(x)};
        net(2 * x);
        const Tensors parameters = net.parameters();
        const Tensors first = grad({sum(square(all[0]))}, parameters, {}, {.create_graph = true});
        Tensor total = zeros({});
        for (const Tensor& dx : first) total = total + sum(square(dx));
        for (const Tensor& dx : first) all.push_back(dx);
        for (const Tensor& dx : grad({total}, parameters)) all.push_back(dx);
        for (const auto& [name, value] : net.state_dict()) all.push_back(value);
        return all;
      };
      const Tensors expected = run(plain, false), got = run(sparing, within);
      for (std::size_t i = 0; i < got.size(); ++i) {
        INFO(i);
        REQUIRE(got[i].defined());
        CHECK(allclose(got[i], expected[i], 1e-4, 1e-5));
      }
    }
}

TEST_CASE("running statistics move once within a checkpoint") {
  manual_seed(3);
  check_same(nn::BatchNorm1d(3), called<nn::BatchNorm1d>, randn({4, 3}));
  check_same(nn::BatchNorm2d(3, {.momentum = std::nullopt}), called<nn::BatchNorm2d>, randn({4, 3, 2, 2}));
  check_same(nn::InstanceNorm1d(3, {.track_running_stats = true}), called<nn::InstanceNorm1d>, randn({4, 3, 5}));
  const nn::BatchNorm1d norm(3);
  const Tensor x = randn({4, 3}).set_requires_grad();
  sum(checkpoint([norm](const Tensor& t) { return checkpoint(norm, t); }, x)).backward();
  CHECK(norm.num_batches_tracked.item<int64_t>() == 1);
}

TEST_CASE("a model told to evaluate before a checkpoint's backward has the gradients of its training") {
  const auto check = [](const auto& plain, const auto& call, const Tensor& x) {
    using M = std::remove_cvref_t<decltype(plain)>;
    Tensors values[2];
    for (int kept = 0; kept < 2; ++kept) {
      manual_seed(6);
      M module = nn::clone(plain);
      Tensor leaf = x.detach().clone().set_requires_grad();
      const auto f = [module, call](const Tensor& t) { return call(module, t); };
      const Tensor y = kept ? checkpoint([f](const Tensor& t) { return checkpoint(f, t); }, leaf) : f(leaf);
      module.eval();
      f(x);
      (sum(square(y)) + sum(y)).backward();
      values[kept] = {y, leaf.grad()};
      for (const Tensor& p : module.parameters()) values[kept].push_back(p.grad());
    }
    for (std::size_t i = 0; i < values[0].size(); ++i) CHECK(allclose(values[0][i], values[1][i], 1e-5, 1e-6));
  };
  check(nn::Dropout(0.5), called<nn::Dropout>, ones({8, 8}));
  check(nn::Dropout2d(0.5), called<nn::Dropout2d>, ones({2, 8, 2, 2}));
  check(nn::BatchNorm1d(3), called<nn::BatchNorm1d>, randn({4, 3}));
  check(nn::InstanceNorm1d(3, {.track_running_stats = true}), called<nn::InstanceNorm1d>, randn({4, 3, 5}));
  check(
      nn::LSTM(4, 4, {.num_layers = 3, .dropout = 0.5}),
      [](const nn::LSTM& lstm, const Tensor& x) { return lstm(x).sequence; }, randn({3, 2, 4}));
  check(
      nn::TransformerEncoderLayer(4, 2, {.dim_feedforward = 8, .dropout = 0.5}),
      [](const auto& layer, const Tensor& x) { return layer(x); }, randn({5, 2, 4}));
  check(nn::spectral_norm(nn::Linear(3, 3)), called<nn::Linear>, randn({2, 3}));
}

TEST_CASE("a generator of a layer's own draws the same within a checkpoint") {
  manual_seed(4);
  Generator generator(5);
  const auto check = [&](const auto& plain, const auto& call, const Tensor& x) {
    using M = std::remove_cvref_t<decltype(plain)>;
    const Generator before = generator;
    Tensors values[2];
    Generator::State after[2];
    for (int kept = 0; kept < 2; ++kept) {
      generator = before;
      const M module = nn::clone(plain);
      Tensor leaf = x.detach().clone().set_requires_grad();
      const auto f = [module, call](const Tensor& t) { return call(module, call(module, t)); };
      const Tensor y = kept ? f(leaf) : checkpoint(f, leaf);
      f(x);
      after[kept] = generator.state();
      sum(square(y)).backward();
      CHECK(generator.state() == after[kept]);
      values[kept] = {y, leaf.grad()};
      for (const Tensor& p : module.parameters()) values[kept].push_back(p.grad());
    }
    CHECK(after[0] == after[1]);
    for (std::size_t i = 0; i < values[0].size(); ++i) CHECK(allclose(values[0][i], values[1][i], 1e-5, 1e-6));
  };
  check(nn::Dropout(0.5, {.generator = &generator}), called<nn::Dropout>, randn({8, 8}));
  check(nn::Dropout1d(0.5, {.generator = &generator}), called<nn::Dropout1d>, randn({2, 8, 8}));
  check(
      nn::GRU(4, 4, {.num_layers = 2, .dropout = 0.5, .generator = &generator}),
      [](const nn::GRU& gru, const Tensor& x) { return gru(x).sequence; }, randn({3, 2, 4}));
  check(
      nn::MultiheadAttention(4, 2, {.dropout = 0.5, .generator = &generator}),
      [](const nn::MultiheadAttention& attention, const Tensor& x) { return attention(x, x, x).output; },
      randn({5, 2, 4}));
  check(
      nn::TransformerEncoderLayer(4, 2, {.dim_feedforward = 8, .dropout = 0.5, .generator = &generator}),
      [](const auto& layer, const Tensor& x) { return layer(x); }, randn({5, 2, 4}));
}

}  // namespace test_checkpoint
