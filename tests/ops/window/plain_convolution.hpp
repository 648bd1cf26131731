// What the tests of convolutions and of transposed ones share: sizes of one to three axes in plain loops.
#pragma once
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/window.hpp>

#include <algorithm>
#include <array>

#include <limpid/tests/ops/plain.hpp>

namespace plain {

inline Shape joined(Shape shape, const Shape& axes) {
  for (const int64_t axis : axes) shape.push_back(axis);
  return shape;
}

// A number of each of three axes, of which those that x does not have are single.
struct Numbers {
  int64_t of[3] = {1, 1, 1};
  Numbers(const Shape& sizes) { std::copy(sizes.begin(), sizes.end(), of + 3 - sizes.dim()); }
  Numbers(const Spatial& numbers, int64_t rank, int64_t single) : of{single, single, single} {
    for (int64_t a = 0; a < rank; ++a) of[3 - rank + a] = numbers[a];
  }
  int64_t count() const { return of[0] * of[1] * of[2]; }
  // The i-th place in row-major order.
  std::array<int64_t, 3> place(int64_t i) const { return {i / of[2] / of[1], i / of[2] % of[1], i % of[2]}; }
};

/// No product of an element of a and one of b is above it.
inline double largest(const Tensor& a, const Tensor& b) {
  return max(abs(a)).item<double>() * max(abs(b)).item<double>();
}

inline constexpr MemoryFormat formats[] = {MemoryFormat::contiguous, MemoryFormat::channels_last};

}  // namespace plain
