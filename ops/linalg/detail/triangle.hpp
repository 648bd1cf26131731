// Triangular systems, for whoever has factors.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// x of t x = b, for b (..., n, k) and t one triangle of a (..., n, n), of which no more is read; differentiable.
/// Throws ValueError, naming op, where there is a 0 on the diagonal; `what` that does not fit tells what it belongs to.
Tensor solve_triangle(const char* op, const Tensor& a, const Tensor& b, bool upper, bool unitriangular = false,
                      const char* what = "invertible triangles");

}  // namespace limpid::detail
