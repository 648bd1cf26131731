// Models are assigned whole, as handles; none of their members is behind their back.
#include <limpid/limpid.hpp>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "../catch.hpp"
#include "scaled.hpp"

namespace test_assignment {

using namespace limpid;
using test::agrees;
using test::agrees_with_its_weight;
using test::Scaled;

TEST_CASE("modules are assigned as handles, with their members") {
  Scaled a, b;
  const Scaled old = a;
  optim::SGD optimizer(b.parameters(), {.lr = 1});
  a = b;
  CHECK((agrees(a) && agrees(b) && agrees(old)));
  CHECK(a.scale.is_same(b.scale));
  CHECK_FALSE(a.scale.is_same(old.scale));
  sum(a(ones({1, 3}))).backward();
  optimizer.step();
  CHECK_FALSE(equal(a.scale.detach(), ones({3})));
  CHECK(equal(old.scale.detach(), ones({3})));
  Scaled c(false);
  c = b;  // where there was no shift there is one
  CHECK((agrees(c) && c.shift.is_same(b.shift)));
  c = Scaled(false);
  CHECK((agrees(c) && !c.shift.defined()));
  a = Scaled();
  std::swap(a, b);
  CHECK((agrees(a) && agrees(b) && !a.scale.is_same(b.scale)));
  std::vector<Scaled> several{a, b, old};
  several.erase(several.begin());
  several.insert(several.begin(), c);
  several.push_back(several[1]);
  for (const Scaled& s : several) CHECK(agrees(s));
  CHECK(several[3].scale.is_same(b.scale));
  std::optional<Scaled> perhaps;
  perhaps = a;
  perhaps = b;
  CHECK((agrees(*perhaps) && perhaps->scale.is_same(b.scale)));
  Scaled moved = std::move(a);
  CHECK((agrees(moved) && agrees(a)));  // NOLINT: a handle stays one
}

TEST_CASE("a member that is assigned a constant member is refused, and as it was") {
  Scaled a;
  const Scaled b;
  const Tensor before = a.scale;
  CHECK_THROWS_WITH(a.scale = b.scale,
                    "nn::Parameter: expected an assigned module, got an assigned member, which its module would not "
                    "see; copy values by x.copy_(y), share one tensor by nn::tie(x, y)");
  CHECK_THROWS_AS(a.count = b.count, ValueError);
  CHECK_THROWS_AS(a.scale = b.linear.bias, ValueError);
  CHECK(a.scale.is_same(before));
  CHECK(agrees(a));
  a = b;
  CHECK_NOTHROW(a.scale = b.scale);  // the same
  Scaled other;
  CHECK_THROWS_AS(other.scale = b.scale, ValueError);  // another one's assignment does not help
  CHECK(agrees(other));
}

TEST_CASE("a layer is not assigned behind its model's back") {
  struct Net : nn::Module {
    nn::Linear first, second;
    nn::Sequential rest;
    std::vector<nn::Linear> list;
    std::optional<nn::Linear> perhaps;
    Net()
        : first(add("first", nn::Linear(2, 2))),
          second(add("second", nn::Linear(2, 2))),
          rest(add("rest", nn::Sequential{nn::Linear(2, 2), nn::ReLU()})) {
      for (const char* name : {"a", "b"}) list.push_back(add(name, nn::Linear(2, 2)));
      perhaps = add("perhaps", nn::Linear(2, 2));
    }
    bool agrees() const {
      const Tensors all = parameters();
      const Tensors members{first.weight,         first.bias,           second.weight,   second.bias,
                            rest.parameters()[0], rest.parameters()[1], list[0].weight,  list[0].bias,
                            list[1].weight,       list[1].bias,         perhaps->weight, perhaps->bias};
      if (all.size() != members.size()) return false;
      for (std::size_t i = 0; i < all.size(); ++i)
        if (!all[i].is_same(members[i])) return false;
      return true;
    }
  };
  Net net;
  const Net other;
  const Net copy = net;
  CHECK_THROWS_WITH(net.first = nn::Linear(2, 5),
                    "nn::Module: expected an assigned model, got an assigned layer of one, \"first\", which the model "
                    "would not see; make the model anew, or copy values by load_state_dict");
  CHECK_THROWS_AS(net.first = net.second, ValueError);
  CHECK_THROWS_AS(net.first = other.first, ValueError);
  CHECK_THROWS_AS(net.rest = nn::Sequential{nn::Linear(2, 2)}, ValueError);
  CHECK_THROWS_AS(net.list[1] = nn::Linear(2, 2), ValueError);
  CHECK_THROWS_AS(net.perhaps = nn::Linear(2, 2), ValueError);
  CHECK_THROWS_AS(std::swap(net.first, net.second), ValueError);
  CHECK_THROWS_AS(net.first.weight = other.first.weight, ValueError);
  CHECK((net.agrees() && other.agrees()));

  // As a whole it may be, as often as one likes, with other handles on both about.
  net = other;
  CHECK((net.agrees() && copy.agrees() && net.first.weight.is_same(other.first.weight)));
  CHECK_THROWS_AS(net.first = copy.first, ValueError);
  net = copy;
  net = Net();
  net = nn::clone(net);
  Net third;
  std::swap(net, third);
  CHECK((net.agrees() && third.agrees() && copy.agrees() && other.agrees()));
  struct Outer : nn::Module {
    Net net;
    Outer() : net(add("net", Net())) {}
  };
  Outer outer;
  const Outer before = outer, after;
  CHECK_THROWS_AS(outer.net = net, ValueError);
  CHECK_THROWS_AS(outer.net.first = nn::Linear(2, 2), ValueError);
  outer = after;
  CHECK((outer.net.agrees() && before.net.agrees() && outer.net.first.weight.is_same(outer.parameters()[0])));
}

TEST_CASE("what one assignment of a model allows, it allows once") {
  struct Holder : nn::Module {
    nn::Linear layer;
    explicit Holder(const nn::Linear& given) : layer(add("layer", given)) {}
    bool agrees() const { return layer.weight.is_same(parameters()[0]); }
  };
  Holder a{nn::Linear(2, 2)}, b{nn::Linear(2, 2)};
  std::swap(a, b);
  CHECK_THROWS_AS(a.layer = b.layer, ValueError);
  CHECK_THROWS_AS(std::swap(a.layer, b.layer), ValueError);
  Holder old = b;
  b = nn::clone(b);
  CHECK_THROWS_AS(old.layer = b.layer, ValueError);
  std::thread([&] { CHECK_THROWS_AS(old.layer = b.layer, ValueError); }).join();
  CHECK((a.agrees() && b.agrees() && old.agrees()));

  struct Own : nn::Module {
    nn::Parameter weight;
    explicit Own(bool registered = true) {
      if (registered) weight = parameter("weight", ones({2}));
    }
  };
  Own net, never(false);
  Own copy = net;
  net = Own();
  CHECK_THROWS_AS(copy.weight = std::as_const(net).weight, ValueError);
  CHECK_THROWS_AS(never.weight = std::as_const(net).weight, ValueError);
  CHECK_FALSE(never.weight.defined());
  never = net;  // of one class, whatever they have registered
  CHECK(agrees_with_its_weight(never));
  net = Own(false);
  CHECK_FALSE(net.weight.defined());

  // A layer that two models share is let go of by one.
  const nn::Linear shared(2, 2);
  Holder c{shared}, d{shared}, e{nn::Linear(2, 2)};
  c = e;
  CHECK((c.agrees() && c.layer.weight.is_same(e.layer.weight) && d.layer.weight.is_same(shared.weight)));
  std::swap(c, d);
  CHECK((c.agrees() && d.agrees()));
}

TEST_CASE("variables beside a model are assigned freely") {
  nn::Sequential net;
  nn::Linear layer(2, 2);
  std::vector<nn::Linear> list;
  for (int i = 0; i < 3; ++i) {
    net.append(layer);
    list.push_back(layer);
    layer = nn::Linear(2, 2);
  }
  CHECK(net.parameters().size() == 6);
  list.erase(list.begin());
  std::swap(list[0], list[1]);
  CHECK(list[0].weight.is_same(net.parameters()[4]));
  layer = list[0];
  CHECK(agrees_with_its_weight(layer));
  struct Outer : nn::Module {  // what is registered elsewhere stays outside
    nn::Linear teacher, student;
    explicit Outer(const nn::Linear& given) : teacher(given), student(add("student", nn::Linear(2, 2))) {}
  };
  Outer a(list[0]);
  const Outer b(list[1]);
  a = b;
  CHECK((a.teacher.weight.is_same(list[1].weight) && a.student.weight.is_same(b.student.weight)));
}

TEST_CASE("threads assign handles of one module of their own") {
  const Scaled shared;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        Scaled mine = shared;
        const Scaled next(i % 2 == 0);
        mine = next;
        wrong += !agrees(mine);
        mine = shared;
        wrong += !agrees(mine);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("a member may be given its parameter later, once") {
  struct Late : nn::Module {
    nn::Parameter weight;
    void init() { weight = parameter("weight", ones({2})); }
    void again() { weight = parameter("other", ones({2})); }
    void take(const nn::Parameter& other) { weight = other; }
  };
  Late late;
  CHECK_FALSE(late.weight.defined());
  const nn::Linear linear(1, 1);
  CHECK_THROWS_AS(late.take(linear.weight), ValueError);
  late.init();
  CHECK(agrees_with_its_weight(late));
  CHECK_THROWS_AS(late.again(), ValueError);
  CHECK(agrees_with_its_weight(late));
}

}  // namespace test_assignment
