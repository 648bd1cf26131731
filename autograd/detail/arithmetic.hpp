// What autograd/ itself does to tensors, all of it differentiable; defined by ops/, of which autograd/ knows nothing
// else.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// sum += x, or sum = x where it is undefined; in sum's memory where nobody else holds that and nothing is recorded.
void accumulate(Tensor& sum, Tensor x);

/// dy, of a shape that `shape` broadcasts to, summed down to it.
Tensor unbroadcast(const Tensor& dy, const Shape& shape);

/// dx seen as `shape`, which it broadcasts to.
Tensor broadcast(const Tensor& dx, const Shape& shape);

/// xs, all of one shape, one after another in memory that is seen as `shape`.
Tensor stack_as(const Tensors& xs, const Shape& shape);

}  // namespace limpid::detail
