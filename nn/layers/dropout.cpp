#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/nn/layers/dropout.hpp>
#include <limpid/ops/elementwise.hpp>

namespace limpid::nn {

Dropout::Dropout(double p, const DropoutOptions& options)
    : Module("Dropout", detail::text(p)),
      p_(p),
      options_(options) {
  detail::expect("Dropout", {{"p", p, detail::fraction}});
  uses_training();
}

Tensor Dropout::operator()(const Tensor& x) const {
  if (!is_training() || p_ == 0) return x;
  return detail::call_within(*this, [&] {
    const double scale = p_ < 1 ? 1 / (1 - p_) : 0;
    Generator& generator = detail::generator_or_default(options_.generator);
    Generator drawn = generator;  // one that fails has drawn nothing
    const Tensor y = where(bernoulli(1 - p_, x.shape(), drawn), mul(x, scale), 0);
    generator = drawn;
    return y;
  });
}

}  // namespace limpid::nn
