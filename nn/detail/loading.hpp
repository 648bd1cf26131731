// How values that were saved become those of a tensor, for modules and optimisers alike.
#pragma once
#include <limpid/core/tensor.hpp>

#include <string>

namespace limpid::nn::detail {

/// Whether values of a dtype may be those of another: floating-point numbers of any width, and integers of any.
constexpr bool is_loadable(DType from, DType to) noexcept {
  return from == to || (is_floating_point(from) && is_floating_point(to)) ||
         (from != bool_ && to != bool_ && !is_floating_point(from) && !is_floating_point(to));
}

/// A copy of x in the dtype and layout of like, to be copied there without asking for memory.
Tensor laid_out_like(const Tensor& like, const Tensor& x);

/// The number of dtype that a saved scalar holds, in whatever dtype of numbers: others count steps in floats. Undefined
/// where x holds none, or dtype has no such number.
Tensor saved_number(const Tensor& x, DType dtype);

/// The one element of x; of an integer, every digit.
std::string text_of_only(const Tensor& x);

/// Whether y, made of x by converting its dtype, lacks a number that x has: it is out of the range of y's dtype, or x
/// or y is of integers and the other has no such number.
bool has_overflowed(const Tensor& y, const Tensor& x);

}  // namespace limpid::nn::detail
