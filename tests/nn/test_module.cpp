#include <sstream>

#include "../catch.hpp"
#include "vectors.hpp"

namespace test_module {

using namespace limpid;

struct Block : nn::Module {
  nn::Conv2d conv;
  nn::InstanceNorm2d norm;
  Block(int64_t in, int64_t out)
      : conv(add("conv", nn::Conv2d(in, out, 3, {.padding = 1}))),
        norm(add("norm", nn::InstanceNorm2d(out, {.affine = true, .track_running_stats = true}))) {}
  Tensor operator()(const Tensor& x) const { return relu(norm(conv(x))); }
};

// The network of module_vectors.py.
nn::Sequential make_net() {
  return nn::Sequential{Block(1, 3), nn::MaxPool2d(2), nn::Sequential{Block(3, 4), nn::AvgPool2d(2)}, nn::Flatten(),
                        nn::Linear(16, 2)};
}

struct Pair : nn::Module {
  nn::Parameter a, b;
  nn::Buffer count;
  Pair()
      : a(parameter("a", ones({2}))),
        b(parameter("b", ones({3}, float64))),
        count(buffer("count", zeros({}, int64))) {}
  using nn::Module::add;
  using nn::Module::buffer;
  using nn::Module::parameter;
};

std::string message_of(Pair& pair, const TensorMap& state, bool strict = true) {
  try {
    pair.load_state_dict(state, strict);
  } catch (const ValueError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("a module tree has PyTorch's names") {
  CHECK(names(make_net().state_dict()) == names(torch_vectors("net/state/")));
  std::vector<std::string> order;
  for (const auto& [name, tensor] : make_net().named_parameters()) order.push_back(name);
  CHECK(order == std::vector<std::string>{"0.conv.weight", "0.conv.bias", "0.norm.weight", "0.norm.bias",
                                          "2.0.conv.weight", "2.0.conv.bias", "2.0.norm.weight", "2.0.norm.bias",
                                          "4.weight", "4.bias"});
  CHECK(make_net().named_buffers().size() == 6);
  CHECK(make_net().named_buffers()[2].name == "0.norm.num_batches_tracked");
  CHECK(make_net().named_buffers()[2].tensor.dtype() == int64);
}

TEST_CASE("a network with PyTorch's weights gives PyTorch's values and gradients") {
  nn::Sequential net = make_net();
  net.to(float64);
  net.load_state_dict(torch_vectors("net/state/"));
  const TensorMap expected = torch_vectors("net/");
  Tensor x = expected.at("x").detach();
  x.set_requires_grad();
  const Tensor y = net(x);
  CHECK(allclose(y, expected.at("y"), 1e-10, 1e-12));
  y.backward(expected.at("dy"));
  CHECK(allclose(x.grad(), expected.at("dx"), 1e-9, 1e-12));
  for (const auto& [name, tensor] : net.named_parameters()) {
    INFO(name);
    // A bias before a normalisation has gradient 0 but for rounding.
    CHECK(allclose(tensor.grad(), expected.at("grad/" + name), 1e-9, 1e-12));
  }
}

TEST_CASE("copies of a module share parameters, buffers and the training flag") {
  Block block(1, 2);
  nn::Sequential net{block, nn::Dropout(0.5)};
  CHECK(net.parameters()[0].is_same(block.conv.weight));
  net.eval();
  CHECK_FALSE(block.is_training());
  CHECK_FALSE(block.norm.is_training());
  net.train();
  CHECK(block.norm.is_training());
  const nn::Sequential copy = net;
  net.append(relu);
  CHECK(copy.size() == 3);
  CHECK(copy(randn({1, 1, 4, 4})).shape() == Shape{1, 2, 4, 4});
}

TEST_CASE("Sequential takes modules, functions and lambdas") {
  const nn::Sequential net{nn::Linear(3, 2), relu, [](const Tensor& x) { return x; }, nn::Linear(2, 1)};
  CHECK(net(ones({4, 3})).shape() == Shape{4, 1});
  CHECK(names(net.state_dict()) == std::set<std::string>{"0.weight", "0.bias", "3.weight", "3.bias"});
  const Tensor x = ones({2});
  CHECK(nn::Sequential()(x).is_same(x));
}

TEST_CASE("state_dict shares memory, cut off from the graph, load_state_dict copies into place") {
  Pair pair, twin;
  const Tensor handle = pair.a;
  const TensorMap state = pair.state_dict();
  CHECK_FALSE(state.at("a").requires_grad());
  CHECK(state.at("a").shares_storage_with(pair.a));
  nn::init::constant_(twin.a, 5);
  const uint32_t version = pair.a.version();
  pair.load_state_dict(twin.state_dict());
  CHECK(equal(handle.detach(), full({2}, 5)));
  CHECK_FALSE(pair.a.shares_storage_with(twin.a));
  CHECK(pair.a.version() > version);
  pair.load_state_dict(state);  // its own memory
  CHECK(equal(handle.detach(), full({2}, 5)));
  nn::Sequential two{nn::ReLU(), nn::LayerNorm(2)};
  const TensorMap now = two.state_dict();
  two.load_state_dict({{"1.weight", now.at("1.bias")}, {"1.bias", now.at("1.weight")}});
  CHECK(equal(now.at("1.weight"), zeros({2})));
  CHECK(equal(now.at("1.bias"), ones({2})));
}

TEST_CASE("load_state_dict converts counts of another integer dtype") {
  nn::BatchNorm2d norm(2);
  TensorMap state = clone(norm.state_dict());
  state["num_batches_tracked"] = full({}, 7, int32);
  norm.load_state_dict(state);
  CHECK(norm.state_dict().at("num_batches_tracked").item<int64_t>() == 7);
  CHECK(norm.state_dict().at("num_batches_tracked").dtype() == int64);
  state["num_batches_tracked"] = full({}, 7.0);
  CHECK_THROWS_WITH(
      norm.load_state_dict(state),
      "load_state_dict: expected the module's own tensors, got unfit: num_batches_tracked (expected int64 "
      "(), got float32 ())");
}

TEST_CASE("load_state_dict refuses a map of others alone, strict or not") {
  Pair pair;
  CHECK(message_of(pair, {{"model.a", full({2}, 7)}}, false) ==
        "load_state_dict: expected the module's own tensors, got missing: a, b, count; unexpected: model.a");
  CHECK(message_of(pair, {}, false).empty());
}

TEST_CASE("load_state_dict shows names of a file in one short line") {
  Pair pair;
  TensorMap state = {{"a", full({4}, 7)}, {"evil\n\x1b[2Jok", ones({1})}};
  CHECK(message_of(pair, state) ==
        "load_state_dict: expected the module's own tensors, got missing: b, count; unexpected: "
        "evil\\x0a\\x1b[2Jok; unfit: a (expected float32 (2,), got float32 (4,))");
  for (int i = 0; i < 20000; ++i) state["foreign " + std::to_string(i)] = ones({1});
  const std::string text = message_of(pair, state);
  CHECK(text.size() < 1000);
  CHECK(text.find(" and 19991 more; unfit: a") != std::string::npos);
}

TEST_CASE("load_state_dict names every fault before it writes anything") {
  Pair pair;
  const TensorMap state = {{"a", full({4}, 7)}, {"b", full({3}, 7, int64)}, {"c", ones({1})}};
  CHECK(message_of(pair, state) ==
        "load_state_dict: expected the module's own tensors, got missing: count; unexpected: c; unfit: a (expected "
        "float32 (2,), got float32 (4,)), b (expected float64 (3,), got int64 (3,))");
  CHECK(message_of(pair, {{"a", full({2}, 7)}, {"b", Tensor()}}, false) ==
        "load_state_dict: expected the module's own tensors, got unfit: b (undefined)");
  CHECK(equal(pair.a.detach(), ones({2})));
  CHECK(message_of(pair, {{"a", full({2}, 7)}, {"c", ones({1})}}, false).empty());
  CHECK(equal(pair.a.detach(), full({2}, 7)));
}

TEST_CASE("parameters are leaves, a shared one is listed once") {
  Pair pair;
  CHECK(pair.a.requires_grad());
  CHECK(pair.a.is_leaf());
  CHECK_FALSE(pair.count.requires_grad());
  const nn::Linear linear(2, 2);
  const nn::Sequential twice{linear, linear};
  CHECK(twice.parameters().size() == 2);
  CHECK(twice.state_dict().size() == 4);
  CHECK_FALSE(pair.parameter("none", {}).defined());
  CHECK(pair.parameters().size() == 2);
}

TEST_CASE("zero_grad clears gradients, frozen parameters aside") {
  Pair pair;
  pair.b.set_requires_grad(false);
  pair.a.set_grad(ones({2}));
  pair.zero_grad();
  CHECK_FALSE(pair.a.grad().defined());
}

TEST_CASE("to converts parameters, gradients and buffers in every handle") {
  Pair pair;
  const Tensor handle = pair.a;
  pair.a.set_grad(full({2}, 3));
  pair.to(float64);
  CHECK(handle.dtype() == float64);
  CHECK(handle.is_leaf());
  CHECK(equal(handle.detach(), ones({2}, float64)));
  CHECK(equal(handle.grad(), full({2}, 3, float64)));
  CHECK(pair.count.dtype() == int64);
  mul(handle, 2).backward(ones({2}, float64));
  CHECK(equal(handle.grad(), full({2}, 5, float64)));
  CHECK_THROWS_WITH(pair.to(int64), "to: expected a floating-point dtype, got int64");
}

TEST_CASE("to lays out parameters, gradients and buffers in every handle") {
  nn::Conv2d conv(3, 4, {2, 3});
  const Tensor handle = conv.weight, values = conv.weight.detach().clone(), dw = randn({4, 3, 2, 3});
  conv.weight.set_grad(dw);
  const Tensor x = randn({2, 3, 5, 5}), y = conv(x).detach();
  nn::Sequential net{conv, nn::LayerNorm({2, 3})};
  net.to(MemoryFormat::channels_last);
  CHECK(handle.is_contiguous(MemoryFormat::channels_last));
  CHECK_FALSE(handle.is_contiguous());
  CHECK(handle.is_leaf());
  CHECK(handle.requires_grad());
  CHECK(equal(handle.detach(), values));
  CHECK(handle.grad().is_contiguous(MemoryFormat::channels_last));
  CHECK(equal(handle.grad(), dw));
  CHECK(allclose(conv(x).detach(), y, 1e-5, 1e-5));
  net.to(MemoryFormat::contiguous);
  CHECK(handle.is_contiguous());
  CHECK(equal(handle.detach(), values));
}

TEST_CASE("to is seen by a graph that saved a parameter") {
  Pair pair;
  const Tensor y = square(pair.a);
  pair.to(float64);
  CHECK_THROWS_AS(y.backward(ones({2})), AutogradError);
}

TEST_CASE("to keeps the hooks of parameters") {
  nn::Linear linear(2, 1);
  nn::Conv2d conv(3, 2, 2);
  std::vector<DType> seen;
  const auto see = [&](const Tensor& dx) { seen.push_back(dx.dtype()); };
  HookHandle hook = register_hook(linear.weight, see);
  register_hook(conv.weight, [&](const Tensor& dx) {
    see(dx);
    return 2 * dx;
  });
  linear.to(float64);
  sum(linear(ones({1, 2}, float64))).backward();
  CHECK(seen == std::vector<DType>{float64});
  hook.remove();
  sum(linear(ones({1, 2}, float64))).backward();
  CHECK(seen.size() == 1);
  CHECK(equal(linear.weight.grad(), full({1, 2}, 2, float64)));
  conv.to(MemoryFormat::channels_last);
  sum(conv(ones({1, 3, 2, 2}))).backward();
  CHECK(seen == std::vector<DType>{float64, float32});
  CHECK(equal(conv.weight.grad(), full({2, 3, 2, 2}, 2)));
}

TEST_CASE("a graph recorded before to gives its gradients, or an error") {
  Pair pair;
  const Tensor y = neg(pair.a), z = pair.a + ones({2});  // which save nothing
  pair.to(float64);
  CHECK_THROWS_AS(y.backward(ones({2})), AutogradError);
  CHECK_THROWS_AS(z.backward(ones({2})), AutogradError);
  CHECK_FALSE(pair.a.grad().defined());

  nn::Conv2d conv(3, 2, 2);
  const Tensor negative = neg(conv.weight);
  conv.to(MemoryFormat::channels_last);
  sum(negative).backward();
  CHECK(equal(conv.weight.grad(), full({2, 3, 2, 2}, -1)));
}

TEST_CASE("to refuses a buffer that is a recorded result, and changes nothing") {
  Pair pair;
  const nn::Buffer result = pair.buffer("result", 2 * pair.a);
  retain_grad(result);
  CHECK_THROWS_WITH(pair.to(float64),
                    "to: expected parameters and buffers that are leaves, got a result of mul of shape (2,)");
  CHECK(pair.a.dtype() == float32);
}

TEST_CASE("apply visits children before parents") {
  std::string order;
  nn::Sequential net{Block(1, 1), nn::ReLU()};
  net.apply([&](nn::Module& module) { order += module.type() + ' '; });
  CHECK(order == "Conv2d InstanceNorm2d Block ReLU Sequential ");
}

TEST_CASE("apply comes to a shared module once") {
  const nn::Linear shared(2, 2);
  nn::Sequential net{shared, nn::ReLU(), shared, nn::Sequential{shared, nn::Tanh()}};
  std::vector<std::string> seen;
  net.apply([&](const nn::Module& m) { seen.push_back(m.type()); });
  CHECK(seen == std::vector<std::string>{"Linear", "ReLU", "Tanh", "Sequential", "Sequential"});
}

TEST_CASE("apply comes to what was there, whatever is added on the way") {
  nn::Sequential net{nn::Linear(2, 2), nn::Linear(2, 2)};
  std::vector<std::string> seen;
  net.apply([&](const nn::Module& m) {
    seen.push_back(m.type());
    for (int i = 0; i < 50; ++i) net.append(nn::ReLU());
  });
  CHECK(seen == std::vector<std::string>{"Linear", "Linear", "Sequential"});
  CHECK(net.size() == 152);
}

TEST_CASE("a module prints as a tree") {
  std::ostringstream out;
  out << nn::Sequential{Block(1, 2), nn::Sequential{relu, nn::Dropout(0.25)}, nn::Linear(3, 4, {.bias = false})};
  CHECK(out.str() == R"(Sequential(
  (0): Block(
    (conv): Conv2d(1, 2, kernel = (3, 3), padding = (1, 1))
    (norm): InstanceNorm2d(2, affine, track_running_stats, momentum = 0.1)
  )
  (1): Sequential(
    (0): Function()
    (1): Dropout(0.25)
  )
  (2): Linear(3, 4, bias = false)
))");
}

TEST_CASE("registration refuses names that would clash, and cycles") {
  Pair pair, other;
  CHECK_THROWS_WITH(pair.parameter("a", ones({1})), "parameter: expected a new name, got \"a\" again");
  CHECK_THROWS_WITH(pair.buffer("x.y", ones({1})), "buffer: expected a name without dots, got \"x.y\"");
  CHECK_THROWS_WITH(pair.add("", nn::ReLU()), "add: expected a name without dots, got \"\"");
  CHECK_THROWS_AS(pair.parameter("i", zeros({1}, int64)), DTypeError);
  other.add("pair", pair);
  CHECK_THROWS_WITH(pair.add("other", other), "add: expected a module that does not hold this one, got \"other\"");
  CHECK_THROWS_AS(pair.add("self", pair), ValueError);
}

TEST_CASE("registration refuses memory of what is registered already") {
  Pair pair, above;
  above.add("pair", pair);
  CHECK_THROWS_WITH(pair.buffer("again", pair.a),
                    "buffer: expected memory of its own for \"again\", got some that \"a\" has as well");
  CHECK_THROWS_WITH(pair.buffer("view", pair.a.detach()),
                    "buffer: expected memory of its own for \"view\", got some that \"a\" has as well");
  CHECK_THROWS_WITH(above.parameter("part", slice(pair.b.detach(), 0, 1)),
                    "parameter: expected memory of its own for \"part\", got some that \"pair.b\" has as well");
  CHECK_FALSE(pair.count.requires_grad());
  CHECK_THROWS_AS(above.parameter("count", pair.count), ValueError);
  CHECK(above.state_dict().size() == 6);
  above.parameter("same", pair.a);  // one parameter under two names
  CHECK(above.parameters().size() == 4);
}

TEST_CASE("a state is loaded as if read before it is written, through whatever handle on the memory") {
  std::vector<float> memory{1, 2, 3, 4, 5, 6};
  struct Two : nn::Module {
    nn::Parameter a, b;
    Two(const Tensor& x, const Tensor& y) : a(parameter("a", x)), b(parameter("b", y)) {}
  };
  Two apart(from_blob(memory.data(), {3}, float32), from_blob(memory.data() + 3, {3}, float32));
  // Other handles on the very same bytes, the other way round.
  apart.load_state_dict(
      {{"a", from_blob(memory.data() + 3, {3}, float32)}, {"b", from_blob(memory.data(), {3}, float32)}});
  CHECK(memory == std::vector<float>{4, 5, 6, 1, 2, 3});

  struct One : nn::Module {
    nn::Parameter x;
    explicit One(const Tensor& values) : x(parameter("x", values)) {}
    Tensor operator()(const Tensor& y) const { return y; }
  };
  nn::Sequential shared{One(from_blob(memory.data(), {4}, float32)), One(from_blob(memory.data() + 2, {4}, float32))};
  CHECK_THROWS_WITH(shared.load_state_dict({{"0.x", zeros({4})}, {"1.x", ones({4})}}),
                    "load_state_dict: expected the module's own tensors, got unfit: 1.x (expected memory of its own, "
                    "got some that 0.x has as well)");
  CHECK(memory == std::vector<float>{4, 5, 6, 1, 2, 3});
}

}  // namespace test_module
