// The gates of recurrent cells, a step at a time, in one pass.
#pragma once
#include <limpid/core/kernels/tables.hpp>

#include <cstdint>

namespace limpid::kernels {

/// Rows [begin, end) of a step, but for those that are not active; null: all are.
struct StepRows {
  std::int64_t begin, end, hidden;
  const bool* active;
};

template <class T>
struct RnnStep {
  const T* gates;  ///< (rows, hidden): what the function is applied to
  T* h;            ///< of forward
  T* dh;           ///< of backward: what arrives; then what goes on directly, which is nothing
  T* dgates;
};
template <class T>
struct GruStep {
  const T *from_x, *from_h;  ///< (rows, 3 hidden): W x + b of both
  const T* h_before;
  T* h;
  T* dh;  ///< what arrives; then what goes on directly
  T *dfrom_x, *dfrom_h;
};
template <class T>
struct LstmStep {
  const T* gates;  ///< (rows, 4 hidden): what sigmoid and tanh are applied to
  const T* c_before;
  T *c, *h;
  const T* dh;
  T* dc;  ///< what arrives by c; then what goes on to c_before
  T* dgates;
};

template <class T>
struct RecurrentKernels {
  void (*rnn_tanh)(const StepRows&, const RnnStep<T>&) noexcept;
  void (*rnn_tanh_backward)(const StepRows&, const RnnStep<T>&) noexcept;
  void (*rnn_relu)(const StepRows&, const RnnStep<T>&) noexcept;
  void (*rnn_relu_backward)(const StepRows&, const RnnStep<T>&) noexcept;
  void (*gru)(const StepRows&, const GruStep<T>&) noexcept;
  void (*gru_backward)(const StepRows&, const GruStep<T>&) noexcept;
  void (*lstm)(const StepRows&, const LstmStep<T>&) noexcept;
  void (*lstm_backward)(const StepRows&, const LstmStep<T>&) noexcept;
};

// There is no AVX-512 version: the math library's differs from AVX2's in the last bit.
// clang-format off
namespace baseline { extern const RecurrentKernels<float> recurrent_float; extern const RecurrentKernels<double> recurrent_double; }
namespace avx2     { extern const RecurrentKernels<float> recurrent_float; extern const RecurrentKernels<double> recurrent_double; }
namespace avx512   { using avx2::recurrent_float; using avx2::recurrent_double; }
namespace neon     { extern const RecurrentKernels<float> recurrent_float; extern const RecurrentKernels<double> recurrent_double; }
// clang-format on

}  // namespace limpid::kernels
