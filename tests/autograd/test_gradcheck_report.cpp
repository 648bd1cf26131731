// What a report tells, in words and as JSON.
#include <limpid/limpid.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <string>

#include "../catch.hpp"
#include "reports.hpp"

namespace test_gradcheck_report {

using namespace limpid;
using nlohmann::json;

// x^2 with a gradient of percent / 100 times the right one.
template <int percent>
struct Square : Function<Square<percent>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * ctx.saved(0) * (0.02 * percent)}; }
};

TEST_CASE("a report names file and line of the call") {
  const GradcheckReport report = gradcheck([](Tensor x) { return x * x; }, {random({2})});
  CHECK(report.line == __LINE__ - 1);
  CHECK_THAT(report.file, ContainsSubstring("test_gradcheck_report.cpp"));
  CHECK_THAT(to_string(report), ContainsSubstring("test_gradcheck_report.cpp:" + std::to_string(report.line) + ")"));
  CHECK(gradgradcheck([](Tensor x) { return x * x; }, {random({2})}).line == __LINE__);
}

TEST_CASE("a report says how well the numeric values are known") {
  const GradcheckReport report = gradcheck([](Tensor x) { return exp(x); }, {random({5})}, {.rtol = 1e-9});
  INFO(report);
  CHECK(report.inputs[0].resolution > 0);
  CHECK(report.inputs[0].resolution < 1e-9);
  CHECK(report.inputs[0].error <= 10 * report.inputs[0].resolution);
  CHECK_THAT(to_string(report), ContainsSubstring("numeric values sure to "));
  SECTION("and asked for less, does less") {
    const GradcheckReport loose = gradcheck([](Tensor x) { return exp(x); }, {random({5})}, {.rtol = 1e-4});
    CHECK(loose.inputs[0].resolution > report.inputs[0].resolution);
    CHECK(loose.inputs[0].resolution <= 1e-4);
  }
}

TEST_CASE("kinks of real ops are told from errors") {
  const Tensor x = tensor({-1, 0, 2}, float64);
  SECTION("relu at 0: the derivative from the left, no error and no pass") {
    const GradcheckReport report = gradcheck([](Tensor t) { return relu(t); }, {x});
    INFO(report);
    CHECK_FALSE(report);
    CHECK(report.at_kinks);
    CHECK(report.inputs[0].kinks == 1);
    CHECK(report.inputs[0].wrong == 1);
    CHECK(report.inputs[0].wrong_at_kinks == 1);
    CHECK(report.inputs[0].index == Axes{1});
    CHECK_THAT(to_string(report), ContainsSubstring("FAILED, at kinks alone"));
  }
  SECTION("a tied maximum: shared evenly, as differences from both sides are") {
    const Tensor ties = tensor({3, 1, 3}, float64);
    for (const auto& f :
         {+[](Tensor t) { return max(t); }, +[](Tensor t) { return maximum(t, t.detach() * 0 + 3.0); }}) {
      const GradcheckReport report = gradcheck(f, {tensor({3, 4, 5}, float64)});
      CHECK_FALSE(report.at_kinks);
    }
    const GradcheckReport report = gradcheck([](Tensor t) { return max(t); }, {ties});
    INFO(report);
    CHECK(report);
    CHECK(report.inputs[0].kinks == 2);
  }
  SECTION("a tied window of max_pool2d, which goes to the first") {
    const GradcheckReport report = gradcheck(
        [](Tensor t) {
          return max_pool2d(reshape(t, {1, 1, 2, 2}), 2);
        },
        {tensor({1, 5, 5, 2}, float64)});
    INFO(report);
    CHECK_FALSE(report);
    CHECK(report.at_kinks);
    CHECK(report.inputs[0].wrong_at_kinks == 2);
  }
  SECTION("an error beside a kink is an error") {
    const GradcheckReport report = gradcheck([](Tensor t) { return relu(t) + Square<101>::apply(t); }, {x});
    INFO(report);
    CHECK_FALSE(report);
    CHECK_FALSE(report.at_kinks);
    CHECK(report.inputs[0].wrong > report.inputs[0].wrong_at_kinks);
  }
  SECTION("an error and no kink is an error") {
    CHECK_FALSE(gradcheck([](Tensor t) { return Square<101>::apply(t); }, {x + 3.0}).at_kinks);
  }
}

TEST_CASE("what nobody can know is unsure, in words, in JSON and in the report") {
  // Its argument is rounded to a hundredth of a radian, or to more than its period.
  for (bool fast : {false, true}) {
    const GradcheckReport report =
        gradcheck([](const Tensor& t) { return sin(t * 1e6); }, {tensor({3e8, 1e10}, float64)}, {.fast = fast});
    INFO(report);
    CHECK_FALSE(report);
    CHECK(report.unsure);
    CHECK_FALSE(report.at_kinks);
    CHECK(report.inputs[0].unsure > 0);
    CHECK(report.inputs[0].wrong == report.inputs[0].unsure);
    CHECK_THAT(to_string(report), ContainsSubstring("FAILED, unsure") && ContainsSubstring("no alarm"));
    CHECK(json::parse(to_json(report))["unsure"] == true);
  }
  const GradcheckReport edge = gradcheck([](const Tensor& t) { return sqrt(t); }, {zeros({1}, float64)});
  CHECK(edge.unsure);
  CHECK_THAT(to_string(edge), ContainsSubstring("FAILED, unsure") && ContainsSubstring("not finite on both sides"));
  // A fault elsewhere is a fault.
  CHECK_FALSE(gradcheck(
                  [](const Tensor& t) {
                    return Tensors{sqrt(t), Square<101>::apply(t)};
                  },
                  {tensor({0, 1}, float64)})
                  .unsure);
}

TEST_CASE("a jump, as of a second derivative at a kink, is a kink") {
  for (bool fast : {false, true})
    for (const auto& f : {+[](const Tensor& t) { return abs(t) * t; }, +[](const Tensor& t) { return relu(t); },
                          +[](const Tensor& t) { return square(clamp(t, -1.0, 1.0)); },
                          +[](const Tensor& t) { return max(t) * sum(t); }}) {
      const GradcheckReport report = gradgradcheck(f, {tensor({1, 0, 1, -0.5}, float64)}, {.fast = fast});
      INFO(report);
      CHECK((report.passed || report.at_kinks));
      CHECK(report.inputs[0].kinks > 0);
    }
}

TEST_CASE("the JSON twin tells what the report does") {
  const GradcheckReport report =
      gradcheck([](Tensor a, Tensor b) { return Square<101>::apply(a) * b; }, {random({2, 3}), random({3})});
  REQUIRE_FALSE(report);
  const json parsed = json::parse(to_json(report));
  CHECK(parsed["check"] == "gradcheck");
  CHECK(parsed["op"] == "mul");
  CHECK(parsed["file"] == report.file);
  CHECK(parsed["line"] == report.line);
  CHECK(parsed["passed"] == false);
  CHECK(parsed["at_kinks"] == false);
  CHECK(parsed["unsure"] == false);
  CHECK(parsed["precision"] == "float64");
  CHECK(parsed["error"] == report.error);
  REQUIRE(parsed["inputs"].size() == 2);
  const json& input = parsed["inputs"][0];
  CHECK(input["name"] == "input 0");
  CHECK(input["shape"] == json({2, 3}));
  CHECK(input["index"] == json({report.inputs[0].index[0], report.inputs[0].index[1]}));
  CHECK(input["analytic"] == report.inputs[0].analytic);
  CHECK(input["numeric"] == report.inputs[0].numeric);
  CHECK(input["bound"] == report.inputs[0].bound);
  CHECK(input["wrong"] == 6);
  CHECK(input["unsure"] == 0);
  CHECK(input["output"] == "output 0");
  CHECK(parsed["inputs"][1]["passed"] == true);
  CHECK(parsed["forward"]["checked"] == false);
  CHECK(parsed["problems"].size() == report.problems.size());
}

TEST_CASE("the JSON twin is valid whatever it holds") {
  GradcheckReport report = gradcheck([](Tensor x) { return x * x; }, {random({2})});
  CHECK(json::parse(to_json(report))["forward"]["checked"] == true);
  report.op = "quote \" backslash \\ newline \n control \x01 no UTF-8 \xff";
  report.error = INFINITY;
  report.inputs[0].analytic = std::nan("");
  report.inputs[0].numeric = -INFINITY;
  const json parsed = json::parse(to_json(report));
  CHECK(parsed["error"] == "inf");
  CHECK(parsed["inputs"][0]["analytic"] == "nan");
  CHECK(parsed["inputs"][0]["numeric"] == "-inf");
  CHECK(json::parse(to_json(GradcheckReport()))["inputs"].empty());
}

TEST_CASE("a report of many failures, a kink, a batch and forward mode keeps to 20 lines") {
  Tensors many;
  for (int i = 0; i < 12; ++i) many.push_back(random({2}));
  const auto f = [](const Tensors& xs) {
    Tensors ys;
    for (const Tensor& x : xs) ys.push_back(Square<150>::apply(x) + x.detach());
    return ys;
  };
  const GradcheckReport report = gradcheck(f, many);
  CHECK(report.problems.size() > 9);
  CHECK(lines(report) <= 20);
  CHECK(lines(gradgradcheck(f, many)) <= 20);
}

}  // namespace test_gradcheck_report
