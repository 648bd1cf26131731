// Virtual lanes: vectors of doubles whose width does not depend on the machine. Included by kernel sources only: all of
// it has internal linkage.
//
// A step of a kernel handles kLanes<T> elements in doubles, whatever the width of a register: one sequence of roundings
// for every instruction set with a fused multiply-add, so AVX2, AVX-512 and NEON agree bit for bit.
#pragma once
#include <cstdint>
#include <limpid/core/kernels/simd.hpp>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// Behind the parameters of a function or lambda that a loop cannot afford to call.
#define LIMPID_INLINE __attribute__((always_inline))

namespace limpid::kernels {
namespace {

#if defined(__AVX512BW__)
using Arch = xsimd::avx512bw;
#elif defined(__AVX2__)
using Arch = xsimd::fma3<xsimd::avx2>;
#else
using Arch = xsimd::default_arch;
#endif

using index_t = std::int64_t;
using Vec = xsimd::batch<double, Arch>;
constexpr int kVec = static_cast<int>(Vec::size);

/// Registers for floats that are widened as they are loaded: at most 256 bits. Zen 4 fills two such registers in a
/// cycle, but one of 512 bits in one and a third, and takes equally long over their lanes after that.
#if defined(__AVX512F__)
using Vec256 = xsimd::batch<double, xsimd::fma3<xsimd::avx2>>;
#else
using Vec256 = Vec;
#endif

/// Lanes of one step: a cache line of the storage type.
template <class T>
constexpr int kLanes = static_cast<int>(64 / sizeof(T));

template <int W, class V = Vec>
struct Lanes {
  static constexpr int width = static_cast<int>(V::size), count = W / width;
  V v[count];

  Lanes() = default;
  explicit Lanes(double value) {
    for (int i = 0; i < count; ++i) v[i] = V(value);
  }
};

template <int W, class V, class F>
inline Lanes<W, V> each(const Lanes<W, V>& a, const Lanes<W, V>& b, F f) {
  Lanes<W, V> out;
  for (int i = 0; i < Lanes<W, V>::count; ++i) out.v[i] = f(a.v[i], b.v[i]);
  return out;
}
template <int W, class V>
inline Lanes<W, V> operator+(const Lanes<W, V>& a, const Lanes<W, V>& b) {
  return each(a, b, [](const V& p, const V& q) { return p + q; });
}
template <int W, class V>
inline Lanes<W, V> operator-(const Lanes<W, V>& a, const Lanes<W, V>& b) {
  return each(a, b, [](const V& p, const V& q) { return p - q; });
}
template <int W, class V>
inline Lanes<W, V> operator*(const Lanes<W, V>& a, const Lanes<W, V>& b) {
  return each(a, b, [](const V& p, const V& q) { return p * q; });
}
template <int W, class V>
inline Lanes<W, V> fma(const Lanes<W, V>& a, const Lanes<W, V>& b, const Lanes<W, V>& c) {
  Lanes<W, V> out;
  for (int i = 0; i < Lanes<W, V>::count; ++i) out.v[i] = fused(a.v[i], b.v[i], c.v[i]);
  return out;
}

#if defined(__AVX512F__)
/// As many floats as V holds doubles, widened: all of them, or those that the mask names and 0.
template <class V>
inline V widened(const float* p) {
  if constexpr (V::size == 8)
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
  else
    return _mm256_cvtps_pd(_mm_loadu_ps(p));
}
template <class V>
inline V widened(const float* p, unsigned mask) {
  if constexpr (V::size == 8)
    return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(static_cast<__mmask8>(mask), p));
  else
    return _mm256_cvtps_pd(_mm_maskz_loadu_ps(static_cast<__mmask8>(mask & 15u), p));
}
#endif

/// Loads of lanes in doubles: from float storage they widen exactly.
template <class V = Vec>
inline Lanes<8, V> load(const double* p) {
  Lanes<8, V> out;
  for (int i = 0; i < out.count; ++i) out.v[i] = V::load_unaligned(p + i * out.width);
  return out;
}
template <class V = Vec>
inline Lanes<16, V> load(const float* p) {
  Lanes<16, V> out;
#if defined(__AVX512F__)
  for (int i = 0; i < out.count; ++i) out.v[i] = widened<V>(p + i * out.width);
#elif defined(__AVX2__)
  for (int i = 0; i < 4; ++i) out.v[i] = _mm256_cvtps_pd(_mm_loadu_ps(p + 4 * i));
#elif defined(__SSE2__)
  for (int i = 0; i < 8; i += 2) {
    const __m128 x = _mm_loadu_ps(p + 2 * i);
    out.v[i] = _mm_cvtps_pd(x);
    out.v[i + 1] = _mm_cvtps_pd(_mm_movehl_ps(x, x));
  }
#elif defined(__aarch64__)
  for (int i = 0; i < 8; i += 2) {
    const float32x4_t x = vld1q_f32(p + 2 * i);
    out.v[i] = vcvt_f64_f32(vget_low_f32(x));
    out.v[i + 1] = vcvt_high_f64_f32(x);
  }
#else
  alignas(64) double wide[16];
  for (int i = 0; i < 16; ++i) wide[i] = static_cast<double>(p[i]);
  for (int i = 0; i < out.count; ++i) out.v[i] = V::load_aligned(wide + i * out.width);
#endif
  return out;
}

/// Stores of lanes, rounded once to the storage type.
inline void store(double* p, const Lanes<8>& a) {
  for (int i = 0; i < Lanes<8>::count; ++i) a.v[i].store_unaligned(p + i * kVec);
}
inline void store(float* p, const Lanes<16>& a) {
#if defined(__AVX512F__)
  _mm256_storeu_ps(p, _mm512_cvtpd_ps(a.v[0]));
  _mm256_storeu_ps(p + 8, _mm512_cvtpd_ps(a.v[1]));
#elif defined(__AVX2__)
  for (int i = 0; i < 4; ++i) _mm_storeu_ps(p + 4 * i, _mm256_cvtpd_ps(a.v[i]));
#elif defined(__SSE2__)
  for (int i = 0; i < 8; i += 2)
    _mm_storeu_ps(p + 2 * i, _mm_movelh_ps(_mm_cvtpd_ps(a.v[i]), _mm_cvtpd_ps(a.v[i + 1])));
#elif defined(__aarch64__)
  for (int i = 0; i < 8; i += 2) vst1q_f32(p + 2 * i, vcvt_high_f32_f64(vcvt_f32_f64(a.v[i]), a.v[i + 1]));
#else
  alignas(64) double wide[16];
  for (int i = 0; i < Lanes<16>::count; ++i) a.v[i].store_aligned(wide + i * kVec);
  for (int i = 0; i < 16; ++i) p[i] = static_cast<float>(wide[i]);
#endif
}

/// The first n < kLanes elements; the other lanes are 0 and their memory is not touched.
template <class V = Vec, class T>
inline Lanes<kLanes<T>, V> load_first(const T* p, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    Lanes<16, V> out;
    for (int i = 0; i < out.count; ++i) out.v[i] = widened<V>(p + i * out.width, ((1u << n) - 1u) >> (i * out.width));
    return out;
  }
#endif
  T padded[kLanes<T>] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load<V>(padded);
}
template <class T>
inline void store_first(T* p, const Lanes<kLanes<T>>& a, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps(a.v[0]));
    const __m512 x = _mm512_insertf32x8(low, _mm512_cvtpd_ps(a.v[1]), 1);
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), x);
    return;
  }
#endif
  T padded[kLanes<T>];
  store(padded, a);
  for (int i = 0; i < n; ++i) p[i] = padded[i];
}

/// Lanes below n kept, the others 0.
template <int W, class V>
inline Lanes<W, V> keep_first(const Lanes<W, V>& a, int n) {
  alignas(64) static constexpr double iota[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const V bound(static_cast<double>(n));
  Lanes<W, V> out;
  for (int i = 0; i < out.count; ++i)
    out.v[i] = xsimd::select(V::load_aligned(iota + i * out.width) < bound, a.v[i], V(0.0));
  return out;
}

/// Plain doubles (accumulators, coefficients), kLanes of them; the arrays are padded to whole steps.
template <int W>
inline Lanes<W> load_wide(const double* p) {
  Lanes<W> out;
  for (int i = 0; i < Lanes<W>::count; ++i) out.v[i] = Vec::load_unaligned(p + i * kVec);
  return out;
}
template <int W>
inline void store_wide(double* p, const Lanes<W>& a) {
  for (int i = 0; i < Lanes<W>::count; ++i) a.v[i].store_unaligned(p + i * kVec);
}

/// Hints that p, which need not be valid, will be read soon: into the second-level cache.
inline void fetch_near(const void* p) { __builtin_prefetch(p, 0, 2); }

/// Sum over the lanes in one fixed tree: the upper part of them is added to the lower one until one is left, first
/// register by register. fold() is that down to one register.
template <int W, class V>
inline V fold(Lanes<W, V> a) {
  for (int left = Lanes<W, V>::count / 2; left > 0; left /= 2)
    for (int i = 0; i < left; ++i) a.v[i] = a.v[i] + a.v[i + left];
  return a.v[0];
}
/// One step further where a register has more than 256 bits.
inline Vec256 fold_to_256(const Vec256& a) { return a; }
#if defined(__AVX2__)
inline double sum(const Vec256& a) {
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
#if defined(__AVX512F__)
inline Vec256 fold_to_256(const Vec& a) {
  return _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
}
inline double sum(const Vec& a) { return sum(fold_to_256(a)); }
#endif
#else
inline double sum(const Vec& a) {
  alignas(64) double lane[kVec];
  a.store_aligned(lane);
  for (int left = kVec / 2; left > 0; left /= 2)
    for (int i = 0; i < left; ++i) lane[i] += lane[i + left];
  return lane[0];
}
#endif
template <int W, class V>
inline double sum(const Lanes<W, V>& a) {
  return sum(fold(a));
}

/// fold(a * a) of what was float32: its squares are exact.
template <int W, class V>
inline V fold_exact_squares(const Lanes<W, V>& a) {
  Lanes<W / 2, V> squares;
  constexpr int kLeft = Lanes<W / 2, V>::count;
  for (int i = 0; i < kLeft; ++i) squares.v[i] = fused(a.v[i + kLeft], a.v[i + kLeft], a.v[i] * a.v[i]);
  return fold(squares);
}

/// sums[j] = sum(v[j]) of folded lanes: the same tree over each, four or eight at once.
inline void sum_four(const Vec256* v, double* sums) {
#if defined(__AVX2__)
  const auto twos = [](__m256d p, __m256d q) {
    return _mm256_add_pd(_mm256_permute2f128_pd(p, q, 0x20), _mm256_permute2f128_pd(p, q, 0x31));
  };
  const __m256d even = twos(v[0], v[2]), odd = twos(v[1], v[3]);
  _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd)));
#else
  for (int j = 0; j < 4; ++j) sums[j] = sum(v[j]);
#endif
}
inline void sum_eight(const Vec* v, double* sums) {
#if defined(__AVX512F__)
  const auto fours = [](__m512d p, __m512d q) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(p, q, 0x44), _mm512_shuffle_f64x2(p, q, 0xEE));
  };
  const auto twos = [](__m512d p, __m512d q) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(p, q, 0x88), _mm512_shuffle_f64x2(p, q, 0xDD));
  };
  const __m512d even = twos(fours(v[0], v[2]), fours(v[4], v[6])), odd = twos(fours(v[1], v[3]), fours(v[5], v[7]));
  _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd)));
#else
  for (int j = 0; j < 8; j += 4) sum_four(v + j, sums + j);
#endif
}

/// Calls f(std::integral_constant<int, i>{}) for i in [0, K): a loop whose body sees constants, so that arrays of
/// vectors stay in registers.
template <int K, class F>
inline void unrolled(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) { (f(std::integral_constant<int, I>{}), ...); }
  (std::make_integer_sequence<int, K>{});
}

/// Calls f(offset, n) for every step of [0, count): n == W except perhaps in the last one.
template <int W, class F>
inline void steps(index_t count, F&& f) {
  index_t i = 0;
  for (; i + W <= count; i += W) f(i, std::integral_constant<int, W>{});
  if (i < count) f(i, static_cast<int>(count - i));
}

/// Loads a step's elements: whole steps at compile time, tails masked.
template <class V = Vec, class T, class N>
inline Lanes<kLanes<T>, V> load_step(const T* p, N n) {
  if constexpr (std::is_same_v<N, int>)
    return load_first<V>(p, n);
  else
    return load<V>(p);
}
template <class T, class N>
inline void store_step(T* p, const Lanes<kLanes<T>>& a, N n) {
  if constexpr (std::is_same_v<N, int>)
    store_first(p, a, n);
  else
    store(p, a);
}

/// p[0..n) += a.
template <int W, class N>
void add_step(double* p, const Lanes<W>& a, N n) {
  if constexpr (std::is_same_v<N, int>) {
    double lane[W];
    store_wide<W>(lane, a);
    for (int i = 0; i < n; ++i) p[i] += lane[i];
  } else {
    store_wide<W>(p, load_wide<W>(p) + a);
  }
}

/// Brings strided elements together: f(run, offset, n) for dense runs that cover [0, count). The run length is a
/// multiple of the step, so that sums meet the elements in the same lanes as in dense memory.
template <class T, class F>
inline void runs(const T* p, index_t stride, index_t count, F&& f) {
  if (stride == 1) return f(p, index_t{0}, count);
  constexpr index_t kRun = 256;
  T dense[kRun];
  for (index_t i = 0; i < count; i += kRun) {
    const index_t n = count - i < kRun ? count - i : kRun;
    for (index_t j = 0; j < n; ++j) dense[j] = p[(i + j) * stride];
    f(static_cast<const T*>(dense), i, n);
  }
}

/// a + b exactly, as hi + lo.
inline void two_sum(double a, double b, double& hi, double& lo) {
  hi = a + b;
  const double t = hi - a;
  lo = (a - (hi - t)) + (b - t);
}

// ---- float32 in its own precision ----------------------------------------------------------------------------------

/// Whether fma() rounds once, in one instruction: without it float32 arithmetic would be other numbers.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

/// A step of float32 in its own precision.
template <class B>
struct StepOfSingles {
  using Batch = B;
  static constexpr int width = static_cast<int>(Batch::size), count = 16 / width;
  Batch v[count];

  StepOfSingles() = default;
  explicit StepOfSingles(float value) {
    for (int i = 0; i < count; ++i) v[i] = Batch(value);
  }
};
using Singles = StepOfSingles<xsimd::batch<float, Arch>>;
/// In registers like Vec256, where each step has coefficients of its own: a float in memory fills two registers of 256
/// bits in a cycle, or one of 512.
using Singles256 = StepOfSingles<xsimd::batch<float, Vec256::arch_type>>;

template <class B>
inline StepOfSingles<B> operator+(const StepOfSingles<B>& a, const StepOfSingles<B>& b) {
  StepOfSingles<B> out;
  for (int i = 0; i < out.count; ++i) out.v[i] = a.v[i] + b.v[i];
  return out;
}
template <class B>
inline StepOfSingles<B> operator*(const StepOfSingles<B>& a, const StepOfSingles<B>& b) {
  StepOfSingles<B> out;
  for (int i = 0; i < out.count; ++i) out.v[i] = a.v[i] * b.v[i];
  return out;
}
template <class B>
inline StepOfSingles<B> fma(const StepOfSingles<B>& a, const StepOfSingles<B>& b, const StepOfSingles<B>& c) {
  StepOfSingles<B> out;
  for (int i = 0; i < out.count; ++i) out.v[i] = fused(a.v[i], b.v[i], c.v[i]);
  return out;
}

template <class S = Singles>
inline S load_singles(const float* p) {
  S out;
  for (int i = 0; i < S::count; ++i) out.v[i] = S::Batch::load_unaligned(p + i * S::width);
  return out;
}
template <class S = Singles>
inline S load_singles(const float* p, int n) {
#if defined(__AVX512F__)
  S out;
  const unsigned mask = (1u << n) - 1u;
  if constexpr (std::is_same_v<S, Singles256>) {
    out.v[0] = _mm256_maskz_loadu_ps(static_cast<__mmask8>(mask), p);
    out.v[1] = _mm256_maskz_loadu_ps(static_cast<__mmask8>(mask >> 8), p + 8);
  } else {
    out.v[0] = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p);
  }
  return out;
#else
  float padded[16] = {};
  for (int i = 0; i < n; ++i) padded[i] = p[i];
  return load_singles<S>(padded);
#endif
}
/// The same numbers in doubles.
inline Lanes<16> widen(const Singles& a) {
#if defined(__AVX512F__)
  Lanes<16> out;
  out.v[0] = _mm512_cvtps_pd(_mm512_castps512_ps256(a.v[0]));
  out.v[1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v[0], 1));
  return out;
#elif defined(__AVX2__)
  Lanes<16> out;
  for (int i = 0; i < 2; ++i) {
    out.v[2 * i] = _mm256_cvtps_pd(_mm256_castps256_ps128(a.v[i]));
    out.v[2 * i + 1] = _mm256_cvtps_pd(_mm256_extractf128_ps(a.v[i], 1));
  }
  return out;
#else
  alignas(64) float narrow[16];
  for (int i = 0; i < Singles::count; ++i) a.v[i].store_aligned(narrow + i * Singles::width);
  return load(narrow);
#endif
}
/// Rounded once.
inline Singles narrow(const Lanes<16>& a) {
#if defined(__AVX512F__)
  Singles out;
  const __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps(a.v[0]));
  out.v[0] = _mm512_insertf32x8(low, _mm512_cvtpd_ps(a.v[1]), 1);
  return out;
#else
  alignas(64) float all[16];
  store(all, a);
  return load_singles(all);
#endif
}
template <class B>
inline void store(float* p, const StepOfSingles<B>& a) {
  for (int i = 0; i < a.count; ++i) a.v[i].store_unaligned(p + i * a.width);
}
inline void store_first(float* p, const Singles& a, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), a.v[0]);
#else
  float padded[16];
  store(padded, a);
  for (int i = 0; i < n; ++i) p[i] = padded[i];
#endif
}
inline void store_step(float* p, const Singles& a, int n) { store_first(p, a, n); }
inline void store_step(float* p, const Singles& a, std::integral_constant<int, 16>) { store(p, a); }
template <class S = Singles, class N>
inline S load_singles_step(const float* p, N n) {
  if constexpr (std::is_same_v<N, int>)
    return load_singles<S>(p, n);
  else
    return load_singles<S>(p);
}

/// Stores past the caches, of memory that is not read again before it has left them: a line need not be fetched to be
/// written. p is aligned to a step, which is a cache line.
inline void stream(float* p, const Singles& a) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, a.v[0]);
#elif defined(__AVX2__)
  for (int i = 0; i < 2; ++i) _mm256_stream_ps(p + 8 * i, a.v[i]);
#else
  store(p, a);
#endif
}
inline void stream(float* p, const Lanes<16>& a) {
#if defined(__AVX512F__)
  const __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps(a.v[0]));
  _mm512_stream_ps(p, _mm512_insertf32x8(low, _mm512_cvtpd_ps(a.v[1]), 1));
#elif defined(__AVX2__)
  for (int i = 0; i < 4; ++i) _mm_stream_ps(p + 4 * i, _mm256_cvtpd_ps(a.v[i]));
#else
  store(p, a);
#endif
}
inline void stream(double* p, const Lanes<8>& a) {
#if defined(__AVX512F__)
  _mm512_stream_pd(p, a.v[0]);
#elif defined(__AVX2__)
  for (int i = 0; i < 2; ++i) _mm256_stream_pd(p + 4 * i, a.v[i]);
#else
  store(p, a);
#endif
}
/// Orders streamed stores before whatever tells other threads of them.
inline void end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

/// y[i] of a step, streamed if it is whole.
template <bool Streamed, class T, class V, class N>
inline void write_step(T* y, const V& value, N n) {
  if constexpr (Streamed && !std::is_same_v<N, int>)
    stream(y, value);
  else
    store_step(y, value, n);
}

/// Elements of p before the first that begins a cache line, at most n.
template <class T>
inline index_t to_line(const T* p, index_t n) {
  const auto past = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(p) % 64 / sizeof(T));
  const index_t head = past == 0 ? 0 : kLanes<T> - past;
  return head < n ? head : n;
}

/// y[i] = f(i, k) for every step of [0, n), from the first on that begins a cache line where they are streamed or many:
/// a store across two lines costs as much as two.
template <bool Streamed, class T, class F>
inline void write_steps(T* __restrict y, index_t n, F&& f) {
  constexpr int W = kLanes<T>;
  constexpr index_t kMany = 8 * W;
  index_t head = 0;
  if (Streamed || n >= kMany) {
    head = to_line(y, n);
    if (head > 0) store_step(y, f(index_t{0}, static_cast<int>(head)), static_cast<int>(head));
  }
  steps<W>(n - head, [&](index_t i, auto k) { write_step<Streamed>(y + head + i, f(head + i, k), k); });
}
template <class T, class F>
inline void write_steps(bool streamed, T* y, index_t n, F&& f) {
  streamed ? write_steps<true>(y, n, f) : write_steps<false>(y, n, f);
}

}  // namespace
}  // namespace limpid::kernels
