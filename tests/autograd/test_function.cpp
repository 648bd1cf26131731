// Functions of the user's own.
#include <limpid/limpid.hpp>

#include <cmath>
#include <functional>
#include <string>

#include "../catch.hpp"

namespace test_function {

using namespace limpid;

Tensor leaf(std::initializer_list<double> values) { return tensor(values, float64).set_requires_grad(); }
Tensor vec(std::initializer_list<double> values) { return tensor(values, float64); }

struct Cube : Function<Cube> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * 3.0 * (ctx.saved(0) * ctx.saved(0))}; }
};

// Two results, of which either may go unused.
struct SumAndProduct : Function<SumAndProduct> {
  static Tensors forward(Context& ctx, const Tensor& a, const Tensor& b) {
    ctx.save(a, b);
    return {a + b, a * b};
  }
  static Tensors backward(Context& ctx, const Tensors& dy) {
    Tensor da, db;
    if (dy[0].defined()) da = db = dy[0];
    if (dy[1].defined()) {
      da = da.defined() ? da + dy[1] * ctx.saved(1) : dy[1] * ctx.saved(1);
      db = db.defined() ? db + dy[1] * ctx.saved(0) : dy[1] * ctx.saved(0);
    }
    return {da, db};
  }
};

// Arguments that are no tensors get no gradient.
struct Scale : Function<Scale> {
  static Tensor forward(Context& ctx, double factor, const Tensor& x, const std::string& /*note*/) {
    ctx.save(full({}, factor, float64));
    return x * factor;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * ctx.saved(0)}; }
};

struct Total : Function<Total> {
  static Tensor forward(Context&, const Tensors& xs) {
    Tensor y = xs[0] * 1.0;
    for (std::size_t i = 1; i < xs.size(); ++i) y = y + xs[i];
    return y;
  }
  static Tensors backward(Context&, const Tensor& dy) { return {dy, dy, dy}; }
};

struct Identity : Function<Identity> {
  static Tensor forward(Context&, const Tensor& x) { return x; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * 2.0}; }
};

struct TooMany : Function<TooMany> {
  static Tensor forward(Context&, const Tensor& x) { return x * 1.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy, dy}; }
};

struct WrongShape : Function<WrongShape> {
  static Tensor forward(Context&, const Tensor& x) { return x * 1.0; }
  static Tensors backward(Context&, const Tensor&) { return {zeros({7}, float64)}; }
};

struct WrongDType : Function<WrongDType> {
  static Tensor forward(Context&, const Tensor& x) { return x * 1.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy.to(float32)}; }
};

struct Nothing : Function<Nothing> {
  static Tensor forward(Context&, const Tensor& x) { return x * 1.0; }
  static Tensors backward(Context&, const Tensor&) { return {Tensor()}; }
};

struct Undefined : Function<Undefined> {
  static Tensor forward(Context&, const Tensor&) { return {}; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy}; }
};

struct Index : Function<Index> {
  static Tensor forward(Context&, const Tensor& x) { return zeros(x.shape(), int64); }
  static Tensors backward(Context&, const Tensor& dy) { return {dy}; }
};

struct Broadcasts : Function<Broadcasts> {
  static Tensor forward(Context&, const Tensor& a, const Tensor& b) { return a + b; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy, dy}; }
};

struct Throws : Function<Throws> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * 1.0;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * ctx.saved(3)}; }
};

// Its own result is what it saves.
struct Doubling : Function<Doubling> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    Tensor y = x + x;
    ctx.save(y);
    return y;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    CHECK(ctx.saved(0).requires_grad());
    return {dy * 2.0 + ctx.saved(0) * 0.0};
  }
};

int needed = 0;
struct Asks : Function<Asks> {
  static Tensor forward(Context&, const Tensor& a, const Tensor& b) { return a + b; }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    needed = ctx.needs(0) + 2 * ctx.needs(1);
    return {dy, dy};
  }
};

// Runs a backward of its own inside its backward.
struct Nested : Function<Nested> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const EnableGradGuard recording;
    const Tensor x = ctx.saved(0).detach().set_requires_grad();
    return {grad({x * x}, {x}, {dy})[0]};
  }
};

TEST_CASE("a custom function gives its gradient") {
  const Tensor x = leaf({2, 3});
  const Tensor y = Cube::apply(x);
  CHECK(equal(y.detach(), vec({8, 27})));
  y.backward(vec({1, 10}));
  CHECK(equal(x.grad(), vec({12, 270})));
  CHECK_THROWS_WITH(y.backward(vec({1, 1})), ContainsSubstring("Cube") && ContainsSubstring("retain_graph"));
}

TEST_CASE("a custom function records nothing where nothing asks for gradients") {
  CHECK_FALSE(Cube::apply(vec({2})).requires_grad());
  const NoGradGuard guard;
  CHECK_FALSE(Cube::apply(leaf({2})).requires_grad());
}

TEST_CASE("a custom function written with differentiable ops has higher derivatives") {
  const Tensor x = leaf({2});
  const Tensor d1 = grad({Cube::apply(x)}, {x}, {}, {.create_graph = true})[0];
  CHECK(grad({d1}, {x})[0].item<double>() == 12);
}

TEST_CASE("a custom function with several results") {
  const Tensor a = leaf({2}), b = leaf({5});
  const Tensors ys = SumAndProduct::apply(a, b);
  SECTION("both used") {
    backward({ys[0] + ys[1]});
    CHECK(a.grad().item<double>() == 6);
    CHECK(b.grad().item<double>() == 3);
  }
  SECTION("only the first used") {
    ys[0].backward();
    CHECK(a.grad().item<double>() == 1);
  }
  SECTION("only the second used") {
    ys[1].backward();
    CHECK(a.grad().item<double>() == 5);
    CHECK(b.grad().item<double>() == 2);
  }
}

TEST_CASE("a custom function may take what is no tensor, and lists of tensors") {
  const Tensor x = leaf({2}), y = leaf({3}), plain = vec({4});
  Scale::apply(3.0, x, std::string("note")).backward();
  CHECK(x.grad().item<double>() == 3);
  Total::apply(Tensors{x, plain, y}).backward();
  CHECK(x.grad().item<double>() == 4);
  CHECK(y.grad().item<double>() == 1);
}

TEST_CASE("a custom function may return its argument") {
  const Tensor x = leaf({3}), h = x * 1.0;
  const Tensor y = Identity::apply(h);
  CHECK_FALSE(y.is_same(h));
  CHECK(y.shares_storage_with(h));
  (y + h).backward();
  CHECK(x.grad().item<double>() == 3);
  const Tensor z = Identity::apply(x);
  CHECK(x.is_leaf());
  CHECK_FALSE(z.is_leaf());
}

TEST_CASE("a wrong backward is refused by name") {
  const Tensor x = leaf({1, 2});
  const Tensor dy = vec({1, 1});
  CHECK_THROWS_WITH(TooMany::apply(x).backward(dy),
                    ContainsSubstring("TooMany: expected one gradient per input (1) from backward, got 2"));
  CHECK_THROWS_WITH(WrongShape::apply(x).backward(dy),
                    ContainsSubstring("WrongShape: expected backward to give the gradient of input 0 in its shape "
                                      "(2,) and dtype float64, got (7,) and float64"));
  CHECK_THROWS_WITH(WrongDType::apply(x).backward(dy),
                    ContainsSubstring("WrongDType: expected backward to give the gradient of input 0 in its shape "
                                      "(2,) and dtype float64, got (2,) and float32"));
  CHECK_THROWS_WITH(WrongShape::apply(ones({2, 7}, float64).set_requires_grad()).backward(ones({2, 7}, float64)),
                    ContainsSubstring("gradient of input 0 in its shape (2, 7)") && ContainsSubstring("got (7,)"));
  CHECK_THROWS_WITH(Throws::apply(x).backward(dy), ContainsSubstring("Throws: expected an index below 1"));
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("more gradients than a set of inputs holds are refused, whoever looks at them first") {
  struct Many : Function<Many> {
    static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
    static Tensors backward(Context&, const Tensor& dy) {
      Tensors dx;
      for (int i = 0; i < 65; ++i) dx.push_back(dy * 2.0);
      return dx;
    }
  };
  const Tensor x = leaf({1, 2});
  const auto wrong_count = ContainsSubstring("expected one gradient per input (1) from backward, got 65");
  CHECK_THROWS_WITH(grad({sum(Many::apply(x))}, {x}, {}, {.create_graph = true}), wrong_count);
  const DetectAnomaly watch;
  CHECK_THROWS_WITH(grad({sum(Many::apply(x))}, {x}), wrong_count);
}

TEST_CASE("a wrong forward is refused by name") {
  const Tensor x = leaf({1, 2});
  CHECK_THROWS_WITH(Undefined::apply(x), ContainsSubstring("Undefined") && ContainsSubstring("undefined tensor"));
  CHECK_THROWS_WITH(Index::apply(x), ContainsSubstring("Index") && ContainsSubstring("int64"));
}

TEST_CASE("an undefined gradient from a custom function stands for zero") {
  const Tensor x = leaf({1}), w = leaf({2});
  (Nothing::apply(x) + w).backward();
  CHECK_FALSE(x.grad().defined());
  CHECK(w.grad().item<double>() == 1);
}

TEST_CASE("a custom function's gradient is summed down to a broadcast operand") {
  const Tensor a = ones({2, 3}, float64).set_requires_grad(), b = ones({3}, float64).set_requires_grad();
  Broadcasts::apply(a, b).backward(ones({2, 3}, float64));
  CHECK(equal(b.grad(), full({3}, 2, float64)));
}

TEST_CASE("a custom function may save its own result") {
  const Tensor x = leaf({3});
  Doubling::apply(x).backward();
  CHECK(x.grad().item<double>() == 2);
}

TEST_CASE("a change in place of what a custom function saved is found") {
  const Tensor x = leaf({3}), h = x * 1.0;
  const Tensor y = Cube::apply(h);
  h.bump_version();
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("Cube") && ContainsSubstring("in place"));
}

TEST_CASE("a custom function is told what is needed") {
  const Tensor a = leaf({1}), b = leaf({1}), plain = vec({1});
  Asks::apply(a, b).backward();
  CHECK(needed == 3);
  Asks::apply(a, plain).backward();
  CHECK(needed == 1);
  grad({Asks::apply(a, b)}, {b});
  CHECK(needed == 2);
}

TEST_CASE("a custom function gets a dense dy of its result's shape, whatever the loss sends") {
  // sin, whose backward reads dy's memory from end to end; results of any layout.
  static int64_t strided = 0;
  struct Raw : Function<Raw> {
    static Tensors forward(Context& ctx, const Tensor& x) {
      ctx.save(x.contiguous());
      return {sin(x), transpose(transpose(sin(x), 0, 1).contiguous(), 0, 1)};
    }
    static Tensors backward(Context& ctx, const Tensors& dy) {
      const Tensor x = ctx.saved(0), dx = zeros(x.shape(), float64);
      for (const Tensor& g : dy) {
        if (!g.defined()) continue;
        strided += !g.is_contiguous() || g.shape() != x.shape() || g.dtype() != x.dtype();
        for (int64_t i = 0; i < x.numel(); ++i)
          dx.data<double>()[i] += std::cos(x.data<double>()[i]) * g.data<double>()[i];
      }
      return {dx};
    }
    static Tensor one(const Tensor& x, std::size_t k) { return apply(x)[k]; }
  };
  const Tensor weight = reshape(arange(12).to(float64), {3, 4}), x = reshape(vec({1, 2, 3, 4, 5, 6}), {2, 3});
  const std::function<Tensor(const Tensor&)> losses[] = {
      [](const Tensor& y) { return sum(y); },
      [](const Tensor& y) { return mean(y); },
      [](const Tensor& y) { return sum(square(sum(y, 0))); },
      [](const Tensor& y) { return sum(square(mean(y, 1, true))); },
      [&](const Tensor& y) { return sum(transpose(y, 0, 1) * slice(weight, 1, 1, 3)); },
      [&](const Tensor& y) { return sum(matmul(transpose(y, 0, 1), y)); },
      [](const Tensor& y) { return sum(square(slice(y, 1, 1, 3))); },
      [](const Tensor& y) { return sum(square(flip(y, 0))); },
      [&](const Tensor& y) {
        return sum(expand(unsqueeze(y, 0), {4, 2, 3}));
      },
  };
  for (const auto& loss : losses)
    for (std::size_t k : {0, 1}) {
      const auto custom = [&](const Tensor& t) { return loss(Raw::one(t, k)); };
      const auto plain = [&](const Tensor& t) { return loss(sin(t)); };
      CHECK(allclose(grad(custom, x), grad(plain, x)));
      CHECK(gradcheck(custom, {x}));
    }
  CHECK(gradcheck([](const Tensor& t) { return Raw::apply(t); }, {x}));
  CHECK(strided == 0);
  SECTION("recorded as well, and differentiated") {
    struct Dense : Function<Dense> {
      static Tensor forward(Context& ctx, const Tensor& t) {
        ctx.save(t);
        return sin(t);
      }
      static Tensors backward(Context& ctx, const Tensor& dy) {
        strided += !dy.is_contiguous();
        return {dy * cos(ctx.saved(0))};
      }
    };
    const auto custom = [](const Tensor& t) { return sum(square(sum(Dense::apply(t), 0))); };
    const auto plain = [](const Tensor& t) { return sum(square(sum(sin(t), 0))); };
    CHECK(allclose(hessian(custom, x), hessian(plain, x)));
    CHECK(gradgradcheck([](const Tensor& t) { return sum(Dense::apply(t), 0); }, {x}));
    CHECK(strided == 0);
  }
  SECTION("and dense tangents") {
    struct Tangent : Function<Tangent> {
      static Tensor forward(Context& ctx, const Tensor& t) {
        ctx.save(t);
        return sin(t);
      }
      static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * cos(ctx.saved(0))}; }
      static Tensor jvp(Context& ctx, const Tensors& dx) {
        strided += !dx[0].is_contiguous();
        return dx[0] * cos(ctx.saved(0));
      }
    };
    const Tensor v = expand(ones({1, 1}, float64), {2, 3});
    const auto f = [](const Tensor& t) { return Tangent::apply(t); };
    CHECK(allclose(jvp(f, {x}, {v}).dys[0], cos(x)));
    CHECK(allclose(jvp(f, {x}, {transpose(ones({3, 2}, float64), 0, 1)}).dys[0], cos(x)));
    CHECK(strided == 0);
  }
}

TEST_CASE("a dense dy is handed on as it is") {
  static const double* seen = nullptr;
  struct Looks : Function<Looks> {
    static Tensor forward(Context&, const Tensor& x) { return x * 1.0; }
    static Tensors backward(Context&, const Tensor& dy) {
      seen = dy.data<double>();
      return {dy};
    }
  };
  const Tensor dy = vec({1, 2});
  Looks::apply(leaf({1, 2})).backward(dy);
  CHECK(seen == dy.data<double>());
}

TEST_CASE("a backward may run inside a backward") {
  const Tensor x = leaf({3});
  Tensor y = Nested::apply(x * 1.0);
  y = Nested::apply(y + x);
  y.backward();  // (x^2 + x)^2
  CHECK(x.grad().item<double>() == 2 * 12 * 7);
}

}  // namespace test_function
