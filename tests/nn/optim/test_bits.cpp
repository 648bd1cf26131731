#include <limpid/limpid.hpp>
#include <limpid/tests/settings.hpp>

#include <functional>
#include <limits>
#include <vector>

#include "../../catch.hpp"

namespace test_bits {

using namespace limpid;

// Parameters of every remainder of a vector's width, one that threads share out, and numbers that a diverged run has.
Tensors parameters(DType dtype) {
  Generator generator(5);
  Tensors xs;
  for (const int64_t n : {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100, 40000})
    xs.push_back((randn({n}, float64, generator) * 3).to(dtype));
  const Tensor hard = randn({40}, float64, generator).to(dtype);
  int64_t place = 0;
  for (const double x :
       {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN(), 1e-40, -0.0})
    select(hard, 0, place += 9).fill_(x);
  xs.push_back(hard);
  for (Tensor& x : xs) x.set_requires_grad();
  return xs;
}

using Make = std::function<optim::Optimizer(const Tensors&)>;

const std::vector<Make> rules = {
    [](const Tensors& xs) { return optim::SGD(xs, {.lr = 0.1}); },
    [](const Tensors& xs) { return optim::SGD(xs, {.lr = 0.1, .weight_decay = 0.2}); },
    [](const Tensors& xs) { return optim::SGD(xs, {.lr = 0.1, .momentum = 0.9, .dampening = 0.3}); },
    [](const Tensors& xs) {
      return optim::SGD(xs, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.2, .nesterov = true});
    },
    [](const Tensors& xs) { return optim::Adam(xs, {.lr = 0.1}); },
    [](const Tensors& xs) { return optim::Adam(xs, {.lr = 0.1, .weight_decay = 0.2, .amsgrad = true}); },
    [](const Tensors& xs) { return optim::AdamW(xs, {.lr = 0.1, .weight_decay = 0.2}); },
};

// Where each rule leaves its parameters after three steps.
Tensors results(DType dtype) {
  Tensors ys;
  for (const Make& make : rules) {
    const Tensors xs = parameters(dtype);
    optim::Optimizer optimizer = make(xs);
    Generator generator(6);
    for (int step = 0; step < 3; ++step) {
      for (const Tensor& x : xs) x.set_grad(randn(x.shape(), float64, generator).to(dtype));
      optimizer.step();
    }
    for (const Tensor& x : xs) ys.push_back(x.detach());
    for (const auto& entry : optimizer.state_dict()) ys.push_back(entry.second);
  }
  return ys;
}

TEST_CASE("optimisers have the same bits at every instruction set, and for any number of threads") {
  const DType dtype = GENERATE(float32, float64);
  const auto compare = [](const Tensors& found, const Tensors& expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i);
      CHECK(allclose(found[i], expected[i], 0, 0, true));
    }
  };
  const Tensors expected = results(dtype);
  for (const Isa level : isa_levels()) {
    CAPTURE(to_string(level));
    const test::WithIsa with(level);
    compare(results(dtype), expected);
  }
  for (const int threads : {1, 2, 3, 7}) {
    CAPTURE(threads);
    const test::WithThreads with(threads);
    compare(results(dtype), expected);
  }
}

}  // namespace test_bits
