// Mean and variance with their count, and how those of shards combine to those of the whole.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid {

/// Of each set of `count` elements: mean and biased variance, float64, of one shape.
struct Moments {
  Tensor mean, variance;
  int64_t count = 0;
};

/// Moments of x over axes (all where none is given), in the shape that mean() gives. x may have any dtype; integers are
/// taken as float64. For every finite input the mean is within 2^-52 of the largest |x| and the variance, formed from
/// differences by the kernels of the normalisations, within 2^-44 of itself. Differentiable; over no elements both are
/// NaN, with count 0.
Moments moments(const Tensor& x, const Axes& axes = {}, bool keepdims = false);

/// Moments of the union of two disjoint sets (Chan, Golub, LeVeque, "Algorithms for computing the sample variance",
/// 1983). With count 0 a side adds nothing. Differentiable. Merging k shards, in any order, adds at most
/// e = 4 k 2^-53 times the largest |mean| of a shard to the error of the mean, and 4 k 2^-53 variance +
/// 2 e sqrt(variance) + e^2 to that of the variance. Throws ShapeError where the shapes differ, DTypeError, ValueError
/// (an undefined tensor, a negative count).
Moments merge(const Moments& a, const Moments& b);

}  // namespace limpid
