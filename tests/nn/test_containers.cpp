// Lists of modules and parameters, the tree of a model by names, and freezing.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include "../catch.hpp"
#include "../message_of.hpp"
#include "printed.hpp"
#include "scaled.hpp"
#include "vectors.hpp"

namespace test_containers {

using namespace limpid;
using test::agrees;
using test::Scaled;

struct Net : nn::Module {
  nn::ModuleList<Scaled> blocks;
  nn::ModuleDict<nn::Linear> heads;
  nn::ParameterList biases;
  explicit Net(int count = 2)
      : blocks(add("blocks", nn::ModuleList<Scaled>())),
        heads(add("heads", nn::ModuleDict<nn::Linear>{{"age", nn::Linear(3, 1)}, {"kind", nn::Linear(3, 2)}})),
        biases(add("biases", nn::ParameterList{ones({1}), zeros({2})})) {
    for (int i = 0; i < count; ++i) blocks.append(Scaled());
  }
  Tensor operator()(Tensor x) const {
    for (const Scaled& block : blocks) x = block(x);
    return heads["kind"](x) + biases[1];
  }
  bool agrees() const {
    const TensorMap state = state_dict();
    bool all = blocks.size() > 0;
    for (std::size_t i = 0; i < blocks.size(); ++i)
      all &= test::agrees(blocks[i]) &&
             state.at("blocks." + std::to_string(i) + ".scale").shares_storage_with(blocks[i].scale);
    for (const auto& [name, head] : heads)
      all &= state.at("heads." + name + ".weight").shares_storage_with(head.weight);
    for (std::size_t i = 0; i < biases.size(); ++i)
      all &= state.at("biases." + std::to_string(i)).shares_storage_with(biases[static_cast<int64_t>(i)]);
    return all;
  }
};

TEST_CASE("lists of modules and parameters have PyTorch's names, and what is in them is trained") {
  Net net;
  std::vector<std::string> order;
  for (const auto& [name, tensor] : net.named_parameters()) order.push_back(name);
  CHECK(order == std::vector<std::string>{"blocks.0.scale", "blocks.0.shift", "blocks.0.linear.weight",
                                          "blocks.0.linear.bias", "blocks.1.scale", "blocks.1.shift",
                                          "blocks.1.linear.weight", "blocks.1.linear.bias", "heads.age.weight",
                                          "heads.age.bias", "heads.kind.weight", "heads.kind.bias", "biases.0",
                                          "biases.1"});
  CHECK(net.agrees());
  optim::SGD optimizer(net.parameters(), {.lr = 1});
  sum(net(ones({1, 3}))).backward();
  optimizer.step();
  CHECK_FALSE(equal(net.blocks[0].shift.detach(), zeros({3})));
  CHECK(equal(net.biases[1].detach(), full({2}, -1)));
  CHECK(equal(net.biases[0].detach(), ones({1})));
  net.eval();
  for (const Scaled& block : net.blocks) CHECK_FALSE(block.linear.is_training());
  net.to(float64);
  CHECK(net(ones({1, 3}, float64)).dtype() == float64);
  Net other;
  other.to(float64);
  other.load_state_dict(net.state_dict());
  CHECK(equal(other(ones({1, 3}, float64)).detach(), net(ones({1, 3}, float64)).detach()));
}

TEST_CASE("a list gives its modules by place, in a loop, and no other") {
  nn::ModuleList<nn::Linear> list{nn::Linear(1, 2), nn::Linear(2, 3)};
  list.append(nn::Linear(3, 4));
  list.extend(std::vector<nn::Linear>{nn::Linear(4, 5)});
  CHECK((list.size() == 4 && !list.empty() && nn::ModuleList<nn::Linear>().empty()));
  CHECK(list[3].weight.size(0) == 5);
  CHECK(list[-4].weight.is_same(list[0].weight));
  CHECK(list[std::size_t{1}].weight.is_same(std::as_const(list)[int8_t{1}].weight));
  Tensor x = ones({1, 1});
  for (const nn::Linear& layer : std::as_const(list)) x = layer(x);
  CHECK(x.shape() == Shape{1, 5});
  for (nn::Linear& layer : list) layer.eval();
  CHECK_FALSE(list[2].is_training());
  CHECK_THROWS_WITH(list[4], "ModuleList: expected an index in [-4, 4), got 4");
  CHECK_THROWS_WITH(list[-5], "ModuleList: expected an index in [-4, 4), got -5");
  CHECK_THROWS_WITH(nn::ModuleList<nn::Linear>()[0], "ModuleList: expected no index, for it is empty, got 0");
  CHECK_THROWS_AS(list[0] = nn::Linear(1, 2), ValueError);
  CHECK_THROWS_AS(std::swap(list[0], list[1]), ValueError);
  CHECK(list[0].weight.is_same(list.parameters()[0]));
  CHECK(printed(nn::ModuleList<nn::Linear>{nn::Linear(1, 2), nn::Linear(2, 3)}) == R"(ModuleList(
  (0): Linear(1, 2)
  (1): Linear(2, 3)
))");
  struct Cyclic : nn::Module {
    nn::ModuleList<> list;
    Cyclic() : list(add("list", nn::ModuleList<>())) {}
  };
  Cyclic cyclic;
  CHECK_THROWS_AS(cyclic.list.append(cyclic), ValueError);
  CHECK(cyclic.list.empty());
}

TEST_CASE("a list of modules of several classes has them trained and named") {
  nn::ModuleList<> list;
  list.append(nn::Linear(1, 2));
  list.append(Scaled());
  CHECK(list.parameters().size() == 6);
  CHECK(printed(list) == R"(ModuleList(
  (0): Linear(1, 2)
  (1): Scaled(
    (linear): Linear(3, 3)
  )
))");
  const nn::ModuleList<> twin = nn::clone(list);
  CHECK(twin[1].type() == "Scaled");
  CHECK(twin.parameters().size() == 6);
  // Those that lie in a class in between.
  const nn::ModuleList<nn::Conv> convolutions = [] {
    nn::ModuleList<nn::Conv> made;
    made.append(nn::Conv1d(1, 2, 3));
    made.append(nn::Conv2d(1, 2, 3));
    return made;
  }();
  CHECK(convolutions[0](ones({1, 1, 4})).shape() == Shape{1, 2, 2});
  CHECK(convolutions[1](ones({1, 1, 4, 4})).shape() == Shape{1, 2, 2, 2});
}

TEST_CASE("copies of a list are one list, clones are another") {
  Net net;
  const Net copy = net;
  const nn::ModuleList<Scaled> list = net.blocks;
  net.blocks.append(Scaled());
  CHECK((copy.blocks.size() == 3 && list.size() == 3));
  CHECK(list[2].scale.is_same(net.blocks[2].scale));
  CHECK((net.agrees() && copy.agrees()));

  const Net twin = nn::clone(net);
  CHECK(twin.agrees());
  CHECK(twin.blocks.size() == 3);
  CHECK_FALSE(twin.blocks[0].scale.is_same(net.blocks[0].scale));
  CHECK_FALSE(twin.biases[0].shares_storage_with(net.biases[0]));
  CHECK(names(twin.state_dict()) == names(net.state_dict()));
  CHECK(equal(twin(ones({1, 3})).detach(), net(ones({1, 3})).detach()));
  net.blocks.append(Scaled());
  CHECK(twin.blocks.size() == 3);

  Net other(1);
  const Net before = other;
  other = net;
  CHECK((other.agrees() && before.agrees() && other.blocks.size() == 4 && before.blocks.size() == 1));
  nn::ModuleList<Scaled> old = before.blocks;
  CHECK_THROWS_AS(old[0] = other.blocks[0], ValueError);  // the model's assignment allows none of a list's
  std::swap(other, net);
  CHECK((other.agrees() && net.agrees()));
  CHECK_THROWS_AS(other.blocks = net.blocks = before.blocks, ValueError);
  CHECK((other.agrees() && net.agrees() && before.agrees()));
}

TEST_CASE("what a list is given has its members registered") {
  struct Stray : nn::Module {
    nn::Linear inner{1, 1};
  };
  nn::ModuleList<Stray> list;
  CHECK_THROWS_WITH(list.append(Stray()),
                    "ModuleList: expected every module in Stray to be registered by add(), got Linear(1, 1) that is "
                    "not, and would be neither trained nor saved");
  CHECK(list.empty());
  nn::ModuleList<> any;
  CHECK_THROWS_AS(any.append(Stray()), ValueError);
  // A list that is a member is to be registered itself.
  struct Lost : nn::Module {
    nn::ModuleList<nn::Linear> list{nn::Linear(1, 1)};
    Tensor operator()(const Tensor& x) const { return x; }
  };
  CHECK_THROWS_WITH(nn::Sequential{Lost()}, ContainsSubstring("got ModuleList() that is not"));
}

TEST_CASE("a dictionary gives its modules by name, in the order of their coming") {
  nn::ModuleDict<nn::Linear> heads{{"b", nn::Linear(1, 2)}, {"a", nn::Linear(1, 3)}};
  const nn::ModuleDict<nn::Linear> copy = heads;
  CHECK(heads.add("c", nn::Linear(1, 4)).weight.is_same(copy["c"].weight));
  CHECK(copy.names() == std::vector<std::string>{"b", "a", "c"});
  CHECK((copy.contains("a") && !copy.contains("d") && !copy.contains("")));
  std::string seen;
  for (const auto& [name, head] : copy) seen += name + std::to_string(head.weight.size(0));
  CHECK(seen == "b2a3c4");
  for (auto [name, head] : heads) head.eval();
  CHECK_FALSE(copy["a"].is_training());
  CHECK_THROWS_WITH(copy["d"], "ModuleDict: expected one of b, a, c, got \"d\"");
  CHECK_THROWS_WITH(nn::ModuleDict<>()["d"], "ModuleDict: expected no name, for it is empty, got \"d\"");
  CHECK_THROWS_WITH(heads.add("a", nn::Linear(1, 1)), "add: expected a new name, got \"a\" again");
  CHECK_THROWS_AS(heads.add("a.b", nn::Linear(1, 1)), ValueError);
  CHECK_THROWS_AS(heads["a"] = nn::Linear(1, 3), ValueError);
  CHECK(heads.size() == 3);
  CHECK(names(heads.state_dict()) ==
        std::set<std::string>{"b.weight", "b.bias", "a.weight", "a.bias", "c.weight", "c.bias"});
  CHECK(nn::clone(heads).names() == copy.names());
  CHECK(printed(nn::ModuleDict<nn::ReLU>{{"act", nn::ReLU()}}) == "ModuleDict(\n  (act): ReLU()\n)");
}

TEST_CASE("a loop over a dictionary or a list comes to what was there, whatever is added on the way") {
  nn::ModuleDict<nn::Linear> heads{{"a", nn::Linear(1, 1)}, {"b", nn::Linear(1, 1)}};
  std::string seen;
  for (const auto& [name, head] : heads) {
    for (int i = 0; i < 50; ++i) heads.add(name + std::to_string(i), nn::Linear(1, 1));
    seen += name;
    CHECK(head.parameters().size() == 2);
  }
  CHECK(seen == "ab");
  CHECK(heads.size() == 102);
  nn::ModuleList<nn::Linear> list{nn::Linear(1, 1)};
  for (const nn::Linear& layer : list) {
    for (int i = 0; i < 50; ++i) list.append(layer);
    CHECK(layer.weight.numel() == 1);
  }
  list.extend(list);
  CHECK(list.size() == 102);
}

TEST_CASE("algorithms and views of the standard library go over containers") {
  const nn::ModuleList<nn::Linear> list{nn::Linear(1, 2), nn::Linear(2, 3), nn::Linear(3, 4)};
  const auto is_wide = [](const nn::Linear& layer) { return layer.weight.size(0) > 2; };
  CHECK((*std::find_if(list.begin(), list.end(), is_wide)).weight.is_same(list[1].weight));
  CHECK(std::count_if(list.begin(), list.end(), is_wide) == 2);
  CHECK(std::vector<nn::Linear>(list.begin(), list.end()).size() == 3);
  static_assert(std::ranges::input_range<const nn::ModuleList<nn::Linear>>);
  const nn::ModuleDict<nn::Linear> dict{{"a", nn::Linear(1, 1)}, {"b", nn::Linear(1, 5)}};
  CHECK(std::count_if(dict.begin(), dict.end(), [&](const auto& entry) { return is_wide(entry.module); }) == 1);
  const nn::ParameterList parameters{ones({2}), ones({3})};
  CHECK(std::accumulate(parameters.begin(), parameters.end(), int64_t{0},
                        [](int64_t n, const nn::Parameter& p) { return n + p.numel(); }) == 5);
}

TEST_CASE("parts of a Sequential share its layers") {
  manual_seed(5);
  nn::Sequential net{nn::Linear(2, 3), nn::ReLU(), [](const Tensor& x) { return 2 * x; }, nn::BatchNorm1d(3),
                     nn::Linear(3, 1)};
  const Tensor x = randn({4, 2});
  const nn::Sequential features = net.slice(0, -1), head = net.slice(-1);
  CHECK(features.size() == 4);
  CHECK(names(head.state_dict()) == std::set<std::string>{"0.weight", "0.bias"});
  CHECK(head.parameters()[0].is_same(net.parameters()[4]));
  net.eval();
  CHECK(equal(head(features(x)), net(x)));
  CHECK(net.slice(1, 1).empty());
  CHECK(net.slice(3, 1).empty());
  CHECK(net.slice(-100, 100).size() == 5);
  CHECK(net.slice(2).size() == 3);
  features[0].freeze();
  features[-1].train();
  CHECK_FALSE(net.parameters()[0].requires_grad());
  CHECK((net.get_submodule("3").is_training() && net[3].is_training() && !net[4].is_training()));
  const nn::Sequential twin = nn::clone(features);
  CHECK_FALSE(twin.parameters()[0].is_same(net.parameters()[0]));
  CHECK(equal(twin(x), nn::clone(features)(x)));
  CHECK_THROWS_WITH(net[5], "Sequential: expected an index in [-5, 5), got 5");
  // What is appended to a part is the part's alone.
  nn::Sequential longer = features;
  longer.append(nn::Linear(3, 2));
  CHECK((features.size() == 5 && net.size() == 5));
  CHECK_THROWS_WITH(net(ones({1, 7})), "0: Linear: expected x of shape (..., 2), got (1, 7)");
  CHECK_THROWS_WITH(head(ones({1, 7})), "4 or 0: Linear: expected x of shape (..., 3), got (1, 7)");
  int calls = 0;
  nn::register_forward_hook(features[2], [&](const nn::Module&, const Tensors&, const Tensor&) { ++calls; });
  net(x);
  CHECK(calls == 1);
}

TEST_CASE("a list of parameters holds leaves that cannot be replaced") {
  nn::ParameterList list{ones({2, 3})};
  const Tensor x = zeros({4}, float64);
  CHECK(list.append(x).is_same(list[1]));
  CHECK(list[-1].requires_grad());
  CHECK(list[0].is_leaf());
  CHECK(names(list.state_dict()) == std::set<std::string>{"0", "1"});
  CHECK_THROWS_WITH(list[2], "ParameterList: expected an index in [-2, 2), got 2");
  CHECK_THROWS_WITH(list.append(Tensor()), "ParameterList: expected a defined tensor, got none");
  CHECK_THROWS_AS(list.append(list[0].detach()), ValueError);
  CHECK_THROWS_AS(list.append(ones({1}, int64)), DTypeError);
  CHECK((list.size() == 2 && list.parameters().size() == 2));
  int64_t count = 0;
  for (const nn::Parameter& p : list) count += p.numel();
  CHECK(count == 10);
  CHECK(printed(list) == "ParameterList(\n  (0): Parameter(2, 3)\n  (1): Parameter(4,)\n)");
  static_assert(!std::is_assignable_v<decltype(list[0]), const Tensor&>);
  const nn::ParameterList twin = nn::clone(list);
  CHECK((twin[0].is_same(twin.parameters()[0]) && !twin[0].is_same(list[0])));
}

TEST_CASE("a dictionary of parameters gives them by name, normalised or not") {
  nn::ParameterDict dict{{"b", randn({2, 3})}, {"a", ones({4})}};
  CHECK(dict.add("c", zeros({1})).is_same(dict["c"]));
  CHECK(dict.names() == std::vector<std::string>{"b", "a", "c"});
  CHECK((dict.contains("a") && !dict.contains("d")));
  CHECK((dict["a"].requires_grad() && dict["a"].is_leaf() && dict["b"].shape() == Shape{2, 3}));
  CHECK(names(dict.state_dict()) == std::set<std::string>{"a", "b", "c"});
  CHECK_THROWS_WITH(dict["d"], "ParameterDict: expected one of b, a, c, got \"d\"");
  CHECK_THROWS_WITH(dict.add("a", ones({1})), "parameter: expected a new name, got \"a\" again");
  CHECK_THROWS_WITH(dict.add("a.b", ones({1})), "parameter: expected a name without dots, got \"a.b\"");
  CHECK_THROWS_WITH(dict.add("d", Tensor()), "ParameterDict: expected a defined tensor, got none");
  CHECK_THROWS_AS(dict.add("d", dict["a"].detach()), ValueError);
  CHECK((dict.size() == 3 && dict.parameters().size() == 3));
  CHECK(printed(dict) == "ParameterDict(\n  (b): Parameter(2, 3)\n  (a): Parameter(4,)\n  (c): Parameter(1,)\n)");
  std::string seen;
  int64_t count = 0;
  const auto look = [&](const nn::ParameterDict& of) {
    seen.clear(), count = 0;
    for (const auto& [name, parameter] : of) seen += name, count += parameter.numel();
  };
  look(dict);
  CHECK((seen == "bac" && count == 11));
  // What is computed from others goes by the same name and place.
  nn::weight_norm(dict, "b");
  look(dict);
  CHECK((seen == "bac" && count == 11 && dict["b"].shape() == Shape{2, 3} && dict["a"].shape() == Shape{4}));
  const nn::ParameterDict twin = nn::clone(dict);
  look(twin);
  CHECK((seen == "bac" && count == 11));
  CHECK((allclose(twin["b"], dict["b"]) && !twin["a"].is_same(dict["a"])));
  nn::remove_weight_norm(dict, "b");
  CHECK((dict["b"].is_leaf() && !twin["b"].is_leaf()));
}

// The tree by names.

TEST_CASE("modules are found by their paths") {
  const nn::Sequential net{Scaled(), nn::Sequential{nn::ReLU(), nn::Linear(2, 2)}};
  std::vector<std::string> paths, types;
  for (const auto& [name, module] : net.named_modules()) {
    paths.push_back(name);
    types.push_back(module.type());
  }
  CHECK(paths == std::vector<std::string>{"", "0", "0.linear", "1", "1.0", "1.1"});
  CHECK(types == std::vector<std::string>{"Sequential", "Scaled", "Linear", "Sequential", "ReLU", "Linear"});
  CHECK(net.named_children().size() == 2);
  CHECK(net.named_children()[1].name == "1");
  CHECK(net.children()[0].type() == "Scaled");
  CHECK(net.get_submodule("1.1").parameters()[0].is_same(net.named_parameters()[4].tensor));
  CHECK(net.get_submodule("").parameters().size() == net.parameters().size());
  nn::Module inner = net.get_submodule("1");
  inner.eval();
  CHECK((!net.get_submodule("1.0").is_training() && net.is_training()));
  for (const auto& [path, module] : net.named_modules()) CHECK(net.get_submodule(path).type() == module.type());

  CHECK_THROWS_WITH(net.get_submodule("2"), "get_submodule: expected one of 0, 1, got \"2\"");
  CHECK_THROWS_WITH(net.get_submodule("1.5.x"), "get_submodule: expected one of 0, 1 in \"1\", got \"5\"");
  CHECK_THROWS_WITH(net.get_submodule("1.1.weight"), "get_submodule: expected no name in \"1.1\", got \"weight\"");
  for (const char* path : {".", "1.", ".1", "1..1", " 1", "1.1.", "\n"})
    CHECK_THROWS_AS(net.get_submodule(path), ValueError);

  const nn::Linear shared(1, 1);
  const nn::Sequential twice{shared, shared};
  CHECK((twice.named_modules().size() == 2 && twice.children().size() == 1));
  CHECK(twice.get_submodule("1").parameters()[0].is_same(shared.weight));
}

// Freezing.

struct Backbone : nn::Module {
  nn::Conv2d conv;
  nn::BatchNorm2d batch;
  nn::InstanceNorm2d instance;
  nn::Dropout dropout;
  Backbone()
      : conv(add("conv", nn::Conv2d(1, 2, 3))),
        batch(add("batch", nn::BatchNorm2d(2))),
        instance(add("instance", nn::InstanceNorm2d(2, {.track_running_stats = true}))),
        dropout(add("dropout", nn::Dropout(0.5))) {}
  Tensor operator()(const Tensor& x) const { return instance(batch(conv(x))); }
};

TEST_CASE("what is frozen learns nothing, whatever train says") {
  manual_seed(1);
  nn::Sequential net{Backbone(), nn::Flatten(), nn::Linear(18, 2)};
  nn::Module backbone = net.get_submodule("0");
  const Tensor x = randn({4, 1, 5, 5});
  net(x);
  backbone.freeze();
  CHECK((backbone.is_frozen() && net.get_submodule("0.batch").is_frozen() && !net.is_frozen()));
  const TensorMap before = clone(net.state_dict());
  optim::SGD optimizer(net.parameters(), {.lr = 0.1, .weight_decay = 0.1});
  for (int i = 0; i < 3; ++i) {
    net.eval();
    net.train();
    optimizer.zero_grad();
    sum(square(net(x))).backward();
    optimizer.step();
  }
  for (const auto& [name, value] : net.state_dict()) {
    INFO(name);
    CHECK(equal(value, before.at(name)) == (name.substr(0, 2) == "0."));
  }
  // Norms go by their statistics, so that training and evaluation see one backbone; one image alone is enough.
  const Tensor trained = net(slice(x, 0, 0, 1)).detach();
  net.eval();
  CHECK(equal(net(slice(x, 0, 0, 1)).detach(), trained));
  net.train();
  CHECK(net.get_submodule("0.dropout").is_training());  // another thing

  nn::Sequential twin = nn::clone(net);
  CHECK((twin.get_submodule("0.batch").is_frozen() && !twin.is_frozen()));
  twin(x);
  CHECK(equal(twin.state_dict().at("0.batch.running_mean"), before.at("0.batch.running_mean")));

  net.get_submodule("0").unfreeze();
  for (const Tensor& p : net.parameters()) CHECK(p.requires_grad());
  net(x);
  CHECK_FALSE(equal(net.state_dict().at("0.batch.running_mean"), before.at("0.batch.running_mean")));
  CHECK_FALSE(equal(net.state_dict().at("0.instance.running_var"), before.at("0.instance.running_var")));
  CHECK(net.state_dict().at("0.batch.num_batches_tracked").item<int64_t>() ==
        before.at("0.batch.num_batches_tracked").item<int64_t>() + 1);
  CHECK(twin.get_submodule("0").is_frozen());
}

TEST_CASE("norms that keep no statistics go by the batch, frozen or not") {
  manual_seed(2);
  nn::BatchNorm1d free(2, {.track_running_stats = false});
  const Tensor x = randn({4, 2}), y = free(x).detach();
  free.freeze();
  CHECK(equal(free(x), y));
  nn::BatchNorm1d cumulative(2, {.momentum = std::nullopt});
  cumulative(x);
  cumulative.freeze();
  cumulative(x);
  CHECK(cumulative.num_batches_tracked.item<int64_t>() == 1);
  nn::Dropout dropout(0.5);
  dropout.freeze();
  CHECK_FALSE(equal(dropout(ones({100})), ones({100})));
}

TEST_CASE("freezing takes gradients along, and comes back") {
  nn::Linear linear(2, 2);
  sum(linear(ones({1, 2}))).backward();
  linear.freeze();
  linear.freeze();
  CHECK_FALSE(linear.weight.requires_grad());
  CHECK_FALSE(linear(ones({1, 2})).requires_grad());
  linear.unfreeze();
  CHECK_FALSE(linear.weight.grad().defined());
  sum(linear(ones({1, 2}))).backward();
  CHECK(equal(linear.weight.grad(), ones({2, 2})));
  nn::Embedding embedding = nn::Embedding::from_pretrained(ones({3, 2}));
  CHECK_FALSE(embedding.weight.requires_grad());
  embedding.unfreeze();
  CHECK(embedding.weight.requires_grad());
}

// Modules of several arguments in a Sequential.

TEST_CASE("a module of one's own that is adapted is called by its own name") {
  struct Pair : nn::Module {
    nn::Linear layer;
    Pair() : layer(add("layer", nn::Linear(2, 2))) {}
    Tensor operator()(const Tensor& x, const Tensor& y) const { return layer(x) + y; }
  };
  const auto both = [](const Pair& pair, const Tensor& x) { return pair(x, x); };
  const auto twice =
      nn::adapt(nn::adapt(Pair(), both), [](const auto& pair, const Tensor& x) { return pair(pair(x)); });
  const nn::Sequential net{nn::adapt(Pair(), both), twice};
  CHECK(net.get_submodule("0").type() == "Pair");
  CHECK(net.get_submodule("1").type() == "Pair");
  CHECK(net(ones({1, 2})).shape() == Shape{1, 2});
}

TEST_CASE("a Sequential takes a module of several arguments by a lambda") {
  manual_seed(3);
  const nn::GRU gru(3, 4);
  const nn::MultiheadAttention attention(4, 2);
  const nn::Sequential net{
      nn::adapt(gru, [](const nn::GRU& layer, const Tensor& x) { return layer(x).sequence; }),
      nn::adapt(attention, [](const auto& layer, const Tensor& x) { return layer(x, x, x).output; }), nn::Linear(4, 1)};
  CHECK(net.state_dict().count("0.weight_hh_l0") == 1);
  CHECK(net.state_dict().count("1.out_proj.bias") == 1);
  CHECK(net.parameters()[0].is_same(gru.weights()[0].weight_ih));
  CHECK(printed(net).find("(0): GRU(3, 4)") != std::string::npos);
  const Tensor x = randn({5, 2, 3}), z = gru(x).sequence;
  const Tensor y = linear(attention(z, z, z).output, net.parameters()[8], net.parameters()[9]);
  CHECK(equal(net(x).detach(), y.detach()));
  const nn::Sequential twin = nn::clone(net);
  CHECK(equal(twin(x).detach(), net(x).detach()));
  CHECK(message_of([&] {
          net(ones({5, 2, 7}));
        }) == "0: GRU: expected x of shape (T, N, 3), or (T, 3) without a batch, got (5, 2, 7)");

  // Within a module that has registered it, a lambda may hold it as well.
  struct Own : nn::Module {
    nn::GRU gru;
    nn::Sequential net;
    Own()
        : gru(add("gru", nn::GRU(3, 4))),
          net(add("net", nn::Sequential{[g = gru](const Tensor& x) { return g(x).sequence; }, nn::Linear(4, 1)})) {}
    Tensor operator()(const Tensor& x) const { return net(x); }
  };
  const Own own, copy = nn::clone(own);
  CHECK(equal(copy(x).detach(), own(x).detach()));
  const nn::GRU stray(3, 4);
  CHECK_THROWS_WITH(nn::Sequential{[gru = stray](const Tensor& in) { return gru(in).sequence; }},
                    ContainsSubstring("got one that holds GRU(3, 4), which would be neither trained nor saved"));
}

}  // namespace test_containers
