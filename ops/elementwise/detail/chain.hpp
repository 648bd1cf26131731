// The chain rule's product, which every element-wise backward ends with.
//
// A gradient of zero stays zero, whatever the derivative it meets: of where(x > 0, sqrt(x), x) the branch not taken
// gets a dy of 0, and 0 times an infinite or undefined derivative would be NaN. Where dy is 0, only z is: its
// derivative by dy stays d, as that of a where() would not, so that second derivatives are right where a residual
// happens to be zero.
#pragma once
#include <limpid/core/scalar.hpp>
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// z = dy * d, but 0 where dy is 0; dz/ddy = d, dz/dd = dy. Of one floating-point dtype; shapes broadcast.
Tensor chain(const Tensor& dy, const Tensor& d);
Tensor chain(const Tensor& dy, Scalar d);
/// a - chain(dy, d), in one pass where nothing is recorded.
Tensor sub_chain(const Tensor& a, const Tensor& dy, const Tensor& d);
/// z = dy / d, but 0 where dy is 0, with one rounding.
Tensor chain_over(const Tensor& dy, const Tensor& d);
Tensor chain_over(const Tensor& dy, Scalar d);

}  // namespace limpid::detail
