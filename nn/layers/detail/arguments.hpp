// What layers share: checks of what they are given, and how arguments are printed.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/ranges.hpp>
#include <limpid/ops/window/detail/window.hpp>

#include <string>

namespace limpid::nn::detail {

inline void require_image(const char* layer, const Tensor& x) {
  if (x.dim() != 4)
    limpid::detail::throw_error<ShapeError>(layer, ": expected x of shape (N, C, H, W), got ", x.shape());
}

/// A number for each spatial axis, each in range.
inline void require_sizes(const char* layer, const char* name, const Spatial& sizes, int64_t axes, const Range& range) {
  limpid::detail::require_count(layer, name, sizes, axes);
  const Spatial all = limpid::detail::spread(sizes, axes);
  for (int64_t a = 0; a < axes; ++a) expect(layer, {{name, all[a], range, limpid::detail::message(all)}});
}

/// Which of the functions for one, two and three spatial axes.
template <class F>
F for_axes(int64_t axes, F one, F two, F three) {
  return axes == 1 ? one : axes == 2 ? two : three;
}

}  // namespace limpid::nn::detail
