// The C library's functions. For AVX2, where it is glibc 2.35 or newer, they are those of its vector library (libmvec,
// which is linked with libm): up to 4 units in the last place from the true value, where the others are up to 3, and
// several times as fast.
#include <limpid/ops/elementwise/kernels/strip.hpp>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>

#if defined(LIMPID_HAS_LIBMVEC) && defined(__AVX2__)
#define LIMPID_VECTOR_LIBRARY
#include <immintrin.h>

// Named by x86-64's vector function ABI: for AVX2 (d), not masked (N), of 8 floats or 4 doubles (v).
extern "C" {
#define LIMPID_UNARY(name)           \
  __m256 _ZGVdN8v_##name##f(__m256); \
  __m256d _ZGVdN4v_##name(__m256d)
#define LIMPID_BINARY(name)                   \
  __m256 _ZGVdN8vv_##name##f(__m256, __m256); \
  __m256d _ZGVdN4vv_##name(__m256d, __m256d)
LIMPID_UNARY(acos);
LIMPID_UNARY(acosh);
LIMPID_UNARY(asin);
LIMPID_UNARY(asinh);
LIMPID_UNARY(atan);
LIMPID_UNARY(atanh);
LIMPID_UNARY(cos);
LIMPID_UNARY(cosh);
LIMPID_UNARY(erfc);
LIMPID_UNARY(exp2);
LIMPID_UNARY(expm1);
LIMPID_UNARY(log10);
LIMPID_UNARY(log1p);
LIMPID_UNARY(log2);
LIMPID_UNARY(sin);
LIMPID_UNARY(sinh);
LIMPID_UNARY(tan);
LIMPID_BINARY(atan2);
LIMPID_BINARY(hypot);
}
#endif

namespace limpid::kernels {
namespace {

#if defined(LIMPID_VECTOR_LIBRARY)

// libmvec computes for all elements what only those in the middle of the range need, and so may signal for the others:
// an invalid operation, a division by zero, an overflow. What its results do not bear out is taken back, and where
// programs trap an invalid operation, that waits for the end.
class Flags {
 public:
  Flags() noexcept : before_(_mm_getcsr()) {
    if (traps()) _mm_setcsr(before_ | _MM_MASK_INVALID);
  }
  template <class T>
  void settle(int64_t count, const T* y) const noexcept {
    const unsigned raised = _mm_getcsr() & ~before_ & (_MM_EXCEPT_INVALID | _MM_EXCEPT_DIV_ZERO | _MM_EXCEPT_OVERFLOW);
    if (raised == 0 && !traps()) [[likely]]
      return;
    unsigned borne_out = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (y[i] != y[i]) borne_out |= _MM_EXCEPT_INVALID;
      if (std::abs(y[i]) > std::numeric_limits<T>::max()) borne_out |= _MM_EXCEPT_DIV_ZERO | _MM_EXCEPT_OVERFLOW;
    }
    const unsigned trapped = _MM_MASK_INVALID & ~before_;
    _mm_setcsr(_mm_getcsr() & ~(raised & ~borne_out) & ~trapped);
    if (traps() && (raised & borne_out & _MM_EXCEPT_INVALID)) std::feraiseexcept(FE_INVALID);
  }

 private:
  bool traps() const noexcept { return (before_ & _MM_MASK_INVALID) == 0; }
  unsigned before_;
};

inline __m256 load(const float* x) noexcept { return _mm256_loadu_ps(x); }
inline __m256d load(const double* x) noexcept { return _mm256_loadu_pd(x); }
inline void store(float* y, __m256 v) noexcept { _mm256_storeu_ps(y, v); }
inline void store(double* y, __m256d v) noexcept { _mm256_storeu_pd(y, v); }

// single and wide take vectors.
template <auto single, auto wide>
struct VectorCalls {
  template <class T, class... X>
  static void run(int64_t count, T* y, const T* x, const X*... more) noexcept {
    const Flags flags;
    constexpr int64_t size = 32 / sizeof(T);
    int64_t i = 0;
    for (; i + size <= count; i += size) step(y + i, x + i, more + i...);
    if (i < count) tail(count - i, y + i, x + i, more + i...);
    flags.settle(count, y);
  }

 private:
  template <class T, class... X>
  static void step(T* y, const X*... x) noexcept {
    if constexpr (sizeof(T) == sizeof(float))
      store(y, single(load(x)...));
    else
      store(y, wide(load(x)...));
  }
  template <class T>
  struct Padded {
    T values[32 / sizeof(T)];
    Padded(const T* x, int64_t count) noexcept {
      for (int64_t i = 0; i < static_cast<int64_t>(32 / sizeof(T)); ++i) values[i] = x[i < count ? i : 0];
    }
  };
  template <class T, class... X>
  [[gnu::noinline]] static void tail(int64_t count, T* y, const X*... x) noexcept {
    T values[32 / sizeof(T)];
    step(values, Padded<T>(x, count).values...);
    std::copy_n(values, count, y);
  }
};
#define LIMPID_UNARY_ROW(name) float_row<VectorCalls<_ZGVdN8v_##name##f, _ZGVdN4v_##name>, 1>
#define LIMPID_BINARY_ROW(name) float_row<VectorCalls<_ZGVdN8vv_##name##f, _ZGVdN4vv_##name>, 2>

#else

template <float (*single)(float), double (*wide)(double)>
struct Calls {
  static float f(float x) noexcept { return single(x); }
  static double f(double x) noexcept { return wide(x); }
};
// Of two floats rounded once.
template <double (*wide)(double, double)>
struct BinaryCalls {
  template <class T>
  static T f(T x, T y) noexcept {
    return static_cast<T>(wide(double{x}, double{y}));
  }
};
#define LIMPID_UNARY_ROW(name) float_row<Loop<Calls<::name##f, ::name>>, 1>
#define LIMPID_BINARY_ROW(name) float_row<Loop<BinaryCalls<::name>>, 2>

#endif

}  // namespace

namespace LIMPID_KERNEL_ISA {

const LibraryKernels library_kernels{
    .exp2 = LIMPID_UNARY_ROW(exp2),
    .expm1 = LIMPID_UNARY_ROW(expm1),
    .log2 = LIMPID_UNARY_ROW(log2),
    .log10 = LIMPID_UNARY_ROW(log10),
    .log1p = LIMPID_UNARY_ROW(log1p),
    .erfc = LIMPID_UNARY_ROW(erfc),
    .sin = LIMPID_UNARY_ROW(sin),
    .cos = LIMPID_UNARY_ROW(cos),
    .tan = LIMPID_UNARY_ROW(tan),
    .asin = LIMPID_UNARY_ROW(asin),
    .acos = LIMPID_UNARY_ROW(acos),
    .atan = LIMPID_UNARY_ROW(atan),
    .sinh = LIMPID_UNARY_ROW(sinh),
    .cosh = LIMPID_UNARY_ROW(cosh),
    .asinh = LIMPID_UNARY_ROW(asinh),
    .acosh = LIMPID_UNARY_ROW(acosh),
    .atanh = LIMPID_UNARY_ROW(atanh),
    .atan2 = LIMPID_BINARY_ROW(atan2),
    .hypot = LIMPID_BINARY_ROW(hypot),
};

}  // namespace LIMPID_KERNEL_ISA
}  // namespace limpid::kernels
