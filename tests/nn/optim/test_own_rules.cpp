// Optimisers of one's own, written as a user would: from the public headers, in a file of their own.
#include <limpid/limpid.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "../../catch.hpp"
#include "../../message_of.hpp"
#include "../vectors.hpp"

namespace test_own_rules {

using namespace limpid;

// Adam once more, and SGD with momentum, in the order of operations of limpid's.
struct OwnAdam : optim::Optimizer {
  explicit OwnAdam(const Tensors& parameters, const optim::AdamOptions& o = {})
      : Optimizer(parameters, {.name = "OwnAdam", .lr = o.lr, .state = {"exp_avg", "exp_avg_sq"}},
                  [o]<class T>(const optim::Step<T>& step) {
                    const double count = static_cast<double>(step.number);
                    const double correction = std::sqrt(1 - std::pow(o.beta2, count));
                    const T rate = static_cast<T>(step.lr / (1 - std::pow(o.beta1, count)) * correction);
                    const T beta1 = static_cast<T>(o.beta1), share1 = static_cast<T>(1 - o.beta1);
                    const T beta2 = static_cast<T>(o.beta2), share2 = static_cast<T>(1 - o.beta2);
                    const T eps = static_cast<T>(o.eps * correction);
                    optim::in_ranges(step.n, [&](int64_t begin, int64_t end) {
                      T *m = step.state[0], *v = step.state[1];
                      for (int64_t i = begin; i < end; ++i) {
                        const T d = step.dx[i];
                        m[i] = beta1 * m[i] + share1 * d;
                        v[i] = beta2 * v[i] + share2 * d * d;
                        step.x[i] -= rate * m[i] / (std::sqrt(v[i]) + eps);
                      }
                    });
                  }) {}
};

struct OwnMomentum : optim::Optimizer {
  OwnMomentum(const Tensors& parameters, double rate, double momentum)
      : Optimizer(parameters, {.name = "OwnMomentum", .lr = rate, .state = {"momentum_buffer"}},
                  [momentum]<class T>(const optim::Step<T>& step) {
                    T* b = step.state[0];
                    for (int64_t i = 0; i < step.n; ++i) {
                      b[i] = static_cast<T>(momentum) * b[i] + step.dx[i];
                      step.x[i] -= static_cast<T>(step.lr) * b[i];
                    }
                  }) {}
};

// Keeps the last five gradients, each in state of its own, and moves by their sum.
struct OfFive : optim::Optimizer {
  explicit OfFive(const Tensors& parameters)
      : Optimizer(parameters, {.name = "OfFive", .lr = 1, .state = {"a", "b", "c", "d", "e"}}, [](const auto& step) {
          for (int64_t i = 0; i < step.n; ++i) {
            for (int k = 4; k > 0; --k) step.state[k][i] = step.state[k - 1][i];
            step.state[0][i] = step.dx[i];
            for (int k = 0; k < 5; ++k) step.x[i] -= step.state[k][i];
          }
        }) {}
};

Tensor leaf(const Tensor& x) { return x.clone().set_requires_grad(); }

// Trains two nets of one seed, and compares them bit for bit after each step.
template <class Make, class MakeOwn>
void check_equal(DType dtype, const Make& make, const MakeOwn& make_own) {
  const auto net = [&] {
    manual_seed(6);
    nn::Sequential layers{nn::Linear(3, 200), nn::Tanh(), nn::Linear(200, 200), nn::Tanh(), nn::Linear(200, 2)};
    layers.to(dtype);
    return layers;
  };
  const nn::Sequential a = net(), b = net();
  const Tensor x = randn({16, 3}, dtype), target = randn({16, 2}, dtype);
  optim::Optimizer library = make(a.parameters()), own = make_own(b.parameters());
  for (int i = 0; i < 5; ++i) {
    for (auto* optimizer : {&library, &own}) optimizer->zero_grad();
    mse_loss(a(x), target).backward();
    mse_loss(b(x), target).backward();
    for (auto* optimizer : {&library, &own}) optimizer->step();
    for (const auto& [name, tensor] : a.state_dict()) CHECK(equal(tensor, b.state_dict().at(name)));
  }
  const TensorMap expected = library.state_dict(), state = own.state_dict();
  CHECK(names(state) == names(expected));
  for (const auto& [name, tensor] : expected) CHECK(equal(tensor, state.at(name)));
}

TEST_CASE("an optimiser of one's own gives the bits of limpid's with the same rule") {
  for (DType dtype : {float32, float64}) {
    check_equal(
        dtype, [](const Tensors& xs) { return optim::Adam(xs, {.lr = 0.01}); },
        [](const Tensors& xs) { return OwnAdam(xs, {.lr = 0.01}); });
    check_equal(
        dtype, [](const Tensors& xs) { return optim::SGD(xs, {.lr = 0.1, .momentum = 0.9}); },
        [](const Tensors& xs) { return OwnMomentum(xs, 0.1, 0.9); });
  }
}

TEST_CASE("an optimiser of one's own keeps any number of tensors, saves and loads them") {
  Tensor x = leaf(zeros({2}, float64));
  OfFive optimizer({x});
  for (int i = 1; i <= 7; ++i) {
    if (i == 4) {
      x = leaf(x.detach());
      OfFive resumed({x});
      resumed.load_state_dict(optimizer.state_dict());
      CHECK(names(resumed.state_dict()) == std::set<std::string>{"lr", "0.step", "0.a", "0.b", "0.c", "0.d", "0.e"});
      optimizer = resumed;
    }
    x.set_grad(full({2}, i, float64));
    optimizer.step();
  }
  // 1, 3, 6, 10, 15, then 20 and 25 once the first are forgotten.
  CHECK(equal(x.detach(), full({2}, -80, float64)));
}

TEST_CASE("a rule sees gradients and state in the order of its parameter, whatever their layout") {
  const Tensor start = randn({2, 3, 4, 5}), dx = randn({2, 3, 4, 5});
  for (const Tensor& laid : {start.contiguous(MemoryFormat::channels_last), transpose(start, 1, 2)}) {
    const Tensor x = laid.is_contiguous(MemoryFormat::channels_last) ? leaf(laid) : laid.detach().set_requires_grad();
    const Tensor before = x.detach().clone(), gradient = laid.shape() == dx.shape() ? dx : transpose(dx, 1, 2);
    OwnMomentum optimizer({x}, 1, 0.5);
    x.set_grad(gradient);
    optimizer.step();
    optimizer.step();
    CHECK(allclose(x.detach(), before - 2.5 * gradient, 1e-5, 1e-5));
  }
}

TEST_CASE("a rule cannot pull the ground from under its own step") {
  Tensor a = ones({3}).set_requires_grad(), b = ones({3}).set_requires_grad();
  a.set_grad(ones({3})), b.set_grad(ones({3}));
  optim::Optimizer* own = nullptr;
  TensorMap state;
  std::vector<std::string> messages;
  const auto rule = [&](const auto& step) {
    if (own == nullptr) return;
    messages.push_back(message_of([&] { own->step(); }));
    messages.push_back(message_of([&] { own->load_state_dict(state); }));
    step.state[0][0] = 1;
  };
  optim::Optimizer optimizer({a, b}, {.name = "Nested", .lr = 1, .state = {"s"}}, rule);
  optimizer.step();
  state = optimizer.state_dict();
  own = &optimizer;
  optimizer.step();
  REQUIRE(messages.size() == 4);
  CHECK(messages[0] == "Nested: expected step() outside of a step, got it from the step's rule");
  CHECK(messages[3] == "Nested: expected load_state_dict() outside of a step, got it from the step's rule");
  CHECK(optimizer.state_dict().at("1.step").item<int64_t>() == 2);
  CHECK_NOTHROW(optimizer.load_state_dict(optimizer.state_dict()));

  // Its last handle may even become another optimiser.
  int moved = 0;
  optim::Optimizer last({a, b}, {.name = "Last", .lr = 1, .state = {"s"}}, [&](const auto& step) {
    last = optimizer;
    step.state[0][0] = 2;
    ++moved;
  });
  last.step();
  CHECK(moved == 2);
  CHECK(last.name() == "Nested");
}

TEST_CASE("a rule that throws leaves what came before it moved, and itself uncounted") {
  Tensor a = leaf(ones({1})), b = leaf(ones({2}));
  optim::Optimizer optimizer({a, b}, {.name = "Fails", .lr = 1, .state = {"m"}}, [](const auto& step) {
    if (step.n == 2) throw ValueError("Fails: expected one element, got two");
    step.x[0] -= step.dx[0];
  });
  a.set_grad(ones({1}));
  b.set_grad(ones({2}));
  CHECK_THROWS_WITH(optimizer.step(), "Fails: expected one element, got two");
  CHECK(equal(a.detach(), zeros({1})));
  CHECK(names(optimizer.state_dict()) == std::set<std::string>{"lr", "0.step", "0.m"});
  CHECK(a.grad().impl().use_count() == 2);  // the leaf's and this one: step() holds no gradient
}

TEST_CASE("a rule that throws in a parameter's first step finds zeros when it is tried again") {
  Tensor x = leaf(ones({2}));
  bool fails = true;
  std::vector<double> found;
  optim::Optimizer optimizer({x}, {.name = "Fails", .lr = 1, .state = {"m"}}, [&](const auto& step) {
    CHECK(step.number == 1);
    found.push_back(step.state[0][0]);
    step.state[0][0] = 1;
    if (fails) throw ValueError("Fails: half way");
  });
  x.set_grad(ones({2}));
  CHECK_THROWS_AS(optimizer.step(), ValueError);
  fails = false;
  optimizer.step();
  CHECK(found == std::vector<double>{0, 0});
}

TEST_CASE("names of state differ") {
  const Tensor x = leaf(ones({1}));
  const auto make = [&](std::vector<std::string> state) {
    optim::Optimizer({x}, {.name = "Own", .lr = 1, .state = std::move(state)}, [](const auto&) {});
  };
  CHECK_NOTHROW(make({"a", "b"}));
  CHECK_THROWS_WITH(make({"a", "b", "a"}),
                    "Own: expected names of state that differ, also from \"step\" and \"master\", got \"a\"");
  CHECK_THROWS_WITH(make({"step"}),
                    "Own: expected names of state that differ, also from \"step\" and \"master\", got \"step\"");
  CHECK_THROWS_WITH(make({"master"}),
                    "Own: expected names of state that differ, also from \"step\" and \"master\", got \"master\"");
  CHECK_THROWS_WITH(make({""}),
                    "Own: expected names of state that differ, also from \"step\" and \"master\", got \"\"");
}

}  // namespace test_own_rules
