// Gradients of parameters that are changed in place, as clipping and scaling do.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::optim::detail {

/// Those of parameters that have a gradient, each once. Throws DTypeError, naming op, where one is not floating point.
Tensors with_gradients(const char* op, const Tensors& parameters);

/// x's gradient as numbers of float32 or float64 without gaps, to be changed: where it is shared with others, has gaps
/// or is of half precision they lie beside it until take() makes them the gradient. Making one changes nothing and has
/// all the memory that is needed, so that several are made before any is taken. No other handle on the gradient must be
/// held meanwhile, for that is how one that is shared is told.
class Gradient {
 public:
  explicit Gradient(const Tensor& x);
  const Tensor& numbers() const noexcept { return numbers_; }
  void take() const;

 private:
  Tensor x_, numbers_;
  Tensor replacement_;  // of the gradient's dtype, where it cannot be written to
};

}  // namespace limpid::optim::detail
