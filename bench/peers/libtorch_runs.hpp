// What LibTorch's programs of cases make of a function: forward, and forward with gradients.
#pragma once
#include <torch/torch.h>

#include <functional>
#include <utility>
#include <vector>

using torch::Tensor;
using Run = std::function<void()>;

inline std::pair<Run, Run> runs(std::function<Tensor()> f, std::vector<Tensor> leaves) {
  for (Tensor& leaf : leaves) leaf.set_requires_grad(true);
  const Run forward = [f] {
    torch::NoGradGuard no_grad;
    f();
  };
  if (leaves.empty()) return {forward, forward};
  const Tensor dy = torch::randn(f().sizes());
  return {forward, [f, leaves, dy] { torch::autograd::grad({f()}, leaves, {dy}); }};
}
