// Derivatives of higher order of what a kernel does in one pass: a composition of differentiable functions with the
// same values has the same derivatives.
#pragma once
#include <limpid/core/tensor.hpp>

#include <functional>
#include <memory>

namespace limpid::detail {

/// ys of xs, of which some may be undefined.
using Composition = std::shared_ptr<const std::function<Tensors(const Tensors& xs)>>;

template <class F>
Composition composition(F&& f) {
  return std::make_shared<const std::function<Tensors(const Tensors&)>>(std::forward<F>(f));
}

/// To be called by a fused backward while it is recorded: dxs, which a kernel has just made of dys and xs, are the
/// gradients of f(xs), and are recorded as such; their own derivatives are those of the composition's gradients. Either
/// may hold undefined tensors: outputs without a gradient, inputs that are none or whose gradient is not asked for.
void record_gradients(const char* op, Tensors& dxs, const Tensors& dys, const Tensors& xs, const Composition& f);

/// The tangents of f(xs), given those of xs; undefined stands for zero.
Tensors push_through(const char* op, const Composition& f, const Tensors& xs, const Tensors& dxs);

}  // namespace limpid::detail
