// PyTorch's start for linear and convolutional layers: Kaiming uniform with a = sqrt(5), that is within 1 / sqrt(fan
// in), for the weight as for the bias.
#pragma once
#include <limpid/nn/detail/drawing.hpp>
#include <limpid/nn/layers/init.hpp>

#include <cmath>

namespace limpid::nn::detail {

inline Tensor uniform_weight(const Shape& shape, Generator* generator) {
  Tensor weight = empty(shape);
  init::kaiming_uniform_(weight, {.a = std::sqrt(5.0)}, generator_or_default(generator));
  return weight;
}

/// (out,), of a layer with this weight (out, in, *kernel), or (in, out, *kernel) of a transposed convolution.
inline Tensor uniform_bias(const Tensor& weight, int64_t out, Generator* generator) {
  Tensor bias = empty({out});
  const double fan_in = static_cast<double>(init::fans(weight).in), bound = fan_in > 0 ? 1 / std::sqrt(fan_in) : 0;
  init::uniform_(bias, -bound, bound, generator_or_default(generator));
  return bias;
}

}  // namespace limpid::nn::detail
