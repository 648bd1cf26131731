#include <cfloat>
#include <cmath>
#include <limits>

#include "../../catch.hpp"
#include "../../memory.hpp"
#include "../vectors.hpp"

namespace test_grad_scaler {

using namespace limpid;

Tensor leaf(const Tensor& x) { return x.clone().set_requires_grad(); }
constexpr double infinity = std::numeric_limits<double>::infinity();

// A scaler that has scaled, as each iteration has to.
optim::GradScaler scaled(const optim::GradScalerOptions& options = {}) {
  optim::GradScaler scaler(options);
  scaler.scale(ones({}));
  return scaler;
}

TEST_CASE("a scaler multiplies a loss, in float32 where it is of half precision") {
  optim::GradScaler scaler;
  CHECK(scaler.get_scale() == 65536);
  CHECK(scaler.is_enabled());
  CHECK(equal(scaler.scale(full({}, 3)), full({}, 3 * 65536)));
  CHECK(scaler.scale(full({}, 3, float64)).dtype() == float64);
  const Tensor loss = full({2}, 3, float16).set_requires_grad();
  CHECK(equal(scaler.scale(loss).detach(), full({2}, 3 * 65536)));  // which float16 does not hold
  const Tensor x = leaf(full({}, 3));
  scaler.scale(square(x)).backward();
  CHECK(x.grad().item<double>() == 6 * 65536);
  CHECK_THROWS_WITH(scaler.scale(ones({}, int64)), "GradScaler: expected a floating-point loss, got int64");
  CHECK_THROWS_WITH(scaler.scale(Tensor()), "GradScaler: expected a loss, got an undefined tensor");
}

TEST_CASE("a scaled step is the step of gradients that were never scaled") {
  for (const DType dtype : {float16, bfloat16, float32, float64})
    for (const bool apart : {false, true}) {
      INFO(dtype << (apart ? ", unscale_() by itself" : ""));
      const Tensor start = tensor({1., 2., 3.}).to(dtype), x = leaf(start), y = leaf(start);
      optim::Adam optimizer({x}, {.lr = 0.1}), twin({y}, {.lr = 0.1});
      optim::GradScaler scaler({.init_scale = 1024});
      for (int i = 0; i < 3; ++i) {
        optimizer.zero_grad();
        twin.zero_grad();
        scaler.scale(sum(square(x.to(float32)))).backward();
        sum(square(y.to(float32))).backward();
        if (apart) {
          scaler.unscale_(optimizer);
          CHECK(equal(x.grad(), y.grad()));
        }
        CHECK(scaler.step(optimizer));
        scaler.update();
        twin.step();
        CHECK(equal(x.detach(), y.detach()));
      }
      CHECK(scaler.get_scale() == 1024);
    }
}

TEST_CASE("a scaled step keeps gradients that half precision does not hold unscaled") {
  const Tensor x = leaf(ones({2}, float16));
  optim::SGD optimizer({x}, {.lr = 0x1p20});
  optim::GradScaler scaler = scaled();
  x.set_grad(full({2}, 0x1p-14 * 1.5).to(float16));  // 1.5 * 2^-30 unscaled: 2^-24 is the least number
  CHECK(scaler.step(optimizer));
  CHECK(equal(x.detach().to(float32), full({2}, 1 - 0x1p-10 * 1.5).to(float16).to(float32)));
  CHECK(equal(x.grad().to(float32), full({2}, 0x1p-14 * 1.5)));  // as it was
}

TEST_CASE("a step is left out where a gradient is not finite, whatever its dtype and place") {
  for (const DType dtype : {float16, bfloat16, float32, float64})
    for (const double bad : {infinity, -infinity, std::nan("")})
      for (const int64_t at : {0, 1023, 1024, 39999})
        for (const bool apart : {false, true}) {
          CAPTURE(bad, at, apart);
          INFO(dtype);
          const Tensor x = leaf(ones({40000}).to(dtype)), y = leaf(ones({2}));
          optim::Adam optimizer({y, x});
          optim::GradScaler scaler = scaled();
          const Tensor dx = ones({40000}).to(dtype);
          dx.select(0, at).fill_(bad);
          x.set_grad(dx);
          y.set_grad(ones({2}));
          if (apart) scaler.unscale_(optimizer);
          CHECK_FALSE(scaler.step(optimizer));
          CHECK(equal(x.detach(), ones({40000}).to(dtype)));
          CHECK(equal(y.detach(), ones({2})));
          CHECK(optimizer.state_dict().size() == 1);  // no step is counted
          scaler.update();
          CHECK(scaler.get_scale() == 32768);
        }
}

TEST_CASE("a gradient that overflows when it is divided by a small scale is not finite") {
  const Tensor x = leaf(ones({2}, bfloat16)), y = leaf(ones({2}));
  for (const Tensor& p : {x, y}) {
    optim::SGD optimizer({p});
    optim::GradScaler scaler = scaled({.init_scale = 0x1p-4});
    p.set_grad(full({2}, 0x1p126).to(p.dtype()));
    CHECK_FALSE(scaler.step(optimizer));
  }
}

TEST_CASE("the scale falls at each overflow and grows after an interval without any, as PyTorch's") {
  const Tensor x = leaf(ones({1}));
  optim::SGD optimizer({x}, {.lr = 0});
  optim::GradScaler scaler({.init_scale = 8, .growth_factor = 4, .backoff_factor = 0.25, .growth_interval = 2});
  std::vector<double> scales;
  // What torch 1.13's rule gives.
  for (const bool finite : {true, true, true, false, true, true, false, false}) {
    scaler.scale(ones({}));
    x.set_grad(full({1}, finite ? 1 : infinity));
    CHECK(scaler.step(optimizer) == finite);
    scaler.update();
    scales.push_back(scaler.get_scale());
  }
  CHECK(scales == std::vector<double>{8, 32, 32, 8, 8, 32, 8, 2});
}

TEST_CASE("the scale stays a number of float32 with an inverse") {
  const Tensor x = leaf(ones({1}));
  optim::SGD optimizer({x}, {.lr = 0});
  optim::GradScaler scaler({.init_scale = 0x1p127, .growth_interval = 1});
  const auto run = [&](double dx) {
    scaler.scale(ones({}));
    x.set_grad(full({1}, dx));
    scaler.step(optimizer);
    scaler.update();
  };
  run(1);
  CHECK(scaler.get_scale() == 0x1p127);
  for (int i = 0; i < 300; ++i) run(infinity);
  CHECK(scaler.get_scale() == FLT_MIN);
  run(FLT_MIN);
  CHECK(scaler.get_scale() == 2 * FLT_MIN);
}

TEST_CASE("one overflow among several optimisers lowers the scale, and leaves out that step alone") {
  const Tensor x = leaf(ones({1})), y = leaf(ones({1}));
  optim::SGD first({x}, {.lr = 1}), second({y}, {.lr = 1});
  optim::GradScaler scaler = scaled({.init_scale = 2});
  x.set_grad(full({1}, 4));
  y.set_grad(full({1}, infinity));
  CHECK(scaler.step(first));
  CHECK_FALSE(scaler.step(second));
  scaler.update();
  CHECK(scaler.get_scale() == 1);
  CHECK(x.item<double>() == -1);
  CHECK(y.item<double>() == 1);
}

TEST_CASE("a gradient that two parameters share is divided once for each") {
  for (const DType dtype : {float32, float16}) {
    const Tensor x = leaf(ones({2}, dtype)), y = leaf(ones({2}, dtype));
    const Tensor dx = full({2}, 16, dtype);
    x.set_grad(dx);
    y.set_grad(dx);
    optim::SGD optimizer({x, y});
    optim::GradScaler scaler = scaled({.init_scale = 4});
    scaler.unscale_(optimizer);
    CHECK(equal(x.grad(), full({2}, 4, dtype)));
    CHECK(equal(y.grad(), full({2}, 4, dtype)));
    CHECK(equal(dx, full({2}, 16, dtype)));
  }
}

TEST_CASE("unscale_ that finds too little memory divides no gradient") {
  const Tensor x = leaf(ones({300, 300})), y = leaf(ones({300, 300}, float16)), z = leaf(ones({300, 300}, bfloat16));
  optim::SGD optimizer({x, y, z});
  optim::GradScaler scaler = scaled({.init_scale = 4});
  for (const Tensor& p : {x, y, z}) p.set_grad(full({300, 300}, 8, p.dtype()));
  empty_cache();
  {
    const test::WithLimit limit(memory_stats().in_use + 400000);  // one of two that are needed
    CHECK_THROWS_AS(scaler.unscale_(optimizer), MemoryError);
  }
  for (const Tensor& p : {x, y, z}) CHECK(equal(p.grad(), full({300, 300}, 8, p.dtype())));
  scaler.unscale_(optimizer);
  for (const Tensor& p : {x, y, z}) CHECK(equal(p.grad(), full({300, 300}, 2, p.dtype())));
}

TEST_CASE("a step that throws may be tried again, with the gradients that it had") {
  for (const DType dtype : {float32, float16}) {
    bool fails = true;
    const Tensor x = leaf(ones({1}, dtype));
    optim::Optimizer optimizer({x}, {.name = "Fails", .lr = 1}, [&](const auto& step) {
      if (fails) throw ValueError("Fails: once");
      step.x[0] -= step.dx[0];
    });
    optim::GradScaler scaler = scaled({.init_scale = 4});
    x.set_grad(full({1}, 8, dtype));
    CHECK_THROWS_WITH(scaler.step(optimizer), "Fails: once");
    CHECK_THROWS_WITH(
        scaler.unscale_(optimizer),
        "GradScaler: expected unscale_() once between updates and before step(), got it after step() of Fails");
    fails = false;
    CHECK(scaler.step(optimizer));
    CHECK(x.detach().to(float32).item<double>() == -1);
  }
}

TEST_CASE("gradients of another loss are not taken for those that a step that threw has divided") {
  for (const DType dtype : {float32, float16}) {
    bool fails = true;
    const Tensor x = leaf(ones({1}, dtype));
    optim::Optimizer optimizer({x}, {.name = "Fails", .lr = 1}, [&](const auto& step) {
      if (fails) throw ValueError("Fails: once");
      step.x[0] -= step.dx[0];
    });
    optim::GradScaler scaler({.init_scale = 4});
    const auto backward = [&] {
      optimizer.zero_grad();
      scaler.scale(sum(x.to(float32))).backward();
    };
    backward();
    CHECK_THROWS_WITH(scaler.step(optimizer), "Fails: once");
    fails = false;
    backward();
    CHECK_THROWS_WITH(
        scaler.step(optimizer),
        "GradScaler: expected update() between a step() that threw and the next scale(), got none after that of Fails");
    scaler.update();
    backward();
    CHECK(scaler.step(optimizer));
    CHECK(x.detach().to(float32).item<double>() == 0);
  }
}

TEST_CASE("copies of a scaler are one scaler") {
  const Tensor x = leaf(ones({1}));
  optim::SGD optimizer({x});
  const optim::Optimizer copy = optimizer;
  optim::GradScaler scaler = scaled(), other = scaler;
  x.set_grad(ones({1}));
  scaler.unscale_(optimizer);
  CHECK_THROWS_AS(other.unscale_(copy), ValueError);  // the same optimiser, by another handle
  CHECK(other.step(copy));
  scaler.update(16);
  CHECK(other.get_scale() == 16);
}

TEST_CASE("a scaler that is not enabled leaves everything as it is") {
  const Tensor x = leaf(ones({1}));
  optim::SGD optimizer({x}, {.lr = 1});
  optim::GradScaler scaler({.enabled = false});
  const Tensor loss = ones({});
  CHECK(scaler.scale(loss).is_same(loss));
  CHECK(scaler.get_scale() == 1);
  CHECK_FALSE(scaler.is_enabled());
  x.set_grad(full({1}, 3));
  scaler.unscale_(optimizer);
  CHECK(scaler.step(optimizer));
  scaler.update();
  CHECK(x.item<double>() == -2);
  CHECK(scaler.state_dict().empty());
  CHECK_NOTHROW(scaler.load_state_dict({}));
}

TEST_CASE("a scaler resumes from its state") {
  const Tensor x = leaf(ones({1}));
  optim::SGD optimizer({x}, {.lr = 0});
  const auto run = [&](optim::GradScaler& scaler) {
    scaler.scale(ones({}));
    x.set_grad(ones({1}));
    scaler.step(optimizer);
    scaler.update();
  };
  optim::GradScaler scaler({.init_scale = 8, .growth_factor = 4, .backoff_factor = 0.125, .growth_interval = 3});
  run(scaler);
  run(scaler);
  TensorMap state = scaler.state_dict();
  CHECK(names(state) ==
        std::set<std::string>{"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"});
  CHECK(state.at("_growth_tracker").item<int64_t>() == 2);
  state["scale"] = state.at("scale").to(float32);  // as PyTorch has it
  optim::GradScaler resumed;
  resumed.load_state_dict(state);
  CHECK(resumed.get_scale() == 8);
  run(resumed);
  CHECK(resumed.get_scale() == 32);

  // A count beyond the interval, whatever the interval was when it was saved.
  state["_growth_tracker"] = full({}, INT64_MAX, int64);
  resumed.load_state_dict(state);
  run(resumed);
  CHECK(resumed.get_scale() == 32);

  const std::string expected =
      "GradScaler: expected the numbers of an enabled scaler, scale, growth_factor, backoff_factor, growth_interval "
      "and _growth_tracker, got ";
  CHECK_THROWS_WITH(resumed.load_state_dict({}), expected + "nothing");
  TensorMap lacking = state;
  lacking.erase("scale");
  CHECK_THROWS_WITH(resumed.load_state_dict(lacking), expected + "no scale");
  TensorMap more = state;
  more["lr"] = ones({});
  CHECK_THROWS_WITH(resumed.load_state_dict(more), expected + "others besides");
  state["growth_factor"] = full({}, 0.5);
  CHECK_THROWS_WITH(resumed.load_state_dict(state),
                    "GradScaler: expected growth_factor in (1, 3.4028234663852886e+38], got 0.5");
  CHECK(resumed.get_scale() == 32);
}

TEST_CASE("scalers refuse options out of range, and calls in another order") {
  CHECK_THROWS_WITH(optim::GradScaler({.init_scale = 0}),
                    "GradScaler: expected init_scale in [1.1754943508222875e-38, 3.4028234663852886e+38], got 0");
  CHECK_THROWS_WITH(optim::GradScaler({.growth_factor = 1}),
                    "GradScaler: expected growth_factor in (1, 3.4028234663852886e+38], got 1");
  CHECK_THROWS_WITH(optim::GradScaler({.backoff_factor = 1}), "GradScaler: expected backoff_factor in (0, 1), got 1");
  CHECK_THROWS_WITH(optim::GradScaler({.growth_interval = 0}),
                    "GradScaler: expected growth_interval in [1, inf), got 0");
  const Tensor x = leaf(ones({1}));
  optim::SGD optimizer({x});
  optim::GradScaler scaler;
  x.set_grad(ones({1}));
  CHECK_THROWS_WITH(scaler.step(optimizer),
                    "GradScaler: expected scale() before others in an iteration, got none before step()");
  CHECK_THROWS_WITH(scaler.unscale_(optimizer),
                    "GradScaler: expected scale() before others in an iteration, got none before unscale_()");
  CHECK_THROWS_WITH(scaler.update(), "GradScaler: expected step() before update(), got none");
  scaler.scale(ones({}));
  x.set_grad({});
  CHECK_THROWS_WITH(scaler.step(optimizer), "GradScaler: expected gradients to divide, got none in SGD");
  x.set_grad(ones({1}));
  scaler.unscale_(optimizer);
  CHECK_THROWS_WITH(
      scaler.unscale_(optimizer),
      "GradScaler: expected unscale_() once between updates and before step(), got it after unscale_() of SGD");
  scaler.step(optimizer);
  CHECK_THROWS_WITH(scaler.step(optimizer), "GradScaler: expected step() once between updates, got it again of SGD");
  CHECK_THROWS_WITH(
      scaler.unscale_(optimizer),
      "GradScaler: expected unscale_() once between updates and before step(), got it after step() of SGD");
  CHECK_THROWS_AS(scaler.update(-1), ValueError);
  scaler.update();
  CHECK_THROWS_WITH(scaler.step(optimizer),
                    "GradScaler: expected scale() before others in an iteration, got none before step()");
  CHECK_NOTHROW(scaler.update(4));
}

}  // namespace test_grad_scaler
