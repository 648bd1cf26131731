// The op table's rows of linear algebra.
#include <limpid/tests/ops/rows/rows.hpp>

namespace rows {

namespace {

// Far from singular, symmetric, and positive definite ones.
Tensor regular(const Tensor& x) { return x + eye(x.size(-1), x.dtype()) * 5.0; }
Tensor symmetric(const Tensor& x) { return x + transpose(x, -2, -1); }
Tensor definite(const Tensor& x) { return matmul(x, transpose(x, -2, -1)) + eye(x.size(-1), x.dtype()); }

}  // namespace

Rows linear_algebra() {
  const Sample a = within({2, 3, 3}, -1, 1), b = real({3, 2}), tall = within({2, 4, 3}, -1, 1);
  Rows rows{
      {"inv", "", OP(linalg::inv(regular(x[0]))), {a}, {2, 3, 3}},
      {"solve", "", OP(linalg::solve(regular(x[0]), x[1])), {a, b}, {2, 3, 2}},
      {"solve", "vector", OP(linalg::solve(regular(x[0]), x[1])), {a, real({3})}, {2, 3}},
      {"solve", "right", OP(linalg::solve(regular(x[0]), x[1], false)), {a, real({2, 2, 3})}, {2, 2, 3}},
      {"det", "", OP(linalg::det(x[0] + 0.5 * eye(3, x[0].dtype()))), {a}, {2}},
      {"slogdet", "", OP(linalg::slogdet(regular(x[0]))), {a}, {2}},
      {"cholesky", "", OP(linalg::cholesky(definite(x[0]))), {a}, {2, 3, 3}},
      {"cholesky", "upper", OP(linalg::cholesky(definite(x[0]), true)), {a}, {2, 3, 3}},
      {"cholesky_solve", "", OP(linalg::cholesky_solve(x[0], regular(x[1]))), {b, a}, {2, 3, 2}},
      {"triangular_solve", "", OP(linalg::triangular_solve(regular(x[0]), x[1], {})), {a, b}, {2, 3, 2}},
      {"triangular_solve",
       "right, upper, ones",
       OP(linalg::triangular_solve(x[0], x[1], {.upper = true, .left = false, .unitriangular = true})),
       {a, real({2, 3})},
       {2, 2, 3}},
      {"qr", "", OP(linalg::qr(x[0])), {tall}, {2, 4, 3}},
      {"qr", "wide", OP(linalg::qr(transpose(x[0], 1, 2))), {tall}, {2, 3, 3}},
      {"eigh", "", OP(linalg::eigh(symmetric(x[0]))), {a}, {2, 3}},
      {"eigvalsh", "", OP(linalg::eigvalsh(symmetric(x[0]))), {a}, {2, 3}},
      {"svd", "", OP(linalg::svd(x[0], false)), {tall}, {2, 3}},
      {"svdvals", "", OP(linalg::svdvals(transpose(x[0], 1, 2))), {tall}, {2, 3}},
      {"pinv", "", OP(linalg::pinv(x[0])), {tall}, {2, 3, 4}},
      {"lstsq", "", OP(linalg::lstsq(x[0], x[1])), {tall, real({4, 2})}, {2, 3, 2}},
  };
  for (OpRow& r : rows) r.of_library = true;
  return rows;
}

}  // namespace rows
