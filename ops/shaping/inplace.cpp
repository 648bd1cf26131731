// Tensor's in-place operations, and the engine's running sum.
//
// While recording, x.add_(z) is y = add(x, z) written into x's memory, after which x stands for y. Saved tensors on
// that memory know by its version that they are stale, and recorded views by its epoch. What cannot be told is refused:
// a view that is written to while its base lives, and a tensor without a history that others see.
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/overlap.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/shaping.hpp>
#include <limpid/ops/shaping/detail/indexing.hpp>

namespace limpid {

using detail::require_whole;
using detail::require_writable;
using detail::throw_error;

namespace {

// Whether this write is recorded. Throws where it may not be.
bool records(const char* op, const Tensor& x, bool source_requires_grad) {
  if (!is_grad_enabled() || !(x.requires_grad() || source_requires_grad)) return false;
  if (x.requires_grad() && x.is_leaf())
    throw_error<AutogradError>(op,
                               ": expected a tensor that is no leaf, got a leaf that requires a gradient; write to ",
                               "it under a NoGradGuard");
  const Storage& memory = *x.impl().storage;
  if (memory.from_inference())
    throw_error<AutogradError>(op, ": expected memory that may be recorded while recording, got a tensor of shape ",
                               x.shape(), " from inference mode; clone() it first");
  if ((x.impl().is_view || !x.requires_grad()) && memory.use_count() > 1)
    throw_error<AutogradError>(op, ": expected a tensor with memory of its own while recording, got ",
                               x.impl().is_view ? "a view" : "one without a history", " that shares memory with ",
                               "another tensor; use the op that gives a new tensor, or write under a NoGradGuard");
  return true;
}

struct CopyNode final : Node {
  DType from{};
  const char* name() const noexcept override { return "copy_"; }
  // y = x, broadcast and converted, whatever y was:  dx = dy.
  Tensors backward(const Tensors& dy) override { return {dy[0].to(from)}; }
  Tensors jvp(const Tensors& dx) override { return {dx[0].to(outputs()[0].dtype)}; }
};

// x's memory takes y's values, and x stands for y from now on.
void become(const Tensor& x, const Tensor& y) {
  detail::copy_into(x, y);
  x.bump_version();
  Node::rebase(x, y);
}

void require_source(const char* op, const Tensor& x, const Tensor& source) {
  require_writable(op, x);
  detail::require_defined(op, source);
  if (source.shape() == x.shape()) return;
  if (source.dim() > x.dim() || broadcast_shapes(x.shape(), source.shape(), op) != x.shape())
    throw_error<ShapeError>(op, ": expected a source that broadcasts to ", x.shape(), ", got ", source.shape());
}

// source, or a copy of it where writing to x would change it in mid-course.
Tensor apart_from(const Tensor& x, const Tensor& source) {
  return detail::coincides(x, source) || !detail::overlaps(x, source) ? source : source.clone();
}

void require_kind(const char* op, const Tensor& x, DType source) {
  if (is_floating_point(source) && !is_floating_point(x.dtype()))
    throw_error<DTypeError>(op, ": expected a source that ", x.dtype(), " can hold, got ", source);
}

void require_quotient(const char* op, const Tensor& x) {
  if (!is_floating_point(x.dtype()))
    throw_error<DTypeError>(op, ": expected a floating-point dtype, which quotients have, got ", x.dtype());
}

}  // namespace

Tensor& Tensor::copy_(const Tensor& source) {
  const detail::OpScope scope("copy_");
  require_source("copy_", *this, source);
  if (is_same(source)) return *this;
  const bool recorded = records("copy_", *this, source.requires_grad() && is_floating_point(dtype()));
  detail::copy_into(*this, apart_from(*this, source));
  bump_version();
  if (recorded) {
    Tensor y = detach();
    if (auto* node = record<CopyNode>(y, source)) node->from = source.dtype();
    Node::rebase(*this, y);
  }
  return *this;
}

Tensor& Tensor::fill_(Scalar value) {
  require_writable("fill_", *this);
  const bool recorded = records("fill_", *this, false);
  detail::fill(*this, value, "fill_");
  bump_version();
  if (recorded) Node::rebase(*this, detach());  // it depends on nothing any more
  return *this;
}

Tensor& Tensor::add_(const Tensor& other, Scalar alpha) {
  require_source("add_", *this, other);
  require_kind("add_", *this, other.dtype());
  require_whole("add_", *this, alpha);
  // Half precision is float32 until the sum is there.
  const DType compute = detail::compute_type(dtype());
  const Tensor z = other.to(compute);
  const bool plain = alpha.to_double() == 1;
  const auto total = [&] { return add(to(compute), plain ? z : mul(z, alpha)).to(dtype()); };
  if (records("add_", *this, other.requires_grad())) {
    become(*this, total());
  } else if (is_half(dtype())) {
    detail::copy_into(*this, total());
    bump_version();
  } else {
    const Tensor source = apart_from(*this, z);
    if (plain)
      detail::map_into(*this, {"add_", kernels::arithmetic().add, dtype()}, *this, source);
    else
      detail::map_into(*this, {"add_", kernels::arithmetic().add_scaled, dtype()}, *this, source,
                       detail::Operand("add_", alpha, dtype()));
    bump_version();
  }
  return *this;
}

Tensor& Tensor::add_(Scalar other, Scalar alpha) {
  require_writable("add_", *this);
  require_whole("add_", *this, other);
  return add_(detail::number_for("add_", other, is_half(dtype()) ? float32 : dtype()), alpha);
}

Tensor& Tensor::mul_(const Tensor& other) {
  require_source("mul_", *this, other);
  require_kind("mul_", *this, other.dtype());
  const Tensor z = other.to(detail::compute_type(dtype()));
  if (records("mul_", *this, other.requires_grad())) {
    // The product keeps its factors, and this one is about to change.
    become(*this, mul(z.requires_grad() ? clone() : *this, z.is_same(*this) ? clone() : z).to(dtype()));
  } else if (is_half(dtype())) {
    detail::copy_into(*this, mul(*this, z));
    bump_version();
  } else {
    detail::map_into(*this, {"mul_", kernels::arithmetic().mul, dtype()}, *this, apart_from(*this, z));
    bump_version();
  }
  return *this;
}

Tensor& Tensor::mul_(Scalar factor) {
  require_writable("mul_", *this);
  require_whole("mul_", *this, factor);
  if (records("mul_", *this, false)) {
    become(*this, mul(*this, factor));
    return *this;
  }
  if (is_half(dtype()))
    detail::copy_into(*this, mul(*this, factor));
  else
    detail::map_into(*this, {"mul_", kernels::arithmetic().mul, dtype()}, *this,
                     detail::Operand("mul_", factor, dtype()));
  bump_version();
  return *this;
}

Tensor& Tensor::div_(const Tensor& other) {
  require_source("div_", *this, other);
  require_quotient("div_", *this);
  const auto quotient = [&] {
    // In this tensor's dtype; of itself, the divisor that is kept must not change.
    const DType compute = detail::compute_type(dtype());
    return div(to(compute), other.is_same(*this) ? clone().to(compute) : other.to(compute)).to(dtype());
  };
  if (records("div_", *this, other.requires_grad())) {
    become(*this, quotient());
  } else {
    const NoGradGuard guard;
    detail::copy_into(*this, quotient());
    bump_version();
  }
  return *this;
}

Tensor& Tensor::div_(Scalar divisor) {
  require_writable("div_", *this);
  require_quotient("div_", *this);
  if (records("div_", *this, false)) {
    become(*this, div(*this, divisor));
  } else {
    const NoGradGuard guard;
    detail::copy_into(*this, div(*this, divisor));
    bump_version();
  }
  return *this;
}

Tensor& Tensor::index_put_(std::initializer_list<TensorIndex> at, const Tensor& values, bool accumulate) {
  const detail::OpScope scope("index_put_");
  require_writable("index_put_", *this);
  detail::require_defined("index_put_", "values", values);
  require_kind("index_put_", *this, values.dtype());
  if (records("index_put_", *this, values.requires_grad() && is_floating_point(dtype()))) {
    become(*this, detail::put(*this, at, values, accumulate));
    return *this;
  }
  const NoGradGuard guard;
  // A negative step gives a copy, which is no way to this memory.
  const Tensor view = accumulate ? Tensor() : detail::chosen_view(detach(), at);
  if (view.defined() && view.shares_storage_with(*this)) {
    require_source("index_put_", view, values);
    detail::copy_into(view, apart_from(view, values));
  } else {
    detail::copy_into(*this, detail::put(detach(), at, values, accumulate));
  }
  bump_version();
  return *this;
}

Tensor& Tensor::index_put_(std::initializer_list<TensorIndex> at, Scalar value, bool accumulate) {
  require_writable("index_put_", *this);
  return index_put_(at, detail::number_for("index_put_", value, dtype()), accumulate);
}

Tensor& Tensor::masked_fill_(const Tensor& mask, Scalar value) {
  require_writable("masked_fill_", *this);
  detail::require_defined("masked_fill_", "mask", mask);
  if (mask.dtype() != bool_) throw_error<DTypeError>("masked_fill_: expected a mask of dtype bool, got ", mask.dtype());
  if (mask.dim() > dim() || broadcast_shapes(shape(), mask.shape(), "masked_fill_") != shape())
    throw_error<ShapeError>("masked_fill_: expected a mask that broadcasts to ", shape(), ", got ", mask.shape());
  require_whole("masked_fill_", *this, value);
  const Tensor number = detail::number_for("masked_fill_", value, dtype());
  if (records("masked_fill_", *this, false)) {
    become(*this, where(mask, number, *this));
  } else {
    const NoGradGuard guard;
    detail::copy_into(*this, where(mask, number, detach()));
    bump_version();
  }
  return *this;
}

namespace {

// x becomes made(op, x), whose recorded inputs are x and, where it requires a gradient, a source.
template <class F>
Tensor& remade(const char* op, Tensor& x, bool source_requires_grad, const F& made) {
  const detail::OpScope scope(op);
  if (records(op, x, source_requires_grad)) {
    become(x, made(op, x));
  } else {
    const NoGradGuard guard;
    detail::copy_into(x, made(op, x.detach()));
    x.bump_version();
  }
  return x;
}

}  // namespace

Tensor& Tensor::index_add_(int64_t axis, const Tensor& index, const Tensor& source, Scalar alpha) {
  require_writable("index_add_", *this);
  detail::require_defined("index_add_", "source", source);
  return remade("index_add_", *this, source.requires_grad(), [&](const char* op, const Tensor& x) {
    return detail::index_added(op, x, axis, index, source, alpha);
  });
}

Tensor& Tensor::scatter_(int64_t axis, const Tensor& index, const Tensor& source) {
  require_writable("scatter_", *this);
  detail::require_defined("scatter_", "source", source);
  return remade("scatter_", *this, source.requires_grad(),
                [&](const char* op, const Tensor& x) { return detail::scattered_over(op, x, axis, index, source); });
}

Tensor& Tensor::scatter_(int64_t axis, const Tensor& index, Scalar value) {
  require_writable("scatter_", *this);
  return remade("scatter_", *this, false,
                [&](const char* op, const Tensor& x) { return detail::scattered_over(op, x, axis, index, value); });
}

Tensor& Tensor::scatter_add_(int64_t axis, const Tensor& index, const Tensor& source) {
  require_writable("scatter_add_", *this);
  detail::require_defined("scatter_add_", "source", source);
  return remade("scatter_add_", *this, source.requires_grad(),
                [&](const char* op, const Tensor& x) { return detail::scatter_added(op, x, axis, index, source); });
}

namespace detail {

void accumulate(Tensor& sum, Tensor x) {
  if (!sum.defined()) {
    sum = std::move(x);
    return;
  }
  // In the memory of whichever nobody else holds.
  bool own = sum.is_unique();
  if (!own && x.is_unique()) {
    std::swap(sum, x);
    own = true;
  }
  own = own && !is_grad_enabled();
  const kernels::ArithmeticKernels& f = kernels::arithmetic();
  if (const auto kernel = own ? tiny_kernel(f.add_run, sum, x) : nullptr)
    kernel(sum.numel(), sum.raw_data(), sum.raw_data(), x.raw_data());
  else if (own && sum.impl().layout->is_gapless() && !is_half(sum.dtype()) && sum.shape() == x.shape())
    map_into(sum, {"add", f.add, sum.dtype()}, sum, x);
  else
    sum = add(sum, x);
}

}  // namespace detail
}  // namespace limpid
