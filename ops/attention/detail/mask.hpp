// Masks of attention.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// Whether a mask, with a 1 among them, holds zeros and ones alone: of floating point, it was meant to be bool.
bool is_of_zeros_and_ones(const Tensor& mask);

}  // namespace limpid::detail
