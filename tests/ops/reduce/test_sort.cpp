// Sorting and what is told from sorted elements: NaN is the greatest number, and ties keep their order.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

namespace test_sort {

using namespace limpid;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Tensor leaf(std::initializer_list<Scalar> values) { return tensor(values, float64).set_requires_grad(); }
Tensor integers(const std::vector<int64_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
bool same(const Tensor& a, const Tensor& b) { return allclose(a, b, 0, 0, true); }

TEST_CASE("sorting is stable up and down, and NaN is the greatest") {
  const Tensor x = tensor({3, not_a_number, 1, 3, -infinity, not_a_number, infinity}, float64);
  const Selection up = sort(x), down = sort(x, 0, true);
  CHECK(same(up.values, tensor({-infinity, 1, 3, 3, infinity, not_a_number, not_a_number}, float64)));
  CHECK(equal(up.indices, integers({4, 2, 0, 3, 6, 1, 5})));
  CHECK(equal(down.indices, integers({1, 5, 6, 0, 3, 2, 4})));
  CHECK(equal(argsort(tensor({0, 1, 0}), -1, true), integers({1, 0, 2})));
  // More than 16 equal elements, which an unstable sort would move.
  const Tensor ones_and_zeros = where(remainder(arange(40), 2) == 0, zeros({40}), 1);
  const Tensor order = argsort(ones_and_zeros);
  CHECK(equal(slice(order, 0, 0, 20), arange(20) * 2));
  CHECK(equal(slice(order, 0, 20), arange(20) * 2 + 1));
}

TEST_CASE("sorting along any axis of any layout and dtype is that of each slice") {
  manual_seed(5);
  const Tensor base = floor(rand({3, 5, 4}) * 6);
  for (const DType dtype : {float32, float64, float16, bfloat16, int64, int32, uint8})
    for (const bool is_strided : {false, true}) {
      const Tensor dense = base.to(dtype),
                   x = is_strided ? permute(permute(dense, {2, 0, 1}).clone(), {1, 2, 0}) : dense;
      for (const int64_t axis : {0, 1, 2, -1}) {
        CAPTURE(dtype, is_strided, axis);
        const Selection sorted = sort(x, axis), top = topk(x, 2, axis);
        CHECK(sorted.values.dtype() == dtype);
        CHECK(equal(gather(dense, axis, sorted.indices), sorted.values));
        CHECK(all(diff(sorted.values.to(float64), 1, axis) >= 0).item<bool>());
        CHECK(equal(sum(sorted.indices, {axis}), sum(argsort(sorted.indices, axis), {axis})));
        const Selection down = sort(x, axis, true);
        CHECK(equal(top.values, slice(down.values, axis, 0, 2)));
        CHECK(equal(top.indices, slice(down.indices, axis, 0, 2)));
      }
    }
}

TEST_CASE("sorting gives the same indices for any number of threads") {
  manual_seed(6);
  const Tensor x = floor(rand({64, 300}) * 50);
  const auto at = [&](int threads) {
    const test::WithThreads with(threads);
    return argsort(x, 1, true);
  };
  CHECK(equal(at(1), at(3)));
}

namespace {

// The indices of x in order, as its definition has it.
template <class T>
std::vector<int64_t> in_order(const std::vector<T>& x, bool descending) {
  const auto less = [](T a, T b) { return a < b || (b != b && a == a); };
  const auto at = [&](int64_t i) { return x[static_cast<std::size_t>(i)]; };
  std::vector<int64_t> index(x.size());
  std::iota(index.begin(), index.end(), int64_t{0});
  std::stable_sort(index.begin(), index.end(),
                   [&](int64_t i, int64_t j) { return descending ? less(at(j), at(i)) : less(at(i), at(j)); });
  return index;
}

// Rows that a selection might stumble over: what stands before and behind every other number, ties, and the largest in
// the places that a bound is not told from.
template <class T>
std::vector<T> row(const std::string& kind, int64_t n, std::mt19937& random) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> x(static_cast<std::size_t>(n));
  const auto below = [&](unsigned bound) { return static_cast<T>(random() % bound); };
  for (int64_t i = 0; i < n; ++i) {
    T& to = x[static_cast<std::size_t>(i)];
    if (kind == "few numbers") to = below(3);
    if (kind == "many numbers") to = static_cast<T>(random());
    if (kind == "ascending") to = static_cast<T>(i);
    if (kind == "descending") to = static_cast<T>(n - i);
    if (kind == "one lane") to = i % 32 == 5 && i >= n / 2 ? T{1} : T{0};
    if (kind == "extremes") {
      constexpr bool is_float = std::is_floating_point_v<T>;
      const T all[] = {Limits::lowest(),
                       Limits::max(),
                       T{0},
                       is_float ? -T{0} : T{1},
                       is_float ? Limits::infinity() : T{2},
                       is_float ? -Limits::infinity() : T{3},
                       is_float ? Limits::quiet_NaN() : Limits::max(),
                       is_float ? -Limits::quiet_NaN() : Limits::lowest(),
                       Limits::min(),
                       is_float ? -Limits::denorm_min() : T{0}};
      to = all[random() % std::size(all)];
    }
    if (kind == "last") to = i >= n - 40 ? static_cast<T>(i) : T{0};
  }
  return x;
}

template <class T>
void check_first(int64_t n, const std::string& kind, std::mt19937& random) {
  const std::vector<T> a = row<T>(kind, n, random), b = row<T>(kind, n, random);
  const Tensor x = stack({from_vector(a, {n}), from_vector(b, {n})});
  for (const bool largest : {false, true}) {
    const Tensor expected = stack({integers(in_order(a, largest)), integers(in_order(b, largest))});
    for (int64_t k : {int64_t{1}, int64_t{16}, int64_t{17}, n / 8, n / 4 + 1, n}) {
      k = std::min(k, n);
      CAPTURE(x.dtype(), n, kind, k, largest, to_string(isa()));
      const Selection top = topk(x, k, 1, largest);
      REQUIRE(equal(top.indices, slice(expected, 1, 0, k)));
      REQUIRE(same(top.values, gather(x, 1, top.indices)));
    }
  }
}

}  // namespace

TEST_CASE("topk is the beginning of a stable sort for any length, k, dtype and instruction set") {
  const test::WithThreads one(1);
  std::mt19937 random(7);
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (const std::string kind :
         {"few numbers", "many numbers", "ascending", "descending", "one lane", "extremes", "last"})
      for (const int64_t n : {1, 31, 33, 128, 191, 257, 1000, 4097, 5000}) {
        check_first<float>(n, kind, random);
        if (n > 1000) continue;
        check_first<int64_t>(n, kind, random);
        check_first<double>(n, kind, random);
        check_first<int32_t>(n, kind, random);
        check_first<uint8_t>(n, kind, random);
      }
  }
}

TEST_CASE("topk gives the same, and its gradient, for any number of threads") {
  manual_seed(8);
  const Tensor x = floor(rand({301, 517}) * 200).set_requires_grad();
  for (const int64_t axis : {0, 1}) {
    const Tensor dy = randn(topk(x, 9, axis).values.shape());
    const auto at = [&](int threads) {
      const test::WithThreads with(threads);
      const Selection top = topk(x, 9, axis);
      return Tensors{top.values.detach(), top.indices, grad({top.values}, {x}, {dy})[0]};
    };
    const Tensors one = at(1), three = at(3);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(equal(one[i], three[i]));
    CHECK(equal(gather(one[2], axis, one[1]), dy));
    CHECK(sum(ne(one[2], 0)).item<int64_t>() == sum(ne(dy, 0)).item<int64_t>());
  }
}

TEST_CASE("topk takes what comes first in order, of any k that there is") {
  const Tensor x = tensor({not_a_number, infinity, 3, 1}, float64);
  CHECK(same(topk(x, 2).values, tensor({not_a_number, infinity}, float64)));
  CHECK(equal(topk(x, 2, 0, false).indices, integers({3, 2})));
  CHECK(topk(x, 0).values.shape() == Shape{0});
  CHECK(topk(zeros({2, 0}), 0, 1).values.shape() == Shape{2, 0});
  CHECK(equal(topk(zeros({20}), 3).indices, integers({0, 1, 2})));
  CHECK_THROWS_WITH(topk(zeros({2, 3}), 4, 1), "topk: expected k in [0, 3] for axis 1 of x of shape (2, 3), got 4");
  CHECK_THROWS_WITH(topk(zeros({2, 0}), 1), "topk: expected k in [0, 0] for axis -1 of x of shape (2, 0), got 1");
}

TEST_CASE("gradients of selections go to the indices") {
  const Tensor x = leaf({2, 5, 2, 5});
  const Tensor dy = tensor({1, 2, 3, 4}, float64);
  CHECK(equal(grad({sort(x).values}, {x}, {dy})[0], tensor({1, 3, 2, 4}, float64)));
  CHECK(equal(grad({topk(x, 2).values}, {x}, {slice(dy, 0, 0, 2)})[0], tensor({0, 1, 0, 2}, float64)));
  // Along an axis the index has it all, over all elements ties share.
  CHECK(equal(grad({max(x, 0).values}, {x}, {ones({}, float64)})[0], tensor({0, 1, 0, 0}, float64)));
  CHECK(equal(grad({max(x)}, {x}, {ones({}, float64)})[0], tensor({0, 0.5, 0, 0.5}, float64)));
  CHECK(equal(grad({min(x, 0).values}, {x}, {ones({}, float64)})[0], tensor({1, 0, 0, 0}, float64)));
  CHECK(equal(grad({median(x, 0).values}, {x}, {ones({}, float64)})[0], tensor({0, 0, 1, 0}, float64)));
  CHECK(equal(grad({median(x)}, {x}, {ones({}, float64)})[0], tensor({0.5, 0, 0.5, 0}, float64)));
}

TEST_CASE("the median of an even count is the lower one, and NaN wins with its index") {
  CHECK(median(tensor({1, 4, 3, 2})).item<float>() == 2);
  const Selection m = median(tensor({4, not_a_number, 1, not_a_number, 2}, float64), 0);
  CHECK(std::isnan(m.values.item<double>()));
  CHECK(m.indices.item<int64_t>() == 1);
  const Tensor x = reshape(arange(24), {2, 3, 4});
  CHECK(median(x, 1, true).values.shape() == Shape{2, 1, 4});
  CHECK(equal(median(x, 2).values, select(x, 2, 1)));
  CHECK_THROWS_AS(median(zeros({0})), ShapeError);
  CHECK_THROWS_AS(median(zeros({2, 0}), 1), ShapeError);
}

TEST_CASE("quantiles lie between neighbours, and beside infinities are no NaN") {
  const auto of = [](std::initializer_list<Scalar> x, double q) {
    return quantile(tensor(x, float64), q).item<double>();
  };
  CHECK(of({1, 2, 3, 4}, 0.5) == 2.5);
  CHECK(of({4, 1, 3, 2}, 0) == 1);
  CHECK(of({4, 1, 3, 2}, 1) == 4);
  CHECK(of({infinity, 5, 4}, 0.5) == 5);
  CHECK(of({0, infinity}, 0.6) == infinity);
  CHECK(of({-infinity, 0}, 0.6) == -infinity);
  CHECK(of({-infinity, infinity, 3}, 0.5) == 3);
  CHECK(std::isnan(of({1, not_a_number, 2}, 0)));
  std::feclearexcept(FE_INVALID);
  CHECK(of({infinity, infinity, 1}, 0.75) == infinity);
  CHECK(std::fetestexcept(FE_INVALID) == 0);  // no difference of infinities
  // Though their difference is infinite.
  CHECK(of({-1e308, 1e308}, 0.5) == 0);
  CHECK(of({-1e308, 1e308}, 0.75) == 5e307);
  CHECK(of({-1.7e308, -1e308, 1e308}, 0.25) == Approx(-1.35e308));
  CHECK(of({-infinity, -1e308, 1e308, infinity}, 0.5) == 0);
  CHECK(quantile(tensor({-3e38, 3e38}), 0.5).item<float>() == 0);
  CHECK(quantile(tensor({-3e38, 3e38}, bfloat16), 0.5).to(float32).item<float>() == 0);
  const Tensor apart = tensor({-1e308, 1e308}, float64).set_requires_grad();
  CHECK(equal(grad({quantile(apart, 0.75)}, {apart})[0], tensor({0.25, 0.75}, float64)));
  const Tensor x = reshape(arange(12).to(float64), {3, 4});
  CHECK(equal(quantile(x, 0.25, 0), tensor({2, 3, 4, 5}, float64)));
  CHECK(quantile(x, 0.25, 1, true).shape() == Shape{3, 1});
  CHECK_THROWS_WITH(quantile(x, 1.5), "quantile: expected q in [0, 1], got 1.5");
  CHECK_THROWS_WITH(quantile(arange(3), 0.5), "quantile: expected a floating-point dtype, got int64");
}

TEST_CASE("unique numbers ascend, with one NaN at the end") {
  const Unique u = unique(tensor({not_a_number, 1, not_a_number, 1}, float64));
  CHECK(same(u.values, tensor({1, not_a_number}, float64)));
  CHECK(equal(u.inverse, integers({1, 0, 1, 0})));
  CHECK(equal(u.counts, integers({2, 2})));
  const Unique v = unique(reshape(integers({3, 1, 3, 2}), {2, 2}));
  CHECK(equal(v.values, integers({1, 2, 3})));
  CHECK(equal(v.inverse, reshape(integers({2, 0, 2, 1}), {2, 2})));
  CHECK(equal(index_select(v.values, 0, reshape(v.inverse, {-1})), integers({3, 1, 3, 2})));
  CHECK(unique(zeros({0})).values.shape() == Shape{0});
  CHECK(unique(tensor({0, -0.0}, float64)).counts.numel() == 1);
}

TEST_CASE("bincount counts, or adds weights up, which get their gradients") {
  CHECK(equal(bincount(integers({1, 3, 1})), integers({0, 2, 0, 1})));
  CHECK(equal(bincount(integers({}), {}, 2), integers({0, 0})));
  const Tensor w = leaf({0.5, 2, 3});
  const Tensor y = bincount(integers({1, 3, 1}), w);
  CHECK(equal(y.detach(), tensor({0, 3.5, 0, 2}, float64)));
  CHECK(equal(grad({y}, {w}, {tensor({1, 2, 3, 4}, float64)})[0], tensor({2, 4, 2}, float64)));
  for (const DType dtype : {bool_, uint8, int32, int64}) {
    const Tensor weights = tensor({200, 100, 7}, int64).to(dtype);
    CHECK(equal(bincount(integers({1, 1, 0}), weights), dtype == bool_ ? integers({1, 2}) : integers({7, 300})));
  }
  CHECK_THROWS_WITH(bincount(integers({1, -2})), "bincount: expected numbers of at least 0, got -2");
  CHECK_THROWS_WITH(bincount(integers({1, INT64_MAX})),
                    "shape: expected at most 2^56 elements, got (72057594037927937,)");
  CHECK_THROWS_WITH(bincount(zeros({2})), "bincount: expected integers, got float32");
  CHECK_THROWS_AS(bincount(integers({1}), zeros({2})), ShapeError);
}

TEST_CASE("searchsorted finds places before or behind equals, NaN behind all") {
  const Tensor bounds = tensor({1, 3, not_a_number}, float64), x = tensor({infinity, not_a_number, 1, 0, 3.5}, float64);
  CHECK(equal(searchsorted(bounds, x), integers({2, 2, 0, 0, 2})));
  CHECK(equal(searchsorted(bounds, x, true), integers({2, 3, 1, 0, 2})));
  const Tensor rows = reshape(arange(6), {2, 3});
  CHECK(equal(searchsorted(rows, reshape(integers({1, 4}), {2, 1})), reshape(integers({1, 1}), {2, 1})));
  CHECK(searchsorted(bounds, zeros({2, 0})).shape() == Shape{2, 0});
  CHECK_THROWS_AS(searchsorted(rows, zeros({3, 2})), ShapeError);
}

}  // namespace test_sort
