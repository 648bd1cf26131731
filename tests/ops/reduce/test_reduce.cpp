// Reductions against plain loops over all the elements that make one result.
#include <limpid/limpid.hpp>
#include <limpid/ops/reduce/kernels/reduce.hpp>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_reduce {

using namespace limpid;

using Values = std::vector<double>;
constexpr double inf = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

// One call of f per result, on the elements reduced into it, in row-major order.
Values reference(const Tensor& x, const Axes& axes, const std::function<double(const Values&)>& f) {
  const Axes over = normalize_axes(axes, x.dim(), "reference");
  const Shape& shape = x.shape();
  Shape kept = shape;
  for (int64_t axis : over) kept[static_cast<std::size_t>(axis)] = 1;
  const Strides steps = contiguous_strides(kept);
  std::vector<Values> groups(static_cast<std::size_t>(kept.numel()));
  const Values v = plain::values(x);
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t rest = i, to = 0;
    for (std::size_t a = shape.size(); a-- > 0; rest /= shape[a])
      if (kept[a] != 1) to += rest % shape[a] * steps[a];
    groups[static_cast<std::size_t>(to)].push_back(v[static_cast<std::size_t>(i)]);
  }
  Values y;
  for (const Values& group : groups) y.push_back(f(group));
  return y;
}

Shape reference_shape(const Shape& shape, const Axes& axes, bool keepdims) {
  const Axes over = normalize_axes(axes, shape.dim(), "reference");
  Shape result;
  for (int64_t a = 0; a < shape.dim(); ++a) {
    const bool goes = std::binary_search(over.begin(), over.end(), a);
    if (!goes || keepdims) result.push_back(goes ? 1 : shape[static_cast<std::size_t>(a)]);
  }
  return result;
}

bool close(const Tensor& y, const Values& expected, double tolerance) {
  const Values v = plain::values(y);
  if (v.size() != expected.size()) return false;
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (v[i] == expected[i] || (std::isnan(v[i]) && std::isnan(expected[i]))) continue;
    if (!std::isfinite(expected[i]) ||
        !(std::abs(v[i] - expected[i]) <= tolerance * std::max(1.0, std::abs(expected[i])))) {
      UNSCOPED_INFO("at " << i << ": expected " << expected[i] << ", got " << v[i]);
      return false;
    }
  }
  return true;
}

// Integers in [-4, 4] as dtype (0 or 1 for bool, 0 to 8 for uint8).
Tensor numbers(const Shape& shape, DType dtype) {
  return (randint(0, dtype == bool_ ? 2 : 9, shape) - (dtype == bool_ || dtype == uint8 ? 0 : 4)).to(dtype);
}

struct Case {
  Shape shape;
  Axes axes;
};
const std::vector<Case> cases = {{{}, {}},
                                 {{1}, {0}},
                                 {{7}, {}},
                                 {{5, 3}, {0}},
                                 {{5, 3}, {1}},
                                 {{5, 3}, {-1}},
                                 {{2, 3, 4}, {0, 2}},
                                 {{2, 3, 4}, {1}},
                                 {{2, 3, 4, 5}, {0, 2, 3}},
                                 {{2, 3, 4, 5}, {1}},
                                 {{2, 1, 4, 5}, {1, -1}},
                                 {{70, 300}, {0}},
                                 {{70, 300}, {1}},
                                 {{3, 5000}, {1}},
                                 {{5000, 3}, {0}},
                                 {{2, 70, 2, 65}, {0, 2, 3}},
                                 {{0, 3}, {0}},
                                 {{3, 0}, {0}},
                                 {{2, 2, 2, 2, 2, 2, 2, 3}, {1, 3, 5, 7}}};

// The same values in other places.
std::vector<Tensor> layouts(const Tensor& x) {
  std::vector<Tensor> result = {x};
  if (x.dim() == 0) return result;
  Axes reversed;
  for (int64_t a = x.dim(); a-- > 0;) reversed.push_back(a);
  result.push_back(permute(permute(x, reversed).contiguous(), reversed));
  const Tensor apart = stack({x, x}, -1);
  result.push_back(select(apart, -1, 1));
  if (x.dim() >= 3) result.push_back(x.contiguous(MemoryFormat::channels_last));
  return result;
}

struct Op {
  std::string name;
  std::function<Tensor(const Tensor&, const Axes&, bool)> run;
  std::function<double(const Values&)> reference;
  bool needs_elements = false;
};

// In long double: a plain loop in double would be less exact than what it judges.
long double total_of(const Values& v) { return std::accumulate(v.begin(), v.end(), 0.0L); }
double sum_of(const Values& v) { return static_cast<double>(total_of(v)); }
double mean_of(const Values& v) { return static_cast<double>(total_of(v) / static_cast<long double>(v.size())); }
double var_of(const Values& v, double correction) {
  const long double count = static_cast<long double>(v.size()), mean = total_of(v) / count;
  long double squares = 0;
  for (double a : v) squares += (a - mean) * (a - mean);
  return static_cast<double>(squares / std::max(count - correction, 0.0L));
}
double norm_of(const Values& v, double p) {
  long double total = 0;
  for (long double a : v) total = p == inf ? std::max(total, std::abs(a)) : total + std::pow(std::abs(a), p);
  return static_cast<double>(p == inf ? total : std::pow(total, 1 / p));
}
double logsumexp_of(const Values& v) {
  long double total = 0;
  for (long double a : v) total += std::exp(a);
  return static_cast<double>(std::log(total));
}

const std::vector<Op> exact_ops = {
    {"sum", sum, sum_of},
    {"amax", amax, [](const Values& v) { return *std::max_element(v.begin(), v.end()); }, true},
    {"amin", amin, [](const Values& v) { return *std::min_element(v.begin(), v.end()); }, true},
    {"all", all, [](const Values& v) { return std::all_of(v.begin(), v.end(), [](double a) { return a != 0; }); }},
    {"any", any, [](const Values& v) { return std::any_of(v.begin(), v.end(), [](double a) { return a != 0; }); }}};

const std::vector<Op> float_ops = {
    {"mean", mean, mean_of},
    {"var", [](const Tensor& x, const Axes& a, bool k) { return var(x, a, k); },
     [](const Values& v) { return var_of(v, 0); }},
    {"var, unbiased", [](const Tensor& x, const Axes& a, bool k) { return var(x, a, k, 1); },
     [](const Values& v) { return var_of(v, 1); }},
    {"vector_norm 1", [](const Tensor& x, const Axes& a, bool k) { return vector_norm(x, 1, a, k); },
     [](const Values& v) { return norm_of(v, 1); }},
    {"vector_norm 2", [](const Tensor& x, const Axes& a, bool k) { return vector_norm(x, 2, a, k); },
     [](const Values& v) { return norm_of(v, 2); }},
    {"vector_norm 3.5", [](const Tensor& x, const Axes& a, bool k) { return vector_norm(x, 3.5, a, k); },
     [](const Values& v) { return norm_of(v, 3.5); }},
    {"vector_norm inf", [](const Tensor& x, const Axes& a, bool k) { return vector_norm(x, inf, a, k); },
     [](const Values& v) { return norm_of(v, inf); }},
    {"logsumexp", logsumexp, logsumexp_of}};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.contiguous().raw_data(), b.contiguous().raw_data(),
                                               static_cast<std::size_t>(a.numel()) * a.itemsize()) == 0;
}

TEST_CASE("sums, extremes and truth of every dtype, shape and layout are exact") {
  for (const Op& op : exact_ops)
    for (DType dtype : {bool_, uint8, int32, int64, float16, bfloat16, float32, float64})
      for (const Case& c : cases) {
        if (dtype != float32 && c.shape.numel() > 1000) continue;
        for (const Tensor& x : layouts(numbers(c.shape, dtype)))
          for (bool keepdims : {false, true}) {
            INFO(op.name << " of " << dtype << " " << c.shape << ", strides " << x.strides() << ", keepdims "
                         << keepdims);
            if (op.needs_elements && x.numel() == 0 && c.shape[static_cast<std::size_t>(c.axes[0])] == 0) {
              CHECK_THROWS_AS(op.run(x, c.axes, keepdims), ShapeError);
              continue;
            }
            const Tensor y = op.run(x, c.axes, keepdims);
            CHECK(y.shape() == reference_shape(x.shape(), c.axes, keepdims));
            CHECK(close(y, reference(x, c.axes, op.reference), 0));
          }
      }
}

TEST_CASE("means, spreads and norms of every shape and layout") {
  for (const Op& op : float_ops)
    for (DType dtype : {float32, float64})
      for (const Case& c : cases) {
        if (c.shape.numel() == 0) continue;
        for (const Tensor& x : layouts(randn(c.shape, dtype)))
          for (bool keepdims : {false, true}) {
            INFO(op.name << " of " << dtype << " " << c.shape << ", strides " << x.strides() << ", keepdims "
                         << keepdims);
            const Tensor y = op.run(x, c.axes, keepdims);
            CHECK(y.dtype() == dtype);
            CHECK(y.shape() == reference_shape(x.shape(), c.axes, keepdims));
            CHECK(close(y, reference(x, c.axes, op.reference), 8 * plain::epsilon(dtype)));
          }
      }
}

TEST_CASE("results have NumPy's dtypes") {
  CHECK(sum(ones({2}, bool_)).dtype() == int64);
  CHECK(sum(ones({2}, uint8)).dtype() == int64);
  CHECK(prod(ones({2}, int32)).dtype() == int64);
  CHECK(sum(ones({2}, float16)).dtype() == float16);
  CHECK(mean(ones({2}, int64)).dtype() == float32);
  CHECK(max(ones({2}, uint8)).dtype() == uint8);
  CHECK(argmax(ones({2})).dtype() == int64);
  CHECK(all(ones({2})).dtype() == bool_);
  CHECK(softmax(ones({2}, int32), 0).dtype() == float32);
  CHECK(softmax(ones({2}, bfloat16), 0).dtype() == bfloat16);
}

TEST_CASE("reductions over nothing") {
  const Tensor x = zeros({2, 0});
  CHECK(equal(sum(x, 1), zeros({2})));
  CHECK(equal(prod(x, 1), ones({2})));
  CHECK(equal(vector_norm(x, 2, 1), zeros({2})));
  CHECK(std::isnan(mean(x, 1).data<float>()[0]));
  CHECK(all(x).item<bool>());
  CHECK_FALSE(any(x).item<bool>());
  CHECK(logsumexp(x, 1).data<float>()[1] == -inf);
  CHECK(softmax(x, 1).shape() == Shape{2, 0});
  CHECK(sum(x, 0).shape() == Shape{0});
}

TEST_CASE("gradients of reductions over nothing are empty, of every order") {
  const std::vector<std::pair<const char*, std::function<Tensor(const Tensor&)>>> reductions{
      {"sum", [](const Tensor& x) { return sum(x, 1); }},
      {"mean", [](const Tensor& x) { return mean(x, 1); }},
      {"var", [](const Tensor& x) { return var(x, 1); }},
      {"prod", [](const Tensor& x) { return prod(x, 1); }},
      {"vector_norm", [](const Tensor& x) { return vector_norm(x, 2, 1); }},
      {"moments, mean", [](const Tensor& x) { return moments(x, 1).mean; }},
      {"moments, variance", [](const Tensor& x) { return moments(x, 1).variance; }}};
  for (const auto& [name, f] : reductions)
    for (const Shape& shape : {Shape{2, 0}, Shape{0, 3}, Shape{0, 0}, Shape{3, 0, 2}}) {
      CAPTURE(name, shape);
      const Tensor x = zeros(shape, float64).set_requires_grad(), y = f(x);
      CHECK(y.requires_grad());
      const Tensor u = ones(y.shape(), float64).set_requires_grad();
      const Tensor dx = grad({y}, {x}, {u}, {.create_graph = true})[0];
      CHECK(dx.shape() == shape);
      CHECK(dx.requires_grad());
      CHECK(grad({sum(dx)}, {u})[0].shape() == y.shape());
      CHECK(jvp([&f = f](const Tensors& xs) { return Tensors{f(xs[0])}; }, {x}, {x}).dys[0].shape() == y.shape());
    }
}

TEST_CASE("the gradient of a p-norm is that of the p of its value") {
  const double p = 4.3;
  const Tensor x = tensor({1, 1e-5, 1e-10}).set_requires_grad(), wide = x.detach().to(float64).set_requires_grad();
  const Tensor got = grad({vector_norm(x, p)}, {x})[0],
               want = grad({vector_norm(wide, static_cast<float>(p))}, {wide})[0];
  CHECK(allclose(got.to(float64), want, 1e-6, 0));
}

TEST_CASE("channels-last stays, with keepdims") {
  const Tensor x = randn({2, 3, 4, 5}).contiguous(MemoryFormat::channels_last);
  CHECK(sum(x, 0, true).is_contiguous(MemoryFormat::channels_last));
  CHECK(amax(x, {2}, true).is_contiguous(MemoryFormat::channels_last));
  CHECK(softmax(x, 1).is_contiguous(MemoryFormat::channels_last));
}

TEST_CASE("a long float32 sum is the rounded sum") {
  const Tensor x = randn({1'000'003});
  double exact = 0;
  for (double v : plain::values(x)) exact += v;
  CHECK(sum(x).item<float>() == Approx(exact).epsilon(1e-6));
  // A running float32 sum of ones stops at 2^24.
  CHECK(sum(expand(ones({1}), {(1 << 24) + 4})).item<float>() == 16777220.0f);
}

TEST_CASE("var has no cancellation") {
  const Tensor x = randn({1000}, float64) + 1e8;
  CHECK(var(x).item<double>() == Approx(var_of(plain::values(x), 0)).epsilon(1e-12));
}

TEST_CASE("second derivatives of a norm do not leave the range before they are whole") {
  const Tensor at = tensor({3, -4, 12, 84}, float64), along = tensor({1, 2, -1, 0.5}, float64);
  const auto f = [](Tensor x) { return vector_norm(x); };
  const Tensor expected = hvp(f, at, along);
  for (const DType dtype : {float32, float64})
    for (const double size : {1e-35, 1e-30, 1e-25, 1e-15, 1.0, 1e15, 1e20, 1e35}) {
      CAPTURE(dtype, size);
      const double by = dtype == float32 ? size : std::pow(size, 8);
      const Tensor x = (at * by).to(dtype);
      // The Hessian is of the size of 1 / x, and what it is multiplied by of that of x.
      CHECK(allclose(hvp(f, x, (along * by).to(dtype)).to(float64), expected, 1e-6, 0));
      CHECK(allclose(hvp(f, x, (along * (by < 1 ? by : 1)).to(dtype)).to(float64), expected / (by < 1 ? 1 : by), 1e-6,
                     0));
      // d/ddy <dx, v> = <x, v> / |x|
      const Tensor leaf = x.detach().set_requires_grad(), dy = ones({}, dtype).set_requires_grad();
      const Tensor dx = grad({f(leaf)}, {leaf}, {dy}, {.create_graph = true})[0];
      const Tensor length = grad({dx}, {dy}, {(along * by).to(dtype)})[0];
      CHECK(length.item<double>() == Approx(25.0 / 85.0 * by).epsilon(1e-6));
    }
}

TEST_CASE("norms of huge and tiny numbers") {
  CHECK(vector_norm(full({4}, 1e200, float64)).item<double>() == Approx(2e200));
  CHECK(vector_norm(full({4}, 1e-200, float64)).item<double>() == Approx(2e-200));
  CHECK(vector_norm(full({4}, 1e30)).item<float>() == Approx(2e30));
  CHECK(vector_norm(full({4}, 1e30), 3).item<float>() == Approx(std::cbrt(4) * 1e30));
}

TEST_CASE("threads and instruction sets show in no bit") {
  const std::vector<Tensor> xs = {randn({300'001}), randn({700, 300}), randn({2, 70, 33, 65}), randn({40'000, 3}),
                                  randn({300'001}, float64)};
  const std::vector<std::function<Tensor(const Tensor&, const Axes&)>> ops = {
      [](const Tensor& x, const Axes& a) { return sum(x, a); },
      [](const Tensor& x, const Axes& a) { return mean(x, a); },
      [](const Tensor& x, const Axes& a) { return var(x, a); },
      [](const Tensor& x, const Axes& a) { return vector_norm(x, 2, a); },
      [](const Tensor& x, const Axes& a) { return prod(x, a); },
      [](const Tensor& x, const Axes& a) { return amax(x, a); },
      [](const Tensor& x, const Axes& a) { return softmax(x, a[0]); },
      [](const Tensor& x, const Axes& a) { return log_softmax(x, a[0]); },
      [](const Tensor& x, const Axes& a) { return logsumexp(x, a); }};
  int number = 0;
  for (std::size_t o = 0; o < ops.size(); ++o)
    for (const Tensor& x : xs)
      for (int64_t axis : {int64_t{0}, x.dim() - 1}) {
        if (test::is_thinned_out(number++, 7)) continue;
        const auto at = [&](Isa level, int threads) {
          const test::WithIsa with_level(level);
          const test::WithThreads with_threads(threads);
          return ops[o](x, axis);
        };
        const Tensor expected = at(best_isa(), 1);
        for (const Isa level : isa_levels())
          for (int threads : {1, 2, 3, 7}) {
            INFO("op " << o << ", " << x.shape() << ", axis " << axis << ", " << to_string(level) << ", " << threads);
            CHECK(same_bits(at(level, threads), expected));
          }
      }
}

TEST_CASE("NaN wins in max, min, argmax and argmin") {
  const Tensor x = tensor({1, nan_value, 3, nan_value});
  CHECK(std::isnan(max(x).item<float>()));
  CHECK(std::isnan(min(x).item<float>()));
  CHECK(argmax(x).item<int64_t>() == 1);
  CHECK(argmin(x).item<int64_t>() == 1);
}

TEST_CASE("argmax and argmin give the first place") {
  const Tensor x = reshape(tensor({1, 5, 5, 0, 7, 7}), {2, 3});
  CHECK(plain::values(argmax(x, 1)) == Values{1, 1});
  CHECK(plain::values(argmax(x, 0)) == Values{0, 1, 1});
  CHECK(plain::values(argmin(x, -1)) == Values{0, 0});
  CHECK(argmax(x).item<int64_t>() == 4);
  CHECK(argmax(x, 1, true).shape() == Shape{2, 1});
  CHECK(plain::values(argmax(transpose(x, 0, 1), 0)) == Values{1, 1});
  CHECK(argmin(x.to(float16)).item<int64_t>() == 3);
  CHECK(argmax(full({3}, -inf)).item<int64_t>() == 0);
}

TEST_CASE("softmax, log_softmax and logsumexp along every axis and layout") {
  for (DType dtype : {float32, float64})
    for (const Shape& shape :
         {Shape{7}, Shape{3, 70}, Shape{70, 3}, Shape{2, 3, 4, 5}, Shape{2, 130, 2}, Shape{2, 300}})
      for (const Tensor& x : layouts(3 * randn(shape, dtype)))
        for (int64_t axis = 0; axis < x.dim(); ++axis) {
          INFO(dtype << " " << shape << ", strides " << x.strides() << ", axis " << axis);
          const double tolerance = 8 * plain::epsilon(dtype);
          const Tensor wide = x.to(float64), e = exp(wide), total = sum(e, axis, true);
          CHECK(plain::error(softmax(x, axis), plain::values(e / total), 1) < 8);
          CHECK(close(log_softmax(x, axis), plain::values(wide - log(total)), tolerance));
          CHECK(close(logsumexp(x, axis, true), plain::values(log(total)), tolerance));
        }
}

TEST_CASE("softmax neither overflows nor underflows") {
  const Tensor x = tensor({1000, 1000, -1000}, float64);
  CHECK(plain::values(softmax(x, 0)) == Values{0.5, 0.5, 0});
  CHECK(close(log_softmax(x, 0), {-std::log(2), -std::log(2), -2000 - std::log(2)}, 1e-15));
  CHECK(logsumexp(x).item<double>() == Approx(1000 + std::log(2)));
}

TEST_CASE("a row of -inf has no softmax, and no NaN either") {
  Tensor x = reshape(tensor({-inf, -inf, 0, -inf}, float64), {2, 2});
  CHECK(plain::values(softmax(x, 1)) == Values{0, 0, 1, 0});
  CHECK(plain::values(log_softmax(x, 1)) == Values{-inf, -inf, 0, -inf});
  CHECK(plain::values(logsumexp(x, 1)) == Values{-inf, 0});
  x.set_requires_grad();
  CHECK(plain::values(grad({softmax(x, 1)}, {x}, {ones({2, 2}, float64)})[0]) == Values{0, 0, 0, 0});
  CHECK(plain::values(grad({logsumexp(x, 1)}, {x}, {ones({2}, float64)})[0]) == Values{0, 0, 1, 0});
}

TEST_CASE("the logsumexp of a slice with inf is inf, and its softmax NaN, as in PyTorch") {
  int raised = 0;
  for (const DType dtype : {float32, float64})
    for (const int64_t axis : {0, 1})
      for (const int64_t length : {2, 64, 200}) {
        CAPTURE(dtype, axis, length);
        // Slices: all 0; one inf; all inf; -inf and inf; all -inf.
        Tensor x = zeros({5, length}, dtype);
        const auto set = [&](int64_t row, int64_t i, double value) { select(select(x, 0, row), 0, i).fill_(value); };
        set(1, length - 1, inf);
        for (int64_t i = 0; i < length; ++i) set(2, i, inf), set(3, i, -inf), set(4, i, -inf);
        set(3, 1, inf);
        if (axis == 0) x = transpose(x, 0, 1).contiguous();
        const double sum = std::log(static_cast<double>(length));
        std::feclearexcept(FE_ALL_EXCEPT);
        const Tensor sums = logsumexp(x, axis);
        raised |= std::fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
        CHECK(allclose(sums, tensor({sum, inf, inf, inf, -inf}, dtype), 1e-6));
        for (const bool log : {false, true}) {
          std::feclearexcept(FE_ALL_EXCEPT);
          Tensor y = log ? log_softmax(x, axis) : softmax(x, axis);
          raised |= std::fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
          if (axis == 0) y = transpose(y, 0, 1);
          const double share = log ? -sum : 1 / static_cast<double>(length);
          CHECK(allclose(select(y, 0, 0), full({length}, share, dtype), 1e-6, 0));
          for (const int64_t row : {1, 2, 3}) CHECK(all(isnan(select(y, 0, row))).item<bool>());
          CHECK(equal(select(y, 0, 4), full({length}, log ? -inf : 0.0, dtype)));
        }
      }
  CHECK(raised == 0);
  Tensor x = tensor({inf, 0}, float64).set_requires_grad();
  const Values dx = plain::values(grad({logsumexp(x)}, {x})[0]);
  CHECK(std::isnan(dx[0]));
  CHECK(dx[1] == 0);
}

TEST_CASE("gradients of first and second order by finite differences") {
  struct Row {
    std::string name;
    std::function<Tensor(const Tensor&)> f;
  };
  const std::vector<Row> rows = {{"sum",
                                  [](const Tensor& x) {
                                    return square(sum(x, {0, 2}));
                                  }},
                                 {"mean", [](const Tensor& x) { return square(mean(x, 1)); }},
                                 {"sum_to",
                                  [](const Tensor& x) {
                                    return square(sum_to(x, {3, 1}));
                                  }},
                                 {"var",
                                  [](const Tensor& x) {
                                    return var(x, {0, 2}, false, 1);
                                  }},
                                 {"prod",
                                  [](const Tensor& x) {
                                    return prod(x, {0, 2});
                                  }},
                                 {"max", [](const Tensor& x) { return square(amax(x, 1)); }},
                                 {"vector_norm 2",
                                  [](const Tensor& x) {
                                    return vector_norm(x, 2, {0, 1});
                                  }},
                                 {"vector_norm 3.5", [](const Tensor& x) { return vector_norm(x, 3.5, 1, true); }},
                                 {"logsumexp",
                                  [](const Tensor& x) {
                                    return logsumexp(x, {0, 2});
                                  }},
                                 {"softmax", [](const Tensor& x) { return softmax(x, 1); }},
                                 {"log_softmax", [](const Tensor& x) { return log_softmax(x, -1); }}};
  manual_seed(3);
  const Tensor x = randn({2, 3, 4}, float64);
  for (const Row& row : rows) {
    const auto first = gradcheck(row.f, {x});
    INFO(row.name << "\n" << first);
    CHECK(first);
    const auto second = gradgradcheck(row.f, {x}, {.allow_vacuous = true});
    INFO(second);
    CHECK(second);
  }
}

TEST_CASE("prod has exact gradients at zeros, twice over") {
  // y = a b c d:  dy/da = b c d, d2y/(da db) = c d
  for (const Values& v : {Values{2, 3, 5, 7}, Values{0, 3, 5, 7}, Values{0, 3, 0, 7}, Values{0, 0, 0, 7}}) {
    Tensor x = from_vector(v, {4});
    x.set_requires_grad();
    const Tensor dx = grad({prod(x)}, {x}, {}, {.create_graph = true})[0];
    Values first, second;
    for (std::size_t i = 0; i < 4; ++i) {
      double others = 1;
      for (std::size_t j = 0; j < 4; ++j) others *= j == i ? 1 : v[j];
      first.push_back(others);
    }
    CHECK(plain::values(dx) == first);
    const Tensor ddx = grad({select(dx, 0, 0)}, {x})[0];
    for (std::size_t i = 0; i < 4; ++i) {
      double others = i == 0 ? 0 : 1;
      for (std::size_t j = 1; j < 4; ++j) others *= j == i ? 1 : v[j];
      second.push_back(others);
    }
    CHECK(plain::values(ddx) == second);
  }
}

TEST_CASE("ties share a gradient, a norm of 0 has gradient 0") {
  Tensor x = tensor({3, 1, 3, 3}, float64).set_requires_grad();
  CHECK(plain::values(grad({max(x)}, {x})[0]) == Values{1.0 / 3, 0, 1.0 / 3, 1.0 / 3});
  CHECK(plain::values(grad({min(x)}, {x})[0]) == Values{0, 1, 0, 0});
  Tensor zero = zeros({3}, float64).set_requires_grad();
  for (double p : {0.5, 1.0, 2.0, 3.0, 4.5})
    CHECK(plain::values(grad({vector_norm(zero, p)}, {zero})[0]) == Values{0, 0, 0});
  const Tensor dx = grad({vector_norm(zero)}, {zero}, {}, {.create_graph = true})[0];
  CHECK(plain::values(grad({sum(dx)}, {zero})[0]) == Values{0, 0, 0});
}

TEST_CASE("what reductions refuse, and how they say it") {
  const Tensor x = zeros({2, 3});
  const auto message = [](const std::function<void()>& f) -> std::string {
    try {
      f();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  struct Row {
    std::function<void()> f;
    std::string expected;
  };
  const std::vector<Row> rows = {
      {[&] { sum(x, 2); }, "sum: expected an axis in [-2, 2), got 2"},
      {[&] {
         sum(x, {0, -2});
       },
       "sum: expected each axis once, got axis 0 twice"},
      {[&] { sum(Tensor{}); }, "sum: expected a defined tensor, got an undefined tensor"},
      {[&] { softmax(x, -3); }, "softmax: expected an axis in [-2, 2), got -3"},
      {[&] { softmax(zeros({}), 0); }, "softmax: expected no axis for a tensor of rank 0, got 0"},
      {[&] {
         amax(zeros({2, 0}), 1);
       },
       "amax: expected at least one element to reduce over, got x of shape (2, 0)"},
      {[&] { argmin(zeros({0})); }, "argmin: expected at least one element to reduce over, got x of shape (0,)"},
      {[&] { var(x, {}, false, NAN); }, "var: expected correction in (-inf, inf), got nan"},
      {[&] { var(x, {}, false, -INFINITY); }, "var: expected correction in (-inf, inf), got -inf"},
      {[&] { vector_norm(x, 0); }, "vector_norm: expected p > 0, got 0"},
      {[&] {
         sum_to(x, {2, 2});
       },
       "sum_to: expected a shape that broadcasts to x's (2, 3), got (2, 2)"},
      {[&] {
         sum_to(x, {1, 2, 3});
       },
       "sum_to: expected a shape that broadcasts to x's (2, 3), got (1, 2, 3)"}};
  for (const Row& row : rows) CHECK(message(row.f) == row.expected);
}

TEST_CASE("sum_to sums what broadcasting repeated") {
  const Tensor x = randn({2, 3, 4}, float64);
  CHECK(equal(sum_to(x, {3, 1}), reshape(sum(x, {0, 2}), {3, 1})));
  CHECK(sum_to(x, {2, 3, 4}).is_same(x));
  CHECK(sum_to(x, {}).shape() == Shape{});
}

TEST_CASE("numbers that are no positive normal ones are found, wherever they stand") {
  using Limits = std::numeric_limits<double>;
  const Values normal = {1, Limits::min(), Limits::max(), 1e-300};
  const Values others = {0,   -0.0, -1,        -Limits::max(), Limits::denorm_min(), Limits::min() / 2,
                         inf, -inf, nan_value, -nan_value};
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    const auto all_positive_normal = kernels::reduce_table().all_positive_normal;
    std::feclearexcept(FE_ALL_EXCEPT);
    int wrong = 0;
    for (std::size_t count = 0; count < 40; ++count) {
      Values x(count);
      for (std::size_t i = 0; i < count; ++i) x[i] = normal[i % normal.size()];
      const auto holds = [&] { return all_positive_normal(x.data(), static_cast<int64_t>(count)); };
      wrong += !holds();
      for (std::size_t i = 0; i < count; ++i)
        for (const double other : others) {
          const double before = std::exchange(x[i], other);
          wrong += holds();
          x[i] = before;
        }
    }
    CHECK(wrong == 0);
    CHECK(std::fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) == 0);
  }
}

TEST_CASE("the rows of a small matrix, which need no plan, have the bits of strided ones") {
  for (const DType dtype : {float32, float64})
    for (const int64_t rows : {1, 3, 64, 65, 200})
      for (const int64_t columns : {2, 17, 256}) {
        Tensor x = randn({rows, columns}, dtype), gaps = slice(randn({2 * rows, columns}, dtype), 0, 0, 2 * rows, 2);
        gaps.copy_(x);
        CAPTURE(dtype, rows, columns);
        CHECK(equal(sum(gaps, 0), sum(x, 0)));
        CHECK(equal(mean(gaps, 0, true), mean(x, 0, true)));
        CHECK(equal(amax(gaps, 0), amax(x, 0)));
        CHECK(equal(prod(gaps, 0), prod(x, 0)));
      }
}

}  // namespace test_reduce
