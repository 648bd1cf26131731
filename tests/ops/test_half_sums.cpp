// Sums of half precision: a sum in the narrow type sticks, at 256 in bfloat16 and 2048 in float16, or overflows.
#include <limpid/autograd/backward.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/norm.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>

#include <cmath>

#include "../catch.hpp"

using namespace limpid;

namespace {

double value(const Tensor& x) { return x.detach().to(float64).item<double>(); }

}  // namespace

TEST_CASE("sums of many small numbers of half precision do not stick") {
  for (const DType dtype : {float16, bfloat16}) {
    INFO(dtype);
    const int64_t n = 4096;
    const Tensor x = ones({n}, dtype), logits = zeros({n}, dtype);
    CHECK(value(sum(x)) == n);
    CHECK(value(mean(x)) == 1);
    CHECK(value(sum(softmax(logits, 0))) == 1);
    CHECK(value(logsumexp(logits, 0)) == Approx(std::log(4096.0)).epsilon(0.004));
    CHECK(value(select(cumsum(x, 0), 0, n - 1)) == n);
    CHECK(value(vector_norm(x)) == 64);
    CHECK(value(limpid::dot(x, x)) == n);
    CHECK(value(matmul(ones({1, n}, dtype), ones({n, 1}, dtype))) == n);
    CHECK(value(conv1d(ones({1, 1, n}, dtype), ones({1, 1, n}, dtype))) == n);
    CHECK(value(avg_pool1d(ones({1, 1, n}, dtype), n)) == 1);
    CHECK(value(adaptive_avg_pool2d(ones({1, 1, 64, 64}, dtype), 1)) == 1);
    CHECK(value(var(cat({zeros({n}, dtype), x}), Axes{0}, false, 0)) == 0.25);
    // Gradients that are sums.
    const Tensor bias = zeros({1}, dtype).set_requires_grad();
    CHECK(value(grad({sum(add(x, bias))}, {bias})[0]) == n);
    CHECK(value(grad({sum(expand(bias, {n}))}, {bias})[0]) == n);
    const Tensor rows = zeros({2, 1}, dtype).set_requires_grad();
    CHECK(value(grad({sum(index_select(rows, 0, zeros({n}, int64)))}, {rows})[0].select(0, 0)) == n);
  }
}

TEST_CASE("a mean, a variance and a norm that float16 holds do not overflow on the way") {
  const Tensor x = full({1000}, 1000, float16), wide = cat({x, full({1000}, -1000, float16)});
  CHECK(value(mean(x)) == 1000);
  CHECK(value(vector_norm(full({16}, 1000, float16))) == 4000);
  CHECK(value(var(full({1000}, 60000, float16))) == 0);
  CHECK(std::isinf(value(sum(full({1000}, 1000, float16)))));
  CHECK(value(select(cumsum(wide, 0), 0, 1999)) == 0);
  const Tensor y = layer_norm(wide, {2000});
  CHECK(value(max(y)) == 1);
  CHECK(value(avg_pool1d(unsqueeze(unsqueeze(x, 0), 0), 1000)) == 1000);
}
