// Loops of functions over xsimd's batches, which leave what they are not accurate for to the C library. Compiled once
// per instruction set, hence the unnamed namespace.
#pragma once
#include <limpid/core/kernels/simd.hpp>
#include <limpid/ops/elementwise/kernels/chain.hpp>
#include <limpid/ops/elementwise/kernels/strip.hpp>

#include <cstddef>

namespace limpid::kernels {
namespace {

// A function F has f(batch...), accurate where trusted(batch...) holds, and reference(double...) for all other x. In
// their place f gets F::safe, for which it raises no floating-point exception.
template <class F>
struct Batches {
  // Flattened: a call of a function that several kernels share would cost more than it does.
  template <class T, class... P>
  [[gnu::flatten]] static void run(int64_t count, T* y, const T* x, const P*... p) noexcept {
    constexpr auto size = static_cast<int64_t>(xsimd::batch<T>::size);
    int64_t i = 0;
    for (; i + size <= count; i += size) step(y + i, x + i, p + i...);
    if (i < count) tail(count - i, y + i, Padded<T>(x + i, count - i), Padded<P>(p + i, count - i)...);
  }

 private:
  template <class T>
  struct Padded {
    T values[xsimd::batch<T>::size];
    Padded(const T* x, int64_t count) noexcept {
      for (int64_t i = 0; i < static_cast<int64_t>(xsimd::batch<T>::size); ++i) values[i] = x[i < count ? i : 0];
    }
  };

  template <class T, class... P>
  static void step(T* y, const T* x, const P*... p) noexcept {
    using B = xsimd::batch<T>;
    B v = B::load_unaligned(x);
    const auto trusted = F::trusted(v, B::load_unaligned(p)...);
    const bool all_trusted = xsimd::all(trusted);
    if (!all_trusted) [[unlikely]]
      v = xsimd::select(trusted, v, B(T{F::safe}));
    const B result = F::f(v, B::load_unaligned(p)...);
    if (all_trusted) [[likely]]
      result.store_unaligned(y);
    else
      repair(y, result, xsimd::select(trusted, B(T{1}), B(T{0})), x, p...);
  }

  // y may be x: each element is read before it is written.
  template <class T, class B, class... P>
  [[gnu::noinline, gnu::cold]] static void repair(T* y, B result, B trusted, const T* x, const P*... p) noexcept {
    T values[B::size], good[B::size];
    result.store_unaligned(values);
    trusted.store_unaligned(good);
    for (std::size_t k = 0; k < B::size; ++k)
      y[k] = good[k] != 0 ? values[k] : static_cast<T>(F::reference(double{x[k]}, double{p[k]}...));
  }

  template <class T, class... P>
  [[gnu::noinline]] static void tail(int64_t count, T* y, Padded<T> x, Padded<P>... p) noexcept {
    T values[xsimd::batch<T>::size];
    step(values, x.values, p.values...);
    for (int64_t i = 0; i < count; ++i) y[i] = values[i];
  }
};

template <class B>
constexpr bool is_double = std::is_same_v<typename B::value_type, double>;

// |x| up to which exp neither overflows nor leaves the normal numbers.
template <class B>
B exp_limit() noexcept {
  if constexpr (is_double<B>)
    return B(708.0);
  else
    return B(87.0f);
}

struct TrustedAsExp {
  static constexpr int safe = 0;
  template <class B, class... P>
  static auto trusted(B x, P...) noexcept {
    return xsimd::abs(x) <= exp_limit<B>();
  }
};

struct TrustedEverywhere {
  static constexpr int safe = 0;
  template <class B>
  static auto trusted(B x) noexcept {
    return x == x;  // NaN takes the long way
  }
};

template <class F>
struct Chained {
  static constexpr int safe = F::safe;
  template <class B, class... P>
  static auto trusted(B x, B, P... p) noexcept {
    return F::trusted(x, p...);
  }
  template <class B, class... P>
  static B f(B x, B dy, P... p) noexcept {
    const B slope = F::f(x, p...);
    if constexpr (sizeof...(P) == 0) return dy * slope;  // finite for a trusted x
    return dy * xsimd::select(dy == B(0), slope & B(-0.0f), slope);
  }
  template <class... P>
  static double reference(double x, double dy, P... p) noexcept {
    return chain(dy, F::reference(x, p...));
  }
};

template <class F>
struct ChainedBatches {
  template <class T, class... P>
  static void run(int64_t count, T* y, const T* dy, const T* x, const P*... p) noexcept {
    Batches<Chained<F>>::run(count, y, x, dy, p...);
  }
};

}  // namespace
}  // namespace limpid::kernels
