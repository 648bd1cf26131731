// Weights that are computed wherever they are used, as members that are no tensors of their own: cloned, converted,
// saved, refused, frozen, and given back. Their numbers: test_weight_norm.cpp.
#include <limpid/limpid.hpp>
#include <limpid/tests/memory.hpp>

#include <atomic>
#include <cmath>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "../catch.hpp"
#include "../message_of.hpp"
#include "vectors.hpp"

namespace test_computed_weights {

using namespace limpid;

TEST_CASE("a clone computes its weights of parameters of its own") {
  manual_seed(6);
  for (int kind = 0; kind < 2; ++kind) {
    const nn::Linear layer = kind ? nn::spectral_norm(nn::Linear(3, 3)) : nn::weight_norm(nn::Linear(3, 3));
    const nn::Sequential net{layer, nn::Linear(3, 1)};
    nn::Sequential twin = nn::clone(net);
    nn::Linear single = nn::clone(layer);
    twin.eval();
    single.eval();
    CHECK(names(twin.state_dict()) == names(net.state_dict()));
    const Tensor x = randn({2, 3}), y = twin(x).detach(), z = single(x).detach();
    {
      const NoGradGuard no_grad;
      for (Tensor p : net.parameters()) p.fill_(9);
    }
    CHECK(equal(twin(x).detach(), y));
    CHECK(equal(single(x).detach(), z));
    sum(single(x)).backward();
    CHECK(single.named_parameters()[1].tensor.grad().defined());
    CHECK_FALSE(layer.named_parameters()[1].tensor.grad().defined());
    CHECK((layer.is_training() && !single.is_training()));
    nn::Linear assigned(3, 3);
    assigned = single;
    CHECK(equal(assigned(x).detach(), z));
    assigned = nn::Linear(3, 3);
    CHECK(assigned.weight.is_leaf());
    assigned = layer;
    CHECK(equal(assigned.weight.detach(), layer.weight.detach()));
  }
}

TEST_CASE("a weight that is computed has every dtype, and is saved and loaded by its parts") {
  manual_seed(7);
  for (int kind = 0; kind < 2; ++kind)
    for (const DType dtype : {float16, bfloat16, float64}) {
      nn::Conv2d conv = kind ? nn::spectral_norm(nn::Conv2d(2, 3, 3)) : nn::weight_norm(nn::Conv2d(2, 3, 3));
      const Tensor x = randn({1, 2, 5, 5});
      conv.eval();
      const Tensor y = conv(x).detach();
      conv.to(dtype);
      CHECK(conv.weight.dtype() == dtype);
      CHECK(allclose(conv(x.to(dtype)).to(float32).detach(), y, 0.05, 0.05));
      conv.train();
      CHECK(conv(x.to(dtype)).dtype() == dtype);
      if (dtype != float64) continue;
      nn::Conv2d other = kind ? nn::spectral_norm(nn::Conv2d(2, 3, 3)) : nn::weight_norm(nn::Conv2d(2, 3, 3));
      other.load_state_dict(conv.state_dict());
      other.eval();
      conv.eval();
      CHECK(allclose(other.weight.detach(), conv.weight.to(float32).detach(), 1e-5, 1e-6));
    }
  nn::Conv2d last = nn::weight_norm(nn::Conv2d(2, 3, 3));
  last.to(MemoryFormat::channels_last);
  CHECK(last(randn({1, 2, 5, 5}).contiguous(MemoryFormat::channels_last)).shape() == Shape{1, 3, 3, 3});
  const nn::Linear plain(3, 2);
  nn::Linear normed = nn::weight_norm(nn::Linear(3, 2));
  CHECK_THROWS_WITH(normed.load_state_dict(plain.state_dict()),
                    "load_state_dict: expected the module's own tensors, got missing: weight_g, weight_v; unexpected: "
                    "weight");
}

TEST_CASE("a weight that is computed cannot be changed, tied or normalised again") {
  nn::Linear linear = nn::weight_norm(nn::Linear(2, 2)), other(2, 2);
  const NoGradGuard no_grad;
  const std::string refused =
      "nn::Parameter: expected one of its own values to be changed, got one that weight_norm computes from others; "
      "change those, see Module::named_parameters()";
  CHECK(message_of([&] { linear.weight.fill_(1); }) == refused);
  CHECK(message_of([&] { linear.weight.mul_(2.0); }) == refused);
  CHECK(message_of([&] { linear.weight.copy_(ones({2, 2})); }) == refused);
  CHECK(message_of([&] { linear.weight.set_requires_grad(false); }) == refused);
  CHECK(message_of([&] { nn::tie(linear.weight, other.weight); }) == refused);
  // Writes to what it was computed to would be lost.
  const std::string lost = ": expected a tensor whose values are its own, got one of shape ";
  const std::string told = " that is computed from others wherever it is read; change those, or a clone()";
  CHECK(message_of([&] { nn::init::normal_(linear.weight); }) == "normal_" + lost + "(2, 2)" + told);
  CHECK(message_of([&] { nn::init::orthogonal_(linear.weight); }) == "orthogonal_" + lost + "(2, 2)" + told);
  CHECK(message_of([&] { nn::init::zeros_(linear.weight); }) == "constant_" + lost + "(2, 2)" + told);
  CHECK(message_of([&] { linear.weight[0].fill_(1); }) == "fill_" + lost + "(2,)" + told);
  CHECK(message_of([&] { linear.weight.detach().add_(1); }) == "add_" + lost + "(2, 2)" + told);
  CHECK(message_of([&] { nn::ParameterList{linear.weight.detach()}; }) == "parameter" + lost + "(2, 2)" + told);
  CHECK_NOTHROW(nn::init::normal_(linear.weight.clone()));
  CHECK_NOTHROW(nn::init::normal_(linear.named_parameters()[2].tensor));
  CHECK(message_of([&] { nn::tie(other.weight, linear.weight); }) == refused);
  CHECK(
      message_of([&] { nn::spectral_norm(linear); }) ==
      "spectral_norm: expected a parameter of its own values, got \"weight\", which weight_norm computes from others");
  CHECK(message_of([&] { nn::weight_norm(linear, "wight"); }) ==
        "weight_norm: expected one of bias, weight_g, weight_v, got \"wight\"");
  CHECK(message_of([&] { nn::weight_norm(nn::ReLU()); }) ==
        "weight_norm: expected a module with parameters, got \"weight\"");
  CHECK(message_of([&] { nn::weight_norm(other, "weight", 2); }) ==
        "weight_norm: expected an axis of weight of shape (2, 2), got 2");
  CHECK_THROWS_AS(nn::spectral_norm(other, "weight", {.n_power_iterations = -1}), ValueError);
  CHECK_THROWS_AS(nn::spectral_norm(other, "weight", {.eps = NAN}), ValueError);
  CHECK_THROWS_AS(nn::spectral_norm(other, "weight", {.axis = -3}), ShapeError);
  CHECK(names(other.state_dict()) == std::set<std::string>{"weight", "bias"});
  CHECK(other.weight.is_leaf());
}

TEST_CASE("normalising what an optimiser, a graph or another module holds is refused") {
  const nn::Linear linear(2, 2), tied(2, 2);
  const std::string refused = "weight_norm: expected a parameter that only its module holds, got one ";
  {
    const optim::SGD optimizer(linear.parameters());
    CHECK(message_of([&] { nn::weight_norm(linear); }) ==
          refused + "that an optimiser, a graph or a Tensor holds as well; do so before that");
  }
  {
    const Tensor y = linear(ones({1, 2}));
    CHECK_THAT(message_of([&] { nn::weight_norm(linear); }), StartsWith(refused));
  }
  linear.weight.set_grad(ones({2, 2}));
  CHECK(message_of([&] { nn::weight_norm(linear); }) == refused + "with a gradient; do so before that");
  linear.weight.set_grad({});
  nn::tie(tied.weight, linear.weight);
  CHECK_THAT(message_of([&] { nn::spectral_norm(tied); }), StartsWith("spectral_norm: expected a parameter that only"));
  CHECK(linear.parameters().size() == 2);
  // A name that is taken.
  struct Taken : nn::Module {
    nn::Parameter weight, other;
    Taken() : weight(parameter("weight", ones({2, 2}))), other(parameter("weight_v", ones({1}))) {}
  };
  const Taken taken;
  CHECK(message_of([&] { nn::weight_norm(taken); }) == "weight_norm: expected a new name, got \"weight_v\" again");
  CHECK((taken.weight.is_leaf() && taken.parameters().size() == 2));
}

TEST_CASE("a module of one's own may have its parameters normalised") {
  struct Own : nn::Module {
    nn::Parameter weight;
    Own() : weight(parameter("weight", randn({4, 3}))) {}
    Tensor operator()(const Tensor& x) const { return linear(x, weight); }
  };
  manual_seed(8);
  Own own = nn::spectral_norm(Own());
  const Tensor x = randn({2, 3});
  const auto spoil = [&] {
    const NoGradGuard no_grad;
    own.parameters()[0].copy_(randn({4, 3}));
  };
  spoil();
  for (int i = 0; i < 60; ++i) own(x);  // each reading iterates
  own.eval();
  CHECK(std::abs(amax(linalg::svdvals(own.weight.detach())).item<double>() - 1) < 1e-4);
  own.train();
  spoil();
  const nn::Sequential net{own};
  const NoGradGuard no_grad;  // where a Sequential calls it, it is iterated once a call, as a layer is
  for (int i = 0; i < 60; ++i) net(x);
  own.eval();
  CHECK(std::abs(amax(linalg::svdvals(own.weight.detach())).item<double>() - 1) < 1e-4);
}

TEST_CASE("a frozen weight is frozen in its parts") {
  nn::Linear linear(2, 2);
  linear.freeze();
  nn::weight_norm(linear);
  for (const Tensor& p : linear.parameters()) CHECK_FALSE(p.requires_grad());
  CHECK_FALSE(linear(ones({1, 2})).requires_grad());
  linear.unfreeze();
  for (const Tensor& p : linear.parameters()) CHECK(p.requires_grad());
  // A copy of the member may live longer than the module.
  nn::Parameter left = [] { return nn::weight_norm(nn::Linear(2, 2)).weight; }();
  CHECK(left.shape() == Shape{2, 2});
}

TEST_CASE("one layer with a computed weight is called on several threads") {
  manual_seed(9);
  nn::Linear linear = nn::weight_norm(nn::Linear(16, 16));
  const Tensor x = randn({4, 16}), y = linear(x).detach();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const GradGuard records(t % 2 == 0);
        const Tensor z = linear(x);
        if (t % 2 == 0) grad({sum(z)}, {linear.named_parameters()[1].tensor});
        wrong += !equal(z.detach(), y) + (linear.weight.size(0) != 16);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a training step with computed weights leaves no memory behind") {
  if (test::lacks_recycling()) return;
  manual_seed(10);
  const nn::Sequential net{nn::weight_norm(nn::Linear(8, 8)), nn::spectral_norm(nn::Linear(8, 8))};
  const Tensor x = randn({4, 8});
  const auto step = [&] {
    for (const Tensor& p : net.parameters()) p.set_grad({});
    sum(square(net(x))).backward();
  };
  for (int i = 0; i < 3; ++i) step();
  const int64_t in_use = memory_stats().in_use;
  for (int i = 0; i < 10; ++i) step();
  CHECK(memory_stats().in_use == in_use);
}

TEST_CASE("normalising is undone") {
  manual_seed(13);
  const Tensor x = randn({2, 3});
  for (int kind = 0; kind < 2; ++kind) {
    nn::Linear linear = kind ? nn::spectral_norm(nn::Linear(3, 4)) : nn::weight_norm(nn::Linear(3, 4));
    const nn::Linear same = linear;
    sum(square(linear(x))).backward();
    (void)linear.weight.shape();
    linear.eval();
    const Tensor y = linear(x).detach();
    linear.train();
    const nn::Linear plain = kind ? nn::remove_spectral_norm(linear) : nn::remove_weight_norm(linear);
    CHECK(equal(plain(x), y));
    CHECK(equal(same(x), y));
    std::vector<std::string> order;
    for (const auto& [name, p] : linear.named_parameters()) order.push_back(name);
    CHECK(order == std::vector<std::string>{"bias", "weight"});
    CHECK(linear.named_buffers().empty());
    CHECK((linear.weight.is_leaf() && linear.weight.requires_grad() && linear.weight.is_same(same.weight)));
    nn::Linear other(3, 4);
    other.load_state_dict(linear.state_dict());
    CHECK(equal(other(x), y));
    // It is a layer as others are, and may be normalised again.
    optim::SGD optimizer(linear.parameters(), {.lr = 0.1});
    sum(square(linear(x))).backward();
    optimizer.step();
    CHECK_FALSE(equal(linear(x), y));
    nn::init::normal_(linear.weight);
    CHECK(nn::clone(linear).weight.is_leaf());
    nn::tie(other.weight, linear.weight);
    const nn::Linear again = nn::weight_norm(nn::Linear(3, 4));
    CHECK(nn::remove_weight_norm(nn::weight_norm(nn::remove_weight_norm(again))).parameters().size() == 2);
  }
  nn::Linear frozen = nn::weight_norm(nn::Linear(3, 4));
  frozen.freeze();
  CHECK_FALSE(nn::remove_weight_norm(frozen).weight.requires_grad());
  const nn::ParameterList list{randn({2, 2}), randn({3})};
  nn::weight_norm(list, "0");
  CHECK(list[0].shape() == Shape{2, 2});
  nn::remove_weight_norm(list, "0");
  CHECK((list[0].shape() == Shape{2, 2} && list[0].is_leaf() && list[1].shape() == Shape{3}));
}

TEST_CASE("normalising is undone only where nothing is left behind") {
  nn::Linear linear = nn::weight_norm(nn::Linear(3, 4));
  const std::string refused =
      "remove_weight_norm: expected \"weight\" to be computed from what only its module holds, got a tensor that an "
      "optimiser, a graph or a Tensor holds as well; do so when that is gone, or to a clone of the module";
  {
    const optim::SGD optimizer(linear.parameters());
    CHECK(message_of([&] { nn::remove_weight_norm(linear); }) == refused);
    CHECK(nn::remove_weight_norm(nn::clone(linear)).weight.is_leaf());
  }
  {
    const Tensor y = linear(ones({1, 3}));
    CHECK(message_of([&] { nn::remove_weight_norm(linear); }) == refused);
  }
  CHECK(message_of([&] { nn::remove_spectral_norm(linear); }) ==
        "remove_spectral_norm: expected a parameter that spectral_norm computes, got \"weight\"");
  CHECK(message_of([&] { nn::remove_weight_norm(linear, "bias"); }) ==
        "remove_weight_norm: expected one of weight, got \"bias\"");
  nn::weight_norm(linear, "weight_v");
  CHECK(message_of([&] { nn::remove_weight_norm(linear); }) ==
        "remove_weight_norm: expected a parameter computed from tensors, got \"weight\", computed from one that "
        "weight_norm computes; remove that first");
  CHECK(linear.parameters().size() == 4);
  nn::remove_weight_norm(linear, "weight_v");
  nn::remove_weight_norm(linear);
  CHECK(names(linear.state_dict()) == std::set<std::string>{"weight", "bias"});
}

}  // namespace test_computed_weights
