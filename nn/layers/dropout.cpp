#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/nn/layers/dropout.hpp>
#include <limpid/ops/elementwise.hpp>

namespace limpid::nn {

Dropout::Dropout(double p, const DropoutOptions& options)
    : Module("Dropout", detail::text(p)),
      p_(p),
      options_(options) {
  if (!(p >= 0 && p <= 1))
    limpid::detail::throw_error<ValueError>("Dropout: expected a probability from 0 to 1, got ", p);
}

Tensor Dropout::operator()(const Tensor& x) const {
  if (!is_training() || p_ == 0) return x;
  const double scale = p_ < 1 ? 1 / (1 - p_) : 0;
  Generator& generator = detail::generator_or_default(options_.generator);
  return where(bernoulli(1 - p_, x.shape(), generator), mul(x, scale), 0);
}

}  // namespace limpid::nn
