#include <limpid/ops/attention/kernels/attention.hpp>

#include <limpid/core/kernels/simd.hpp>
#include <limpid/ops/elementwise/kernels/power.hpp>

#include <limits>
#include <type_traits>

namespace limpid::kernels {
namespace {

// What is below e^-87 (of double e^-708) of the largest is nothing beside it. NaN stays.
template <class B>
B power(B x) noexcept {
  constexpr bool is_double = std::is_same_v<typename B::value_type, double>;
  const B low(static_cast<typename B::value_type>(is_double ? -708.0 : -87.0)), inside = xsimd::max(low, x);
  if constexpr (is_double)
    return xsimd::select(x < low, B(0), xsimd::exp(inside));
  else
    return xsimd::select(x < low, B(0), Power<B>(inside).value());
}

// Sums of 16 lanes of float or 8 of double, whatever the width of a register: the same bits on every instruction set.
template <class T>
double exponentials(std::int64_t count, T shift, T* s) noexcept {
  using B = xsimd::batch<T>;
  constexpr std::int64_t lanes = 64 / static_cast<std::int64_t>(sizeof(T)), size = B::size, parts = lanes / size;
  const B by(shift);
  B sums[parts];
  for (B& sum : sums) sum = B(0);
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (std::int64_t k = 0; k < parts; ++k) {
      const B p = power(B::load_unaligned(s + i + k * size) - by);
      p.store_unaligned(s + i + k * size);
      sums[k] += p;
    }
  T rest[lanes], total[lanes];
  for (std::int64_t k = 0; k < lanes; ++k) rest[k] = i + k < count ? s[i + k] : -std::numeric_limits<T>::infinity();
  for (std::int64_t k = 0; k < parts; ++k) {
    const B p = power(B::load_unaligned(rest + k * size) - by);
    p.store_unaligned(rest + k * size);
    (sums[k] + p).store_unaligned(total + k * size);
  }
  double sum = 0;
  for (std::int64_t k = 0; k < lanes; ++k) {
    if (i + k < count) s[i + k] = rest[k];
    sum += static_cast<double>(total[k]);
  }
  return sum;
}

template <class T>
void score_gradients(std::int64_t count, T inner, const T* p, T* d) noexcept {
  using B = xsimd::batch<T>;
  constexpr std::int64_t size = B::size;
  std::int64_t i = 0;
  for (; i + size <= count; i += size) {
    const B weight = B::load_unaligned(p + i), by = weight * (B::load_unaligned(d + i) - B(inner));
    xsimd::select(weight == B(0), B(0), by).store_unaligned(d + i);
  }
  for (; i < count; ++i) d[i] = p[i] == T{0} ? T{0} : p[i] * (d[i] - inner);
}

}  // namespace

namespace LIMPID_KERNEL_ISA {

const AttentionKernels<float> attention_float{.exponentials = exponentials<float>,
                                              .score_gradients = score_gradients<float>};
#if !defined(__AVX512F__)
const AttentionKernels<double> attention_double{.exponentials = exponentials<double>,
                                                .score_gradients = score_gradients<double>};
#endif

}  // namespace LIMPID_KERNEL_ISA
}  // namespace limpid::kernels
