// Functions whose backward leaves the tape: right once, and never a part of a second derivative.
#include <limpid/limpid.hpp>

#include <cmath>
#include <functional>
#include <string>
#include <thread>

#include "../catch.hpp"
#include "reports.hpp"

namespace test_off_tape {

using namespace limpid;

Tensor leaf(std::initializer_list<double> values) { return tensor(values, float64).set_requires_grad(); }

// f of each element, out of sight of the tape.
Tensor raw(double (*f)(double), const Tensor& x) {
  const Tensor dense = x.contiguous(), y = empty(x.shape(), x.dtype());
  for (int64_t i = 0; i < x.numel(); ++i) y.data<double>()[i] = f(dense.data<double>()[i]);
  return y;
}
double twice(double x) { return 2 * x; }
double step(double x) { return x > 0; }
double inside(double x) { return std::abs(x) <= 1; }

/// x^2, whose backward is `rule`.
template <Tensor (*rule)(const Tensor& x, const Tensor& dy)>
struct Square : Function<Square<rule>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {rule(ctx.saved(0), dy)}; }
};
Tensor all_raw(const Tensor& x, const Tensor& dy) { return raw(twice, (x * dy).detach()); }
Tensor raw_x(const Tensor& x, const Tensor& dy) { return dy * raw(twice, x); }
Tensor detached_x(const Tensor& x, const Tensor& dy) { return dy * (x.detach() * 2.0); }
Tensor raw_dy(const Tensor& x, const Tensor& dy) { return x * raw(twice, dy); }
Tensor own_graph(const Tensor& x, const Tensor& dy) {
  const EnableGradGuard recording;
  const Tensor copy = x.detach().set_requires_grad();
  return grad({copy * copy}, {copy}, {dy})[0];
}
Tensor on_tape(const Tensor& x, const Tensor& dy) { return dy * x * 2.0; }

/// relu, and the like: what depends on x by comparisons alone.
template <double (*mask)(double)>
struct Masked : Function<Masked<mask>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * raw(mask, x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * raw(mask, ctx.saved(0))}; }
};

// 2 x, out of sight.
struct Double : Function<Double> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * 2.0;
  }
  static Tensors backward(Context&, const Tensor& dy) { return {raw(twice, dy)}; }
};

// a b^2, of which the gradient of a is out of sight.
struct HalfRaw : Function<HalfRaw> {
  static Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
    ctx.save(a, b);
    return a * b * b;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor a = ctx.saved(0), b = ctx.saved(1);
    return {(dy * b * b).detach(), dy * a * b * 2.0};
  }
};

// exp, from its own result.
struct RawExp : Function<RawExp> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    const Tensor y = exp(x);
    ctx.save(y);
    return y;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * ctx.saved(0).detach()}; }
};

// x and x^2, of which only the second is out of sight.
struct Both : Function<Both> {
  static Tensors forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return {x * 1.0, x * x};
  }
  static Tensors backward(Context& ctx, const Tensors& dy) {
    Tensor dx;
    if (dy[0].defined()) dx = dy[0] * 1.0;
    if (dy[1].defined()) {
      const Tensor part = (dy[1] * ctx.saved(0) * 2.0).detach();
      dx = dx.defined() ? dx + part : part;
    }
    return {dx};
  }
};

struct Marked : Function<Marked> {
  static constexpr bool once_differentiable = true;
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    CHECK_FALSE(is_grad_enabled());
    return {dy * ctx.saved(0) * 2.0};
  }
};

// Its tangents are out of sight.
struct RawJvp : Function<RawJvp> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * ctx.saved(0) * 2.0}; }
  static Tensor jvp(Context& ctx, const Tensors& dxs) { return (dxs[0] * ctx.saved(0) * 2.0).detach(); }
};

template <class F>
Tensor apply(const Tensor& x) {
  return F::apply(x);
}

Tensor gradient_of(const Tensor& y, const Tensor& x) { return grad({sum(y)}, {x}, {}, {.create_graph = true})[0]; }

const auto refused = ContainsSubstring("to be differentiated again");

TEST_CASE("a second derivative of a backward that leaves the tape is refused by name") {
  const Tensor x = leaf({1.5, -2, 0.3}), w = leaf({0.5, 2, -1});
  const std::pair<std::string, Tensor (*)(const Tensor&)> functions[] = {
      {"all raw", apply<Square<all_raw>>},
      {"raw in x", apply<Square<raw_x>>},
      {"detached x", apply<Square<detached_x>>},
      {"a graph of its own", apply<Square<own_graph>>},
      {"marked", apply<Marked>},
  };
  for (const auto& [name, f] : functions) {
    INFO(name);
    SECTION(name + ", a constant dy") {
      const Tensor g = gradient_of(f(x * w), x);  // 2 x w^2
      CHECK(allclose(g.detach(), (x * w * w * 2.0).detach()));
      CHECK_THROWS_AS(sum(square(g)).backward({}, {.retain_graph = true}), AutogradError);
      CHECK_THROWS_WITH(grad({sum(square(g))}, {w}),
                        refused && (ContainsSubstring("Square<") || ContainsSubstring("Marked")) &&
                            ContainsSubstring("gradient of input 0"));
      CHECK_FALSE(x.grad().defined());
    }
    SECTION(name + ", a dy that is recorded") {
      const Tensor g = gradient_of(square(f(x * w)), x);
      CHECK_THROWS_WITH(grad({sum(g)}, {w}, {}, {.retain_graph = true}), refused);
      CHECK_THROWS_WITH(grad({sum(g)}, {x}), refused);
    }
    SECTION(name + ", a dy of zeros") {
      const Tensor y = f(x), g = gradient_of(square(y - y.detach()), x);  // a residual of zero
      CHECK(equal(g.detach(), zeros_like(x.detach())));
      CHECK_THROWS_WITH(grad({sum(g)}, {x}), refused);
    }
    SECTION(name + ", at zero") {
      const Tensor zero = leaf({0, 0, 0});
      CHECK_THROWS_WITH(grad({sum(gradient_of(f(zero), zero))}, {zero}), refused);
    }
    SECTION(name + ", by transforms") {
      const auto total = [f = f](const Tensor& t) { return sum(f(t)); };
      CHECK(allclose(grad(total, x.detach()), (x * 2.0).detach()));
      CHECK_THROWS_WITH(hessian(total, x.detach()), refused);
      CHECK_THROWS_WITH(hvp(total, x.detach(), x.detach()), refused);
      const auto slope = [&](const Tensor& t) { return grad(total, t); };
      CHECK_THROWS_WITH(jacobian(slope, x.detach()), refused);
      CHECK_THROWS_AS(jvp(slope, {x.detach()}, {x.detach()}), AutogradError);
    }
    SECTION(name + ", by gradgradcheck") {
      CHECK(gradcheck(f, {x.detach()}));
      const GradcheckReport report = gradgradcheck(f, {x.detach()});
      INFO(report);
      CHECK(mentions(report, "to be differentiated again"));
    }
  }
}

TEST_CASE("a local class is marked by an enumerator") {
  struct Local : Function<Local> {
    enum { once_differentiable = true };
    static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
    static Tensors backward(Context&, const Tensor& dy) { return {dy * 2.0}; }
  };
  const Tensor x = leaf({1.5});
  CHECK_THROWS_WITH(grad({sum(gradient_of(Local::apply(x), x))}, {x}), refused && ContainsSubstring("Local"));
}

TEST_CASE("the derivative by what the tape does see stays") {
  const Tensor x = leaf({1.5, -2}), u = leaf({1, 3});
  const Tensor g = grad({Square<detached_x>::apply(x)}, {x}, {u}, {.create_graph = true})[0];
  CHECK(allclose(grad({sum(g)}, {u}, {}, {.retain_graph = true})[0], (x * 2.0).detach()));
  CHECK_THROWS_WITH(grad({sum(g)}, {u, x}), refused);
  // Of the derivative by u, that by x is as far out of sight.
  const Tensor h = grad({sum(grad({Square<detached_x>::apply(x)}, {x}, {u}, {.create_graph = true})[0])}, {u}, {},
                        {.create_graph = true})[0];
  CHECK_THROWS_WITH(grad({sum(h)}, {x}), refused);
}

TEST_CASE("a gradient that hides its dependence on dy alone is refused where dy matters") {
  const Tensor x = leaf({1.5, -2}), u = leaf({1, 3});
  const Tensor g = grad({Square<raw_dy>::apply(x)}, {x}, {u}, {.create_graph = true})[0];
  CHECK_THROWS_WITH(grad({sum(g)}, {u}, {}, {.retain_graph = true}), refused);
  CHECK(allclose(grad({sum(g)}, {x})[0], (u * 2.0).detach()));
}

TEST_CASE("a linear function out of sight has no second derivative to hide, unless its dy does") {
  const Tensor x = leaf({1.5, -2});
  const Tensor g = gradient_of(Double::apply(x), x);
  CHECK_FALSE(grad({sum(g)}, {x}, {}, {.allow_unused = true})[0].defined());
  CHECK_THROWS_WITH(grad({sum(gradient_of(square(Double::apply(x)), x))}, {x}), refused);
}

TEST_CASE("a backward that compares its saved tensor is no backward off the tape, at the edges either") {
  const Tensor x = leaf({1.5, -2, 0, 1, -1, 0.25});
  const auto second = [&](const Tensor& y) {
    return grad({sum(gradient_of(y, x))}, {x}, {}, {.allow_unused = true})[0];
  };
  CHECK_FALSE(second(Masked<step>::apply(x)).defined());
  CHECK_FALSE(second(Masked<inside>::apply(x)).defined());
  const Tensor inner = (raw(inside, x) * 2.0).detach();
  CHECK(equal(second(square(Masked<inside>::apply(x))), inner));
  CHECK(
      equal(hessian([](const Tensor& t) { return sum(Masked<step>::apply(t)); }, x.detach()), zeros({6, 6}, float64)));
}

TEST_CASE("one gradient out of sight does not spoil another") {
  const Tensor a = leaf({2}), b = leaf({5});
  const auto y = [&] { return sum(HalfRaw::apply(a, b)); };
  CHECK(grad({sum(grad({y()}, {b}, {}, {.create_graph = true})[0])}, {a})[0].item<double>() == 10);
  CHECK(grad({sum(grad({y()}, {b}, {}, {.create_graph = true})[0])}, {b})[0].item<double>() == 4);
  const Tensor da = grad({y()}, {a}, {}, {.create_graph = true})[0];
  CHECK_THROWS_WITH(grad({sum(da)}, {b}), refused && ContainsSubstring("gradient of input 0"));
  CHECK_THROWS_WITH(
      [&] {
        const Tensors both = grad({y()}, {a, b}, {}, {.create_graph = true});
        sum(both[0] + both[1]).backward();
      }(),
      refused);
}

TEST_CASE("the results of a function out of sight are told apart") {
  const Tensor x = leaf({3});
  const auto y = [&](std::size_t k) { return Both::apply(x * 1.0)[k]; };
  CHECK(grad({sum(gradient_of(square(y(0)), x))}, {x})[0].item<double>() == 2);
  CHECK_THROWS_WITH(grad({sum(gradient_of(y(1), x))}, {x}), refused);
  const Tensors ys = Both::apply(x * 1.0);
  CHECK_THROWS_WITH(grad({sum(gradient_of(square(ys[0]) + square(ys[1]), x))}, {x}), refused);
}

TEST_CASE("a saved result out of sight is noticed") {
  const Tensor x = leaf({0.5});
  const Tensor g = gradient_of(RawExp::apply(x), x);
  CHECK(g.item<double>() == std::exp(0.5));
  CHECK_THROWS_WITH(grad({sum(g)}, {x}), refused && ContainsSubstring("RawExp"));
}

TEST_CASE("a tangent out of sight is noticed") {
  const Tensor x = leaf({3});
  const auto f = [](const Tensor& t) { return RawJvp::apply(t); };
  CHECK(jvp(f, {x.detach()}, {ones({1}, float64)}).dys[0].item<double>() == 6);
  const Tensor dy = jvp(f, {x}, {ones({1}, float64)}).dys[0];
  CHECK_THROWS_WITH(grad({sum(dy)}, {x}), refused && ContainsSubstring("tangent of output 0"));
}

TEST_CASE("a backward on the tape is left as it is") {
  const Tensor x = leaf({1.5, -2});
  SECTION("no node of its own stands in the graph, and no trial is run") {
    const Tensor g = gradient_of(Square<on_tape>::apply(x), x);
    CHECK_THAT(to_dot(g), !ContainsSubstring("Square<"));
    CHECK(equal(grad({sum(g)}, {x})[0], full({2}, 2, float64)));
  }
  SECTION("recorded on a thread that is ahead of this one") {
    Tensor y, u;
    std::thread([&] {
      for (int i = 0; i < 100000; ++i) u = x * 1.0;
      y = Square<on_tape>::apply(x);
      u = u * 2.0;
    }).join();
    const Tensor g = grad({y}, {x}, {u}, {.create_graph = true})[0];  // 4 x^2
    CHECK(equal(grad({sum(g)}, {x})[0], (x * 8.0).detach()));
  }
}

TEST_CASE("a trial runs once someone asks, and leaves no trace") {
  static int runs = 0;
  struct Noisy : Function<Noisy> {
    static Tensor forward(Context& ctx, const Tensor& t) {
      ctx.save(t);
      return t * t;
    }
    static Tensors backward(Context& ctx, const Tensor& dy) {
      if (++runs > 1) rand({5});
      return {(dy * ctx.saved(0) * 2.0).detach()};
    }
  };
  const Tensor x = leaf({1.5, -2});
  manual_seed(3);
  const Tensor expected = rand({2});
  manual_seed(3);
  runs = 0;
  const Tensor g = gradient_of(Noisy::apply(x), x);
  CHECK(runs == 1);
  CHECK_THROWS_WITH(grad({sum(g)}, {x}), refused);
  CHECK(runs > 1);
  CHECK(equal(rand({2}), expected));
}

TEST_CASE("a backward that refuses what it is tried with hides what it looks at") {
  struct Strict : Function<Strict> {
    static Tensor forward(Context& ctx, const Tensor& t) {
      ctx.save(t);
      return t * 2.0;
    }
    static Tensors backward(Context& ctx, const Tensor& dy) {
      if (ctx.saved(0).data<double>()[0] != 1.5) throw ValueError("strict: expected 1.5");
      return {(dy * 2.0).detach()};
    }
  };
  const Tensor x = leaf({1.5});
  CHECK_THROWS_WITH(grad({sum(gradient_of(Strict::apply(x), x))}, {x}), refused);
}

}  // namespace test_off_tape
