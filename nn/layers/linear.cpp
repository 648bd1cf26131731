#include <limpid/nn/layers/linear.hpp>

#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/shaping.hpp>

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
      bias(parameter("bias", options.bias ? detail::uniform_bias(weight, out, options.generator) : Tensor())) {
  detail::set_work(*this, detail::Work::per_output);
}

Tensor Linear::operator()(const Tensor& x_in) const {
  return detail::call_within(*this, x_in, [&](const Tensor& x) {
    try {
      return linear(x, weight, bias);
    } catch (const ShapeError&) {
      if (x.dim() > 0 && x.size(-1) == weight.size(1)) throw;
      limpid::detail::throw_error<ShapeError>("Linear: expected x of shape (..., ", weight.size(1), "), got ",
                                              x.shape());
    }
  });
}

namespace {

Shape bilinear_shape(int64_t in1, int64_t in2, int64_t out) {
  detail::expect("Bilinear", {{"in1 features", in1, detail::count},
                              {"in2 features", in2, detail::count},
                              {"out features", out, detail::count}});
  return {out, in1, in2};
}

}  // namespace

Bilinear::Bilinear(int64_t in1, int64_t in2, int64_t out, const BilinearOptions& options)
    : Bilinear(in1, in2, out, options, detail::Drawing(options.generator)) {}
Bilinear::Bilinear(int64_t in1, int64_t in2, int64_t out, const BilinearOptions& options, const detail::Drawing&)
    : Module("Bilinear", message(in1, ", ", in2, ", ", out, options.bias ? "" : ", bias = false")),
      weight(parameter("weight", detail::uniform_within(bilinear_shape(in1, in2, out), in1, options.generator))),
      bias(parameter("bias", options.bias ? detail::uniform_within({out}, in1, options.generator) : Tensor())) {
  detail::set_work(*this, detail::Work::per_output);
}

Tensor Bilinear::operator()(const Tensor& x1_in, const Tensor& x2_in) const {
  return detail::call_within(*this, std::tie(x1_in, x2_in), [&](const Tensor& x1, const Tensor& x2) {
    limpid::detail::require_defined("Bilinear", "x1", x1);
    limpid::detail::require_defined("Bilinear", "x2", x2);
    const int64_t out = weight.size(0), in1 = weight.size(1), in2 = weight.size(2);
    const auto leading = [](const Tensor& x) {
      return x.dim() == 0 ? Shape() : Shape(x.shape().begin(), x.shape().end() - 1);
    };
    if (x1.dim() == 0 || x1.size(-1) != in1)
      limpid::detail::throw_error<ShapeError>("Bilinear: expected x1 of shape (..., ", in1, "), got ", x1.shape());
    Shape shape = leading(x1);
    const Shape rows = shape;
    shape.push_back(in2);
    if (x2.shape() != shape)
      limpid::detail::throw_error<ShapeError>("Bilinear: expected x2 of shape ", shape, " beside x1 of shape ",
                                              x1.shape(), ", got ", x2.shape());
    const Tensor w = weight, b = bias;
    const DType dtype = limpid::detail::require_one_floating_dtype(
        "Bilinear", {{"x1", &x1}, {"x2", &x2}, {"weight", &w}, {"bias", &b}});
    // Two products and a sum, of which half precision is rounded once.
    const auto wide = [=](const Tensor& x) { return is_half(dtype) ? x.to(float32) : x; };
    // x1 meets all W_o in one product, (rows, out in2), and each row of that meets its x2.
    const int64_t count = rows.numel();
    const Tensor all = linear(wide(reshape(x1, {count, in1})), reshape(permute(wide(w), {0, 2, 1}), {out * in2, in1}));
    Tensor y = squeeze(matmul(reshape(all, {count, out, in2}), wide(reshape(x2, {count, in2, 1}))), 2);
    if (b.defined()) y = y + wide(b);
    shape.back() = out;
    return reshape(y.to(dtype), shape);
  });
}

}  // namespace limpid::nn
