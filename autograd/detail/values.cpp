#include <limpid/autograd/detail/values.hpp>

#include <limpid/core/detail/number.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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
  const double most = largest(xs);
  if (most == 0) return 1;
  double squares = 0, count = 0;
  for (double x : xs)
    if (std::isfinite(x)) squares += x / most * (x / most), ++count;
  return most * std::sqrt(squares / count);
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

double largest_of(DType dtype) {
  switch (dtype) {
    case DType::float16: return 65504;
    case DType::bfloat16: return std::ldexp(255.0, 120);
    case DType::float32: return std::numeric_limits<float>::max();
    default: return std::numeric_limits<double>::max();
  }
}

double round_to(double x, DType dtype) {
  switch (dtype) {
    case DType::float16: return static_cast<double>(to_float(to_half(odd_float(x))));
    case DType::bfloat16: return static_cast<double>(to_float(to_bfloat16(odd_float(x))));
    case DType::float32: return static_cast<double>(static_cast<float>(x));
    default: return x;
  }
}

Tensor copy_as(const Tensor& x, DType dtype) {
  Tensor y = empty_like(x, dtype);
  copy_into(y, x.detach());
  return y;
}

Tensor tensor_of(const Values& values, const Tensor& like) {
  const Tensor dense = empty(like.shape(), float64), y = empty_like(like.detach());
  std::copy(values.begin(), values.end(), dense.data<double>());
  copy_into(y, dense);
  return y;
}

namespace {

Tensor in_memory(const Tensor& x, int64_t numel, const Strides& strides, int64_t offset) {
  const Tensor y = make_view(full({std::max<int64_t>(numel, 1)}, std::nan(""), x.dtype()), x.shape(), strides, offset);
  copy_into(y, x.detach());
  return y;
}

Strides reversed_strides(const Shape& shape, int64_t step) {
  Strides strides(shape.size(), 0);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

}  // namespace

Tensor strided_copy(const Tensor& x) { return in_memory(x, 2 * x.numel() + 1, reversed_strides(x.shape(), 2), 1); }

Tensor permuted_copy(const Tensor& x) { return in_memory(x, x.numel(), reversed_strides(x.shape(), 1), 0); }

Tensor sliced_copy(const Tensor& x) {
  Shape larger = x.shape();
  larger.back() += 2;
  return in_memory(x, larger.numel(), contiguous_strides(larger), 1);
}

Tensor expanded_copy(const Tensor& x, const Axes& axes) {
  Shape one = x.shape();
  for (int64_t axis : normalize_axes(axes, x.dim(), "gradcheck"))
    one[static_cast<std::size_t>(axis)] = std::min<int64_t>(one[static_cast<std::size_t>(axis)], 1);
  Strides strides = contiguous_strides(one);
  for (std::size_t i = 0; i < one.size(); ++i)
    if (one[i] != x.shape()[i]) strides[i] = 0;
  const Tensor memory = full({std::max<int64_t>(x.numel(), 1)}, std::nan(""), x.dtype());
  copy_into(make_view(memory, one, contiguous_strides(one), 0), make_view(x.detach(), one, x.strides(), x.offset()));
  return make_view(memory, x.shape(), strides, 0);
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
  copy_into(sum, tensor_of(total, sum));
}

}  // namespace limpid::detail
