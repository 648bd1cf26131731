// The tape: recording, replaying, and what it refuses.
#include <limpid/limpid.hpp>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "../catch.hpp"

namespace test_engine {

using namespace limpid;

Tensor leaf(std::initializer_list<double> values, DType dtype = float64) {
  return tensor(values, dtype).set_requires_grad();
}

Tensor vec(std::initializer_list<double> values) { return tensor(values, float64); }

// Runs f on a thread with a small stack, which recursion over a graph's depth would overflow.
template <class F>
void on_small_stack(F f) {
  const auto body = [](void* context) -> void* {
    (*static_cast<F*>(context))();
    return nullptr;
  };
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  pthread_t thread;
  int error = EINVAL;
  // Platforms ask for stacks of some size: 128 KiB on aarch64. Thread-local storage is taken off the stack; sanitizers
  // have much of it.
  const auto least = static_cast<std::size_t>(std::max(sysconf(_SC_THREAD_STACK_MIN), 64L * 1024));
  for (std::size_t bytes = least; error == EINVAL && bytes <= 4096 * 1024; bytes *= 2) {
    REQUIRE(pthread_attr_setstacksize(&attributes, bytes) == 0);
    error = pthread_create(&thread, &attributes, body, &f);
  }
  REQUIRE(error == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST_CASE("backward gathers gradients on leaves") {
  const Tensor x = leaf({1, 2, 3}), w = leaf({4, 5, 6});
  sum(x * w).backward();
  CHECK(equal(x.grad(), vec({4, 5, 6})));
  CHECK(equal(w.grad(), vec({1, 2, 3})));
  SECTION("and adds to them") {
    sum(x * 2.0).backward();
    CHECK(equal(x.grad(), vec({6, 7, 8})));
    CHECK(equal(w.grad(), vec({1, 2, 3})));
  }
  SECTION("until they are cleared") {
    x.set_grad({});
    CHECK_FALSE(x.grad().defined());
    sum(x).backward();
    CHECK(equal(x.grad(), vec({1, 1, 1})));
  }
}

TEST_CASE("a gradient that somebody holds does not change under him") {
  const Tensor x = leaf({1, 2});
  sum(x).backward();
  const Tensor held = x.grad();
  sum(x * 5.0).backward();
  CHECK(equal(held, vec({1, 1})));
  CHECK(equal(x.grad(), vec({6, 6})));
}

TEST_CASE("leaves never share their gradients' memory") {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4}), dy = vec({5, 6});
  (a + b).backward(dy);
  CHECK_FALSE(a.grad().shares_storage_with(b.grad()));
  CHECK_FALSE(a.grad().shares_storage_with(dy));
  CHECK_FALSE(b.grad().shares_storage_with(dy));
  a.grad().fill_(0);
  CHECK(equal(b.grad(), vec({5, 6})));
  CHECK(equal(dy, vec({5, 6})));
}

TEST_CASE("whoever is given gradients may change them") {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4}), dy = vec({5, 6});
  const auto check_own = [&](Tensors results, const Tensors& others) {
    for (std::size_t i = 0; i < results.size(); ++i) {
      for (const Tensor& other : others) CHECK_FALSE(results[i].shares_storage_with(other));
      for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(results[i].shares_storage_with(results[j]));
      CHECK_NOTHROW(results[i].fill_(9));
    }
  };
  check_own(grad({a + b}, {a, b}, {dy}), {dy});
  check_own(grad({a}, {a}, {dy}), {dy});
  check_own(grad({sum(a * 2.0)}, {a, a}), {});
  check_own(grad({sum(a)}, {a}), {});
  const auto add_both = [](const Tensor& p, const Tensor& q) { return Tensors{p, p + q}; };
  const Tensors xs{vec({1, 2}), vec({3, 4})};
  const Vjp back = vjp(add_both, xs, {dy, dy});
  check_own({back.ys[0], back.ys[1], back.dxs[0], back.dxs[1]}, {dy, xs[0], xs[1]});
  const Jvp ahead = jvp(add_both, xs, {dy, Tensor()});
  check_own({ahead.ys[0], ahead.ys[1], ahead.dys[0], ahead.dys[1]}, {dy, xs[0], xs[1]});
  CHECK(equal(dy, vec({5, 6})));
  // And whoever retains them.
  const Tensor h = a * 2.0, z = h + 1.0;
  retain_grad(h);
  retain_grad(z);
  z.backward(dy, {.retain_graph = true});
  check_own({h.grad(), z.grad()}, {dy});
  sum(h * 1.0).backward();
  Tensor gradient = h.grad();
  CHECK_NOTHROW(gradient.fill_(9));
}

TEST_CASE("a buffer that two edges hold is not added into") {
  // add hands one gradient to both its operands; a then receives a second, which must not reach b.
  const Tensor a = leaf({1, 2}), b = leaf({3, 4});
  const Tensor p = a * 1.0, q = b * 1.0;
  const Tensor y = p * 10.0 + (p + q);
  y.backward(vec({1, 1}));
  CHECK(equal(a.grad(), vec({11, 11})));
  CHECK(equal(b.grad(), vec({1, 1})));
}

TEST_CASE("backward leaves the cotangent as it was") {
  const Tensor x = leaf({1, 2}), dy = vec({1, 10});
  backward({x * 2.0, x * 3.0, x}, {dy, dy, dy});
  CHECK(equal(dy, vec({1, 10})));
  CHECK(equal(x.grad(), vec({6, 60})));
}

TEST_CASE("the same output given twice counts twice") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * x;
  backward({y, y}, {vec({1, 1}), vec({1, 1})});
  CHECK(equal(x.grad(), vec({4, 8})));
}

TEST_CASE("an operand used twice gets both gradients") {
  const Tensor x = leaf({3});
  (x * x).backward();
  CHECK(x.grad().item<double>() == 6);
}

TEST_CASE("a second backward needs retain_graph, and the error says so") {
  const Tensor x = leaf({1, 2});
  const Tensor y = sum(x * x);
  SECTION("without") {
    y.backward();
    CHECK_THROWS_AS(y.backward(), AutogradError);
    CHECK_THROWS_WITH(y.backward(), ContainsSubstring("retain_graph = true"));
    CHECK_THROWS_WITH(grad({y}, {x}), ContainsSubstring("grad: ") && ContainsSubstring("retain_graph = true"));
    CHECK(equal(x.grad(), vec({2, 4})));
  }
  SECTION("with") {
    y.backward({}, {.retain_graph = true});
    y.backward();
    CHECK(equal(x.grad(), vec({4, 8})));
  }
  SECTION("the error names the op that was used up") {
    const Tensor inner = x * x;
    sum(inner).backward();
    CHECK_THROWS_WITH(sum(inner).backward(), ContainsSubstring("mul"));
  }
}

TEST_CASE("nothing is recorded under NoGradGuard") {
  const Tensor x = leaf({1, 2});
  {
    const NoGradGuard guard;
    CHECK_FALSE(is_grad_enabled());
    CHECK_FALSE((x * x).requires_grad());
    {
      const EnableGradGuard inner;
      CHECK((x * x).requires_grad());
    }
    CHECK_FALSE(is_grad_enabled());
  }
  CHECK(is_grad_enabled());
  CHECK_FALSE((x * x).is_leaf());
  CHECK(x.is_leaf());
}

TEST_CASE("grad mode comes back after an exception") {
  try {
    const NoGradGuard guard;
    zeros({2}) + zeros({3});
  } catch (const ShapeError&) {}
  CHECK(is_grad_enabled());
}

TEST_CASE("detach cuts the graph and keeps the memory") {
  const Tensor x = leaf({1, 2});
  const Tensor cut = (x * 3.0).detach();
  CHECK_FALSE(cut.requires_grad());
  CHECK(x.detach().shares_storage_with(x));
  sum(x * cut).backward();
  CHECK(equal(x.grad(), vec({3, 6})));
}

TEST_CASE("grad gives gradients and leaves the leaves alone") {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  const Tensor y = x * w;
  const Tensors dx = grad({y}, {w, x}, {vec({1, 10})});
  CHECK(equal(dx[0], vec({1, 20})));
  CHECK(equal(dx[1], vec({3, 40})));
  CHECK_FALSE(x.grad().defined());
  CHECK_FALSE(w.grad().defined());
}

TEST_CASE("grad with respect to results in between") {
  const Tensor x = leaf({2});
  const Tensor h = x * x, y = h * h * x;
  const Tensors g = grad({y}, {h, x}, {}, {.retain_graph = true});
  CHECK(g[0].item<double>() == 2 * 4 * 2);
  CHECK(g[1].item<double>() == 5 * 16);
  CHECK(grad({y}, {y}, {}, {.retain_graph = true})[0].item<double>() == 1);
  CHECK(grad({y}, {x, x})[1].item<double>() == 80);
}

TEST_CASE("grad of an input that is not used") {
  const Tensor x = leaf({1, 2}), unused = leaf({3});
  const Tensor y = sum(x);
  CHECK_THROWS_AS(grad({y}, {x, unused}), AutogradError);
  CHECK_THROWS_WITH(grad({y}, {x, unused}),
                    ContainsSubstring("input 1") && ContainsSubstring("(1,)") && ContainsSubstring("allow_unused"));
  const Tensors g = grad({sum(x)}, {x, unused}, {}, {.allow_unused = true});
  CHECK(g[0].defined());
  CHECK_FALSE(g[1].defined());
}

TEST_CASE("what cannot be differentiated is refused by name") {
  const Tensor x = leaf({1, 2}), plain = vec({1, 2});
  const Tensor y = x * 2.0;
  CHECK_THROWS_WITH(sum(plain).backward(), ContainsSubstring("backward: ") && ContainsSubstring("not recorded"));
  CHECK_THROWS_WITH(backward({Tensor()}), ContainsSubstring("undefined"));
  CHECK_THROWS_WITH(backward({}), ContainsSubstring("at least one output"));
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("(2,)"));
  CHECK_THROWS_WITH(y.backward(zeros({3}, float64)), ContainsSubstring("(2,)") && ContainsSubstring("(3,)"));
  CHECK_THROWS_WITH(y.backward(zeros({2}, float32)), ContainsSubstring("float64") && ContainsSubstring("float32"));
  CHECK_THROWS_WITH(backward({y, y}, {plain}), ContainsSubstring("one dy per output"));
  CHECK_THROWS_WITH(grad({y}, {plain}, {plain}), ContainsSubstring("grad: ") && ContainsSubstring("input 0"));
  CHECK_THROWS_WITH(grad({y}, {Tensor()}, {plain}), ContainsSubstring("undefined"));
  CHECK_THROWS_AS(zeros({2}, int64).set_requires_grad(), DTypeError);
  CHECK_THROWS_WITH(Tensor(y).set_requires_grad(false), ContainsSubstring("mul") && ContainsSubstring("detach()"));
  CHECK_THROWS_WITH(y.grad(), ContainsSubstring("mul"));
  CHECK_THROWS_AS(x.set_grad(zeros({3}, float64)), ShapeError);
  CHECK_THROWS_AS(plain.set_grad(plain), AutogradError);
}

TEST_CASE("a failed backward leaves the graph fit for another") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 2.0;
  CHECK_THROWS(y.backward(zeros({3}, float64)));
  CHECK_THROWS(backward({y, sum(y)}, {vec({1, 1}), zeros({2}, float64)}));
  y.backward(vec({1, 1}));
  CHECK(equal(x.grad(), vec({2, 2})));
}

TEST_CASE("gradients come in each operand's dtype and shape") {
  const Tensor x = ones({2, 3}, float32).set_requires_grad(), w = ones({3}, float64).set_requires_grad();
  const Tensor y = x * w;
  REQUIRE(y.dtype() == float64);
  sum(y).backward();
  CHECK(x.grad().dtype() == float32);
  CHECK(equal(w.grad(), full({3}, 2, float64)));
}

TEST_CASE("second and third derivatives") {
  const Tensor x = leaf({2});
  const Tensor y = x * x * x * x;
  const Tensor d1 = grad({y}, {x}, {}, {.create_graph = true})[0];
  const Tensor d2 = grad({d1}, {x}, {}, {.create_graph = true})[0];
  const Tensor d3 = grad({d2}, {x}, {}, {.create_graph = true})[0];
  CHECK(d1.item<double>() == 32);
  CHECK(d2.item<double>() == 48);
  CHECK(d3.item<double>() == 48);
  CHECK_FALSE(grad({d3}, {x})[0].requires_grad());
}

TEST_CASE("backward with create_graph leaves gradients that can be differentiated") {
  const Tensor x = leaf({3});
  (x * x * x).backward({}, {.create_graph = true});
  const Tensor g = x.grad();
  REQUIRE(g.requires_grad());
  x.set_grad({});
  g.backward();
  CHECK(x.grad().item<double>() == 18);
}

TEST_CASE("backward takes its options by name, for one output and for several") {
  const Tensor x = leaf({3});
  const Tensor y = x * x;
  backward({y}, {}, {.retain_graph = true});
  CHECK_FALSE(x.grad().requires_grad());
  y.backward(vec({2}), {.create_graph = true});  // which leaves the graph as well
  CHECK(x.grad().requires_grad());
  CHECK(x.grad().item<double>() == 6 + 12);
  backward({y}, {vec({1})}, {});
  CHECK_THROWS_AS(y.backward(vec({1}), {}), AutogradError);
  x.set_grad({});  // which holds a graph that holds x
}

TEST_CASE("a second derivative through a gradient that alone was asked for") {
  const Tensor x = randn({2, 2, 3}, float64).set_requires_grad(), w = leaf({1, 2});
  const auto f = [&] { return sum(instance_norm(x, {.weight = w}) * x); };
  const Tensors both = grad({f()}, {x, w}, {}, {.create_graph = true});
  const Tensor alone = grad({f()}, {w}, {}, {.create_graph = true})[0];
  CHECK(equal(grad({sum(alone * alone)}, {x})[0], grad({sum(both[1] * both[1])}, {x})[0]));
}

TEST_CASE("shared subexpressions are visited once") {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 60; ++i) y = y + y;
  y.backward();
  CHECK(x.grad().item<double>() == 0x1p60);
}

TEST_CASE("a chain of a million ops needs no stack") {
  double value = 0, gradient = 0;
  on_small_stack([&] {
    const Tensor x = leaf({1});
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = y + x;
    value = y.item<double>();
    y.backward();
    gradient = x.grad().item<double>();
  });
  CHECK(value == 1'000'001);
  CHECK(gradient == 1'000'001);
}

TEST_CASE("a chain that is dropped without a backward needs no stack") {
  on_small_stack([] {
    Tensor y = leaf({1});
    for (int i = 0; i < 1'000'000; ++i) y = y * 1.0;
  });
  SUCCEED();
}

TEST_CASE("a change in place between forward and backward is an error that names op and tensor") {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  const Tensor y = x * w;
  const auto change = [&] {
    const NoGradGuard guard;
    Tensor(w).mul_(2.0);
  };
  change();
  CHECK_THROWS_AS(y.backward(vec({1, 1})), AutogradError);
  CHECK_THROWS_WITH(y.backward(vec({1, 1})),
                    ContainsSubstring("mul: ") && ContainsSubstring("(2,)") && ContainsSubstring("in place"));
}

TEST_CASE("a change through a view counts as well") {
  const Tensor x = leaf({1, 2}), w = vec({3, 4});
  const Tensor y = x * w;
  Tensor view = slice(w, 0, 1);
  view.fill_(0);
  CHECK_THROWS_WITH(y.backward(vec({1, 1})), ContainsSubstring("in place"));
}

TEST_CASE("a leaf is not written to while recording") {
  Tensor x = leaf({1, 2});
  CHECK_THROWS_AS(x.add_(vec({1, 1})), AutogradError);
  CHECK_THROWS_AS(x.fill_(0), AutogradError);
  CHECK(equal(x.detach(), vec({1, 2})));
}

TEST_CASE("outputs of different depth are replayed in order") {
  const Tensor x = leaf({2});
  const Tensor a = x * x;  // 4
  const Tensor b = a * x;  // 8
  backward({a, b, x}, {}, {.retain_graph = true});
  CHECK(x.grad().item<double>() == 4 + 12 + 1);
}

TEST_CASE("dead branches cost nothing and disturb nothing") {
  const Tensor x = leaf({2});
  Tensor y = x * 3.0;
  {
    Tensor dead = y;
    for (int i = 0; i < 100; ++i) dead = dead * y;
  }
  y.backward();
  CHECK(x.grad().item<double>() == 3);
}

TEST_CASE("threads have tapes of their own") {
  constexpr int threads = 4;
  std::vector<double> gradients(threads);
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([t, &gradients] {
      const Tensor x = leaf({static_cast<double>(t)});
      for (int i = 0; i < 500; ++i) {
        Tensor y = x;
        for (int k = 0; k < 20; ++k) y = y + x;
        y.backward();
      }
      gradients[static_cast<std::size_t>(t)] = x.grad().item<double>();
    });
  for (std::thread& thread : pool) thread.join();
  for (double g : gradients) CHECK(g == 500 * 21);
}

TEST_CASE("threads may share leaves") {
  const Tensor x = leaf({3}), w = leaf({5});
  constexpr int threads = 4, rounds = 500;
  std::vector<int> wrong(threads, 0);
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      for (int i = 0; i < rounds; ++i) {
        const Tensor y = x * w * w + x * x;
        const Tensors g = grad({y}, {x, w}, {}, {.retain_graph = true});
        if (g[0].item<double>() != 25 + 6 || g[1].item<double>() != 30) ++wrong[static_cast<std::size_t>(t)];
        y.backward();
      }
    });
  for (std::thread& thread : pool) thread.join();
  for (int count : wrong) CHECK(count == 0);
  CHECK(x.grad().item<double>() == 31.0 * threads * rounds);
  CHECK(w.grad().item<double>() == 30.0 * threads * rounds);
}

TEST_CASE("the grad mode is each thread's own") {
  const NoGradGuard guard;
  bool enabled = false;
  std::thread([&] { enabled = is_grad_enabled(); }).join();
  CHECK(enabled);
}

TEST_CASE("a graph may outlive the thread that recorded it") {
  const Tensor x = leaf({2});
  Tensor y;
  std::thread([&] { y = x * x; }).join();
  (y * x).backward();
  CHECK(x.grad().item<double>() == 12);
}

TEST_CASE("the tape can be looked at") {
  const Tensor x = leaf({2});
  const Tensor y = x * x;
  const Node* node = grad_node(y);
  CHECK(std::string(node->name()) == "mul");
  CHECK(node->inputs().size() == 2);
  CHECK(node->inputs()[0].node.get() == grad_node(x));
  CHECK(node->outputs()[0].shape() == Shape{1});
  int saved = 0;
  node->for_each_saved([&](const Saved& s) { saved += s.peek().defined(); });
  CHECK(saved == 2);
  CHECK(grad_node(x)->is_leaf());
  y.backward();
  CHECK(node->is_released());
}

}  // namespace test_engine
