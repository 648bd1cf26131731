// Forward mode: how tangents go through the graph, whom they ask, and what they keep. That each op's rule is right, the
// tests of the op table say.
#include <limpid/limpid.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "../catch.hpp"

namespace test_forward {

using namespace limpid;

Tensor vec(std::initializer_list<double> values) { return tensor(values, float64); }

template <class F>
Tensor push(F f, const Tensor& x, const Tensor& dx) {
  return jvp(f, {x}, {dx}).dys[0];
}

// y = a b, with a rule that notes what it is asked.
struct Product : Function<Product> {
  static inline int asked = 0;
  static inline bool moves[2];
  static Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    ctx.save(a, b);
    return a * b;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * ctx.saved(1), dy * ctx.saved(0)}; }
  static Tensor jvp(Context& ctx, const Tensors& dx) {
    ++asked;
    Tensor dy;
    for (std::size_t i = 0; i < 2; ++i) {
      moves[i] = dx[i].defined();
      if (!moves[i]) continue;
      const Tensor part = dx[i] * ctx.saved(1 - i);
      dy = dy.defined() ? dy + part : part;
    }
    return dy;
  }
};

// (sin a, a sum(b)), without a rule of its own.
struct Pair : Function<Pair> {
  static Tensors forward(Context& ctx, const Tensor& a, const Tensor& b) {
    ctx.save(a, b);
    return {sin(a), a * sum(b)};
  }
  static Tensors backward(Context& ctx, const Tensors& dy) {
    const Tensor a = ctx.saved(0), b = ctx.saved(1);
    Tensor da, db;
    if (dy[0].defined()) da = dy[0] * cos(a);
    if (dy[1].defined()) {
      const Tensor through = dy[1] * sum(b);
      da = da.defined() ? da + through : through;
      db = expand(sum(dy[1] * a), b.shape());
    }
    return {da, db};
  }
};

// y = x, with the tangent that is set.
struct Odd : Function<Odd> {
  static inline Tensors tangents;
  static Tensors forward(Context&, const Tensor& x) { return {x.clone()}; }
  static Tensors backward(Context&, const Tensors& dy) { return {dy[0]}; }
  static Tensors jvp(Context&, const Tensors&) { return tangents; }
};

// A backward out of sight of the tape.
struct Unrecorded : Function<Unrecorded> {
  static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {(dy * 2.0).detach()}; }
};
struct Steps : Function<Steps> {
  static Tensor forward(Context&, const Tensor& x) { return sign(x); }
  static Tensors backward(Context&, const Tensor& dy) { return {zeros_like(dy).detach()}; }
};

// y = x; its rule notes the bytes in use.
struct Weigh : Function<Weigh> {
  static inline int64_t in_use = 0;
  static Tensor forward(Context&, const Tensor& x) { return x.clone(); }
  static Tensors backward(Context&, const Tensor& dy) { return {dy}; }
  static Tensor jvp(Context&, const Tensors& dx) {
    in_use = memory_stats().in_use;
    return dx[0];
  }
};

// y = (x, x), in memory of their own.
struct Twins : Function<Twins> {
  static Tensors forward(Context&, const Tensor& x) { return {x.clone(), x.clone()}; }
  static Tensors backward(Context&, const Tensors& dy) { return {dy[0] + dy[1]}; }
  static Tensors jvp(Context&, const Tensors& dx) { return {dx[0].clone(), dx[0].clone()}; }
};

TEST_CASE("a tangent asks the nodes that it reaches, once each, and no others") {
  const Tensor x = vec({2}), c = vec({5}).set_requires_grad();
  Product::asked = 0;
  const auto f = [&](const Tensor& t) {
    const Tensor constant = Product::apply(c, c), shared = Product::apply(t, constant);
    Product::apply(shared, c);  // leads nowhere
    return shared * shared + shared;
  };
  CHECK(push(f, x, vec({1})).item<double>() == 2 * 50 * 25 + 25);
  CHECK(Product::asked == 1);
  CHECK(Product::moves[0]);
  CHECK_FALSE(Product::moves[1]);
}

TEST_CASE("an input that does not move costs nothing") {
  const Tensor a = vec({2}), b = vec({3});
  const auto f = [](const Tensor& p, const Tensor& q) { return Product::apply(p, q); };
  Product::asked = 0;
  CHECK(jvp(f, {a, b}, {Tensor(), vec({1})}).dys[0].item<double>() == 2);
  CHECK_FALSE(Product::moves[0]);
  CHECK(jvp(f, {a, b}, {Tensor(), Tensor()}).dys[0].item<double>() == 0);
  CHECK(Product::asked == 1);
}

TEST_CASE("a function without a rule is pushed through by its backward, output by output") {
  const Tensor a = vec({1, 2}), b = vec({3, 5, 7}), da = vec({10, 20}), db = vec({1, 1, 1});
  const auto f = [](const Tensor& p, const Tensor& q) { return Pair::apply(p, q); };
  const Tensors both = jvp(f, {a, b}, {da, db}).dys;
  CHECK(equal(both[0], da * cos(a)));
  CHECK(allclose(both[1], da * 15.0 + a * 3.0, 1e-14));
  CHECK(equal(jvp(f, {a, b}, {Tensor(), db}).dys[0], vec({0, 0})));
  CHECK(allclose(jvp(f, {a, b}, {Tensor(), db}).dys[1], a * 3.0, 1e-14));
  const auto second = [](const Tensor& p, const Tensor& q) { return Pair::apply(p, q)[1]; };
  CHECK(allclose(jvp(second, {a, b}, {da, Tensor()}).dys[0], da * 15.0, 1e-14));
}

TEST_CASE("a backward that the tape does not see is no rule, unless it gives zeros") {
  const Tensor x = vec({1, 2});
  CHECK_THROWS_WITH(
      push([](const Tensor& t) { return Unrecorded::apply(t); }, x, x),
      ContainsSubstring("Unrecorded: expected a jvp, or a backward made of recorded ops, for forward mode"));
  CHECK(equal(push([](const Tensor& t) { return Steps::apply(t) + t; }, x, x), x));
}

TEST_CASE("tangents that do not fit are refused by the name of their op") {
  const auto with = [](const Tensors& tangents) {
    Odd::tangents = tangents;
    return push([](const Tensor& t) { return Odd::apply(t)[0]; }, vec({1, 2}), vec({1, 1}));
  };
  CHECK_THROWS_WITH(with({}), ContainsSubstring("Odd: expected one tangent per output (1) from jvp, got 0"));
  CHECK_THROWS_WITH(with({zeros({2})}), ContainsSubstring("Odd: expected jvp to give the tangent of output 0 in its "
                                                          "shape (2,) and dtype float64, got (2,) and float32"));
  CHECK_THROWS_WITH(with({vec({1, 2, 3})}), ContainsSubstring("got (3,)"));
  CHECK_THROWS_WITH(with({zeros({1, 2}, float64)}),
                    ContainsSubstring("Odd: expected jvp to give the tangent of output 0 in its shape (2,) and dtype "
                                      "float64, got (1, 2) and float64"));
  CHECK(equal(with({vec({4})}), vec({4, 4})));
  CHECK(equal(with({Tensor()}), vec({0, 0})));
  Odd::tangents = {};
}

TEST_CASE("tangents of operands that are broadcast have the result's shape") {
  const Tensor x = randn({2, 3}, float64), b = randn({3}, float64), db = randn({3}, float64);
  const auto f = [](const Tensor& p, const Tensor& q) { return Tensors{p + q, p * q, where(gt(p, 0), p, q)}; };
  const Tensors dys = jvp(f, {x, b}, {Tensor(), db}).dys;
  CHECK(equal(dys[0], expand(db, {2, 3})));
  CHECK(equal(dys[1], x * db));
  CHECK(equal(dys[2], where(gt(x, 0), zeros({2, 3}, float64), expand(db, {2, 3}))));
}

TEST_CASE("tangents go through what is changed in place while recording") {
  const Tensor x = vec({1, 2}), z = vec({5, 7}), dx = vec({10, 20}), dz = vec({1, 3});
  const auto f = [](const Tensor& a, const Tensor& b) {
    Tensor y = a * 2.0;
    y.add_(b, 3).mul_(a).mul_(2.0);  // 2 a (2 a + 3 b)
    Tensor w = zeros({2, 2}, float64);
    w.copy_(y);
    Tensor gone = a * 1.0;
    gone.fill_(4);
    return Tensors{y, w, gone};
  };
  const Tensors dys = jvp(f, {x, z}, {dx, dz}).dys;
  const Tensor expected = 2.0 * dx * (2.0 * x + 3.0 * z) + 2.0 * x * (2.0 * dx + 3.0 * dz);
  CHECK(equal(dys[0], expected));
  CHECK(equal(dys[1], expand(expected, {2, 2})));
  CHECK(equal(dys[2], vec({0, 0})));
  const auto narrow = [](const Tensor& a) {
    Tensor y = zeros({2}, float32);
    y.copy_(a);
    return y;
  };
  CHECK(equal(push(narrow, x, dx), tensor({10, 20})));
}

TEST_CASE("what forward mode can not know any more is an error") {
  const Tensor x = vec({1, 2});
  const auto stale = [](const Tensor& t) {
    Tensor y = exp(t), z = y * 1.0;
    const NoGradGuard off;
    y.add_(y);
    return z;
  };
  CHECK_THROWS_WITH(push(stale, x, x), ContainsSubstring("exp: expected saved tensor y of shape (2,) unchanged"));
  const auto used_up = [](const Tensor& t) {
    Tensor y = t * t;
    sum(y).backward();
    return y;
  };
  CHECK_THROWS_WITH(push(used_up, x, x),
                    "jvp: expected a graph not used up, got one whose op mul has run already; "
                    "pass retain_graph = true to the first backward");
  const auto old_view = [](const Tensor& t) {
    Tensor y = t * 1.0;
    Tensor view = reshape(y, {2, 1});
    y.add_(t);
    return view;
  };
  CHECK_THROWS_WITH(push(old_view, x, x), ContainsSubstring("jvp: expected outputs with a history of their present"));
}

TEST_CASE("views of tangents follow views of tensors") {
  const Tensor x = randn({2, 6}, float64), dx = randn({2, 6}, float64);
  const auto f = [](const Tensor& t) {
    return cat({select(transpose(reshape(t, {2, 2, 3}), 0, 2), 0, 1), slice(reshape(t, {3, 4}), 0, 0, 2).contiguous()},
               1);
  };
  CHECK(equal(push(f, x, dx), f(dx)));
}

TEST_CASE("tangents go through checkpoints, and through what these capture") {
  const Tensor x = randn({3, 4}, float64), w = randn({4, 4}, float64), dx = randn({3, 4}, float64),
               dw = randn({4, 4}, float64);
  const auto body = [](const Tensor& t, const Tensor& v) { return tanh(matmul(t, v)) * t; };
  const auto plain = [&](const Tensor& t, const Tensor& v) { return body(body(t, v), v); };
  const auto kept = [&](const Tensor& t, const Tensor& v) {
    const auto inner = [=](const Tensor& s) { return checkpoint([=](const Tensor& r) { return body(r, v); }, s); };
    return checkpoint([=](const Tensor& s) { return inner(inner(s)); }, t);
  };
  for (const Tensors& directions : {Tensors{dx, dw}, Tensors{dx, Tensor()}, Tensors{Tensor(), dw}}) {
    const Jvp a = jvp(plain, {x, w}, directions), b = jvp(kept, {x, w}, directions);
    CHECK(equal(a.ys[0], b.ys[0]));
    CHECK(allclose(a.dys[0], b.dys[0], 1e-14));
  }
  // An argument that depends on what is captured.
  const auto tied = [](const Tensor& t) {
    const Tensor s = t * t;
    return checkpoint([=](const Tensor& r) { return r * s * t; }, s);
  };
  CHECK(allclose(push(tied, vec({2}), vec({1})), vec({5 * 16}), 1e-14));
  // A captured tensor that does not move, above one that does.
  const auto flat = [](const Tensor& t) {
    const Tensor s = sign(t) * 3.0, r = exp(t);
    return checkpoint([=](const Tensor& u) { return u * s * r; }, t);
  };
  CHECK(allclose(push(flat, vec({1}), vec({1})), vec({6 * std::exp(1.0)}), 1e-14));
  CHECK(gradgradcheck([&](Tensor t, Tensor v) { return kept(t, v); }, {x, w}, {.rtol = 1e-8, .fast = true}));
}

TEST_CASE("hooks see gradients, and no tangents") {
  int calls = 0;
  const auto f = [&](const Tensor& t) {
    const Tensor y = t * 3.0;
    register_hook(y, [&](const Tensor& dy) {
      ++calls;
      return dy * 100.0;
    });
    register_hook(*grad_node(y), [&](const Tensors& dxs, const Tensors&) {
      ++calls;
      return dxs;
    });
    return y * y;
  };
  CHECK(equal(push(f, vec({1, 2}), vec({1, 1})), vec({18, 36})));
  CHECK(calls == 0);
}

TEST_CASE("anomaly mode finds a bad tangent") {
  const DetectAnomaly guard;
  const auto f = [](const Tensor& t) { return sqrt(t); };
  CHECK_THROWS_WITH(push(f, vec({4, 0}), vec({1, 1})),
                    ContainsSubstring("jvp of sqrt: expected finite tangents, got inf at (1,) of that of its result"));
  CHECK_NOTHROW(push(f, vec({4, 1}), vec({1, 1})));
}

TEST_CASE("nodes past the 64th input push forward too") {
  const auto f = [](const Tensors& xs) { return cat(xs, 0); };
  Tensors xs, dxs(70);
  for (int i = 0; i < 70; ++i) xs.push_back(vec({1}));
  dxs[68] = vec({7});
  const Tensor dy = jvp(f, xs, dxs).dys[0];
  CHECK(sum(dy).item<double>() == 7);
  CHECK(dy.data<double>()[68] == 7);
}

TEST_CASE("forward mode lets go of what is saved and of tangents as it passes") {
  constexpr int64_t size = 1 << 18, bytes = 4 * size, depth = 32;
  const Tensor x = ones({size}), dx = ones({size});
  const int64_t before = memory_stats().in_use;
  jvp(
      [](const Tensor& t) {
        Tensor y = t;
        for (int64_t i = 0; i < depth; ++i) y = sin(y);
        return Weigh::apply(y);
      },
      {x}, {dx});
  CHECK(Weigh::in_use - before < 6 * bytes);
  jvp(
      [](const Tensor& t) {
        Tensor y = t;
        for (int64_t i = 0; i < depth; ++i) {
          const Tensors twins = Twins::apply(y);
          y = twins[0] + twins[1];
        }
        return Weigh::apply(y);
      },
      {x}, {dx});
  CHECK(Weigh::in_use - before < 6 * bytes);
}

TEST_CASE("a chain of 100,000 ops is pushed through without a stack, and each node once") {
  const auto f = [](const Tensor& t) {
    Tensor y = t;
    for (int i = 0; i < 100000; ++i) y = y * 1.0;
    return y;
  };
  CHECK(push(f, vec({2}), vec({3})).item<double>() == 3);
  const auto doubled = [](const Tensor& t) {  // 2^60 paths
    Tensor y = t;
    for (int i = 0; i < 60; ++i) y = y + y;
    return y;
  };
  CHECK(push(doubled, vec({1}), vec({1})).item<double>() == std::pow(2.0, 60));
}

TEST_CASE("tangents can be differentiated, in either mode, to any order") {
  const Tensor x = vec({0.5, 1.5}), v = vec({1, -2});
  const auto f = [](const Tensor& t) { return sum(exp(t) * sin(t)); };
  const auto along = [&](const auto& g) { return [&v, g](const Tensor& t) { return push(g, t, v); }; };
  // d^4/dx^4 exp(x) sin(x) = -4 exp(x) sin(x).
  const Tensor fourth = -4.0 * sum(exp(x) * sin(x) * square(square(v)));
  CHECK(along(along(along(along(f))))(x).item<double>() == Approx(fourth.item<double>()).epsilon(1e-12));
  const auto third = along(along(along(f)));
  CHECK(sum(grad(third, x) * v).item<double>() == Approx(fourth.item<double>()).epsilon(1e-12));
  const auto gradient = [&](const Tensor& t) { return grad(f, t); };
  CHECK(allclose(push(gradient, x, v), hvp(f, x, v), 1e-13));
  CHECK(allclose(grad([&](const Tensor& t) { return sum(along(f)(t)); }, x), hvp(f, x, v), 1e-13));
  const Tensor H = hessian(f, x);
  CHECK(allclose(push(gradient, x, v), reshape(matmul(H, reshape(v, {2, 1})), {2}), 1e-13));
}

TEST_CASE("a tangent is recorded where what it depends on is, and only there") {
  const Tensor x = vec({1, 2}), v = vec({1, 1}), w = vec({3, 4}).set_requires_grad();
  CHECK_FALSE(push([](const Tensor& t) { return t * t; }, x, v).requires_grad());
  const Tensor dy = push([&](const Tensor& t) { return t * t * w; }, x, v);
  CHECK(equal(grad({sum(dy)}, {w})[0], 2.0 * x * v));
  const NoGradGuard off;
  CHECK_FALSE(push([&](const Tensor& t) { return t * t * w; }, x, v).requires_grad());
}

}  // namespace test_forward
