// Cumulative sums, products and log-sums, and differences.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

namespace test_scan {

using namespace limpid;

constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor leaf(std::initializer_list<Scalar> values) { return tensor(values, float64).set_requires_grad(); }

// The same, step by step of ops that other tests hold.
Tensor steps(const Tensor& x, int64_t axis, Tensor (*f)(const Tensor&, const Tensor&)) {
  Tensors ys{select(x, axis, 0)};
  for (int64_t i = 1; i < x.size(axis); ++i) ys.push_back(f(ys.back(), select(x, axis, i)));
  return stack(ys, axis);
}

const struct {
  const char* name;
  Tensor (*op)(const Tensor&, int64_t);
  Tensor (*step)(const Tensor&, const Tensor&);
} scans[] = {{"cumsum", cumsum, add}, {"cumprod", cumprod, mul}, {"logcumsumexp", logcumsumexp, logaddexp}};

TEST_CASE("scans and their derivatives are those of steps") {
  manual_seed(7);
  for (const auto& scan : scans)
    for (const int64_t axis : {0, 1, 2}) {
      CAPTURE(scan.name, axis);
      const Tensor base = randn({3, 5, 70}, float64);
      const Tensor x = permute(permute(base, {2, 0, 1}).clone(), {1, 2, 0}).detach().set_requires_grad();
      const Tensor dy = randn({3, 5, 70}, float64), u = randn({3, 5, 70}, float64);
      const auto derivatives = [&](const Tensor& y) {
        const Tensor dx = grad({y}, {x}, {dy}, {.create_graph = true})[0];
        const Tensor second = dx.requires_grad() ? grad({dx}, {x}, {u}, {.allow_unused = true})[0] : Tensor();
        return Tensors{y.detach(), dx.detach(), second.defined() ? second : zeros_like(dy)};
      };
      const Tensors got = derivatives(scan.op(x, axis)), want = derivatives(steps(x, axis, scan.step));
      for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(i);
        CHECK(allclose(got[i], want[i], 1e-10, 1e-10));
      }
    }
}

TEST_CASE("gradients of a product are exact at zeros, to second order") {
  const Tensor x = leaf({2, 0, 3, 4});
  const Tensor dx = grad({cumprod(x, 0)}, {x}, {ones({4}, float64)}, {.create_graph = true})[0];
  CHECK(equal(dx.detach(), tensor({1, 32, 0, 0}, float64)));
  // sum(y) = a + ab + abc + abcd:  the derivatives of 1 + b + bc + bcd, a (1 + c + cd), ab (1 + d), abc by b, at b = 0.
  const Tensor curve = grad({dx}, {x}, {tensor({1, 0, 0, 0}, float64)})[0];
  CHECK(equal(curve, tensor({0, 16, 0, 0}, float64)));
  const Tensor two = leaf({0, 0, 5});
  CHECK(equal(grad({cumprod(two, 0)}, {two}, {ones({3}, float64)})[0], tensor({1, 0, 0}, float64)));
}

TEST_CASE("log-sums of infinities are no NaN, nor are their gradients") {
  const auto check = [](std::initializer_list<Scalar> values, const Tensor& want) {
    const Tensor x = leaf(values), y = logcumsumexp(x, 0);
    CHECK(equal(y.detach(), want));
    const Tensor dx = grad({y}, {x}, {ones({3}, float64)})[0];
    CHECK_FALSE(any(isnan(dx)).item<bool>());
  };
  check({-infinity, -infinity, 1}, tensor({-infinity, -infinity, 1}, float64));
  check({infinity, infinity, 1}, tensor({infinity, infinity, infinity}, float64));
  check({-infinity, infinity, -infinity}, tensor({-infinity, infinity, infinity}, float64));
  const Tensor large = logcumsumexp(tensor({1000, 1000}, float64), 0);
  CHECK(select(large, 0, 1).item<double>() == Approx(1000 + std::log(2.0)));
}

TEST_CASE("a log-sum of -inf alone gives no gradient to what it is of, as logsumexp") {
  const Tensor x = leaf({-infinity, -infinity, 1, 2, -infinity}), dy = tensor({1, 2, 3, 4, 5}, float64);
  Tensors sums;
  for (int64_t n = 1; n <= 5; ++n) sums.push_back(logsumexp(slice(x, 0, 0, n), 0));
  const Tensor dx = grad({logcumsumexp(x, 0)}, {x}, {dy}, {.create_graph = true})[0];
  CHECK(allclose(dx.detach(), grad({stack(sums)}, {x}, {dy})[0], 1e-14, 0));
  CHECK(equal(slice(dx.detach(), 0, 0, 2), zeros({2}, float64)));
  CHECK(all(isfinite(grad({dx}, {x}, {dy})[0])).item<bool>());
  const Tensor none = leaf({-infinity, -infinity});
  CHECK(equal(grad({logcumsumexp(none, 0)}, {none}, {ones({2}, float64)})[0], zeros({2}, float64)));
}

TEST_CASE("scans of integers are int64 and wrap, those of half precision are float32's") {
  CHECK(equal(cumsum(arange(1, 5).to(int32), 0), from_vector<int64_t>({1, 3, 6, 10}, {4})));
  CHECK(equal(cumsum(ones({3}, bool_), 0), from_vector<int64_t>({1, 2, 3}, {3})));
  CHECK(equal(cumprod(arange(1, 5), 0), from_vector<int64_t>({1, 2, 6, 24}, {4})));
  const Tensor half = full({2000}, 1, bfloat16);
  CHECK(select(cumsum(half, 0), 0, -1).item<float>() == 2000);
  CHECK(cumsum(half, 0).dtype() == bfloat16);
  for (const auto& scan : scans) {
    CHECK(scan.op(zeros({0, 3}), 0).shape() == Shape{0, 3});
    CHECK(scan.op(zeros({2, 0}), 0).shape() == Shape{2, 0});
    CHECK_THROWS_AS(scan.op(zeros({2}), 1), ShapeError);
  }
}

TEST_CASE("scans give the same bits for any number of threads") {
  manual_seed(8);
  const Tensor x = randn({50, 40, 90});
  for (const auto& scan : scans) {
    const auto at = [&](int threads) {
      const test::WithThreads with(threads);
      return scan.op(x, 1);
    };
    CHECK(equal(at(1), at(3)));
  }
}

TEST_CASE("differences go on until nothing is left") {
  const Tensor x = from_vector<int64_t>({1, 4, 9, 16}, {4});
  CHECK(equal(diff(x), from_vector<int64_t>({3, 5, 7}, {3})));
  CHECK(equal(diff(x, 2), from_vector<int64_t>({2, 2}, {2})));
  CHECK(diff(x, 9).shape() == Shape{0});
  CHECK(diff(x, int64_t{1} << 62).shape() == Shape{0});  // at once
  CHECK(equal(diff(x, 0), x));
  CHECK(equal(diff(x > 4), (slice(x, 0, 1) > 4) != (slice(x, 0, 0, 3) > 4)));
  CHECK_THROWS_WITH(diff(x, -1), "diff: expected n of at least 0, got -1");
}

TEST_CASE("spreads of equal values have gradient 0, and what is NaN counts for nothing where asked") {
  const Tensor x = leaf({3, 3, 3});
  CHECK(equal(grad({stddev(x)}, {x}, {ones({}, float64)})[0], zeros({3}, float64)));
  CHECK(std::isnan(stddev(ones({1}), {}, false, 1).item<float>()));
  CHECK(stddev(ones({1})).item<float>() == 0);
  CHECK(stddev(tensor({1, 3})).item<float>() == 1);
  // Where the variance is beyond the dtype's range, its root is not.
  for (const DType dtype : {float16, bfloat16, float32, float64})
    for (const double scale :
         {0x1p-13, 1.0, 0x1p13, dtype == float16 ? 1.0 : 0x1p100, dtype == float16 ? 1.0 : 0x1p-100}) {
      CAPTURE(dtype, scale);
      Tensor wide = tensor({-2 * scale, -2 * scale, 2 * scale, 2 * scale}, float64).to(dtype).set_requires_grad();
      const Tensor y = stddev(wide);
      CHECK(equal(y.detach(), tensor(2 * scale, float64).to(dtype)));
      CHECK(equal(grad({y}, {wide}, {ones({}, dtype)})[0], tensor({-0.25, -0.25, 0.25, 0.25}, float64).to(dtype)));
    }
  const Tensor gaps = tensor({1, NAN, 3, NAN}, float64).set_requires_grad();
  CHECK(nansum(gaps).item<double>() == 4);
  CHECK(nanmean(gaps).item<double>() == 2);
  CHECK(equal(grad({nanmean(gaps)}, {gaps}, {ones({}, float64)})[0], tensor({0.5, 0, 0.5, 0}, float64)));
  CHECK(std::isnan(nanmean(full({2}, NAN)).item<float>()));
  CHECK(count_nonzero(tensor({0, 2, NAN, -0.0})).item<int64_t>() == 2);
}

}  // namespace test_scan
