#include <limpid/nn/detail/drawing.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
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
    const detail::Drawing drawing(options_.generator);
    return where(bernoulli(1 - p_, x.shape(), detail::generator_or_default(options_.generator)), mul(x, scale), 0);
  });
}

}  // namespace limpid::nn
