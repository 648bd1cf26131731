// Parts of a graph that are computed again in backward.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include "../catch.hpp"

namespace test_checkpoint {

using namespace limpid;

Tensor vec(std::initializer_list<double> values) { return tensor(values, float64); }
Tensor leaf(std::initializer_list<double> values) { return vec(values).set_requires_grad(); }

Tensor dropout(const Tensor& x) { return x * bernoulli(0.5, x.shape()).to(x.dtype()) * 2.0; }

// x + W2 dropout(tanh(tanh(W1 x))): a residual block that keeps several activations.
struct Block : nn::Module {
  nn::Linear up, down;
  explicit Block(int64_t n) : up(add("up", nn::Linear(n, 2 * n))), down(add("down", nn::Linear(2 * n, n))) {}
  Tensor operator()(const Tensor& x) const { return x + down(dropout(tanh(tanh(up(x))))); }
};

struct Trained {
  Tensors results;  // loss, gradient of x, gradients of the parameters
  int64_t peak;     // bytes above those at the start
};

Trained train(const std::vector<Block>& blocks, int64_t rows, int64_t n, bool checkpointed) {
  manual_seed(3);
  const Tensor x = randn({rows, n}).set_requires_grad(), target = randn({rows, n});
  for (const Block& block : blocks)
    for (Tensor parameter : block.parameters()) parameter.set_grad({});
  const int64_t before = memory_stats().in_use;
  reset_peak_memory_stats();
  Tensor y = x;
  for (const Block& block : blocks) y = checkpointed ? checkpoint(block, y) : block(y);
  const Tensor loss = mean(square(y - target));
  y = Tensor();
  loss.backward();
  Trained result{{loss.detach(), x.grad()}, memory_stats().peak_in_use - before};
  for (const Block& block : blocks)
    for (const Tensor& parameter : block.parameters()) result.results.push_back(parameter.grad());
  return result;
}

std::vector<Block> blocks_of(int64_t count, int64_t n) {
  manual_seed(1);
  std::vector<Block> blocks;
  for (int64_t i = 0; i < count; ++i) blocks.emplace_back(n);
  return blocks;
}

TEST_CASE("checkpointed and plain training give the same bits, dropout included") {
  const std::vector<Block> blocks = blocks_of(6, 8);
  const Trained plain = train(blocks, 4, 8, false), checkpointed = train(blocks, 4, 8, true);
  REQUIRE(plain.results.size() == 2 + 6 * 4);
  for (std::size_t i = 0; i < plain.results.size(); ++i) {
    INFO("result " << i);
    CHECK(equal(plain.results[i], checkpointed.results[i]));
  }
  CHECK(rand({1}).item<float>() > 0);
}

TEST_CASE("the stream of random numbers goes on as if nothing was computed twice") {
  const std::vector<Block> blocks = blocks_of(2, 8);
  train(blocks, 4, 8, false);
  const Tensor after_plain = rand({3});
  train(blocks, 4, 8, true);
  CHECK(equal(rand({3}), after_plain));
}

TEST_CASE("a chain of 64 checkpointed blocks takes at most a quarter of the memory") {
  const std::vector<Block> blocks = blocks_of(64, 16);
  const Trained plain = train(blocks, 1024, 16, false), checkpointed = train(blocks, 1024, 16, true);
  INFO("plain " << plain.peak << ", checkpointed " << checkpointed.peak);
  CHECK(4 * checkpointed.peak <= plain.peak);
}

TEST_CASE("checkpoints nest") {
  const std::vector<Block> blocks = blocks_of(4, 8);
  const auto run = [&](bool nested) {
    manual_seed(3);
    const Tensor x = randn({4, 8}).set_requires_grad();
    const auto two = [&](const Tensor& t) { return checkpoint(blocks[1], checkpoint(blocks[0], t)); };
    const auto all = [&](const Tensor& t) { return blocks[3](checkpoint(two, t)); };
    const auto plain = [&](const Tensor& t) { return blocks[3](blocks[1](blocks[0](t))); };
    const Tensor y = nested ? checkpoint(all, x) : plain(x);
    Tensors wanted{x};
    for (int b : {0, 1, 3})
      for (const Tensor& parameter : blocks[static_cast<std::size_t>(b)].parameters()) wanted.push_back(parameter);
    return grad({mean(square(y))}, wanted);
  };
  const Tensors plain = run(false), nested = run(true);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(equal(plain[i], nested[i]));
}

TEST_CASE("a checkpoint of several inputs and outputs, integers and undefined tensors among them") {
  const Tensor a = leaf({1, 2, 3}), b = leaf({4, 5, 6}), unused = leaf({7}), index = tensor({2, 0}, int64);
  const auto f = [](const Tensors& xs) {
    CHECK_FALSE(xs[4].defined());
    return Tensors{xs[0] * xs[1], xs[2], index_select(xs[0] * xs[0], 0, xs[2])};
  };
  const Tensors ys = checkpoint(f, {a, b, index, unused, Tensor()});
  REQUIRE(ys.size() == 3);
  CHECK(equal(ys[1], index));
  CHECK_FALSE(ys[1].requires_grad());
  backward({ys[0], ys[2]}, {vec({1, 1, 1}), vec({10, 100})});
  CHECK(equal(a.grad(), vec({4 + 200, 5, 6 + 60})));
  CHECK(equal(b.grad(), vec({1, 2, 3})));
  CHECK_FALSE(unused.grad().defined());
}

TEST_CASE("only one of several outputs of a checkpoint is used") {
  const Tensor x = leaf({1, 2});
  const Tensors ys = checkpoint([](const Tensor& t) { return Tensors{t * 2.0, t * t}; }, Tensors{x});
  sum(ys[1]).backward();
  CHECK(equal(x.grad(), vec({2, 4})));
}

TEST_CASE("what a checkpointed function captures gets its gradient") {
  const Tensor x = vec({1, 2}), w = leaf({3, 4});
  const Tensor h = w * 10.0;                                                   // captured too, and depends on the other
  const Tensor y = checkpoint([&](const Tensor& t) { return t * h * w; }, x);  // 10 x w^2
  CHECK(y.requires_grad());
  const Tensor dh = grad({y}, {h}, {vec({1, 1})}, {.retain_graph = true})[0];
  CHECK(equal(dh, vec({3, 8})));
  y.backward(vec({1, 1}));
  CHECK(equal(w.grad(), vec({60, 160})));
}

TEST_CASE("a captured tensor that the argument depends on counts once") {
  const Tensor w = leaf({3});
  const Tensor x = w * w;
  const Tensor y = checkpoint([&](const Tensor& t) { return t * w; }, x);  // w^3
  CHECK(grad({y}, {w}, {}, {.retain_graph = true})[0].item<double>() == 27);
  const Tensor d = grad({y}, {w}, {}, {.create_graph = true})[0];
  CHECK(d.item<double>() == 27);
  CHECK(grad({d}, {w})[0].item<double>() == 18);
}

TEST_CASE("an argument that is captured as well counts twice, as what it is") {
  const Tensor x = tensor({2, 3}, float64).set_requires_grad(), y = x * 1.0;
  const auto f = [](const Tensor& t) { return checkpoint([t](const Tensor& s) { return s * s * t; }, t); };
  CHECK(equal(grad({f(y)}, {x}, {ones({2}, float64)})[0], 3.0 * x * x));
  CHECK(equal(jvp(f, {x.detach()}, {ones({2}, float64)}).dys[0], 3.0 * x * x));
}

TEST_CASE("hooks of captured tensors run once, with the whole gradient") {
  const Tensor w = leaf({3});
  int calls = 0;
  register_hook(w, [&](const Tensor& dw) { return ++calls, dw * 10.0; });
  checkpoint([&](const Tensor& t) { return t * w; }, w * 2.0).backward();  // 2 w^2
  CHECK(calls == 1);
  CHECK(w.grad().item<double>() == 120);
}

TEST_CASE("a checkpoint can be differentiated to any order") {
  const Tensor x = vec({0.5, -1, 2}), w = vec({1, 2, 3});
  const auto f = [](const Tensor& a, const Tensor& b) { return exp(a * b) * a; };
  const auto checkpointed = [&](const Tensor& a, const Tensor& b) { return checkpoint(f, {a, b})[0]; };
  const GradcheckReport once = gradcheck(checkpointed, {x, w}), twice = gradgradcheck(checkpointed, {x, w});
  INFO(once << twice);
  CHECK(once);
  CHECK(twice);
  const auto total = [&](const Tensor& a, const Tensor& b) { return sum(checkpointed(a, b)); };
  const auto plain = [&](const Tensor& a, const Tensor& b) { return sum(f(a, b)); };
  CHECK(allclose(hessian(total, {x, w})[0][1], hessian(plain, {x, w})[0][1], 1e-14, 1e-14));
}

TEST_CASE("an argument or a captured tensor given back") {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  Tensor same = checkpoint([](const Tensor& t) { return t; }, x);
  sum(same * 2.0).backward();
  CHECK(equal(x.grad(), vec({2, 2})));
  CHECK_THROWS_AS(same.mul_(2.0), AutogradError);
  sum(checkpoint([&](const Tensor&) { return w; }, x) * 5.0).backward();
  CHECK(equal(w.grad(), vec({5, 5})));
  CHECK(equal(x.grad(), vec({2, 2})));
}

TEST_CASE("nothing is recorded where nothing requires a gradient") {
  const Tensor x = leaf({1, 2});
  CHECK_FALSE(checkpoint([](const Tensor& t) { return t * 2.0; }, x.detach()).requires_grad());
  const NoGradGuard off;
  CHECK_FALSE(checkpoint([](const Tensor& t) { return t * 2.0; }, x).requires_grad());
}

TEST_CASE("a checkpoint's graph is used up like any other") {
  const Tensor x = leaf({1, 2});
  const Tensor y = sum(checkpoint([](const Tensor& t) { return t * t; }, x));
  y.backward({}, {.retain_graph = true});
  y.backward();
  CHECK(equal(x.grad(), vec({4, 8})));
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("retain_graph = true"));
}

TEST_CASE("a checkpoint refuses a captured tensor that was changed since, as the plain graph does") {
  const nn::Sequential net{nn::Linear(3, 3), nn::Tanh(), nn::Linear(3, 2)};
  const Tensor x = randn({2, 3});
  const auto call = [net](const Tensor& t) { return net(t); };
  const auto nested = [call](const Tensor& t) { return checkpoint(call, t); };
  for (int deep = 0; deep < 2; ++deep) {
    const Tensor y = deep ? checkpoint(nested, x) : checkpoint(call, x);
    optim::SGD optimizer(net.parameters(), {.lr = 0.1});
    sum(net(x)).backward();
    optimizer.step();
    CHECK_THROWS_WITH(sum(y).backward(),
                      "checkpoint: expected saved tensor weight of shape (2, 3) unchanged since forward (version " +
                          std::to_string(net.parameters()[2].version() - 1) + "), got version " +
                          std::to_string(net.parameters()[2].version()) + ": it was changed in place");
  }
  // What f has of its own may change, and so may what no op of it keeps.
  Tensor other = leaf({1, 2}), z = checkpoint([&](const Tensor&t) { return t + other; }, leaf({3, 4}));
  {
    const NoGradGuard no_grad;
    other.mul_(2.0);
  }
  CHECK_NOTHROW(sum(z).backward());
}

TEST_CASE("checkpoint refuses in words") {
  const Tensor x = leaf({1, 2});
  int calls = 0;
  const auto grows = [&](const Tensor& t) { return ++calls == 1 ? t * 2.0 : cat({t, t}, 0); };
  CHECK_THROWS_WITH(sum(checkpoint([&](const Tensor& t) { return grows(t); }, x)).backward(),
                    "checkpoint: expected output 0 of shape (2,) and float64 from f again, got (4,) and float64");
  calls = 0;
  const auto more = [&](const Tensor& t) { return ++calls == 1 ? Tensors{t * 2.0} : Tensors{t, t}; };
  CHECK_THROWS_WITH(sum(checkpoint([&](const Tensor& t) { return more(t); }, Tensors{x})[0]).backward(),
                    "checkpoint: expected 1 outputs from f again, got 2");
  CHECK_THROWS_WITH(checkpoint([](const Tensor& a, const Tensor& b) { return a * b; }, Tensors{x}),
                    "checkpoint: expected as many inputs as the function has parameters, got 1");
  Tensor changed = vec({1, 2});
  const Tensor y = checkpoint([](const Tensor& a, const Tensor& b) { return a * b; }, {x, changed})[0];
  changed.mul_(2.0);
  CHECK_THROWS_WITH(sum(y).backward(),
                    ContainsSubstring("checkpoint: expected saved tensor x") && ContainsSubstring("changed in place"));
}

}  // namespace test_checkpoint
