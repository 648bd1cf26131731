// Inverses and solutions by the LU decomposition.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/linalg.hpp>
#include <limpid/ops/linalg/detail/by_division.hpp>
#include <limpid/ops/linalg/detail/lapack.hpp>
#include <limpid/ops/linalg/detail/lu.hpp>
#include <limpid/ops/linalg/detail/matrices.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::throw_error;
using detail::transposed;

namespace detail {

Lu lu_of(const Tensor& a) {
  const Shape lead = lead_of(a);
  const int64_t n = a.size(-1), count = lead.numel();
  Lu lu{row_major(a), empty(with(lead, {n}), int32), std::vector<int>(static_cast<std::size_t>(count), 0)};
  if (n == 0) return lu;
  int* info = lu.info.data();
  visit_float(a.dtype(), [&]<class T>(T) {
    const T* from = a.data<T>();
    T* factors = lu.factors.data<T>();
    auto* pivots = lu.pivots.data<int32_t>();
    const Places places(a, lead);
    const int64_t row = a.strides()[lead.size()], col = a.strides()[lead.size() + 1];
    for_each_matrix(count, std::pow(static_cast<double>(n), 3), 0, [&, from, factors, pivots](int64_t i, std::byte*) {
      const by_division::View<T> one{factors + i * n * n, 1, n};
      info[i] = lapack::getrf(static_cast<int>(n), one.data, pivots + i * n);
      if (!by_division::suits(one, n)) return;
      const by_division::View<const T> of_a{from + places[i], row, col};
      for (int64_t r = 0; r < n; ++r)
        for (int64_t c = 0; c < n; ++c) one(c, r) = of_a(r, c);
      info[i] = by_division::lu(one, n, pivots + i * n);
    });
  });
  return lu;
}

void require_regular(const char* op, const Lu& lu) {
  if (const int64_t i = first_set(lu.info); i >= 0)
    throw_error<ValueError>(op, ": expected invertible matrices, got a singular one", place_of(lead_of(lu.factors), i));
}

std::vector<double> reciprocal_conditions(const Tensor& a_any, const Tensor& factors_any) {
  const Tensor a = as_contiguous(a_any.detach()), factors = as_contiguous(factors_any);
  const int64_t n = a.size(-1), count = count_matrices(a);
  std::vector<double> found(static_cast<std::size_t>(count), 1);
  if (n == 0) return found;
  double* to = found.data();
  visit_float(a.dtype(), [&]<class T>(T) {
    const T* from = a.data<T>();
    const T* lu = factors.data<T>();
    const auto size = static_cast<std::size_t>(n);
    for_each_matrix(
        count, static_cast<double>(n * n), size * (4 * sizeof(T) + sizeof(int)), [=](int64_t i, std::byte* scratch) {
          // Of the transpose, the greatest sum over a row.
          T norm = 0;
          bool is_finite = true;
          for (int64_t row = 0; row < n; ++row) {
            T sum = 0;
            for (int64_t j = 0; j < n; ++j) sum += std::abs(from[(i * n + row) * n + j]);
            is_finite = is_finite && std::isfinite(sum);
            norm = std::max(norm, sum);
          }
          T* work = reinterpret_cast<T*>(scratch);
          to[i] = !is_finite  ? std::numeric_limits<double>::quiet_NaN()
                  : norm == 0 ? 0.0
                              : static_cast<double>(lapack::gecon(static_cast<int>(n), lu + i * n * n, norm, work,
                                                                  reinterpret_cast<int*>(work + 4 * n)));
        });
  });
  return found;
}

}  // namespace detail

namespace {

struct InverseNode final : Node {
  Saved y{*this, "the inverse"};
  const char* name() const noexcept override { return "linalg::inv"; }
  // a y = 1, so dy = -y da y:  da_ij = -sum_pq y_pi dy_pq y_jq
  Tensors backward(const Tensors& dy) override {
    const Tensor t = transposed(y);
    return {neg(matmul(matmul(t, dy[0]), t))};
  }
  Tensors jvp(const Tensors& dx) override { return {neg(matmul(matmul(y, dx[0]), y))}; }
};

struct SolveNode final : Node {
  Saved a{*this, "a"}, factors{*this, "the factors of a"}, pivots{*this, "the pivots of a"}, x{*this, "the solution"};
  bool is_transposed = false;
  const char* name() const noexcept override { return "linalg::solve"; }
  // a x = b, so dx = a^-1 (db - da x):  db = a^-T dx,  da_ij = -sum_k db_ik x_jk
  // a^T x = b, so dx = a^-T (db - da^T x):  db = a^-1 dx,  da_ij = -sum_k x_ik db_jk
  Tensors backward(const Tensors& dy) override {
    const Tensor b = detail::solution_of(a, factors, pivots, dy[0], !is_transposed);
    if (!needs(0)) return {Tensor(), b};
    const Tensor da = neg(is_transposed ? matmul(x, transposed(b)) : matmul(b, transposed(x)));
    return {da, b};
  }
  Tensors jvp(const Tensors& dx) override {
    Tensor right = dx[1];
    if (dx[0].defined()) {
      const Tensor moved = matmul(is_transposed ? transposed(dx[0]) : dx[0], x);
      right = right.defined() ? sub(right, moved) : neg(moved);
    }
    return {detail::solution_of(a, factors, pivots, right, is_transposed)};
  }
};

}  // namespace

Tensor detail::inverse_of(const Tensor& a, const Tensor& factors, const Tensor& pivots) {
  Tensor y = row_major(factors);
  const int64_t n = a.size(-1), count = count_matrices(a);
  if (n > 0)
    visit_float(a.dtype(), [&]<class T>(T) {
      T* to = y.data<T>();
      const T* lu = factors.data<T>();
      const auto* at = pivots.data<int32_t>();
      const int64_t size = 64 * n;  // columns for its blocks
      for_each_matrix(count, 2 * std::pow(static_cast<double>(n), 3), static_cast<std::size_t>(size) * sizeof(T),
                      [=](int64_t i, std::byte* scratch) {
                        const by_division::View<T> one{to + i * n * n, 1, n};
                        if (by_division::suits(one, n)) {
                          for (int64_t k = 0; k < n * n; ++k) one.data[k] = k % (n + 1) == 0;
                          by_division::solve(false, lu + i * n * n, n, at + i * n, one, n);
                          return;
                        }
                        lapack::getri(static_cast<int>(n), one.data, at + i * n,
                                      {reinterpret_cast<T*>(scratch),
                                       static_cast<int>(std::min<int64_t>(size, std::numeric_limits<int>::max()))});
                      });
    });
  if (auto* node = record<InverseNode>(y, a)) node->y = y;
  return y;
}

Tensor detail::solution_of(const Tensor& a, const Tensor& factors, const Tensor& pivots, const Tensor& b,
                           bool is_transposed) {
  const Shape lead = broadcast_shapes(lead_of(a), lead_of(b), "linalg::solve");
  const int64_t n = b.size(-2), k = b.size(-1), count = lead.numel();
  const Tensor columns = empty(with(lead, {k, n}), b.dtype());
  copy_into(transposed(columns), b.detach());
  if (n > 0 && k > 0)
    visit_float(b.dtype(), [&]<class T>(T) {
      T* x = columns.data<T>();
      const T* lu = factors.data<T>();
      const auto* at = pivots.data<int32_t>();
      const Places places(factors, lead);
      for_each_matrix(
          count, static_cast<double>(n * n) * static_cast<double>(k), 0, [&, x, lu, at](int64_t i, std::byte*) {
            const int64_t place = places[i];
            if (by_division::suits(by_division::View<const T>{lu + place, 1, n}, n))
              by_division::solve<T>(!is_transposed, lu + place, n, at + place / n, {x + i * n * k, 1, n}, k);
            else
              lapack::getrs(!is_transposed, static_cast<int>(n), static_cast<int>(k), lu + place, at + place / n,
                            x + i * n * k);
          });
    });
  Tensor y = k == 1 ? make_view(columns, with(lead, {n, k}), contiguous_strides(with(lead, {n, k})), columns.offset())
                    : row_major(transposed(columns));
  if (auto* node = record<SolveNode>(y, a, b)) {
    node->a = a;
    node->factors = factors;
    node->pivots = pivots;
    if (node->needs(0)) node->x = y;
    node->is_transposed = is_transposed;
  }
  return y;
}

Tensor linalg::inv(const Tensor& a) {
  const detail::OpScope scope("linalg::inv");
  detail::require_square("linalg::inv", "a", a);
  const detail::Lu lu = detail::lu_of(a);
  detail::require_regular("linalg::inv", lu);
  return detail::inverse_of(a, lu.factors, lu.pivots);
}

Tensor linalg::solve(const Tensor& a, const Tensor& b, bool left) {
  const detail::OpScope scope("linalg::solve");
  detail::require_square("linalg::solve", "a", a);
  detail::require_defined("linalg::solve", "b", b);
  const Tensor right = detail::right_side("linalg::solve", a.size(-1), a, b, left);
  const detail::Lu lu = detail::lu_of(a);
  detail::require_regular("linalg::solve", lu);
  const Tensor x = detail::solution_of(a, lu.factors, lu.pivots, right, !left);
  return detail::like_right_side(x, b, left);
}

}  // namespace limpid
