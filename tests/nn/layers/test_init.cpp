#include <limpid/limpid.hpp>

#include <cmath>

#include "../../catch.hpp"

namespace test_init {

using namespace limpid;

double spread(const Tensor& x) { return stddev(x.detach()).item<double>(); }

TEST_CASE("initialisers have the spread their papers ask for") {
  manual_seed(2);
  const Tensor w = empty({64, 16, 3, 3});
  CHECK(nn::init::fans(w).in == 144);
  CHECK(nn::init::fans(w).out == 576);
  nn::init::kaiming_normal_(w);
  CHECK(spread(w) == Approx(std::sqrt(2 / 144.0)).epsilon(0.03));
  nn::init::kaiming_uniform_(w, {.fan = nn::init::Fan::out});
  CHECK(spread(w) == Approx(std::sqrt(2 / 576.0)).epsilon(0.03));
  nn::init::xavier_uniform_(w, 2);
  CHECK(spread(w) == Approx(2 * std::sqrt(2 / 720.0)).epsilon(0.03));
  nn::init::xavier_normal_(w);
  CHECK(spread(w) == Approx(std::sqrt(2 / 720.0)).epsilon(0.03));
  nn::init::normal_(w, 3, 0.5);
  CHECK(mean(w).item<double>() == Approx(3).margin(0.03));
  nn::init::uniform_(w, -2, -1);
  CHECK(max(w).item<double>() <= -1);
  CHECK(min(w).item<double>() >= -2);
}

TEST_CASE("orthogonal_ gives orthonormal rows or columns, times gain") {
  for (const Shape& shape : {Shape{3, 5}, Shape{5, 3}, Shape{4, 2, 3}}) {
    const Tensor w = empty(shape, float64);
    nn::init::orthogonal_(w, 2);
    const Tensor m = reshape(w, {shape[0], -1}), t = transpose(m, 0, 1);
    const Tensor product = m.size(0) <= m.size(1) ? matmul(m, t) : matmul(t, m);
    CHECK(allclose(product, 4 * eye(product.size(0), float64), 1e-12, 1e-12));
  }
}

TEST_CASE("initialisers write in place to a leaf, of any floating-point dtype and layout") {
  nn::Linear linear(2, 3);
  const uint32_t version = linear.weight.version();
  nn::init::ones_(linear.weight);
  CHECK(linear.weight.version() > version);
  CHECK(equal(linear.weight.detach(), ones({3, 2})));
  const Tensor half = empty({100}, float16);
  nn::init::normal_(half);
  CHECK(spread(half.to(float32)) == Approx(1).epsilon(0.3));
  const Tensor x = zeros({4, 4});
  nn::init::uniform_(transpose(slice(x, 1, 0, 2), 0, 1), 1, 2);
  CHECK(min(slice(x, 1, 0, 2)).item<double>() >= 1);
  CHECK(equal(slice(x, 1, 2), zeros({4, 2})));
}

TEST_CASE("initialisers draw from the generator given, else from the default one") {
  const auto check = [](const auto& fill) {
    const Tensor a = empty({4, 3}), b = empty({4, 3}), c = empty({4, 3}), d = empty({4, 3});
    Generator one(5), two(5);
    fill(a, one);
    fill(b, two);
    fill(c, two);
    CHECK(equal(a, b));
    CHECK_FALSE(equal(b, c));
    manual_seed(5);
    fill(d, default_generator());
    CHECK(equal(a, d));
  };
  check([](const Tensor& x, Generator& g) { nn::init::uniform_(x, -1, 1, g); });
  check([](const Tensor& x, Generator& g) { nn::init::normal_(x, 0, 1, g); });
  check([](const Tensor& x, Generator& g) { nn::init::kaiming_uniform_(x, {}, g); });
  check([](const Tensor& x, Generator& g) { nn::init::kaiming_normal_(x, {}, g); });
  check([](const Tensor& x, Generator& g) { nn::init::xavier_uniform_(x, 1, g); });
  check([](const Tensor& x, Generator& g) { nn::init::xavier_normal_(x, 1, g); });
  check([](const Tensor& x, Generator& g) { nn::init::orthogonal_(x, 1, g); });
}

TEST_CASE("initialisers refuse what makes no sense") {
  CHECK_THROWS_WITH(nn::init::fans(zeros({3})), "fans: expected a weight of shape (out, in, *kernel), got (3,)");
  CHECK_THROWS_WITH(nn::init::normal_(zeros({3}, int64)), "normal_: expected a floating-point tensor, got int64");
  CHECK_THROWS_WITH(nn::init::uniform_(zeros({3}), 2, 1), "uniform_: expected high in [2, inf), got 1");
}

}  // namespace test_init
