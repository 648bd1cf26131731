// Rules that hold for every op they can hold for, each over all of these.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_rules {

using namespace limpid;

constexpr double inf = std::numeric_limits<double>::infinity();

Tensor ints(const std::vector<int64_t>& values) { return from_vector(values, {static_cast<int64_t>(values.size())}); }
Tensor leaf(const Tensor& x) { return x.to(float64).clone().set_requires_grad(); }
bool same(const Tensor& a, const Tensor& b) { return allclose(a.detach(), b.to(a.dtype()), 0, 0, true); }

/// The gradient of f's result, each of its elements weighed by 1.
template <class F>
Tensor slope(const F& f, const Tensor& at) {
  const Tensor x = leaf(at), y = f(x);
  return grad({y}, {x}, {ones(y.shape(), y.dtype())})[0];
}

using Unary = Tensor (*)(const Tensor& x);

TEST_CASE("NaN is the greatest number, to whatever orders numbers") {
  for (const DType dtype : {float64, float32, float16, bfloat16}) {
    CAPTURE(dtype);
    const Tensor x = tensor({NAN, 1, inf, NAN, -inf}, dtype);
    CHECK(same(sort(x).values, tensor({-inf, 1, inf, NAN, NAN}, dtype)));
    CHECK(same(sort(x, 0, true).values, tensor({NAN, NAN, inf, 1, -inf}, dtype)));
    CHECK(equal(argsort(x), ints({4, 1, 2, 0, 3})));
    CHECK(equal(argsort(x, 0, true), ints({0, 3, 2, 1, 4})));
    CHECK(equal(topk(x, 3).indices, ints({0, 3, 2})));
    CHECK(same(topk(x, 3, 0, false).values, tensor({-inf, 1, inf}, dtype)));
    for (const Tensor& y : {max(x), amax(x), amax(x, 0), max(x, 0).values, median(x), median(x, 0).values})
      CHECK(std::isnan(y.item<double>()));
    CHECK(max(x, 0).indices.item<int64_t>() == 0);
    CHECK(argmax(x).item<int64_t>() == 0);
    CHECK(argmax(x, 0).item<int64_t>() == 0);
    CHECK(std::isnan(maximum(x, zeros({5}, dtype))[0].item<double>()));
    const Unique u = unique(x);
    CHECK(same(u.values, tensor({-inf, 1, inf, NAN}, dtype)));
    CHECK(equal(u.inverse, ints({3, 1, 2, 3, 0})));
    CHECK(equal(u.counts, ints({1, 1, 1, 2})));
    const Tensor sorted = tensor({1, inf, NAN}, dtype);
    CHECK(equal(searchsorted(sorted, x), ints({2, 0, 1, 2, 0})));
    CHECK(equal(searchsorted(sorted, x, true), ints({3, 1, 2, 3, 0})));
    CHECK(std::isnan(quantile(x, 0).item<double>()));
    // Of what looks for the least, too, it is what comes out: no number is known to be less.
    for (const Tensor& y : {min(x), amin(x), min(x, 0).values, minimum(x, x)[0]}) CHECK(std::isnan(y.item<double>()));
    CHECK(argmin(x).item<int64_t>() == 0);
  }
}

TEST_CASE("sorting is stable, up and down, in whatever sorts") {
  // Two numbers in turns, many of each, along either axis of a matrix.
  const int64_t n = 70;
  std::vector<int64_t> up, down;
  for (const int64_t first : {0, 1})
    for (int64_t i = first; i < n; i += 2) up.push_back(i);
  for (const int64_t first : {1, 0})
    for (int64_t i = first; i < n; i += 2) down.push_back(i);
  for (const DType dtype : {float64, float32, float16, int64, int32, uint8, bool_}) {
    CAPTURE(dtype);
    const Tensor x = remainder(arange(n), 2).to(dtype), columns = transpose(expand(x, {3, n}), 0, 1).contiguous();
    CHECK(equal(argsort(x), ints(up)));
    CHECK(equal(argsort(x, 0, true), ints(down)));
    CHECK(equal(sort(x, 0, true).indices, ints(down)));
    CHECK(equal(select(argsort(columns, 0, true), 1, 2), ints(down)));
    if (dtype == bool_) continue;
    CHECK(equal(topk(x, n).indices, ints(down)));
    CHECK(equal(topk(x, n, 0, false).indices, ints(up)));
    CHECK(equal(topk(x, 3).indices, ints({1, 3, 5})));
  }
}

TEST_CASE("an extreme along an axis gives its gradient to its index, over several axes ties share it") {
  const Tensor x = tensor({{3, 1, 3}, {3, 0, 2}}, float64);
  const std::pair<const char*, std::pair<Unary, Tensor>> cases[] = {
      {"max", {[](const Tensor& z) { return max(z); }, tensor({{1, 0, 1}, {1, 0, 0}}, float64) / 3}},
      {"amax", {[](const Tensor& z) { return amax(z); }, tensor({{1, 0, 1}, {1, 0, 0}}, float64) / 3}},
      {"amax of one axis", {[](const Tensor& z) { return amax(z, 1); }, tensor({{0.5, 0, 0.5}, {1, 0, 0}}, float64)}},
      {"max along an axis",
       {[](const Tensor& z) { return max(z, 1).values; }, tensor({{1, 0, 0}, {1, 0, 0}}, float64)}},
      {"min", {[](const Tensor& z) { return min(-z); }, tensor({{-1, 0, -1}, {-1, 0, 0}}, float64) / 3}},
      {"amin of an axis", {[](const Tensor& z) { return amin(z, 0); }, tensor({{0.5, 0, 0}, {0.5, 1, 1}}, float64)}},
      {"min along an axis",
       {[](const Tensor& z) { return min(z, 0).values; }, tensor({{1, 0, 0}, {0, 1, 1}}, float64)}},
      {"median",
       {[](const Tensor& z) { return median(slice(z, 1, 0, 3, 2)); }, tensor({{1, 0, 1}, {1, 0, 0}}, float64) / 3}},
      {"median along an axis",
       {[](const Tensor& z) { return median(z, 1).values; }, tensor({{1, 0, 0}, {0, 0, 1}}, float64)}},
      {"topk", {[](const Tensor& z) { return topk(z, 1).values; }, tensor({{1, 0, 0}, {1, 0, 0}}, float64)}},
      {"maximum", {[](const Tensor& z) { return maximum(z[0], z[1]); }, tensor({{0.5, 1, 1}, {0.5, 0, 0}}, float64)}},
  };
  for (const auto& [name, c] : cases) {
    INFO(name);
    CHECK(allclose(slope(c.first, x), c.second, 1e-15, 0));
  }
  CHECK(equal(slope([](const Tensor& z) { return max_pool1d(z, 3); }, x.reshape({1, 2, 3})).reshape({2, 3}),
              tensor({{1, 0, 0}, {1, 0, 0}}, float64)));
}

TEST_CASE("the gradient of clamp is 1 at its bounds, in each form") {
  const Tensor x = tensor({-1, 0, 0.5, 1, 2}, float64), within = tensor({0, 1, 1, 1, 0}, float64);
  const Tensor low = zeros({5}, float64), high = ones({5}, float64);
  CHECK(equal(slope([](const Tensor& z) { return clamp(z, 0, 1); }, x), within));
  CHECK(equal(slope([&](const Tensor& z) { return clamp(z, low, high); }, x), within));
  CHECK(equal(slope([](const Tensor& z) { return clamp_min(clamp_max(z, 1), 0); }, x), within));
  CHECK(equal(slope([&](const Tensor& z) { return clamp_min(clamp_max(z, high), low); }, x), within));
  // The bounds have what x lacks.
  CHECK(equal(slope([&](const Tensor& z) { return clamp(x, z, high); }, low), tensor({1, 0, 0, 0, 0}, float64)));
  CHECK(equal(slope([&](const Tensor& z) { return clamp(x, low, z); }, high), tensor({0, 0, 0, 0, 1}, float64)));
}

TEST_CASE("index tensors take -n to n - 1 in every function of one, and no other number") {
  static const Tensor x = tensor({{1, 2}, {3, 4}, {5, 6}}, float64), rows = ones({2, 2}, float64);
  static const nn::Embedding embedding = nn::Embedding::from_pretrained(x);
  struct Case {
    const char* op;
    Tensor (*f)(const Tensor& row);  // row: of numbers for axis 0, (2,)
    bool is_put;
  };
  const auto wide = [](const Tensor& row) { return expand(unsqueeze(row, 1), {2, 2}); };
  static const auto as_wide = wide;
  const Case cases[] = {
      {"index_select", [](const Tensor& row) { return index_select(x, 0, row); }, false},
      {"gather", [](const Tensor& row) { return gather(x, 0, as_wide(row)); }, false},
      {"take_along_axis", [](const Tensor& row) { return take_along_axis(x, unsqueeze(row, 1), 0); }, false},
      {"index", [](const Tensor& row) { return x.index({row}); }, false},
      {"Embedding", [](const Tensor& row) { return embedding(row); }, false},
      {"index_put_", [](const Tensor& row) { return x.clone().index_put_({row}, rows); }, true},
      {"scatter", [](const Tensor& row) { return scatter(x, 0, as_wide(row), rows); }, true},
      {"scatter_", [](const Tensor& row) { return x.clone().scatter_(0, as_wide(row), rows); }, true},
      {"scatter_add", [](const Tensor& row) { return scatter_add(x, 0, as_wide(row), rows); }, true},
      {"scatter_add",
       [](const Tensor& row) {
         return scatter_add({3, 2}, 0, as_wide(row), rows);
       },
       true},
      {"scatter_add_", [](const Tensor& row) { return x.clone().scatter_add_(0, as_wide(row), rows); }, true},
      {"index_add", [](const Tensor& row) { return index_add(x, 0, row, rows); }, true},
      {"index_add_", [](const Tensor& row) { return x.clone().index_add_(0, row, rows); }, true},
  };
  for (const auto& [op, f, is_put] : cases) {
    INFO(op);
    for (const auto& [below_0, counted] : {std::pair{ints({-1, -3}), ints({2, 0})}, {ints({0, -2}), ints({0, 1})}}) {
      CHECK(equal(f(below_0), f(counted)));
      CHECK(equal(f(below_0.to(int32)), f(counted)));
    }
    for (const int64_t wrong :
         {int64_t{3}, int64_t{-4}, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
      CAPTURE(wrong);
      const std::string message = message_of([&, f = f] { f(ints({0, wrong})); });
      CHECK_THAT(message, ContainsSubstring("in [-3, 3)"));
      CHECK_THAT(message, ContainsSubstring("got " + std::to_string(wrong)));
      if (op != std::string("index_put_")) CHECK_THAT(message, StartsWith(op + std::string(": ")));
    }
    CHECK_THROWS_AS(f(ones({2})), DTypeError);
  }
  // Nothing lies in an axis without elements.
  CHECK_THROWS_AS(index_select(zeros({0, 2}), 0, ints({0})), ValueError);
}

TEST_CASE("of several values for one place the last wins, and alone has the gradient") {
  const Tensor base = tensor({1, 2, 3}, float64), values = tensor({10, 20, 30}, float64), at = ints({1, 1, -2});
  using Put = Tensor (*)(const Tensor& x, const Tensor& at, const Tensor& values);
  const std::pair<const char*, Put> puts[] = {
      {"scatter", [](const Tensor& x, const Tensor& i, const Tensor& v) { return scatter(x, 0, i, v); }},
      {"scatter_",
       [](const Tensor& x, const Tensor& i, const Tensor& v) {
         Tensor y = x * 1.0;
         return y.scatter_(0, i, v);
       }},
      {"index_put_",
       [](const Tensor& x, const Tensor& i, const Tensor& v) {
         Tensor y = x * 1.0;
         return y.index_put_({i}, v);
       }},
  };
  for (const auto& [name, put] : puts) {
    INFO(name);
    const Tensor x = leaf(base), v = leaf(values), y = put(x, at, v);
    CHECK(equal(y.detach(), tensor({1, 30, 3}, float64)));
    const Tensors dx = grad({y}, {x, v}, {tensor({2, 5, 7}, float64)});
    CHECK(equal(dx[0], tensor({2, 0, 7}, float64)));
    CHECK(equal(dx[1], tensor({0, 0, 5}, float64)));
  }
}

TEST_CASE("a mean over no targets is 0 with zero gradients, in every loss") {
  const auto none = [](const Shape& shape) { return zeros(shape, float64); };
  const std::pair<const char*, std::pair<Tensor (*)(const Tensor& x, const Tensor& t), Shape>> losses[] = {
      {"mse_loss", {[](const Tensor& x, const Tensor& t) { return mse_loss(x, t); }, {0, 3}}},
      {"l1_loss", {[](const Tensor& x, const Tensor& t) { return l1_loss(x, t); }, {0, 3}}},
      {"huber_loss", {[](const Tensor& x, const Tensor& t) { return huber_loss(x, t); }, {0, 3}}},
      {"smooth_l1_loss", {[](const Tensor& x, const Tensor& t) { return smooth_l1_loss(x, t); }, {3, 0}}},
      {"poisson_nll_loss", {[](const Tensor& x, const Tensor& t) { return poisson_nll_loss(x, t); }, {0}}},
      {"gaussian_nll_loss",
       {[](const Tensor& x, const Tensor& t) { return gaussian_nll_loss(x, t, ones_like(x)); }, {0, 3}}},
      {"kl_div", {[](const Tensor& x, const Tensor& t) { return kl_div(x, t); }, {0, 3}}},
      {"kl_div batchmean",
       {[](const Tensor& x, const Tensor& t) { return kl_div(x, t, Reduction::batchmean); }, {0, 3}}},
      {"binary_cross_entropy", {[](const Tensor& x, const Tensor& t) { return binary_cross_entropy(x, t); }, {0, 3}}},
      {"bce_with_logits", {[](const Tensor& x, const Tensor& t) { return bce_with_logits(x, t); }, {0, 3}}},
      {"hinge_embedding_loss", {[](const Tensor& x, const Tensor& t) { return hinge_embedding_loss(x, t); }, {0, 3}}},
      {"margin_ranking_loss", {[](const Tensor& x, const Tensor& t) { return margin_ranking_loss(x, x * 2, t); }, {0}}},
      {"cosine_embedding_loss",
       {[](const Tensor& x, const Tensor& t) { return cosine_embedding_loss(x, x * 2, t.select(1, 0)); }, {0, 3}}},
      {"triplet_margin_loss",
       {[](const Tensor& x, const Tensor&) { return triplet_margin_loss(x, x * 2, x * 3); }, {0, 3}}},
      {"nll_loss", {[](const Tensor& x, const Tensor& t) { return nll_loss(x, t.select(1, 0).to(int64)); }, {0, 3}}},
      {"cross_entropy",
       {[](const Tensor& x, const Tensor& t) { return cross_entropy(x, t.select(1, 0).to(int64)); }, {0, 3}}},
      {"cross_entropy of probabilities",
       {[](const Tensor& x, const Tensor& t) { return cross_entropy(x, t); }, {0, 3}}},
      {"ignored",
       {[](const Tensor& x, const Tensor& t) {
          return cross_entropy(x, t.select(1, 0).to(int64), {.ignore_index = 0});
        },
        {2, 3}}},
      {"of weight 0",
       {[](const Tensor& x, const Tensor& t) {
          return nll_loss(x, t.select(1, 0).to(int64), {.weight = tensor({0, 1, 1}, float64)});
        },
        {2, 3}}},
  };
  for (const auto& [name, loss] : losses) {
    INFO(name);
    const Tensor x = leaf(none(loss.second)), y = loss.first(x, none(loss.second));
    CHECK(y.item<double>() == 0);
    CHECK(equal(grad({y}, {x})[0], none(loss.second)));
  }
}

TEST_CASE("pools refuse windows that lie wholly in the padding") {
  const Tensor x = ones({1, 1, 8}), image = ones({1, 1, 8, 8}), volume = ones({1, 1, 8, 8, 8});
  const std::string message = ": expected padding of at most half the kernel, got padding = ";
  CHECK_THAT(message_of([&] { max_pool1d(x, 3, {.padding = 2}); }), StartsWith("max_pool1d" + message));
  CHECK_THAT(message_of([&] { max_pool2d(image, 3, {.padding = {1, 2}}); }), StartsWith("max_pool2d" + message));
  CHECK_THAT(message_of([&] { max_pool3d(volume, 3, {.padding = 2}); }), StartsWith("max_pool3d" + message));
  CHECK_THAT(message_of([&] { max_pool2d_with_indices(image, 1, {.padding = 1}); }),
             StartsWith("max_pool2d" + message));
  CHECK_THAT(message_of([&] { avg_pool1d(x, 3, {.padding = 2}); }), StartsWith("avg_pool1d" + message));
  CHECK_THAT(message_of([&] { avg_pool2d(image, 3, {.padding = {2, 1}}); }), StartsWith("avg_pool2d" + message));
  CHECK_THAT(message_of([&] { avg_pool3d(volume, 3, {.padding = 2}); }), StartsWith("avg_pool3d" + message));
  // A window that ceil_mode would begin in the padding is left out.
  CHECK(equal(max_pool1d(ones({1, 1, 5}), 3, {.stride = 3, .padding = 1, .ceil_mode = true}), ones({1, 1, 2})));
  CHECK(
      equal(avg_pool1d(ones({1, 1, 5}), 3, {.stride = 3, .padding = 1, .ceil_mode = true, .count_include_pad = false}),
            ones({1, 1, 2})));
}

TEST_CASE("gradients of what reads one triangle of a symmetric matrix are symmetric") {
  const Tensor a = tensor({{4, 1, 0.5}, {1, 3, -1}, {0.5, -1, 5}}, float64);
  const Tensor weights = tensor({{1, 2, 3}, {4, 9, 6}, {7, 8, 1}}, float64);
  const std::pair<const char*, Tensor> slopes[] = {
      {"cholesky", slope([&](const Tensor& z) { return linalg::cholesky(z) * weights; }, a)},
      {"cholesky, upper", slope([&](const Tensor& z) { return linalg::cholesky(z, true) * weights; }, a)},
      {"eigh, values", slope([&](const Tensor& z) { return linalg::eigh(z).values * weights[0]; }, a)},
      {"eigh, vectors", slope([&](const Tensor& z) { return square(linalg::eigh(z).vectors) * weights; }, a)},
      {"eigvalsh", slope([&](const Tensor& z) { return linalg::eigvalsh(z) * weights[0]; }, a)},
  };
  for (const auto& [name, da] : slopes) {
    INFO(name);
    CHECK(allclose(da, transpose(da, 0, 1), 1e-12, 1e-13));
    CHECK(max(abs(da)).item<double>() > 0.1);
  }
}

TEST_CASE("a vector stands for one only where it has one axis, in whatever solves") {
  const Tensor a = expand(tensor({{2, 1}, {0, 4}}, float64), {2, 2, 2}), b = tensor({{1, 2}, {3, 4}}, float64);
  // (2, 2) is one matrix for both of the batch, and no batch of vectors.
  const Tensor x = linalg::solve(a, b);
  CHECK(x.shape() == Shape{2, 2, 2});
  CHECK(allclose(matmul(a, x), expand(b, {2, 2, 2})));
  CHECK(linalg::solve(a, b[0]).shape() == Shape{2, 2});
  CHECK(allclose(linalg::solve(a, b[0])[1], linalg::solve(a[1], b[0])));
  CHECK(linalg::lstsq(a, b).solution.shape() == Shape{2, 2, 2});
  CHECK(linalg::lstsq(a, b[0]).solution.shape() == Shape{2, 2});
}

TEST_CASE("gradients that are none are refused by name") {
  const Tensor tall = leaf(tensor({{1, 2}, {3, 4}, {5, 7}}, float64)), flat = leaf(ones({3, 2}));
  const auto refused = [](const Tensor& y, const Tensor& x) {
    return message_of([&] { grad({sum(square(y) * (y + 2))}, {x}); });
  };
  CHECK_THAT(refused(linalg::qr(tall, linalg::QrMode::complete).q, tall), ContainsSubstring("qr"));
  CHECK_THAT(refused(linalg::svd(tall, true).u, tall), ContainsSubstring("svd"));
  CHECK_THAT(refused(linalg::lstsq(flat, ones({3}, float64)).solution, flat), ContainsSubstring("lstsq"));
  // What has one, has it.
  CHECK(refused(linalg::qr(tall).q, tall) == "no error");
  CHECK(refused(linalg::svd(tall, false).s, tall) == "no error");
  CHECK(refused(linalg::lstsq(tall, ones({3}, float64)).solution, tall) == "no error");
}

}  // namespace test_rules
