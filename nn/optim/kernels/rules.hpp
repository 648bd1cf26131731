// The loops of SGD, Adam and AdamW, compiled per instruction set: a parameter and what is kept for it are read and
// written once.
#pragma once
#include <limpid/core/kernels/tables.hpp>

#include <cstdint>

namespace limpid::kernels {

/// d = dx + decay x; b = keep b + share d; x -= rate (d + momentum b), or rate b without nesterov, or rate d without b.
template <class T>
struct SgdFactors {
  T rate, decay, momentum, keep, share;
  bool nesterov;
};

/// y = shrink x; d = dx + decay y; m = beta1 m + share1 d; v = beta2 v + share2 d^2; x = y - rate m / (sqrt(w) + eps),
/// where w is v, or the largest v so far. The corrections of the moments are in rate and eps.
template <class T>
struct AdamFactors {
  T rate, beta1, share1, beta2, share2, eps, shrink, decay;
};

template <class T>
struct AdamArrays {
  T* x;
  const T* dx;
  T *m, *v;
  T* largest;  ///< null where w is v
};

/// Of n elements, by arrays in memory of their own. Where decay is 0, x decays by nothing, be it infinite.
template <class T>
struct OptimizerKernels {
  /// b may be null.
  void (*sgd)(std::int64_t n, T* x, const T* dx, T* b, const SgdFactors<T>& factors) noexcept;
  void (*adam)(std::int64_t n, const AdamArrays<T>& arrays, const AdamFactors<T>& factors) noexcept;
};

LIMPID_DECLARE_KERNELS(OptimizerKernels<float>, optimizer_float)
LIMPID_DECLARE_KERNELS(OptimizerKernels<double>, optimizer_double)

}  // namespace limpid::kernels
