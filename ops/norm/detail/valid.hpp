// Normalisation over the valid elements of each sample: ragged or masked spatial extents.
#pragma once
#include <limpid/core/tensor.hpp>

#include <functional>

namespace limpid::detail {

/// Which spatial elements of x (N, C, *spatial) count: a prefix of each axis, `lengths` long, or where `mask` holds.
struct ValidElements {
  Tensor lengths, mask;
  bool all() const noexcept { return !lengths.defined() && !mask.defined(); }
};

/// Throws where both are given, or one is not fit for x; needs x's rank to have been checked.
void check_valid(const ValidElements& valid, const Tensor& x, const char* op);

/// A weight or bias, perhaps undefined, that is about to become each sample's own: of half precision as float32, so
/// that what samples send back to it is added in float32, and rounded once.
inline Tensor shared_by_samples(const Tensor& t) { return t.defined() && is_half(t.dtype()) ? t.to(float32) : t; }

/// norm(x_n, weight_n, bias_n) of the valid elements of each sample, and 0 elsewhere, in x's shape and format. x_n is
/// (1, C, *spatial) with fewer elements, perhaps none, or (1, C, count); weight and bias: (C,), (N, C) or undefined.
Tensor normalize_valid(const ValidElements& valid, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>& norm);

}  // namespace limpid::detail
