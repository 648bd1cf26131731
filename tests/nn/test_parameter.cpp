// One tensor per parameter: members, parameters(), state_dict() and optimisers cannot disagree.
#include <limpid/limpid.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "../catch.hpp"
#include "scaled.hpp"
#include "vectors.hpp"

namespace test_parameter {

using namespace limpid;
using test::agrees_with_its_weight;
using test::Scaled;

template <class P>
constexpr bool is_emptied = requires(P& p) {
  p = {};
};
template <class To, class From>
constexpr bool assigns = requires(To to, From from) {
  to = static_cast<From>(from);
};

// What is not a constant does not compile.
static_assert(!assigns<nn::Parameter&, Tensor&> && !assigns<nn::Parameter&, const Tensor&> &&
              !assigns<nn::Parameter&, Tensor&&>);
static_assert(!assigns<nn::Parameter&, nn::Parameter&> && !assigns<nn::Parameter&, nn::Parameter&&>);
static_assert(!std::is_swappable_v<nn::Parameter> && !std::is_move_assignable_v<nn::Parameter>);
static_assert(!is_emptied<nn::Parameter>);
static_assert(!std::is_convertible_v<nn::Parameter&, Tensor&> && !std::is_base_of_v<Tensor, nn::Parameter>);
static_assert(!std::is_constructible_v<Tensor, NewParameter>);  // Tensor weight(parameter("weight", x))
static_assert(std::is_convertible_v<const nn::Parameter&, const Tensor&> &&
              std::is_copy_constructible_v<nn::Parameter>);
static_assert(!std::is_copy_assignable_v<nn::Module>);  // through a Module&, which members would not follow
static_assert(std::is_copy_assignable_v<nn::Linear> && std::is_move_assignable_v<nn::Linear> &&
              std::is_swappable_v<nn::Linear> && std::is_copy_assignable_v<Scaled>);

TEST_CASE("a parameter is read as a tensor") {
  const nn::Linear linear(2, 3, {.bias = false});
  const Tensor own = linear.weight, x = ones({2, 2});
  CHECK(own.is_same(linear.weight));
  CHECK(equal(mul(linear.weight, 2), 2 * linear.weight));
  CHECK((linear.weight + linear.weight - own / linear.weight * 1.0).shape() == Shape{3, 2});
  const Tensors list{linear.weight, x};
  const std::vector<Tensor> vector{linear.weight};
  const TensorMap map{{"weight", linear.weight}};
  CHECK((list[0].is_same(own) && vector[0].is_same(own) && map.at("weight").is_same(own)));
  CHECK((true ? linear.weight : Tensor()).is_same(own));
  CHECK_FALSE(linear.bias.defined());
  CHECK_THROWS_AS(linear.bias.shape(), ValueError);
  sum(linear.weight * 3).backward();
  CHECK(equal(linear.weight.grad(), full({3, 2}, 3)));
  linear.weight.set_requires_grad(false);
  CHECK_FALSE(own.requires_grad());
  linear.weight.fill_(2).mul_(3).add_(ones({3, 2}));
  nn::init::uniform_(linear.weight, 5, 6);
  CHECK((min(own).item<double>() >= 5 && max(own).item<double>() < 6));
  linear.weight.copy_(full({3, 2}, 4));
  CHECK(equal(linear(x), full({2, 3}, 8)));
  const auto copy = linear.weight;
  CHECK(copy.is_same(own));
}

struct Squared : Function<Squared> {
  static Tensor forward(Context& context, const Tensor& x) {
    context.save(x);
    return square(x);
  }
  static Tensors backward(Context& context, const Tensor& dy) { return {2.0 * dy * context.saved(0)}; }
};

TEST_CASE("a parameter given to a function of one's own has a gradient") {
  const nn::Linear linear(1, 1);
  sum(Squared::apply(linear.weight)).backward();
  CHECK(equal(linear.weight.grad(), 2 * linear.weight.detach()));
}

TEST_CASE("tied parameters are one, counted once") {
  const nn::Embedding embedding(5, 3);
  const nn::Linear out(3, 5, {.bias = false});
  const nn::Sequential net{embedding, out};
  nn::tie(out.weight, embedding.weight);
  CHECK(out.weight.is_same(embedding.weight));
  CHECK(agrees_with_its_weight(out));
  CHECK(net.parameters().size() == 1);
  CHECK(net.state_dict().size() == 2);
  CHECK(names(net.state_dict()) == std::set<std::string>{"0.weight", "1.weight"});
  optim::SGD optimizer(net.parameters(), {.lr = 0.5});
  const Tensor before = out.weight.detach().clone();
  const Tensor index = full({1}, 2, int64);
  sum(net(index)).backward();
  const Tensor gradient = embedding.weight.grad().clone();
  optimizer.step();
  CHECK(equal(out.weight.detach(), before - 0.5 * gradient));

  const nn::Sequential twin = nn::clone(net);
  CHECK(twin.parameters().size() == 1);
  CHECK_FALSE(twin.parameters()[0].is_same(out.weight));
  CHECK(equal(twin(index).detach(), net(index).detach()));

  TensorMap state = clone(net.state_dict());
  nn::Sequential loaded = nn::clone(net);
  for (auto& [name, x] : state) x.fill_(7);
  loaded.load_state_dict(state);
  CHECK(equal(loaded.parameters()[0].detach(), full({5, 3}, 7)));
  state.at("1.weight").fill_(8);
  CHECK_THROWS_WITH(loaded.load_state_dict(state),
                    "load_state_dict: expected the module's own tensors, got unfit: 1.weight (expected the values of "
                    "0.weight, which is the same tensor, got others)");
  loaded.to(float64);
  CHECK(loaded.parameters().size() == 1);
  CHECK(loaded.parameters()[0].dtype() == float64);
}

TEST_CASE("a tie that would leave something behind is refused") {
  const nn::Linear a(2, 2), b(2, 2), wide(3, 2);
  nn::BatchNorm1d norm(2);
  {
    const optim::SGD optimizer(a.parameters());
    CHECK_THROWS_WITH(nn::tie(a.weight, b.weight),
                      "tie: expected a first parameter that only its modules hold, got one that an optimiser, a graph "
                      "or a Tensor holds as well; tie before that");
  }
  {
    const Tensor y = a(ones({1, 2}));
    CHECK_THROWS_AS(nn::tie(a.weight, b.weight), ValueError);
  }
  {
    const std::string shared =
        "tie: expected a first parameter that only its modules hold, got one whose memory another Tensor has as well: "
        "a view, a detach(), a state_dict(); tie before that";
    const TensorMap state = a.state_dict();
    CHECK_THROWS_WITH(nn::tie(a.weight, b.weight), shared);
    const nn::BatchNorm1d other(2);
    const Tensor view = slice(norm.running_mean, 0, 1);
    CHECK_THROWS_WITH(nn::tie(norm.running_mean, other.running_mean), shared);
  }
  {
    HookHandle hook = register_hook(a.weight, [](const Tensor&) {});
    CHECK_THROWS_WITH(nn::tie(a.weight, b.weight),
                      "tie: expected a first parameter that only its modules hold, got one with a hook; tie before "
                      "that");
    hook.remove();
    a.weight.set_grad(ones({2, 2}));
    CHECK_THROWS_WITH(nn::tie(a.weight, b.weight),
                      "tie: expected a first parameter that only its modules hold, got one with a gradient; tie before "
                      "that");
    CHECK(equal(a.weight.grad(), ones({2, 2})));
    a.weight.set_grad({});
  }
  CHECK_THROWS_WITH(nn::tie(a.weight, wide.weight), "tie: expected tensors of one shape, got (2, 2) and (2, 3)");
  CHECK_THROWS_AS(nn::tie(a.weight, nn::Linear(2, 2, {.bias = false}).bias), ValueError);
  CHECK_THROWS_AS(nn::tie(a.bias, norm.running_mean), ValueError);
  nn::clone(b).to(float64);
  nn::Linear twice(2, 2);
  twice.to(float64);
  CHECK_THROWS_AS(nn::tie(a.weight, twice.weight), DTypeError);
  CHECK(agrees_with_its_weight(a));
  CHECK_NOTHROW(nn::tie(a.weight, b.weight));
  CHECK_NOTHROW(nn::tie(a.weight, b.weight));
}

TEST_CASE("an optimiser refuses one tensor, or one memory, twice") {
  const Tensor p = ones({4}).set_requires_grad(), q = slice(p.detach(), 0, 2, 4).set_requires_grad();
  CHECK_THROWS_WITH(optim::SGD({p, p}), "SGD: expected each parameter once, got 0 again as 1");
  CHECK_THROWS_WITH(optim::SGD({p, p.detach()}),
                    "SGD: expected parameters in memory of their own, got 0 and 1 in the same");
  CHECK_THROWS_AS(optim::Adam({p, q}), ValueError);
  CHECK_THROWS_WITH(optim::SGD({p, Tensor()}), "SGD: expected defined parameters, got none as 1");
  const Tensor halves = ones({4});
  CHECK_NOTHROW(optim::SGD({slice(halves, 0, 0, 2).set_requires_grad(), slice(halves, 0, 2, 4).set_requires_grad()}));
}

TEST_CASE("what is learned has a place for each element") {
  struct Holder : nn::Module {
    using nn::Module::buffer;
    using nn::Module::parameter;
  };
  Holder holder;
  const Tensor wide = expand(ones({1}), {3});
  CHECK_THROWS_AS(holder.parameter("wide", wide), ValueError);
  CHECK_THROWS_AS(holder.buffer("wide", wide), ValueError);
  CHECK(holder.state_dict().empty());
  CHECK_THROWS_AS(optim::SGD({wide.detach().set_requires_grad()}), ValueError);
  const Tensor matrix = ones({4, 2});  // whose columns lie between each other
  optim::SGD optimizer({select(matrix, 1, 0).set_requires_grad(), select(matrix, 1, 1).set_requires_grad()}, {.lr = 1});
  optimizer.parameters()[1].set_grad(ones({4}));
  optimizer.step();
  CHECK(equal(matrix, cat({ones({4, 1}), zeros({4, 1})}, 1)));
}

TEST_CASE("optimisers are handles that may be assigned, also through the base") {
  const nn::Linear a(2, 2), b(2, 2);
  optim::SGD sgd(a.parameters(), {.lr = 0.25});
  const optim::StepLR schedule(sgd, {.step_size = 1});
  optim::Optimizer& base = sgd;
  base = optim::Adam(b.parameters(), {.lr = 0.5});
  CHECK((sgd.name() == "Adam" && sgd.lr() == 0.5));
  sum(b(ones({1, 2}))).backward();
  sgd.step();
  CHECK(schedule.optimizer().name() == "SGD");
  std::vector<optim::Optimizer> several{sgd, schedule.optimizer()};
  several.erase(several.begin());
  CHECK(several[0].lr() == 0.25);
}

// Members that no one registered.

template <class Member>
struct With : nn::Module {
  explicit With(Member its_member) : member(std::move(its_member)) {}
  Tensor operator()(const Tensor& x) const { return x; }
  Member member;
};

struct Pair {  // is no module itself
  nn::Linear first{1, 1}, second{1, 1};
};

struct Frozen : nn::Linear {
  Frozen() : Linear(1, 1) {
    for (Tensor p : parameters()) p.set_requires_grad(false);
  }
};

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const ValueError& error) {
    return error.what();
  }
  return "";
}

template <class M>
void check_refused(const M& module, const std::string& what) {
  struct Holder : nn::Module {
    using nn::Module::add;
  };
  const std::string rest =
      " to be registered by add(), got " + what + " that is not, and would be neither trained nor saved";
  Holder holder;
  CHECK_THAT(message_of([&] { holder.add("m", module); }), ContainsSubstring(rest));
  CHECK(holder.parameters().empty());
  nn::Sequential net;
  CHECK_THAT(message_of([&] { net.append(module); }), ContainsSubstring(rest));
  CHECK(net.size() == 0);
  CHECK_THAT(message_of([&] { nn::clone(module); }), ContainsSubstring(rest));
}

template <class M>
void check_taken(const M& module) {
  nn::Sequential net;
  CHECK_NOTHROW(net.append(module));
  CHECK_NOTHROW(nn::clone(module));
}

TEST_CASE("members that were never registered are found") {
  const nn::Linear linear(1, 1);
  check_refused(With(linear), "Linear(1, 1)");
  check_refused(With(std::optional(linear)), "Linear(1, 1)");
  check_refused(With(std::array{linear, nn::Linear(1, 2)}), "Linear(1, 1) and 1 more");
  check_refused(With(std::vector(3, linear)), "Linear(1, 1) and 2 more");
  check_refused(With(Pair()), "Linear(1, 1) and 1 more");
  check_refused(With(nn::Sequential{nn::ReLU(), linear}), "Sequential()");
  check_refused(With(nn::BatchNorm1d(2, {.affine = false})), "BatchNorm1d(2, track_running_stats, momentum = 0.1)");
  check_refused(With(nn::Dropout(0.25)), "Dropout(0.25)");
  CHECK_THAT(message_of([&] {
               nn::Sequential net{nn::ReLU(), [linear](const Tensor& x) { return linear(x); }};
             }),
             StartsWith("Sequential: expected a function, or a class derived from nn::Module that registers its "
                        "modules, got one that holds Linear(1, 1)"));
  CHECK_THAT(message_of([&] {
               nn::Sequential net;
               net.append(With(linear));
             }),
             StartsWith("Sequential: expected every module in With<"));
}

TEST_CASE("members that need not be registered, or are meant to stay outside, are no faults") {
  check_taken(With(nn::ReLU()));
  check_taken(With(nn::Flatten()));
  check_taken(With(std::optional<nn::Linear>()));
  check_taken(With(Frozen()));
  check_taken(With(std::make_shared<nn::Linear>(1, 1)));
  check_taken(With(nn::InstanceNorm2d(3)));
  const nn::Linear linear(1, 1);
  const nn::Sequential elsewhere{linear};
  check_taken(With(linear));
  check_taken(Scaled());
  check_taken(nn::Sequential{Scaled(), Scaled(), [](const Tensor& x) { return x; }});
}

// Clones.

TEST_CASE("a clone is of the same class, with tensors of its own") {
  struct Deep : nn::Module {
    std::vector<Scaled> blocks;
    std::optional<nn::Dropout> dropout;
    nn::Sequential tail;
    Deep()
        : dropout(add("dropout", nn::Dropout(0.5))),
          tail(add("tail", nn::Sequential{nn::Linear(3, 2), relu, nn::Sequential{nn::BatchNorm1d(2)}})) {
      for (int i = 0; i < 2; ++i) blocks.push_back(add("block" + std::to_string(i), Scaled()));
    }
    Tensor operator()(const Tensor& x) const { return tail((*dropout)(blocks[1](blocks[0](x)))); }
  };
  manual_seed(1);
  Deep net;
  net.blocks[0].scale.set_requires_grad(false);
  net.tail.eval();
  const Tensor x = randn({4, 3});
  sum(net(x)).backward();
  const Deep twin = nn::clone(net);

  const TensorMap state = net.state_dict(), copied = twin.state_dict();
  CHECK(names(state) == names(copied));
  for (const auto& [name, tensor] : state) {
    INFO(name);
    CHECK(equal(tensor, copied.at(name)));
    CHECK_FALSE(tensor.shares_storage_with(copied.at(name)));
  }
  for (const Scaled& block : twin.blocks) CHECK(agrees(block));
  CHECK_FALSE(twin.blocks[0].scale.requires_grad());
  CHECK(twin.blocks[1].scale.requires_grad());
  CHECK_FALSE(twin.blocks[1].scale.grad().defined());
  CHECK((twin.dropout->is_training() && !twin.tail.is_training()));
  manual_seed(2);
  const Tensor y = net(x).detach();
  manual_seed(2);
  CHECK(equal(twin(x).detach(), y));
  // Training the one leaves the other alone, whichever part is called.
  {
    NoGradGuard no_grad;
    for (Tensor p : net.parameters()) p.fill_(3);
  }
  manual_seed(2);
  CHECK(equal(twin(x).detach(), y));
  net.eval();
  CHECK(twin.dropout->is_training());
  std::ostringstream a, b;
  a << net;
  b << twin;
  CHECK(a.str() == b.str());
}

TEST_CASE("the best of a run is kept by a clone, of the module or of its state") {
  nn::Linear net(2, 2), best = nn::clone(net);
  const TensorMap shared = net.state_dict(), kept = clone(net.state_dict());
  const Tensor before = net.weight.detach().clone();
  {
    NoGradGuard no_grad;
    net.weight.fill_(9);
  }
  CHECK(equal(shared.at("weight"), net.weight.detach()));
  CHECK(equal(kept.at("weight"), before));
  CHECK(equal(best.weight.detach(), before));
  best = nn::clone(net);
  CHECK(agrees_with_its_weight(best));
  CHECK(equal(best.weight.detach(), full({2, 2}, 9)));
  net.load_state_dict(kept);
  CHECK(equal(net.weight.detach(), before));
}

// Values of another precision.

TEST_CASE("load_state_dict converts among floats, not from integers, and refuses what overflows") {
  nn::Linear net(2, 1);
  const Tensor w = reshape(tensor({0.5, -3}), {1, 2});
  for (const DType dtype : {float16, bfloat16, float64}) {
    net.load_state_dict({{"weight", w.to(dtype)}, {"bias", ones({1}, dtype)}});
    CHECK(net.weight.dtype() == float32);
    CHECK(equal(net.weight.detach(), w));
  }
  CHECK_THROWS_WITH(net.load_state_dict({{"weight", ones({1, 2}, int64)}, {"bias", full({1}, 1e300, float64)}}),
                    "load_state_dict: expected the module's own tensors, got unfit: bias (expected values that float32 "
                    "holds, got others), weight (expected float32 (1, 2), got int64 (1, 2))");
  net.load_state_dict({{"weight", w}, {"bias", full({1}, INFINITY, float64)}});
  CHECK(net.bias.item<float>() == INFINITY);
  net.to(float16);
  CHECK_THROWS_AS(net.load_state_dict({{"weight", w}, {"bias", full({1}, 70000)}}), ValueError);
  CHECK(net.bias.to(float32).item<float>() == INFINITY);
}

}  // namespace test_parameter
