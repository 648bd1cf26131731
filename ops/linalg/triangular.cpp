// Triangular systems, and the Cholesky decomposition that makes them.
#include <cblas.h>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/linalg.hpp>
#include <limpid/ops/linalg/detail/by_division.hpp>
#include <limpid/ops/linalg/detail/lapack.hpp>
#include <limpid/ops/linalg/detail/matrices.hpp>
#include <limpid/ops/linalg/detail/triangle.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>
#include <limpid/ops/product/detail/matrices.hpp>

#include <cmath>
#include <type_traits>

namespace limpid {

using detail::throw_error;
using detail::transposed;

namespace {

struct TriangularNode final : Node {
  Saved a{*this, "a"}, x{*this, "the solution"};
  const char* op = nullptr;
  bool upper = false, unitriangular = false;
  const char* name() const noexcept override { return op; }
  // t x = b for the triangle t of a:  db = t^-T dx,  da_ij = -sum_k db_ik x_jk within the triangle, and 0 outside of it
  // and, where that counts as ones, on its diagonal.
  Tensors backward(const Tensors& dy) override {
    const Tensor b = detail::solve_triangle(op, transposed(a), dy[0], !upper, unitriangular);
    return {needs(0) ? neg(within(matmul(b, transposed(x)))) : Tensor(), b};
  }
  // dx = t^-1 (db - dt x)
  Tensors jvp(const Tensors& dx) override {
    Tensor right = dx[1];
    if (dx[0].defined()) {
      const Tensor moved = matmul(within(dx[0]), x);
      right = right.defined() ? sub(right, moved) : neg(moved);
    }
    return {detail::solve_triangle(op, a, right, upper, unitriangular)};
  }
  Tensor within(const Tensor& m) const { return upper ? triu(m, unitriangular) : tril(m, unitriangular ? -1 : 0); }
};

struct CholeskyNode final : Node {
  Saved l{*this, "the factor"};
  const char* name() const noexcept override { return "linalg::cholesky"; }
  // a = l l^T with da symmetric: dl = l phi(l^-1 da l^-T), where phi takes the lower triangle with half its diagonal.
  // So s = l^-T phi(l^T dl) l^-1 with dl's lower triangle, and da = (s + s^T) / 2.
  Tensors backward(const Tensors& dy) override {
    const Tensor factor = l, m = matmul(transposed(factor), tril(dy[0]));
    const Tensor phi = mul(add(tril(m), tril(m, -1)), 0.5);
    const auto solved = [&](const Tensor& b) {
      return detail::solve_triangle("linalg::cholesky", transposed(factor), b, true);
    };
    const Tensor s = solved(transposed(solved(phi)));
    return {mul(add(s, transposed(s)), 0.5)};
  }
};

}  // namespace

Tensor detail::solve_triangle(const char* op, const Tensor& a, const Tensor& b, bool upper, bool unitriangular,
                              const char* what) {
  const Shape lead = broadcast_shapes(lead_of(a), lead_of(b), op);
  const int64_t n = b.size(-2), k = b.size(-1), count = lead.numel();
  const Tensor triangles = readable(a.detach());
  Tensor y = empty(with(lead, {n, k}), b.dtype());
  copy_into(y, b.detach());
  if (y.numel() > 0)
    visit_float(y.dtype(), [&]<class T>(T) {
      const T* from = triangles.data<T>();
      T* x = y.data<T>();
      const MatrixSteps steps = matrix_steps(triangles);
      const Shape own_lead = lead_of(triangles);
      const Places own(triangles, own_lead), places(triangles, lead);
      if (!unitriangular)
        for (int64_t i = 0; i < own_lead.numel(); ++i)
          for (int64_t j = 0; j < n; ++j)
            if (from[own[i] + j * (steps.row + steps.col)] == 0)
              throw_error<ValueError>(op, ": expected ", what, ", got a 0 on the diagonal", place_of(own_lead, i));
      const bool by_rows = (n <= 1 || steps.col == 1) && (n <= 1 || steps.row >= n);
      const auto step = static_cast<blasint>(std::max<int64_t>(by_rows ? steps.row : steps.col, n));
      const auto call = [&](auto* trsm, int64_t i) {
        trsm(CblasRowMajor, CblasLeft, upper == by_rows ? CblasUpper : CblasLower, by_rows ? CblasNoTrans : CblasTrans,
             unitriangular ? CblasUnit : CblasNonUnit, static_cast<blasint>(n), static_cast<blasint>(k), T{1},
             from + places[i], step, x + i * n * k, static_cast<blasint>(k));
      };
      for_each_matrix(count, static_cast<double>(n * n) * static_cast<double>(k), 0, [&](int64_t i, std::byte*) {
        const by_division::View<const T> one{from + places[i], steps.row, steps.col};
        if (!unitriangular && by_division::suits(one, n))
          by_division::solve<T>({one, n, upper, false}, {x + i * n * k, k, 1}, k);
        else if constexpr (std::is_same_v<T, float>)
          call(cblas_strsm, i);
        else
          call(cblas_dtrsm, i);
      });
    });
  if (auto* node = record_as<TriangularNode>(op, y, a, b)) {
    node->a = a;
    if (node->needs(0)) node->x = y;
    node->upper = upper;
    node->unitriangular = unitriangular;
  }
  return y;
}

Tensor linalg::triangular_solve(const Tensor& a, const Tensor& b, const TriangularOptions& options) {
  constexpr const char* op = "linalg::triangular_solve";
  const detail::OpScope scope(op);
  const auto& [upper, left, unitriangular] = options;
  detail::require_square(op, "a", a);
  const Tensor right = detail::right_side(op, a.size(-1), a, b, left);
  // x a = b is a^T x^T = b^T.
  const Tensor x = detail::solve_triangle(op, left ? a : transposed(a), right, upper == left, unitriangular);
  return detail::like_right_side(x, b, left);
}

Tensor linalg::cholesky(const Tensor& a, bool upper) {
  constexpr const char* op = "linalg::cholesky";
  const detail::OpScope scope(op);
  detail::require_square(op, "a", a);
  if (upper) return transposed(cholesky(transposed(a)));
  const Shape lead = detail::lead_of(a);
  const int64_t n = a.size(-1), count = lead.numel();
  Tensor y = detail::row_major(a);
  std::vector<int> info(static_cast<std::size_t>(count), 0);
  if (n > 0)
    detail::visit_float(a.dtype(), [&, first = info.data()]<class T>(T) {
      T* l = y.data<T>();
      detail::for_each_matrix(count, std::pow(static_cast<double>(n), 3) / 3, 0, [=](int64_t i, std::byte*) {
        T* one = l + i * n * n;
        first[i] = detail::lapack::potrf(static_cast<int>(n), one);
        for (int64_t row = 0; row < n; ++row) {
          if (first[i] == 0 && !(one[row * n + row] > 0)) first[i] = static_cast<int>(row) + 1;  // NaN
          std::fill(one + row * n + row + 1, one + (row + 1) * n, T{0});
        }
      });
    });
  if (const int64_t i = detail::first_set(info); i >= 0) {
    const int order = info[static_cast<std::size_t>(i)];
    throw_error<ValueError>(op, ": expected positive definite matrices, got one", detail::place_of(lead, i),
                            " whose first ", order,
                            order == 1 ? " row and column are not" : " rows and columns are not");
  }
  if (auto* node = record<CholeskyNode>(y, a)) node->l = y;
  return y;
}

Tensor linalg::cholesky_solve(const Tensor& b, const Tensor& factor, bool upper) {
  constexpr const char* op = "linalg::cholesky_solve";
  detail::require_square(op, "factor", factor);
  const Tensor right = detail::right_side(op, factor.size(-1), factor, b, true, "factor");
  // a = l l^T with l = factor, or its transpose.
  const Tensor l = upper ? transposed(factor) : factor;
  const Tensor x = detail::solve_triangle(op, transposed(l), detail::solve_triangle(op, l, right, false), true);
  return detail::like_right_side(x, b);
}

}  // namespace limpid
