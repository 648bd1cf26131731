#include <limpid/ops/product.hpp>

#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product/detail/bfloat16.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>
#include <limpid/ops/product/detail/matrices.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <type_traits>

namespace limpid {

using detail::throw_error;

namespace {

// The axes before the last two.
Shape leading(const Shape& shape) { return Shape(shape.begin(), shape.end() - 2); }

// y (..., n, m) = a b, or y += a b where accumulate, y row-major, leading axes of a and b broadcast to y's.
template <class T>
void multiply_as(const Tensor& a_any, const Tensor& b_any, const Tensor& y, bool accumulate) {
  // One matrix b under a batch that lies in memory as one tall matrix is one product.
  const bool tall = b_any.dim() == 2 && a_any.dim() > 2 && a_any.is_contiguous();
  const int64_t m = y.size(-1), k = a_any.size(-1), n = tall ? y.numel() / m : y.size(-2);
  const int64_t batch = y.numel() / (n * m);
  const Tensor a = detail::readable(a_any), b = detail::readable(b_any);
  const detail::Product<T> first{
      .n = n,
      .m = m,
      .k = k,
      .a = {a.data<T>(), tall ? detail::MatrixSteps{k, 1} : detail::matrix_steps(a)},
      .b = {b.data<T>(), detail::matrix_steps(b)},
      .y = y.data<T>(),
      .y_row = m,
      .accumulate = accumulate,
  };
  if (batch == 1) return detail::gemm(first);

  const Shape lead = leading(y.shape());
  const auto lead_strides = [&](const Tensor& x) {
    return detail::broadcast_strides(leading(x.shape()), leading(x.strides()), lead);
  };
  const Strides a_lead = lead_strides(a), b_lead = lead_strides(b);
  const auto one = [&](int64_t i) {
    detail::Product<T> product = first;
    int64_t rest = i;
    for (std::size_t axis = lead.size(); axis-- > 0; rest /= lead[axis]) {
      product.a.data += rest % lead[axis] * a_lead[axis];
      product.b.data += rest % lead[axis] * b_lead[axis];
    }
    product.y += i * n * m;
    detail::gemm(product);
  };
  // Many matrices are shared out over the threads; for few, each product is.
  constexpr int64_t grain = 65536;
  const auto some = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) one(i);
  };
  if (batch < get_num_threads()) return some(0, batch);
  const int64_t share = std::max<int64_t>(grain / std::max<int64_t>(n * m * k, 1), 1);
  if constexpr (std::is_same_v<T, BFloat16>)
    parallel_for_throwing(batch, share, some);
  else
    parallel_for(batch, share, some);
}

// bfloat16 only where the processor multiplies it, and not to accumulate.
void multiply(const Tensor& a, const Tensor& b, const Tensor& y, bool accumulate = false) {
  if (y.numel() == 0) return;
  if (y.dtype() == bfloat16) return multiply_as<BFloat16>(a, b, y, false);
  detail::visit_float(y.dtype(), [&]<class T>(T) { multiply_as<T>(a, b, y, accumulate); });
}

struct MatmulNode final : Node {
  Saved a{*this, "a"}, b{*this, "b"};
  const char* name() const noexcept override { return "matmul"; }
  // y_lij = sum_p a_lip b_lpj over leading indices l:
  //   da_lip = sum_j dy_lij b_lpj,  db_lpj = sum_i a_lip dy_lij  (the engine sums over an l that was broadcast)
  Tensors backward(const Tensors& dy) override {
    Tensors dx(2);
    if (needs(0)) dx[0] = matmul(dy[0], transpose(b, -2, -1));
    if (needs(1)) {
      // One matrix under a batch: its sum over l and i is a single product.
      const Tensor left = a, g = dy[0];
      const bool one_matrix = inputs()[1].node->outputs()[inputs()[1].index].shape().dim() == 2;
      dx[1] = one_matrix && left.dim() == g.dim() ? matmul(transpose(detail::as_rows(left), 0, 1), detail::as_rows(g))
                                                  : matmul(transpose(left, -2, -1), g);
    }
    return dx;
  }
  // dy = da b + a db.
  Tensors jvp(const Tensors& dx) override {
    if (!dx[0].defined()) return {matmul(a, dx[1])};
    if (!dx[1].defined()) return {matmul(dx[0], b)};
    if (const DType dtype = dx[0].dtype(); is_half(dtype)) {  // two sums, rounded as one
      const auto wide = [](const Tensor& x) { return x.to(float32); };
      return {add(matmul(wide(dx[0]), wide(b)), matmul(wide(a), wide(dx[1]))).to(dtype)};
    }
    Tensor dy = matmul(dx[0], b);
    if (is_grad_enabled()) return {add(dy, matmul(a, dx[1]))};
    multiply(a, dx[1], dy, true);
    return {dy};
  }
};

// Whether operands of half precision are multiplied in their own dtype: where the processor does so, and every gradient
// is one product as well, for one that is summed over a batch is rounded after that. Many small matrices are converted
// together.
bool multiplies_as_they_are(const Tensor& a, const Tensor& b) {
  if (a.dtype() != bfloat16 || !detail::multiplies_bfloat16()) return false;
  if (b.dim() <= 2) return true;
  constexpr double least_work = 0x1p16;
  const double rows = static_cast<double>(b.size(-2)), cols = static_cast<double>(b.size(-1));
  return a.dim() > 2 && leading(a.shape()) == leading(b.shape()) &&
         static_cast<double>(a.size(-2)) * rows * cols >= least_work;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  const detail::OpScope scope("matmul");
  detail::require_defined("matmul", "a", a);
  detail::require_defined("matmul", "b", b);
  if (a.dim() == 0 || b.dim() == 0)
    throw_error<ShapeError>("matmul: expected operands of rank 1 or more, got ", a.shape(), " and ", b.shape());
  const int64_t k = b.size(b.dim() == 1 ? 0 : -2);
  if (a.size(-1) != k)
    throw_error<ShapeError>("matmul: expected (..., n, k) and (..., k, m), got ", a.shape(), " and ", b.shape());
  const DType dtype = detail::require_one_floating_dtype("matmul", {{"a", &a}, {"b", &b}});
  if (is_half(dtype) && !multiplies_as_they_are(a, b)) return matmul(a.to(float32), b.to(float32)).to(dtype);
  if (a.dim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), b.dim() == 1 ? 0 : -2);
  if (b.dim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);

  Shape shape;
  if (a.dim() > 2 || b.dim() > 2) shape = broadcast_shapes(leading(a.shape()), leading(b.shape()), "matmul");
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor y = empty(shape, dtype);
  multiply(a, b, y);
  if (auto* node = record<MatmulNode>(y, a, b)) {
    if (node->needs(0)) node->b = b;
    if (node->needs(1)) node->a = a;
  }
  return y;
}

Tensor Tensor::matmul(const Tensor& other) const { return limpid::matmul(*this, other); }

}  // namespace limpid
