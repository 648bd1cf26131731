#include <limpid/nn/layers/init.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/overlap.hpp>
#include <limpid/core/detail/rewind.hpp>
#include <limpid/nn/detail/ranges.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <type_traits>

namespace limpid::nn::init {

using detail::expect;
using limpid::detail::throw_error;

namespace {

void require_floating(const char* op, const Tensor& x) {
  limpid::detail::require_writable(op, x);
  if (!is_floating_point(x.dtype())) throw_error<DTypeError>(op, ": expected a floating-point tensor, got ", x.dtype());
}

bool holds(DType dtype, double value) {
  return std::isfinite(value) && std::isfinite(full({}, value, float64).to(dtype).item<double>());
}

// The dtype to draw in: x's own where it computes.
DType drawn_dtype(const Tensor& x) { return x.dtype() == float64 ? float64 : float32; }

void assign(const Tensor& x, const Tensor& values) {
  limpid::detail::copy_into(x, values);
  x.bump_version();
}

// y = scale * y + shift, in double.
void scale_and_shift(const Tensor& y, double scale, double shift) {
  const auto each = [=]<class T>(T* p, int64_t n) {
    for (int64_t i = 0; i < n; ++i) p[i] = static_cast<T>(scale * static_cast<double>(p[i]) + shift);
  };
  y.dtype() == float64 ? each(y.data<double>(), y.numel()) : each(y.data<float>(), y.numel());
}

// The next number of a dtype, up or down.
template <class T>
T neighbour(T x, bool up) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::nextafter(x, up ? INFINITY : -INFINITY);
  } else {
    constexpr unsigned sign = 0x8000;
    if ((x.bits & ~sign) == 0) return {static_cast<uint16_t>(up ? 1 : sign | 1)};
    const bool away_from_0 = up == ((x.bits & sign) == 0);
    return {static_cast<uint16_t>(x.bits + (away_from_0 ? 1 : -1))};
  }
}

// The least and the largest number of a dtype in [low, high), which rounding is not to leave; least > most where there
// is none.
struct Bounds {
  double least, most;
};
Bounds bounds_within(double low, double high, DType dtype) {
  const auto value = [](auto x) -> double {
    if constexpr (std::is_arithmetic_v<decltype(x)>)
      return static_cast<double>(x);
    else
      return double{to_float(x)};
  };
  return visit_dtype(dtype, [&]<class T>(T) -> Bounds {
    if constexpr (std::is_integral_v<T>) {
      return {low, high};
    } else {
      T least = limpid::detail::number<T>("uniform_", low), most = limpid::detail::number<T>("uniform_", high);
      if (value(least) < low) least = neighbour(least, true);
      if (value(most) >= high) most = neighbour(most, false);
      return {value(least), value(most)};
    }
  });
}

}  // namespace

void constant_(const Tensor& x, Scalar value) {
  limpid::detail::require_writable("constant_", x);
  expect("constant_", {{"value", value.to_double(), detail::finite}});
  limpid::detail::fill(x, value, "constant_");
  x.bump_version();
}

void uniform_(const Tensor& x, double low, double high, Generator& generator) {
  require_floating("uniform_", x);
  expect("uniform_", {{"low", low, detail::finite}, {"high", high, {low, limpid::detail::infinity, false, true}}});
  expect("uniform_", {{"high - low", high - low, detail::finite}});
  const Bounds bounds = bounds_within(low, high, x.dtype());
  const limpid::detail::Rewind rewind(generator);
  const Tensor y = rand(x.shape(), drawn_dtype(x), generator);
  scale_and_shift(y, high - low, low);
  if (bounds.least <= bounds.most) {
    const auto hold = [=]<class T>(T* p, int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        p[i] = std::clamp(p[i], static_cast<T>(bounds.least), static_cast<T>(bounds.most));
    };
    y.dtype() == float64 ? hold(y.data<double>(), y.numel()) : hold(y.data<float>(), y.numel());
  }
  assign(x, y);
}

void normal_(const Tensor& x, double mean, double stddev, Generator& generator) {
  require_floating("normal_", x);
  expect("normal_", {{"mean", mean, detail::finite}, {"stddev", stddev, detail::finite_at_least_0}});
  // randn() goes as far as sqrt(2 ln 2^bits), by words of so many bits (Box and Muller), here rounded up.
  const double reach = drawn_dtype(x) == float64 ? 9.42 : 6.67, farthest = std::abs(mean) + reach * stddev;
  if (!holds(x.dtype(), farthest))
    throw_error<ValueError>("normal_: expected draws that ", x.dtype(), " holds, up to ", detail::text(reach),
                            " standard deviations from the mean, got mean = ", detail::text(mean),
                            ", stddev = ", detail::text(stddev));
  const limpid::detail::Rewind rewind(generator);
  const Tensor y = randn(x.shape(), drawn_dtype(x), generator);
  scale_and_shift(y, stddev, mean);
  assign(x, y);
}

Fans fans(const Tensor& weight) {
  if (weight.dim() < 2)
    throw_error<ShapeError>("fans: expected a weight of shape (out, in, *kernel), got ", weight.shape());
  int64_t kernel = 1;
  for (int64_t axis = 2; axis < weight.dim(); ++axis) kernel *= weight.size(axis);
  return {weight.size(1) * kernel, weight.size(0) * kernel};
}

namespace {

double kaiming_stddev(const char* op, const Tensor& weight, const KaimingOptions& options) {
  const auto& [a, keeps] = options;
  expect(op, {{"a", a, detail::finite}});
  limpid::detail::require_member(op, "Fan", keeps, Fan::out, "in or out");
  const Fans f = fans(weight);
  const int64_t fan = keeps == Fan::in ? f.in : f.out;
  return fan > 0 ? std::sqrt(2 / (1 + a * a) / static_cast<double>(fan)) : 0;
}

double xavier_stddev(const char* op, const Tensor& weight, double gain) {
  expect(op, {{"gain", gain, detail::finite}});
  const Fans f = fans(weight);
  return f.in + f.out > 0 ? gain * std::sqrt(2 / static_cast<double>(f.in + f.out)) : 0;
}

// Uniform within +-sqrt(3) stddev has that standard deviation.
void uniform_of_stddev(const Tensor& weight, double stddev, Generator& generator) {
  uniform_(weight, -std::sqrt(3.0) * stddev, std::sqrt(3.0) * stddev, generator);
}

}  // namespace

void kaiming_uniform_(const Tensor& weight, const KaimingOptions& options, Generator& generator) {
  uniform_of_stddev(weight, kaiming_stddev("kaiming_uniform_", weight, options), generator);
}
void kaiming_normal_(const Tensor& weight, const KaimingOptions& options, Generator& generator) {
  normal_(weight, 0, kaiming_stddev("kaiming_normal_", weight, options), generator);
}
void xavier_uniform_(const Tensor& weight, double gain, Generator& generator) {
  uniform_of_stddev(weight, std::abs(xavier_stddev("xavier_uniform_", weight, gain)), generator);
}
void xavier_normal_(const Tensor& weight, double gain, Generator& generator) {
  normal_(weight, 0, std::abs(xavier_stddev("xavier_normal_", weight, gain)), generator);
}

void orthogonal_(const Tensor& weight, double gain, Generator& generator) {
  require_floating("orthogonal_", weight);
  expect("orthogonal_", {{"gain", gain, detail::finite}});
  fans(weight);
  std::byte place[8];
  limpid::detail::store_number("orthogonal_", gain, weight.dtype(), place);  // no element is larger
  const int64_t rows = weight.size(0), columns = rows ? weight.numel() / rows : 0;
  const int64_t count = std::min(rows, columns), length = std::max(rows, columns);
  // Gram and Schmidt, twice over for accuracy, on `count` normal vectors.
  const limpid::detail::Rewind rewind(generator);
  const Tensor vectors = randn({count, length}, float64, generator);
  const auto vector = [&](int64_t i) { return vectors.data<double>() + i * length; };
  for (int64_t i = 0; i < count; ++i) {
    double* v = vector(i);
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t j = 0; j < i; ++j) {
        const double dot = std::inner_product(v, v + length, vector(j), 0.0);
        for (int64_t k = 0; k < length; ++k) v[k] -= dot * vector(j)[k];
      }
    const double norm = std::sqrt(std::inner_product(v, v + length, v, 0.0));
    for (int64_t k = 0; k < length; ++k) v[k] /= norm;
  }
  scale_and_shift(vectors, gain, 0);
  const Strides strides = rows <= columns ? Strides{length, 1} : Strides{1, length};
  const Tensor matrix = limpid::detail::as_contiguous(limpid::detail::make_view(vectors, {rows, columns}, strides, 0));
  assign(weight, limpid::detail::make_view(matrix, weight.shape(), contiguous_strides(weight.shape()), 0));
}

}  // namespace limpid::nn::init
