// Lengths, distances and angles.
#include <limpid/limpid.hpp>

#include <cmath>
#include <string>

#include <limpid/tests/catch.hpp>

namespace test_distance {

using namespace limpid;

TEST_CASE("distances are formed from differences, far from the origin too") {
  const Tensor a = reshape(tensor({512695, 1}), {2, 1}), b = reshape(tensor({512804, 512695}), {2, 1});
  CHECK(equal(select(cdist(a, b), 0, 0), tensor({109, 0})));
  const Tensor x = reshape(tensor({1, 2, 4, 6}, float64), {2, 2}).set_requires_grad();
  const Tensor d = cdist(x, x);
  CHECK(equal(d.detach(), reshape(tensor({0, 5, 5, 0}, float64), {2, 2})));
  // At distance 0 the gradient is 0.
  CHECK(equal(grad({d}, {x}, {eye(2, float64)})[0], zeros({2, 2}, float64)));
  CHECK(select(select(cdist(x, x, 1), 0, 0), 0, 1).item<double>() == 7);
  CHECK(select(select(cdist(x, x, INFINITY), 0, 0), 0, 1).item<double>() == 4);
  CHECK(cdist(zeros({0, 3}), zeros({4, 3})).shape() == Shape{0, 4});
  CHECK_THROWS_WITH(cdist(zeros({2, 3}), zeros({2, 4})),
                    "cdist: expected a of shape (..., P, M) and b of shape (..., R, M), got (2, 3) and (2, 4)");
}

TEST_CASE("vectors are normalised and compared by angle, be they zero or large") {
  const Tensor x = reshape(tensor({3, 4, 0, 0, 3e30, 4e30}), {3, 2});
  CHECK(allclose(normalize(x), reshape(tensor({0.6, 0.8, 0, 0, 0.6, 0.8}), {3, 2}), 1e-6, 0));
  CHECK(allclose(cosine_similarity(x, tensor({4, 3})), tensor({0.96, 0, 0.96}), 1e-6, 0));
  CHECK(allclose(pairwise_distance(x, flip(x, {1}), 2, 0), std::sqrt(2.0) * tensor({1, 0, 1e30}), 1e-6, 0));
  const Tensor zero = zeros({1, 2}, float64).set_requires_grad();
  CHECK_FALSE(any(isnan(grad({normalize(zero)}, {zero}, {ones({1, 2}, float64)})[0])).item<bool>());
  CHECK_THROWS_AS(normalize(x, 2, 1, -1), ValueError);
}

TEST_CASE("distances refuse norms that are none, and numbers out of range, in their own names") {
  const Tensor x = ones({2, 3});
  for (const double p : {std::nan(""), 0.0, -1.0}) {
    const std::string message = ": expected p > 0, got " + std::string(std::isnan(p) ? "nan" : p == 0 ? "0" : "-1");
    CHECK_THROWS_WITH(cdist(x, x, p), "cdist" + message);
    CHECK_THROWS_WITH(normalize(x, p), "normalize" + message);
    CHECK_THROWS_WITH(pairwise_distance(x, x, p), "pairwise_distance" + message);
  }
  CHECK_THROWS_WITH(pairwise_distance(x, x, 2, 1e300),
                    "pairwise_distance: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(pairwise_distance(x, x, 1e300),
                    "pairwise_distance: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(normalize(x, 1e300), "normalize: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(cdist(x, x, 1e-300), "cdist: expected p > 0, got 0");
}

TEST_CASE("a trace is the sum of the diagonal") {
  CHECK(trace(reshape(arange(6), {2, 3})).item<int64_t>() == 4);
  CHECK_THROWS_WITH(trace(zeros({2})), "trace: expected a matrix, got x of shape (2,)");
}

}  // namespace test_distance
