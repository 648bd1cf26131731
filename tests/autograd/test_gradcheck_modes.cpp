// Forward mode, batches of cotangents, functions that take float32 alone: right rules pass, wrong ones are told of.
#include <limpid/core/detail/array.hpp>
#include <limpid/limpid.hpp>

#include <limits>
#include <string>

#include "../catch.hpp"
#include "reports.hpp"

namespace test_gradcheck_modes {

using namespace limpid;

struct Cube : Function<Cube> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * 3.0 * square(ctx.saved(0))}; }
};

// The right gradient, half of which forgets that it depends on dy.
struct HalfDetached : Function<HalfDetached> {
  static Tensor forward(Context&, const Tensor& x) { return x * 3.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * 1.5 + dy.detach() * 1.5}; }
};

// The right gradient, computed out of sight of the tape.
struct Unrecorded : Function<Unrecorded> {
  static Tensor forward(Context&, const Tensor& x) { return x * 3.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {(dy.detach() * 3.0).detach()}; }
};

// Right for cotangents up to 1.5, as every single one is.
struct Clipped : Function<Clipped> {
  static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {clamp(dy, -1.6, 1.6) * 2.0}; }
};

// Scribbles over what it saved, so that a second run through one graph differs.
struct OneShot : Function<OneShot> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x.clone());
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor saved = ctx.saved(0), dx = dy * saved * 2.0;
    detail::fill(saved, 0);
    return {dx};
  }
};

// Takes float32 alone, as code that reads data<float>() does.
template <int percent>
struct Narrow : Function<Narrow<percent>> {
  static void require_float32(const Tensor& x) {
    if (x.dtype() != float32) throw DTypeError("narrow: expected float32, got " + std::string(to_string(x.dtype())));
  }
  static Tensor forward(Context& ctx, const Tensor& x) {
    require_float32(x);
    ctx.save(x);
    return sin(x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * cos(ctx.saved(0)) * (percent / 100.0)}; }
};

template <class F>
auto of(F) {
  return [](const Tensor& x) { return F::apply(x); };
}

TEST_CASE("forward mode is checked against differences and reverse mode") {
  const auto check = [](const GradcheckReport& report, int64_t count) {
    INFO(report);
    CHECK(report);
    CHECK(report.forward.checked);
    CHECK(report.forward.passed);
    CHECK(report.forward.count == count);
    CHECK(report.forward.error < 1e-9);
    CHECK(report.forward.resolution > 0);
    CHECK(report.forward.resolution < 1e-9);
    CHECK(report.forward.against_reverse < 1e-14);
  };
  check(gradcheck(of(Cube()), {random({2, 3})}, {.rtol = 1e-9}), 6);
  check(gradgradcheck(of(Cube()), {random({2, 3})}, {.rtol = 1e-9}), 6);
  check(gradcheck(
            [](Tensor a, Tensor b) {
              return Tensors{a * b, exp(b)};
            },
            {random({2, 1}), random({3})}, {.rtol = 1e-9}),
        9);
  check(gradcheck([](Tensor a) { return Tensors{zeros({2}, int64), a * a}; }, {random({3})}, {.rtol = 1e-9}), 3);
}

TEST_CASE("a gradient that depends on dy out of sight of the tape fails forward mode") {
  for (bool fast : {false, true}) {
    const GradcheckReport report = gradcheck(of(HalfDetached()), {random({2, 3})}, {.fast = fast});
    INFO(report);
    CHECK(mentions(report, "forward mode: expected <dy, J v> = <J' dy, v>"));
    CHECK(report.inputs[0].passed);
    CHECK_FALSE(report.forward.passed);
  }
  CHECK(gradcheck(of(HalfDetached()), {random({2, 3})}, {.forward = false}));
}

TEST_CASE("an error of forward mode that no inner product shows is found, and placed") {
  // J v is wrong in two places whose errors cancel in <dy, J v>.
  struct Sly : Function<Sly> {
    static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
    static Tensors backward(Context&, const Tensor& dy) {
      if (!is_grad_enabled() && !last_dy().defined()) last_dy() = dy;
      return {dy * 2.0};
    }
    static Tensor jvp(Context&, const Tensors& dx) { return dx[0] * 2.0 + tensor({1, -1, 0}, float64) / last_dy(); }
    static Tensor& last_dy() {
      static Tensor dy;
      return dy;
    }
  };
  const GradcheckReport report = gradcheck(of(Sly()), {random({3})});
  INFO(report);
  CHECK(mentions(report, "forward mode: J v of output 0 at ("));
  CHECK(mentions(report, "2 of 3 wrong"));
  CHECK(report.forward.wrong == 2);
}

TEST_CASE("where backward is not recorded, forward mode is left out and the report says so") {
  const GradcheckReport report = gradcheck(of(Unrecorded()), {random({3})});
  CHECK(report);
  CHECK_FALSE(report.forward.checked);
  CHECK_THAT(to_string(report),
             ContainsSubstring("forward mode: not checked, for backward is not made of recorded ops"));
  CHECK_THAT(to_string(gradcheck([](Tensor x) { return x * x.detach(); }, {random({3})})),
             ContainsSubstring("forward mode: not checked, for reverse mode is wrong"));
}

TEST_CASE("forward mode is left out where J v leaves the range of numbers, and wrong where a rule makes it") {
  for (const auto& f :
       {+[](const Tensor& x) { return exp(x); }, +[](const Tensor& x) { return exp(x) / sum(exp(x)); }}) {
    const GradcheckReport report = gradcheck(f, {tensor({700, 708}, float64)});
    INFO(report);
    CHECK(report);
    CHECK_FALSE(report.forward.checked);
    CHECK_THAT(to_string(report), ContainsSubstring("not checked, for values or derivatives leave the range"));
  }
  struct Infinite : Function<Infinite> {
    static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
    static Tensors backward(Context&, const Tensor& dy) { return {dy * 2.0}; }
    static Tensor jvp(Context&, const Tensors& dx) { return dx[0] * std::numeric_limits<double>::infinity(); }
  };
  CHECK(mentions(gradcheck(of(Infinite()), {random({3})}), "forward mode: expected <dy, J v> = <J' dy, v>"));
}

TEST_CASE("a jvp that hides a part of what it depends on is found by its own derivative") {
  struct PartOfX : Cube {
    static Tensor apply(const Tensor& x) { return Function<PartOfX>::apply(x); }
    static Tensor jvp(Context& ctx, const Tensors& dx) {
      const Tensor x = ctx.saved(0);
      return dx[0] * 2.0 * square(x) + dx[0] * square(x).detach();
    }
  };
  struct PartOfDx : Cube {
    static Tensor apply(const Tensor& x) { return Function<PartOfDx>::apply(x); }
    static Tensor jvp(Context& ctx, const Tensors& dx) { return (dx[0] * 2.0 + dx[0].detach()) * square(ctx.saved(0)); }
  };
  struct Whole : Cube {
    static Tensor apply(const Tensor& x) { return Function<Whole>::apply(x); }
    static Tensor jvp(Context& ctx, const Tensors& dx) { return dx[0] * 3.0 * square(ctx.saved(0)); }
  };
  const Tensor x = random({2, 3});
  CHECK(gradcheck(of(PartOfX()), {x}));
  CHECK(mentions(gradgradcheck(of(PartOfX()), {x}), "forward mode, differentiated by input 0: expected "));
  CHECK(mentions(gradgradcheck(of(PartOfDx()), {x}),
                 "forward mode, differentiated by the tangent of input 0: expected "));
  CHECK(gradgradcheck(of(PartOfX()), {x}, {.forward = false}));
  CHECK(gradgradcheck(of(Whole()), {x}));
}

TEST_CASE("a gradient beyond the range of the inputs' dtype is no disagreement") {
  const GradcheckReport report = gradcheck([](const Tensor& x) { return x * x * x; }, {tensor({1e20, 1, -3}, float32)});
  INFO(report);
  CHECK(report);
}

TEST_CASE("a backward that is not linear in dy is found") {
  CHECK(mentions(gradcheck(of(Clipped()), {random({9})}), "a sum of cotangents"));
}

TEST_CASE("a backward that spoils its graph for the next run is found") {
  CHECK(mentions(gradcheck(of(OneShot()), {random({3})}), "a sum of cotangents"));
}

TEST_CASE("a gradient that depends on whether the graph is kept is found") {
  // Its gradient goes by how often it has run, and every other run is one through a kept graph.
  static int runs = 0;
  struct Counting : Function<Counting> {
    static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
    static Tensors backward(Context&, const Tensor& dy) { return {dy * (2.0 + 1e-12 * runs++)}; }
  };
  CHECK(mentions(gradcheck(of(Counting()), {random({3})}), "a graph kept for another run"));
}

TEST_CASE("a function that refuses float64 is checked in float32") {
  const Tensor x = random({4}, float32);
  const GradcheckReport right = gradcheck(of(Narrow<100>()), {x});
  INFO(right);
  CHECK(right);
  CHECK(right.precision == float32);
  CHECK(right.error > 0);
  CHECK(right.error < 1e-3);
  CHECK(right.inputs[0].resolution < 1e-3);
  CHECK_THAT(to_string(right), ContainsSubstring("in float32"));
  CHECK_FALSE(gradcheck(of(Narrow<102>()), {x}));
  CHECK(gradcheck(of(Narrow<100>()), {x}, {.fast = true}));
  CHECK_FALSE(gradcheck(of(Narrow<102>()), {x}, {.fast = true}));
  CHECK(gradgradcheck(of(Narrow<100>()), {x}));
  CHECK_THROWS_AS(gradcheck(of(Narrow<100>()), {x.to(float64)}), DTypeError);
  SECTION("where the gradient is all but flat, and small steps round it away") {
    CHECK(gradgradcheck(of(Narrow<100>()), {tensor({1.3e-4, 2e-3, -7e-4}, float32)}));
  }
  SECTION("with several outputs") {
    const auto two = [](const Tensor& a) { return Tensors{a * 2.0f, Narrow<102>::apply(a)}; };
    CHECK(mentions(gradcheck(two, {x}), "through output 1"));
  }
  SECTION("beside one that does not matter") {
    const auto f = [](const Tensor& a, const Tensor& b) { return Narrow<100>::apply(a) * b; };
    CHECK(gradcheck(f, {x, random({4})}));
  }
}

}  // namespace test_gradcheck_modes
