// The checker checked: right rules pass, wrong ones are named, and what proves nothing is called vacuous.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <string>

#include "../catch.hpp"
#include "reports.hpp"

namespace test_gradcheck {

using namespace limpid;

// x^3 with a gradient of percent / 100 times the right one.
template <int percent>
struct Cube : Function<Cube<percent>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    return {dy * (0.03 * percent) * (ctx.saved(0) * ctx.saved(0))};
  }
};

// Right for dx, nothing for dx's own derivative: its backward reads a detached tensor.
struct OnceOnly : Function<OnceOnly> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * (ctx.saved(0).detach() * 2.0)}; }
};

// The same of half of it.
struct HalfOnce : Function<HalfOnce> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * (ctx.saved(0).detach() + ctx.saved(0))}; }
};

struct Offset : Function<Offset> {
  static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * 2.0 + 1e-12}; }
};

int calls = 0;
struct Unsteady : Function<Unsteady> {
  static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * (2.0 + 1e-12 * (++calls % 3))}; }
};

// The first input's gradient depends on whether the second's is wanted.
struct Entangled : Function<Entangled> {
  static Tensor forward(Context&, const Tensor& a, const Tensor& b) { return a + b; }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {ctx.needs(1) ? dy : dy * (1 + 1e-12), dy}; }
};

// Forgets what an undefined gradient means.
struct BothOrNothing : Function<BothOrNothing> {
  static Tensors forward(Context&, const Tensor& x) { return {x * 2.0, x * 3.0}; }
  static Tensors backward(Context&, const Tensors& dy) {
    if (!dy[0].defined() || !dy[1].defined()) return {Tensor()};
    return {dy[0] * 2.0 + dy[1] * 3.0};
  }
};

// Reads channels-last memory as if it were row-major.
struct RowMajorOnly : Function<RowMajorOnly> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    Tensor x = ctx.saved(0);
    const Tensor misread = empty(x.shape(), x.dtype());
    std::copy_n(x.data<double>(), x.numel(), misread.data<double>());
    return {dy * misread * 2.0};
  }
};

struct SingleOnly : Function<SingleOnly> {
  static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * (dy.dtype() == float32 ? 2.1 : 2.0)}; }
};

struct NaNs : Function<NaNs> {
  static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * std::nan("")}; }
};

// |x|, with the gradient 0 at 0 or that of the right.
template <bool right>
struct Abs : Function<Abs<right>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    const Tensor dense = x.contiguous(), sign = empty(x.shape(), float64);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double v = dense.data<double>()[i];
      sign.data<double>()[i] = v > 0 || (right && v == 0) ? 1 : v < 0 ? -1 : 0;
    }
    ctx.save(sign);
    return x * sign;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * ctx.saved(0)}; }
};

Tensor centred(const Tensor& x) { return x - mean(x); }

// x^2 by a node, as the library's are, whose backward reads the memory of dy, or of x, as if it were dense.
template <bool careless_dy, bool careless_x>
struct RawNode final : Node {
  Saved x{*this, "x"};
  const char* name() const noexcept override { return "raw"; }
  Tensors backward(const Tensors& dy) override {
    const Tensor g = careless_dy ? dy[0] : dy[0].contiguous(), at = x, saved = careless_x ? at : at.contiguous(),
                 dx = empty(at.shape(), float64);
    for (int64_t i = 0; i < dx.numel(); ++i) dx.data<double>()[i] = 2 * saved.data<double>()[i] * g.data<double>()[i];
    return {dx};
  }
  static Tensor apply(const Tensor& x) {
    Tensor y = square(x.detach());
    if (auto* node = limpid::record<RawNode>(y, x)) node->x = x;
    return y;
  }
};

TEST_CASE("a right rule passes, to 1e-9 in float64") {
  const GradcheckReport report =
      gradcheck([](Tensor x) { return Cube<100>::apply(x); }, {random({2, 3, 4})}, {.rtol = 1e-9});
  INFO(report);
  CHECK(report);
  CHECK(report.passed);
  CHECK_FALSE(report.vacuous);
  CHECK(report.error < 1e-9);
  CHECK(report.problems.empty());
  CHECK(report.inputs[0].count == 24);
  CHECK(gradgradcheck([](Tensor x) { return Cube<100>::apply(x); }, {random({2, 3})}, {.rtol = 1e-9}));
}

TEST_CASE("a wrong rule is found and told of in full") {
  const GradcheckReport report = gradcheck([](Tensor x) { return Cube<101>::apply(x); }, {random({2, 3})});
  REQUIRE_FALSE(report);
  const GradcheckReport::Input& input = report.inputs[0];
  CHECK(input.wrong == 6);
  CHECK(report.error == Approx(0.01).epsilon(0.02));
  CHECK(input.analytic / input.numeric == Approx(1.01));
  CHECK(input.index.size() == 2);
  CHECK(input.bound > 0);
  const std::string text = to_string(report);
  INFO(text);
  for (const char* part : {"gradcheck of", "Cube<101>", "FAILED", "input 0 of shape (2, 3) at (", "analytic", "numeric",
                           "bound", "6 of 6 wrong"})
    CHECK_THAT(text, ContainsSubstring(part));
}

TEST_CASE("errors near the bound are told from rounding") {
  CHECK_FALSE(gradcheck([](Tensor x) { return Cube<100>::apply(x) * 1.0 + (x - x.detach()) * 1e-6; },
                        {random({5}) * 0.1 + 1.0}, {.rtol = 1e-8}));
}

TEST_CASE("fast mode finds and passes the same") {
  const GradcheckOptions fast{.fast = true};
  const GradcheckReport right = gradcheck([](Tensor x) { return Cube<100>::apply(x); }, {random({50})}, fast);
  CHECK(right);
  CHECK(right.inputs[0].count == 2);
  const GradcheckReport wrong = gradcheck([](Tensor x) { return Cube<101>::apply(x); }, {random({50})}, fast);
  CHECK_FALSE(wrong);
  CHECK_THAT(to_string(wrong), ContainsSubstring("random direction"));
}

TEST_CASE("a rule that can be differentiated but once fails gradgradcheck alone, and the pair is named") {
  const auto f = [](const Tensor& x) { return OnceOnly::apply(x); };
  CHECK(gradcheck(f, {random({4})}));
  const GradcheckReport report = gradgradcheck(f, {random({4})});
  CHECK_FALSE(report);
  CHECK_THAT(to_string(report), ContainsSubstring("gradgradcheck of") && ContainsSubstring("OnceOnly") &&
                                    ContainsSubstring("leaves the tape") &&
                                    ContainsSubstring("gradient of input 0 depends"));
  // Where only a part hides, the values tell, and the pair is named.
  const GradcheckReport half = gradgradcheck([](const Tensor& x) { return HalfOnce::apply(x); }, {random({4})});
  CHECK_FALSE(half);
  CHECK_THAT(to_string(half), ContainsSubstring("HalfOnce") && ContainsSubstring("input 0 of shape (4,)") &&
                                  ContainsSubstring("the gradient of input 0"));
}

TEST_CASE("a gradient of zero is vacuous, and no pass") {
  const Tensor x = random({2, 3, 5});
  for (bool fast : {false, true}) {
    const GradcheckReport report = gradcheck([](Tensor t) { return sum(centred(t)); }, {x}, {.fast = fast});
    INFO(report);
    CHECK(report.vacuous);
    CHECK_FALSE(report);
    CHECK_THAT(to_string(report), ContainsSubstring("vacuous"));
    CHECK(gradcheck([](Tensor t) { return sum(centred(t)); }, {x}, {.fast = fast, .allow_vacuous = true}));
  }
  CHECK(gradcheck([](Tensor t) { return sum(instance_norm(t)); }, {x}).vacuous);
  CHECK(gradcheck([](Tensor t) { return sum(instance_norm(t + 1000.0)); }, {x}).vacuous);
  CHECK(gradcheck([](Tensor t, Tensor u) { return t + u * 0.0; }, {x, x}).vacuous);
  CHECK(gradcheck([](Tensor t) { return t.detach() * 0.0; }, {x}).vacuous);
  CHECK(gradcheck([](Tensor t) { return t; }, {zeros({0}, float64)}).vacuous);
}

TEST_CASE("small is not vacuous") {
  const Tensor x = random({6});
  CHECK(gradcheck([](Tensor t) { return t * t * 1e-15; }, {x}));
  CHECK(gradcheck([](Tensor t) { return t * t * 1e15; }, {x}));
  CHECK(gradcheck([](Tensor t) { return t * t; }, {x * 1e-12}));
  const GradcheckReport report = gradcheck([](Tensor t) { return Cube<101>::apply(t) * 1e-15; }, {x});
  CHECK_FALSE(report);
  CHECK_FALSE(report.vacuous);
}

TEST_CASE("a linear function's second derivative is zero, which its dy makes up for") {
  const GradcheckReport report = gradgradcheck([](Tensor a, Tensor b) { return a + b; }, {random({3}), random({3})});
  CHECK(report);
  CHECK(report.inputs[0].vacuous);
  CHECK_FALSE(report.inputs[2].vacuous);
  CHECK(report.inputs[2].name == "dy 0");
}

TEST_CASE("a forgotten record is found") {
  CHECK_FALSE(gradcheck([](Tensor x) { return x.detach() * 2.0; }, {random({3})}));
  CHECK_FALSE(gradcheck([](Tensor x) { return Tensors{x * 2.0, x.detach() * 3.0}; }, {random({3})}));
}

TEST_CASE("a gradient that is not zero for dy = 0 is found") {
  CHECK(mentions(gradcheck([](Tensor x) { return Offset::apply(x); }, {random({3})}), "dy = 0"));
}

TEST_CASE("a gradient that changes from run to run is found") {
  CHECK(mentions(gradcheck([](Tensor x) { return Unsteady::apply(x); }, {random({3})}), "repeated"));
}

TEST_CASE("values that change from run to run are found") {
  int count = 0;
  const auto f = [&](const Tensor& x) { return x * (1.0 + 1e-13 * (++count % 3)); };
  CHECK(mentions(gradcheck(f, {random({3})}), "expected the same bits"));
}

TEST_CASE("a gradient that depends on what else is wanted is found") {
  const GradcheckReport report =
      gradcheck([](Tensor a, Tensor b) { return Entangled::apply(a, b); }, {random({3}), random({3})});
  CHECK(mentions(report, "only input 0"));
}

TEST_CASE("a backward that takes undefined for anything but zero is found") {
  const GradcheckReport report = gradcheck([](Tensor x) { return BothOrNothing::apply(x); }, {random({3})});
  CHECK(mentions(report, "one output at a time"));
}

TEST_CASE("a backward that misreads a layout is found") {
  const auto f = [](const Tensor& x) { return RowMajorOnly::apply(x); };
  CHECK(mentions(gradcheck(f, {random({2, 3, 4})}), "channels-last inputs"));
  CHECK(mentions(gradcheck(f, {random({3, 4})}), "strided inputs"));
  CHECK(gradcheck(f, {random({3, 4})}, {.layouts = false}));
}

TEST_CASE("a backward that reads dy as if it were dense is found, in each layout that losses send") {
  const auto right = [](const Tensor& x) { return RawNode<false, false>::apply(x); };
  const auto careless = [](const Tensor& x) { return RawNode<true, false>::apply(x); };
  const auto careless_x = [](const Tensor& x) { return RawNode<false, true>::apply(x); };
  for (bool fast : {false, true}) {
    for (const Shape& shape : {Shape{4}, Shape{2, 3}, Shape{2, 3, 4}, Shape{2, 1, 3, 2}}) {
      const GradcheckReport report = gradcheck(right, {random(shape)}, {.fast = fast});
      INFO(report);
      CHECK(report);
      CHECK(gradcheck(right, {random(shape)}, {.fast = fast}));
      CHECK(mentions(gradcheck(careless, {random(shape)}, {.fast = fast}), "expanded dy: expected the same gradient"));
      CHECK(mentions(gradcheck(careless, {random(shape)}, {.fast = fast}), "strided dy"));
      CHECK(mentions(gradcheck(careless_x, {random(shape)}, {.fast = fast}), "strided inputs"));
    }
    const GradcheckReport report = gradcheck(careless, {random({2, 3, 4})}, {.fast = fast});
    for (const char* layout :
         {"permuted dy", "channels-last dy", "dy expanded along the first axis", "dy expanded along the last axis"})
      CHECK(mentions(report, layout));
    CHECK(gradcheck(careless, {random({2, 3, 4})}, {.fast = fast, .layouts = false}));
  }
  CHECK(gradcheck(right, {random({})}));
  CHECK(gradcheck(right, {random({1, 1})}));
}

// Gradients of x^2 that are right for a dy like those of random draws alone.
enum class Expects { no_zero, moderate, not_tiny, several, apart };
template <Expects expects>
struct Picky : Function<Picky<expects>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return square(x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor x = ctx.saved(0), right = 2 * x * dy;
    switch (expects) {
      case Expects::no_zero: {  // stops at the first 0
        const Tensor dx = zeros(x.shape(), float64), g = dy.contiguous(), r = right.detach().contiguous();
        for (int64_t i = 0; i < x.numel() && g.data<double>()[i] != 0; ++i) dx.data<double>()[i] = r.data<double>()[i];
        return {dx};
      }
      case Expects::moderate: return {2 * x * clamp(dy, -100, 100)};
      case Expects::not_tiny: return {where(abs(dy) < 1e-4, 0, right)};
      case Expects::several: return {sum(ne(dy, 0)).item<int64_t>() == 1 ? right * 1.01 : right};
      case Expects::apart: {  // reads x as if no two elements shared a place
        const auto& strides = x.strides();
        return {std::find(strides.begin(), strides.end(), 0) == strides.end() ? right : right * 1.01};
      }
    }
    return {};
  }
};

TEST_CASE("a backward for such dy or x alone as random draws give is found") {
  for (const bool fast : {false, true}) {
    const auto report = [&](auto function) {
      using F = decltype(function);
      return gradcheck([](const Tensor& x) { return F::apply(x); }, {random({3, 4})}, {.fast = fast});
    };
    CHECK(mentions(report(Picky<Expects::no_zero>()), "dy in two halves, each zero where the other is not"));
    CHECK(mentions(report(Picky<Expects::moderate>()), "a far larger dy"));
    CHECK(mentions(report(Picky<Expects::not_tiny>()), "a far smaller dy"));
    CHECK(mentions(report(Picky<Expects::several>()), "dy of one element and of all others"));
    CHECK(mentions(report(Picky<Expects::apart>()), "expanded inputs"));
  }
}

TEST_CASE("more inputs than a set of them holds are checked") {
  const auto sum_of_squares = [](const Tensors& xs) {
    Tensor y = square(xs[0]);
    for (std::size_t i = 1; i < xs.size(); ++i) y = y + square(xs[i]) * static_cast<double>(i);
    return y;
  };
  Tensors xs;
  for (int i = 0; i < 70; ++i) xs.push_back(random({2}));
  const GradcheckReport report = gradcheck(sum_of_squares, xs);
  INFO(report);
  CHECK(report);
  const auto one_wrong = [&](const Tensors& at) { return sum_of_squares(at) + at[66] * (at[66].detach() * 1e-3); };
  CHECK(mentions(gradcheck(one_wrong, xs), "input 66"));
}

TEST_CASE("a function that gives something else where it is recorded is refused") {
  const Tensor x = random({3});
  const auto more = [](const Tensor& t) { return t.requires_grad() ? Tensors{t * 2, t} : Tensors{t * 2}; };
  CHECK_THROWS_WITH(gradcheck(more, {x}), "gradcheck: expected 1 outputs from each call, got 2");
  const auto wider = [](const Tensor& t) { return t.requires_grad() ? cat({t, t}, 0) : t * 2; };
  CHECK_THROWS_WITH(gradcheck(wider, {x}),
                    "gradcheck: expected the same from each call, got output 0 of shape (6,) and float64 after one of "
                    "shape (3,) of floating point");
}

TEST_CASE("a function that ends beside its input is left alone there") {
  // Its gradient is zero, and whether that is noise is asked of inputs a little further off.
  const Tensor x = tensor({1, 2}, float64);
  const auto narrow = [&](const Tensor& t) {
    if (any(abs(t.detach() - x) > 1e-13).item<bool>()) throw ValueError("too far");
    return t * 0.0;
  };
  CHECK_NOTHROW(gradcheck(narrow, {x}));
}

TEST_CASE("tolerances that let anything pass are refused") {
  const auto f = [](const Tensor& t) { return t * 2; };
  for (const double rtol : {std::nan(""), -1.0, std::numeric_limits<double>::infinity()})
    CHECK_THROWS_AS(gradcheck(f, {random({2})}, {.rtol = rtol}), ValueError);
}

// x^2 by a node whose tangent rule reads the memory of dx as if it were dense.
struct RawTangent final : SymmetricNode {
  Saved x{*this, "x"};
  const char* name() const noexcept override { return "raw tangent"; }
  Tensors backward(const Tensors& dy) override { return {2 * x.get() * dy[0]}; }
  Tensors jvp(const Tensors& dx) override {
    const Tensor at = x.get().contiguous(), dy = empty(at.shape(), float64);
    for (int64_t i = 0; i < dy.numel(); ++i) dy.data<double>()[i] = 2 * at.data<double>()[i] * dx[0].data<double>()[i];
    return {dy};
  }
  static Tensor apply(const Tensor& x) {
    Tensor y = square(x.detach());
    if (auto* node = limpid::record<RawTangent>(y, x)) node->x = x;
    return y;
  }
};

TEST_CASE("a tangent rule that reads dx as if it were dense is found") {
  for (const Shape& shape : {Shape{4}, Shape{2, 3}, Shape{2, 1, 3, 2}}) {
    const GradcheckReport report = gradcheck([](const Tensor& x) { return RawTangent::apply(x); }, {random(shape)});
    CHECK(mentions(report, "forward mode, strided v: J v of"));
    CHECK(gradcheck([](const Tensor& x) { return RawTangent::apply(x); }, {random(shape)}, {.layouts = false}));
  }
}

Tensor of_tensors(const Tensor& x) { return sin(x); }
Tensors of_a_list(const Tensors& xs) { return {sin(xs[0])}; }

TEST_CASE("an ordinary function is checked as well") {
  CHECK(gradcheck(of_tensors, {random({3})}));
  CHECK(gradcheck(&of_tensors, {random({3})}));
  CHECK(gradgradcheck(of_tensors, {random({3})}));
  CHECK(gradcheck(of_a_list, {random({3})}));
  CHECK(equal(jacobian(of_tensors, zeros({2}, float64)), reshape(tensor({1, 0, 0, 1}, float64), {2, 2})));
}

TEST_CASE("float32 inputs are checked in float64, and in float32 for agreement") {
  const GradcheckReport right = gradcheck([](Tensor x) { return Cube<100>::apply(x); }, {random({5}, float32)});
  CHECK(right);
  CHECK(right.error < 1e-9);
  CHECK(mentions(gradcheck([](Tensor x) { return SingleOnly::apply(x); }, {random({5}, float32)}), "in float32"));
  CHECK(gradcheck([](Tensor x) { return SingleOnly::apply(x); }, {random({5})}));
}

TEST_CASE("NaN gradients are found") {
  const GradcheckReport report = gradcheck([](Tensor x) { return NaNs::apply(x); }, {random({3})});
  CHECK_FALSE(report);
  CHECK_THAT(to_string(report), ContainsSubstring("analytic nan") && !ContainsSubstring("-nan"));
}

TEST_CASE("kinks are called kinks") {
  const Tensor x = tensor({-1, 0, 2, 1e-4}, float64);
  const GradcheckReport report = gradcheck([](Tensor t) { return Abs<true>::apply(t); }, {x});
  INFO(report);
  CHECK_FALSE(report);
  CHECK(report.inputs[0].kinks == 1);
  CHECK(report.inputs[0].kink_at_worst);
  CHECK(report.inputs[0].wrong == 1);
  CHECK(report.inputs[0].index[0] == 1);
  CHECK_THAT(to_string(report), ContainsSubstring("a kink"));
  const GradcheckReport middle = gradcheck([](Tensor t) { return Abs<false>::apply(t); }, {x});
  CHECK(middle);
  CHECK(middle.inputs[0].kinks == 1);
  CHECK(gradcheck([](Tensor t) { return Abs<true>::apply(t); }, {tensor({-1, 3e-3, 2}, float64)}).inputs[0].kinks == 0);
}

// relu, with the gradient 3 at 0.
struct Relu : Function<Relu> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return relu(x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor x = ctx.saved(0);
    return {where(x > 0.0, dy, where(x < 0.0, dy * 0.0, dy * 3.0))};
  }
};

TEST_CASE("a gradient beyond the slopes at a kink is wrong") {
  for (const Tensor& x : {tensor({0}, float64), tensor({0, 1}, float64), tensor({0, -1, 2}, float64)})
    for (const auto& f : {+[](const Tensor& t) { return Relu::apply(t); },
                          +[](const Tensor& t) { return sum(Relu::apply(t)) + sum(square(t)); }})
      for (bool fast : {false, true}) {
        const GradcheckReport report = gradcheck(f, {x}, {.fast = fast});
        INFO(report);
        CHECK_FALSE(report);
        CHECK_FALSE(report.at_kinks);
        CHECK_FALSE(report.unsure);
      }
}

TEST_CASE("functions of several shapes and kinds of arguments") {
  const Tensor a = random({2, 3}), b = random({3}), index = arange(3);
  CHECK(gradcheck([](const Tensor& p, Tensor q) { return p * q; }, {a, b}));
  CHECK(gradcheck([](const Tensors& xs) { return xs[0] * xs[1]; }, {a, b}));
  CHECK(gradcheck([](auto p, auto q) { return Tensors{p * q, p + q}; }, {a, b}));
  CHECK(gradcheck([](const auto&... xs) { return (xs * ...); }, {a, b, a}));
  Tensors many(12, Tensor(b));
  CHECK(gradcheck([](const Tensors& xs) { return xs[0] * xs[11] + xs[3]; }, many, {.allow_vacuous = true}));
  SECTION("integer and undefined inputs are passed through") {
    const GradcheckReport report = gradcheck(
        [](Tensor x, Tensor i, Tensor none) {
          REQUIRE_FALSE(none.defined());
          REQUIRE(i.dtype() == int64);
          return x * i;
        },
        {b, index, Tensor()});
    CHECK(report);
    CHECK_FALSE(report.inputs[1].checked);
    CHECK_FALSE(report.inputs[2].checked);
  }
  SECTION("integer outputs are passed over") {
    CHECK(gradcheck([](Tensor x) { return Tensors{x * 2.0, zeros({2}, int64)}; }, {b}));
    CHECK(gradgradcheck([](Tensor x) { return Tensors{zeros({2}, int64), x * x}; }, {b}));
  }
}

TEST_CASE("inputs stay as they were") {
  const Tensor x = random({3}).set_requires_grad(), kept = x.detach().clone();
  CHECK(gradcheck([](Tensor t) { return t * t; }, {x}));
  CHECK(gradgradcheck([](Tensor t) { return t * t; }, {x}));
  CHECK(equal(x.detach(), kept));
  CHECK_FALSE(x.grad().defined());
  CHECK(x.version() == 0);
}

TEST_CASE("a check works where recording is off") {
  const NoGradGuard guard;
  CHECK(gradcheck([](Tensor t) { return Cube<100>::apply(t); }, {random({3})}));
  CHECK(gradgradcheck([](Tensor t) { return Cube<100>::apply(t); }, {random({3})}));
  CHECK_FALSE(is_grad_enabled());
}

TEST_CASE("what cannot be checked is refused") {
  const auto f = [](Tensor x) { return x * 2.0; };
  CHECK_THROWS_AS(gradcheck(f, {expand(random({1, 3}), {2, 3})}), ValueError);
  CHECK_THROWS_WITH(gradcheck(f, {expand(random({1, 3}), {2, 3})}),
                    ContainsSubstring("input 0 of shape (2, 3)") && ContainsSubstring("clone()"));
  CHECK_THROWS_AS(gradgradcheck(f, {expand(random({1, 3}), {2, 3})}), ValueError);
  CHECK_THROWS_WITH(gradcheck(f, {arange(3)}), ContainsSubstring("floating-point input"));
  CHECK_THROWS_WITH(gradcheck(f, {random({2}), random({2})}), ContainsSubstring("parameters"));
  CHECK_THROWS_WITH(gradcheck([](Tensor) { return Tensor(); }, {random({2})}), ContainsSubstring("output 0"));
  CHECK_THROWS_WITH(gradgradcheck([](Tensor) { return Tensor(); }, {random({2})}), ContainsSubstring("output 0"));
}

TEST_CASE("a report has at most 20 lines") {
  Tensors many;
  for (int i = 0; i < 30; ++i) many.push_back(random({2, 2, 2}));
  const auto wrong = [](const Tensors& xs) {
    Tensors ys;
    for (const Tensor& x : xs) ys.push_back(Cube<200>::apply(x));
    return ys;
  };
  const GradcheckReport report = gradcheck(wrong, many);
  CHECK_FALSE(report);
  CHECK(lines(report) <= 20);
  CHECK_THAT(to_string(report), ContainsSubstring("more"));
  CHECK(lines(gradcheck([](Tensor x) { return Cube<100>::apply(x); }, {random({2})})) == 3);
}

}  // namespace test_gradcheck
