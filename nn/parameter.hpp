// A module's member for a tensor that the module has registered.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/ref.hpp>
#include <limpid/core/tensor.hpp>

#include <cstdint>
#include <initializer_list>

// Internal, and not exported.
namespace limpid {
namespace nn {
namespace detail {
struct Derivation;
}  // namespace detail
}  // namespace nn
}  // namespace limpid

namespace LIMPID_API limpid {

namespace nn {
class Module;
namespace detail {
class Copying;
struct Access;
}  // namespace detail
}  // namespace nn

class Parameter;
class NewParameter;
namespace nn {
void tie(const Parameter& x, const Parameter& y);
}

/// The one tensor that a module has registered under a name: what the member, parameters(), state_dict() and an
/// optimiser see. It is used as a Tensor is, in any function of tensors and by Tensor's own members, but never bound to
/// another tensor: assigning one does not compile. What Tensor changes in place is changed for all who hold it.
///
/// One that weight_norm() or spectral_norm() computes from others is computed where it is read, and cannot be changed.
///
/// It stands in limpid, so that operators on tensors are found for it, and is written nn::Parameter, or nn::Buffer.
class Parameter {
 public:
  /// None, as a Tensor{} is, until it is given what parameter() or buffer() makes.
  Parameter() noexcept = default;
  Parameter(const Parameter& other) noexcept;
  ~Parameter();
  Parameter& operator=(NewParameter&& made);

  // A module is assigned as a handle, and with it its members. By itself no member may be. Throws ValueError where it
  // is (the compiler lets it pass for a constant).
  Parameter& operator=(const Parameter& other);
  Parameter& operator=(Parameter&) = delete;     // copy values by x.copy_(y), share one tensor by nn::tie(x, y)
  Parameter& operator=(Parameter&&) = delete;    // copy values by x.copy_(y), share one tensor by nn::tie(x, y)
  Parameter& operator=(const Tensor&) = delete;  // copy values by x.copy_(y), under a NoGradGuard

  operator const Tensor&() const { return tensor(); }  // NOLINT: it is a tensor wherever one is read
  const Tensor& tensor() const {
    if (!slot_) return none();
    return slot_->derivation ? derived(*slot_) : slot_->tensor;
  }

  // What a Tensor has.
  bool defined() const noexcept { return slot_ && (slot_->derivation || slot_->tensor.defined()); }
  const Shape& shape() const { return tensor().shape(); }
  const Strides& strides() const { return tensor().strides(); }
  DType dtype() const { return tensor().dtype(); }
  int64_t dim() const { return tensor().dim(); }
  int64_t numel() const { return tensor().numel(); }
  int64_t size(int64_t axis) const { return tensor().size(axis); }
  int64_t offset() const { return tensor().offset(); }
  std::size_t itemsize() const { return tensor().itemsize(); }
  bool is_contiguous(MemoryFormat format = MemoryFormat::contiguous) const { return tensor().is_contiguous(format); }
  MemoryFormat memory_format() const { return tensor().memory_format(); }
  bool shares_storage_with(const Tensor& other) const { return tensor().shares_storage_with(other); }
  template <class T>
  T* data() const {
    return tensor().data<T>();
  }
  void* raw_data() const { return tensor().raw_data(); }
  template <class T>
  T item() const {
    return tensor().item<T>();
  }
  Tensor to(DType dtype) const { return tensor().to(dtype); }
  Tensor contiguous(MemoryFormat format = MemoryFormat::contiguous) const { return tensor().contiguous(format); }
  Tensor clone() const { return tensor().clone(); }
  Tensor detach() const { return tensor().detach(); }
  const Parameter& copy_(const Tensor& source) const { return changed(handle().copy_(source)); }
  const Parameter& fill_(Scalar value) const { return changed(handle().fill_(value)); }
  const Parameter& zero_() const { return changed(handle().zero_()); }
  const Parameter& add_(const Tensor& other, Scalar alpha = 1) const { return changed(handle().add_(other, alpha)); }
  const Parameter& mul_(const Tensor& other) const { return changed(handle().mul_(other)); }
  const Parameter& mul_(Scalar factor) const { return changed(handle().mul_(factor)); }
  const Parameter& add_(Scalar other, Scalar alpha = 1) const { return changed(handle().add_(other, alpha)); }
  const Parameter& div_(const Tensor& other) const { return changed(handle().div_(other)); }
  const Parameter& div_(Scalar divisor) const { return changed(handle().div_(divisor)); }
  const Parameter& masked_fill_(const Tensor& mask, Scalar value) const {
    return changed(handle().masked_fill_(mask, value));
  }
  const Parameter& index_add_(int64_t axis, const Tensor& index, const Tensor& source, Scalar alpha = 1) const {
    return changed(handle().index_add_(axis, index, source, alpha));
  }
  const Parameter& scatter_(int64_t axis, const Tensor& index, const Tensor& source) const {
    return changed(handle().scatter_(axis, index, source));
  }
  const Parameter& scatter_(int64_t axis, const Tensor& index, Scalar value) const {
    return changed(handle().scatter_(axis, index, value));
  }
  const Parameter& scatter_add_(int64_t axis, const Tensor& index, const Tensor& source) const {
    return changed(handle().scatter_add_(axis, index, source));
  }
  const Parameter& operator+=(const Tensor& other) const { return add_(other); }
  const Parameter& operator+=(Scalar other) const { return add_(other); }
  const Parameter& operator-=(const Tensor& other) const { return add_(other, -1); }
  const Parameter& operator-=(Scalar other) const { return add_(other, -1); }
  const Parameter& operator*=(const Tensor& other) const { return mul_(other); }
  const Parameter& operator*=(Scalar factor) const { return mul_(factor); }
  const Parameter& operator/=(const Tensor& other) const { return div_(other); }
  const Parameter& operator/=(Scalar divisor) const { return div_(divisor); }
  Tensor operator[](int64_t i) const { return tensor()[i]; }
  Tensor index(std::initializer_list<TensorIndex> at) const { return tensor().index(at); }
  const Parameter& index_put_(std::initializer_list<TensorIndex> at, const Tensor& values,
                              bool accumulate = false) const {
    return changed(handle().index_put_(at, values, accumulate));
  }
  const Parameter& index_put_(std::initializer_list<TensorIndex> at, Scalar value, bool accumulate = false) const {
    return changed(handle().index_put_(at, value, accumulate));
  }
  Tensor reshape(const Shape& shape) const { return tensor().reshape(shape); }
  Tensor flatten(int64_t first = 0, int64_t last = -1) const { return tensor().flatten(first, last); }
  Tensor permute(const Axes& order) const { return tensor().permute(order); }
  Tensor transpose(int64_t a, int64_t b) const { return tensor().transpose(a, b); }
  Tensor t() const { return tensor().t(); }
  Tensor squeeze(const Axes& axes = {}) const { return tensor().squeeze(axes); }
  Tensor unsqueeze(int64_t axis) const { return tensor().unsqueeze(axis); }
  Tensor expand(const Shape& shape) const { return tensor().expand(shape); }
  Tensor select(int64_t axis, int64_t index) const { return tensor().select(axis, index); }
  Tensor slice(int64_t axis, int64_t start, int64_t stop = INT64_MAX, int64_t step = 1) const {
    return tensor().slice(axis, start, stop, step);
  }
  Tensors split(const Shape& sizes, int64_t axis = 0) const { return tensor().split(sizes, axis); }
  Tensors split(int64_t size, int64_t axis = 0) const { return tensor().split(size, axis); }
  Tensors chunk(int64_t chunks, int64_t axis = 0) const { return tensor().chunk(chunks, axis); }
  Tensor sum(const Axes& axes = {}, bool keepdims = false) const { return tensor().sum(axes, keepdims); }
  Tensor mean(const Axes& axes = {}, bool keepdims = false) const { return tensor().mean(axes, keepdims); }
  Tensor var(const Axes& axes = {}, bool keepdims = false, double correction = 0) const {
    return tensor().var(axes, keepdims, correction);
  }
  Tensor stddev(const Axes& axes = {}, bool keepdims = false, double correction = 0) const {
    return tensor().stddev(axes, keepdims, correction);
  }
  Tensor max() const { return tensor().max(); }
  Tensor min() const { return tensor().min(); }
  Selection max(int64_t axis, bool keepdims = false) const;
  Selection min(int64_t axis, bool keepdims = false) const;
  Tensor amax(const Axes& axes = {}, bool keepdims = false) const { return tensor().amax(axes, keepdims); }
  Tensor amin(const Axes& axes = {}, bool keepdims = false) const { return tensor().amin(axes, keepdims); }
  Tensor argmax(int64_t axis, bool keepdims = false) const { return tensor().argmax(axis, keepdims); }
  Tensor argmax() const { return tensor().argmax(); }
  Tensor argmin(int64_t axis, bool keepdims = false) const { return tensor().argmin(axis, keepdims); }
  Tensor argmin() const { return tensor().argmin(); }
  Tensor softmax(int64_t axis) const { return tensor().softmax(axis); }
  Tensor abs() const { return tensor().abs(); }
  Tensor neg() const { return tensor().neg(); }
  Tensor exp() const { return tensor().exp(); }
  Tensor log() const { return tensor().log(); }
  Tensor sqrt() const { return tensor().sqrt(); }
  Tensor square() const { return tensor().square(); }
  Tensor pow(Scalar exponent) const { return tensor().pow(exponent); }
  Tensor pow(const Tensor& exponent) const { return tensor().pow(exponent); }
  Tensor clamp(Scalar low, Scalar high) const { return tensor().clamp(low, high); }
  Tensor clamp(const Tensor& low, const Tensor& high) const { return tensor().clamp(low, high); }
  Tensor relu() const { return tensor().relu(); }
  Tensor sigmoid() const { return tensor().sigmoid(); }
  Tensor tanh() const { return tensor().tanh(); }
  Tensor matmul(const Tensor& other) const { return tensor().matmul(other); }
  Tensor mm(const Tensor& other) const { return tensor().mm(other); }
  uint32_t version() const { return tensor().version(); }
  void bump_version() const { tensor().bump_version(); }
  bool requires_grad() const { return tensor().requires_grad(); }
  const Parameter& set_requires_grad(bool on = true) const { return changed(handle().set_requires_grad(on)); }
  bool is_leaf() const { return tensor().is_leaf(); }
  Tensor grad() const { return tensor().grad(); }
  void set_grad(const Tensor& grad) const { tensor().set_grad(grad); }
  void backward(const Tensor& dy = {}) const { tensor().backward(dy); }
  void backward(const Tensor& dy, const GradOptions& options) const { tensor().backward(dy, options); }
  TensorImpl& impl() const { return tensor().impl(); }
  bool is_same(const Tensor& other) const { return tensor().is_same(other); }
  bool is_unique() const { return tensor().is_unique(); }

 private:
  friend class nn::Module;
  friend class nn::detail::Copying;
  friend struct nn::detail::Access;
  friend struct nn::detail::Derivation;

  // Shared by the module and the members of all its copies.
  struct Slot final : RefCounted<Slot> {
    Slot() noexcept;
    ~Slot();
    void dispose() noexcept;
    Tensor tensor;
    bool learned = false;
    Ref<nn::detail::Derivation> derivation;  ///< of one that is computed from others; tensor is none then
  };
  static const Tensor& none() noexcept;
  static const Tensor& derived(const Slot& slot);
  /// What may be changed in place. Throws ValueError where it is computed from others.
  Tensor handle() const { return slot_ && slot_->derivation ? refuse_change() : tensor(); }
  Tensor refuse_change() const;
  const Parameter& changed(const Tensor&) const { return *this; }

  Ref<Slot> slot_;

  friend class NewParameter;
  friend void nn::tie(const Parameter& x, const Parameter& y);
  explicit Parameter(Ref<Slot> slot) noexcept : slot_(std::move(slot)) {}
};

/// What Module::parameter() and buffer() make: to become an nn::Parameter or nn::Buffer.
class NewParameter final : public Parameter {
 public:
  // A Tensor can be bound to another one, and the module would not know: the member is to be an nn::Parameter or
  // nn::Buffer.
  operator const Tensor&() const = delete;  // its member is to be an nn::Parameter or nn::Buffer

 private:
  friend class nn::Module;
  using Parameter::Parameter;
};

namespace nn {

using limpid::Parameter;
using Buffer = Parameter;  ///< the same for what is saved and not learned

/// Makes x and y one tensor, that of y: for x's module, all its copies and all that hold them. It is counted once in
/// parameters(), keeps both names in state_dict(), and stays one in a clone(). y keeps its gradient and hooks. Throws
/// ValueError where something of x would be left behind: an optimiser, a graph or a Tensor holds it, another Tensor has
/// its memory (a view, a detach(), a state_dict()), or it has a hook or a gradient. Not known are tensors made by
/// from_blob() on its memory. Throws ValueError also where one is a parameter and the other a buffer; ShapeError and
/// DTypeError where they differ.
///
///     nn::tie(decoder.weight, embedding.weight);
void tie(const Parameter& x, const Parameter& y);

}  // namespace nn
}  // namespace limpid
