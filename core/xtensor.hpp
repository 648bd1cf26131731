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
#include <xtensor/core/xnoalias.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xnoalias.hpp>
#endif
#pragma pop_macro("I")

#include <cstddef>
#include <type_traits>
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
