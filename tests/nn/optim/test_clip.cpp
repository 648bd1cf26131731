#include <cmath>
#include <limits>

#include "../../catch.hpp"
#include "../vectors.hpp"

using namespace limpid;

namespace {

Tensor leaf(const Tensor& x) { return x.clone().set_requires_grad(); }

}  // namespace

TEST_CASE("clip_grad_norm_ scales as PyTorch does") {
  const TensorMap expected = torch_vectors("clip/");
  for (double p : {2.0, std::numeric_limits<double>::infinity()}) {
    const std::string suffix = p == 2 ? "2" : "inf";
    const Tensor a = leaf(zeros({2, 3}, float64)), b = leaf(zeros({4}, float64)), c = leaf(zeros({4}, float64));
    a.set_grad(expected.at("a").clone());
    b.set_grad(expected.at("b"));  // shared with the map
    CHECK(optim::clip_grad_norm_({a, b, c}, 1.5, p) ==
          Approx(expected.at("norm" + suffix).item<double>()).epsilon(1e-13));
    CHECK(allclose(a.grad(), expected.at("a" + suffix), 1e-13, 0));
    CHECK(allclose(b.grad(), expected.at("b" + suffix), 1e-13, 0));
  }
  CHECK(equal(expected.at("b"), torch_vectors("clip/").at("b")));
}

TEST_CASE("clip_grad_norm_ scales a gradient that two leaves share once for each, and leaves a small one as it is") {
  Tensor a = leaf(zeros({2}, float64)), b = leaf(zeros({2}, float64));
  (a + b).backward(tensor({3, 4}, float64));
  CHECK(optim::clip_grad_norm_({a, b}, std::sqrt(0.5)) == Approx(std::sqrt(50.0)));
  CHECK(allclose(a.grad(), tensor({0.3, 0.4}, float64), 1e-6));
  CHECK(allclose(b.grad(), tensor({0.3, 0.4}, float64), 1e-6));
  const Tensor dx = a.grad();
  optim::clip_grad_norm_({a}, 10);
  CHECK(a.grad().is_same(dx));
}
