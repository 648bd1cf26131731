// The call of a layer: what goes wrong within carries the layer's path.
#pragma once
#include <limpid/autograd/anomaly.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/error.hpp>
#include <limpid/nn/module.hpp>

#include <string>

namespace limpid::nn::detail {

/// "2.conv"; empty for a module without parents.
std::string path_of(const Module& module);
/// Puts the path before the error's message. What cannot be said for want of memory is left out.
void say_where(Error& error, const Module& module) noexcept;

template <class F>
auto call_told(const Module& layer, const F& f) {
  try {
    return f();
  } catch (Error& error) {
    say_where(error, layer);
    throw;
  }
}

// Apart, so that a call that nobody watches saves no register for it.
template <class F>
[[gnu::noinline, gnu::cold]] auto call_watched(const Module& layer, const F& f) {
  const std::string path = path_of(layer);
  const limpid::detail::LayerScope scope(path.c_str());
  return call_told(layer, f);
}

/// f(), the work of layer: a tensor, or several.
template <class F>
auto call_within(const Module& layer, const F& f) {
  if (limpid::detail::watching & limpid::detail::watch_layers) [[unlikely]]
    return call_watched(layer, f);
  return call_told(layer, f);
}

}  // namespace limpid::nn::detail
