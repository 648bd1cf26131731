// xtensor on both sides of a Tensor: the one public header that needs xtensor (0.24 to 0.27).
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>
// xtl calls parameters of templates I, which is a macro after <complex.h>.
#pragma push_macro("I")
#undef I
#if __has_include(<xtensor/containers/xadapt.hpp>)  // 0.26 moved its headers
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xnoalias.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xtensor.hpp>
#endif
#pragma pop_macro("I")

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace LIMPID_API limpid {

/// An xtensor expression over x's own memory, strides and all: reading and assigning its elements is reading and
/// assigning x's. It does not keep x alive, and writes through it are invisible to autograd (see Tensor::data).
/// Throws DTypeError where T is not x's type.
template <class T>
auto view(const Tensor& x) {
  std::vector<std::size_t> shape(x.shape().begin(), x.shape().end());
  std::vector<std::ptrdiff_t> strides(x.strides().begin(), x.strides().end());
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == 1) strides[i] = 0;  // xtensor's own convention
  // The size is that of the shape, as xtensor wants it; elements are reached by strides alone.
  const auto size = static_cast<std::size_t>(x.numel());
  return xt::adapt(x.data<T>(), size, xt::no_ownership(), std::move(shape), std::move(strides));
}
/// A view of a temporary would dangle.
template <class T>
void view(Tensor&& x) = delete;

namespace detail {

/// A tensor in the memory of an array that it owns from now on. row_major: known to be that.
template <class Array>
Tensor tensor_in(Array&& array, bool row_major) {
  using T = std::remove_cv_t<typename Array::value_type>;
  auto kept = std::make_unique<Array>(std::move(array));
  Shape shape;
  for (const auto size : kept->shape()) shape.push_back(static_cast<int64_t>(size));
  Strides strides = contiguous_strides(shape);
  if (!row_major)
    for (std::size_t i = 0; i < shape.size(); ++i)
      if (shape[i] != 1) strides[i] = static_cast<int64_t>(kept->strides()[i]);
  Ref<const Layout> layout = Layout::create(std::move(shape), std::move(strides));
  auto* data = reinterpret_cast<std::byte*>(kept->storage().data());
  const auto dispose = [](void* context) { delete static_cast<Array*>(context); };
  Ref<Storage> storage = Storage::borrow(data, kept->storage().size() * sizeof(T), dispose, kept.get());
  static_cast<void>(kept.release());
  return Tensor(TensorImpl::create(std::move(storage), data, std::move(layout), dtype_of<T>()));
}

}  // namespace detail

/// A Tensor in the memory of an array that is given up, adopt(std::move(a)): nothing is copied, in any layout, and the
/// memory goes with the last tensor that has it.
template <class Elements, xt::layout_type layout, class Sizes, class Tag>
Tensor adopt(xt::xarray_container<Elements, layout, Sizes, Tag>&& array) {
  return detail::tensor_in(std::move(array), layout == xt::layout_type::row_major);
}
template <class Elements, std::size_t rank, xt::layout_type layout, class Tag>
Tensor adopt(xt::xtensor_container<Elements, rank, layout, Tag>&& array) {
  return detail::tensor_in(std::move(array), layout == xt::layout_type::row_major);
}

/// A Tensor of the values of any xtensor expression, evaluated once, straight into the Tensor's memory.
template <class E>
Tensor from_xtensor(const xt::xexpression<E>& expression) {
  using T = std::remove_cv_t<typename E::value_type>;
  const E& e = expression.derived_cast();
  Shape shape;
  for (auto size : e.shape()) shape.push_back(static_cast<int64_t>(size));
  Tensor x = empty(shape, dtype_of<T>());
  auto target = view<T>(x);
  xt::noalias(target) = e;
  return x;
}

}  // namespace limpid
