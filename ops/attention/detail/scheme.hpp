// What attention is of.
#pragma once
#include <limpid/core/tensor.hpp>
#include <limpid/ops/elementwise.hpp>

#include <algorithm>
#include <cstdint>

namespace limpid::detail {

/// Its sizes and options, its tensors apart: q (batch, L, E), k (batch, S, E), v (batch, S, V).
struct Scheme {
  int64_t batch = 1, queries = 0, keys = 0, size = 0, values = 0;  // B, L, S, E, V
  double scale = 1;
  bool causal = false;
  int64_t offset = 0;  // causal: query i sees keys up to i + offset
  Tensor mask;         // undefined, or bool or the dtype computed in, of shape (..., L, S), broadcast by its strides
  Shape leading;

  int64_t visible(int64_t query) const noexcept {
    return causal ? std::clamp<int64_t>(query + offset + 1, 0, keys) : keys;
  }
};

/// The queries of the scores. They take the scale, for scores without it may be too large where those with it are not.
inline Tensor scaled(const Tensor& q, const Scheme& s) { return q * s.scale; }

}  // namespace limpid::detail
