#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/product/detail/bfloat16.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>
#include <limpid/ops/product/detail/matrices.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <type_traits>

namespace limpid {

using detail::throw_error;

namespace {

// y = x weight^T + bias, or y += x weight^T where accumulate, y row-major.
template <class T>
void multiply_as(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y, bool accumulate) {
  const int64_t rows = detail::count_rows(x), in = x.size(-1), out = weight.size(0);
  const Tensor left = x.dim() == 2 ? detail::readable(x) : detail::as_contiguous(x), right = detail::readable(weight);
  T* py = y.data<T>();
  const auto [w_row, w_col] = detail::matrix_steps(right);
  const detail::Product<T> product{
      .n = rows,
      .m = out,
      .k = in,
      .a = {left.data<T>(), x.dim() == 2 ? detail::matrix_steps(left) : detail::MatrixSteps{in, 1}},
      .b = {right.data<T>(), {w_col, w_row}},
      .y = py,
      .y_row = out,
      .accumulate = accumulate || bias.defined(),
  };
  if constexpr (std::is_same_v<T, BFloat16>) {
    const Tensor dense = bias.defined() ? detail::as_contiguous(bias) : bias;
    return detail::gemm(product, bias.defined() ? dense.data<T>() : nullptr);
  } else if (bias.defined()) {
    const T* pb = bias.data<T>();
    const int64_t step = bias.strides()[0];
    for (int64_t j = 0; j < out; ++j) py[j] = pb[j * step];
    for (int64_t i = 1; i < rows; ++i) std::copy_n(py, out, py + i * out);
  }
  if constexpr (!std::is_same_v<T, BFloat16>) detail::gemm(product);
}

// bfloat16 only where the processor multiplies it, and not to accumulate.
void multiply_add(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y, bool accumulate = false) {
  if (y.numel() == 0) return;
  if (y.dtype() == bfloat16) return multiply_as<BFloat16>(x, weight, bias, y, false);
  detail::visit_float(y.dtype(), [&]<class T>(T) { multiply_as<T>(x, weight, bias, y, accumulate); });
}

// sum_r a_ro b_ri. Where nothing is recorded, without the view and the checks that a recorded product needs.
Tensor rows_product(const Tensor& a_any, const Tensor& b_any) {
  if (is_grad_enabled() || is_half(a_any.dtype())) return matmul(transpose(a_any, 0, 1), b_any);
  const Tensor a = detail::readable(a_any), b = detail::readable(b_any);
  const Tensor y = empty({a.size(1), b.size(1)}, a.dtype());
  const auto [a_row, a_col] = detail::matrix_steps(a);
  if (y.numel() > 0)
    detail::visit_float(y.dtype(), [&, row = a_row, col = a_col]<class T>(T) {
      detail::gemm<T>({
          .n = y.size(0),
          .m = y.size(1),
          .k = a.size(0),
          .a = {a.data<T>(), {col, row}},
          .b = {b.data<T>(), detail::matrix_steps(b)},
          .y = y.data<T>(),
          .y_row = y.size(1),
      });
    });
  return y;
}

struct LinearNode final : Node {
  Saved x{*this, "x"}, weight{*this, "weight"};
  const char* name() const noexcept override { return "linear"; }
  // y_ro = sum_i x_ri weight_oi + bias_o over rows r:
  //   dx_ri = sum_o dy_ro weight_oi,  dweight_oi = sum_r dy_ro x_ri,  dbias_o = sum_r dy_ro
  Tensors backward(const Tensors& dy) override {
    Tensors dx(3);
    if (needs(0)) dx[0] = matmul(dy[0], weight);
    if (!needs(1) && !needs(2)) return dx;
    const Tensor rows = detail::as_rows(dy[0]);
    if (needs(1)) dx[1] = rows_product(rows, detail::as_rows(x));
    if (needs(2)) dx[2] = sum(rows, 0);
    return dx;
  }
  // dy = dx weight^T + x dweight^T + dbias.
  Tensors jvp(const Tensors& dx) override {
    if (!dx[0].defined()) return {dx[1].defined() ? linear(x, dx[1], dx[2]) : dx[2]};
    if (!dx[1].defined()) return {linear(dx[0], weight, dx[2])};
    if (const DType dtype = dx[0].dtype(); is_half(dtype)) {  // two sums, rounded as one
      const auto wide = [](const Tensor& t) { return t.defined() ? t.to(float32) : t; };
      return {add(linear(wide(dx[0]), wide(weight), wide(dx[2])), linear(wide(x), wide(dx[1]))).to(dtype)};
    }
    Tensor dy = linear(dx[0], weight, dx[2]);
    if (is_grad_enabled()) return {add(dy, linear(x, dx[1]))};
    multiply_add(x, dx[1], {}, dy, true);
    return {dy};
  }
};

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const detail::OpScope scope("linear");
  detail::require_defined("linear", "x", x);
  detail::require_defined("linear", "weight", weight);
  if (x.dim() < 1) throw_error<ShapeError>("linear: expected x of rank 1 or more, got shape ", x.shape());
  if (weight.dim() != 2) throw_error<ShapeError>("linear: expected weight of shape (out, in), got ", weight.shape());
  if (weight.size(1) != x.size(-1))
    throw_error<ShapeError>("linear: expected x of shape (..., ", weight.size(1), ") for weight of shape ",
                            weight.shape(), ", got ", x.shape());
  if (bias.defined() && bias.shape() != Shape{weight.size(0)})
    throw_error<ShapeError>("linear: expected bias of shape ", Shape{weight.size(0)}, ", got ", bias.shape());
  const DType dtype = detail::require_one_floating_dtype("linear", {{"x", &x}, {"weight", &weight}, {"bias", &bias}});
  if (is_half(dtype) && !(dtype == bfloat16 && detail::multiplies_bfloat16())) {
    const Tensor wide_bias = bias.defined() ? bias.to(float32) : bias;
    return linear(x.to(float32), weight.to(float32), wide_bias).to(dtype);
  }

  Shape shape = x.shape();
  shape.back() = weight.size(0);
  Tensor y = empty(shape, dtype);
  multiply_add(x, weight, bias, y);
  if (auto* node = record<LinearNode>(y, x, weight, bias)) {
    if (node->needs(0)) node->weight = weight;
    if (node->needs(1)) node->x = x;
  }
  return y;
}

}  // namespace limpid
