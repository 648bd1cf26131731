// What x.index_put_() is made of.
#pragma once
#include <limpid/core/index.hpp>

namespace limpid::detail {

/// The view that an index without tensors chooses; undefined for one with tensors.
Tensor chosen_view(const Tensor& x, std::initializer_list<TensorIndex> at);
/// x, but values (which broadcast, and are converted) at an index, or added there.
Tensor put(const Tensor& x, std::initializer_list<TensorIndex> at, const Tensor& values, bool accumulate);

}  // namespace limpid::detail
