// moments() against long double over shapes, axes and layouts, and merge() against the whole.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_moments {

using namespace limpid;
using plain::values;

using Real = long double;
constexpr Real unit = 0x1p-53L;

struct Sums {
  std::vector<Real> mean, variance, largest;
};

/// Per kept position of x, from values in row-major order, in two passes and long double.
Sums reference(const Tensor& x, const Axes& given) {
  const Axes axes = normalize_axes(given, x.dim(), "reference");
  std::vector<std::size_t> to;
  Shape kept = x.shape();
  for (const int64_t axis : axes) kept[static_cast<std::size_t>(axis)] = 1;
  const Strides steps = contiguous_strides(kept), from = contiguous_strides(x.shape());
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t at = 0;
    for (std::size_t k = 0; k < kept.size(); ++k)
      if (kept[k] != 1) at += i / from[k] % x.shape()[k] * steps[k];
    to.push_back(static_cast<std::size_t>(at));
  }
  const std::vector<double> v = values(x);
  const auto slots = static_cast<std::size_t>(kept.numel());
  const Real count = static_cast<Real>(x.numel()) / static_cast<Real>(slots);
  Sums out{std::vector<Real>(slots), std::vector<Real>(slots), std::vector<Real>(slots)};
  std::vector<Real> first(slots);
  for (std::size_t i = v.size(); i-- > 0;) first[to[i]] = static_cast<Real>(v[i]);
  for (std::size_t i = 0; i < v.size(); ++i) {
    out.mean[to[i]] += (static_cast<Real>(v[i]) - first[to[i]]) / count;
    out.largest[to[i]] = std::max(out.largest[to[i]], std::fabs(static_cast<Real>(v[i])));
  }
  for (std::size_t i = 0; i < v.size(); ++i) {
    const Real d = (static_cast<Real>(v[i]) - first[to[i]]) - out.mean[to[i]];
    out.variance[to[i]] += d * d / count;
  }
  for (std::size_t i = 0; i < slots; ++i) out.mean[i] += first[i];
  return out;
}

void check_exact(const Moments& m, const Sums& want) {
  const auto mean = values(m.mean), variance = values(m.variance);
  REQUIRE(mean.size() == want.mean.size());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    CHECK(std::fabs(static_cast<Real>(mean[i]) - want.mean[i]) <= 2 * unit * want.largest[i]);
    CHECK(std::fabs(static_cast<Real>(variance[i]) - want.variance[i]) <= 0x1p-44L * want.variance[i]);
  }
}

const std::vector<Axes> axis_sets = {{}, 0, 1, 2, 3, {0, 1}, {0, 2}, {0, 3}, {1, 2}, {2, 3}, {0, 2, 3}, {0, 1, 3}};

/// The bound that merge() states, for k shards.
void check_merged(const Moments& m, const Sums& want, Real largest_mean, int shards) {
  const Real share = 4 * static_cast<Real>(shards) * unit, e = share * largest_mean;
  const Real mean = static_cast<Real>(m.mean.item<double>()), variance = static_cast<Real>(m.variance.item<double>());
  CHECK(std::fabs(mean - want.mean[0]) <= e);
  CHECK(std::fabs(variance - want.variance[0]) <=
        share * want.variance[0] + 2 * e * std::sqrt(want.variance[0]) + e * e);
}

TEMPLATE_TEST_CASE("moments agree with long double over every set of axes and layout", "", float, double) {
  manual_seed(1);
  const DType dtype = dtype_of<TestType>();
  int number = 0;
  for (const Shape& shape : {Shape{3, 4, 5, 6}, Shape{1, 17, 1, 33}, Shape{2, 3, 130, 70}, Shape{40, 1, 2, 300}}) {
    const Tensor base = randn(shape, dtype) * 3.0 + 1e4;
    Shape larger = shape;
    for (int64_t& size : larger) size = 2 * size + 1;
    const Tensor gaps = slice(slice(randn(larger, dtype), 1, 1, 2 * shape[1], 2), 3, 0, 2 * shape[3], 2);
    for (const Tensor& x :
         {base, base.contiguous(MemoryFormat::channels_last), transpose(base, 0, 3), transpose(base, 1, 2),
          slice(slice(gaps, 0, 0, shape[0]), 2, 0, shape[2]), flip(base, {1, 3}), expand(slice(base, 2, 0, 1), shape),
          expand(slice(base, 0, 0, 1), shape)})
      for (const Axes& axes : axis_sets) {
        if (test::is_thinned_out(number++, 5)) continue;
        INFO("shape " << to_string(x.shape()) << " strides " << to_string(x.strides()) << " axes "
                      << to_string(Shape(axes.begin(), axes.end())));
        const Moments m = moments(x, axes);
        CHECK(m.mean.dtype() == float64);
        CHECK(m.mean.shape() == mean(x, axes).shape());
        CHECK(m.variance.shape() == m.mean.shape());
        CHECK(m.count * m.mean.numel() == x.numel());
        check_exact(m, reference(x, axes));
      }
  }
}

TEST_CASE("moments of hard numbers are exact") {
  struct Case {
    const char* name;
    double offset, spread;
    DType dtype;
  };
  manual_seed(2);
  for (const Case& c : {Case{"mean 1e4, spread 1e-2", 1e4, 1e-2, float32}, Case{"1e30", 0, 1e30, float32},
                        Case{"near the largest", 3e38, 1e37, float32}, Case{"denormal", 0, 1e-41, float32},
                        Case{"offset 1e7 spreads", 1e7, 1, float32}, Case{"constant", 0.1, 0, float32},
                        Case{"offset 1e12 spreads", 1e12, 1, float64}, Case{"1e150", 0, 1e150, float64}})
    for (const int64_t s : {1, 2, 100, 9000, 300000}) {
      CAPTURE(c.name, s);
      Tensor x = (randn({2, s}, float64) * c.spread + c.offset);
      if (c.dtype == float32) x = clamp(x, -3.4e38, 3.4e38).to(float32);
      check_exact(moments(x, 1), reference(x, 1));
    }
}

TEST_CASE("moments keep reduced axes where asked, and know the count") {
  const Tensor x = arange(24, float32), y = reshape(x, {2, 3, 4});
  CHECK(moments(y, 1, true).mean.shape() == Shape{2, 1, 4});
  CHECK(moments(y, {0, 2}).variance.shape() == Shape{3});
  CHECK(moments(y, {0, 2}).count == 8);
  const Moments all_of = moments(y);
  CHECK(all_of.mean.item<double>() == 11.5);
  CHECK(all_of.variance.item<double>() == 575.0 / 12);
  CHECK(all_of.count == 24);
}

TEST_CASE("moments of integers, half precision and scalars") {
  const Moments counts = moments(tensor({1, 2, 3, 6}, int64)), one = moments(full({}, 2.5));
  CHECK(counts.mean.item<double>() == 3);
  CHECK(counts.variance.item<double>() == 3.5);
  CHECK(one.mean.item<double>() == 2.5);
  CHECK(one.variance.item<double>() == 0);
  CHECK(one.count == 1);
  const Tensor x = randn({3, 4}).to(bfloat16);
  CHECK(equal(moments(x, 1).mean, moments(x.to(float64), 1).mean));
  CHECK(moments(tensor({0, 1, 1, 1}, bool_)).mean.item<double>() == 0.75);
}

TEST_CASE("moments over no elements are NaN, of no sets empty") {
  const Moments none = moments(zeros({3, 0, 2}), 1), empty_result = moments(zeros({3, 0, 2}), 2);
  CHECK(none.count == 0);
  CHECK(none.mean.shape() == Shape{3, 2});
  CHECK(all(isnan(none.mean)).item<bool>());
  CHECK(all(isnan(none.variance)).item<bool>());
  CHECK(empty_result.mean.shape() == Shape{3, 0});
  CHECK(empty_result.count == 2);
}

TEST_CASE("NaN and infinity stay in their set of moments") {
  manual_seed(3);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const Tensor x = randn({3, 50}), clean = x.clone();
    select(select(x, 0, 1), 0, 7).fill_(bad);
    const Moments a = moments(x, 1), b = moments(clean, 1);
    for (const int64_t row : {0, 2}) {
      CHECK(equal(select(a.mean, 0, row), select(b.mean, 0, row)));
      CHECK(equal(select(a.variance, 0, row), select(b.variance, 0, row)));
    }
    CHECK(std::isnan(select(a.variance, 0, 1).item<double>()));
  }
}

TEST_CASE("moments are the same bits for any number of threads") {
  manual_seed(4);
  const Tensor x = randn({4, 16, 90, 90});
  for (const Axes& axes : std::vector<Axes>{{}, {2, 3}, {0, 2, 3}, {0, 1}, 1})
    plain::check_threads([&] {
      const Moments m = moments(x, axes);
      return Tensors{m.mean, m.variance};
    });
}

TEST_CASE("merged moments are those of the whole, for any number and size of shards") {
  std::mt19937 random(5);
  manual_seed(5);
  for (const double offset : {0.0, 1e4, -1e7, 1e12})
    for (const double spread : {1.0, 1e-3})
      for (const int shards : {1, 2, 3, 17, 200}) {
        CAPTURE(offset, spread, shards);
        Moments m = moments(zeros({0}));
        Tensors parts;
        Real largest_mean = 0;
        for (int i = 0; i < shards; ++i) {
          // Empty ones, single elements and large ones; the means drift.
          const int64_t size = i % 5 == 1 ? 0 : i % 3 == 0 ? 1 : static_cast<int64_t>(random() % 400);
          parts.push_back(randn({size}, float64) * spread + (offset + spread * i));
          const Moments part = moments(parts.back());
          if (size) largest_mean = std::max(largest_mean, std::fabs(static_cast<Real>(part.mean.item<double>())));
          m = i % 2 ? merge(m, part) : merge(part, m);
        }
        const Tensor whole = cat(parts, 0);
        CHECK(m.count == whole.numel());
        check_merged(m, reference(whole, {}), largest_mean, shards);
      }
}

TEST_CASE("moments far apart are merged without leaving the range") {
  const auto of = [](double mean, int64_t count) {
    return Moments{full({}, mean, float64), full({}, 0, float64), count};
  };
  const auto merged = [&](double a, int64_t of_a, double b, int64_t of_b) {
    const Moments m = merge(of(a, of_a), of(b, of_b)), swapped = merge(of(b, of_b), of(a, of_a));
    CHECK(m.mean.item<double>() == Approx(swapped.mean.item<double>()));
    CHECK(m.variance.item<double>() == Approx(swapped.variance.item<double>()));
    return std::pair{m.mean.item<double>(), m.variance.item<double>()};
  };
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(merged(1e308, 1, -1e308, 3) == std::pair{-5e307, infinity});
  CHECK(merged(1e308, 1, -1e308, 1) == std::pair{0.0, infinity});
  CHECK(merged(infinity, 1, 1, 1).first == infinity);
  // The square of the distance alone would be infinite, what it counts for is not.
  const auto [mean, variance] = merged(1e160, 1, 0, int64_t{1} << 60);
  CHECK(mean == Approx(1e160 / 0x1p60));
  CHECK(variance == Approx(1e160 / 0x1p60 * 1e160));
}

TEST_CASE("a tree of merged shards is as good as a chain") {
  manual_seed(6);
  const Tensor x = randn({1000}, float64) + 1e6;
  std::vector<Moments> level;
  for (int64_t i = 0; i < 1000; i += 8) level.push_back(moments(slice(x, 0, i, i + 8)));
  const int shards = static_cast<int>(level.size());
  while (level.size() > 1) {
    std::vector<Moments> next;
    for (std::size_t i = 0; i + 1 < level.size(); i += 2) next.push_back(merge(level[i], level[i + 1]));
    if (level.size() % 2) next.push_back(level.back());
    level = next;
  }
  check_merged(level[0], reference(x, {}), 1e6L, shards);
}

TEST_CASE("merging per-channel moments of batches gives those of all samples") {
  manual_seed(7);
  const Tensor x = randn({6, 3, 4, 5}) + 100.0;
  const Moments whole = moments(x, {0, 2, 3});
  const Moments m = merge(moments(slice(x, 0, 0, 4), {0, 2, 3}), moments(slice(x, 0, 4, 6), {0, 2, 3}));
  CHECK(m.count == whole.count);
  CHECK(allclose(m.mean, whole.mean, 1e-14, 0));
  CHECK(allclose(m.variance, whole.variance, 1e-12, 0));
}

TEST_CASE("an empty side adds nothing to merged moments") {
  const Moments a = moments(tensor({1, 2, 4})), none = moments(zeros({0}));
  for (const Moments& m : {merge(a, none), merge(none, a)}) {
    CHECK(equal(m.mean, a.mean));
    CHECK(equal(m.variance, a.variance));
    CHECK(m.count == 3);
  }
  CHECK(merge(none, none).count == 0);
}

TEST_CASE("gradients of merged moments are those of the whole") {
  manual_seed(8);
  Tensor x = randn({5, 3}, float64), split_x = x.clone();
  const Tensor dmean = randn({3}, float64), dvariance = randn({3}, float64);
  x.set_requires_grad(), split_x.set_requires_grad();
  const Moments whole = moments(x, 0),
                m = merge(moments(slice(split_x, 0, 0, 2), 0), moments(slice(split_x, 0, 2, 5), 0));
  const Tensor a = grad({whole.mean, whole.variance}, {x}, {dmean, dvariance})[0];
  const Tensor b = grad({m.mean, m.variance}, {split_x}, {dmean, dvariance})[0];
  CHECK(allclose(a, b, 1e-12, 1e-13));
  CHECK_FALSE(allclose(a, zeros_like(a), 0, 1e-3));
}

TEST_CASE("float32 x gets float32 gradients from float64 moments") {
  manual_seed(9);
  Tensor x = randn({2, 7});
  x.set_requires_grad();
  const Moments m = moments(x, 1);
  const Tensor dx = grad({m.variance}, {x}, {ones({2}, float64)})[0];
  CHECK(dx.dtype() == float32);
  CHECK(allclose(dx, (x - mean(x, 1, true)).detach() * (2.0 / 7), 1e-6, 1e-6));
}

TEST_CASE("moments and merge refuse what does not fit in words") {
  const Tensor three = zeros({3}, float64), four = zeros({4}, float64);
  CHECK_THROWS_WITH(moments({}), "moments: expected a defined tensor, got an undefined tensor");
  CHECK_THROWS_AS(moments(zeros({2, 3}), 2), ShapeError);
  CHECK_THROWS_AS(moments(zeros({2, 3}), {0, 0}), ShapeError);
  CHECK_THROWS_WITH(merge({three, three, 1}, {four, four, 1}),
                    "merge: expected moments of one shape, got (3,) and (4,)");
  CHECK_THROWS_WITH(merge({three, four, 1}, {three, three, 1}),
                    "merge: expected a with mean and variance of one shape, got (3,) and (4,)");
  CHECK_THROWS_WITH(merge({three, three, 1}, {}),
                    "merge: expected b with a defined mean and variance, got an undefined tensor");
  CHECK_THROWS_WITH(merge({three, three, -1}, {three, three, 1}),
                    "merge: expected a with a count of at least 0, got -1");
  CHECK_THROWS_WITH(merge({zeros({3}), three, 1}, {three, three, 1}),
                    "merge: expected a of dtype float64, got float32 and float64");
  const int64_t most = std::numeric_limits<int64_t>::max();
  CHECK_THROWS_WITH(merge({three, three, most}, {three, three, 1}),
                    "merge: expected counts whose sum fits 64 bits, got 9223372036854775807 and 1");
}

}  // namespace test_moments
