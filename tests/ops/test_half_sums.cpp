// Half precision is rounded once, at the end. A sum in the narrow type sticks, at 256 in bfloat16 and 2048 in float16;
// what lies between an op's steps would overflow there, or lose its digits.
#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/autograd/transforms.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/norm.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/window.hpp>

#include <cmath>

#include <set>
#include <string>

#include "../catch.hpp"
#include "op_table.hpp"

namespace test_half_sums {

using namespace limpid;

double value(const Tensor& x) { return x.detach().to(float64).item<double>(); }

// The numbers of half precision, as float32 where wide.
Tensors inputs_of(const OpRow& row, DType dtype, double scale, bool wide) {
  Tensors xs = row.draw();
  for (Tensor& x : xs)
    if (x.defined() && is_floating_point(x.dtype())) {
      x = (x * scale).to(dtype);
      if (wide) x = x.to(float32);
    }
  return xs;
}

// NaN equals NaN.
bool same(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(float32), y = b.to(float32), both = isnan(x) && isnan(y);
  return x.shape() == y.shape() && all(x == y || both).item<bool>();
}

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

TEST_CASE("gradients of half precision that samples or ties share do not stick") {
  for (const DType dtype : {float16, bfloat16}) {
    INFO(dtype);
    const int64_t n = 1024;
    const Tensor x = randn({n, 1, 3}).to(dtype), weight = ones({1}, dtype),
                 bias = zeros({1}, dtype).set_requires_grad();
    const auto slope = [&](const Tensor& y) { return value(grad({sum(y)}, {bias})[0]); };
    CHECK(slope(instance_norm(x, {.weight = weight, .bias = bias, .lengths = full({n, 1}, 3, int64)})) == 3 * n);
    CHECK(slope(group_norm(x, 1, {.bias = bias, .mask = ones({3}, bool_)})) == 3 * n);
    CHECK(slope(instance_norm(x, {.weight = ones({n, 1}, dtype), .bias = bias})) == 3 * n);
    // Of more than there are numbers below float16's infinity.
    const Tensor same = zeros({100000}, dtype).set_requires_grad();
    CHECK(value(sum(grad({median(same)}, {same}, {full({}, 1024, dtype)})[0].to(float32))) ==
          Approx(1024).epsilon(0.01));
    CHECK(value(jvp([](const Tensor& z) { return median(z); }, {same.detach()}, {ones({100000}, dtype)}).dys[0]) == 1);
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

TEST_CASE("every op's results in half precision are those of float32, rounded once") {
  const NoGradGuard guard;
  // Whose rows do arithmetic of their own on what they are given.
  const std::set<std::string> others{"instance_norm (running statistics)",
                                     "instance_norm (running statistics, per sample)",
                                     "batch_norm (running statistics)"};
  int compared = 0;
  for (const OpRow& row : op_table())
    for (const DType dtype : {float16, bfloat16})
      for (const double scale : {1.0, 300.0}) {
        if (row.of_library || others.count(row.name())) continue;
        CAPTURE(row.name(), dtype, scale);
        Tensors wide;
        try {
          wide = row.f(inputs_of(row, dtype, scale, true));
        } catch (const Error&) {
          continue;  // out of the op's domain
        }
        const Tensors got = row.f(inputs_of(row, dtype, scale, false));
        REQUIRE(got.size() == wide.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
          if (got[i].dtype() != dtype || wide[i].dtype() != float32) continue;
          CHECK(same(got[i], wide[i].to(dtype)));
          ++compared;
        }
      }
  CHECK(compared > 800);
}

TEST_CASE("what half precision does not hold between the steps of an op does it no harm") {
  // A variance of 90,000 in float16, one of 1e-10, and one of 1e40 in float32.
  CHECK(value(stddev(tensor({300, -300}, float16))) == 300);
  CHECK(value(stddev(tensor({0x1p-14, -0x1p-14}, float16))) == 0x1p-14);
  CHECK(value(stddev(tensor({1e20, -1e20}))) == Approx(1e20));
  CHECK(value(stddev(tensor({1e-30, -1e-30}))) == Approx(1e-30));
  const auto slope = [](const Tensor& x) { return grad({stddev(x)}, {x})[0].to(float64); };
  CHECK(equal(slope(tensor({300, -300}, float16).set_requires_grad()), tensor({0.5, -0.5}, float64)));
  CHECK(equal(slope(tensor({1e20, -1e20}).set_requires_grad()), tensor({0.5, -0.5}, float64)));
  CHECK(equal(slope(tensor({2, 2}, float16).set_requires_grad()), zeros({2}, float64)));
  CHECK(std::isnan(value(stddev(tensor({1, NAN}, float16)))));

  for (const DType dtype : {float16, bfloat16}) {
    INFO(dtype);
    // No number of it lies between 1 - 1e-6 and 1.
    const Tensor p = tensor({0, 0.5, 1}, dtype).set_requires_grad(), logits = logit(p, 1e-6);
    CHECK(same(logits.detach(), logit(p.detach().to(float32), 1e-6).to(dtype)));
    CHECK(all(isfinite(logits)).item<bool>());
    CHECK(equal(grad({logits}, {p}, {ones({3}, dtype)})[0], tensor({0, 4, 0}, dtype)));
  }
  // sigmoid(-18) is none of float16 but for few digits, the product with 1024 is one.
  const Tensor pair = tensor({1024, -18}, float16), wide = pair.to(float32);
  CHECK(equal(glu(pair, 0), glu(wide, 0).to(float16)));
  const Tensor far = tensor({20000, -30}, float16).set_requires_grad();
  CHECK(all(isfinite(grad({glu(far, 0)}, {far}, {ones({1}, float16)})[0])).item<bool>());
  const Tensor steps = tensor({1, 2049, 2, 4000.0}, float16);
  CHECK(equal(diff(steps, 3), diff(steps.to(float32), 3).to(float16)));
}

}  // namespace test_half_sums
