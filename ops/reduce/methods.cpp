// Functions as members of a tensor.
#include <limpid/ops/reduce.hpp>

namespace limpid {

// clang-format off
Tensor Tensor::sum(const Axes& axes, bool keepdims) const { return limpid::sum(*this, axes, keepdims); }
Tensor Tensor::mean(const Axes& axes, bool keepdims) const { return limpid::mean(*this, axes, keepdims); }
Tensor Tensor::max() const { return limpid::max(*this); }
Tensor Tensor::min() const { return limpid::min(*this); }
Selection Tensor::max(int64_t axis, bool keepdims) const { return limpid::max(*this, axis, keepdims); }
Selection Tensor::min(int64_t axis, bool keepdims) const { return limpid::min(*this, axis, keepdims); }
Tensor Tensor::argmax() const { return limpid::argmax(*this); }
Tensor Tensor::argmin() const { return limpid::argmin(*this); }
Tensor Tensor::amax(const Axes& axes, bool keepdims) const { return limpid::amax(*this, axes, keepdims); }
Tensor Tensor::amin(const Axes& axes, bool keepdims) const { return limpid::amin(*this, axes, keepdims); }
Tensor Tensor::argmax(int64_t axis, bool keepdims) const { return limpid::argmax(*this, axis, keepdims); }
Tensor Tensor::argmin(int64_t axis, bool keepdims) const { return limpid::argmin(*this, axis, keepdims); }
Tensor Tensor::softmax(int64_t axis) const { return limpid::softmax(*this, axis); }
// clang-format on

Tensor Tensor::var(const Axes& axes, bool keepdims, double correction) const {
  return limpid::var(*this, axes, keepdims, correction);
}
Tensor Tensor::stddev(const Axes& axes, bool keepdims, double correction) const {
  return limpid::stddev(*this, axes, keepdims, correction);
}

}  // namespace limpid
