// The matchers that users write their own tests with.
#include <limpid/limpid.hpp>
#include <limpid/testing/catch2.hpp>

#include <string>

#include "../catch.hpp"
#include "reports.hpp"

namespace test_catch2 {

using namespace limpid;

// x^2, right once: its backward reads a detached tensor.
struct OnceOnly : Function<OnceOnly> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * (ctx.saved(0).detach() * 2.0)}; }
};

TEST_CASE("matchers pass what gradcheck passes") {
  const Tensor x = random({2, 3}), w = random({3});
  const auto f = [](Tensor a, Tensor b) { return a * exp(b); };
  REQUIRE_THAT(f, PassesGradcheck({x, w}));
  REQUIRE_THAT(f, PassesGradgradcheck({x, w}));
  CHECK_THAT(f, PassesGradcheck({x, w}, {.rtol = 1e-9, .fast = true}));
  CHECK_THAT([](const Tensors& xs) { return xs[0] * 2.0; }, PassesGradcheck({x}));
}

TEST_CASE("matchers tell by the report what fails") {
  const auto once = PassesGradcheck({random({3})});
  const auto twice = PassesGradgradcheck({random({3})});
  const auto f = [](Tensor x) { return OnceOnly::apply(x); };
  CHECK(once.match(f));
  REQUIRE_FALSE(twice.match(f));
  CHECK_THAT(twice.toString(), ContainsSubstring("passes gradgradcheck\ngradgradcheck of ") &&
                                   ContainsSubstring("FAILED") && ContainsSubstring("test_catch2.cpp:"));
  CHECK(PassesGradcheck({random({3})}).toString() == "passes gradcheck");
}

TEST_CASE("a matcher's report names the line it was made on") {
  const auto matcher = PassesGradcheck({random({3})});
  const int line = __LINE__ - 1;
  CHECK_FALSE(matcher.match([](Tensor x) { return x.detach() * 2.0; }));
  CHECK_THAT(matcher.toString(), ContainsSubstring("test_catch2.cpp:" + std::to_string(line) + ")"));
}

}  // namespace test_catch2
