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
#include <limpid/ops/linalg/detail/workspace.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace limpid {

using detail::throw_error;
using detail::transposed;
namespace lapack = detail::lapack;

namespace {

double epsilon(DType dtype) {
  return dtype == float64 ? std::numeric_limits<double>::epsilon() : double{std::numeric_limits<float>::epsilon()};
}

Tensor along_rows(const Tensor& x) { return unsqueeze(x, -2); }     // x_j at (i, j)
Tensor along_columns(const Tensor& x) { return unsqueeze(x, -1); }  // x_i

// Which of the values of each matrix are equal but for rounding: neighbours in a row of them that is sorted.
template <class F>
void for_each_group(const double* values, int64_t n, double rounding, F f) {
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(values[i]));
  for (int64_t begin = 0, end = 1; begin < n; begin = end++) {
    while (end < n && std::abs(values[end] - values[end - 1]) <= rounding * largest) ++end;
    if (end - begin > 1) f(begin, end);
  }
}

Tensor doubles(const Tensor& x) { return x.detach().to(float64).contiguous(); }

// f(matrix, begin, end) for each group of equal values of each matrix.
template <class F>
void for_each_group(const Tensor& values, F f) {
  const NoGradGuard no_grad;
  if (values.numel() == 0) return;
  const Tensor all = doubles(values);
  const int64_t n = all.size(-1), count = all.numel() / n;
  const double rounding = 16 * std::sqrt(static_cast<double>(n)) * epsilon(values.dtype());
  for (int64_t i = 0; i < count; ++i)
    for_each_group(all.data<double>() + i * n, n, rounding, [&](int64_t begin, int64_t end) { f(i, begin, end); });
}

// Square matrices that hold true on the diagonal.
Tensor each_with_itself(const Shape& shape) {
  const Tensor y = zeros(shape, bool_);
  const int64_t n = shape[shape.size() - 1];
  for (int64_t row = 0; n > 0 && row < y.numel() / n; ++row) y.data<bool>()[row * n + row % n] = true;
  return y;
}

Shape lead_of_values(const Tensor& values) { return Shape(values.shape().begin(), values.shape().end() - 1); }

// What the gradients at a group of equal values tell of the function of the matrix that they are the gradient of.
struct Group {
  const double* h;  // the whole matrix's, n by n
  const double* d;
  int64_t n, begin, end;
  double size;  // the largest number that h is made of
  double eps;

  double own(int64_t i) const { return h[i * n + i]; }
  double largest_own() const {
    double most = 0;
    for (int64_t i = begin; i < end; ++i) most = std::max(most, std::abs(own(i)));
    return most;
  }
  double noise() const { return 64 * static_cast<double>(n) * eps * size; }
  template <class F>
  bool any_pair(F f) const {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = begin; j < i; ++j)
        if (f(h[i * n + j], h[j * n + i])) return true;
    return false;
  }
  bool depends_on_choice() const {
    return any_pair([&](double a, double b) { return std::abs(a - b) > std::sqrt(eps) * size; });
  }
  bool mixes() const {
    return any_pair([&](double a, double b) { return std::abs(a + b) / 2 > noise(); });
  }
  // f'/f of the one function f that explains all; NaN where there is none, or none that could be told.
  double ratio(bool with_mixed) const {
    constexpr double none = std::numeric_limits<double>::quiet_NaN();
    const double most = largest_own(), tolerance = std::sqrt(eps);
    double weight = 0, both = 0, most_d = 0, least = most, low = own(begin), high = low, low_d = d[begin],
           high_d = low_d;
    for (int64_t i = begin; i < end; ++i) {
      weight += own(i) / most * (own(i) / most);
      both += own(i) / most * (d[i] / most);
      most_d = std::max(most_d, std::abs(d[i]));
      least = std::min(least, std::abs(own(i)));
      low = std::min(low, own(i)), high = std::max(high, own(i));
      low_d = std::min(low_d, d[i]), high_d = std::max(high_d, d[i]);
    }
    const bool is_mixed = mixes();
    if (most <= noise()) return is_mixed || high_d - low_d > tolerance * most_d ? none : 0;
    const double r = both / weight;
    for (int64_t i = begin; i < end; ++i)
      if (std::abs(d[i] - r * own(i)) > tolerance * std::max(most_d, std::abs(r) * most)) return none;
    // One number, or several that are the same, agree with anything: no evidence.
    if (is_mixed && (!with_mixed || least <= tolerance * most || high - low <= 0.01 * most)) return none;
    return r;
  }
};

// The gradient by p = v^T a v, in the coordinates of the vectors v, given that by the values, d, and h, the gradient by
// the vectors in them, whose antisymmetric part alone counts: moving a moves v_j by v_i p_ij / (values_j - values_i),
// so
//   core_ij = (h_ij - h_ji) / (values_j - values_i),  core_ii = d_i
// Values that differ by rounding alone are equal, and what stands above the line must then be 0 up to rounding: what
// the loss is a function of does not depend on which of the vectors are taken. A function f(a) = v f(values) v^T of the
// matrix is such, for a loss of which with a gradient g in the coordinates
//   h_ij = g_ij f(values_j),  d_i = g_ii f'(values_i)  and  core_ij = g_ij f'
// among equal values. f' / f is d_i / h_ii, which has to be the same number for all of them: else it was no such
// function, or several, and there is no telling what stands off the diagonal. size: the largest number that each h is
// made of. with_mixed: false where h cannot be told from the gradient of another loss by d.
Tensor spectral_core(const char* op, const Tensor& h, const Tensor& d, const Tensor& values, const Tensor& size,
                     bool with_mixed) {
  if (values.numel() == 0) return detail::diagonals(d);
  const int64_t n = values.size(-1);
  const Tensor difference = sub(h, transposed(h)), gap = sub(along_rows(values), along_columns(values));
  const Tensor is_equal = each_with_itself(h.shape()), ratio = zeros(h.shape(), float64);
  {
    const NoGradGuard no_grad;
    const Tensor all_h = doubles(h), all_d = doubles(d), sizes = doubles(size);
    const Shape lead = lead_of_values(values);
    for_each_group(values, [&](int64_t i, int64_t begin, int64_t end) {
      const Group group{all_h.data<double>() + i * n * n, all_d.data<double>() + i * n, n, begin, end,
                        sizes.data<double>()[i],          epsilon(values.dtype())};
      if (group.depends_on_choice())
        throw_error<AutogradError>(op,
                                   ": expected a gradient that does not depend on which vectors of equal values are"
                                   " taken, got one that does",
                                   detail::place_of(lead, i));
      const double r = group.ratio(with_mixed);
      if (std::isnan(r))
        throw_error<AutogradError>(op,
                                   ": expected gradients at equal values that tell what function of the matrix they "
                                   "belong to, got some that do not",
                                   detail::place_of(lead, i));
      for (int64_t row = begin; row < end; ++row)
        for (int64_t column = begin; column < end; ++column) {
          is_equal.data<bool>()[(i * n + row) * n + column] = true;
          ratio.data<double>()[(i * n + row) * n + column] = r;
        }
    });
  }
  const Tensor apart = div(difference, where(is_equal, 1, gap));
  const Tensor together = mul(mul(add(h, transposed(h)), 0.5), ratio.to(h.dtype()));
  return where(eye(n, bool_), along_columns(d), where(is_equal, together, apart));
}

Tensor largest_of(const Tensor& x) { return x.numel() == 0 ? zeros({1}, x.dtype()) : amax(abs(x.detach()), {-2, -1}); }

bool has_any(const Tensor& x, int64_t i, int64_t count) {
  if (!x.defined() || x.numel() == 0) return false;
  const Tensor all = doubles(x);
  const double* begin = all.data<double>() + i * (all.numel() / count);
  return std::any_of(begin, begin + all.numel() / count, [](double number) { return number != 0; });
}

// What is told at equal values is a number: nobody knows how it changes. dys: gradients of the vectors first.
void refuse_second_order(const char* op, const Tensor& values, const Tensors& dys) {
  const Shape lead = lead_of_values(values);
  for_each_group(values, [&](int64_t i, int64_t, int64_t) {
    for (const Tensor& dy : dys)
      if (has_any(dy, i, lead.numel()))
        throw_error<AutogradError>(op,
                                   ": expected no equal values where a gradient of vectors is to be differentiated "
                                   "again, got some",
                                   detail::place_of(lead, i));
  });
}

// p_ij / (values_j - values_i) off the diagonal, by which vectors turn where a moves, p in their coordinates; 0 among
// equal values. Those turn at once, however small the move is, where p joins them: refused.
Tensor turned_by(const char* op, const Tensor& p, const Tensor& values) {
  const int64_t n = values.size(-1);
  const Tensor is_equal = each_with_itself(p.shape());
  {
    const NoGradGuard no_grad;
    const Tensor all = doubles(p), sizes = p.numel() > 0 ? doubles(largest_of(p)) : Tensor();
    for_each_group(values, [&](int64_t i, int64_t begin, int64_t end) {
      const double rounding = 64 * static_cast<double>(n) * epsilon(values.dtype()) * sizes.data<double>()[i];
      for (int64_t row = begin; row < end; ++row)
        for (int64_t column = begin; column < end; ++column) {
          const int64_t at = (i * n + row) * n + column;
          is_equal.data<bool>()[at] = true;
          if (row != column && std::abs(all.data<double>()[at]) > rounding)
            throw_error<AutogradError>(op,
                                       ": expected a tangent that does not depend on which vectors of equal values are"
                                       " taken, got one that does",
                                       detail::place_of(lead_of_values(values), i));
        }
    });
  }
  const Tensor gap = sub(along_rows(values), along_columns(values));
  return where(is_equal, 0, div(p, where(is_equal, 1, gap)));
}

struct EighNode final : Node {
  Saved values{*this, "values"}, vectors{*this, "vectors"};
  bool of_values = false;  // made for the gradient of values alone, of which d is elsewhere
  const char* name() const noexcept override { return "linalg::eigh"; }
  // da = v core v^T with h = v^T dv / 2 (half of it, for p is symmetric), made symmetric where rounding left it so.
  Tensors backward(const Tensors& dy) override {
    const Tensor v = vectors, w = values;
    const Tensor d = dy[0].defined() ? dy[0] : zeros(w.shape(), w.dtype());
    const Tensor core =
        dy[1].defined() ? of_vectors(mul(matmul(transposed(v), dy[1]), 0.5), d, w) : detail::diagonals(d);
    const Tensor da = matmul(matmul(v, core), transposed(v));
    return {mul(add(da, transposed(da)), 0.5)};
  }
  Tensor of_vectors(const Tensor& h, const Tensor& d, const Tensor& w) const {
    return spectral_core(name(), h, d, w, largest_of(h), !of_values);
  }
  Tensors recorded_backward(const Tensors& dy) override {
    if (dy[1].defined()) refuse_second_order(name(), values, {dy[1], dy[0]});
    return backward(dy);
  }
  // With p = v^T da v:  dvalues_i = p_ii,  dv = v w for w_ij = p_ij / (values_j - values_i), w_ii = 0.
  Tensors jvp(const Tensors& dx) override {
    if (is_grad_enabled()) refuse_second_order(name(), values, dx);
    const Tensor v = vectors, w = values, da = mul(add(dx[0], transposed(dx[0])), 0.5);
    const Tensor p = matmul(matmul(transposed(v), da), v);
    return {diagonal(p, 0, -2, -1), matmul(v, turned_by(name(), p, w))};
  }
};

struct SvdNode final : Node {
  Saved u{*this, "u"}, s{*this, "s"}, vh{*this, "vh"};
  bool of_values = false;  // as EighNode's
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
    const Tensor size = values.numel() > 0 ? maximum(largest_of(mu), largest_of(mv)) : Tensor();
    const Tensor core = add(spectral_core(name(), mul(add(mu, mv), 0.5), d, values, size, !of_values),
                            detail::chain_over(turned, add(along_rows(values), along_columns(values))));
    Tensor da = matmul(matmul(left, core), transposed(right));
    if (left.size(-2) > k && dy[0].defined())
      da = add(da, matmul(detail::chain_over(sub(du, matmul(left, mu)), along_rows(values)), transposed(right)));
    if (right.size(-2) > k && dy[2].defined())
      da = add(da, matmul(left, transposed(detail::chain_over(sub(dv, matmul(right, mv)), along_rows(values)))));
    return {da};
  }
  Tensors recorded_backward(const Tensors& dy) override {
    if (dy[0].defined() || dy[2].defined()) refuse_second_order(name(), s, {dy[0], dy[2], dy[1]});
    return backward(dy);
  }

  // With p = u^T da v and its symmetric and antisymmetric parts x and y:  ds_i = p_ii,
  //   du = u (x_ij / (s_j - s_i) + y_ij / (s_j + s_i)) + (1 - u u^T) da v s^-1
  //   dv = v (x_ij / (s_j - s_i) - y_ij / (s_j + s_i)) + (1 - v v^T) da^T u s^-1
  Tensors jvp(const Tensors& dx) override {
    if (is_grad_enabled()) refuse_second_order(name(), s, dx);
    const Tensor values = s, left = u, right = transposed(vh), da = dx[0];
    const int64_t k = values.size(-1);
    if (left.size(-1) > k || right.size(-1) > k)
      throw_error<AutogradError>(name(), ": expected full_matrices = false for forward mode, got ",
                                 std::max(left.size(-1), right.size(-1)) - k,
                                 " further vectors, which are not determined");
    const Tensor av = matmul(da, right), au = matmul(transposed(da), left), p = matmul(transposed(left), av);
    const Tensor symmetric = mul(add(p, transposed(p)), 0.5), antisymmetric = mul(sub(p, transposed(p)), 0.5);
    const Tensor x = turned_by(name(), symmetric, values),
                 y = detail::chain_over(antisymmetric, add(along_rows(values), along_columns(values)));
    Tensor du = matmul(left, add(x, y)), dv = matmul(right, sub(x, y));
    if (left.size(-2) > k) du = add(du, detail::chain_over(sub(av, matmul(left, p)), along_rows(values)));
    if (right.size(-2) > k) dv = add(dv, detail::chain_over(sub(au, matmul(right, transposed(p))), along_rows(values)));
    return {du, diagonal(p, 0, -2, -1), transposed(dv)};
  }
};

linalg::Eigh eigh_of(const Tensor& a, bool of_values);
linalg::Svd svd_of(const Tensor& a, bool full_matrices, bool of_values);

// da = v diag(dy) v^T, for vectors that are computed when they are asked for.
struct EigvalshNode final : Node {
  Saved a{*this, "a"};
  const char* name() const noexcept override { return "linalg::eigvalsh"; }
  Tensors backward(const Tensors& dy) override {
    const Tensor v = eigh_of(a, true).vectors;
    return {matmul(mul(v, along_rows(dy[0])), transposed(v))};
  }
};

// da = u diag(dy) v^T
struct SvdvalsNode final : Node {
  Saved a{*this, "a"};
  const char* name() const noexcept override { return "linalg::svdvals"; }
  Tensors backward(const Tensors& dy) override {
    const linalg::Svd parts = svd_of(a, false, true);
    return {matmul(mul(parts.u, along_rows(dy[0])), parts.vh)};
  }
};

// LAPACK counts its arguments, which are few, by negative numbers.
constexpr int not_finite = std::numeric_limits<int>::min();

void require_success(const char* op, const std::vector<int>& info, const Shape& lead) {
  const int64_t i = detail::first_set(info);
  if (i < 0) return;
  const int found = info[static_cast<std::size_t>(i)];
  if (found < 0 && found != not_finite)
    throw_error<Error>(op, ": expected arguments that LAPACK takes, got one that it does not, number ", -found);
  if (found < 0)
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
      const auto matrix = [order = static_cast<int>(n)](T* x) { return lapack::Matrix<T>{x, order, order, order}; };
      T wanted = 0;
      int more = 0;
      lapack::syevd(with_vectors, matrix(nullptr), nullptr, {&wanted, -1}, {&more, -1});
      const auto size =
          static_cast<std::size_t>(lapack::room_for_eigenvalues(op, static_cast<double>(wanted), n, with_vectors));
      T* x = work.data<T>();
      T* values = w.data<T>();
      detail::for_each_matrix(
          count, 9 * std::pow(static_cast<double>(n), 3),
          size * sizeof(T) + static_cast<std::size_t>(more) * sizeof(int), [=](int64_t i, std::byte* scratch) {
            // The triangle that is read, and the other one, which need not hold numbers.
            T* one = x + i * n * n;
            for (int64_t row = 0; row < n; ++row) {
              if (!detail::all_finite(one + row * n, row + 1)) found[i] = not_finite;
              std::fill(one + row * n + row + 1, one + (row + 1) * n, T{0});
            }
            T* room = reinterpret_cast<T*>(scratch);
            if (found[i] == 0)
              found[i] = lapack::syevd(with_vectors, matrix(one), values + i * n, {room, static_cast<int>(size)},
                                       {reinterpret_cast<int*>(room + size), more});
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
    T* x = work.data<T>();
    T* s = parts.s.data<T>();
    T* u = job == 'N' ? nullptr : parts.u.data<T>();
    T* vh = job == 'N' ? nullptr : parts.vh.data<T>();
    const int rows = static_cast<int>(n), columns = static_cast<int>(m);
    const auto from = [=](int64_t i) { return lapack::Matrix<T>{x + i * m * n, rows, columns, rows}; };
    const auto to = [=](int64_t i) {
      const int left = static_cast<int>(v_rows), right = static_cast<int>(u_columns);
      return lapack::Singular<T>{s + i * k,
                                 {vh ? vh + i * v_rows * n : nullptr, rows, left, rows},
                                 {u ? u + i * m * u_columns : nullptr, right, columns, right}};
    };
    T wanted = 0;
    int one = 0;
    lapack::gesdd(job, from(0), to(0), {&wanted, -1}, &one);
    const auto size =
        static_cast<std::size_t>(lapack::room_for_singular_values(op, static_cast<double>(wanted), m, n, job != 'N'));
    detail::for_each_matrix(count, 20.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k),
                            size * sizeof(T) + static_cast<std::size_t>(8 * k) * sizeof(int),
                            [=](int64_t i, std::byte* scratch) {
                              T* room = reinterpret_cast<T*>(scratch);
                              found[i] = detail::all_finite(x + i * m * n, m * n)
                                             ? lapack::gesdd(job, from(i), to(i), {room, static_cast<int>(size)},
                                                             reinterpret_cast<int*>(room + size))
                                             : not_finite;
                            });
  });
  require_success(op, info, lead);
  return parts;
}

linalg::Eigh eigh_of(const Tensor& a, bool of_values) {
  const detail::OpScope scope("linalg::eigh");
  linalg::Eigh parts = decompose("linalg::eigh", a, true);
  Tensors results{std::move(parts.values), std::move(parts.vectors)};
  if (auto* node = record<EighNode>(results, {a})) {
    node->values = results[0];
    node->vectors = results[1];
    node->of_values = of_values;
  }
  return {std::move(results[0]), std::move(results[1])};
}

linalg::Svd svd_of(const Tensor& a, bool full_matrices, bool of_values) {
  const detail::OpScope scope("linalg::svd");
  linalg::Svd parts = decompose("linalg::svd", a, full_matrices ? 'A' : 'S');
  Tensors results{std::move(parts.u), std::move(parts.s), std::move(parts.vh)};
  if (auto* node = record<SvdNode>(results, {a})) {
    node->u = results[0];
    node->s = results[1];
    node->vh = results[2];
    node->of_values = of_values;
  }
  return {std::move(results[0]), std::move(results[1]), std::move(results[2])};
}

}  // namespace

linalg::Svd detail::plain_svd(const char* op, const Tensor& a) { return decompose(op, a, 'S'); }

linalg::Eigh linalg::eigh(const Tensor& a) { return eigh_of(a, false); }

Tensor linalg::eigvalsh(const Tensor& a) {
  const detail::OpScope scope("linalg::eigvalsh");
  Tensor y = decompose("linalg::eigvalsh", a, false).values;
  if (auto* node = record<EigvalshNode>(y, a)) node->a = a;
  return y;
}

linalg::Svd linalg::svd(const Tensor& a, bool full_matrices) { return svd_of(a, full_matrices, false); }

Tensor linalg::svdvals(const Tensor& a) {
  const detail::OpScope scope("linalg::svdvals");
  Tensor y = decompose("linalg::svdvals", a, 'N').s;
  if (auto* node = record<SvdvalsNode>(y, a)) node->a = a;
  return y;
}

}  // namespace limpid
