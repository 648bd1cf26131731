// Tensors as plain numbers, for gradcheck.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/core/tensor.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace limpid::detail {

using Values = std::vector<double>;  // of a tensor, row-major

Values values_of(const Tensor& x);
bool same_bits(const Values& a, const Values& b);
/// The largest finite magnitude, or 0.
double largest(const Values& xs);
/// The root mean square of the finite ones, or 1 where that is 0.
double scale_of(const Values& xs);

Axes multi_index(int64_t flat, const Shape& shape);
int64_t offset_of(const Axes& index, const Strides& strides);
std::string place(const Axes& index);

/// The spacing of dtype's numbers at 1.
double epsilon(DType dtype);
/// The largest of dtype's numbers.
double largest_of(DType dtype);
/// The nearest of dtype's numbers.
double round_to(double x, DType dtype);

// Copies of x, cut off from its graph. Whoever reads their memory as if it were dense reads no other, but NaN or the
// wrong elements.
Tensor copy_as(const Tensor& x, DType dtype);
/// Of these values; in shape, dtype and, where it is dense, layout like another.
Tensor tensor_of(const Values& values, const Tensor& like);
/// With its axes in reverse order of memory, and gaps between the elements.
Tensor strided_copy(const Tensor& x);
/// With its axes in reverse order of memory.
Tensor permuted_copy(const Tensor& x);
/// A slice of the last axis of a larger tensor.
Tensor sliced_copy(const Tensor& x);
Tensor channels_last_copy(const Tensor& x);
/// The first of x's slices along each of axes (all where none is given) in place of all others, with stride 0.
Tensor expanded_copy(const Tensor& x, const Axes& axes);
/// sum += factor x, both dense.
void add_scaled(const Tensor& sum, const Tensor& x, double factor);

/// Numbers of random sign and a magnitude in [0.5, 1.5], which float32 holds exactly (splitmix64). So fine that no sum
/// of some cancels by chance.
class Cotangents {
 public:
  explicit Cotangents(uint64_t seed) : state_(seed) {}
  double next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
    const double magnitude = 0.5 + static_cast<double>(z % ((1 << 20) + 1)) / (1 << 20);
    return z >> 63 ? -magnitude : magnitude;
  }
  Tensor like(const Tensor& y) {
    const Tensor dy = empty(y.shape(), float64);
    for (int64_t j = 0; j < dy.numel(); ++j) dy.data<double>()[j] = next();
    return as_dtype(dy, y.dtype());
  }

 private:
  uint64_t state_;
};

}  // namespace limpid::detail
