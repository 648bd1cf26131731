// Masks of attention.
#pragma once
#include <limpid/core/tensor.hpp>

#include <cstdint>

namespace limpid::detail {

/// x with size 1 in place of axes along which it repeats itself, but for the last `kept`.
Tensor distinct(const Tensor& x, int64_t kept);
/// Whether a mask, with a 1 among them, holds zeros and ones alone: of floating point, it was meant to be bool.
bool is_of_zeros_and_ones(const Tensor& mask);

}  // namespace limpid::detail
