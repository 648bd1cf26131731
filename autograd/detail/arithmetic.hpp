// The two sums the engine forms, differentiable both; defined by ops/, of which autograd/ knows nothing else.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// a + b, written into a's memory where nobody else holds that and nothing is being recorded.
Tensor accumulate(Tensor a, const Tensor& b);

/// dy, of a shape that `shape` broadcasts to, summed down to it.
Tensor unbroadcast(const Tensor& dy, const Shape& shape);

}  // namespace limpid::detail
