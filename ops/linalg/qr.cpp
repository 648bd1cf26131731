// The QR decomposition by Householder's reflections.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/linalg.hpp>
#include <limpid/ops/linalg/detail/lapack.hpp>
#include <limpid/ops/linalg/detail/matrices.hpp>
#include <limpid/ops/linalg/detail/triangle.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::throw_error;
using detail::transposed;
namespace lapack = detail::lapack;

namespace {

Tensor sum_of(const Tensor& a, const Tensor& b) { return !a.defined() ? b : !b.defined() ? a : add(a, b); }

struct QrNode final : Node {
  Saved q{*this, "q"}, r{*this, "r"};
  static constexpr const char* op = "linalg::qr";
  const char* name() const noexcept override { return op; }

  // a = q r of at least as many rows as columns. With w = dq^T q and m = r dr^T - w, of which copyltu takes the lower
  // triangle and its mirror image:  da = (dq + q copyltu(m)) r^-T  (Walter and Lehmann, "Algorithmic differentiation of
  // linear algebra functions", 2010).
  static Tensor of_tall(const Tensor& q, const Tensor& r, const Tensor& dq, const Tensor& dr) {
    Tensor m = dr.defined() ? matmul(r, transposed(dr)) : Tensor();
    if (dq.defined()) m = sum_of(m, neg(matmul(transposed(dq), q)));
    const Tensor symmetric = add(tril(m), transposed(tril(m, -1)));
    const Tensor left = sum_of(dq, matmul(q, symmetric));
    return transposed(detail::solve_triangle(op, r, transposed(left), true));
  }

  // A column that depends on those before it leaves its diagonal element to rounding, by which a gradient would divide.
  static void require_independent(const Tensor& r, int64_t rows) {
    const NoGradGuard no_grad;
    const int64_t k = r.size(-2), n = r.size(-1);
    const Tensor v = slice(r.detach(), -1, 0, k);
    if (v.numel() == 0) return;
    const double eps =
        r.dtype() == float64 ? std::numeric_limits<double>::epsilon() : double{std::numeric_limits<float>::epsilon()};
    const Tensor least = mul(amax(abs(v), -2), 16 * std::sqrt(static_cast<double>(std::max(rows, n))) * eps);
    const Tensor dependent = any(le(abs(diagonal(v, 0, -2, -1)), least), -1).contiguous();
    for (int64_t i = 0; i < dependent.numel(); ++i)
      if (dependent.data<bool>()[i])
        throw_error<ValueError>(op, ": expected matrices of independent columns for a gradient, got one whose first ",
                                k, " columns depend on one another", detail::place_of(dependent.shape(), i));
  }

  Tensors backward(const Tensors& dy) override {
    const Tensor dq = dy[0], dr = dy[1].defined() ? triu(dy[1]) : Tensor(), u = q, v = r;
    const int64_t k = u.size(-1), n = v.size(-1);
    if (k > n)
      throw_error<AutogradError>(op, ": expected the reduced form for a gradient, got the complete one of ", k,
                                 " rows and ", n, " columns: the further columns of q are not determined");
    require_independent(v, u.size(-2));
    if (k == n) return {of_tall(u, v, dq, dr)};
    // Wide: q, the first k columns of r and those of a are a decomposition. The others are a_2 = q r_2:
    //   dr_2 gives da_2 = q dr_2, and dq gets a_2 dr_2^T.
    if (!dr.defined()) {
      const Tensor da = of_tall(u, slice(v, -1, 0, k), dq, {});
      return {cat({da, zeros(detail::with(detail::lead_of(v), {k, n - k}), v.dtype())}, -1)};
    }
    const Tensor r_2 = slice(v, -1, k), dr_2 = slice(dr, -1, k);
    const Tensor with_others = sum_of(dq, matmul(matmul(u, r_2), transposed(dr_2)));
    return {cat({of_tall(u, slice(v, -1, 0, k), with_others, slice(dr, -1, 0, k)), matmul(u, dr_2)}, -1)};
  }
};

// r of a, row by row, and q, which has as many columns as it has room for.
template <class T>
void decompose(lapack::Matrix<T> a, lapack::Matrix<T> q, T* r, lapack::Work<T> room) {
  const int k = std::min(a.rows, a.columns);
  T* tau = room.data;
  const lapack::Work<T> work{room.data + k, room.size - k};
  lapack::geqrf(a, tau, work);
  for (int64_t i = 0; i < q.columns; ++i)
    for (int64_t j = 0; j < a.columns; ++j) r[i * a.columns + j] = j >= i ? a.data[j * a.step + i] : T{0};
  std::copy_n(a.data, static_cast<int64_t>(a.rows) * k, q.data);
  lapack::orgqr(q, k, tau, work);
}

}  // namespace

linalg::Qr linalg::qr(const Tensor& a, QrMode mode) {
  constexpr const char* op = QrNode::op;
  const detail::OpScope scope(op);
  detail::require_matrices(op, "a", a);
  detail::require_member(op, "QrMode", mode, QrMode::complete, "reduced or complete");
  const Shape lead = detail::lead_of(a);
  const int64_t m = a.size(-2), n = a.size(-1), k = mode == QrMode::complete ? m : std::min(m, n);
  const int64_t count = lead.numel();
  const Tensor work = detail::column_major(a), columns = empty(detail::with(lead, {k, m}), a.dtype());
  Tensor r = empty(detail::with(lead, {k, n}), a.dtype());
  if (m > 0 && n > 0)
    detail::visit_float(a.dtype(), [&]<class T>(T) {
      T* from = work.data<T>();
      T* q = columns.data<T>();
      T* to = r.data<T>();
      const int64_t size = std::min<int64_t>(std::min(m, n) + 64 * std::max(n, k), std::numeric_limits<int>::max());
      const int rows = static_cast<int>(m);
      detail::for_each_matrix(count, 4.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k),
                              static_cast<std::size_t>(size) * sizeof(T), [=](int64_t i, std::byte* scratch) {
                                decompose<T>({from + i * m * n, rows, static_cast<int>(n), rows},
                                             {q + i * k * m, rows, static_cast<int>(k), rows}, to + i * k * n,
                                             {reinterpret_cast<T*>(scratch), static_cast<int>(size)});
                              });
    });
  else
    detail::copy_into(columns, slice(eye(m, a.dtype()), 0, 0, k));
  Tensors results{detail::row_major(transposed(columns)), std::move(r)};
  if (auto* node = record<QrNode>(results, {a})) node->q = results[0], node->r = results[1];
  return {std::move(results[0]), std::move(results[1])};
}

}  // namespace limpid
