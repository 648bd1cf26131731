#include <limpid/nn/optim/kernels/rules.hpp>

#include <cmath>

namespace limpid::kernels {
namespace {

using index_t = std::int64_t;

template <bool decays, class T>
inline T decayed(T dx, T decay, T x) noexcept {
  if constexpr (decays) return dx + decay * x;
  return dx;
}

// Functions of their own: only as parameters of one does GCC heed __restrict.

template <bool decays, class T>
[[gnu::noinline]] void descend(index_t n, T* __restrict x, const T* __restrict dx, SgdFactors<T> f) noexcept {
  for (index_t i = 0; i < n; ++i) x[i] -= f.rate * decayed<decays>(dx[i], f.decay, x[i]);
}

template <bool decays, bool nesterov, class T>
[[gnu::noinline]] void roll(index_t n, T* __restrict x, const T* __restrict dx, T* __restrict b,
                            SgdFactors<T> f) noexcept {
  for (index_t i = 0; i < n; ++i) {
    const T d = decayed<decays>(dx[i], f.decay, x[i]);
    b[i] = f.keep * b[i] + f.share * d;
    x[i] -= f.rate * (nesterov ? d + f.momentum * b[i] : b[i]);
  }
}

// Of so many arrays by one structure, for which the loop asks once whether they overlap.
template <bool decays, bool amsgrad, class T>
[[gnu::noinline]] void adapt(index_t n, AdamArrays<T> a, AdamFactors<T> f) noexcept {
  for (index_t i = 0; i < n; ++i) {
    const T y = f.shrink * a.x[i], d = decayed<decays>(a.dx[i], f.decay, y);
    const T m = f.beta1 * a.m[i] + f.share1 * d, v = f.beta2 * a.v[i] + f.share2 * d * d;
    T w = v;
    if constexpr (amsgrad) a.largest[i] = w = a.largest[i] < v || v != v ? v : a.largest[i];
    a.m[i] = m;
    a.v[i] = v;
    a.x[i] = y - f.rate * m / (std::sqrt(w) + f.eps);
  }
}

template <class T>
void sgd(index_t n, T* x, const T* dx, T* b, const SgdFactors<T>& f) noexcept {
  if (!b) return f.decay != 0 ? descend<true>(n, x, dx, f) : descend<false>(n, x, dx, f);
  if (f.nesterov) return f.decay != 0 ? roll<true, true>(n, x, dx, b, f) : roll<false, true>(n, x, dx, b, f);
  f.decay != 0 ? roll<true, false>(n, x, dx, b, f) : roll<false, false>(n, x, dx, b, f);
}

template <class T>
void adam(index_t n, const AdamArrays<T>& a, const AdamFactors<T>& f) noexcept {
  if (a.largest) return f.decay != 0 ? adapt<true, true>(n, a, f) : adapt<false, true>(n, a, f);
  f.decay != 0 ? adapt<true, false>(n, a, f) : adapt<false, false>(n, a, f);
}

}  // namespace

namespace LIMPID_KERNEL_ISA {
const OptimizerKernels<float> optimizer_float = {.sgd = sgd<float>, .adam = adam<float>};
const OptimizerKernels<double> optimizer_double = {.sgd = sgd<double>, .adam = adam<double>};
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
