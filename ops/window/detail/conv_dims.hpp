// The sizes of a two-dimensional convolution.
#pragma once
#include <cstdint>

namespace limpid::detail {

/// y (n, o, oh, ow) from x (n, c, h, w) and weight (o, c / groups, kh, kw); all sizes at least 1.
struct ConvDims {
  int64_t n, c, h, w;
  int64_t o, kh, kw, oh, ow;
  int64_t stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int64_t groups;
  friend bool operator==(const ConvDims&, const ConvDims&) = default;
};

}  // namespace limpid::detail
