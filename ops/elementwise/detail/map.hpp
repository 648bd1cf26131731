// How an elementwise op meets its operands: promotion, broadcasting, layout, and the one loop over them.
#pragma once
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/scalar.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise/kernels/elementwise.hpp>

#include <cstddef>

namespace limpid::detail {

/// A tensor, or a number that stands for a tensor of any shape.
class Operand {
 public:
  Operand(const Tensor& x) noexcept : tensor_(&x.impl()) {}  // NOLINT
  /// Throws ValueError, naming op, where dtype does not hold x (see core/detail/number.hpp).
  Operand(const char* op, Scalar x, DType dtype);

  /// Null for a number.
  const TensorImpl* tensor() const noexcept { return tensor_; }
  const void* data() const noexcept { return tensor_ ? static_cast<const void*>(tensor_->data) : number_; }

 private:
  const TensorImpl* tensor_ = nullptr;
  alignas(8) std::byte number_[8];  ///< an element of the dtype
};

/// What map() does with its operands: y_i = f(x_i...), by the kernel that f has for their dtype.
struct Elementwise {
  const char* op;
  const kernels::KernelRow& f;
  DType dtype;
  DType result = dtype;  ///< y's
};

/// y = f(x...) in fresh memory. y takes the operands' layout where those of y's own shape share one without gaps; it is
/// channels-last where one of them is. Throws ShapeError and DTypeError (no such kernel).
Tensor map(const Elementwise& e, const Operand& a);
Tensor map(const Elementwise& e, const Operand& a, const Operand& b);
Tensor map(const Elementwise& e, const Operand& a, const Operand& b, const Operand& c);
Tensor map(const Elementwise& e, const Operand& a, const Operand& b, const Operand& c, const Operand& d);

inline bool lie_alike(const TensorImpl& a, const TensorImpl& b) noexcept {
  return a.layout == b.layout && a.dtype == b.dtype;
}
/// Without gaps, and too small to share out over threads: one run of a kernel is the whole op.
inline bool is_tiny(const TensorImpl& x) noexcept {
  return x.layout->numel <= elementwise_grain && x.layout->is_gapless();
}

/// f where a and b are tiny and lie alike. Null for others, which map() is for.
inline kernels::BinaryRun tiny_kernel(const kernels::ByDType<kernels::BinaryRun>& f, const Tensor& a,
                                      const Tensor& b) noexcept {
  if (!a.defined() || !b.defined()) return nullptr;
  const TensorImpl& p = a.impl();
  return lie_alike(p, b.impl()) && is_tiny(p) ? f[p.dtype] : nullptr;
}

/// y = f(a, b) where tiny_kernel() has f; else undefined, and so where a profiler is to see the op. Inlined by force: a
/// call takes a tenth of the time of the op.
[[gnu::always_inline]] inline Tensor map_tiny(const kernels::ByDType<kernels::BinaryRun>& f, const Tensor& a,
                                              const Tensor& b) {
  const kernels::BinaryRun kernel = tiny_kernel(f, a, b);
  if (!kernel || watching) return {};
  const TensorImpl &p = a.impl(), &q = b.impl();
  Ref<TensorImpl> y = TensorImpl::create(p.layout, p.dtype);
  kernel(p.layout->numel, y->data, p.data, q.data);
  return Tensor(std::move(y));
}

/// The same, into y, which has the full shape; an operand that overlaps y must be y itself.
void map_into(const Tensor& y, const Elementwise& e, const Operand& a);
void map_into(const Tensor& y, const Elementwise& e, const Operand& a, const Operand& b);
void map_into(const Tensor& y, const Elementwise& e, const Operand& a, const Operand& b, const Operand& c);

/// The dtype that arithmetic on dtype is done in.
constexpr DType compute_type(DType dtype) noexcept { return is_half(dtype) ? float32 : dtype; }
/// The dtype of a result of a tensor of dtype and a number.
inline DType promote_types(DType dtype, Scalar x) noexcept {
  if (x.is_floating()) return is_floating_point(dtype) ? dtype : float32;
  return dtype == bool_ && !x.is_bool() ? int64 : dtype;
}
/// The dtype of a result that integers do not hold.
constexpr DType floating_type(DType dtype) noexcept { return is_floating_point(dtype) ? dtype : float32; }

/// f(a, b) with both converted to dtype, computed as compute_type(dtype); undefined where that changes nothing, so that
/// the caller goes on: if (Tensor y = promoted(...); y.defined()) return y;
/// Conversions are recorded: gradients come back in each operand's own dtype.
template <class F>
Tensor promoted(DType dtype, const Tensor& a, const Tensor& b, F&& f) {
  const DType compute = compute_type(dtype);
  if (a.dtype() == compute && b.dtype() == compute) [[likely]]
    return {};
  return f(a.to(compute), b.to(compute)).to(dtype);
}
template <class F>
Tensor promoted(DType dtype, const Tensor& x, F&& f) {
  const DType compute = compute_type(dtype);
  if (x.dtype() == compute) [[likely]]
    return {};
  return f(x.to(compute)).to(dtype);
}

}  // namespace limpid::detail
