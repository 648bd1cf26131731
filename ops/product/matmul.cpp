#include <limpid/ops/product.hpp>

#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/ops/detail/float_operands.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product/detail/blas.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid {

using detail::throw_error;

namespace {

// The axes before the last two.
Shape leading(const Shape& shape) { return Shape(shape.begin(), shape.end() - 2); }

detail::MatrixSteps matrix_steps(const Tensor& x) {
  const Strides& s = x.strides();
  return {s[s.size() - 2], s[s.size() - 1]};
}

// (..., n, k) as one (rows, k) matrix.
Tensor as_rows(const Tensor& x) {
  if (x.dim() == 2) return x;
  const int64_t k = x.size(-1);
  return reshape(x, {k ? x.numel() / k : leading(x.shape()).numel() * x.size(-2), k});
}

// x itself where products can read its matrices in place, else a row-major copy.
Tensor readable(const Tensor& x) {
  return detail::blas_reads(x.size(-2), x.size(-1), matrix_steps(x)) ? x : detail::as_contiguous(x);
}

// y (..., n, m) = a b, or y += a b where accumulate, y row-major, leading axes of a and b broadcast to y's.
template <class T>
void multiply(const Tensor& a_any, const Tensor& b_any, const Tensor& y, bool accumulate = false) {
  // One matrix b under a batch that lies in memory as one tall matrix is one product.
  const bool tall = b_any.dim() == 2 && a_any.dim() > 2 && a_any.is_contiguous();
  const int64_t m = y.size(-1), k = a_any.size(-1), n = tall ? y.numel() / m : y.size(-2);
  const int64_t batch = y.numel() / (n * m);
  const Tensor a = readable(a_any), b = readable(b_any);
  const detail::MatrixSteps a_steps = tall ? detail::MatrixSteps{k, 1} : matrix_steps(a), b_steps = matrix_steps(b);
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* py = y.data<T>();
  if (batch == 1) return detail::gemm(n, m, k, pa, a_steps, pb, b_steps, py, m, accumulate);

  const Shape lead = leading(y.shape());
  const auto lead_strides = [&](const Tensor& x) {
    return detail::broadcast_strides(leading(x.shape()), leading(x.strides()), lead);
  };
  const Strides a_lead = lead_strides(a), b_lead = lead_strides(b);
  const auto one = [&](int64_t i) {
    int64_t a_at = 0, b_at = 0, rest = i;
    for (std::size_t axis = lead.size(); axis-- > 0; rest /= lead[axis]) {
      a_at += rest % lead[axis] * a_lead[axis];
      b_at += rest % lead[axis] * b_lead[axis];
    }
    detail::gemm(n, m, k, pa + a_at, a_steps, pb + b_at, b_steps, py + i * n * m, m, accumulate);
  };
  // Many matrices are shared out over the threads; for few, each product is.
  constexpr int64_t grain = 65536;
  if (batch >= get_num_threads())
    parallel_for(batch, std::max<int64_t>(grain / std::max<int64_t>(n * m * k, 1), 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) one(i);
    });
  else
    for (int64_t i = 0; i < batch; ++i) one(i);
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
      dx[1] = one_matrix && left.dim() == g.dim() ? matmul(transpose(as_rows(left), 0, 1), as_rows(g))
                                                  : matmul(transpose(left, -2, -1), g);
    }
    return dx;
  }
  // dy = da b + a db.
  Tensors jvp(const Tensors& dx) override {
    if (!dx[0].defined()) return {matmul(a, dx[1])};
    Tensor dy = matmul(dx[0], b);
    if (!dx[1].defined()) return {dy};
    if (is_grad_enabled()) return {add(dy, matmul(a, dx[1]))};
    if (dy.numel() != 0)
      dy.dtype() == float32 ? multiply<float>(a, dx[1], dy, true) : multiply<double>(a, dx[1], dy, true);
    return {dy};
  }
};

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
  const DType dtype = detail::common_float_dtype("matmul", {&a, &b});
  if (a.dtype() != b.dtype()) return matmul(detail::promoted(a, dtype), detail::promoted(b, dtype));
  if (a.dim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), b.dim() == 1 ? 0 : -2);
  if (b.dim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);

  Shape shape;
  if (a.dim() > 2 || b.dim() > 2) shape = broadcast_shapes(leading(a.shape()), leading(b.shape()), "matmul");
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor y = empty(shape, dtype);
  if (y.numel() != 0) dtype == float32 ? multiply<float>(a, b, y) : multiply<double>(a, b, y);
  if (auto* node = record<MatmulNode>(y, a, b)) {
    if (node->needs(0)) node->b = b;
    if (node->needs(1)) node->a = a;
  }
  return y;
}

}  // namespace limpid
