// What layers share: checks of what they are given, and how arguments are printed.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/ranges.hpp>
#include <limpid/ops/window.hpp>

#include <string>

namespace limpid::nn::detail {

inline void require_image(const char* layer, const Tensor& x) {
  if (x.dim() != 4)
    limpid::detail::throw_error<ShapeError>(layer, ": expected x of shape (N, C, H, W), got ", x.shape());
}

}  // namespace limpid::nn::detail
