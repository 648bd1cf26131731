#include <limpid/nn/layers/activation.hpp>

#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

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
CELU::CELU(const CELUOptions& options) : Module("CELU", detail::text(options.alpha)), options_(options) {
  const auto& [alpha] = options;
  detail::expect("CELU", {{"alpha", alpha, detail::above_0}});
}
Hardtanh::Hardtanh(const HardtanhOptions& options)
    : Module("Hardtanh", message(detail::text(options.min_val), ", ", detail::text(options.max_val))),
      options_(options) {
  const auto& [min_val, max_val] = options;
  detail::expect("Hardtanh", {{"min_val", min_val, detail::within_float},
                              {"max_val", max_val, {min_val, detail::within_float.high, true}}});
}
PReLU::PReLU(const PReLUOptions& options)
    : Module("PReLU", message(options.num_parameters)),
      weight(parameter("weight", [&] {
        const auto& [num_parameters, init] = options;
        detail::expect("PReLU",
                       {{"num_parameters", num_parameters, detail::count}, {"init", init, detail::within_float}});
        return full({num_parameters}, init);
      }())) {}
GLU::GLU(int64_t axis) : Module("GLU", message(axis)), axis_(axis) {}
GELU::GELU(const GELUOptions& options) : Module("GELU", options.approximate ? "approximate" : ""), options_(options) {}
Softplus::Softplus(const SoftplusOptions& options) : Module("Softplus", detail::text(options.beta)), options_(options) {
  const auto& [beta] = options;
  detail::expect("Softplus", {{"beta", beta, detail::above_0}});
}
Softmax::Softmax(int64_t axis) : Module("Softmax", message(axis)), axis_(axis) {}
LogSoftmax::LogSoftmax(int64_t axis) : Module("LogSoftmax", message(axis)), axis_(axis) {}

Tensor ReLU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return relu(x); });
}
Tensor GELU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in,
                             [&](const Tensor& x) { return options_.approximate ? gelu_tanh(x) : gelu(x); });
}
Tensor SiLU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return silu(x); });
}
Tensor Sigmoid::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return sigmoid(x); });
}
Tensor Tanh::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return tanh(x); });
}
Tensor LeakyReLU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return leaky_relu(x, options_.negative_slope); });
}
Tensor ELU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return elu(x, options_.alpha); });
}
Tensor ReLU6::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return relu6(x); });
}
Tensor Hardswish::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return hardswish(x); });
}
Tensor Hardsigmoid::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return hardsigmoid(x); });
}
Tensor Mish::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return mish(x); });
}
Tensor SELU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return selu(x); });
}
Tensor Softsign::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return softsign(x); });
}
Tensor LogSigmoid::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return logsigmoid(x); });
}
Tensor CELU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return celu(x, options_.alpha); });
}
Tensor Hardtanh::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in,
                             [&](const Tensor& x) { return hardtanh(x, options_.min_val, options_.max_val); });
}
Tensor PReLU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return prelu(x, weight); });
}
Tensor GLU::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return glu(x, axis_); });
}
Tensor Softplus::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return softplus(x, options_.beta); });
}
Tensor Softmax::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return softmax(x, axis_); });
}
Tensor LogSoftmax::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) { return log_softmax(x, axis_); });
}

}  // namespace limpid::nn
