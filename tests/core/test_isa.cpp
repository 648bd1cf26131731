#include <limpid/core/detail/isa.hpp>
#include <limpid/tests/catch.hpp>

using namespace limpid;

TEST_CASE("the instruction set can be lowered and never raised above the machine's") {
  const Isa before = isa();
  set_isa(Isa::baseline);
  CHECK(isa() == Isa::baseline);
  set_isa(Isa::avx512);
  CHECK(isa() == best_isa());
  set_isa(before);
}

TEST_CASE("instruction sets have the names that LIMPID_ISA takes") {
  CHECK(to_string(Isa::baseline) == "baseline");
  CHECK(to_string(Isa::avx2) == "avx2");
  CHECK(to_string(Isa::avx512) == "avx512");
}
