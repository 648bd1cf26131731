#include <limpid/nn/layers/activation.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/reduce.hpp>

namespace limpid::nn {

using limpid::detail::message;

LeakyReLU::LeakyReLU(const LeakyReLUOptions& options)
    : Module("LeakyReLU", detail::text(options.negative_slope)),
      options_(options) {
  const auto& [negative_slope] = options;
  detail::expect("LeakyReLU", {{"negative_slope", negative_slope, detail::within_float}});
}
ELU::ELU(const ELUOptions& options) : Module("ELU", detail::text(options.alpha)), options_(options) {
  const auto& [alpha] = options;
  detail::expect("ELU", {{"alpha", alpha, detail::within_float}});
}
Softplus::Softplus(const SoftplusOptions& options) : Module("Softplus", detail::text(options.beta)), options_(options) {
  const auto& [beta] = options;
  detail::expect("Softplus", {{"beta", beta, detail::above_0}});
}
Softmax::Softmax(int64_t axis) : Module("Softmax", message(axis)), axis_(axis) {}
LogSoftmax::LogSoftmax(int64_t axis) : Module("LogSoftmax", message(axis)), axis_(axis) {}

Tensor ReLU::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return relu(x); });
}
Tensor GELU::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return gelu(x); });
}
Tensor SiLU::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return silu(x); });
}
Tensor Sigmoid::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return sigmoid(x); });
}
Tensor Tanh::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return tanh(x); });
}
Tensor LeakyReLU::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return leaky_relu(x, options_.negative_slope); });
}
Tensor ELU::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return elu(x, options_.alpha); });
}
Tensor Softplus::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return softplus(x, options_.beta); });
}
Tensor Softmax::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return softmax(x, axis_); });
}
Tensor LogSoftmax::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] { return log_softmax(x, axis_); });
}

}  // namespace limpid::nn
