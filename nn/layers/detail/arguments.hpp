// What the constructors of layers share: checks of their arguments, and how these are printed.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/ops/window.hpp>

#include <algorithm>
#include <string>

namespace limpid::nn::detail {

/// 0.1, where an error message would show all 17 digits.
inline std::string text(double value) {
  limpid::detail::TextStream out(6);
  out << value;
  return std::move(out).str();
}
inline std::string text(Size2d size) { return limpid::detail::message('(', size.h, ", ", size.w, ')'); }

inline void require_positive(const char* layer, const char* what, int64_t value) {
  if (value < 1) limpid::detail::throw_error<ValueError>(layer, ": expected ", what, " of at least 1, got ", value);
}
inline void require_positive(const char* layer, const char* what, Size2d value) {
  require_positive(layer, what, std::min(value.h, value.w));
}

inline void require_image(const char* layer, const Tensor& x) {
  if (x.dim() != 4)
    limpid::detail::throw_error<ShapeError>(layer, ": expected x of shape (N, C, H, W), got ", x.shape());
}

}  // namespace limpid::nn::detail
