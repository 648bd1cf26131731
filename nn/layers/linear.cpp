#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/nn/layers/linear.hpp>

#include <algorithm>

namespace limpid::nn {

using limpid::detail::message;

namespace {

Shape weight_shape(int64_t in, int64_t out) {
  detail::require_positive("Linear", "in and out", std::min(in, out));
  return {out, in};
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, const LinearOptions& options)
    : Module("Linear", message(in, ", ", out, options.bias ? "" : ", bias = false")),
      weight(parameter("weight", detail::uniform_weight(weight_shape(in, out), options.generator))),
      bias(parameter("bias", options.bias ? detail::uniform_bias(weight, options.generator) : Tensor())) {}

}  // namespace limpid::nn
