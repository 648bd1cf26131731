#include <limpid/core/shape.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>

#include <algorithm>
#include <numeric>
#include <ostream>

namespace limpid {

using detail::throw_error;

int64_t Shape::numel() const {
  int64_t product = 1;
  bool empty = false;
  for (int64_t size : *this) {
    if (size < 0) throw_error<ShapeError>("shape: expected sizes of at least 0, got ", *this);
    // An axis of size 0 must not hide an overflow of the others: strides are made of those.
    if (size == 0)
      empty = true;
    else if (__builtin_mul_overflow(product, size, &product) || product > (int64_t{1} << 56))
      throw_error<ShapeError>("shape: expected at most 2^56 elements, got ", *this);
  }
  return empty ? 0 : product;
}

std::string to_string(const Shape& shape) {
  detail::TextStream out;
  out << '(';
  for (std::size_t i = 0; i < shape.size(); ++i) out << (i ? ", " : "") << shape[i];
  out << (shape.size() == 1 ? ",)" : ")");
  return std::move(out).str();
}

// By way of a string: a user's stream may group digits, and (1,500) is another shape than (1500,).
std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

Strides contiguous_strides(const Shape& shape) {
  Strides strides(shape.size());
  int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Strides channels_last_strides(const Shape& shape) {
  if (shape.size() < 3) return contiguous_strides(shape);
  Strides strides(shape.size());
  strides[1] = 1;
  int64_t step = std::max<int64_t>(shape[1], 1);
  for (std::size_t i = shape.size(); i-- > 2;) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  strides[0] = step;
  return strides;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  const std::size_t lead = longer.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    int64_t& size = result[lead + i];
    if (size == shorter[i] || shorter[i] == 1) continue;
    if (size != 1) throw_error<ShapeError>(op, ": expected shapes that broadcast together, got ", a, " and ", b);
    size = shorter[i];
  }
  return result;
}

int64_t normalize_axis(int64_t axis, int64_t dim, const char* op) {
  const int64_t result = axis < 0 ? axis + dim : axis;
  if (result < 0 || result >= dim) {
    if (dim == 0) throw_error<ShapeError>(op, ": expected no axis for a tensor of rank 0, got ", axis);
    throw_error<ShapeError>(op, ": expected an axis in [", -dim, ", ", dim, "), got ", axis);
  }
  return result;
}

Axes normalize_axes(const Axes& axes, int64_t dim, const char* op) {
  Axes result = axes;
  if (axes.empty()) {
    result.resize(static_cast<std::size_t>(dim));
    std::iota(result.begin(), result.end(), int64_t{0});
    return result;
  }
  for (int64_t& axis : result) axis = normalize_axis(axis, dim, op);
  std::sort(result.begin(), result.end());
  const auto twice = std::adjacent_find(result.begin(), result.end());
  if (twice != result.end()) throw_error<ShapeError>(op, ": expected each axis once, got axis ", *twice, " twice");
  return result;
}

}  // namespace limpid
