// The network: Conv - InstanceNorm - ReLU - MaxPool twice, and a Linear.
#pragma once
#include <limpid/limpid.hpp>

namespace digits {

struct Block : limpid::nn::Module {
  limpid::nn::Conv2d conv;
  limpid::nn::InstanceNorm2d norm;

  Block(int64_t in, int64_t out)
      : conv(add("conv", limpid::nn::Conv2d(in, out, 3, {.padding = 1}))),
        norm(add("norm", limpid::nn::InstanceNorm2d(out, {.affine = true}))) {}

  limpid::Tensor operator()(const limpid::Tensor& x) const {
    return limpid::max_pool2d(limpid::relu(norm(conv(x))), 2);
  }
};

/// From images (N, 1, 28, 28) to the logits (N, 10) of the ten digits.
inline limpid::nn::Sequential make_network() {
  return limpid::nn::Sequential{Block(1, 16), Block(16, 32), limpid::nn::Flatten(), limpid::nn::Linear(32 * 7 * 7, 10)};
}

}  // namespace digits
