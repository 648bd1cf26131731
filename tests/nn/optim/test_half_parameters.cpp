// Parameters of half precision: moved in float32, by copies that optimisers keep.
#include <cmath>
#include <limits>

#include "../../catch.hpp"
#include "../../memory.hpp"
#include "../vectors.hpp"

namespace test_half_parameters {

using namespace limpid;

Tensor leaf(const Tensor& x) { return x.clone().set_requires_grad(); }

const auto halves = {float16, bfloat16};

using Make = optim::Optimizer (*)(const Tensors&);
const Make makers[] = {
    [](const Tensors& xs) -> optim::Optimizer { return optim::SGD(xs, {.lr = 0.1, .momentum = 0.9}); },
    [](const Tensors& xs) -> optim::Optimizer { return optim::SGD(xs, {.lr = 0.1, .weight_decay = 0.1}); },
    [](const Tensors& xs) -> optim::Optimizer { return optim::Adam(xs, {.lr = 0.01, .amsgrad = true}); },
    [](const Tensors& xs) -> optim::Optimizer { return optim::AdamW(xs, {.lr = 0.01}); },
};

// x += step.lr dx, exactly.
optim::Optimizer adder(const Tensors& xs, double lr = 1) {
  return optim::Optimizer(xs, {.name = "Adder", .lr = lr}, []<class T>(const optim::Step<T>& step) {
    for (int64_t i = 0; i < step.n; ++i) step.x[i] += static_cast<T>(step.lr) * step.dx[i];
  });
}

TEST_CASE("a parameter of half precision follows one of float32, rounded") {
  for (const DType dtype : halves)
    for (const Make make : makers)
      for (const int64_t n : {7, 40000}) {
        INFO(dtype);
        manual_seed(4);
        const Tensor start = randn({n}).to(dtype), x = leaf(start), wide = leaf(start.to(float32));
        optim::Optimizer optimizer = make({x}), twin = make({wide});
        for (int i = 0; i < 5; ++i) {
          const Tensor dx = randn({n}).to(dtype);
          x.set_grad(dx.clone());
          wide.set_grad(dx.to(float32));
          optimizer.step();
          twin.step();
          CHECK(equal(x.detach(), wide.detach().to(dtype)));
        }
        TensorMap state = optimizer.state_dict();
        CHECK(equal(state.at("0.master"), wide.detach()));
        CHECK(state.at("0.master").dtype() == float32);
        state.erase("0.master");
        for (const auto& [name, kept] : twin.state_dict()) {
          CHECK(state.at(name).dtype() == kept.dtype());
          CHECK(equal(state.at(name), kept));
        }
        CHECK(state.size() == twin.state_dict().size());
      }
}

TEST_CASE("steps below the digits of half precision add up") {
  const Tensor x = leaf(ones({3}, bfloat16));
  optim::Optimizer optimizer = adder({x}, 0x1p-12);
  x.set_grad(ones({3}, bfloat16));
  for (int i = 0; i < 4096; ++i) optimizer.step();
  CHECK(equal(x.detach(), full({3}, 2, bfloat16)));
}

TEST_CASE("what others write into a parameter of half precision counts at the next step") {
  for (const DType dtype : halves) {
    INFO(dtype);
    Tensor x = leaf(tensor({1, 2, 3, 4}).to(dtype));
    optim::Optimizer optimizer = adder({x}, 0x1p-14);
    x.set_grad(ones({4}, dtype));
    optimizer.step();
    x.detach().select(0, 1).fill_(7);  // a view of the same memory
    optimizer.step();
    // The others keep the digits that they had.
    CHECK(equal(optimizer.state_dict().at("0.master"), tensor({1 + 0x1p-13, 7 + 0x1p-14, 3 + 0x1p-13, 4 + 0x1p-13})));
    x.detach().copy_(tensor({0., -0., std::nan(""), std::numeric_limits<double>::infinity()}));
    x.set_grad(zeros({4}, dtype));
    optimizer.step();
    const Tensor after = x.detach().to(float32);
    CHECK(after.select(0, 0).item<float>() == 0);
    CHECK(after.select(0, 1).item<float>() == 0);
    CHECK(std::isnan(after.select(0, 2).item<float>()));
    CHECK(std::isinf(after.select(0, 3).item<float>()));
  }
}

TEST_CASE("a parameter of float16 that has overflowed comes back by its float32 copy") {
  const Tensor x = leaf(full({1}, 65504).to(float16));
  optim::Optimizer optimizer = adder({x});
  x.set_grad(full({1}, 1000).to(float16));
  optimizer.step();
  CHECK(std::isinf(x.detach().to(float32).item<float>()));
  x.set_grad(full({1}, -2000).to(float16));
  optimizer.step();
  CHECK(x.detach().to(float32).item<float>() == 64512);  // 64504, rounded
}

TEST_CASE("a module's load_state_dict is not undone by a step") {
  nn::Linear net(3, 2);
  net.to(bfloat16);
  optim::Adam optimizer(net.parameters(), {.lr = 1e-6});
  for (const Tensor& x : net.parameters()) x.set_grad(ones(x.shape(), bfloat16));
  optimizer.step();
  nn::Linear other(3, 2);
  net.load_state_dict(other.state_dict());
  const Tensor loaded = net.weight.detach().clone();
  optimizer.step();
  CHECK(allclose(net.weight.detach().to(float32), loaded.to(float32), 1e-2, 1e-5));
}

TEST_CASE("a gradient of half precision in the memory of another parameter is read before that is written") {
  Tensor a = leaf(full({1}, 2, bfloat16)), b = leaf(full({1}, 10, bfloat16));
  optim::SGD sgd({a, b}, {.lr = 1});
  a.set_grad(ones({1}, bfloat16));
  b.set_grad(a.detach());
  sgd.step();
  CHECK((a.detach().to(float32).item<double>() == 1 && b.detach().to(float32).item<double>() == 8));
}

TEST_CASE("an optimiser of half precision resumes from its state as if it had never stopped") {
  for (const DType dtype : halves)
    for (const Make make : makers) {
      manual_seed(6);
      const Tensor start = randn({50}).to(dtype), a = leaf(start), b = leaf(start);
      optim::Optimizer through = make({a}), resumed = make({b});
      for (int i = 0; i < 6; ++i) {
        const Tensor dx = randn({50}).to(dtype);
        a.set_grad(dx.clone());
        b.set_grad(dx.clone());
        if (i == 3) {
          const TensorMap saved = clone(resumed.state_dict());
          b.detach().fill_(0);
          resumed.step();
          resumed = make({b});
          b.detach().copy_(a.detach());
          resumed.load_state_dict(saved);
          resumed.load_state_dict(saved);
        }
        through.step();
        resumed.step();
      }
      CHECK(equal(a.detach(), b.detach()));
      CHECK(equal(through.state_dict().at("0.master"), resumed.state_dict().at("0.master")));
    }
}

TEST_CASE("load_state_dict of an optimiser takes and leaves the copy of a parameter of half precision") {
  const Tensor x = leaf(ones({2}, bfloat16)), single = leaf(ones({2}));
  optim::Optimizer half = adder({x}), wide = adder({single});
  x.set_grad(ones({2}, bfloat16));
  single.set_grad(ones({2}));
  half.step();
  wide.step();
  CHECK(names(half.state_dict()) == std::set<std::string>{"lr", "0.step", "0.master"});
  CHECK(names(wide.state_dict()) == std::set<std::string>{"lr", "0.step"});
  // From either to the other.
  TensorMap of_half = clone(half.state_dict()), of_wide = clone(wide.state_dict());
  CHECK_NOTHROW(wide.load_state_dict(of_half));
  CHECK(names(wide.state_dict()) == std::set<std::string>{"lr", "0.step"});
  CHECK_NOTHROW(half.load_state_dict(of_wide));
  half.step();
  CHECK(equal(half.state_dict().at("0.master"), full({2}, 3)));
  of_half["0.master"] = ones({3});
  CHECK_THROWS_WITH(half.load_state_dict(of_half),
                    "Adder: expected the state of this optimiser and its parameters, got 0.master (expected float32 "
                    "(2,), got float32 (3,))");
  of_half["0.master"] = ones({2});
  of_half.erase("0.step");
  CHECK_THROWS_WITH(half.load_state_dict(of_half),
                    "Adder: expected the state of this optimiser and its parameters, got 0.master without 0.step");
  of_half["0.step"] = full({}, 0.5);
  CHECK_THROWS_WITH(half.load_state_dict(of_half),
                    "Adder: expected the state of this optimiser and its parameters, got 0.step (expected a scalar of "
                    "any dtype but bool that int64 holds, got float32 () with 0.5)");
}

TEST_CASE("an optimiser follows a module to half precision and back, with its state") {
  nn::Linear net(3, 2, {.bias = false});
  optim::Adam optimizer(net.parameters(), {.lr = 0.1});
  net.weight.set_grad(ones({2, 3}));
  optimizer.step();
  const Tensor moment = optimizer.state_dict().at("0.exp_avg").clone();
  for (const DType dtype : {bfloat16, float16, float32, bfloat16, float64}) {
    INFO(dtype);
    net.to(dtype);
    CHECK(optimizer.state_dict().count("0.master") == 0 + (is_half(dtype) && dtype == float16));
    net.weight.set_grad(zeros({2, 3}, dtype));
    const Tensor before = net.weight.detach().to(float64);
    optimizer.set_lr(0);
    optimizer.step();
    CHECK(equal(net.weight.detach().to(float64), before));
    const TensorMap state = optimizer.state_dict();
    CHECK(state.at("0.exp_avg").dtype() == (dtype == float64 ? float64 : float32));
    CHECK(state.count("0.master") == (is_half(dtype) ? 1 : 0));
  }
  CHECK(optimizer.state_dict().at("0.step").item<int64_t>() == 6);
  CHECK(allclose(optimizer.state_dict().at("0.exp_avg").to(float32), moment * std::pow(0.9, 5), 1e-5));
}

TEST_CASE("a warm step of half precision asks the system for no memory") {
  Tensor x = leaf(randn({100, 100}).to(bfloat16)), y = leaf(randn({30}).to(float16));
  optim::AdamW optimizer({x, y});
  x.set_grad(randn({100, 100}).to(bfloat16));
  y.set_grad(randn({30}).to(float16));
  optimizer.step();
  const MemoryStats before = memory_stats();
  reset_peak_memory_stats();
  for (int i = 0; i < 10; ++i) optimizer.step();
  CHECK(memory_stats().peak_in_use == before.in_use);
}

TEST_CASE("what a rule has written into half precision before it throws stays") {
  Tensor x = leaf(ones({2}, float16));
  optim::Optimizer optimizer({x}, {.name = "Fails", .lr = 1}, [](const auto& step) {
    step.x[0] = 5;
    throw ValueError("Fails: half way");
  });
  x.set_grad(ones({2}, float16));
  CHECK_THROWS_AS(optimizer.step(), ValueError);
  CHECK(equal(x.detach().to(float32), tensor({5, 1}, float32)));
  CHECK(optimizer.state_dict().size() == 1);
}

TEST_CASE("the bits of a step of half precision do not depend on the number of threads") {
  const int threads = get_num_threads();
  Tensor expected;
  for (const int count : {1, 2, 3}) {
    set_num_threads(count);
    manual_seed(2);
    const Tensor x = leaf(randn({100003}).to(bfloat16));
    optim::Adam optimizer({x}, {.lr = 0.1});
    for (int i = 0; i < 3; ++i) {
      x.set_grad(randn({100003}).to(bfloat16));
      optimizer.step();
    }
    if (!expected.defined()) expected = x.detach().clone();
    CHECK(equal(x.detach(), expected));
  }
  set_num_threads(threads);
}

TEST_CASE("clip_grad_norm_ adds and scales gradients of half precision in wider numbers") {
  for (const DType dtype : halves) {
    INFO(dtype);
    const Tensor a = leaf(zeros({2}, dtype)), b = leaf(zeros({300, 300}, dtype)), c = leaf(zeros({2}));
    a.set_grad(tensor({30000, 40000}).to(dtype));
    const Tensor shared = ones({300, 300}, dtype);
    b.set_grad(shared);
    c.set_grad(tensor({1, 2}));
    const Tensor da = a.grad().to(float64);
    const double norm = std::sqrt(sum(da * da).item<double>() + 90000 + 5);
    CHECK(optim::clip_grad_norm_({a, b, c, a}, 100) == Approx(norm).epsilon(1e-12));
    const double factor = 100 / (norm + 1e-6);
    CHECK(equal(a.grad(), (da * factor).to(float32).to(dtype)));
    CHECK(equal(b.grad(), full({300, 300}, factor).to(dtype)));
    CHECK(equal(shared, ones({300, 300}, dtype)));
    CHECK(allclose(c.grad(), tensor({factor, 2 * factor}, float32), 1e-6));
    b.set_grad(full({300, 300}, std::numeric_limits<double>::infinity()).to(dtype));
    CHECK(std::isinf(optim::clip_grad_norm_({a, b}, 1)));
    CHECK_THROWS_AS(optim::clip_grad_norm_({a, b}, 1, 2, true), ValueError);
  }
}

}  // namespace test_half_parameters
