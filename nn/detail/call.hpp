// The call of a layer: what goes wrong within carries the layer's path, and hooks and what is computed from other
// parameters have their turn.
#pragma once
#include <limpid/autograd/anomaly.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/error.hpp>
#include <limpid/nn/detail/state.hpp>
#include <limpid/nn/module.hpp>

#include <array>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace limpid::nn::detail {

/// "2.conv"; empty for a module without parents.
std::string path_of(const Module& module);
/// Puts the path before the error's message. What cannot be said for want of memory is left out.
void say_where(Error& error, const Module& module) noexcept;

/// Whether a layer in a call is to train. Where a checkpoint runs it again it does what it did, though the model is
/// told to evaluate by then.
bool trains(const Module& layer);

/// Whether a call has more to mind than its work.
inline bool is_observed(const Access::State& state) noexcept {
  return (limpid::detail::watching & limpid::detail::watch_layers) | state.extras.load(std::memory_order_relaxed);
}

/// A call that somebody watches. work(context, inputs, outputs) is the layer's own, for inputs that hooks may have
/// replaced; outputs are then what hooks have made of them.
void call_observed(const Module& layer, Tensors& inputs, Tensors& outputs,
                   void (*work)(void* context, const Tensors& inputs, Tensors& outputs), void* context);

/// The tensors of a layer's result.
template <class Y>
auto tensors_of(Y& y) noexcept {
  if constexpr (std::is_same_v<Y, Tensor>)
    return std::array<Tensor*, 1>{&y};
  else if constexpr (requires { y.values; })
    return std::array<Tensor*, 2>{&y.values, &y.indices};
  else if constexpr (requires { y.weights; })
    return std::array<Tensor*, 2>{&y.output, &y.weights};
  else if constexpr (requires { y.state.h; })
    return std::array<Tensor*, 3>{&y.sequence, &y.state.h, &y.state.c};
  else
    return std::array<Tensor*, 2>{&y.h, &y.c};
}

// Apart, so that a call that nobody watches saves no register for it.
template <class F, class... Xs>
[[gnu::noinline, gnu::cold]] auto call_slowly(const Module& layer, const std::tuple<Xs...>& xs, const F& f) {
  struct Context {
    const F& f;
    decltype(std::apply(f, xs)) y;
  } context{f, {}};
  Tensors inputs = std::apply([](const auto&... x) { return Tensors{x...}; }, xs), outputs;
  call_observed(
      layer, inputs, outputs,
      [](void* given, const Tensors& in, Tensors& out) {
        Context& call = *static_cast<Context*>(given);
        call.y = [&]<std::size_t... i>(std::index_sequence<i...>) { return call.f(in[i]...); }
        (std::index_sequence_for<Xs...>());
        for (const Tensor* y : tensors_of(call.y)) out.push_back(*y);
      },
      &context);
  std::size_t i = 0;
  for (Tensor* y : tensors_of(context.y)) *y = outputs[i++];
  return std::move(context.y);
}

/// f(xs...), the work of layer on its inputs: a tensor, or several.
template <class F, class... Xs>
auto call_within(const Module& layer, const std::tuple<Xs...>& xs, const F& f) {
  if (is_observed(Access::state(layer))) [[unlikely]]
    return call_slowly(layer, xs, f);
  try {
    return std::apply(f, xs);
  } catch (Error& error) {
    say_where(error, layer);
    throw;
  }
}
template <class F>
auto call_within(const Module& layer, const Tensor& x, const F& f) {
  return call_within(layer, std::tie(x), f);
}

}  // namespace limpid::nn::detail
