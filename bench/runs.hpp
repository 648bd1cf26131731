// What limpid's programs of cases make of a function: forward, and forward with gradients.
#pragma once
#include <limpid/limpid.hpp>

#include <functional>
#include <utility>

namespace limpid {

using Run = std::function<void()>;

/// Of a function of nothing that gives a tensor, and everything that it is to be differentiated by; where that is
/// nothing, both are the same.
inline std::pair<Run, Run> runs(std::function<Tensor()> f, Tensors leaves) {
  for (Tensor& leaf : leaves) leaf.set_requires_grad();
  const Run forward = [f] {
    const NoGradGuard no_grad;
    f();
  };
  if (leaves.empty()) return {forward, forward};
  const Tensor dy = randn(f().shape());
  return {forward, [f, leaves, dy] { grad({f()}, leaves, {dy}); }};
}

}  // namespace limpid
