// A user's tests with Catch2: header-only in version 2; version 3 has a library to link, and is compiled here alone.
#if __has_include(<catch2/catch.hpp>) && !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
#include <limpid/limpid.hpp>
#include <limpid/testing/catch2.hpp>

#ifdef CATCH_CONFIG_MAIN
TEST_CASE("scaled norm") {
  using namespace limpid;
  Tensor x = randn({2, 3, 4}, float64), w = rand({3}, float64);
  auto f = [](Tensor a, Tensor b) { return instance_norm(a, {.weight = b}); };
  REQUIRE_THAT(f, PassesGradcheck({x, w}));
  REQUIRE_THAT(f, PassesGradgradcheck({x, w}));
}
#else
int main() {}
#endif
