// Determinants by the LU decomposition, and their gradients where there is no inverse, too.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/linalg.hpp>
#include <limpid/ops/linalg/detail/lu.hpp>
#include <limpid/ops/linalg/detail/matrices.hpp>
#include <limpid/ops/linalg/detail/plain_svd.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>

#include <cmath>
#include <limits>

namespace limpid {

using detail::infinity;
using detail::throw_error;
using detail::transposed;

namespace {

// mantissa * 2^exponent, which neither overflows nor underflows on the way.
struct Scaled {
  double mantissa = 1;
  int64_t exponent = 0;
  void multiply(double x) noexcept {
    int of_x = 0, of_both = 0;
    mantissa = std::frexp(mantissa * std::frexp(x, &of_x), &of_both);
    if (mantissa != 0 && std::isfinite(mantissa)) exponent += of_x + of_both;
  }
  double value() const noexcept {
    const int64_t limit = 5000;  // past which every double is 0 or infinite
    return std::ldexp(mantissa, static_cast<int>(std::clamp(exponent, -limit, limit)));
  }
  double log() const noexcept {
    return std::log(std::abs(mantissa)) + static_cast<double>(exponent) * 0.693147180559945309417;
  }
};

// The determinant of each matrix.
template <class F>
void for_each_determinant(const detail::Lu& lu, F f) {
  const int64_t n = lu.factors.size(-1), count = detail::count_matrices(lu.factors);
  const auto* pivots = lu.pivots.data<int32_t>();
  detail::visit_float(lu.factors.dtype(), [&]<class T>(T) {
    const T* factors = lu.factors.data<T>();
    for (int64_t i = 0; i < count; ++i) {
      Scaled product;
      for (int64_t j = 0; j < n; ++j) {
        product.multiply(static_cast<double>(factors[(i * n + j) * n + j]));
        if (pivots[i * n + j] != j + 1) product.mantissa = -product.mantissa;  // each swap of two columns
      }
      f(i, product);
    }
  });
}

// (...) with two axes of size 1 behind.
Tensor as_matrices(const Tensor& x) { return unsqueeze(unsqueeze(x, -1), -1); }

// The cofactors of small matrices without division. By Faddeev and LeVerrier the adjugate is (-1)^(n-1) M_n for
//   M_1 = 1, M_(k+1) = a M_k + c_k 1, c_k = -trace(a M_k) / k
// which loses digits where a is large and n is, and here it is neither: what is left of a matrix when its large
// singular values are taken out.
Tensor small_cofactors(const Tensor& a) {
  const int64_t n = a.size(-1);
  const Tensor one = eye(n, a.dtype());
  Tensor m = one;
  for (int64_t k = 1; k < n; ++k) {
    const Tensor next = matmul(a, m);
    m = sub(next, mul(one, div(trace(next), static_cast<double>(k))));
  }
  m = transposed(m);
  return n % 2 ? m : neg(m);
}

double smallest_part(DType dtype) {
  return std::cbrt(dtype == float64 ? std::numeric_limits<double>::epsilon()
                                    : double{std::numeric_limits<float>::epsilon()});
}

// The cofactors of one matrix a, singular or nearly so. With a = u s v^T, where u, s and v count as constants,
// x = u^T a v is s, and its cofactors k give those of a as det(u) det(v) u k v^T. Let x be ((p, q), (r, t)), where the
// singular values in p are large and those in t are not. Then det(x) = det(p) det(z) with z = t - r p^-1 q, and
// derivatives by t, r, q and p of that are, with y the cofactors of z,
//   det(p) y,   -det(p) y (p^-1 q)^T,   -det(p) (r p^-1)^T y,   det(z) det(p) p^-T + det(p) (r p^-1)^T y (p^-1 q)^T
Tensor singular_cofactors(const Tensor& a) {
  const int64_t n = a.size(-1);
  Tensor u, v, sign;
  int64_t large = 0;
  {
    const NoGradGuard no_grad;
    const linalg::Svd parts = detail::plain_svd("linalg::det", a);
    u = parts.u, v = transposed(parts.vh);
    const Tensor s = parts.s.to(float64);
    while (large < n && s.data<double>()[large] > smallest_part(a.dtype()) * s.data<double>()[0]) ++large;
    sign = round(mul(linalg::det(u), linalg::det(v)));
  }
  const Tensor x = matmul(matmul(transposed(u), a), v);
  const auto block = [&](const Tensor& of, bool low, bool right) {
    return slice(slice(of, 0, low ? large : 0, low ? n : large), 1, right ? large : 0, right ? n : large);
  };
  Tensor k;
  if (large == n) {
    k = mul(linalg::det(x), transposed(linalg::inv(x)));
  } else if (large == 0) {
    k = small_cofactors(x);
  } else {
    const Tensor p = block(x, false, false), q = block(x, false, true), r = block(x, true, false),
                 t = block(x, true, true);
    const Tensor inverse = linalg::inv(p), determinant = linalg::det(p);
    const Tensor pq = matmul(inverse, q), rp = matmul(r, inverse), z = sub(t, matmul(r, pq));
    const Tensor y = mul(determinant, small_cofactors(z));
    const Tensor rest = sum(mul(select(z, 0, 0), select(small_cofactors(z), 0, 0)));  // det(z), by its first row
    const Tensor across = matmul(y, transposed(pq)), down = matmul(transposed(rp), y);
    const Tensor corner = add(mul(mul(rest, determinant), transposed(inverse)), matmul(down, transposed(pq)));
    k = cat({cat({corner, neg(down)}, 1), cat({neg(across), y}, 1)}, 0);
  }
  return mul(matmul(matmul(u, k), transposed(v)), sign);
}

// The derivatives of det(a) = y by the elements of a.
Tensor cofactors(const Tensor& a, const Tensor& factors, const Tensor& pivots, const Tensor& y) {
  const int64_t n = a.size(-1);
  if (n <= 1) return ones(a.shape(), a.dtype());
  if (n == 2) return mul(flip(a, {-2, -1}), tensor({1, -1, -1, 1}, a.dtype()).reshape({2, 2}));
  const std::vector<double> conditions = detail::reciprocal_conditions(a, factors);
  const double least = smallest_part(a.dtype());
  const auto is_regular = [&](double condition) { return condition > least; };
  if (std::all_of(conditions.begin(), conditions.end(), is_regular))
    return mul(as_matrices(y), transposed(detail::inverse_of(a, factors, pivots)));
  // The regular ones together, the others one by one; then in their order again.
  const auto count = static_cast<int64_t>(conditions.size());
  const Tensor matrices = reshape(a, {count, n, n}), regular = empty({count}, bool_), order = empty({count}, int64);
  int64_t next = std::count_if(conditions.begin(), conditions.end(), is_regular), first = 0;
  for (int64_t i = 0; i < count; ++i) {
    const bool one = is_regular(conditions[static_cast<std::size_t>(i)]);
    regular.data<bool>()[i] = one;
    order.data<int64_t>()[i] = one ? first++ : next++;
  }
  const Tensor at = reshape(nonzero(regular), {-1}), of_regular = index_select(matrices, 0, at);
  const Tensor values = as_matrices(index_select(reshape(y, {-1}), 0, at));
  Tensors found{mul(values, transposed(linalg::inv(of_regular)))};
  for (int64_t i = 0; i < count; ++i) {
    if (regular.data<bool>()[i]) continue;
    const Tensor one = select(matrices, 0, i);
    found.push_back(unsqueeze(std::isnan(conditions[static_cast<std::size_t>(i)])
                                  ? add(one, std::numeric_limits<double>::quiet_NaN())
                                  : singular_cofactors(one),
                              0));
  }
  return reshape(index_select(cat(found, 0), 0, order), a.shape());
}

struct DetNode final : Node {
  Saved a{*this, "a"}, factors{*this, "the factors of a"}, pivots{*this, "the pivots of a"}, y{*this, "det"};
  const char* name() const noexcept override { return "linalg::det"; }
  // da_ij = dy c_ij for the cofactors c, which are y (a^-1)_ji where there is an inverse.
  Tensors backward(const Tensors& dy) override {
    return {detail::chain(as_matrices(dy[0]), cofactors(a, factors, pivots, y))};
  }
};

struct LogDetNode final : Node {
  Saved a{*this, "a"}, factors{*this, "the factors of a"}, pivots{*this, "the pivots of a"}, y{*this, "logabsdet"};
  const char* name() const noexcept override { return "linalg::slogdet"; }
  // y = log |det a|:  da_ij = dy (a^-1)_ji
  Tensors backward(const Tensors& dy) override {
    const Tensor matrices = a, value = y;
    const Tensor is_singular = eq(value.detach(), -infinity);
    if (!any(is_singular).item<bool>())
      return {mul(as_matrices(dy[0]), transposed(detail::inverse_of(matrices, factors, pivots)))};
    const Tensor is_refused = logical_and(is_singular, ne(dy[0].detach(), 0)).contiguous();
    for (int64_t i = 0; i < is_refused.numel(); ++i)
      if (is_refused.data<bool>()[i])
        throw_error<AutogradError>("linalg::slogdet: expected invertible matrices for a gradient, got a singular one",
                                   detail::place_of(is_refused.shape(), i));
    const Tensor regular = where(as_matrices(is_singular), eye(matrices.size(-1), matrices.dtype()), matrices);
    const Tensor weights = where(is_singular, 0, dy[0]);
    return {mul(as_matrices(weights), transposed(linalg::inv(regular)))};
  }
  // dy = trace(a^-1 da)
  Tensors jvp(const Tensors& dx) override {
    const Tensor matrices = a, value = y;
    const Tensor is_singular = eq(value.detach(), -infinity);
    const Tensor moves = any(ne(dx[0].detach(), 0), {-2, -1}),
                 is_refused = logical_and(is_singular, moves).contiguous();
    for (int64_t i = 0; i < is_refused.numel(); ++i)
      if (is_refused.data<bool>()[i])
        throw_error<AutogradError>("linalg::slogdet: expected invertible matrices for a tangent, got a singular one",
                                   detail::place_of(is_refused.shape(), i));
    const bool regular = !any(is_singular).item<bool>();
    const Tensor inverse =
        regular ? detail::inverse_of(matrices, factors, pivots)
                : linalg::inv(where(as_matrices(is_singular), eye(matrices.size(-1), matrices.dtype()), matrices));
    return {sum(mul(transposed(inverse), dx[0]), {-2, -1})};
  }
};

template <class N>
void keep(N* node, const Tensor& a, const detail::Lu& lu, const Tensor& y) {
  node->a = a;
  node->factors = lu.factors;
  node->pivots = lu.pivots;
  node->y = y;
}

}  // namespace

Tensor linalg::det(const Tensor& a) {
  const detail::OpScope scope("linalg::det");
  detail::require_square("linalg::det", "a", a);
  const detail::Lu lu = detail::lu_of(a);
  Tensor y = empty(detail::lead_of(a), a.dtype());
  detail::visit_float(a.dtype(), [&]<class T>(T) {
    T* to = y.data<T>();
    for_each_determinant(lu, [=](int64_t i, const Scaled& product) { to[i] = static_cast<T>(product.value()); });
  });
  if (auto* node = record<DetNode>(y, a)) keep(node, a, lu, y);
  return y;
}

linalg::SignAndLog linalg::slogdet(const Tensor& a) {
  const detail::OpScope scope("linalg::slogdet");
  detail::require_square("linalg::slogdet", "a", a);
  const detail::Lu lu = detail::lu_of(a);
  Tensor sign = empty(detail::lead_of(a), a.dtype()), y = empty(detail::lead_of(a), a.dtype());
  detail::visit_float(a.dtype(), [&]<class T>(T) {
    T* signs = sign.data<T>();
    T* logs = y.data<T>();
    for_each_determinant(lu, [=](int64_t i, const Scaled& product) {
      const double m = product.mantissa;
      signs[i] = static_cast<T>(m > 0 ? 1 : m < 0 ? -1 : m);
      if (m == 0) signs[i] = 0;  // not -0
      logs[i] = static_cast<T>(product.log());
    });
  });
  if (auto* node = record<LogDetNode>(y, a)) keep(node, a, lu, y);
  return {std::move(sign), std::move(y)};
}

}  // namespace limpid
