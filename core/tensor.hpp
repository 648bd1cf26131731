// The tensor: a cheap handle on shared, strided memory.
#pragma once
#include <limpid/core/error.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/scalar.hpp>
#include <limpid/core/tensor_impl.hpp>

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace LIMPID_API limpid {

class Tensors;
class TensorIndex;
struct GradOptions;
struct Selection;

/// A handle on a strided array of one dtype; copying it shares the memory. Tensor{} is undefined and stands for "none".
class Tensor {
 public:
  Tensor() noexcept = default;
  explicit Tensor(Ref<TensorImpl> impl) noexcept : impl_(std::move(impl)) {}
  Tensor(const Tensor&) noexcept = default;
  Tensor(Tensor&&) noexcept = default;
  ~Tensor() = default;
  // x[0] = y would bind a handle that is gone at once; x[0].copy_(y) writes.
  Tensor& operator=(const Tensor&) & noexcept = default;
  Tensor& operator=(Tensor&&) & noexcept = default;

  bool defined() const noexcept { return static_cast<bool>(impl_); }
  const Shape& shape() const { return impl().shape(); }
  const Strides& strides() const { return impl().strides(); }  ///< in elements
  DType dtype() const { return impl().dtype; }
  int64_t dim() const { return impl().shape().dim(); }
  int64_t numel() const { return impl().numel(); }
  /// Size of one axis; negative axes count from the back. Throws ShapeError.
  int64_t size(int64_t axis) const;
  /// In elements, from the start of the storage.
  int64_t offset() const {
    return (impl().data - impl().storage->data()) / static_cast<int64_t>(limpid::itemsize(impl().dtype));
  }
  std::size_t itemsize() const { return limpid::itemsize(dtype()); }
  bool is_contiguous(MemoryFormat format = MemoryFormat::contiguous) const {
    const Layout& layout = *impl().layout;
    return format == MemoryFormat::contiguous ? layout.contiguous
                                              : format == MemoryFormat::channels_last && layout.channels_last;
  }
  /// channels_last where the tensor is that and not row-major as well; else contiguous.
  MemoryFormat memory_format() const {
    const Layout& layout = *impl().layout;
    return layout.channels_last && !layout.contiguous ? MemoryFormat::channels_last : MemoryFormat::contiguous;
  }
  bool shares_storage_with(const Tensor& other) const { return impl().storage == other.impl().storage; }

  /// First element. Throws DTypeError where T is not the tensor's type. Writing through it is invisible to autograd:
  /// call bump_version() after it where a graph may hold this tensor.
  template <class T>
  T* data() const {
    if (dtype_of<T>() != dtype()) wrong_data_type(dtype_of<T>());
    return static_cast<T*>(raw_data());
  }
  void* raw_data() const { return impl().data; }
  /// The one element of a tensor of any shape with numel() = 1, converted: to an integer as C++ does, truncated. Throws
  /// ShapeError, and ValueError where an integer type T does not hold it.
  template <class T>
  T item() const {
    if constexpr (std::is_same_v<T, bool>) {
      return item_double() != 0;
    } else if constexpr (std::is_integral_v<T>) {
      const int64_t value = item_int64();
      if (static_cast<int64_t>(static_cast<T>(value)) != value || (std::is_unsigned_v<T> && value < 0)) [[unlikely]]
        item_out_of_range(8 * sizeof(T), std::is_signed_v<T>);
      return static_cast<T>(value);
    } else {
      return static_cast<T>(item_double());
    }
  }

  // Conversions, differentiable (defined by ops/).
  /// The same values as dtype, cast as NumPy does on x86-64; this very tensor where it has that dtype. Floats to
  /// integers truncate; what int64 (for other integers: int32) does not hold, NaN too, becomes its lowest number.
  /// Integers too large for their new type lose their upper bits. Numbers too large for a float become infinite.
  Tensor to(DType dtype) const;
  /// Laid out in format without gaps; this very tensor where it is so already.
  Tensor contiguous(MemoryFormat format = MemoryFormat::contiguous) const;
  /// A copy in memory of its own, in the same memory format.
  Tensor clone() const;

  // In place; each advances the version (defined by ops/). Refused on a leaf that requires a gradient while recording.
  // Arithmetic is this tensor's, into whose dtype the other one is converted first; half precision computes in float32,
  // both operands too, and rounds the result to half.
  Tensor& copy_(const Tensor& source);  ///< broadcasts and converts
  Tensor& fill_(Scalar value);
  Tensor& zero_() { return fill_(0); }
  Tensor& add_(const Tensor& other, Scalar alpha = 1);  ///< this += alpha * other
  Tensor& add_(Scalar other, Scalar alpha = 1);
  Tensor& mul_(const Tensor& other);
  Tensor& mul_(Scalar factor);
  Tensor& div_(const Tensor& other);  ///< of floating-point tensors
  Tensor& div_(Scalar divisor);
  Tensor& masked_fill_(const Tensor& mask, Scalar value);  ///< value where mask (bool), which broadcasts, holds
  /// Adds alpha times the rows of source along axis at a 1-D index, each as often as it is named.
  Tensor& index_add_(int64_t axis, const Tensor& index, const Tensor& source, Scalar alpha = 1);
  Tensor& scatter_(int64_t axis, const Tensor& index, const Tensor& source);  ///< see scatter()
  Tensor& scatter_(int64_t axis, const Tensor& index, Scalar value);
  Tensor& scatter_add_(int64_t axis, const Tensor& index, const Tensor& source);  ///< see scatter_add()
  Tensor& operator+=(const Tensor& other) { return add_(other); }
  Tensor& operator+=(Scalar other) { return add_(other); }
  Tensor& operator-=(const Tensor& other) { return add_(other, -1); }
  Tensor& operator-=(Scalar other) { return add_(other, -1); }
  Tensor& operator*=(const Tensor& other) { return mul_(other); }
  Tensor& operator*=(Scalar factor) { return mul_(factor); }
  Tensor& operator/=(const Tensor& other) { return div_(other); }
  Tensor& operator/=(Scalar divisor) { return div_(divisor); }

  // Indexing (defined by ops/), see core/index.hpp.
  /// x[i, ...] without the first axis; negative i counts from its end. A view.
  Tensor operator[](int64_t i) const;
  /// NumPy's x[at]: a view where no index tensor or mask is among it and no step is negative. Throws ShapeError,
  /// ValueError (numbers out of range), DTypeError.
  Tensor index(std::initializer_list<TensorIndex> at) const;
  /// x[at] = values, which broadcast; with accumulate they are added, each as often as it is named. Of several values
  /// for one element the last wins.
  Tensor& index_put_(std::initializer_list<TensorIndex> at, const Tensor& values, bool accumulate = false);
  Tensor& index_put_(std::initializer_list<TensorIndex> at, Scalar value, bool accumulate = false);

  // Functions of the same names, to be chained (defined by ops/).
  Tensor reshape(const Shape& shape) const;
  Tensor flatten(int64_t first = 0, int64_t last = -1) const;
  Tensor permute(const Axes& order) const;
  Tensor transpose(int64_t a, int64_t b) const;
  Tensor t() const;  ///< of a matrix, transposed
  Tensor squeeze(const Axes& axes = {}) const;
  Tensor unsqueeze(int64_t axis) const;
  Tensor expand(const Shape& shape) const;
  Tensor select(int64_t axis, int64_t index) const;
  Tensor slice(int64_t axis, int64_t start, int64_t stop = INT64_MAX, int64_t step = 1) const;
  Tensors split(const Shape& sizes, int64_t axis = 0) const;
  Tensors split(int64_t size, int64_t axis = 0) const;
  Tensors chunk(int64_t chunks, int64_t axis = 0) const;
  Tensor sum(const Axes& axes = {}, bool keepdims = false) const;
  Tensor mean(const Axes& axes = {}, bool keepdims = false) const;
  Tensor var(const Axes& axes = {}, bool keepdims = false, double correction = 0) const;
  Tensor stddev(const Axes& axes = {}, bool keepdims = false, double correction = 0) const;
  Tensor max() const;
  Tensor min() const;
  Selection max(int64_t axis, bool keepdims = false) const;
  Selection min(int64_t axis, bool keepdims = false) const;
  Tensor amax(const Axes& axes = {}, bool keepdims = false) const;
  Tensor amin(const Axes& axes = {}, bool keepdims = false) const;
  Tensor argmax(int64_t axis, bool keepdims = false) const;
  Tensor argmax() const;
  Tensor argmin(int64_t axis, bool keepdims = false) const;
  Tensor argmin() const;
  Tensor softmax(int64_t axis) const;
  Tensor abs() const;
  Tensor neg() const;
  Tensor exp() const;
  Tensor log() const;
  Tensor sqrt() const;
  Tensor square() const;
  Tensor pow(Scalar exponent) const;
  Tensor pow(const Tensor& exponent) const;
  Tensor clamp(Scalar low, Scalar high) const;
  Tensor clamp(const Tensor& low, const Tensor& high) const;
  Tensor relu() const;
  Tensor sigmoid() const;
  Tensor tanh() const;
  Tensor matmul(const Tensor& other) const;
  Tensor mm(const Tensor& other) const;
  uint32_t version() const { return impl().storage->version(); }
  void bump_version() const { impl().storage->bump_version(); }

  // Gradients (defined by autograd/).
  bool requires_grad() const noexcept { return impl_ && impl_->grad; }
  /// Makes this a leaf whose gradient backward() gathers, or stops that, also for graphs that were recorded before.
  /// Throws AutogradError on a recorded result, DTypeError where the dtype is not floating point.
  Tensor& set_requires_grad(bool requires_grad = true);
  /// True for what was not made by a recorded op.
  bool is_leaf() const noexcept;
  /// What backward() has gathered on this leaf; undefined before. Throws AutogradError on a recorded result.
  Tensor grad() const;
  /// Replaces the gathered gradient; Tensor{} clears it.
  void set_grad(const Tensor& grad) const;
  /// Adds the gradient of this tensor, weighted by dy (of its shape; may be left out where numel() = 1), to every
  /// leaf it was computed from. See backward() and the options in autograd/backward.hpp.
  void backward(const Tensor& dy = {}) const;
  void backward(const Tensor& dy, const GradOptions& options) const;
  /// The same memory, cut off from the graph.
  Tensor detach() const;

  TensorImpl& impl() const {
    if (!impl_) undefined();
    return *impl_;
  }
  bool is_same(const Tensor& other) const noexcept { return impl_ == other.impl_; }
  /// Nobody else holds this handle's tensor or its memory.
  bool is_unique() const noexcept { return impl_ && impl_->use_count() == 1 && impl_->storage->use_count() == 1; }

 private:
  [[noreturn]] static void undefined();
  [[noreturn]] void wrong_data_type(DType asked) const;
  double item_double() const;
  int64_t item_int64() const;
  [[noreturn]] void item_out_of_range(std::size_t bits, bool is_signed) const;

  Ref<TensorImpl> impl_;
};

/// Several tensors: results and arguments of ops. Up to four need no heap.
class Tensors : public SmallVector<Tensor, 4> {
  /// An element of a list in braces, moved out of it: in a list of plain Tensors they would be const, and copied.
  struct Item {
    Item() noexcept {}
    template <class X>
    requires std::is_convertible_v<X, Tensor> Item(X&& x) : tensor(std::forward<X>(x)) {}
    mutable Tensor tensor;
  };

 public:
  Tensors() noexcept = default;
  explicit Tensors(std::size_t count) : SmallVector(count) {}
  Tensors(std::size_t count, const Tensor& x) : SmallVector(count, x) {}
  template <class It>
  requires(!std::is_integral_v<It>) Tensors(It first, It last) : SmallVector(first, last) {}
  Tensors(const std::vector<Tensor>& xs) : SmallVector(xs.begin(), xs.end()) {}  // NOLINT
  Tensors(std::initializer_list<Item> xs) {
    reserve(xs.size());
    for (const Item& x : xs) push_back(std::move(x.tensor));
  }
};

/// Values as NumPy prints them, then shape and dtype where they are not obvious.
std::ostream& operator<<(std::ostream& out, const Tensor& x);

// Making tensors. A number that dtype does not hold is refused: throws ValueError.

/// Uninitialised.
Tensor empty(const Shape& shape, DType dtype = float32, MemoryFormat format = MemoryFormat::contiguous);
Tensor zeros(const Shape& shape, DType dtype = float32, MemoryFormat format = MemoryFormat::contiguous);
Tensor ones(const Shape& shape, DType dtype = float32, MemoryFormat format = MemoryFormat::contiguous);
Tensor full(const Shape& shape, Scalar value, DType dtype = float32, MemoryFormat format = MemoryFormat::contiguous);
/// Of x's shape, and of its dtype and memory format where none is given.
Tensor empty_like(const Tensor& x, std::optional<DType> dtype = {}, std::optional<MemoryFormat> format = {});
Tensor zeros_like(const Tensor& x, std::optional<DType> dtype = {}, std::optional<MemoryFormat> format = {});
Tensor ones_like(const Tensor& x, std::optional<DType> dtype = {}, std::optional<MemoryFormat> format = {});
Tensor full_like(const Tensor& x, Scalar value, std::optional<DType> dtype = {},
                 std::optional<MemoryFormat> format = {});
/// From start (or 0) in steps (or 1) up to but without stop, as NumPy's; none where stop does not lie ahead. int64
/// where all numbers are integers, else float32, or the dtype given. Where int64 holds all numbers, whole doubles too,
/// the values are exact before they take that dtype. Throws ValueError (a step of 0; bounds that are not finite; an
/// integer that float64 does not hold beside a number that int64 does not hold), DTypeError (bool).
Tensor arange(Scalar stop, std::optional<DType> dtype = {});
Tensor arange(Scalar start, Scalar stop, std::optional<DType> dtype = {});
Tensor arange(Scalar start, Scalar stop, Scalar step, std::optional<DType> dtype = {});
/// count evenly spaced values in order, both ends included and exact. Throws ValueError (ends that are not finite),
/// DTypeError (bool).
Tensor linspace(Scalar start, Scalar stop, int64_t count, DType dtype = float32);
/// Ones on the diagonal of an (n, n) matrix.
Tensor eye(int64_t n, DType dtype = float32);

namespace detail {

/// A number, or a list in braces of such: the values of a tensor as they stand in a program. It refers to a list's
/// memory, which lasts as long as the call that it is written in.
class Nested {
 public:
  template <Number T>
  Nested(T number) noexcept(noexcept(Scalar(number))) : number_(number) {}  // NOLINT
  Nested(Scalar number) noexcept : number_(number) {}                       // NOLINT
  Nested(std::initializer_list<Nested> items) noexcept : number_(0) {       // NOLINT
    items_ = items.begin();
    count_ = static_cast<int64_t>(items.size());
  }

  bool is_list() const noexcept { return count_ >= 0; }
  int64_t count() const noexcept { return count_; }
  const Nested* begin() const noexcept { return items_; }
  const Nested* end() const noexcept { return items_ + (count_ > 0 ? count_ : 0); }
  Scalar number() const noexcept { return number_; }

 private:
  Scalar number_;
  const Nested* items_ = nullptr;
  int64_t count_ = -1;  // of a number
};

template <class T>
inline constexpr bool is_list_of_numbers = false;
template <class T>
requires std::is_same_v<T, Scalar> || Number<T>
inline constexpr bool is_list_of_numbers<std::initializer_list<T>> = true;

Tensor tensor_of(const Scalar* values, std::size_t count, DType dtype);

}  // namespace detail

/// The numbers as they stand in braces, a level for each axis: tensor({1, 2}), tensor({{1, 2}, {3, 4}}); one number
/// gives a tensor without axes. Throws ShapeError where lists side by side differ in shape.
Tensor tensor(const detail::Nested& values, DType dtype = float32);
/// Of a std::initializer_list of numbers that has a name.
template <class List>
requires detail::is_list_of_numbers<List> Tensor tensor(const List& values, DType dtype = float32) {
  const std::vector<Scalar> scalars(values.begin(), values.end());
  return detail::tensor_of(scalars.data(), scalars.size(), dtype);
}

namespace detail {

Tensor from_values(const void* values, std::size_t count, const Shape& shape, DType dtype);
/// Uninitialised memory for so many values. Throws ShapeError where their number is not the shape's.
Tensor empty_for_values(std::size_t count, const Shape& shape, DType dtype);
int64_t checked_int64(std::uint64_t value);

/// What a number of a type that no dtype has is kept as: the smallest that holds it.
template <class T>
using Kept =
    std::conditional_t<has_dtype<T> || !std::is_arithmetic_v<T>, T,
                       std::conditional_t<std::is_floating_point_v<T>, double,
                                          std::conditional_t<(sizeof(T) < sizeof(int32_t)), int32_t, int64_t>>>;

}  // namespace detail

/// A copy of row-major values of any arithmetic type. One that no dtype has takes the smallest that holds it: int16_t
/// becomes int32, uint32_t and size_t int64, long double float64. Throws ShapeError where their number is not the
/// shape's, ValueError where one of uint64_t is above int64 or a finite long double beyond all doubles.
template <class T>
requires(has_dtype<T> || Number<T>) Tensor from_vector(const std::vector<T>& values, const Shape& shape) {
  using K = detail::Kept<T>;
  if constexpr (std::is_same_v<K, T> && !std::is_same_v<T, bool>) {
    return detail::from_values(values.data(), values.size(), shape, dtype_of<T>());
  } else {
    const Tensor y = detail::empty_for_values(values.size(), shape, dtype_of<K>());
    K* to = y.template data<K>();
    for (const T value : values) {
      if constexpr (std::is_unsigned_v<T> && sizeof(T) == sizeof(int64_t))
        *to++ = detail::checked_int64(value);
      else if constexpr (std::is_floating_point_v<T>)
        *to++ = detail::nearest_double(value);
      else
        *to++ = static_cast<K>(value);
    }
    return y;
  }
}
/// Borrows memory in place; deleter(context) runs when the last tensor lets go. Throws ValueError where data is not
/// aligned for an element of dtype.
Tensor from_blob(void* data, const Shape& shape, DType dtype, void (*deleter)(void*) = nullptr,
                 void* context = nullptr);

// Comparing tensors as wholes.

/// Same shape, same dtype and every element equal (NaN is equal to nothing).
bool equal(const Tensor& a, const Tensor& b);
/// Same shape, and |a - b| <= atol + rtol |b| everywhere; infinities must match, NaN fails unless equal_nan.
/// Throws ValueError on a tolerance below 0 or NaN.
bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false);

}  // namespace limpid
