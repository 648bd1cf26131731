#include <limpid/nn/optim/detail/gradients.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/nn/optim/detail/parameters.hpp>

#include <algorithm>

namespace limpid::optim::detail {

namespace {

// A gradient may be shared: y = a + b leaves both leaves one tensor. Only one that p's leaf alone holds, beside the
// handle dx, may be written to.
bool is_own(const Tensor& dx) { return dx.impl().use_count() <= 2 && dx.impl().storage->use_count() == 1; }

}  // namespace

Tensors with_gradients(const char* op, const Tensors& parameters) {
  Tensors xs;
  for (const Tensor& x : parameters) {
    if (!x.grad().defined() || std::any_of(xs.begin(), xs.end(), [&](const Tensor& y) { return y.is_same(x); }))
      continue;
    require_dtype(op, x);
    xs.push_back(x);
  }
  return xs;
}

Gradient::Gradient(const Tensor& x) : x_(x) {
  const Tensor dx = x.grad();
  const bool is_writable = is_own(dx) && is_dense(dx);
  if (!is_writable) replacement_ = empty(dx.shape(), dx.dtype(), dx.memory_format());
  numbers_ = is_half(dx.dtype()) ? empty(dx.shape(), float32, dx.memory_format()) : is_writable ? dx : replacement_;
  if (!numbers_.is_same(dx)) limpid::detail::copy_into(numbers_, dx);
}

void Gradient::take() const {
  if (replacement_.defined()) x_.set_grad(replacement_);
  const Tensor dx = x_.grad();
  if (is_half(dx.dtype())) limpid::detail::copy_into(dx, numbers_);
  dx.bump_version();
}

}  // namespace limpid::optim::detail
