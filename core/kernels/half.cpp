// float16 by the processor's own conversions where it has them; bfloat16, the upper half of a float32, by shifts that
// the compiler makes vectors of.
#include <limpid/core/kernels/half.hpp>

#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace limpid::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
void widen_lanes(const uint16_t* from, float* to) noexcept {
  _mm512_storeu_ps(to, _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))));
}
void narrow_lanes(const float* from, uint16_t* to) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph(_mm512_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#elif defined(__F16C__)
constexpr int kLanes = 8;
void widen_lanes(const uint16_t* from, float* to) noexcept {
  _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
void narrow_lanes(const float* from, uint16_t* to) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
#elif defined(__aarch64__)
constexpr int kLanes = 4;
void widen_lanes(const uint16_t* from, float* to) noexcept {
  vst1q_f32(to, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))));
}
void narrow_lanes(const float* from, uint16_t* to) noexcept {
  vst1_u16(to, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(from))));
}
#else
// to_float and to_half of core/dtype.cpp with every case computed and one selected, several elements abreast.
constexpr int kLanes = 8;
void widen_lanes(const uint16_t* from, float* to) noexcept {
#pragma omp simd
  for (int i = 0; i < kLanes; ++i) {
    constexpr int32_t kRebias = 112 << 23;
    const int32_t magnitude = from[i] & 0x7fff, normal = (magnitude << 13) + kRebias;
    const int32_t small = std::bit_cast<int32_t>(static_cast<float>(magnitude) * 0x1p-24f);
    const int32_t finite = magnitude < 0x400 ? small : normal;
    const int32_t all = magnitude >= 0x7c00 ? normal + kRebias : finite;
    to[i] = std::bit_cast<float>(static_cast<uint32_t>(all) | static_cast<uint32_t>(from[i] & 0x8000) << 16);
  }
}
void narrow_lanes(const float* from, uint16_t* to) noexcept {
#pragma omp simd
  for (int i = 0; i < kLanes; ++i) {
    const auto bits = std::bit_cast<uint32_t>(from[i]);
    const auto magnitude = static_cast<int32_t>(bits & 0x7fffffffu);
    const int32_t small = std::bit_cast<int32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
    const int32_t normal = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    const int32_t finite = magnitude < 0x38800000 ? small : normal;
    const int32_t number = magnitude >= 0x477ff000 ? 0x7c00 : finite;
    const int32_t all = magnitude > 0x7f800000 ? 0x7e00 | (magnitude >> 13 & 0x3ff) : number;
    to[i] = static_cast<uint16_t>(static_cast<uint32_t>(all) | (bits >> 16 & 0x8000u));
  }
}
#endif

struct Float16 {
  static void widen(const uint16_t* from, float* to, int64_t n) noexcept {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) widen_lanes(from + i, to + i);
    if (i == n) return;
    uint16_t rest[kLanes] = {};
    float wide[kLanes];
    std::memcpy(rest, from + i, static_cast<std::size_t>(n - i) * sizeof *rest);
    widen_lanes(rest, wide);
    std::memcpy(to + i, wide, static_cast<std::size_t>(n - i) * sizeof *wide);
  }
  static void narrow(const float* from, uint16_t* to, int64_t n) noexcept {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) narrow_lanes(from + i, to + i);
    if (i == n) return;
    float rest[kLanes] = {};
    uint16_t narrow[kLanes];
    std::memcpy(rest, from + i, static_cast<std::size_t>(n - i) * sizeof *rest);
    narrow_lanes(rest, narrow);
    std::memcpy(to + i, narrow, static_cast<std::size_t>(n - i) * sizeof *narrow);
  }
};

struct Brain16 {
  static void widen(const uint16_t* from, float* to, int64_t n) noexcept {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] = std::bit_cast<float>(static_cast<uint32_t>(from[i]) << 16);
  }
  static void narrow(const float* from, uint16_t* to, int64_t n) noexcept {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const auto bits = std::bit_cast<uint32_t>(from[i]);
      const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
      const bool nan = static_cast<int32_t>(bits & 0x7fffffffu) > 0x7f800000;
      to[i] = static_cast<uint16_t>((nan ? bits | 0x400000u : rounded) >> 16);
    }
  }
};

/// Copies past the caches, in whole vectors from the first aligned place on.
void stream(const uint16_t* from, uint16_t* to, int64_t n) noexcept {
  int64_t i = 0;
#if defined(__SSE2__)
  constexpr int64_t kVector = 8;
  for (; i < n && reinterpret_cast<std::uintptr_t>(to + i) % sizeof(__m128i) != 0; ++i) to[i] = from[i];
  for (; i + kVector <= n; i += kVector)
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
#endif
  for (; i < n; ++i) to[i] = from[i];
}

template <class F>
void widen(const void* from, float* to, int64_t n) noexcept {
  F::widen(static_cast<const uint16_t*>(from), to, n);
}

template <class F>
void narrow(const float* from, void* to, int64_t n, bool streamed) noexcept {
  auto* out = static_cast<uint16_t*>(to);
  if (!streamed) return F::narrow(from, out, n);
  constexpr int64_t kBlock = 1024;
  alignas(64) uint16_t block[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = n - i < kBlock ? n - i : kBlock;
    F::narrow(from + i, block, count);
    stream(block, out + i, count);
  }
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <class F>
constexpr HalfKernels kHalf = {widen<F>, narrow<F>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const HalfTable half_table = {kHalf<Float16>, kHalf<Brain16>};
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
