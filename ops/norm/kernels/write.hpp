// How normalised elements are computed and written. Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/detail/lanes.hpp>

namespace limpid::kernels {
namespace {

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
/// As Half, where steps have coefficients of their own: a float in memory fills two registers of 256 bits in a cycle,
/// or one of 512.
using HalfSingles = StepOfSingles<xsimd::batch<float, Half::arch_type>>;

inline Singles::Batch fmadd(const Singles::Batch& a, const Singles::Batch& b, const Singles::Batch& c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#else
  return xsimd::fma(a, b, c);
#endif
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
  if constexpr (std::is_same_v<S, HalfSingles>) {
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
inline void write_steps(T* LIMPID_RESTRICT y, index_t n, F&& f) {
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

/// y = (x - mean) * a + beta in float32 arithmetic, where a = rstd * gamma and the mean are sums of two floats:
///
///   d = x - mean,   s = fma(d, a, beta),   y = s + fma(d, a_lo, c)   with c = -mean_lo * a.
///
/// With u = 2^-24: d is exact where x is within a factor of 2 of the mean (Sterbenz), and off by at most u |d|
/// elsewhere, where mean_lo, at most u |mean|, is below 2 u |d|. mean being the float nearest to the true mean, no
/// other float is closer to it than |d| / 2, so d a + c does not cancel. All of a's error is in a_lo's rounding, u^2
/// |a|. Of size = max(|y|, |xhat gamma|, |beta|), of which s is at most u-ish off y, that leaves u |d a| < 1 ulp for d,
/// 1/2 ulp for s and 1/2 ulp for y: 2 ulp, of which the first is not there where c matters, when c's own rounding,
/// at most u |c| < 1 ulp, takes its place. Outside the range of a below, float32's exponents do not hold a_lo or d.
struct SingleAffine {
  float mean, a, a_lo, beta, c;
};

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

inline bool suits_singles(double mean, double a) {
  const double size = __builtin_fabs(a), offset = __builtin_fabs(mean);
  // Spelled so that a NaN suits: it gives NaN, and stays in its slice.
  return kFused && !(offset > 0x1p100) & !(size > 0x1p100) & (!(size < 0x1p-90) | (size == 0));
}

inline SingleAffine single_affine(double mean, double mean_lo, double a, double beta) {
  SingleAffine s;
  s.mean = static_cast<float>(mean);
  s.a = static_cast<float>(a);
  s.a_lo = static_cast<float>(a - static_cast<double>(s.a));
  s.beta = static_cast<float>(beta);
  s.c = static_cast<float>(((static_cast<double>(s.mean) - mean) - mean_lo) * a);
  return s;
}

/// The same sixteen at a time, member by member in arrays of `pitch` floats; returns whether all of them suit. beta:
/// sixteen floats or doubles.
template <class Beta>
inline bool single_affines(const Lanes<16>& mean, const Lanes<16>& mean_lo, const Lanes<16>& a, const Beta& beta,
                           float* to, index_t pitch) {
  store(to, mean);
  store(to + pitch, a);
  store(to + 2 * pitch, a - load(to + pitch));
  store(to + 3 * pitch, beta);
  store(to + 4 * pitch, ((load(to) - mean) - mean_lo) * a);
  const Vec most(0x1p100), least(0x1p-90), zero(0.0);
  auto misfit = zero > zero;
  for (int i = 0; i < Lanes<16>::count; ++i) {  // suits_singles of each
    const Vec size = xsimd::abs(a.v[i]);
    misfit = misfit || xsimd::max(size, xsimd::abs(mean.v[i])) > most || (size < least && size > zero);
  }
  return kFused && !xsimd::any(misfit);
}
inline bool single_affines(const double* mean, const double* mean_lo, const double* a, const double* beta, float* to,
                           index_t pitch) {
  return single_affines(load_wide<16>(mean), load_wide<16>(mean_lo), load_wide<16>(a), load_wide<16>(beta), to, pitch);
}

struct SingleLanes {
  Singles mean, a, a_lo, beta, c;
  SingleLanes() = default;
  explicit SingleLanes(const SingleAffine& s) : mean(s.mean), a(s.a), a_lo(s.a_lo), beta(s.beta), c(s.c) {}
  /// A step of affines that single_affines() wrote.
  SingleLanes(const float* at, index_t pitch)
      : mean(load_singles(at)),
        a(load_singles(at + pitch)),
        a_lo(load_singles(at + 2 * pitch)),
        beta(load_singles(at + 3 * pitch)),
        c(load_singles(at + 4 * pitch)) {}

  Singles operator()(const Singles& x) const {
    Singles y;
    for (int i = 0; i < Singles::count; ++i) {
      const Singles::Batch d = x.v[i] - mean.v[i];
      y.v[i] = fmadd(d, a.v[i], beta.v[i]) + fmadd(d, a_lo.v[i], c.v[i]);
    }
    return y;
  }
};
template <class S = Singles, class N>
inline S load_singles_step(const float* p, N n) {
  if constexpr (std::is_same_v<N, int>)
    return load_singles<S>(p, n);
  else
    return load_singles<S>(p);
}

}  // namespace
}  // namespace limpid::kernels
