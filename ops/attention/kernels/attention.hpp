// The exponentials of attention.
#pragma once
#include <limpid/core/kernels/tables.hpp>

#include <cstdint>

namespace limpid::kernels {

template <class T>
struct AttentionKernels {
  /// s = e^(s - shift) for s that are -inf or at most shift, and their sum.
  double (*exponentials)(std::int64_t count, T shift, T* s) noexcept;
  /// d = p (d - inner), but 0 where the weight p is, whatever d is.
  void (*score_gradients)(std::int64_t count, T inner, const T* p, T* d) noexcept;
};

// Of doubles there is no AVX-512 version: the math library's differs from AVX2's in the last bit.
// clang-format off
namespace baseline { extern const AttentionKernels<float> attention_float; extern const AttentionKernels<double> attention_double; }
namespace avx2     { extern const AttentionKernels<float> attention_float; extern const AttentionKernels<double> attention_double; }
namespace avx512   { extern const AttentionKernels<float> attention_float; using avx2::attention_double; }
namespace neon     { extern const AttentionKernels<float> attention_float; extern const AttentionKernels<double> attention_double; }
// clang-format on

}  // namespace limpid::kernels
