#include <cmath>
#include <limits>

#include "../../catch.hpp"
#include "../../memory.hpp"
#include "../vectors.hpp"

namespace test_clip {

using namespace limpid;

Tensor leaf(const Tensor& x) { return x.clone().set_requires_grad(); }

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

TEST_CASE("clip_grad_norm_ clips finite gradients whose norm is infinite, and by an infinite max_norm nothing") {
  const double inf = std::numeric_limits<double>::infinity(), large = 1.5e308;
  for (const double p : {1.0, 2.0, 3.0, inf})
    for (const double max_norm : {0.0, 2.0, 1e308, inf}) {
      CAPTURE(p, max_norm);
      const Tensor x = leaf(zeros({3}, float64));
      const Tensor dx = tensor({large, -large, large}, float64);
      x.set_grad(dx.clone());
      const double norm = optim::clip_grad_norm_({x}, max_norm, p, true);
      CHECK(norm == (p == inf ? large : inf));
      const double share = max_norm / (p == inf ? 1 : std::pow(3.0, 1 / p));
      if (max_norm == inf)
        CHECK(equal(x.grad(), dx));
      else
        CHECK(allclose(x.grad(), tensor({share, -share, share}, float64), 1e-14, 0));
    }
  CHECK_THROWS_WITH(optim::clip_grad_norm_({}, -1), "clip_grad_norm_: expected max_norm in [0, inf], got -1");
  CHECK_THROWS_WITH(optim::clip_grad_norm_({}, 1, 0), "clip_grad_norm_: expected p in (0, inf], got 0");
}

TEST_CASE("clip_grad_norm_ scales gradients of any size, as vector_norm does") {
  for (const double p : {0.5, 1.0, 2.0, 3.0, std::numeric_limits<double>::infinity()})
    for (const double size : {1e-310, 1e-300, 1e-160, 1e-100, 1.0, 1e100, 1e160, 1e300, 1e306}) {
      CAPTURE(p, size);
      const Tensor given = tensor({3, 0, -4}, float64) * size;
      const Tensor a = leaf(zeros({3}, float64)), b = leaf(zeros({3}, float64));
      a.set_grad(given.clone());
      b.set_grad(2 * given);
      const double expected = vector_norm(cat({given / size, 2 * given / size}, 0), p).item<double>();
      CHECK(optim::clip_grad_norm_({a, b}, 2, p) / size == Approx(expected).epsilon(1e-13));
      if (size < 1) continue;  // small enough
      const double after = vector_norm(cat({a.grad(), b.grad()}, 0), p).item<double>();
      CHECK(after == Approx(2).epsilon(1e-6));
      CHECK(allclose(b.grad(), 2 * a.grad(), 1e-15, 0));
    }
  // The norm of finite gradients may overflow; they are scaled all the same.
  const Tensor x = leaf(zeros({8}, float64));
  x.set_grad(full({8}, 1.7e308, float64));
  CHECK(std::isinf(optim::clip_grad_norm_({x}, 1)));
  CHECK(allclose(x.grad(), full({8}, std::sqrt(0.125), float64), 1e-14, 0));
  // Or its root alone, of powers that do not.
  const Tensor many = leaf(zeros({100}, float64));
  many.set_grad(full({100}, 1.7e308, float64));
  CHECK(std::isinf(optim::clip_grad_norm_({many}, 1, 0.5)));
  CHECK(allclose(many.grad(), full({100}, 1e-4, float64), 1e-13, 0));
}

TEST_CASE("clip_grad_norm_ scales by factors that are too small to be numbers") {
  for (const double size : {1e10, 1e153}) {
    const Tensor x = leaf(zeros({2}, float64));
    x.set_grad(tensor({3, -4}, float64) * size);
    optim::clip_grad_norm_({x}, 5e-290, 2);
    CHECK(allclose(x.grad(), tensor({3, -4}, float64) * 1e-290, 1e-14, 0));
  }
}

TEST_CASE("clip_grad_norm_ changes no gradient where there is no memory for all") {
  const Tensor a = leaf(zeros({4})), b = leaf(zeros({1 << 20})), shared = full({1 << 20}, 3);
  a.set_grad(full({4}, 2));
  b.set_grad(shared);
  {
    const test::WithLimit with(1);
    CHECK_THROWS_AS(optim::clip_grad_norm_({a, b}, 1), MemoryError);
  }
  CHECK(equal(a.grad(), full({4}, 2)));
  CHECK(equal(b.grad(), shared));
}

TEST_CASE("clip_grad_norm_ scales gradients so small that their norm is subnormal") {
  for (const double p : {0.5, 1.0, 2.0, 3.0, std::numeric_limits<double>::infinity()})
    for (const double size : {1e-321, 1e-318, 1e-310, 1e-300, 1e-200}) {
      CAPTURE(p, size);
      const Tensor x = leaf(zeros({3}, float64)), dx = tensor({300, 0, -400}, float64) * size;
      x.set_grad(dx.clone());
      // What is far below 1e-6 is multiplied by max_norm / 1e-6.
      optim::clip_grad_norm_({x}, 5e-7, p);
      CHECK(allclose(x.grad(), 0.5 * dx, 1e-13, 5e-324));
      optim::clip_grad_norm_({x}, 0, p);
      CHECK(equal(x.grad(), zeros({3}, float64)));
    }
}

TEST_CASE("clip_grad_norm_ counts and scales a tensor once, however often it is given") {
  const Tensor a = leaf(zeros({2}, float64)), b = leaf(zeros({1}, float64)), again = a;
  a.set_grad(tensor({1, 2}, float64));
  b.set_grad(tensor({2}, float64));
  CHECK(optim::clip_grad_norm_({a, b, a, again}, 1) == 3);
  CHECK(allclose(a.grad(), tensor({1, 2}, float64) / 3, 1e-6));
  CHECK(allclose(b.grad(), tensor({2}, float64) / 3, 1e-6));
}

TEST_CASE("clip_grad_norm_ leaves gradients as they are where one is infinite or NaN, or refuses") {
  for (const float odd : {INFINITY, -INFINITY, NAN})
    for (const double p : {1.0, 2.0, 2.5, std::numeric_limits<double>::infinity()})
      for (const DType dtype : {float32, float64}) {
        CAPTURE(odd, p, dtype);
        const Tensor a = leaf(zeros({2}, dtype)), b = leaf(zeros({2}, dtype));
        const Tensor da = tensor({3, 4}, dtype), db = tensor({odd, 1}, dtype);
        a.set_grad(da.clone());
        b.set_grad(db.clone());
        CHECK_THROWS_AS(optim::clip_grad_norm_({a, b}, 1, p, true), ValueError);
        CHECK_FALSE(std::isfinite(optim::clip_grad_norm_({a, b}, 1, p)));
        CHECK(equal(a.grad(), da));
        CHECK(allclose(b.grad(), db, 0, 0, true));
      }
  const Tensor a = leaf(zeros({2}));
  a.set_grad(tensor({INFINITY, 0}));
  CHECK_THROWS_WITH(optim::clip_grad_norm_({a}, 1, 2, true),
                    "clip_grad_norm_: expected finite gradients, got a norm of inf");
}

}  // namespace test_clip
