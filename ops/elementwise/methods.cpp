// Functions as members of a tensor.
#include <limpid/ops/elementwise.hpp>

namespace limpid {

// clang-format off
Tensor Tensor::abs() const { return limpid::abs(*this); }
Tensor Tensor::neg() const { return limpid::neg(*this); }
Tensor Tensor::exp() const { return limpid::exp(*this); }
Tensor Tensor::log() const { return limpid::log(*this); }
Tensor Tensor::sqrt() const { return limpid::sqrt(*this); }
Tensor Tensor::square() const { return limpid::square(*this); }
Tensor Tensor::pow(Scalar exponent) const { return limpid::pow(*this, exponent); }
Tensor Tensor::clamp(Scalar low, Scalar high) const { return limpid::clamp(*this, low, high); }
Tensor Tensor::pow(const Tensor& exponent) const { return limpid::pow(*this, exponent); }
Tensor Tensor::clamp(const Tensor& low, const Tensor& high) const { return limpid::clamp(*this, low, high); }
Tensor Tensor::relu() const { return limpid::relu(*this); }
Tensor Tensor::sigmoid() const { return limpid::sigmoid(*this); }
Tensor Tensor::tanh() const { return limpid::tanh(*this); }
// clang-format on

}  // namespace limpid
