// Derivatives of functions of two operands that other ops are made of.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// The derivative of logaddexp(x, y) by x, e^x / (e^x + e^y); 1/2 where x = y, be they infinite.
Tensor logaddexp_share(const Tensor& x, const Tensor& y);

}  // namespace limpid::detail
