#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "../../catch.hpp"
#include "../vectors.hpp"

namespace test_optimizer {

using namespace limpid;

using Made = optim::Optimizer;

struct Case {
  const char* name;
  Made (*make)(const Tensors&);
};

Made sgd(const Tensors& xs, const optim::SGDOptions& options) { return optim::SGD(xs, options); }
Made adam(const Tensors& xs, const optim::AdamOptions& options) { return optim::Adam(xs, options); }
Made adamw(const Tensors& xs, const optim::AdamWOptions& options) { return optim::AdamW(xs, options); }

// What module_vectors.py gave PyTorch.
const Case cases[] = {
    {"sgd", [](const Tensors& xs) { return sgd(xs, {.lr = 0.1}); }},
    {"sgd.decay", [](const Tensors& xs) { return sgd(xs, {.lr = 0.1, .weight_decay = 0.2}); }},
    {"sgd.momentum",
     [](const Tensors& xs) { return sgd(xs, {.lr = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.2}); }},
    {"sgd.nesterov",
     [](const Tensors& xs) { return sgd(xs, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.2, .nesterov = true}); }},
    {"adam", [](const Tensors& xs) { return adam(xs, {.lr = 0.1}); }},
    {"adam.decay",
     [](const Tensors& xs) {
       return adam(xs, {.lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.2});
     }},
    {"adam.amsgrad", [](const Tensors& xs) { return adam(xs, {.lr = 0.1, .amsgrad = true}); }},
    {"adamw", [](const Tensors& xs) { return adamw(xs, {.lr = 0.1}); }},
    {"adamw.amsgrad", [](const Tensors& xs) { return adamw(xs, {.lr = 0.1, .weight_decay = 0.2, .amsgrad = true}); }},
};

Tensor leaf(const Tensor& x) { return x.clone().set_requires_grad(); }

Tensor row(const Tensor& x, int64_t i) { return select(x, 0, i).clone(); }

TEST_CASE("optimisers follow PyTorch's rules step by step") {
  for (const Case& c : cases) {
    INFO(c.name);
    const TensorMap expected = torch_vectors(std::string("optim/") + c.name + "/");
    const Tensor x = leaf(expected.at("x0"));
    Made optimizer = c.make({x});
    for (int64_t i = 0; i < 10; ++i) {
      x.set_grad(row(expected.at("dx"), i));
      optimizer.step();
      CHECK(allclose(x.detach(), row(expected.at("x"), i), 1e-13, 1e-14));
    }
    for (const auto& [name, tensor] : optimizer.state_dict())
      if (name != "lr" && name != "0.step") CHECK(allclose(tensor, expected.at(name.substr(2)), 1e-13, 1e-14));
  }
}

TEST_CASE("optimisers treat every layout of parameter and gradient alike") {
  const auto layouts = {+[](const Tensor& x) { return x.clone(); },
                        +[](const Tensor& x) { return x.contiguous(MemoryFormat::channels_last); },
                        +[](const Tensor& x) { return transpose(transpose(x, 0, 3).clone(), 0, 3); },
                        +[](const Tensor& x) {  // with gaps
                          const Tensor wide = zeros({2, 3, 4, 10}, x.dtype());
                          Tensor part = slice(wide, 3, 0, 10, 2);
                          part.copy_(x);
                          return part.detach();
                        }};
  for (const DType dtype : {float32, float64, float16, bfloat16}) {
    CAPTURE(dtype);
    manual_seed(3);
    const auto draw = [&] { return randn({2, 3, 4, 5}).to(dtype); };
    const Tensor start = draw(), first = draw(), second = draw();
    Tensor expected;
    for (auto lay_x : layouts)
      for (auto lay_dx : layouts) {
        Tensor x = lay_x(start).detach();
        x.set_requires_grad();
        optim::Adam optimizer({x}, {.lr = 0.1});
        for (const Tensor& dx : {first, second}) {
          x.set_grad(lay_dx(dx));
          optimizer.step();
        }
        if (!expected.defined()) expected = x.detach().clone();
        CHECK(equal(x.detach(), expected));
        CHECK_FALSE(equal(x.detach(), start));
      }
  }
}

TEST_CASE("a gradient in the memory of its parameter is read before that is written") {
  const Tensor memory = reshape(arange(9, float32), {9}), start = memory.clone();
  Tensor x = slice(memory, 0, 1, 9).detach();
  x.set_requires_grad();
  optim::SGD optimizer({x}, {.lr = 0.5});
  x.set_grad(slice(memory, 0, 0, 8).detach());
  optimizer.step();
  CHECK(equal(x.detach(), slice(start, 0, 1, 9) - 0.5 * slice(start, 0, 0, 8)));
}

TEST_CASE("a gradient in the memory of another parameter, or of its state, is read before that is written") {
  Tensor a = leaf(full({1}, 2)), b = leaf(full({1}, 10));
  optim::SGD sgd({a, b}, {.lr = 1});
  a.set_grad(ones({1}));
  b.set_grad(a.detach());
  sgd.step();
  CHECK((a.item<double>() == 1 && b.item<double>() == 8));

  Tensor c = leaf(ones({1})), d = leaf(full({1}, 8));
  optim::SGD momentum({c, d}, {.lr = 1, .momentum = 1});
  c.set_grad(ones({1}));
  d.set_grad(ones({1}));
  momentum.step();  // to 0 and 7
  d.set_grad(momentum.state_dict().at("0.momentum_buffer"));
  momentum.step();  // by 1 + 1 each
  CHECK((c.item<double>() == -2 && d.item<double>() == 5));
}

TEST_CASE("an optimiser passes over parameters without a gradient and counts their steps apart") {
  Tensor a = leaf(ones({2})), b = leaf(ones({2}));
  optim::Adam optimizer({a, b});
  a.set_grad(ones({2}));
  const uint32_t a_version = a.version(), b_version = b.version();
  optimizer.step();
  CHECK(a.version() > a_version);
  CHECK(b.version() == b_version);
  CHECK(equal(b.detach(), ones({2})));
  b.set_grad(ones({2}));
  optimizer.step();
  CHECK(optimizer.state_dict().at("0.step").item<int64_t>() == 2);
  CHECK(optimizer.state_dict().at("1.step").item<int64_t>() == 1);
  b.set_requires_grad(false);
  optimizer.step();
  CHECK(optimizer.state_dict().at("1.step").item<int64_t>() == 1);
}

TEST_CASE("a step asks the system for no memory once it is warm, and records nothing") {
  Tensor x = leaf(randn({100, 100}));
  optim::AdamW optimizer({x});
  x.set_grad(randn({100, 100}));
  optimizer.step();
  const MemoryStats before = memory_stats();
  reset_peak_memory_stats();
  for (int i = 0; i < 10; ++i) optimizer.step();
  CHECK(memory_stats().peak_in_use == before.in_use);
  CHECK(x.is_leaf());
}

TEST_CASE("copies of an optimiser are one optimiser") {
  Tensor x = leaf(ones({2}));
  optim::Adam optimizer({x}, {.lr = 0.1});
  optim::Optimizer copy = optimizer, moved = std::move(copy);
  x.set_grad(ones({2}));
  optimizer.step();
  moved.step();
  copy.step();  // moving leaves what it moved from as it was
  CHECK(optimizer.state_dict().at("0.step").item<int64_t>() == 3);
  moved.set_lr(0.5);
  CHECK(optimizer.lr() == 0.5);
  optim::Adam other({x}, {.lr = 1});
  moved = other;
  CHECK(moved.lr() == 1);
  CHECK(optimizer.lr() == 0.5);
}

TEST_CASE("a first step that finds too little memory does nothing, and may be tried again", "[long]") {
  // Blocks of about a megabyte each. One gradient is laid out anew in each step. Of half precision there are copies.
  const bool of_half = GENERATE(false, true);
  const auto make = [=] {
    manual_seed(8);
    Tensors xs;
    for (const Shape& shape : {Shape{512, 512}, Shape{3}, Shape{256, 1024}, Shape{512, 512}})
      xs.push_back(randn(shape).to(!of_half ? float32 : shape[0] == 512 ? bfloat16 : float16).set_requires_grad());
    for (const Tensor& x : xs) {
      const Tensor dx = randn(x.shape()).to(x.dtype());
      x.set_grad(x.size(0) == 256 ? transpose(transpose(dx, 0, 1).clone(), 0, 1) : dx);
    }
    return xs;
  };
  const Tensors expected = make();
  optim::AdamW twin(expected);
  empty_cache();
  reset_peak_memory_stats();
  const int64_t idle = memory_stats().in_use;
  twin.step();
  const int64_t need = memory_stats().peak_in_use - idle;
  twin.step();
  CHECK(need >= 7 << 20);
  int failed = 0;
  for (int64_t part = 0; part <= 15; ++part) {
    CAPTURE(part);
    const Tensors xs = make(), before = make();
    optim::AdamW optimizer(xs);
    empty_cache();
    std::vector<uint32_t> versions;
    for (const Tensor& x : xs) versions.push_back(x.version());
    set_memory_limit(memory_stats().in_use + need * part / 14);
    bool done = true;
    try {
      optimizer.step();
    } catch (const MemoryError&) {
      done = false;
    }
    set_memory_limit(no_memory_limit);
    if (!done) {
      ++failed;
      CHECK(optimizer.state_dict().size() == 1);  // lr alone: no step is counted
      for (std::size_t i = 0; i < xs.size(); ++i) {
        CHECK(equal(xs[i].detach(), before[i].detach()));
        CHECK(xs[i].version() == versions[i]);
      }
      optimizer.step();
    }
    optimizer.step();
    for (std::size_t i = 0; i < xs.size(); ++i) CHECK(equal(xs[i].detach(), expected[i].detach()));
    for (const auto& [name, tensor] : twin.state_dict()) CHECK(equal(tensor, optimizer.state_dict().at(name)));
  }
  CHECK(failed >= 12);
  CHECK(failed <= 15);
}

TEST_CASE("an optimiser resumes from its state as if it had never stopped") {
  for (const Case& c : cases) {
    INFO(c.name);
    const TensorMap vectors = torch_vectors(std::string("optim/") + c.name + "/");
    const Tensor x = leaf(vectors.at("x0"));
    Made optimizer = c.make({x});
    for (int64_t i = 0; i < 10; ++i) {
      if (i == 4) {
        Made resumed = c.make({x});
        resumed.load_state_dict(optimizer.state_dict());
        optimizer = resumed;
      }
      x.set_grad(row(vectors.at("dx"), i));
      optimizer.step();
    }
    CHECK(allclose(x.detach(), row(vectors.at("x"), 9), 1e-13, 1e-14));
  }
}

TEST_CASE("an optimiser follows a module's change of dtype") {
  nn::Linear linear(3, 2);
  optim::Adam optimizer(linear.parameters());
  linear.weight.set_grad(ones({2, 3}));
  optimizer.step();
  linear.to(float64);
  optimizer.step();
  CHECK(optimizer.state_dict().at("0.exp_avg").dtype() == float64);
}

TEST_CASE("load_state_dict of an optimiser names every fault and changes nothing") {
  Tensor x = leaf(ones({2}));
  optim::SGD optimizer({x}, {.lr = 0.5, .momentum = 0.9});
  TensorMap state = {{"lr", full({}, -1, float64)},
                     {"0.step", ones({}, int64)},
                     {"0.momentum_buffer", ones({3})},
                     {"1.step", ones({}, int64)}};
  CHECK_THROWS_WITH(optimizer.load_state_dict(state),
                    "SGD: expected the state of this optimiser and its parameters, got lr (expected one in [0, "
                    "3.4028234663852886e+38], got -1); 0.momentum_buffer (expected float32 (2,), got float32 (3,)); "
                    "unexpected 1.step");
  CHECK_THROWS_WITH(optimizer.load_state_dict({{"0.step", ones({}, int64)}}),
                    "SGD: expected the state of this optimiser and its parameters, got no lr; no 0.momentum_buffer");
  CHECK(optimizer.lr() == 0.5);
  CHECK(optimizer.state_dict().size() == 1);
}

TEST_CASE("load_state_dict of an optimiser shows names of a file in one short line") {
  optim::SGD optimizer({leaf(ones({2}))}, {.lr = 0.5});
  TensorMap state = {{"lr", full({}, 0.5, float64)}, {"evil\n\x1b[2Jok", ones({1})}};
  const std::string start = "SGD: expected the state of this optimiser and its parameters, got unexpected evil\\x0a";
  CHECK_THROWS_WITH(optimizer.load_state_dict(state), start + "\\x1b[2Jok");
  for (int i = 0; i < 20000; ++i) state["foreign " + std::to_string(i)] = ones({1});
  CHECK_THROWS_WITH(optimizer.load_state_dict(state), StartsWith(start) && EndsWith("foreign 10003 and 19991 more"));
}

TEST_CASE("load_state_dict of an optimiser converts dtypes as a module's does, and refuses what they do not hold") {
  Tensor x = leaf(ones({2}));
  optim::Adam optimizer({x});
  TensorMap state = {{"lr", full({}, 0.25)},
                     {"0.step", full({}, 3, int32)},
                     {"0.exp_avg", tensor({0.5, -0.1}, float64)},
                     {"0.exp_avg_sq", tensor({0.5, 2}, float16)}};
  optimizer.load_state_dict(state);
  CHECK(optimizer.lr() == 0.25);
  const TensorMap loaded = optimizer.state_dict();
  CHECK(loaded.at("0.step").item<int64_t>() == 3);
  CHECK(equal(loaded.at("0.exp_avg"), tensor({0.5, -0.1})));
  CHECK(equal(loaded.at("0.exp_avg_sq"), tensor({0.5, 2})));
  state["0.exp_avg"] = tensor({1e300, 0}, float64);
  state["0.exp_avg_sq"] = ones({2}, int64);
  CHECK_THROWS_WITH(
      optimizer.load_state_dict(state),
      "Adam: expected the state of this optimiser and its parameters, got 0.exp_avg (expected values that "
      "float32 holds, got others); 0.exp_avg_sq (expected float32 (2,), got int64 (2,))");
  CHECK(equal(optimizer.state_dict().at("0.exp_avg"), tensor({0.5, -0.1})));
}

TEST_CASE("load_state_dict of an optimiser takes a rate and counts of steps of any dtype that holds them") {
  Tensor x = leaf(ones({2}));
  optim::Adam optimizer({x});
  const auto state = [](const Tensor& lr, const Tensor& step) {
    return TensorMap{{"lr", lr}, {"0.step", step}, {"0.exp_avg", ones({2})}, {"0.exp_avg_sq", ones({2})}};
  };
  for (const DType dtype : {uint8, int32, int64, float16, bfloat16, float32, float64}) {
    CAPTURE(dtype);
    optimizer.load_state_dict(state(full({}, 2, dtype), full({}, 7, dtype)));
    CHECK(optimizer.lr() == 2);
    CHECK(optimizer.state_dict().at("0.step").item<int64_t>() == 7);
  }
  const std::string beginning = "Adam: expected the state of this optimiser and its parameters, got ";
  struct Row {
    Tensor step;
    std::string got;
  };
  for (const auto& [step, got] : {Row{full({}, 2.5), "float32 () with 2.5"},
                                  Row{full({}, 0x1p63),
                                      "float32 () with "
                                      "9.223372036854776e+18"},
                                  Row{full({}, NAN), "float32 () with nan"}, Row{ones({}, bool_), "bool () with 1"},
                                  Row{ones({1}, int64), "int64 (1,)"}})
    CHECK_THROWS_WITH(optimizer.load_state_dict(state(ones({}), step)),
                      beginning + "0.step (expected a scalar of any dtype but bool that int64 holds, got " + got + ")");
  CHECK_THROWS_WITH(
      optimizer.load_state_dict(state(full({}, (int64_t{1} << 53) + 1, int64), ones({}, int64))),
      beginning +
          "lr (expected a scalar of any dtype but bool that float64 holds, got int64 () with 9007199254740993)");
  CHECK_THROWS_WITH(optimizer.load_state_dict(state(Tensor(), Tensor())),
                    beginning + "lr (undefined); 0.step (undefined)");
  CHECK(optimizer.state_dict().at("0.step").item<int64_t>() == 7);
}

TEST_CASE("load_state_dict of an optimiser refuses negative squares, but not those of a run that diverged") {
  Tensor x = leaf(ones({2}));
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool amsgrad : {false, true}) {
    const std::string name = amsgrad ? "max_exp_avg_sq" : "exp_avg_sq";
    const optim::Adam adam({x}, {.amsgrad = amsgrad});
    const optim::AdamW adamw({x}, {.amsgrad = amsgrad});
    for (optim::Optimizer optimizer : {optim::Optimizer(adam), optim::Optimizer(adamw)}) {
      TensorMap state = {{"lr", full({}, 0.25, float64)},
                         {"0.step", ones({}, int64)},
                         {"0.exp_avg", tensor({-1, -2})},
                         {"0.exp_avg_sq", ones({2})}};
      if (amsgrad) state["0.max_exp_avg_sq"] = ones({2});
      optimizer.load_state_dict(state);
      state["0." + name] = tensor({inf, nan});
      optimizer.load_state_dict(state);
      state["0." + name] = tensor({nan, -0.1});
      CHECK_THROWS_WITH(optimizer.load_state_dict(state),
                        optimizer.name() + ": expected the state of this optimiser and its parameters, got 0." + name +
                            " (expected numbers of at least 0, got -0.10000000149011612)");
    }
  }
}

TEST_CASE("load_state_dict of an optimiser refuses a count of steps that a rule cannot count on from") {
  const Tensor x = ones({2}).set_requires_grad();
  optim::Adam optimizer({x});
  sum(x * x).backward();
  optimizer.step();
  const TensorMap before = clone(optimizer.state_dict());
  for (const int64_t steps : {int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX, (int64_t{1} << 53) + 1}) {
    TensorMap state = before;
    state["0.step"] = full({}, steps, int64);
    CHECK_THROWS_WITH(optimizer.load_state_dict(state),
                      "Adam: expected the state of this optimiser and its parameters, got 0.step (expected one from 1 "
                      "to 9007199254740992, got " +
                          std::to_string(steps) + ")");
  }
  TensorMap state = before;
  state["0.step"] = full({}, int64_t{1} << 53, int64);
  optimizer.load_state_dict(state);
  optimizer.step();
  CHECK(all(isfinite(x)).item<bool>());
}

TEST_CASE("zero_grad clears gradients or sets them to zero, those shared with others too") {
  Tensor x = leaf(ones({2})), frozen = ones({2});
  optim::SGD optimizer({x, frozen});
  const Tensor dx = ones({2});
  x.set_grad(dx);
  optimizer.zero_grad(false);
  CHECK(equal(x.grad(), zeros({2})));
  CHECK(equal(dx, ones({2})));
  optimizer.zero_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("optimisers refuse what they cannot work with") {
  Tensor x = leaf(ones({2}));
  CHECK_THROWS_WITH(optim::SGD({}), "SGD: expected at least one parameter, got none");
  CHECK_THROWS_WITH(optim::SGD({x, x}), "SGD: expected each parameter once, got 0 again as 1");
  CHECK_THROWS_WITH(optim::Adam({mul(x, 2)}), "Adam: expected leaves as parameters, got a recorded result as 0");
  CHECK_THROWS_WITH(optim::Adam({zeros({2}, int64)}), "Adam: expected floating-point parameters, got int64");
  CHECK_THROWS_WITH(optim::SGD({x}, {.lr = -1}), "SGD: expected lr in [0, 3.4028234663852886e+38], got -1");
  CHECK_THROWS_WITH(optim::SGD({x}, {.nesterov = true}),
                    "SGD: expected momentum for nesterov in (0, 3.4028234663852886e+38], got 0");
  CHECK_THROWS_WITH(optim::AdamW({x}, {.beta2 = 1}), "AdamW: expected beta2 in [0, 1), got 1");
  optim::SGD optimizer({x});
  CHECK_THROWS_AS(optimizer.set_lr(std::nan("")), ValueError);
}

}  // namespace test_optimizer
