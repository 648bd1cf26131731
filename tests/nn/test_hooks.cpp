// Functions that run where a layer is called, and the summary that is made by them.
#include <limpid/limpid.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../catch.hpp"
#include "../message_of.hpp"
#include "printed.hpp"
#include "scaled.hpp"

namespace test_hooks {

using namespace limpid;
using test::Scaled;

// Counts what is alive of it.
struct Counted {
  static inline int alive = 0;
  Counted() { ++alive; }
  Counted(const Counted&) { ++alive; }
  ~Counted() { --alive; }
};

TEST_CASE("a hook sees a layer's inputs and outputs, and may replace them") {
  const nn::Linear linear(2, 3);
  const Tensor x = ones({1, 2}), y = linear(x).detach();
  int calls = 0;
  nn::ForwardHookHandle seen =
      nn::register_forward_hook(linear, [&](const nn::Module& module, const Tensors& inputs, const Tensor& output) {
        ++calls;
        CHECK(module.type() == "Linear");
        CHECK((inputs.size() == 1 && inputs[0].is_same(x)));
        CHECK(equal(output.detach(), y));
      });
  CHECK(equal(linear(x).detach(), y));
  const nn::Linear copy = linear;  // the hook is the module's
  copy(x);
  CHECK(calls == 2);
  nn::ForwardHookHandle twice = nn::register_forward_hook(
      linear, [](const nn::Module&, const Tensors&, const Tensor& output) { return 2 * output; });
  nn::ForwardHookHandle plus = nn::register_forward_hook(
      linear, [](const nn::Module&, const Tensors&, const Tensor& output) { return output + 1; });
  CHECK(equal(linear(x).detach(), 2 * y + 1));
  twice.remove();
  twice.remove();
  CHECK(equal(linear(x).detach(), y + 1));
  plus.remove();
  seen.remove();
  CHECK(equal(linear(x).detach(), y));
  CHECK(calls == 4);
  nn::ForwardHookHandle().remove();

  nn::ForwardHookHandle before =
      nn::register_forward_pre_hook(linear, [](const nn::Module&, const Tensors& inputs) { return 3 * inputs[0]; });
  const nn::ForwardHookHandle after =
      nn::register_forward_hook(linear, [&](const nn::Module&, const Tensors& inputs, const Tensor&) {
        CHECK(equal(inputs[0], full({1, 2}, 3)));
      });
  CHECK(equal(linear(x).detach(), linear(3 * x - 2 * x).detach()));
  CHECK(allclose(linear(x).detach(), (3 * (y - linear.bias) + linear.bias).detach(), 1e-5, 1e-5));
  before.remove();
  // Gradients flow through what was replaced.
  nn::register_forward_hook(linear, [](const nn::Module&, const Tensors&, const Tensor& out) { return out * 2; });
}

TEST_CASE("gradients flow through what a hook has replaced") {
  const nn::Linear linear(1, 1);
  nn::register_forward_pre_hook(linear, [](const nn::Module&, const Tensors& xs) { return 3 * xs[0]; });
  nn::register_forward_hook(linear, [](const nn::Module&, const Tensors&, const Tensor& y) { return 2 * y; });
  linear(ones({1, 1})).backward(ones({1, 1}));
  CHECK(equal(linear.weight.grad(), full({1, 1}, 6)));
  CHECK(equal(linear.bias.grad(), full({1}, 2)));
}

TEST_CASE("hooks hang on every layer, and on what a Sequential calls") {
  struct Own : nn::Module {
    Tensor operator()(const Tensor& x) const { return x + 1; }
  };
  const nn::Sequential net{Scaled(), nn::Dropout(0.5), [](const Tensor& x) { return 2 * x; }, nn::Identity(),
                           nn::Sequential{Own(), nn::Flatten()}};
  std::string order;
  for (const auto& [path, module] : net.named_modules()) {
    nn::register_forward_pre_hook(module, [&order, p = path](const nn::Module&, const Tensors&) { order += "<" + p; });
    nn::register_forward_hook(
        module, [&order, p = path](const nn::Module&, const Tensors&, const Tensor&) { order += p + ">"; });
  }
  net(ones({2, 3}));
  CHECK(order == "<<0<0.linear0.linear>0><11><22><33><4<4.04.0><4.14.1>4>>");
  order.clear();
  nn::Sequential evaluated = net;
  evaluated.eval();
  net(ones({2, 3}));
  CHECK(order == "<<0<0.linear0.linear>0><11><22><33><4<4.04.0><4.14.1>4>>");

  // A layer that is called by itself.
  int calls = 0;
  const auto count = [&](const nn::Module&, const Tensors&, const Tensor&) { ++calls; };
  const nn::Identity identity;
  nn::register_forward_hook(identity, count);
  identity(ones({1}));
  const nn::ReLU relu_layer;
  nn::register_forward_hook(relu_layer, count);
  relu_layer(ones({1}));
  nn::Dropout dropout;
  dropout.eval();
  nn::register_forward_hook(dropout, count);
  dropout(ones({1}));
  const nn::MSELoss loss;
  nn::register_forward_hook(loss, count);
  loss(ones({1}), zeros({1}));
  CHECK(calls == 4);
}

TEST_CASE("hooks see all that a layer of several tensors takes and gives") {
  const nn::LSTM lstm(2, 3);
  std::size_t inputs_seen = 0;
  Tensors seen;
  nn::register_forward_hook(lstm, [&](const nn::Module&, const Tensors& inputs, const Tensors& outputs) {
    inputs_seen = inputs.size();
    seen = outputs;
    return Tensors{outputs[0] * 0, outputs[1], outputs[2] + 1};
  });
  const auto [sequence, state] = lstm(ones({4, 1, 2}));
  CHECK((inputs_seen == 3 && seen.size() == 3));
  CHECK((equal(sequence.detach(), zeros({4, 1, 3})) && equal(state.h, seen[1]) && equal(state.c, seen[2] + 1)));

  const nn::MultiheadAttention attention(4, 2);
  nn::register_forward_hook(attention, [](const nn::Module&, const Tensors& inputs, const Tensors& outputs) {
    CHECK(inputs.size() == 3);
    CHECK((outputs.size() == 2 && !outputs[1].defined()));
  });
  const Tensor x = randn({3, 1, 4});
  attention(x, x, x, {.need_weights = false});

  const nn::MaxPool1d pool(2);
  nn::register_forward_hook(pool, [](const nn::Module&, const Tensors&, const Tensors& ys) { CHECK(ys.size() == 2); });
  pool.with_indices(ones({1, 1, 4}));

  const nn::Bilinear bilinear(1, 2, 1);
  nn::register_forward_pre_hook(bilinear, [](const nn::Module&, const Tensors& xs) {
    return Tensors{xs[0] * 0, xs[1]};
  });
  CHECK(equal(bilinear(ones({1, 1}), ones({1, 2})).detach(), reshape(bilinear.bias, {1, 1}).detach()));
}

TEST_CASE("a hook that returns what does not fit, or throws, is told with the layer's path") {
  const nn::Sequential net{nn::ReLU(), nn::Sequential{nn::Linear(1, 1), [](const Tensor& x) { return x; }}};
  {
    nn::ForwardHookHandle hook =
        nn::register_forward_hook(net.get_submodule("1.0"), [](const nn::Module&, const Tensors&, const Tensor& y) {
          return Tensors{y, y};
        });
    CHECK(message_of([&] {
            net(ones({1, 1}));
          }) == "1.0: register_forward_hook: expected a hook of Linear that returns 1 tensor, or none, got 2");
    hook.remove();
  }
  for (const char* path : {"1.0", "1.1"}) {
    nn::ForwardHookHandle hook = nn::register_forward_hook(
        net.get_submodule(path), [](const nn::Module&, const Tensors&, const Tensor&) { throw ValueError("no"); });
    CHECK(message_of([&] { net(ones({1, 1})); }) == std::string(path) + ": no");
    hook.remove();
    hook = nn::register_forward_pre_hook(net.get_submodule(path), [](const nn::Module&, const Tensors& xs) {
      return Tensors{xs[0], xs[0]};
    });
    CHECK_THAT(message_of([&] { net(ones({1, 1})); }), StartsWith(std::string(path) + ": register_forward_pre_hook: "));
    hook.remove();
    hook = nn::register_forward_hook(net.get_submodule(path), [](const nn::Module&, const Tensors&, const Tensor&) {
      throw std::runtime_error("x");
    });
    CHECK_THROWS_AS(net(ones({1, 1})), std::runtime_error);
    hook.remove();
  }
  CHECK_NOTHROW(net(ones({1, 1})));
}

TEST_CASE("hooks may remove and register hooks, and call their module, while they run") {
  const nn::ReLU layer;
  std::string order;
  nn::ForwardHookHandle first, second;
  first = nn::register_forward_hook(layer, [&](const nn::Module&, const Tensors&, const Tensor&) {
    order += 'a';
    first.remove();
    second.remove();  // which was to come yet in this call
    nn::register_forward_hook(layer, [&](const nn::Module&, const Tensors&, const Tensor&) {
      order += 'c';
      layer(ones({1}));  // runs no hook again
    });
  });
  second = nn::register_forward_hook(layer, [&](const nn::Module&, const Tensors&, const Tensor&) { order += 'b'; });
  layer(ones({1}));
  CHECK(order == "a");
  layer(ones({1}));
  CHECK(order == "ac");
}

TEST_CASE("hooks are let go of when they are removed, and with their module") {
  const Counted counted;
  {
    const nn::Sequential net{nn::Linear(1, 1), nn::ReLU()};
    nn::ForwardHookHandle handle;
    for (const auto& [path, module] : net.named_modules())
      handle = nn::register_forward_hook(module, [counted](const nn::Module&, const Tensors&, const Tensor&) {});
    CHECK(Counted::alive == 4);
    handle.remove();
    CHECK(Counted::alive == 3);
    const nn::Sequential twin = nn::clone(net);  // has none
    CHECK(Counted::alive == 3);
    net(ones({1, 1}));
  }
  CHECK(Counted::alive == 1);
  nn::ForwardHookHandle left;
  {
    const nn::ReLU layer;
    left = nn::register_forward_hook(layer, [](const nn::Module&, const Tensors&, const Tensor&) {});
  }
  left.remove();
}

TEST_CASE("a hook that would keep its own module alive is refused") {
  const nn::Linear linear(1, 1);
  const nn::Sequential net{nn::Sequential{linear}}, other;
  const auto expected =
      "register_forward_hook: expected a function that holds no handle on the module it hangs on, nor on one above, "
      "got "
      "one that does, so that neither would ever be freed; it is given the module, and may refer to what outlives it";
  CHECK_THROWS_WITH(nn::register_forward_hook(linear, [linear](const nn::Module&, const Tensors&, const Tensor&) {}),
                    expected);
  CHECK_THROWS_WITH(nn::register_forward_hook(linear, [net](const nn::Module&, const Tensors&, const Tensor&) {}),
                    expected);
  CHECK_THROWS_AS(
      nn::register_forward_pre_hook(net, [held = std::vector<nn::Module>{net}](const nn::Module&, const Tensors&) {}),
      ValueError);
  CHECK_NOTHROW(nn::register_forward_hook(linear, [other](const nn::Module&, const Tensors&, const Tensor&) {}));
  CHECK_NOTHROW(nn::register_forward_hook(
      linear, [&net](const nn::Module&, const Tensors&, const Tensor&) { CHECK(net.size() == 1); }));
  CHECK_NOTHROW(nn::register_forward_hook(net, [linear](const nn::Module&, const Tensors&, const Tensor&) {}));
  CHECK_NOTHROW(
      nn::register_forward_hook(linear, [w = linear.weight](const nn::Module&, const Tensors&, const Tensor&) {}));
  auto only_moved = [p = std::make_unique<int>(1)](const nn::Module&, const Tensors&, const Tensor&) {};
  CHECK_NOTHROW(nn::register_forward_hook(linear, std::move(only_moved)));
}

TEST_CASE("threads call a layer, register hooks on it and remove them") {
  const nn::Linear linear(2, 2);
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      const NoGradGuard no_grad;
      for (int i = 0; i < 300; ++i) {
        nn::ForwardHookHandle hook =
            nn::register_forward_hook(linear, [&](const nn::Module&, const Tensors&, const Tensor&) { ++calls; });
        linear(ones({1, 2}));
        hook.remove();
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(calls >= 900);
  const int before = calls;
  linear(ones({1, 2}));
  CHECK(calls == before);
}

// The summary.

TEST_CASE("a summary tells what a model is made of and what a call takes") {
  const nn::Sequential net{nn::Conv2d(3, 8, 3, {.padding = 1, .bias = false}), nn::BatchNorm2d(8), nn::ReLU(),
                           nn::Flatten(), nn::Linear(8 * 4 * 4, 10)};
  const nn::Summary summary = nn::summary(net, zeros({2, 3, 4, 4}));
  CHECK(nn::to_string(summary) ==
        "layer  class        output        parameters  bytes  multiply-adds\n"
        "-----  -----------  ------------  ----------  -----  -------------\n"
        "       Sequential   (2, 10)                0      0              0\n"
        "0      Conv2d       (2, 8, 4, 4)         216    864           6912\n"
        "1      BatchNorm2d  (2, 8, 4, 4)          16    136              0\n"
        "2      ReLU         (2, 8, 4, 4)           0      0              0\n"
        "3      Flatten      (2, 128)               0      0              0\n"
        "4      Linear       (2, 10)             1290   5160           2560\n"
        "total                                   1522   6160           9472\n");
  CHECK(printed(summary) == nn::to_string(summary));
}

TEST_CASE("a summary leaves the model and the generator as they were") {
  manual_seed(4);
  nn::Sequential net{nn::Linear(2, 2), nn::BatchNorm1d(2), nn::Dropout(0.5)};
  int calls = 0;
  nn::register_forward_hook(net, [&](const nn::Module&, const Tensors&, const Tensor&) { ++calls; });
  nn::spectral_norm(nn::Linear(2, 2));
  const TensorMap before = clone(net.state_dict());
  const uint64_t position = default_generator().advance(0);
  const nn::Sequential drawing{net, [](const Tensor& x) { return x + randn({2}); }};
  nn::summary(drawing, ones({1, 2}));
  CHECK_THROWS_AS(nn::summary(net, ones({1, 3})), ShapeError);
  CHECK(default_generator().advance(0) == position);
  CHECK((net.is_training() && net.get_submodule("1").is_training() && calls == 0));
  for (const auto& [name, value] : net.state_dict()) CHECK(equal(value, before.at(name)));
  CHECK(is_grad_enabled());
  CHECK(net(ones({2, 2})).requires_grad());
}

TEST_CASE("multiply-adds are those of products") {
  const auto count = [](const auto& layer, const auto&... xs) { return nn::summary(layer, xs...).multiply_adds; };
  CHECK(count(nn::Linear(3, 5), ones({2, 4, 3})) == 8 * 15);
  CHECK(count(nn::Bilinear(2, 3, 5), ones({4, 2}), ones({4, 3})) == 4 * 30);
  CHECK(count(nn::Conv2d(4, 6, 3, {.groups = 2}), ones({1, 4, 5, 5})) == 6 * 9 * 2 * 9);
  CHECK(count(nn::Conv1d(2, 3, 2), ones({2, 5})) == 3 * 4 * 4);
  CHECK(count(nn::ConvTranspose1d(2, 3, 4), ones({1, 2, 5})) == 10 * 12);
  CHECK(count(nn::LSTM(3, 4), ones({5, 2, 3})) == 10 * (16 * 3 + 16 * 4));
  CHECK(count(nn::GRU(3, 4, {.num_layers = 2, .bidirectional = true}), ones({5, 2, 3})) ==
        10 * 2 * (12 * 3 + 12 * 4 + 12 * 8 + 12 * 4));
  CHECK(count(nn::LSTMCell(3, 4), ones({2, 3})) == 2 * 16 * 7);
  const Tensor q = ones({5, 2, 4}), k = ones({7, 2, 4});
  const int64_t attention = 10 * 16 + 2 * 14 * 16 + 2 * 10 * 7 * 4 + 10 * 16;
  CHECK(count(nn::MultiheadAttention(4, 2), q, k, k) == attention);
  CHECK(count(nn::MultiheadAttention(4, 2, {.batch_first = true}), transpose(q, 0, 1), transpose(k, 0, 1),
              transpose(k, 0, 1)) == attention);
  CHECK(count(nn::MultiheadAttention(4, 2), ones({5, 4}), ones({7, 4}), ones({7, 4})) == attention / 2);
  CHECK(count(nn::weight_norm(nn::Linear(3, 5)), ones({2, 3})) == 30);
  CHECK(count(nn::weight_norm(nn::LSTM(3, 4), "weight_hh_l0"), ones({5, 2, 3})) == 10 * (16 * 3 + 16 * 4));
  CHECK(count(nn::ReLU(), ones({2, 3})) == 0);
  CHECK(count(nn::Linear(3, 5), ones({0, 3})) == 0);
}

TEST_CASE("a summary counts attention that is given one tensor as attending to itself") {
  const nn::MultiheadAttention attention(4, 2);
  const Tensor x = zeros({3, 2, 4});
  const nn::Sequential net{
      nn::adapt(attention, [](const nn::MultiheadAttention& a, const Tensor& t) { return a(t, t, t).output; })};
  const nn::Summary alone = nn::summary(attention, x, x, x), within = nn::summary(net, x);
  CHECK(within.rows[1].output == Shape{3, 2, 4});
  CHECK(within.rows[1].multiply_adds == alone.rows[0].multiply_adds);
}

TEST_CASE("a summary counts a shared layer's parameters once and its calls all") {
  struct Twice : nn::Module {
    nn::Linear linear;
    Twice() : linear(add("linear", nn::Linear(2, 2))) { linear.bias.set_requires_grad(false); }
    Tensor operator()(const Tensor& x) const { return linear(linear(x)); }
  };
  const nn::Summary summary = nn::summary(Twice(), ones({1, 2}));
  REQUIRE(summary.rows.size() == 2);
  CHECK((summary.rows[0].type == "Twice" && summary.rows[0].output == Shape{1, 2}));
  CHECK((summary.rows[1].path == "linear" && summary.rows[1].multiply_adds == 8));
  CHECK((summary.parameters == 6 && summary.learned == 4 && summary.bytes == 24));
  CHECK_THAT(nn::to_string(summary), ContainsSubstring("\nlearned                           4\n"));
  const nn::Linear a(2, 2), b(2, 2);
  nn::tie(a.weight, b.weight);
  CHECK(nn::summary(nn::Sequential{a, b}, ones({1, 2})).parameters == 8);
  // A model of several results.
  const nn::Summary recurrent = nn::summary(nn::GRU(1, 2), ones({3, 1, 1}));
  CHECK(recurrent.rows[0].output == Shape{3, 1, 2});
}

}  // namespace test_hooks
