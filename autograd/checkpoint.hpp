// Trading time for memory: part of a graph that is computed again in backward instead of kept.
#pragma once
#include <limpid/autograd/tensor_function.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/ref.hpp>
#include <limpid/core/tensor.hpp>

#include <type_traits>
#include <utility>

namespace LIMPID_API limpid {

namespace detail {

/// A function of tensors to be kept and called again.
class KeptFunction : public RefCounted<KeptFunction> {
 public:
  virtual ~KeptFunction() = default;
  virtual Tensors operator()(const Tensors& xs) = 0;
  void dispose() noexcept { delete this; }
};

template <class F>
class KeptFunctionOf final : public KeptFunction {
 public:
  explicit KeptFunctionOf(F f) : f_(std::move(f)) {}
  Tensors operator()(const Tensors& xs) override { return TensorFunction(f_, "checkpoint")(xs); }

 private:
  F f_;
};

Tensors checkpoint(const Ref<KeptFunction>& f, const Tensors& xs);

}  // namespace detail

/// f(xs), of which nothing is kept but xs: backward runs f again and goes through that. Same values and gradients, of
/// xs and of what f captures (the parameters of modules, say), as f(xs) gives by itself, and the same bits: ops run in
/// the same order, and random numbers of default_generator() repeat. (Where an x or a parameter is also used outside of
/// f, its gradients add up in another order.) May be nested, and differentiated to any order.
///
/// f takes 1 to 8 tensors, or one const Tensors&, and is copied; it must do the same each time. Among xs may be
/// integers and undefined tensors. Layers see to it that their running statistics move once, that a weight of
/// spectral_norm() is that of the first run, and that generators of their own repeat. Other generators that f draws
/// from do not, and what f changes besides, changes twice. Throws AutogradError in backward where f gives other shapes
/// or dtypes then, and where xs or captured tensors that ops of f save were changed in place, as for f(xs) by itself.
template <detail::TensorCallable F>
Tensors checkpoint(F f, const Tensors& xs) {
  return detail::checkpoint(Ref<detail::KeptFunction>(new detail::KeptFunctionOf<F>(std::move(f))), xs);
}
/// The same of one tensor to one tensor, as modules are.
template <class F>
requires std::is_invocable_r_v<Tensor, F&, const Tensor&> Tensor checkpoint(F f, const Tensor& x) {
  return checkpoint(std::move(f), Tensors{x})[0];
}

}  // namespace limpid
