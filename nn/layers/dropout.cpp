#include <limpid/nn/layers/dropout.hpp>

#include <limpid/nn/detail/drawing.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>

namespace limpid::nn {

Dropout::Dropout(double p, const DropoutOptions& options)
    : Module("Dropout", detail::text(p)),
      p_(p),
      options_(options) {
  detail::expect("Dropout", {{"p", p, detail::fraction}});
  uses_training();
}

namespace {

// x with what is left out together in shape, to which x broadcasts.
Tensor dropped(const Tensor& x, const Shape& shape, double p, Generator* generator) {
  const double scale = p < 1 ? 1 / (1 - p) : 0;
  const detail::CallDrawing drawing(generator);
  return where(bernoulli(1 - p, shape, detail::generator_or_default(generator)), mul(x, scale), 0);
}

}  // namespace

Tensor Dropout::operator()(const Tensor& x_in) const {
  const bool drops = detail::trains(*this) && p_ != 0;
  if (!drops && x_in.defined() && !detail::is_observed(detail::Access::state(*this))) return x_in;
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    limpid::detail::require_defined("Dropout", "x", x);
    if (!drops) return x;
    return dropped(x, x.shape(), p_, options_.generator);
  });
}

ChannelDropout::ChannelDropout(const char* type, int64_t axes, double p, const DropoutOptions& options)
    : Module(type, detail::text(p)),
      type_(type),
      axes_(axes),
      p_(p),
      options_(options) {
  detail::expect(type, {{"p", p, detail::fraction}});
  uses_training();
}

Tensor ChannelDropout::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    limpid::detail::require_defined(type_, "x", x);
    const int64_t channels = x.dim() - axes_;  // axes up to that of the channels
    if (channels != 1 && channels != 2)
      limpid::detail::throw_error<ShapeError>(type_, ": expected x of shape ",
                                              limpid::detail::shape_in_words("(N, C, ", "", axes_), " or ",
                                              limpid::detail::shape_in_words("(C, ", "", axes_), ", got ", x.shape());
    if (!detail::trains(*this) || p_ == 0) return x;
    Shape shape = x.shape();
    for (int64_t a = channels; a < x.dim(); ++a) shape[static_cast<std::size_t>(a)] = 1;
    return dropped(x, shape, p_, options_.generator);
  });
}

}  // namespace limpid::nn
