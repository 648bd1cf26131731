// Parameters and gradients as optimisers meet them.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>

namespace limpid::optim::detail {

inline bool is_dense(const Tensor& x) { return x.is_contiguous(x.memory_format()); }

inline void require_dtype(const char* name, const Tensor& x) {
  if (!is_floating_point(x.dtype()))
    limpid::detail::throw_error<DTypeError>(name, ": expected floating-point parameters, got ", x.dtype());
}

}  // namespace limpid::optim::detail
