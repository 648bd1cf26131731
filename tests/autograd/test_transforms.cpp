// Function transforms: analytic cases, nesting, several inputs and outputs, what they refuse.
#include <limpid/limpid.hpp>

#include <functional>
#include <utility>

#include <cmath>

#include "../catch.hpp"

namespace test_transforms {

using namespace limpid;

Tensor vec(std::initializer_list<double> values) { return tensor(values, float64); }

// y0 = a b (elementwise), y1 = sum(a^3); b is not in y1.
Tensors two_of_two(const Tensor& a, const Tensor& b) { return {a * b, sum(a * a * a)}; }

Tensor cubes(const Tensor& x) { return sum(x * x * x); }

TEST_CASE("vjp of several inputs and outputs") {
  const Tensor a = vec({1, 2}), b = vec({3, 5});
  const Vjp r = vjp(two_of_two, {a, b}, {vec({1, 10}), full({}, 2, float64)});
  CHECK(equal(r.ys[0], vec({3, 10})));
  CHECK(r.ys[1].item<double>() == 9);
  CHECK(equal(r.dxs[0], vec({3 + 6, 50 + 24})));
  CHECK(equal(r.dxs[1], vec({1, 20})));
  CHECK_FALSE(r.ys[0].requires_grad());
  CHECK_FALSE(r.dxs[0].requires_grad());
}

TEST_CASE("jvp of several inputs and outputs") {
  const Tensor a = vec({1, 2}), b = vec({3, 5});
  const Jvp r = jvp(two_of_two, {a, b}, {vec({1, 10}), vec({100, 1000})});
  CHECK(equal(r.ys[0], vec({3, 10})));
  CHECK(equal(r.dys[0], vec({3 + 100, 50 + 2000})));
  CHECK(r.dys[1].item<double>() == 3 + 120);
  CHECK_FALSE(r.dys[0].requires_grad());
}

TEST_CASE("an undefined direction stands for zero") {
  const Tensor a = vec({1, 2}), b = vec({3, 5});
  CHECK(equal(vjp(two_of_two, {a, b}, {Tensor(), full({}, 1, float64)}).dxs[0], vec({3, 12})));
  CHECK(equal(vjp(two_of_two, {a, b}, {Tensor(), full({}, 1, float64)}).dxs[1], vec({0, 0})));
  const Jvp r = jvp(two_of_two, {a, b}, {Tensor(), vec({1, 1})});
  CHECK(equal(r.dys[0], a));
  CHECK(r.dys[1].item<double>() == 0);
  CHECK(equal(jvp(two_of_two, {a, b}, {Tensor(), Tensor()}).dys[0], vec({0, 0})));
}

TEST_CASE("what does not depend on its inputs has zero derivatives") {
  const Tensor x = vec({1, 2}), c = vec({7, 7, 7});
  const auto constant = [&](const Tensor&) { return c; };
  CHECK(equal(vjp(constant, {x}, {c}).dxs[0], vec({0, 0})));
  CHECK(equal(jvp(constant, {x}, {x}).dys[0], vec({0, 0, 0})));
  CHECK(equal(jacobian(constant, x), zeros({3, 2}, float64)));
  CHECK(equal(hessian([](const Tensor& t) { return sum(t); }, x), zeros({2, 2}, float64)));
  CHECK(equal(hvp([](const Tensor& t) { return sum(t); }, x, x), vec({0, 0})));
}

TEST_CASE("grad of a function leaves leaves alone") {
  Tensor x = vec({1, 2});
  CHECK(equal(grad(cubes, x), vec({3, 12})));
  x.set_requires_grad();
  const Tensor dx = grad(cubes, x);
  CHECK(dx.requires_grad());
  CHECK_FALSE(x.grad().defined());
  sum(dx).backward();
  CHECK(equal(x.grad(), vec({6, 12})));
  const NoGradGuard off;
  CHECK_FALSE(grad(cubes, x).requires_grad());
}

TEST_CASE("jacobian of several inputs and outputs") {
  const Tensor a = vec({1, 2}), b = vec({3, 5});
  const std::vector<Tensors> J = jacobian(two_of_two, {a, b});
  REQUIRE(J.size() == 2);
  CHECK(equal(J[0][0], reshape(vec({3, 0, 0, 5}), {2, 2})));
  CHECK(equal(J[0][1], reshape(vec({1, 0, 0, 2}), {2, 2})));
  CHECK(equal(J[1][0], vec({3, 12})));
  CHECK(equal(J[1][1], vec({0, 0})));
}

TEST_CASE("a jacobian has the shape of y, then that of x") {
  const Tensor x = randn({2, 3}, float64), w = randn({3, 4}, float64);
  const Tensor J = jacobian([&](const Tensor& t) { return matmul(t, w); }, x);
  REQUIRE(J.shape() == Shape{2, 4, 2, 3});
  for (int64_t n = 0; n < 2; ++n) {
    CHECK(equal(slice(slice(J, 0, n, n + 1), 2, n, n + 1), reshape(transpose(w, 0, 1), {1, 4, 1, 3})));
    CHECK(equal(slice(slice(J, 0, n, n + 1), 2, 1 - n, 2 - n), zeros({1, 4, 1, 3}, float64)));
  }
}

TEST_CASE("jacobians of empty inputs and outputs") {
  CHECK(jacobian([](const Tensor& t) { return t * 2.0; }, zeros({0}, float64)).shape() == Shape{0, 0});
  CHECK(jacobian([](const Tensor& t) { return slice(t, 0, 0, 0); }, vec({1, 2})).shape() == Shape{0, 2});
}

TEST_CASE("the hessian is the jacobian of the gradient") {
  const Tensor x = randn({2, 3}, float64);
  const auto f = [](const Tensor& t) { return sum(exp(t * t) * sum(t)); };
  const Tensor H = hessian(f, x);
  REQUIRE(H.shape() == Shape{2, 3, 2, 3});
  CHECK(equal(H, jacobian([&](const Tensor& t) { return grad(f, t); }, x)));
  const Tensor square = reshape(H, {6, 6});
  CHECK(allclose(square, transpose(square, 0, 1), 1e-13));
  const Tensor v = randn({2, 3}, float64);
  CHECK(allclose(hvp(f, x, v), reshape(matmul(square, reshape(v, {6, 1})), {2, 3}), 1e-13));
}

TEST_CASE("a hessian of two inputs has four blocks") {
  const Tensor a = vec({2}), b = vec({3});
  const auto f = [](const Tensor& p, const Tensor& q) { return sum(p * p * q * q * q); };
  const std::vector<Tensors> H = hessian(f, {a, b});
  CHECK(H[0][0].item<double>() == 2 * 27);
  CHECK(H[0][1].item<double>() == 2 * 2 * 3 * 9);
  CHECK(H[1][0].item<double>() == H[0][1].item<double>());
  CHECK(H[1][1].item<double>() == 4 * 6 * 3);
  const Tensors hv = hvp(f, {a, b}, {vec({1}), Tensor()});
  CHECK(hv[0].item<double>() == 54);
  CHECK(hv[1].item<double>() == 108);
}

TEST_CASE("transforms nest to any order") {
  const auto quartic = [](const Tensor& t) { return sum(t * t * t * t); };
  const auto d1 = [&](const Tensor& t) { return sum(grad(quartic, t)); };
  const auto d2 = [&](const Tensor& t) { return sum(grad(d1, t)); };
  const auto d3 = [&](const Tensor& t) { return sum(grad(d2, t)); };
  CHECK(grad(d2, vec({2})).item<double>() == 48);
  CHECK(grad(d3, vec({2})).item<double>() == 24);
  // Forward over reverse, and forward over forward.
  const Tensor x = vec({2, 3}), v = vec({1, 10});
  CHECK(equal(jvp([&](const Tensor& t) { return grad(quartic, t); }, {x}, {v}).dys[0], 12 * x * x * v));
  const auto along = [&](const Tensor& t) { return jvp(quartic, {t}, {v}).dys[0]; };
  CHECK(jvp(along, {x}, {v}).dys[0].item<double>() == 12 * 4 + 12 * 9 * 100);
}

TEST_CASE("a nested derivative tells its variable from the outer one") {
  // d/dx ( x * d/dy (x + y) ) = 1; 2 where the two are confused (Siskind and Pearlmutter, 2005).
  const auto outer = [](const Tensor& x) {
    return x * grad([&](const Tensor& y) { return x + y; }, ones({}, float64));
  };
  CHECK(grad(outer, full({}, 3, float64)).item<double>() == 1);
  CHECK(jvp(outer, {full({}, 3, float64)}, {ones({}, float64)}).dys[0].item<double>() == 1);
  // The same with the outer variable itself as the point.
  const auto square_rate = [](const Tensor& x) { return x * grad([&](const Tensor& y) { return x * y; }, x); };
  CHECK(grad(square_rate, full({}, 3, float64)).item<double>() == 6);
}

TEST_CASE("results depend on what the function captures") {
  const Tensor w = vec({2, 3}).set_requires_grad(), x = vec({5, 7});
  const auto f = [&](const Tensor& t) { return sum(t * t * w); };
  const Tensor dx = grad(f, x);  // 2 x w
  CHECK(dx.requires_grad());
  CHECK(equal(grad({dx}, {w}, {vec({1, 1})})[0], vec({10, 14})));
  CHECK(equal(grad({vjp(f, {x}, {ones({}, float64)}).ys[0]}, {w})[0], vec({25, 49})));
  const Tensor dy = jvp(f, {x}, {vec({1, 1})}).dys[0];
  CHECK(equal(grad({dy}, {w})[0], vec({10, 14})));
}

TEST_CASE("results depend on the directions") {
  const Tensor v = vec({2, 3}).set_requires_grad(), x = vec({5, 7});
  const auto f = [](const Tensor& t) { return t * t; };
  CHECK(equal(grad({vjp(f, {x}, {v}).dxs[0]}, {v}, {vec({1, 1})})[0], vec({10, 14})));
  CHECK(equal(grad({jvp(f, {x}, {v}).dys[0]}, {v}, {vec({1, 1})})[0], vec({10, 14})));
}

TEST_CASE("an input given back and an input given twice") {
  const Tensor x = vec({1, 2});
  const Vjp same = vjp([](const Tensor& t) { return t; }, {x}, {vec({3, 4})});
  CHECK(equal(same.dxs[0], vec({3, 4})));
  CHECK(equal(jvp([](const Tensor& t) { return t; }, {x}, {vec({3, 4})}).dys[0], vec({3, 4})));
  const auto product = [](const Tensor& a, const Tensor& b) { return a * b; };
  const Vjp twice = vjp(product, {x, x}, {vec({1, 1})});
  CHECK(equal(twice.dxs[0], x));
  CHECK(equal(twice.dxs[1], x));
}

TEST_CASE("transforms in every floating-point dtype") {
  for (const DType dtype : {float16, bfloat16, float32, float64}) {
    const Tensor x = tensor({1, 2}, dtype);
    CHECK(equal(grad(cubes, x), tensor({3, 12}, dtype)));
    CHECK(equal(jvp([](const Tensor& t) { return t * t; }, {x}, {x}).dys[0], tensor({2, 8}, dtype)));
    CHECK(hessian(cubes, x).dtype() == dtype);
  }
}

TEST_CASE("transforms refuse in words") {
  const Tensor x = vec({1, 2});
  const auto twice = [](const Tensor& t) { return t * 2.0; };
  for (const DType dtype : {bool_, uint8, int32, int64}) {
    const Tensor n = zeros({2}, dtype);
    const std::string got = ": expected floating-point inputs, got " + std::string(to_string(dtype)) + " for input 0";
    CHECK_THROWS_WITH(vjp(twice, {n}, {n}), "vjp" + got);
    CHECK_THROWS_WITH(jvp(twice, {n}, {n}), "jvp" + got);
    CHECK_THROWS_WITH(grad(twice, n), "grad" + got);
    CHECK_THROWS_WITH(jacobian(twice, n), "jacobian" + got);
    CHECK_THROWS_WITH(hessian(cubes, n), "hessian" + got);
    CHECK_THROWS_WITH(hvp(cubes, n, n), "hvp" + got);
    CHECK_THROWS_WITH(
        jacobian([&](const Tensor& t) { return t.to(dtype); }, x),
        "jacobian: expected floating-point outputs, got " + std::string(to_string(dtype)) + " for output 0");
  }
  CHECK_THROWS_WITH(vjp(twice, {x}, {zeros({3}, float64)}), "vjp: expected dy 0 of shape (2,), got (3,)");
  CHECK_THROWS_WITH(vjp(twice, {x}, {zeros({2})}), "vjp: expected dy 0 of dtype float64, got float32");
  CHECK_THROWS_WITH(vjp(twice, {x}, {x, x}), "vjp: expected one dy per output (1), got 2");
  CHECK_THROWS_WITH(jvp(twice, {x}, {}), "jvp: expected one dx per input (1), got 0");
  CHECK_THROWS_WITH(jvp(twice, {x}, {zeros({3}, float64)}), "jvp: expected dx 0 of shape (2,), got (3,)");
  CHECK_THROWS_WITH(hvp(cubes, x, zeros({3}, float64)), "hvp: expected v 0 of shape (2,), got (3,)");
  CHECK_THROWS_WITH(grad(twice, x),
                    "grad: expected a function that gives one element, got 1 outputs, the first of shape (2,)");
  CHECK_THROWS_AS(hessian(twice, x), ShapeError);
  CHECK_THROWS_WITH(grad(cubes, Tensor()), "grad: expected defined inputs, got none for input 0");
  CHECK_THROWS_WITH(vjp(twice, Tensors(), {x}), "vjp: expected at least one input, got none");
  CHECK_THROWS_WITH(jacobian([](const Tensor&) { return Tensor(); }, x),
                    "jacobian: expected defined outputs, got none for output 0");
  CHECK_THROWS_WITH(vjp(two_of_two, {x, x, x}, {x}),
                    "vjp: expected as many inputs as the function has parameters, got 3");
}

TEST_CASE("transforms refuse inference mode, which records nothing") {
  const Tensor x = vec({1, 2});
  const InferenceMode off;
  const std::string got = ": expected a place where ops are recorded, got inference mode";
  CHECK_THROWS_WITH(grad(cubes, x), "grad" + got);
  CHECK_THROWS_WITH(vjp(cubes, {x}, {x}), "vjp" + got);
  CHECK_THROWS_WITH(jvp(cubes, {x}, {x}), "jvp" + got);
}

TEST_CASE("the graph of a transform's own inputs is not used up") {
  const Tensor x = vec({1, 2}).set_requires_grad();
  const Tensor y = x * x;
  CHECK(equal(grad(cubes, y).detach(), vec({3, 48})));
  CHECK_NOTHROW(y.backward(vec({1, 1})));
}

TEST_CASE("derivatives of constants are zero, in every spelling") {
  const Tensor x = vec({1, 2}), v = vec({3, -1}), zero = zeros({2}, float64), zero2 = zeros({2, 2}, float64);
  const Tensor c = vec({5}), w = vec({5}).set_requires_grad();
  const std::pair<const char*, std::function<Tensor(const Tensor&)>> constants[] = {
      {"a captured tensor", [&](const Tensor&) { return c; }},
      {"a new one", [](const Tensor&) { return ones({1}, float64); }},
      {"a function of what is detached", [](const Tensor& t) { return sum(exp(t.detach())); }},
      {"a captured tensor that requires a gradient", [&](const Tensor&) { return square(w); }},
      {"a step function", [](const Tensor& t) { return sum(gt(t, 0.0).to(float64)); }},
      {"times zero", [](const Tensor& t) { return sum(t * 0.0); }},
  };
  for (const auto& [name, f] : constants) DYNAMIC_SECTION(name) {
      CHECK(equal(grad(f, x), zero));
      CHECK(equal(vjp(f, {x}, {f(x).detach()}).dxs[0].detach(), zero));
      CHECK(equal(jvp(f, {x}, {v}).dys[0].detach(), zeros_like(f(x).detach())));
      CHECK(equal(reshape(jacobian(f, x), {2}).detach(), zero));
      CHECK(equal(hessian(f, x).detach(), zero2));
      CHECK(equal(hvp(f, x, v).detach(), zero));
    }
  const std::pair<const char*, std::function<Tensor(const Tensor&)>> linear[] = {
      {"a sum", [](const Tensor& t) { return sum(t); }},
      {"a product with a constant", [&](const Tensor& t) { return sum(t * v); }},
      {"an element", [](const Tensor& t) { return select(t, 0, 1); }},
      {"the input itself, of one element", [](const Tensor& t) { return reshape(slice(t, 0, 0, 1), {}); }},
      {"relu", [](const Tensor& t) { return sum(relu(t)); }},
  };
  for (const auto& [name, f] : linear) DYNAMIC_SECTION(name) {
      const auto df = [f = f](const Tensor& t) { return grad(f, t); };
      CHECK(equal(hessian(f, x), zero2));
      CHECK(equal(hvp(f, x, v), zero));
      CHECK(equal(jacobian(df, x), zero2));
      CHECK(equal(jvp(df, {x}, {v}).dys[0], zero));
      CHECK(equal(vjp(df, {x}, {v}).dxs[0], zero));
      CHECK(equal(grad([&](const Tensor& t) { return sum(df(t)); }, x), zero));
      CHECK(equal(hessian([&](const Tensor& t) { return sum(df(t)); }, x), zero2));
      CHECK(hessian(std::function([f = f](const Tensors& t) { return f(t[0]); }), {x, x}).size() == 2);
      const Tensor leaf = x.clone().set_requires_grad();
      const Tensor g = grad({f(leaf)}, {leaf}, {}, {.create_graph = true})[0];
      CHECK_FALSE(grad({sum(g)}, {leaf}, {}, {.allow_unused = true})[0].defined());
    }
}

TEST_CASE("an output that is not recorded is refused, or of undefined gradient where that is allowed") {
  const Tensor x = vec({1, 2}).set_requires_grad(), c = vec({4, 5});
  CHECK_THROWS_WITH(grad({sum(c)}, {x}),
                    ContainsSubstring("grad: expected outputs computed from a tensor that requires a gradient, got "
                                      "output 0, which is not recorded: a constant; pass allow_unused = true"));
  CHECK_THROWS_WITH(grad({sum(x), sum(c)}, {x}), ContainsSubstring("output 1"));
  CHECK_THROWS_AS(sum(c).backward(), AutogradError);
  CHECK_THROWS_WITH(sum(c).backward(), !ContainsSubstring("allow_unused"));
  CHECK_FALSE(grad({sum(c)}, {x}, {}, {.allow_unused = true})[0].defined());
  CHECK_FALSE(grad({sum(c)}, {x, x}, {}, {.create_graph = true, .allow_unused = true})[1].defined());
  CHECK(equal(grad({sum(c), sum(x * 3.0)}, {x}, {}, {.allow_unused = true})[0], vec({3, 3})));
  SECTION("with the same checks as others") {
    CHECK_THROWS_AS(grad({c}, {x}, {}, {.allow_unused = true}), ShapeError);
    CHECK_THROWS_AS(grad({c}, {x}, {vec({1})}, {.allow_unused = true}), ShapeError);
    CHECK_THROWS_AS(grad({Tensor()}, {x}, {}, {.allow_unused = true}), AutogradError);
    CHECK_THROWS_AS(grad({sum(c)}, {c}, {}, {.allow_unused = true}), AutogradError);
  }
}

}  // namespace test_transforms
