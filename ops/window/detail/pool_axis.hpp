// One axis of a pooling with windows of one size and step.
#pragma once
#include <cstdint>

namespace limpid::detail {

/// Element k of window p lies at p stride - padding + k dilation of x, or in the padding.
struct PoolAxis {
  int64_t size = 1, out = 1;  ///< of x and of y
  int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
  friend bool operator==(const PoolAxis&, const PoolAxis&) = default;
};

}  // namespace limpid::detail
