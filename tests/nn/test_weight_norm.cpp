// Weights that are computed wherever they are used: PyTorch's numbers, gradients, iterations. As members:
// test_computed_weights.cpp.
#include <limpid/limpid.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "../catch.hpp"
#include "printed.hpp"
#include "vectors.hpp"

namespace test_weight_norm {

using namespace limpid;

TensorMap torch_weights(const std::string& prefix) {
  static const TensorMap all = load_npz(LIMPID_TEST_DATA "/weights.npz");
  return members_of(all, prefix + '/');
}

Tensor first_of(const Tensor& y) { return y; }
Tensor first_of(const LSTMRecurrence& y) { return y.sequence; }

template <class M>
void check_against_torch(const std::string& name, M module) {
  INFO(name);
  const TensorMap expected = torch_weights(name);
  module.to(float64);
  CHECK(names(module.state_dict()) == names(members_of(expected, "state/")));
  module.load_state_dict(members_of(expected, "state/"));
  Tensor x = expected.at("x").detach();
  x.set_requires_grad();
  const Tensor y = first_of(module(x));
  CHECK(allclose(y, expected.at("y"), 1e-11, 1e-12));
  y.backward(expected.at("dy"));
  CHECK(allclose(x.grad(), expected.at("dx"), 1e-10, 1e-12));
  for (const auto& [parameter, tensor] : module.named_parameters()) {
    INFO(parameter);
    CHECK(allclose(tensor.grad(), expected.at("grad/" + parameter), 1e-10, 1e-12));
  }
  module(x);
  module(x);
  for (const auto& [buffer, tensor] : module.named_buffers())
    CHECK(allclose(tensor, expected.at("after/" + buffer), 1e-11, 1e-12));
  module.eval();
  CHECK(allclose(first_of(module(x)), expected.at("eval"), 1e-11, 1e-12));
}

double largest_singular_value(const Tensor& w) { return amax(linalg::svdvals(w.detach())).item<double>(); }

TEST_CASE("weight_norm gives PyTorch's values and gradients") {
  check_against_torch("length/linear", nn::weight_norm(nn::Linear(3, 2)));
  check_against_torch("length/linear.axis1", nn::weight_norm(nn::Linear(3, 2), "weight", 1));
  check_against_torch("length/linear.axis1", nn::weight_norm(nn::Linear(3, 2), "weight", -1));
  check_against_torch("length/linear.whole", nn::weight_norm(nn::Linear(3, 2), "weight", std::nullopt));
  check_against_torch("length/conv", nn::weight_norm(nn::Conv2d(2, 3, 2)));
  check_against_torch("length/transposed", nn::weight_norm(nn::ConvTranspose1d(2, 3, 2), "weight", 1));
  check_against_torch("length/lstm", nn::weight_norm(nn::LSTM(3, 2), "weight_hh_l0"));
}

TEST_CASE("spectral_norm gives PyTorch's values and gradients") {
  check_against_torch("spectral/linear", nn::spectral_norm(nn::Linear(3, 2)));
  check_against_torch("spectral/linear.thrice",
                      nn::spectral_norm(nn::Linear(3, 5), "weight", {.n_power_iterations = 3}));
  check_against_torch("spectral/conv", nn::spectral_norm(nn::Conv2d(2, 3, 2)));
  check_against_torch("spectral/transposed", nn::spectral_norm(nn::ConvTranspose2d(2, 3, 2)));
}

TEST_CASE("normalising changes no weight by itself, and keeps the module what it is") {
  manual_seed(1);
  nn::Linear linear(3, 4);
  const Tensor before = linear.weight.detach().clone(), x = randn({2, 3}), y = linear(x).detach();
  const std::string print = printed(linear);
  const nn::Linear same = nn::weight_norm(linear);
  CHECK(allclose(linear.weight.detach(), before, 1e-6, 1e-7));
  CHECK(allclose(same(x).detach(), y, 1e-6, 1e-6));
  CHECK(printed(linear) == print);
  std::vector<std::string> order;
  for (const auto& [name, p] : linear.named_parameters()) order.push_back(name);
  CHECK(order == std::vector<std::string>{"bias", "weight_g", "weight_v"});
  CHECK(linear.state_dict().at("weight_g").shape() == Shape{4, 1});
  CHECK(linear.weight.defined());
  CHECK(linear.weight.shape() == Shape{4, 3});
  CHECK_FALSE(linear.weight.is_leaf());
  const nn::Sequential net{nn::weight_norm(nn::Linear(4, 8)), nn::ReLU(), nn::spectral_norm(nn::Linear(8, 1))};
  CHECK(net(ones({1, 4})).shape() == Shape{1, 1});
  CHECK(net.state_dict().count("2.weight_orig") == 1);
}

TEST_CASE("an optimiser trains what a weight is computed from, and the member follows") {
  manual_seed(2);
  nn::Linear linear = nn::weight_norm(nn::Linear(3, 2));
  optim::SGD optimizer(linear.parameters(), {.lr = 0.5});
  CHECK(optimizer.parameters().size() == 3);
  const Tensor x = randn({8, 3}), t = randn({8, 2});
  double last = 1e9;
  for (int i = 0; i < 5; ++i) {
    optimizer.zero_grad();
    const Tensor loss = mse_loss(linear(x), t);
    loss.backward();
    optimizer.step();
    CHECK(loss.item<double>() < last);
    last = loss.item<double>();
    const TensorMap state = linear.state_dict();
    const Tensor v = state.at("weight_v");
    CHECK(allclose(linear.weight.detach(), state.at("weight_g") * v / vector_norm(v, 2, {1}, true), 1e-6, 1e-7));
  }
  // Read by itself it carries its gradient, as often as one likes.
  linear.zero_grad();
  sum(square(linear.weight)).backward();
  const Tensor once = linear.named_parameters()[1].tensor.grad().clone();
  sum(square(linear.weight)).backward();
  CHECK(allclose(linear.named_parameters()[1].tensor.grad(), 2 * once, 1e-6, 1e-6));
}

TEST_CASE("gradients of normalised weights are right, of both orders") {
  manual_seed(3);
  const Tensor x = randn({2, 3}, float64);
  const auto check = [&](nn::Linear linear, const std::vector<std::string>& learned) {
    linear.to(float64);
    linear.eval();
    const TensorMap state = clone(linear.state_dict());
    Tensors inputs;
    for (const std::string& name : learned) inputs.push_back(state.at(name));
    // The same as a function of what it is made of.
    const bool spectral = learned.size() == 1;
    const auto weight = [&](const Tensors& xs) {
      return spectral ? xs[0] / dot(state.at("weight_u"), mv(xs[0], state.at("weight_v")))
                      : xs[0] * xs[1] / vector_norm(xs[1], 2, {1}, true);
    };
    const auto f = [&](const Tensors& xs) { return Tensors{tanh(matmul(x, transpose(weight(xs), 0, 1)))}; };
    CHECK(gradcheck(f, inputs));
    Tensors leaves;
    for (const Tensor& value : inputs) leaves.push_back(value.clone().set_requires_grad());
    const Tensor loss = sum(square(f(leaves)[0]));
    const Tensors expected = grad({loss}, leaves, {}, {.create_graph = true});
    Tensors own;
    for (const std::string& name : learned)
      for (const auto& [its_name, p] : linear.named_parameters())
        if (its_name == name) own.push_back(p);
    const Tensor its_loss = sum(square(tanh(linear(x) - linear.bias)));
    const Tensors dxs = grad({its_loss}, own, {}, {.create_graph = true});
    Tensor a = zeros({}, float64), b = a;
    for (std::size_t i = 0; i < own.size(); ++i) {
      CHECK(allclose(dxs[i], expected[i], 1e-9, 1e-12));
      a = a + sum(square(dxs[i]));
      b = b + sum(square(expected[i]));
    }
    const Tensors second = grad({a}, own), second_expected = grad({b}, leaves);
    for (std::size_t i = 0; i < own.size(); ++i) CHECK(allclose(second[i], second_expected[i], 1e-8, 1e-11));
  };
  check(nn::weight_norm(nn::Linear(3, 4)), {"weight_g", "weight_v"});
  check(nn::spectral_norm(nn::Linear(3, 4)), {"weight_orig"});
}

TEST_CASE("a spectral norm is 1, and is iterated while training alone") {
  manual_seed(4);
  nn::Linear linear = nn::spectral_norm(nn::Linear(6, 5), "weight", {.n_power_iterations = 30});
  const Tensor x = randn({2, 6});
  linear(x);
  linear.eval();
  CHECK(std::abs(largest_singular_value(linear.weight) - 1) < 1e-4);
  const TensorMap before = clone(linear.state_dict());
  const Tensor y = linear(x).detach();
  for (int i = 0; i < 3; ++i) CHECK(equal(linear(x).detach(), y));
  for (const auto& [name, value] : linear.state_dict()) CHECK(equal(value, before.at(name)));
  linear.train();
  linear.freeze();
  CHECK(equal(linear(x), y));
  for (const auto& [name, value] : linear.state_dict()) CHECK(equal(value, before.at(name)));
  linear.unfreeze();
  {
    const NoGradGuard no_grad;
    linear.named_parameters()[1].tensor.add_(3 * randn({5, 6}));
  }
  linear(x);
  CHECK_FALSE(equal(linear.state_dict().at("weight_u"), before.at("weight_u")));
  linear.eval();
  CHECK(std::abs(largest_singular_value(linear.weight) - 1) < 1e-3);
  // Looking at it in evaluation, or without recording, moves nothing.
  const TensorMap now = clone(linear.state_dict());
  (void)linear.weight.shape();
  linear.train();
  {
    const NoGradGuard no_grad;
    (void)linear.weight.shape();
  }
  for (const auto& [name, value] : linear.state_dict()) CHECK(equal(value, now.at(name)));
  CHECK(nn::spectral_norm(nn::ConvTranspose1d(2, 5, 3)).state_dict().at("weight_u").shape() == Shape{5});
  CHECK(nn::spectral_norm(nn::ConvTranspose1d(2, 5, 3), "weight", {.axis = 0}).state_dict().at("weight_u").shape() ==
        Shape{2});
}

TEST_CASE("a spectral norm far from its end is iterated as often as it is to be, and where it is to be") {
  manual_seed(11);
  const Tensor x = randn({1, 3, 6, 6});
  // One step leads on: 15 at first have not come to an end for a matrix whose singular values are close.
  const auto far = [](bool training) {
    nn::Conv2d conv(3, 4, 3);
    conv.train(training);
    nn::spectral_norm(conv);
    const NoGradGuard no_grad;
    conv.named_parameters()[1].tensor.copy_(randn({4, 3, 3, 3}));
    return conv;
  };
  const auto u_of = [](const nn::Module& module) { return module.state_dict().at("weight_u").clone(); };
  const auto stepped = [&](const nn::Conv2d& conv) {
    const TensorMap state = conv.state_dict();
    const Tensor w = reshape(state.at("weight_orig"), {4, 27});
    const auto unit = [](const Tensor& v) { return v / vector_norm(v); };
    return unit(mv(w, unit(mv(transpose(w, 0, 1), state.at("weight_u")))));
  };
  {
    const nn::Conv2d conv = far(false);  // made in evaluation
    const Tensor before = u_of(conv);
    conv(x);
    CHECK(equal(u_of(conv), before));
  }
  nn::Conv2d conv = far(true);
  Tensor expected = stepped(conv);
  const nn::Conv2d twin = nn::clone(conv);
  const nn::Sequential net{nn::clone(conv)};
  conv(x);
  CHECK(allclose(u_of(conv), expected, 1e-5, 1e-6));
  twin(x);  // once a call, however often the layer reads its weight
  CHECK(equal(u_of(twin), u_of(conv)));
  net(x);
  CHECK(equal(net.state_dict().at("0.weight_u"), u_of(conv)));
  Tensor before = u_of(conv);
  conv.freeze();
  conv(x);
  conv.train();
  conv(x);
  CHECK(equal(u_of(conv), before));
  const nn::Conv2d frozen = nn::clone(conv);
  frozen(x);
  CHECK(equal(u_of(frozen), before));
  conv.unfreeze();
  {
    const NoGradGuard no_grad;
    (void)conv.weight.shape();
    CHECK(equal(u_of(conv), before));
    conv(x);  // a call is one, recorded or not
    CHECK_FALSE(equal(u_of(conv), before));
  }
  before = u_of(conv);
  (void)conv.weight.shape();  // a reading that is recorded iterates
  CHECK_FALSE(equal(u_of(conv), before));
}

TEST_CASE("a call in evaluation keeps its graph while training goes on") {
  manual_seed(12);
  nn::Linear linear = nn::spectral_norm(nn::Linear(3, 3));
  linear.eval();
  const Tensor x = randn({2, 3}), y = linear(x);
  linear.train();
  linear(x);
  CHECK_NOTHROW(sum(y).backward());
  linear.load_state_dict(clone(linear.state_dict()));
}

TEST_CASE("two calls before one backward, and a call within another's graph") {
  manual_seed(5);
  for (int kind = 0; kind < 2; ++kind) {
    nn::Linear linear = kind ? nn::spectral_norm(nn::Linear(3, 3)) : nn::weight_norm(nn::Linear(3, 3));
    const Tensor x = randn({2, 3});
    const Tensor first = linear(x), second = linear(2 * x), third = linear(linear(x));
    CHECK_NOTHROW((sum(first) + sum(square(second))).backward());
    CHECK_NOTHROW(sum(third).backward());
    CHECK(all(isfinite(linear.named_parameters()[1].tensor.grad())).item<bool>());
  }
}

TEST_CASE("rows and weights of zeros give zeros, and go on learning") {
  nn::Linear linear(3, 2);
  {
    const NoGradGuard no_grad;
    linear.weight.fill_(0);
    linear.bias.fill_(0);
    select(linear.weight, 0, 1).fill_(2);
  }
  nn::Linear lengths = nn::weight_norm(nn::clone(linear));
  lengths(ones({1, 3})).backward(ones({1, 2}));
  for (const auto& [name, p] : lengths.named_parameters()) CHECK(all(isfinite(p.grad())).item<bool>());
  CHECK(allclose(lengths(ones({1, 3})).detach(), reshape(tensor({0, 6}), {1, 2}), 1e-6, 0));
  {
    const NoGradGuard no_grad;
    lengths.named_parameters()[1].tensor.fill_(1);  // g
  }
  lengths.zero_grad();
  lengths(ones({1, 3})).backward(ones({1, 2}));
  CHECK(equal(select(lengths.named_parameters()[2].tensor.grad(), 0, 0), ones({3})));

  nn::Linear zero(3, 2);
  {
    const NoGradGuard no_grad;
    zero.weight.fill_(0);
    zero.bias.fill_(0);
  }
  nn::spectral_norm(zero);
  CHECK(equal(zero(ones({1, 3})).detach(), zeros({1, 2})));
  zero(ones({1, 3})).backward(ones({1, 2}));
  {
    const NoGradGuard no_grad;
    zero.named_parameters()[1].tensor.fill_(NAN);
    zero(ones({1, 3}));
    zero.named_parameters()[1].tensor.fill_(7);  // and back: the vectors are no NaN
  }
  zero(ones({1, 3}));
  zero.eval();
  CHECK(std::abs(largest_singular_value(zero.weight) - 1) < 1e-5);
  // Numbers whose squares are none of float32's.
  for (const double scale : {1e-30, 1e30}) {
    nn::Linear scaled(3, 2);
    {
      const NoGradGuard no_grad;
      scaled.weight.mul_(scale);
    }
    const Tensor before = scaled.weight.detach().clone();
    CHECK(allclose(nn::weight_norm(nn::clone(scaled)).weight.detach(), before, 1e-5, 0));
  }
}

}  // namespace test_weight_norm
