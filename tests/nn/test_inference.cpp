// Modules that are made and changed in inference mode: they can be trained outside of it, as any can.
#include <limpid/limpid.hpp>

#include <optional>

#include "../catch.hpp"

namespace test_inference {

using namespace limpid;

struct Scaled : nn::Module {
  nn::Parameter scale;
  nn::Buffer shift;
  Scaled() : scale(parameter("scale", ones({3}) * 2)), shift(buffer("shift", zeros({3}))) {}
  Tensor operator()(const Tensor& x) const { return x * scale + shift; }
};

nn::Sequential made() {
  return nn::Sequential{nn::Linear(3, 3),
                        nn::BatchNorm1d(3),
                        Scaled(),
                        nn::weight_norm(nn::Linear(3, 3)),
                        nn::LayerNorm(3),
                        nn::spectral_norm(nn::Linear(3, 3)),
                        nn::GroupNorm(1, 3),
                        nn::PReLU(),
                        nn::BatchNorm1d(3, {.affine = false})};
}

Tensors step(nn::Sequential net, const Tensor& x) {
  optim::Adam optimizer(net.parameters(), {.lr = 0.1});
  sum(square(net(x))).backward();
  optimizer.step();
  net.eval();
  Tensors all{net(x.detach().set_requires_grad())};
  sum(all[0]).backward();
  for (const auto& [name, value] : net.state_dict()) all.push_back(value);
  return all;
}

TEST_CASE("modules made in inference mode can be trained") {
  const Tensor x = randn({4, 3});
  std::optional<nn::Sequential> inside;
  manual_seed(1);
  {
    const InferenceMode inference;
    inside = made();
    CHECK((*inside)(x).shape() == Shape{4, 3});
  }
  manual_seed(1);
  const nn::Sequential outside = made();
  {
    const NoGradGuard no_grad;
    outside(x);
  }
  const Tensors expected = step(outside, x), got = step(*inside, x);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(equal(got[i], expected[i]));
}

TEST_CASE("modules converted, loaded, tied, frozen and normalised in inference mode can be trained") {
  const Tensor x = randn({2, 3, 4, 4}, float64);
  nn::Sequential net{nn::Conv2d(3, 3, 2), nn::BatchNorm2d(3), nn::Conv2d(3, 3, 2, {.bias = false})};
  nn::Linear a(3, 3), b(3, 3);
  {
    const InferenceMode inference;
    net.to(float64);
    net.to(MemoryFormat::channels_last);
    net.load_state_dict(clone(net.state_dict()));
    net.freeze();
    net.unfreeze();
    nn::tie(a.weight, b.weight);
    nn::init::normal_(a.weight);
    nn::weight_norm(a, "bias");
    nn::remove_weight_norm(a, "bias");
    nn::spectral_norm(a, "bias");
    nn::remove_spectral_norm(a, "bias");
    nn::spectral_norm(b, "bias");
    b(ones({1, 3}));
  }
  Tensor leaf = x.detach().set_requires_grad();
  sum(net(leaf)).backward();
  net.eval();
  sum(net(leaf)).backward();
  const Tensor y = a(b(ones({1, 3}).set_requires_grad()));
  Tensor total = zeros({});
  for (const Tensor& dx : grad({sum(square(y))}, a.parameters(), {}, {.create_graph = true})) total = total + sum(dx);
  total.backward();
  CHECK(a.weight.grad().defined());
  for (const Tensor& p : net.parameters()) CHECK(p.grad().defined());
}

TEST_CASE("what a module registers from inference mode is what its caller has") {
  std::optional<nn::ParameterList> list;
  Tensor mine;
  {
    const InferenceMode inference;
    mine = ones({2});
    list.emplace(nn::ParameterList{mine});
  }
  CHECK((*list)[0].is_same(mine));
  sum(square((*list)[0])).backward();
  CHECK(equal(mine.grad(), full({2}, 2)));
}

TEST_CASE("backward in inference mode is what it is elsewhere") {
  manual_seed(2);
  const nn::Linear layer(3, 3);
  const Tensor x = randn({2, 3});
  const auto call = [layer](const Tensor& t) { return layer(t); };
  sum(square(layer(x))).backward();
  const Tensor expected = layer.weight.grad().clone();
  for (int kept = 0; kept < 2; ++kept) {
    layer.weight.set_grad({});
    const Tensor y = sum(square(kept ? checkpoint(call, x) : layer(x)));
    {
      const InferenceMode inference;
      CHECK(equal(grad({y}, {layer.weight}, {}, {.retain_graph = true})[0], expected));
      y.backward();
      CHECK(is_inference_mode());
    }
    CHECK(equal(layer.weight.grad(), expected));
    CHECK_NOTHROW(sum(layer.weight * layer.weight.grad()).backward());  // it may be saved
  }
}

}  // namespace test_inference
