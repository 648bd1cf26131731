// Conversions of dtype and layout, and copies.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>

namespace limpid {
namespace {

struct ToNode final : Node {
  DType from{};
  const char* name() const noexcept override { return "to"; }
  // y_i = x_i rounded to another dtype:  dx = dy, in x's dtype.
  Tensors backward(const Tensors& dy) override { return {dy[0].to(from)}; }
  Tensors jvp(const Tensors& dx) override { return {dx[0].to(outputs()[0].dtype)}; }
};

struct CopyNode final : SymmetricNode {
  const char* name() const noexcept override { return "clone"; }
  // y = x, elsewhere in memory:  dx = dy.
  Tensors backward(const Tensors& dy) override { return {dy[0]}; }
};

Tensor copied(const Tensor& x, Tensor y) {
  const detail::OpScope scope("copy");
  detail::copy_into(y, x);
  record<CopyNode>(y, x);
  return y;
}

}  // namespace

Tensor Tensor::to(DType dtype) const {
  if (this->dtype() == dtype) return *this;
  Tensor y = detail::as_dtype(*this, dtype);
  if (!is_floating_point(dtype)) return y;  // integers carry no gradient
  if (auto* node = record<ToNode>(y, *this)) node->from = this->dtype();
  return y;
}

Tensor Tensor::contiguous(MemoryFormat format) const {
  detail::require_format("contiguous", format);
  if (format == MemoryFormat::channels_last && dim() < 3)
    detail::throw_error<ShapeError>("contiguous: expected at least 3 axes for channels_last, got shape ", shape());
  return is_contiguous(format) ? *this : copied(*this, empty(shape(), dtype(), format));
}

Tensor Tensor::clone() const { return copied(*this, empty_like(*this)); }

}  // namespace limpid
