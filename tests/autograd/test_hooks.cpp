// Hooks on tensors and nodes, retained gradients, inference mode, accumulation.
#include <limpid/limpid.hpp>

#include <vector>

#include "../catch.hpp"

namespace test_hooks {

using namespace limpid;

Tensor vec(std::initializer_list<double> values) { return tensor(values, float64); }
Tensor leaf(std::initializer_list<double> values) { return vec(values).set_requires_grad(); }

TEST_CASE("a hook sees the whole gradient once") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 3.0;
  std::vector<Tensor> seen;
  register_hook(y, [&](const Tensor& dy) { seen.push_back(dy.clone()); });
  (y * 2.0 + y * 5.0).backward(vec({1, 10}));
  REQUIRE(seen.size() == 1);
  CHECK(equal(seen[0], vec({7, 70})));
  CHECK(equal(x.grad(), vec({21, 210})));
}

TEST_CASE("a hook may replace the gradient, one after another") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 3.0;
  register_hook(y, [](const Tensor& dy) { return dy * 10.0; });
  register_hook(y, [](const Tensor& dy) { return dy + 1.0; });
  register_hook(y, [](const Tensor&) { return Tensor(); });
  sum(y).backward();
  CHECK(equal(x.grad(), vec({33, 33})));
}

TEST_CASE("a hook on a leaf sees each backward alone") {
  const Tensor x = leaf({1, 2});
  int calls = 0;
  register_hook(x, [&](const Tensor& dx) {
    ++calls;
    CHECK(equal(dx, vec({4, 4})));
    return dx * 0.5;
  });
  sum(x * 4.0).backward();
  sum(x * 4.0).backward();
  CHECK(calls == 2);
  CHECK(equal(x.grad(), vec({4, 4})));
}

TEST_CASE("hooks act on grad() too, and only where the run goes") {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  const Tensor y = x * 2.0;
  int calls = 0;
  register_hook(y, [&](const Tensor& dy) { return ++calls, dy * 3.0; });
  const Tensor z = y * w;
  CHECK(equal(grad({z}, {w}, {vec({1, 1})}, {.retain_graph = true})[0], vec({2, 4})));
  CHECK(calls == 0);
  CHECK(equal(grad({z}, {x}, {vec({1, 1})}, {.retain_graph = true})[0], vec({18, 24})));
  CHECK(equal(grad({z}, {y}, {vec({1, 1})})[0], vec({9, 12})));
  CHECK(calls == 2);
}

TEST_CASE("a removed hook is not called and lets go of what it held") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 3.0, held = vec({5, 5});
  HookHandle handle = register_hook(y, [held](const Tensor& dy) { return dy * held; });
  const HookHandle copy = handle;
  CHECK_FALSE(held.is_unique());
  handle.remove();
  handle.remove();
  HookHandle(copy).remove();
  sum(y).backward();
  CHECK(equal(x.grad(), vec({3, 3})));
  HookHandle().remove();
}

TEST_CASE("a handle may outlive the graph") {
  HookHandle handle;
  {
    const Tensor x = leaf({1});
    handle = register_hook(x * 2.0, [x](const Tensor&) {});
  }
  CHECK_NOTHROW(handle.remove());
}

TEST_CASE("a hook may remove itself") {
  const Tensor x = leaf({1});
  int calls = 0;
  HookHandle handle;
  handle = register_hook(x, [&](const Tensor&) {
    ++calls;
    handle.remove();
  });
  sum(x * 2.0).backward();
  sum(x * 2.0).backward();
  CHECK(calls == 1);
}

TEST_CASE("a hook may remove one that would be called after it") {
  const Tensor x = leaf({1});
  const Tensor y = x * 2.0;
  int calls = 0;
  HookHandle later, later_of_node, later_before;
  const HookHandle first = register_hook(y, [&](const Tensor&) {
    for (HookHandle* handle : {&later, &later_of_node, &later_before}) handle->remove();
  });
  later = register_hook(y, [&](const Tensor&) { ++calls; });
  later_of_node = register_hook(grad_node(y), [&](const Tensors&, const Tensors&) { ++calls; });
  later_before = register_prehook(grad_node(y), [&](const Tensors&) { ++calls; });
  y.backward();
  CHECK(calls == 0);
  CHECK(equal(x.grad(), vec({2})));
}

TEST_CASE("an exception in a hook leaves the graph fit for another backward") {
  const Tensor x = leaf({1});
  const Tensor y = x * 2.0;
  HookHandle handle = register_hook(y, [](const Tensor&) -> Tensor { throw Error("enough"); });
  CHECK_THROWS_WITH(y.backward(), "enough");
  handle.remove();
  y.backward();
  CHECK(x.grad().item<double>() == 2);
}

TEST_CASE("gradients replaced while recording are recorded") {
  const Tensor x = leaf({3});
  const Tensor y = x * x;
  register_hook(y, [](const Tensor& dy) { return dy * dy * 5.0; });
  const Tensor dy = leaf({2});
  const Tensor dx = grad({y}, {x}, {dy}, {.create_graph = true})[0];  // 5 dy^2 2 x
  CHECK(dx.item<double>() == 120);
  CHECK(grad({dx}, {dy})[0].item<double>() == 120);
}

TEST_CASE("hooks on a node see and replace what comes and goes") {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  const Tensor y = x * w;
  Node& node = *grad_node(y);
  Tensors before, after;
  register_prehook(node, [&](const Tensors& dys) {
    before = dys;
    return Tensors{dys[0] * 2.0};
  });
  HookHandle handle = register_hook(node, [&](const Tensors& dxs, const Tensors& dys) {
    CHECK(equal(dys[0], vec({2, 20})));
    after = dxs;
    return Tensors{dxs[0] + 1.0, Tensor()};
  });
  y.backward(vec({1, 10}), {.retain_graph = true});
  CHECK(equal(before[0], vec({1, 10})));
  CHECK(equal(after[0], vec({6, 80})));
  CHECK(equal(x.grad(), vec({7, 81})));
  CHECK_FALSE(w.grad().defined());
  handle.remove();
  y.backward(vec({1, 10}));
  CHECK(equal(w.grad(), vec({2, 40})));
}

TEST_CASE("hooks that do not fit are refused in words") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 2.0;
  HookHandle wrong = register_hook(y, [](const Tensor&) { return zeros({3}, float64); });
  CHECK_THROWS_WITH(sum(y).backward({}, {.retain_graph = true}),
                    "hook of mul: expected a gradient of shape (2,) and float64, got (3,) and float64");
  wrong.remove();
  wrong = register_hook(y, [](const Tensor& dy) { return dy.to(float32); });
  CHECK_THROWS_WITH(sum(y).backward({}, {.retain_graph = true}), ContainsSubstring("got (2,) and float32"));
  wrong.remove();
  wrong = register_hook(*grad_node(y), [](const Tensors& dxs, const Tensors&) { return Tensors{dxs[0], dxs[0]}; });
  CHECK_THROWS_WITH(sum(y).backward(), "hook of mul: expected 1 gradients, got 2");
  CHECK_THROWS_WITH(register_hook(vec({1}), [](const Tensor&) {}),
                    "register_hook: expected a tensor that requires a gradient, got one that does not");
  CHECK_THROWS_WITH(register_prehook(*grad_node(x), [](const Tensors&) {}),
                    "register_prehook: expected a node that computes, got a leaf; hook its tensor instead");
  CHECK_THROWS_WITH(retain_grad(vec({1})),
                    "retain_grad: expected a tensor that requires a gradient, got one that does not");
}

TEST_CASE("retain_grad keeps the gradient of a result") {
  const Tensor x = leaf({1, 2});
  Tensor y = x * 3.0;
  CHECK_THROWS_WITH(y.grad(), ContainsSubstring("retain_grad() keeps gradients of results"));
  retain_grad(y);
  retain_grad(y);
  retain_grad(x);
  CHECK_FALSE(y.grad().defined());
  register_hook(y, [](const Tensor& dy) { return dy * 2.0; });
  const Tensor z = sum(y * 5.0);
  z.backward({}, {.retain_graph = true});
  CHECK(equal(y.grad(), vec({10, 10})));
  z.backward();
  CHECK(equal(y.grad(), vec({20, 20})));
  CHECK(equal(x.grad(), vec({60, 60})));
}

TEST_CASE("a retained gradient is that of the value after a change in place") {
  const Tensor x = leaf({1, 2});
  Tensor y = x * 3.0;
  retain_grad(y);
  y.mul_(10.0);
  sum(y * 2.0).backward();
  CHECK(equal(y.grad(), vec({2, 2})));
  CHECK(equal(x.grad(), vec({60, 60})));
}

TEST_CASE("a retained gradient of one output of several") {
  const Tensor x = leaf({1, 2, 3, 4});
  struct Halves : Function<Halves> {
    static Tensors forward(Context&, const Tensor& t) { return {slice(t, 0, 0, 2) * 1.0, slice(t, 0, 2, 4) * 1.0}; }
    static Tensors backward(Context&, const Tensors& dy) {
      const Tensor zero = zeros({2}, float64);
      return {cat({dy[0].defined() ? dy[0] : zero, dy[1].defined() ? dy[1] : zero}, 0)};
    }
  };
  const Tensors halves = Halves::apply(x);
  retain_grad(halves[1]);
  sum(halves[0] * 3.0 + halves[1] * 7.0).backward();
  CHECK(equal(halves[1].grad(), vec({7, 7})));
  CHECK_THROWS_AS(halves[0].grad(), AutogradError);
}

TEST_CASE("gradients of micro-batches add up to that of the batch") {
  const Tensor x = vec({1, 2, 3, 4}), w = leaf({5});
  sum(square(x * w)).backward();
  const Tensor whole = w.grad();
  w.set_grad({});
  for (int64_t i = 0; i < 4; ++i) sum(square(slice(x, 0, i, i + 1) * w)).backward();
  CHECK(equal(w.grad(), whole));
}

TEST_CASE("inference mode records nothing, come what may") {
  const Tensor x = leaf({1, 2});
  CHECK_FALSE(is_inference_mode());
  {
    const InferenceMode guard;
    CHECK(is_inference_mode());
    CHECK_FALSE((x * x).requires_grad());
    const EnableGradGuard useless;
    CHECK_FALSE(is_grad_enabled());
    CHECK_FALSE((x * x).requires_grad());
    {
      const InferenceMode out(false);
      CHECK((x * x).requires_grad());
    }
    CHECK(is_inference_mode());
  }
  CHECK_FALSE(is_inference_mode());
  CHECK(is_grad_enabled());
}

TEST_CASE("a tensor from inference mode never enters a graph") {
  const Tensor x = leaf({1, 2});
  Tensor y;
  {
    const InferenceMode guard;
    y = x * 2.0;
  }
  CHECK_THROWS_WITH(x * y,
                    "mul: expected b to be made where it may be recorded, got a tensor of shape (2,) from inference "
                    "mode; clone() it first");
  CHECK_THROWS_WITH(x * reshape(y, {2, 1}), ContainsSubstring("from inference mode"));
  CHECK_THROWS_WITH(Tensor(y).set_requires_grad(),
                    "set_requires_grad: expected a tensor that may be recorded, got one of shape (2,) from inference "
                    "mode; clone() it first");
  CHECK_THROWS_WITH(Tensor(y).add_(x), ContainsSubstring("add_: expected memory that may be recorded"));
  CHECK(equal((x * y.clone()).detach(), vec({2, 8})));
  CHECK(equal((x + y).detach(), vec({3, 6})));  // keeps neither
  CHECK(equal(y * 2.0, vec({4, 8})));
}

TEST_CASE("a failed recording leaves its operands as they were") {
  const Tensor x = leaf({1, 2});
  Tensor y;
  {
    const InferenceMode guard;
    y = x * 2.0;
  }
  for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(x * y, AutogradError);
  sum(x * x).backward();
  CHECK(equal(x.grad(), vec({2, 4})));
}

}  // namespace test_hooks
