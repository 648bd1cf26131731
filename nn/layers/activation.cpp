#include <limpid/nn/layers/activation.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>

namespace limpid::nn {

using limpid::detail::message;

LeakyReLU::LeakyReLU(const LeakyReLUOptions& options)
    : Module("LeakyReLU", detail::text(options.negative_slope)),
      options_(options) {}
ELU::ELU(const ELUOptions& options) : Module("ELU", detail::text(options.alpha)), options_(options) {}
Softplus::Softplus(const SoftplusOptions& options)
    : Module("Softplus", detail::text(options.beta)),
      options_(options) {}
Softmax::Softmax(int64_t axis) : Module("Softmax", message(axis)), axis_(axis) {}
LogSoftmax::LogSoftmax(int64_t axis) : Module("LogSoftmax", message(axis)), axis_(axis) {}

}  // namespace limpid::nn
