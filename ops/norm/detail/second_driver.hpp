// The derivative of a normalisation's backward over raw memory: picks the kernels of isa() and splits the work.
#pragma once
#include <limpid/ops/norm/detail/driver.hpp>

namespace limpid::detail {

/// Arrays of one second derivative. x by its strides; dy, u, dx and ddy dense in dims.layout.
template <class T>
struct NormDouble {
  const T* x = nullptr;
  const T* dy = nullptr;
  const T* u = nullptr;      ///< The gradient of dx; null stands for 0.
  const T* gamma = nullptr;  ///< (C,) or null, as v and w, the gradients of dgamma and dbeta.
  const T* v = nullptr;
  const T* w = nullptr;
  NormStats stats;
  T* ddy = nullptr;  ///< The gradients that are wanted; the others null.
  T* dx = nullptr;
  T* dgamma = nullptr;
};

/// Scratch memory, in doubles, that norm_double_backward needs.
std::int64_t norm_double_scratch(const NormDims& dims, const NormStrides& x) noexcept;

/// The gradients of sum(u dx) + sum(v dgamma) + sum(w dbeta), dx, dgamma and dbeta being those of norm_backward, with
/// respect to dy, x and gamma. Instantiated for float and double.
template <class T>
void norm_double_backward(const NormDims& dims, const NormStrides& x_strides, const NormDouble<T>& at,
                          double* scratch) noexcept;

}  // namespace limpid::detail
