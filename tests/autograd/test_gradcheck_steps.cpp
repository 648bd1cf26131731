// Whether differences find the scale on which a function varies, element by element: right gradients pass beside poles,
// edges of domains, kinks and large constants, and wrong ones fail there.
#include <limpid/limpid.hpp>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "../catch.hpp"
#include "reports.hpp"

namespace test_gradcheck_steps {

using namespace limpid;

/// A function of a number and its derivative.
struct Real {
  std::string name;
  double (*f)(double);
  double (*df)(double);
  std::vector<double> at;
};
const Real* real = nullptr;
double factor = 1;

struct Mapped : Function<Mapped> {
  static Tensor map(double (*f)(double), const Tensor& x) {
    const Tensor dense = x.contiguous(), y = empty(x.shape(), float64);
    for (int64_t i = 0; i < x.numel(); ++i) y.data<double>()[i] = f(dense.data<double>()[i]);
    return y;
  }
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return map(real->f, x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * map(real->df, ctx.saved(0)) * factor}; }
};

GradcheckReport check(const Real& function, double wrong, bool fast = false) {
  real = &function;
  factor = wrong;
  Tensor x = empty({static_cast<int64_t>(function.at.size())}, float64);
  std::copy(function.at.begin(), function.at.end(), x.data<double>());
  return gradcheck([](const Tensor& t) { return Mapped::apply(t); }, {x}, {.fast = fast});
}

double from_one_on(double x) {
  if (x < 1) throw ValueError("from_one_on: expected at least 1, got " + std::to_string(x));
  return std::sqrt(x - 1);
}

const std::vector<Real>& reals() {
  static const std::vector<Real> all{
      {"log beside 1", std::log, [](double x) { return 1 / x; }, {1, 1e-7}},
      {"log far beside 1", std::log, [](double x) { return 1 / x; }, {1, 1e-12, 1e-300}},
      {"log beside 1e5", std::log, [](double x) { return 1 / x; }, {1e5, 3e-4}},
      {"log at all sizes", std::log, [](double x) { return 1 / x; }, {1e8, 1e5, 7, 0.3, 3e-4, 2e-6, 1e-9}},
      {"1/x", [](double x) { return 1 / x; }, [](double x) { return -1 / (x * x); }, {1e5, 3e-4, -1, -1e-6, 1e-2}},
      {"sqrt near 0", std::sqrt, [](double x) { return 0.5 / std::sqrt(x); }, {1, 1e-4, 1e-8, 1e-12}},
      {"a power",
       [](double x) { return std::pow(x, 2.5); },
       [](double x) { return 2.5 * std::pow(x, 1.5); },
       {30, 1, 1e-4, 1e-8}},
      {"a negative power",
       [](double x) { return std::pow(x, -2.5); },
       [](double x) { return -2.5 * std::pow(x, -3.5); },
       {30, 1, 1e-3, 1e-4}},
      {"acosh at 1", std::acosh, [](double x) { return 1 / std::sqrt(x * x - 1); }, {1 + 1e-6}},
      {"acosh at 1, beside others", std::acosh, [](double x) { return 1 / std::sqrt(x * x - 1); }, {1 + 1e-6, 3, 100}},
      {"a function that throws below 1",
       from_one_on,
       [](double x) { return 0.5 / std::sqrt(x - 1); },
       {1 + 1e-6, 1.5, 4}},
      {"asin at both ends",
       std::asin,
       [](double x) { return 1 / std::sqrt(1 - x * x); },
       {1 - 1e-6, 0.5, -1 + 1e-4, 1e-9}},
      {"sin of small scale",
       [](double x) { return std::sin(1e4 * x); },
       [](double x) { return 1e4 * std::cos(1e4 * x); },
       {1, 0.3, -2}},
      {"sin far out", std::sin, std::cos, {1e6, 3e5, 1}},
      {"a sharp step",
       [](double x) { return std::atan(1e6 * x); },
       [](double x) { return 1e6 / (1 + 1e12 * x * x); },
       {1e-7, 1e-6, 0, 0.5, 1}},
      {"a large constant", [](double x) { return x + 1e8; }, [](double) { return 1.0; }, {1, 0.3, -2}},
      {"a large constant beside small inputs",
       [](double x) { return 0.7 * std::sin(x) + 1e8; },
       [](double x) { return 0.7 * std::cos(x); },
       {1e-5, 3e-5, -2e-5}},
      {"exp", std::exp, std::exp, {30, 5, 1, 1e-9, -20}},
      {"relu beside its kink",
       [](double x) { return x > 0 ? x : 0; },
       [](double x) { return x > 0 ? 1.0 : 0.0; },
       {1, 1e-5, 3e-6, 1e-6, 1e-7, 1e-9}},
      {"abs beside its kink",
       [](double x) { return std::abs(x); },
       [](double x) { return x > 0 ? 1.0 : -1.0; },
       {1, -1e-9, 1e-6, 1e-4, 1e-12}},
      {"clamp beside its end",
       [](double x) { return x > 1 ? 1 : x; },
       [](double x) { return x > 1 ? 0.0 : 1.0; },
       {1 - 1e-6, 1 + 1e-5, 1 - 1e-9, 2, 0.5}},
  };
  return all;
}

TEST_CASE("steps find the scale of each element: right passes, wrong fails") {
  for (const Real& function : reals()) DYNAMIC_SECTION(function.name) {
      const GradcheckReport right = check(function, 1);
      INFO(right);
      CHECK(right);
      CHECK(right.inputs[0].kinks == 0);
      for (double wrong : {1 + 1e-4, 0.5, 0.0, -1.0}) {
        const GradcheckReport report = check(function, wrong);
        INFO(report);
        CHECK_FALSE(report);
        CHECK_FALSE(report.at_kinks);
        CHECK_FALSE(report.vacuous);
        CHECK(report.inputs[0].wrong_at_kinks == 0);
      }
    }
}

TEST_CASE("one wrong element among such is found") {
  struct Log : Function<Log> {
    static Tensor forward(Context& ctx, int64_t wrong, const Tensor& x) {
      ctx.save(x, tensor({static_cast<double>(wrong)}, int64));
      return log(x);
    }
    static Tensors backward(Context& ctx, const Tensor& dy) {
      Tensor dx = (dy / ctx.saved(0)).clone();
      const int64_t at = ctx.saved(1).item<int64_t>();
      if (at >= 0) dx.data<double>()[at] *= 1 + 1e-4;
      return {dx};
    }
  };
  const Tensor x = tensor({1, 1e-7, 20, 3e-4, 1e5}, float64);
  CHECK(gradcheck([](const Tensor& t) { return Log::apply(int64_t{-1}, t); }, {x}));
  for (int64_t wrong = 0; wrong < x.numel(); ++wrong) {
    const GradcheckReport report = gradcheck([&](const Tensor& t) { return Log::apply(wrong, t); }, {x});
    INFO(report);
    CHECK_FALSE(report);
    CHECK_FALSE(report.unsure);
    CHECK(report.inputs[0].index == Axes{wrong});
  }
}

// x, with a gradient half as large again for the elements whose dy is the smallest.
struct SmallestWrong : Function<SmallestWrong> {
  static Tensor forward(Context&, const Tensor& x) { return x.clone(); }
  static Tensors backward(Context&, const Tensor& dy) {
    const Tensor size = abs(dy.detach());
    return {where(size > min(size), dy, dy * 1.5)};
  }
};

TEST_CASE("a gradient far below the input's largest is held to its own size") {
  for (const auto& f : {+[](const Tensor& x) { return log(x); }, +[](const Tensor& x) { return 1.0 / x; },
                        +[](const Tensor& x) { return square(x); }, +[](const Tensor& x) { return x * sqrt(x); }})
    for (const auto& [small, large] :
         std::initializer_list<std::pair<double, double>>{{1e-5, 1e5}, {1e-7, 1e7}, {1e-10, 1e10}}) {
      const Tensor x = tensor({small, 1, large}, float64);
      const GradcheckReport wrong = gradcheck([&](const Tensor& t) { return f(SmallestWrong::apply(t)); }, {x});
      INFO(small << '\n' << wrong);
      CHECK(gradcheck(f, {x}));
      CHECK_FALSE(wrong);
      CHECK_FALSE(wrong.unsure);
      CHECK(wrong.inputs[0].analytic / wrong.inputs[0].numeric == Approx(1.5));
    }
}

TEST_CASE("where rounding hides the small gradients, there is no alarm") {
  for (const auto& f : {+[](const Tensor& x) { return softmax(x, 0); }, +[](const Tensor& x) { return sum(exp(x)); },
                        +[](const Tensor& x) { return sum(square(x)); }})
    for (const Tensor& x : {tensor({1, 17}, float64), tensor({0, 18, -18}, float64), tensor({3, 20, 1e-3}, float64)}) {
      const GradcheckReport report = gradcheck(f, {x});
      INFO(report);
      CHECK((report || report.unsure));
    }
}

TEST_CASE("steps pass over kinks and poles beside small elements, in fast mode too") {
  for (const auto& f : {+[](const Tensor& x) { return relu(x); }, +[](const Tensor& x) { return abs(x); },
                        +[](const Tensor& x) { return 1.0 / x; }, +[](const Tensor& x) { return 1.0 / square(x); }})
    for (const Tensor& x :
         {tensor({1e-10, 1, 1e10}, float64), tensor({1e-10, 1, -1e10}, float64), tensor({1e-12, 1e12}, float64)})
      for (bool fast : {false, true}) {
        const GradcheckReport first = gradcheck(f, {x}, {.fast = fast}), second = gradgradcheck(f, {x}, {.fast = fast});
        INFO(first << '\n' << second);
        CHECK(first);
        CHECK(second);
      }
}

TEST_CASE("small elements are known through float32") {
  const auto f = [](const Tensor& x) { return log(x.to(float32)); };
  for (bool fast : {false, true}) {
    const GradcheckReport report = gradcheck(f, {tensor({1e-5, 1, 1e5}, float64)}, {.fast = fast});
    INFO(report);
    CHECK(report);
  }
}

TEST_CASE("an infinite gradient passes where the derivative is infinite alone, and there as unsure") {
  struct Infinite : Function<Infinite> {
    static Tensor forward(Context&, const Tensor& x) { return x * 2.0; }
    static Tensors backward(Context&, const Tensor& dy) { return {dy * std::numeric_limits<double>::infinity()}; }
  };
  const auto reciprocal = [](const Tensor& x) { return 1.0 / x; };
  for (bool fast : {false, true}) {
    const GradcheckReport wrong =
        gradcheck([](const Tensor& x) { return Infinite::apply(x); }, {tensor({1, 2}, float64)}, {.fast = fast});
    INFO(wrong);
    CHECK_FALSE(wrong);
    CHECK_FALSE(wrong.unsure);
    const GradcheckReport right = gradcheck(reciprocal, {tensor({1e-200, 1}, float64)}, {.fast = fast});
    INFO(right);
    CHECK_FALSE(right);
    CHECK(right.unsure);
  }
}

// x, with a gradient that is off by 1e-5 of itself.
struct Off : Function<Off> {
  static Tensor forward(Context&, const Tensor& x) { return x.clone(); }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * (1 + 1e-5)}; }
};

TEST_CASE("what steps near and far see of a bounded function agrees, or the near ones know") {
  for (const double frequency : {1e6, 1e7, 1e8}) {
    const auto f = [&](const Tensor& x) { return exp(cos(x * frequency)); };
    const Tensors xs{tensor({0.3, 1.3, -0.7}, float64)};
    const GradcheckReport right = gradcheck(f, xs, {.rtol = 1e-9});
    INFO(right);
    CHECK(right);
    CHECK_FALSE(gradcheck([&](const Tensor& x) { return f(Off::apply(x)); }, xs, {.rtol = 1e-9}));
  }
}

TEST_CASE("a function that is constant around its inputs has no slope, however it looks from afar") {
  struct Through : Function<Through> {
    static Tensor forward(Context&, const Tensor& x) { return floor(x); }
    static Tensors backward(Context&, const Tensor& dy) { return {dy}; }
  };
  for (const bool fast : {false, true})
    for (const double rtol : {1e-6, 1e-9}) {
      const Tensors xs{tensor({1.5, -2.3, 0.7}, float64)};
      const GradcheckReport wrong =
          gradcheck([](const Tensor& x) { return Through::apply(x); }, xs, {.rtol = rtol, .fast = fast});
      INFO(wrong);
      CHECK_FALSE(wrong);
      CHECK(
          gradcheck([](const Tensor& x) { return floor(x); }, xs, {.rtol = rtol, .fast = fast, .allow_vacuous = true}));
    }
}

TEST_CASE("beyond an rtol that rounding does not allow, right is what is near") {
  const auto f = [](const Tensor& x) { return linalg::qr(x).q; };
  for (const double apart : {1e-2, 5e-3}) {  // an ill-conditioned matrix
    const Tensors xs{tensor({{1.0, 1.0}, {1.0, 1 + apart}}, float64)};
    const GradcheckReport right = gradgradcheck(f, xs, {.rtol = 1e-9});
    INFO(right);
    CHECK(right);
    CHECK(right.error > 1e-9);
    CHECK_FALSE(gradgradcheck([&](const Tensor& x) { return f(Off::apply(x)); }, xs, {.rtol = 1e-9}));
  }
}

TEST_CASE("forward mode and fast mode keep inside domains") {
  const auto f = [](const Tensor& x) { return log(x); };
  for (bool fast : {false, true}) {
    const GradcheckReport report = gradcheck(f, {tensor({1, 1e-7, 3}, float64)}, {.fast = fast});
    INFO(report);
    CHECK(report);
    CHECK(report.forward.checked);
    CHECK(report.forward.passed);
    CHECK(report.forward.count == 3);
  }
  CHECK(gradgradcheck(f, {tensor({1, 1e-3, 3}, float64)}));
  CHECK(gradcheck([](const Tensor& x, const Tensor& y) { return pow(x, y); },
                  {tensor({1, 1e-5, 3}, float64), tensor({2.5, 0.5, -1}, float64)}));
}

TEST_CASE("a kink that nothing resolves is called one, and excuses the derivatives at it alone") {
  const auto largest = [](const Tensor& x) { return max(x); };
  CHECK(gradcheck(largest, {tensor({3, 3 + 1e-9, 1}, float64)}));
  const GradcheckReport tied = gradcheck(largest, {tensor({3, 3 + 1e-13, 1}, float64)});
  INFO(tied);
  CHECK_FALSE(tied);
  CHECK(tied.at_kinks);
  CHECK_THAT(to_string(tied), ContainsSubstring("FAILED, at kinks alone"));

  for (const auto& [slope, excused] :
       std::initializer_list<std::pair<double (*)(double), bool>>{{[](double) { return 1.0; }, true},
                                                                  {[](double) { return -1.0; }, true},
                                                                  {[](double) { return 0.5; }, true},
                                                                  {[](double) { return 1.1; }, false},
                                                                  {[](double) { return -7.0; }, false},
                                                                  {[](double) { return std::nan(""); }, false}}) {
    const Real corner{"abs at 0", [](double x) { return std::abs(x); }, slope, {0}};
    const GradcheckReport report = check(corner, 1);
    INFO(report);
    CHECK_FALSE(report);
    CHECK(report.at_kinks == excused);
    CHECK(report.inputs[0].kinks == 1);
    CHECK(report.inputs[0].kink_at_worst == excused);
    if (!excused)
      CHECK_THAT(to_string(report), ContainsSubstring("not one between the derivatives from left and right"));
  }
}

TEST_CASE("a function that has no values beside an input says so") {
  const Real edge{"sqrt(x - 1) at 1", [](double x) { return std::sqrt(x - 1); }, [](double) { return 5.0; }, {1}};
  const GradcheckReport report = check(edge, 1);
  CHECK_FALSE(report);
  CHECK_FALSE(report.at_kinks);
  CHECK_THAT(to_string(report), ContainsSubstring("not finite on both sides") && ContainsSubstring("numeric nan") &&
                                    !ContainsSubstring("-nan"));
}

TEST_CASE("rounding noise is vacuous, whatever the draw") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Generator generator(seed);
    const Tensor x = randn({1, 2, 3}, float64, generator);
    for (bool fast : {false, true}) {
      for (const auto& f :
           {+[](const Tensor& t) { return sum(instance_norm(t)); }, +[](const Tensor& t) { return sum(softmax(t, 2)); },
            +[](const Tensor& t) { return sum(t - mean(t)); }}) {
        const GradcheckReport report = gradcheck(f, {x}, {.fast = fast});
        INFO(seed << ' ' << fast << '\n' << report);
        CHECK(report.vacuous);
        CHECK(report.inputs[0].kinks == 0);
        CHECK_FALSE(report.at_kinks);
        CHECK(gradcheck(f, {x}, {.fast = fast, .allow_vacuous = true}));
      }
    }
  }
}

}  // namespace test_gradcheck_steps
