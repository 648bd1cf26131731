// PyTorch's starts, all uniform. Linear and convolutional layers: Kaiming uniform with a = sqrt(5), that is within 1 /
// sqrt(fan in), for the weight as for the bias. Others: within 1 / sqrt of a number of features of theirs.
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

/// Within 1 / sqrt(fan_in); 0 where that is.
inline Tensor uniform_within(const Shape& shape, int64_t fan_in, Generator* generator) {
  Tensor x = empty(shape);
  const double bound = fan_in > 0 ? 1 / std::sqrt(static_cast<double>(fan_in)) : 0;
  init::uniform_(x, -bound, bound, generator_or_default(generator));
  return x;
}

/// (out,), of a layer with this weight (out, in, *kernel), or (in, out, *kernel) of a transposed convolution.
inline Tensor uniform_bias(const Tensor& weight, int64_t out, Generator* generator) {
  return uniform_within({out}, init::fans(weight).in, generator);
}

}  // namespace limpid::nn::detail
