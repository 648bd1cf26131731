#include <limpid/nn/optim/clip.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/nn/detail/ranges.hpp>
#include <limpid/nn/optim/detail/gradients.hpp>
#include <limpid/nn/optim/detail/parameters.hpp>

#include <algorithm>
#include <cmath>

namespace limpid::optim {

using detail::is_dense;
using limpid::detail::infinity;

namespace {

// NaN wins.
double larger(double a, double b) { return a < b || b != b ? b : a; }

// The sum of |x / scale|^p, or the largest |x| for an infinite p; in double, in lanes that fix the order of the sum.
double norm_term(const Tensor& any, double p, double scale) {
  const Tensor dx = is_half(any.dtype()) ? limpid::detail::as_dtype(any, float32) : any;
  const Tensor flat = is_dense(dx) ? dx : limpid::detail::as_contiguous(dx);
  constexpr int64_t width = 8;
  double lanes[width] = {};
  const auto add = [&](const auto& term) {
    limpid::detail::visit_float(flat.dtype(), [&]<class T>(T) {
      const T* x = flat.data<T>();
      const int64_t n = flat.numel(), whole = n - n % width;
      for (int64_t i = 0; i < whole; i += width)
        for (int64_t k = 0; k < width; ++k) lanes[k] = term(lanes[k], static_cast<double>(x[i + k]));
      for (int64_t i = whole; i < n; ++i) lanes[i - whole] = term(lanes[i - whole], static_cast<double>(x[i]));
    });
  };
  const bool largest = std::isinf(p);
  if (largest)
    add([=](double a, double x) { return larger(a, std::abs(x)); });
  else if (p == 2 && scale == 1)
    add([](double a, double x) { return a + x * x; });
  else
    add([=](double a, double x) { return a + std::pow(std::abs(x / scale), p); });
  double total = 0;
  for (double lane : lanes) total = largest ? larger(total, lane) : total + lane;
  return total;
}

double norm_term(const Tensors& dxs, double p, double scale = 1) {
  double total = 0;
  for (const Tensor& dx : dxs) {
    const double term = norm_term(dx, p, scale);
    total = std::isinf(p) ? larger(total, term) : total + term;
  }
  return total;
}

// A norm as a product, neither factor of which leaves the range where no gradient does. Where one is infinite or NaN,
// so is the first factor.
struct Norm {
  double scale, root;
};
Norm norm_of(const Tensors& dxs, double p) {
  const double total = norm_term(dxs, p);
  if (std::isinf(p)) return std::isfinite(total) ? Norm{1, total} : Norm{total, 1};
  const double root = std::pow(total, 1 / p);
  if (total > 1e-280 && std::isfinite(root)) return {1, root};
  // Powers may have left the range, or lost digits at its lower end: the largest is divided out.
  const double largest = norm_term(dxs, infinity);
  if (largest == 0) return {1, 0};
  if (!std::isfinite(largest)) return {largest, 1};
  return {largest, std::pow(norm_term(dxs, p, largest), 1 / p)};
}

}  // namespace

double clip_grad_norm_(const Tensors& parameters, double max_norm, double p, bool error_if_nonfinite) {
  nn::detail::expect("clip_grad_norm_", {{"max_norm", max_norm, {0, infinity}}, {"p", p, {0, infinity, true}}});
  const Tensors xs = detail::with_gradients("clip_grad_norm_", parameters);
  const Norm factors = [&] {
    Tensors dxs;
    for (const Tensor& x : xs) dxs.push_back(x.grad());
    return norm_of(dxs, p);
  }();
  const double norm = factors.scale * factors.root;
  if (!std::isfinite(factors.scale)) {
    if (error_if_nonfinite)
      limpid::detail::throw_error<ValueError>("clip_grad_norm_: expected finite gradients, got a norm of ", norm);
    return norm;
  }
  if (std::isinf(max_norm) || max_norm / (norm + 1e-6) >= 1) return norm;  // no norm is above infinity
  // All memory is had before any gradient is changed.
  std::vector<detail::Gradient> gradients;
  gradients.reserve(xs.size());
  for (const Tensor& x : xs) gradients.emplace_back(x);
  // The norm of finite gradients may be infinite, and the factor too small a number: then they are clipped step by
  // step. 1e-6 over a scale far below 1 may be infinite as well.
  const double scale = std::max(factors.scale, 1.0);
  const double rest = scale == 1 ? norm + 1e-6 : factors.root + 1e-6 / scale, factor = max_norm / rest;
  const bool in_steps = scale != 1 || factor < 1e-280;
  for (const detail::Gradient& gradient : gradients) {
    const Tensor& numbers = gradient.numbers();
    limpid::detail::visit_float(numbers.dtype(), [&]<class T>(T) {
      T* values = numbers.data<T>();
      const auto clip = [&](auto clipped) {
        for (int64_t k = 0; k < numbers.numel(); ++k)
          values[k] = static_cast<T>(clipped(static_cast<double>(values[k])));
      };
      if (in_steps)
        clip([=](double value) { return value / scale / rest * max_norm; });
      else
        clip([=](double value) { return value * factor; });
    });
    gradient.take();
  }
  return norm;
}

}  // namespace limpid::optim
