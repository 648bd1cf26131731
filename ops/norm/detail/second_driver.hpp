// The second derivative over raw memory, the gradients of a normalisation's backward: picks the kernels of isa() and
// splits the work over threads.
#pragma once
#include <limpid/ops/norm/detail/driver.hpp>
#include <limpid/ops/norm/kernels/second.hpp>

namespace limpid::detail {

/// One call: the gradients of sum(u dx) + sum(v dgamma) + sum(w dbeta), dx, dgamma and dbeta being those of
/// NormPass::backward, with respect to dy, x and gamma. x by its strides; dy, u, dx and ddy dense in dims.layout.
template <class T>
struct NormSecondCall {
  NormGeometry geometry = {};
  kernels::NormSecondOperands<T> in = {};
  kernels::NormSecondOutputs<T> out = {};
  NormStats stats = {};
  double* scratch = nullptr;  ///< norm_second_scratch() doubles.
};

/// Scratch memory, in doubles, that a call needs.
std::int64_t norm_second_scratch(const NormGeometry& geometry) noexcept;

/// Instantiated for float and double.
template <class T>
void run_norm_second(const NormSecondCall<T>& call) noexcept;

}  // namespace limpid::detail
