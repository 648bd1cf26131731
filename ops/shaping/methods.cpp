// Functions as members of a tensor.
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid {

// clang-format off
Tensor Tensor::reshape(const Shape& shape) const { return limpid::reshape(*this, shape); }
Tensor Tensor::flatten(int64_t first, int64_t last) const { return limpid::flatten(*this, first, last); }
Tensor Tensor::permute(const Axes& order) const { return limpid::permute(*this, order); }
Tensor Tensor::transpose(int64_t a, int64_t b) const { return limpid::transpose(*this, a, b); }
Tensor Tensor::squeeze(const Axes& axes) const { return limpid::squeeze(*this, axes); }
Tensor Tensor::unsqueeze(int64_t axis) const { return limpid::unsqueeze(*this, axis); }
Tensor Tensor::expand(const Shape& shape) const { return limpid::expand(*this, shape); }
Tensor Tensor::select(int64_t axis, int64_t index) const { return limpid::select(*this, axis, index); }
Tensors Tensor::split(int64_t size, int64_t axis) const { return limpid::split(*this, size, axis); }
Tensors Tensor::split(const Shape& sizes, int64_t axis) const { return limpid::split(*this, sizes, axis); }
Tensors Tensor::chunk(int64_t chunks, int64_t axis) const { return limpid::chunk(*this, chunks, axis); }
// clang-format on

Tensor Tensor::slice(int64_t axis, int64_t start, int64_t stop, int64_t step) const {
  return limpid::slice(*this, axis, start, stop, step);
}

Tensor Tensor::t() const {
  if (dim() != 2) detail::throw_error<ShapeError>("t: expected a matrix, got shape ", shape());
  return limpid::transpose(*this, 0, 1);
}

}  // namespace limpid
