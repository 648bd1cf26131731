#include <limpid/tests/settings.hpp>

#include <algorithm>
#include <vector>

namespace test_isa {

using namespace limpid;

TEST_CASE("any instruction set of the machine can be chosen, and no other") {
  const std::vector<Isa> here(isa_levels().begin(), isa_levels().end());
  CHECK(here.back() == best_isa());
  for (const Isa level : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::neon}) {
    const test::WithIsa with(level);
    CHECK(isa() == (std::count(here.begin(), here.end(), level) ? level : best_isa()));
  }
}

TEST_CASE("each architecture has its instruction sets, the least that its machines have first") {
#if defined(__x86_64__)
  CHECK(isa_levels().front() == Isa::baseline);
  CHECK(std::is_sorted(isa_levels().begin(), isa_levels().end()));
  CHECK(best_isa() != Isa::neon);
#elif defined(__aarch64__)
  CHECK(isa_levels().size() == 1);
  CHECK(best_isa() == Isa::neon);
#else
  CHECK(isa_levels().size() == 1);
  CHECK(best_isa() == Isa::baseline);
#endif
}

TEST_CASE("instruction sets have the names that LIMPID_ISA takes") {
  CHECK(to_string(Isa::baseline) == "baseline");
  CHECK(to_string(Isa::avx2) == "avx2");
  CHECK(to_string(Isa::avx512) == "avx512");
  CHECK(to_string(Isa::neon) == "neon");
}

}  // namespace test_isa
