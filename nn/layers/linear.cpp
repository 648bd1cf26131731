#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/nn/layers/linear.hpp>
#include <limpid/ops/product.hpp>

namespace limpid::nn {

using limpid::detail::message;

namespace {

Shape weight_shape(int64_t in, int64_t out) {
  detail::expect("Linear", {{"in features", in, detail::count}, {"out features", out, detail::count}});
  return {out, in};
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, const LinearOptions& options)
    : Linear(in, out, options, detail::Drawing(options.generator)) {}
Linear::Linear(int64_t in, int64_t out, const LinearOptions& options, const detail::Drawing&)
    : Module("Linear", message(in, ", ", out, options.bias ? "" : ", bias = false")),
      weight(parameter("weight", detail::uniform_weight(weight_shape(in, out), options.generator))),
      bias(parameter("bias", options.bias ? detail::uniform_bias(weight, out, options.generator) : Tensor())) {}

Tensor Linear::operator()(const Tensor& x) const {
  return detail::call_within(*this, [&] {
    try {
      return linear(x, weight, bias);
    } catch (const ShapeError&) {
      if (x.dim() > 0 && x.size(-1) == weight.size(1)) throw;
      limpid::detail::throw_error<ShapeError>("Linear: expected x of shape (..., ", weight.size(1), "), got ",
                                              x.shape());
    }
  });
}

}  // namespace limpid::nn
