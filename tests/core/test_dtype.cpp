#include <limpid/core/dtype.hpp>
#include <limpid/tests/catch.hpp>

#include <bit>
#include <cmath>
#include <limits>

using namespace limpid;

TEST_CASE("every float16 survives the way to float32 and back") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value))
      CHECK(std::isnan(to_float(to_half(value))));
    else if (to_half(value) != half)
      FAIL_CHECK(bits);
  }
}

TEST_CASE("float32 to float16 rounds to nearest, ties to even") {
  struct Case {
    float x;
    uint16_t bits;
  };
  for (const Case& c :
       {Case{1.0f, 0x3c00}, Case{-2.0f, 0xc000}, Case{65504.0f, 0x7bff}, Case{65519.0f, 0x7bff}, Case{65520.0f, 0x7c00},
        Case{1e10f, 0x7c00}, Case{0x1p-24f, 0x0001}, Case{0x1p-25f, 0x0000}, Case{0x1.8p-25f, 0x0001},
        Case{0x1.8p-24f, 0x0002}, Case{-0.0f, 0x8000}, Case{1.0f + 0x1p-11f, 0x3c00}, Case{1.0f + 0x1.8p-10f, 0x3c02},
        Case{0x1.ff8p-15f, 0x03ff}, Case{0x1.ffcp-15f, 0x0400}}) {
    CAPTURE(c.x);
    CHECK(to_half(c.x).bits == c.bits);
  }
}

TEST_CASE("float32 to bfloat16 rounds to nearest, ties to even, and keeps NaN") {
  CHECK(to_bfloat16(1.0f).bits == 0x3f80);
  CHECK(to_bfloat16(1.0f + 0x1p-8f).bits == 0x3f80);
  CHECK(to_bfloat16(1.0f + 0x1.8p-7f).bits == 0x3f82);
  CHECK(to_bfloat16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7f800001u)))));
}

TEST_CASE("promotion takes the later of two dtypes") {
  CHECK(promote_types(bool_, uint8) == uint8);
  CHECK(promote_types(int64, float32) == float32);
  CHECK(promote_types(float64, float32) == float64);
  CHECK(promote_types(float16, bfloat16) == float32);
  CHECK(promote_types(float16, int64) == float16);
}
