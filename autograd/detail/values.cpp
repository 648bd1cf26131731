#include <limpid/autograd/detail/values.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace limpid::detail {

Values values_of(const Tensor& x) {
  const Tensor dense = as_contiguous(as_dtype(x.detach(), float64));
  const double* p = dense.data<double>();
  return Values(p, p + dense.numel());
}

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

double largest(const Values& xs) {
  double most = 0;
  for (double x : xs)
    if (std::isfinite(x)) most = std::max(most, std::abs(x));
  return most;
}

double scale_of(const Values& xs) {
  double squares = 0;
  for (double x : xs) squares += x * x / static_cast<double>(xs.size());
  return squares > 0 && std::isfinite(squares) ? std::sqrt(squares) : 1;
}

Axes multi_index(int64_t flat, const Shape& shape) {
  Axes index(shape.size(), 0);
  for (std::size_t i = shape.size(); i-- > 0; flat /= shape[i]) index[i] = flat % shape[i];
  return index;
}

int64_t offset_of(const Axes& index, const Strides& strides) {
  int64_t offset = 0;
  for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
  return offset;
}

std::string place(const Axes& index) { return to_string(Shape(index.begin(), index.end())); }

double epsilon(DType dtype) {
  switch (dtype) {
    case DType::float16: return std::ldexp(1.0, -10);
    case DType::bfloat16: return std::ldexp(1.0, -7);
    case DType::float32: return std::ldexp(1.0, -23);
    default: return std::ldexp(1.0, -52);
  }
}

double round_to(double x, DType dtype) {
  const float y = static_cast<float>(x);
  switch (dtype) {
    case DType::float16: return static_cast<double>(to_float(to_half(y)));
    case DType::bfloat16: return static_cast<double>(to_float(to_bfloat16(y)));
    case DType::float32: return static_cast<double>(y);
    default: return x;
  }
}

Tensor copy_as(const Tensor& x, DType dtype) {
  Tensor y = empty_like(x, dtype);
  copy_into(y, x.detach());
  return y;
}

Tensor strided_copy(const Tensor& x) {
  Strides strides(x.shape().size(), 0);
  int64_t step = 2;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    strides[i] = step;
    step *= std::max<int64_t>(x.shape()[i], 1);
  }
  const Tensor y = make_view(zeros({step}, x.dtype()), x.shape(), strides, 1);
  copy_into(y, x.detach());
  return y;
}

Tensor channels_last_copy(const Tensor& x) {
  const Tensor y = empty(x.shape(), x.dtype(), MemoryFormat::channels_last);
  copy_into(y, x.detach());
  return y;
}

void add_scaled(const Tensor& sum, const Tensor& x, double factor) {
  const Values values = values_of(x);
  Values total = values_of(sum);
  for (std::size_t j = 0; j < total.size(); ++j) total[j] += factor * values[j];
  const Tensor dense = empty(sum.shape(), float64);
  std::copy(total.begin(), total.end(), dense.data<double>());
  copy_into(sum, dense);
}

}  // namespace limpid::detail
