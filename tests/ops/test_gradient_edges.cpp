// Gradients where differences do not reach: at zeros and poles, of nothing, of more inputs than a word has bits, of one
// input alone. Each turns red for a fault that the op table does not see.
#include <limpid/limpid.hpp>

#include <cfenv>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

namespace test_gradient_edges {

using namespace limpid;

constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor leaf(std::initializer_list<double> values) { return tensor(values, float64).set_requires_grad(); }

// Notes which gradients its backward is asked for.
struct Probe : Function<Probe> {
  static inline bool asked[2];
  static Tensor forward(Context&, const Tensor& a, const Tensor& b) { return a + b; }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    asked[0] = ctx.needs(0);
    asked[1] = ctx.needs(1);
    return {ctx.needs(0) ? dy : Tensor(), ctx.needs(1) ? dy : Tensor()};
  }
};

// Leaves NaN in the memory that the next tensors of this shape get.
void spoil(const Shape& shape) { const Tensor a = full(shape, NAN, float64), b = full(shape, NAN, float64); }

TEST_CASE("gradients of pow at zero bases and exponents") {
  const Tensor a = leaf({0, 0, 0, 0, 2}), b = leaf({0, 1, 2, -1, 0});
  const Tensors dx = grad({pow(a, b)}, {a, b}, {ones({5}, float64)});
  CHECK(equal(dx[0], tensor({0.0, 1.0, 0.0, -infinity, 0.0}, float64)));
  CHECK(equal(slice(dx[1], 0, 0, 4), tensor({0.0, 0.0, 0.0, -infinity}, float64)));
  CHECK(dx[1].data<double>()[4] == Approx(std::log(2.0)));
}

TEST_CASE("derivatives of pow at zeros, at infinity and between, of operands that are not dense") {
  // y = a^b:  dy/db = y log a;  d2y/da2 = b (b - 1) a^(b - 2);  d2y/dadb = a^(b - 1) (1 + b log a);  d2y/db2 = y
  // log(a)^2.
  const struct {
    double a, b, by_b, by_aa, by_ab, by_bb;
  } rows[] = {{0, 2, 0, 2, 0, 0},
              {0, -1, -infinity, infinity, infinity, infinity},
              {0, 3, 0, 0, 0, 0},
              {2, 0, std::log(2.0), 0, 0.5, std::log(2.0) * std::log(2.0)},
              {0, 1, 0, 0, -infinity, 0},
              {0, 1.25, 0, infinity, 0, 0},
              {0, 0.5, 0, -infinity, -infinity, 0},
              {infinity, 0.5, infinity, 0, 0, infinity},
              {infinity, -1, 0, 0, 0, 0},
              {infinity, 2, infinity, 2, infinity, infinity},
              {infinity, 1.25, infinity, 0, infinity, infinity},
              {infinity, 1, infinity, 0, infinity, infinity},
              {2, 3, 8 * std::log(2.0), 12, 4 * (1 + 3 * std::log(2.0)), 8 * std::log(2.0) * std::log(2.0)},
              {4, 1.5, 8 * std::log(4.0), 0.375, 2 * (1 + 1.5 * std::log(4.0)), 8 * std::log(4.0) * std::log(4.0)},
              {16, 1.25, 32 * std::log(16.0), 0.3125 / 8, 2 * (1 + 1.25 * std::log(16.0)),
               32 * std::log(16.0) * std::log(16.0)}};
  const auto count = static_cast<int64_t>(std::size(rows));
  // Every second of numbers that would show if they were read.
  const auto apart = [&](double (*of)(const std::remove_reference_t<decltype(rows[0])>&)) {
    const Tensor all = full({2 * count}, 0.7, float64);
    for (int64_t i = 0; i < count; ++i) all.data<double>()[2 * i] = of(rows[i]);
    return slice(all, 0, 0, 2 * count, 2).set_requires_grad();
  };
  const Tensor a = apart([](const auto&row) { return row.a; }), b = apart([](const auto&row) { return row.b; });
  const Tensors first = grad({pow(a, b)}, {a, b}, {ones({count}, float64)}, {.create_graph = true});
  const Tensors second = grad({first[0]}, {a, b}, {ones({count}, float64)}),
                other = grad({first[1]}, {a, b}, {ones({count}, float64)}),
                unrecorded = grad({pow(a, b)}, {a, b}, {ones({count}, float64)});
  CHECK(equal(unrecorded[0], first[0].detach()));
  CHECK(equal(unrecorded[1], first[1].detach()));
  for (int64_t i = 0; i < count; ++i) {
    CAPTURE(rows[i].a, rows[i].b);
    const auto at = [&](const Tensor& x) { return select(x.detach(), 0, i).item<double>(); };
    const auto is_like = [](double got, double want) {
      return std::isfinite(want) ? std::abs(got - want) <= 1e-14 * std::abs(want) : got == want;
    };
    CHECK(is_like(at(first[1]), rows[i].by_b));
    CHECK(is_like(at(second[0]), rows[i].by_aa));
    CHECK(is_like(at(second[1]), rows[i].by_ab));
    CHECK(is_like(at(other[0]), rows[i].by_ab));
    CHECK(is_like(at(other[1]), rows[i].by_bb));
  }
}

TEST_CASE("gradients of a power of the number 0") {
  const Tensor x = leaf({2, -1});
  for (const Tensor& dy : {tensor({3, -1}, float64), slice(tensor({3, 5, -1, 7}, float64), 0, 0, 4, 2)})
    CHECK(equal(grad({pow(0.0, x)}, {x}, {dy})[0], tensor({0.0, infinity}, float64)));
}

TEST_CASE("gradients of a convolution of nothing are zero") {
  const Tensor x = zeros({2, 3, 4, 4}, float64).set_requires_grad(),
               none = zeros({0, 3, 2, 2}, float64).set_requires_grad();
  spoil(x.shape());
  const Tensor dx = conv_input_grad(zeros({2, 0, 3, 3}, float64), none.detach(), {2, 3, 4, 4});
  CHECK(equal(dx, zeros({2, 3, 4, 4}, float64)));
  spoil({5, 3, 2, 2});
  const Tensor dweight = conv_weight_grad(zeros({0, 3, 4, 4}, float64), zeros({0, 5, 3, 3}, float64), {5, 3, 2, 2});
  CHECK(equal(dweight, zeros({5, 3, 2, 2}, float64)));
}

TEST_CASE("gradients of cross_entropy beside its own gradient") {
  const Tensor target = tensor({2, 0, 1}, int64);
  const auto penalised = [&](const Tensor& given) {
    const EnableGradGuard recording;
    const Tensor x = given.requires_grad() ? given : given.detach().set_requires_grad();
    const Tensor loss = cross_entropy(x, target);
    return loss + sum(square(grad({loss}, {x}, {}, {.create_graph = true})[0]));
  };
  Generator generator(3);
  const GradcheckReport report = gradcheck(penalised, {randn({3, 4}, float64, generator)}, {.rtol = 1e-9});
  INFO(report);
  CHECK(report);
}

TEST_CASE("gradients are asked for of those inputs alone that lead to a target, run by run") {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4}), dy = ones({2}, float64);
  const Tensor y = Probe::apply(a, b);
  grad({y}, {a}, {dy}, {.retain_graph = true});
  CHECK(Probe::asked[0]);
  CHECK_FALSE(Probe::asked[1]);
  y.backward(dy);
  CHECK(Probe::asked[0]);
  CHECK(Probe::asked[1]);
  CHECK(b.grad().defined());
}

TEST_CASE("gradients of inputs past the 64th") {
  Tensors xs;
  for (int i = 0; i < 70; ++i) xs.push_back(leaf({static_cast<double>(i)}));
  CHECK(equal(grad({cat(xs, 0)}, {xs[68]}, {arange(70).to(float64)})[0], tensor({68.0}, float64)));
}

TEST_CASE("gradients of reductions at the ends of the numbers, and over leading axes") {
  Generator generator(3);
  CHECK(gradcheck([](Tensor x) { return prod(x, {0, 1}); }, {rand({2, 3, 4}, float64, generator) + 0.5}));
  const Tensor x = leaf({1, NAN, 2}), none = leaf({-infinity, -infinity});
  CHECK(equal(grad({max(x)}, {x})[0], tensor({0, 1, 0}, float64)));
  CHECK(equal(grad({logsumexp(none)}, {none})[0], tensor({0, 0}, float64)));
  CHECK_THROWS_WITH(sum_to(zeros({2, 3}), {2}), ContainsSubstring("sum_to: expected"));
}

// ---- zero gradients that meet infinite or undefined derivatives

// The gradient of f at x for a dy, recorded or not, and its derivative by dy in direction 1.
struct Pulled {
  Tensor dx, recorded, by_dy;
};
Pulled pulled(Tensor (*f)(const Tensor&), const Tensor& at, double seed) {
  const Tensor x = at.detach().set_requires_grad(), y = f(x).detach();
  const Tensor dy = full(y.shape(), seed, y.dtype()), u = dy.clone().set_requires_grad();
  const Tensor recorded = grad({f(x)}, {x}, {u}, {.create_graph = true})[0];
  return {grad({f(x)}, {x}, {dy})[0], recorded.detach(), grad({recorded}, {u}, {ones_like(at.detach())})[0]};
}

TEST_CASE("a zero gradient stays zero through reductions, norms and losses, whatever they meet") {
  using F = Tensor (*)(const Tensor&);
  const F functions[] = {
      [](const Tensor& x) { return prod(x, 1); },
      [](const Tensor& x) { return amax(x, 1); },
      [](const Tensor& x) { return amin(x, 1); },
      [](const Tensor& x) { return var(x, 1); },
      [](const Tensor& x) { return var(x, 1, false, 3); },
      [](const Tensor& x) { return sqrt(var(x, 1)); },
      [](const Tensor& x) { return vector_norm(x, 2, 1); },
      [](const Tensor& x) { return vector_norm(x, 3, 1); },
      [](const Tensor& x) { return vector_norm(x, 0.5, 1); },
      [](const Tensor& x) { return vector_norm(x, 1, 1); },
      [](const Tensor& x) { return vector_norm(x, INFINITY, 1); },
      [](const Tensor& x) { return softmax(x, 1); },
      [](const Tensor& x) { return log_softmax(x, 1); },
      [](const Tensor& x) { return logsumexp(x, 1); },
      [](const Tensor& x) {
        return cross_entropy(x, tensor({0, 2, 1, 0, 2, 1}, int64), Reduction::none);
      },
      [](const Tensor& x) { return layer_norm(x, {3}); },
      [](const Tensor& x) { return group_norm(x, 1, {.weight = full({3}, 2, x.dtype()), .relu = true}); },
      [](const Tensor& x) { return rms_norm(x, {3}); },
      [](const Tensor& x) { return instance_norm(unsqueeze(x, 1)); },
      [](const Tensor& x) { return group_norm(x, 1); },
      [](const Tensor& x) { return batch_norm(x, {.training = true}); },
      [](const Tensor& x) {
        const Tensor mean = full({3}, INFINITY, x.dtype()), var = full({3}, 2, x.dtype());
        return batch_norm(x, {.running_mean = mean, .running_var = var});
      },
      [](const Tensor& x) { return moments(x, 1).mean; },
      [](const Tensor& x) { return moments(x, 1).variance; },
  };
  for (const DType dtype : {float32, float64}) {
    const double least = dtype == float32 ? 1e-45 : 5e-324, most = dtype == float32 ? 3e38 : 1.7e308;
    const Tensor x = reshape(tensor({0.0, 0.0, 0.0, INFINITY, 1.0, -INFINITY, NAN, 1.0, 2.0, -INFINITY, -INFINITY,
                                     -INFINITY, least, -least, least, most, most, -most},
                                    dtype),
                             {6, 3});
    for (std::size_t i = 0; i < std::size(functions); ++i) {
      CAPTURE(dtype, i);
      const Pulled p = pulled(functions[i], x, 0);
      CHECK(equal(p.dx, zeros({6, 3}, dtype)));
      CHECK(equal(p.recorded, zeros({6, 3}, dtype)));
      const Tensors moved =
          jvp([&](const Tensors& xs) { return Tensors{functions[i](xs[0])}; }, {x}, {zeros({6, 3}, dtype)}).dys;
      CHECK(equal(moved[0], zeros_like(moved[0])));
    }
  }
}

TEST_CASE("second derivatives are right where a residual is zero") {
  // Gauss-Newton: of (r^2 / 2) with r = f(x) - f(1) the second derivative at 1 is f'(1)^2, for the other term is r f''.
  using F = Tensor (*)(const Tensor&);
  const struct {
    F f;
    double slope;
  } cases[] = {
      {[](const Tensor& x) { return exp(x); }, std::exp(1.0)},
      {[](const Tensor& x) { return log(x); }, 1},
      {[](const Tensor& x) { return sqrt(x); }, 0.5},
      {[](const Tensor& x) { return 3 / x; }, -3},
      {[](const Tensor& x) { return x / (x + 1); }, 0.25},
      {[](const Tensor& x) { return pow(x, 2.5); }, 2.5},
      {[](const Tensor& x) { return pow(x, -0.5); }, -0.5},
      {[](const Tensor& x) { return x * x * x; }, 3},
      {[](const Tensor& x) { return tanh(x); }, 1 - std::tanh(1.0) * std::tanh(1.0)},
      {[](const Tensor& x) { return vector_norm(x, 2, {0}, true); }, 1},
      {[](const Tensor& x) {
         return prod(cat({x, x, x}, 0), {0}, true);
       },
       3},
      {[](const Tensor& x) {
         return logsumexp(cat({x, x}, 0), {0}, true);
       },
       1},
      {[](const Tensor& x) { return amax(x, {0}, true); }, 1},
      {[](const Tensor& x) { return maximum(x, 0.5 * x); }, 1},
      {[](const Tensor& x) { return where(x > 0, sqrt(x), log(-x)); }, 0.5},
  };
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    CAPTURE(i);
    const Tensor at = cases[i].f(ones({1}, float64));
    const auto loss = [&](const Tensor& x) { return sum(0.5 * square(cases[i].f(x) - at)); };
    CHECK(hessian(loss, ones({1}, float64)).item<double>() == Approx(cases[i].slope * cases[i].slope).epsilon(1e-12));
  }
}

TEST_CASE("an infinite gradient reaches the largest element alone") {
  const Tensor x = leaf({0, -1, -2});
  CHECK(equal(grad({sqrt(max(x))}, {x})[0], tensor({infinity, 0.0, 0.0}, float64)));
  CHECK(
      equal(grad({sum(sqrt(maximum(x, tensor({-1, 0, 0}, float64))))}, {x})[0], tensor({infinity, 0.0, 0.0}, float64)));
}

TEST_CASE("gradients go where a NaN came from") {
  const Tensor a = leaf({NAN, 1, NAN}), b = leaf({1, NAN, NAN}), dy = tensor({3, 5, 8}, float64);
  for (const auto f : {maximum, minimum}) {
    const Tensors dx = grad({f(a, b)}, {a, b}, {dy});
    CHECK(equal(dx[0], tensor({3, 0, 4}, float64)));
    CHECK(equal(dx[1], tensor({0, 5, 4}, float64)));
    const Tensor moved =
        jvp([&](const Tensors& x) { return Tensors{f(x[0], x[1])}; }, {a, b}, {dy, -dy.detach()}).dys[0];
    CHECK(equal(moved, tensor({3, -5, 0}, float64)));
  }
  CHECK(equal(grad({clamp(a, -2, 0)}, {a}, {dy})[0], tensor({3, 0, 8}, float64)));
  CHECK(equal(grad({clamp(a, -2, 0)}, {a}, {dy}, {.create_graph = true})[0], tensor({3, 0, 8}, float64)));
  CHECK(equal(grad({relu(a)}, {a}, {dy})[0], dy));
}

TEST_CASE("gradients of norms are unit vectors, subnormal or large") {
  for (const DType dtype : {float32, float64})
    for (const double size : dtype == float32 ? std::vector<double>{1e-44, 1e-38, 1e-20, 1.0, 1e20, 5e37}
                                              : std::vector<double>{1e-322, 1e-308, 1e-160, 1.0, 1e160, 1e307}) {
      CAPTURE(dtype, size);
      // Not 3 and 4, whose norm is exact where it has few digits.
      const Tensor x = (tensor({3, 0, -5}, dtype) * size).set_requires_grad();
      const std::vector<double> v = {x.detach().to(float64).data<double>()[0], 0,
                                     x.detach().to(float64).data<double>()[2]};
      const double ratio = v[2] / v[0], length = std::sqrt(1 + ratio * ratio);
      const Tensor expected = tensor({1 / length, 0.0, ratio / length}, dtype);
      const double rtol = dtype == float32 ? 4e-7 : 8e-16;
      const auto f = [](const Tensors& xs) { return Tensors{vector_norm(xs[0])}; };
      for (const bool recorded : {false, true})
        for (const double dy : {1.0, 1e-30}) {
          const Tensor dx = grad(f({x}), {x}, {full({}, dy, dtype)}, {.create_graph = recorded})[0].detach();
          CHECK(allclose(dx, expected * dy, rtol, 0));
        }
      CHECK(jvp(f, {x}, {tensor({1, 1, 0}, dtype)}).dys[0].item<double>() == Approx(1 / length).epsilon(rtol));
    }
}

TEST_CASE("masked softmax and its kin signal no invalid operation, nor do their gradients") {
  const test::WithThreads one(1);  // flags belong to a thread
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (const DType dtype : {float32, float64})
      for (const int64_t axis : {0, 1})
        for (const int64_t count : {1, 3, 67}) {
          CAPTURE(to_string(level), dtype, axis, count);
          const Tensor square = full({count, count}, -INFINITY, dtype), rows = arange(count);
          // The upper triangle is masked, and the last row whole.
          const Tensor masked = where(unsqueeze(rows, 1) >= rows, full({}, 0.5, dtype), square);
          const Tensor x = where(unsqueeze(rows, 1) == count - 1, -INFINITY, masked).detach().set_requires_grad();
          std::feclearexcept(FE_ALL_EXCEPT);
          for (const auto f : {softmax, log_softmax}) grad({f(x, axis)}, {x}, {ones_like(x.detach())});
          grad({logsumexp(x, axis)}, {x}, {ones({count}, dtype)});
          grad({amax(x, axis)}, {x}, {ones({count}, dtype)});
          grad({cross_entropy(x, zeros({count}, int64), Reduction::none)}, {x}, {ones({count}, dtype)});
          CHECK(std::fetestexcept(FE_INVALID) == 0);
        }
  }
}

TEST_CASE("softmax and its kin have accurate gradients where one class has nearly all the weight") {
  // Of the two classes (x, 0): softmax is sigmoid(x), log_softmax -softplus(-x), logsumexp softplus(x), and
  // cross_entropy softplus(-x).
  for (const DType dtype : {float32, float64}) {
    const Tensor at = tensor({-30, -17, -5, -0.5, 0.25, 0.75, 2, 9, 17, 40, 80}, dtype);
    const double rtol = dtype == float32 ? 1e-6 : 6e-15;
    const auto pair = [](const Tensor& x, double other) { return stack({x, full(x.shape(), other, x.dtype())}, 1); };
    const auto first = [](const Tensor& y) { return select(y, 1, 0); };
    using F = std::function<Tensor(const Tensor&)>;
    const std::pair<F, F> cases[] = {
        {[&](const Tensor& x) { return first(softmax(pair(x, 0), 1)); }, [](const Tensor& x) { return sigmoid(x); }},
        {[&](const Tensor& x) { return select(softmax(pair(x, 0), 1), 1, 1); },
         [](const Tensor& x) { return sigmoid(-x); }},
        {[&](const Tensor& x) { return first(log_softmax(pair(x, 0), 1)); },
         [](const Tensor& x) { return -softplus(-x); }},
        {[&](const Tensor& x) { return logsumexp(pair(x, 0), 1); }, [](const Tensor& x) { return softplus(x); }},
        {[&](const Tensor& x) {
           return logsumexp(pair(transpose(unsqueeze(x, 0), 0, 1), 0), {1, 2});
         },
         [](const Tensor& x) { return softplus(x); }},
        {[&](const Tensor& x) { return cross_entropy(pair(x, 0), zeros(x.shape(), int64), Reduction::none); },
         [](const Tensor& x) { return softplus(-x); }},
        {[&](const Tensor& x) { return cross_entropy(pair(x, 0), ones(x.shape(), int64), Reduction::none); },
         [](const Tensor& x) { return softplus(x); }},
    };
    for (std::size_t i = 0; i < std::size(cases); ++i) {
      CAPTURE(dtype, i);
      const auto derivatives = [&](const F& f) {
        const Tensor x = at.clone().set_requires_grad(), dy = ones(at.shape(), dtype);
        const Tensor dx = grad({f(x)}, {x}, {dy}, {.create_graph = true})[0];
        const auto moved = [&](const Tensors& xs) { return Tensors{f(xs[0])}; };
        return Tensors{f(x).detach(), grad({f(x)}, {x}, {dy})[0], dx.detach(), grad({dx}, {x}, {dy})[0],
                       jvp(moved, {at}, {dy}).dys[0]};
      };
      const Tensors got = derivatives(cases[i].first), expected = derivatives(cases[i].second);
      for (std::size_t k = 0; k < got.size(); ++k) {
        INFO(k << ": " << got[k] << " for " << expected[k] << ", " << got[k] / expected[k] - 1);
        CHECK(allclose(got[k], expected[k], rtol, 0));
      }
    }
  }
}

}  // namespace test_gradient_edges
