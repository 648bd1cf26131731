// Matrices for the tests of linear algebra.
#pragma once
#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/gradcheck.hpp>
#include <limpid/core/index.hpp>
#include <limpid/core/random.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/linalg.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/ops/plain.hpp>

namespace linalg_tests {

using namespace limpid;
using namespace plain;

inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

inline Tensor matrix(const std::vector<double>& values, int64_t rows, DType dtype = float64) {
  return from_values(values, {rows, static_cast<int64_t>(values.size()) / rows}, dtype);
}
inline Tensor t(const Tensor& x) { return transpose(x, -2, -1); }

/// Well conditioned: noise, and n on the diagonal.
inline Tensor regular(const Shape& lead, int64_t n, DType dtype) {
  Shape shape = lead;
  shape.push_back(n), shape.push_back(n);
  return noise(shape, dtype) + eye(n, dtype) * static_cast<double>(n + 2);
}
inline Tensor positive(const Shape& lead, int64_t n, DType dtype) {
  const Tensor x = regular(lead, n, dtype);
  return matmul(x, t(x)) + eye(n, dtype);
}

/// max |a - b| is within scale epsilons of the largest element, or of 1.
inline bool near(const Tensor& a, const Tensor& b, double scale = 100) {
  if (a.shape() != b.shape()) return false;
  const auto va = values(a), vb = values(b);
  double most = 1, worst = 0;
  for (std::size_t i = 0; i < va.size(); ++i) {
    if (va[i] == vb[i]) continue;
    most = std::max(most, std::abs(vb[i]));
    worst = std::max(worst, std::abs(va[i] - vb[i]));
    if (!std::isfinite(va[i]) || !std::isfinite(vb[i])) return false;
  }
  return worst <= scale * epsilon(a.dtype()) * most;
}

inline const Shape leads[] = {{}, {3}, {2, 1, 3}, {0}, {2, 0}};
inline const char* const layouts[] = {"contiguous", "strided", "gaps", "transposed"};

/// The same values, laid out so.
inline Tensor laid_out(const Tensor& x, const std::string& layout) {
  return layout == "transposed" ? t(detail::as_contiguous(t(x))) : in_layout(x, layout);
}

/// The gradients of <f(xs), dy> for a dy drawn from a seed.
template <class F>
Tensors gradients(F&& f, Tensors xs, const Tensor& dy) {
  for (Tensor& x : xs) x = x.clone().set_requires_grad();
  return grad({f(xs)}, xs, {dy});
}

}  // namespace linalg_tests
