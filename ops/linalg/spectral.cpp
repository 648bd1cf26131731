// Eigenvalues of symmetric matrices, and singular values.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/linalg.hpp>
#include <limpid/ops/linalg/detail/lapack.hpp>
#include <limpid/ops/linalg/detail/matrices.hpp>
#include <limpid/ops/linalg/detail/plain_svd.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::throw_error;
using detail::transposed;

namespace {

double epsilon(DType dtype) {
  return dtype == float64 ? std::numeric_limits<double>::epsilon() : double{std::numeric_limits<float>::epsilon()};
}

Tensor along_rows(const Tensor& x) { return unsqueeze(x, -2); }     // x_j at (i, j)
Tensor along_columns(const Tensor& x) { return unsqueeze(x, -1); }  // x_i

// The gradient by p = v^T a v, in the coordinates of the vectors v, given that by the values, d, and h, the gradient by
// the vectors in them, whose antisymmetric part alone counts: moving a moves v_j by v_i p_ij / (values_j - values_i),
// so
//   core_ij = (h_ij - h_ji) / (values_j - values_i),  core_ii = d_i
// Values that differ by rounding alone are equal, and what stands above the line must then be 0 up to rounding: what
// the loss is a function of does not depend on which of the vectors are taken. Functions f(a) = v f(values) v^T of the
// matrix are such, for a loss of which with a gradient g in the coordinates
//   h_ij = g_ij f(values_j),  d_i = g_ii f'(values_i)  and  core_ij = g_ij f'
// among equal values. f' / f is what d_i / h_ii says it is, and 1 / value, that of f(a) = a, where both are 0.
Tensor spectral_core(const char* op, const Tensor& h, const Tensor& d, const Tensor& values) {
  if (values.numel() == 0) return detail::diagonals(d);
  const int64_t n = values.size(-1);
  const Tensor difference = sub(h, transposed(h)), gap = sub(along_rows(values), along_columns(values));
  Tensor is_equal, ratio;
  {
    const NoGradGuard no_grad;
    const double eps = epsilon(values.dtype());
    const Tensor v = values.detach(), g = h.detach(), direct = d.detach();
    const auto largest = [](const Tensor& x) { return amax(abs(x), {-2, -1}, true); };
    const double rounding = 16 * std::sqrt(static_cast<double>(n)) * eps;
    is_equal = le(abs(gap.detach()), mul(largest(along_rows(v)), rounding));
    const Tensor depends = logical_and(is_equal, gt(abs(difference.detach()), mul(largest(g), std::sqrt(eps))));
    const Tensor refused = any(depends, {-2, -1}).contiguous();
    for (int64_t i = 0; i < refused.numel(); ++i)
      if (refused.data<bool>()[i])
        throw_error<AutogradError>(op,
                                   ": expected a gradient that does not depend on which vectors of equal values are"
                                   " taken, got one that does",
                                   detail::place_of(refused.shape(), i));
    const Tensor own = diagonal(g, 0, -2, -1), squares = square(own), both = mul(own, direct);
    const Tensor weight = add(along_rows(squares), along_columns(squares));
    const Tensor is_told = gt(weight, mul(square(largest(g)), eps));
    const Tensor told = div(add(along_rows(both), along_columns(both)), where(is_told, weight, 1));
    const Tensor column = along_columns(v), untold = where(eq(column, 0), 0, div(1, where(eq(column, 0), 1, column)));
    ratio = where(is_told, told, untold);
  }
  const Tensor apart = div(difference, where(is_equal, 1, gap));
  const Tensor together = mul(mul(add(h, transposed(h)), 0.5), ratio);
  return where(eye(n, bool_), along_columns(d), where(is_equal, together, apart));
}

struct EighNode final : Node {
  Saved values{*this, "values"}, vectors{*this, "vectors"};
  const char* name() const noexcept override { return "linalg::eigh"; }
  // da = v core v^T with h = v^T dv / 2 (half of it, for p is symmetric), made symmetric where rounding left it so.
  Tensors backward(const Tensors& dy) override {
    const Tensor v = vectors, w = values;
    const Tensor d = dy[0].defined() ? dy[0] : zeros(w.shape(), w.dtype());
    const Tensor core =
        dy[1].defined() ? spectral_core(name(), mul(matmul(transposed(v), dy[1]), 0.5), d, w) : detail::diagonals(d);
    const Tensor da = matmul(matmul(v, core), transposed(v));
    return {mul(add(da, transposed(da)), 0.5)};
  }
};

struct SvdNode final : Node {
  Saved u{*this, "u"}, s{*this, "s"}, vh{*this, "vh"};
  const char* name() const noexcept override { return "linalg::svd"; }

  // The gradient by the first k columns; those beyond must have none.
  Tensor first(const Tensor& x, int64_t k) const {
    if (x.size(-1) == k) return x;
    if (any(ne(slice(x, -1, k).detach(), 0)).item<bool>())
      throw_error<AutogradError>(name(), ": expected a gradient for the first ", k, " vectors alone, got one for the ",
                                 x.size(-1) - k, " that full_matrices adds, which are not determined");
    return slice(x, -1, 0, k);
  }

  // With p = u^T a v, moved by dp, u moves by u w_u and v by v w_v, antisymmetric, dp = w_u s + ds - s w_v, besides
  // what moves out of the spaces that the columns span. With j and k the antisymmetric parts u^T du and v^T dv:
  //   core_ij = (j_ij s_j + k_ij s_i) / (s_j^2 - s_i^2)
  //           = ((j + k) / 2)_ij / (s_j - s_i) + ((j - k) / 2)_ij / (s_j + s_i)
  // of which the first is spectral_core's for h = (u^T du + v^T dv) / 2, and
  //   da = u core v^T + (1 - u u^T) du s^-1 v^T + u s^-1 dv^T (1 - v v^T)
  Tensors backward(const Tensors& dy) override {
    const Tensor values = s;
    const int64_t k = values.size(-1);
    const Tensor u_all = u, vh_all = vh, left = slice(u_all, -1, 0, k), right = transposed(slice(vh_all, -2, 0, k));
    const Tensor d = dy[1].defined() ? dy[1] : zeros(values.shape(), values.dtype());
    if (!dy[0].defined() && !dy[2].defined()) return {matmul(mul(left, along_rows(d)), transposed(right))};
    const Tensor du = dy[0].defined() ? first(dy[0], k) : zeros(left.shape(), left.dtype());
    const Tensor dv = dy[2].defined() ? first(transposed(dy[2]), k) : zeros(right.shape(), right.dtype());
    const Tensor mu = matmul(transposed(left), du), mv = matmul(transposed(right), dv);
    const Tensor turned = mul(sub(sub(mu, transposed(mu)), sub(mv, transposed(mv))), 0.5);
    const Tensor core = add(spectral_core(name(), mul(add(mu, mv), 0.5), d, values),
                            detail::chain_over(turned, add(along_rows(values), along_columns(values))));
    Tensor da = matmul(matmul(left, core), transposed(right));
    if (left.size(-2) > k && dy[0].defined())
      da = add(da, matmul(detail::chain_over(sub(du, matmul(left, mu)), along_rows(values)), transposed(right)));
    if (right.size(-2) > k && dy[2].defined())
      da = add(da, matmul(left, transposed(detail::chain_over(sub(dv, matmul(right, mv)), along_rows(values)))));
    return {da};
  }
};

// da = v diag(dy) v^T, for vectors that are computed when they are asked for.
struct EigvalshNode final : Node {
  Saved a{*this, "a"};
  const char* name() const noexcept override { return "linalg::eigvalsh"; }
  Tensors backward(const Tensors& dy) override {
    const Tensor v = linalg::eigh(a).vectors;
    return {matmul(mul(v, along_rows(dy[0])), transposed(v))};
  }
};

// da = u diag(dy) v^T
struct SvdvalsNode final : Node {
  Saved a{*this, "a"};
  const char* name() const noexcept override { return "linalg::svdvals"; }
  Tensors backward(const Tensors& dy) override {
    const linalg::Svd parts = linalg::svd(a, false);
    return {matmul(mul(parts.u, along_rows(dy[0])), parts.vh)};
  }
};

void require_success(const char* op, const std::vector<int>& info, const Shape& lead) {
  const int64_t i = detail::first_set(info);
  if (i < 0) return;
  if (info[static_cast<std::size_t>(i)] < 0)
    throw_error<ValueError>(op, ": expected finite numbers, got NaN or infinity in the matrix",
                            detail::place_of(lead, i));
  throw_error<ValueError>(op, ": expected a matrix for which LAPACK's iteration converges, got one",
                          detail::place_of(lead, i), " for which it does not");
}

// Values, and vectors unless they are left out.
linalg::Eigh decompose(const char* op, const Tensor& a, bool with_vectors) {
  detail::require_square(op, "a", a);
  const Shape lead = detail::lead_of(a);
  const int64_t n = a.size(-1), count = lead.numel();
  const Tensor work = detail::row_major(a), w = empty(detail::with(lead, {n}), a.dtype());
  std::vector<int> info(static_cast<std::size_t>(count), 0);
  if (n > 0)
    detail::visit_float(a.dtype(), [&, found = info.data()]<class T>(T) {
      const int order = static_cast<int>(n);
      T wanted = 0;
      int more = 0;
      detail::lapack::syevd(with_vectors, order, nullptr, nullptr, &wanted, -1, &more, -1);
      const auto size = static_cast<std::size_t>(wanted) + 1;
      T* x = work.data<T>();
      T* values = w.data<T>();
      detail::for_each_matrix(
          count, 9 * std::pow(static_cast<double>(n), 3),
          size * sizeof(T) + static_cast<std::size_t>(more) * sizeof(int), [=](int64_t i, std::byte* scratch) {
            // The triangle that is read, and the other one, which need not hold numbers.
            T* one = x + i * n * n;
            for (int64_t row = 0; row < n; ++row) {
              if (!detail::all_finite(one + row * n, row + 1)) found[i] = -1;
              std::fill(one + row * n + row + 1, one + (row + 1) * n, T{0});
            }
            T* room = reinterpret_cast<T*>(scratch);
            if (found[i] == 0)
              found[i] = detail::lapack::syevd(with_vectors, order, one, values + i * n, room, static_cast<int>(size),
                                               reinterpret_cast<int*>(room + size), more);
          });
    });
  require_success(op, info, lead);
  return {w, with_vectors ? detail::row_major(transposed(work)) : Tensor()};
}

// job: 'N' for values alone, 'S' for as many vectors as there are values, 'A' for all. A row-major a is its transpose
// to LAPACK, whose u and v^T are v and u^T: read by rows again, vh and u.
linalg::Svd decompose(const char* op, const Tensor& a, char job) {
  detail::require_matrices(op, "a", a);
  const Shape lead = detail::lead_of(a);
  const int64_t m = a.size(-2), n = a.size(-1), k = std::min(m, n), count = lead.numel();
  const int64_t u_columns = job == 'A' ? m : k, v_rows = job == 'A' ? n : k;
  linalg::Svd parts;
  parts.s = empty(detail::with(lead, {k}), a.dtype());
  if (job != 'N') {
    parts.u = empty(detail::with(lead, {m, u_columns}), a.dtype());
    parts.vh = empty(detail::with(lead, {v_rows, n}), a.dtype());
  }
  if (k == 0) {
    if (job != 'N') {
      detail::copy_into(parts.u, slice(eye(m, a.dtype()), 1, 0, u_columns));
      detail::copy_into(parts.vh, slice(eye(n, a.dtype()), 0, 0, v_rows));
    }
    return parts;
  }
  const Tensor work = detail::row_major(a);
  std::vector<int> info(static_cast<std::size_t>(count), 0);
  detail::visit_float(a.dtype(), [&, found = info.data()]<class T>(T) {
    const int rows = static_cast<int>(n), columns = static_cast<int>(m), vt_step = static_cast<int>(u_columns);
    T wanted = 0;
    int one = 0;
    detail::lapack::gesdd(job, rows, columns, nullptr, nullptr, nullptr, rows, nullptr, vt_step, &wanted, -1, &one);
    const auto size = static_cast<std::size_t>(wanted) + 1;
    T* x = work.data<T>();
    T* s = parts.s.data<T>();
    T* u = job == 'N' ? nullptr : parts.u.data<T>();
    T* vh = job == 'N' ? nullptr : parts.vh.data<T>();
    detail::for_each_matrix(
        count, 20.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k),
        size * sizeof(T) + static_cast<std::size_t>(8 * k) * sizeof(int), [=](int64_t i, std::byte* scratch) {
          T* room = reinterpret_cast<T*>(scratch);
          found[i] =
              detail::all_finite(x + i * m * n, m * n)
                  ? detail::lapack::gesdd(job, rows, columns, x + i * m * n, s + i * k,
                                          vh ? vh + i * v_rows * n : nullptr, rows, u ? u + i * m * u_columns : nullptr,
                                          vt_step, room, static_cast<int>(size), reinterpret_cast<int*>(room + size))
                  : -1;
        });
  });
  require_success(op, info, lead);
  return parts;
}

}  // namespace

linalg::Svd detail::plain_svd(const char* op, const Tensor& a) { return decompose(op, a, 'S'); }

linalg::Eigh linalg::eigh(const Tensor& a) {
  const detail::OpScope scope("linalg::eigh");
  Eigh parts = decompose("linalg::eigh", a, true);
  Tensors results{std::move(parts.values), std::move(parts.vectors)};
  if (auto* node = record<EighNode>(results, {a})) node->values = results[0], node->vectors = results[1];
  return {std::move(results[0]), std::move(results[1])};
}

Tensor linalg::eigvalsh(const Tensor& a) {
  const detail::OpScope scope("linalg::eigvalsh");
  Tensor y = decompose("linalg::eigvalsh", a, false).values;
  if (auto* node = record<EigvalshNode>(y, a)) node->a = a;
  return y;
}

linalg::Svd linalg::svd(const Tensor& a, bool full_matrices) {
  const detail::OpScope scope("linalg::svd");
  Svd parts = decompose("linalg::svd", a, full_matrices ? 'A' : 'S');
  Tensors results{std::move(parts.u), std::move(parts.s), std::move(parts.vh)};
  if (auto* node = record<SvdNode>(results, {a})) {
    node->u = results[0];
    node->s = results[1];
    node->vh = results[2];
  }
  return {std::move(results[0]), std::move(results[1]), std::move(results[2])};
}

Tensor linalg::svdvals(const Tensor& a) {
  const detail::OpScope scope("linalg::svdvals");
  Tensor y = decompose("linalg::svdvals", a, 'N').s;
  if (auto* node = record<SvdvalsNode>(y, a)) node->a = a;
  return y;
}

}  // namespace limpid
