#include <limpid/core/dtype.hpp>
#include <limpid/core/kernels/half.hpp>
#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace test_dtype {

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

// Calls f at every instruction set of this machine.
template <class F>
void at_every_isa(F f) {
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    f();
  }
}

// Every value of 16 bits, and about it: its float32, the neighbours of that, and what lies half-way to the next.
std::vector<float> floats_near_half() {
  std::vector<float> all;
  for (uint32_t bits = 0; bits < 65536; ++bits)
    for (const uint32_t wide : {std::bit_cast<uint32_t>(to_float(Half{static_cast<uint16_t>(bits)})), bits << 16})
      for (const uint32_t off : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u})
        all.push_back(std::bit_cast<float>(wide + off));
  return all;
}

template <class H, class Narrow>
void check_conversions(DType dtype, Narrow narrow) {
  const std::vector<float> xs = floats_near_half();
  std::vector<uint16_t> bits(65536);
  for (uint32_t i = 0; i < 65536; ++i) bits[i] = static_cast<uint16_t>(i);
  at_every_isa([&] {
    const kernels::HalfKernels& k = kernels::half_kernels(dtype);
    std::vector<float> wide(bits.size());
    k.widen(bits.data(), wide.data(), 65536);
    int64_t wrong = 0;
    for (uint32_t i = 0; i < 65536; ++i) {
      const float expected = to_float(H{bits[i]});
      wrong += std::isnan(expected) ? !std::isnan(wide[i])
                                    : std::bit_cast<uint32_t>(wide[i]) != std::bit_cast<uint32_t>(expected);
    }
    for (const bool streamed : {false, true}) {
      std::vector<uint16_t> out(xs.size());
      k.narrow(xs.data(), out.data(), static_cast<int64_t>(xs.size()), streamed);
      for (std::size_t i = 0; i < xs.size(); ++i) wrong += out[i] != narrow(xs[i]).bits;
    }
    INFO(dtype << ' ' << to_string(isa()));
    CHECK(wrong == 0);
  });
}

TEST_CASE("runs of half precision convert as single elements do") {
  check_conversions<Half>(float16, to_half);
  check_conversions<BFloat16>(bfloat16, to_bfloat16);
}

TEST_CASE("runs of half precision convert wherever they begin and end, and write nothing beside") {
  std::vector<float> xs(2100);
  for (std::size_t i = 0; i < xs.size(); ++i) xs[i] = 0.37f * static_cast<float>(i) - 200;
  at_every_isa([&] {
    const kernels::HalfKernels& k = kernels::half_kernels(float16);
    for (const int64_t n : {0, 1, 7, 8, 15, 16, 17, 33, 1023, 1024, 1025, 2063})
      for (const int64_t at : {0, 1, 5, 9})
        for (const bool streamed : {false, true}) {
          std::vector<uint16_t> out(static_cast<std::size_t>(n + at + 1), 0xabcd);
          k.narrow(xs.data() + at, out.data() + at, n, streamed);
          std::vector<float> back(static_cast<std::size_t>(n + 1), -7);
          k.widen(out.data() + at, back.data(), n);
          bool good =
              out.back() == 0xabcd && back.back() == -7 && (at == 0 || out[static_cast<std::size_t>(at - 1)] == 0xabcd);
          for (int64_t i = 0; i < n; ++i)
            good = good && back[static_cast<std::size_t>(i)] == to_float(to_half(xs[static_cast<std::size_t>(at + i)]));
          CAPTURE(n, at, streamed);
          CHECK(good);
        }
  });
}

}  // namespace test_dtype
