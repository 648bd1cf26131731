// Modules and functions one after another.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/containers.hpp>
#include <limpid/nn/module.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace LIMPID_API limpid {
namespace nn {

/// Anything that makes a tensor of a tensor: a module, a function, a lambda.
template <class F>
concept Layer = requires(const F& f, const Tensor& x) {
  { f(x) } -> std::convertible_to<Tensor>;
};

namespace detail {

/// Says in one sentence what a layer lacks.
template <class F>
constexpr void require_layer() {
  constexpr bool has_forward = requires(F & f, const Tensor& x) { f.forward(x); };
  constexpr bool changes_itself = requires(F & f, const Tensor& x) {
    { f(x) } -> std::convertible_to<Tensor>;
  };
  if constexpr (!Layer<F> && changes_itself)
    static_assert(Layer<F>,
                  "Sequential: expected a layer whose operator() is const: Tensor operator()(const Tensor& x) const");
  else if constexpr (!Layer<F> && has_forward)
    static_assert(Layer<F>,
                  "Sequential: expected a layer that is called as y = layer(x), got one with forward(): name it Tensor "
                  "operator()(const Tensor& x) const");
  else if constexpr (!Layer<F> && requires(const F& f, const Tensor& x) { f(x); })
    static_assert(Layer<F>,
                  "Sequential: expected a layer that gives a Tensor, got one that gives something else: choose of that "
                  "by nn::adapt(layer, [](const auto& layer, const Tensor& x) { return ...; })");
  else
    static_assert(
        Layer<F>,
        "Sequential: expected a layer that is called as y = layer(x): Tensor operator()(const Tensor& x) const");
}

}  // namespace detail

/// Feeds each layer with the result of the one before. Layers are children "0", "1", ...; functions, which have
/// nothing to save, count as well. Given one Sequential alone it is a copy, as C++ has it.
class Sequential : public Container {
 public:
  Sequential() : Container("Sequential") {}
  template <class... Fs>
  requires(sizeof...(Fs) > 0) explicit Sequential(const Fs&... layers) : Sequential() { (append(layers), ...); }

  template <class F>
  void append(const F& layer) {
    detail::require_layer<F>();
    if constexpr (Layer<F>) {
      constexpr bool is_module = std::derived_from<F, Module>;
      const Module* module = nullptr;
      if constexpr (is_module) module = &layer;
      const detail::Copying copying(module);
      auto* item = new Layered<std::decay_t<F>>(layer);
      Module* member = nullptr;
      if constexpr (is_module) member = &item->f;
      append(copying, member, typeid(F), item);
    }
  }

  Tensor operator()(const Tensor& x) const;

  /// A handle on layer i, from -size() to size() - 1: to freeze, to hang a hook on. ValueError beyond.
  Module operator[](int64_t i) const;
  /// Layers from start to before stop, both from the end where negative and cut to what there is. They are shared, and
  /// called "0", "1", ... anew.
  ///
  ///     nn::Sequential features = net.slice(0, -1);
  Sequential slice(int64_t start, int64_t stop = INT64_MAX) const;

 private:
  struct Callable : Held {
    virtual Tensor call(const Tensor& x) const = 0;
  };
  template <class F>
  struct Layered final : Callable {
    explicit Layered(const F& function) : f(function) {}
    Tensor call(const Tensor& x) const override { return f(x); }
    Held* copy() const override { return new Layered(f); }
    F f;
  };
  void append(const detail::Copying& copying, Module* member, const std::type_info& type, Callable* layer);
  const Module& layer(std::size_t i) const;
  Tensor run(const Tensor& x) const;
};

/// A module that takes more than one tensor, or gives more than one, as a layer of a Sequential: f calls it. It keeps
/// its class's names, so its parameters are those of the Sequential:
///
///     nn::Sequential net{nn::Linear(4, 8),
///                        nn::adapt(nn::GRU(8, 8), [](const nn::GRU& gru, const Tensor& x) { return gru(x).sequence;
///                        })};
template <std::derived_from<Module> M, class F>
requires requires(const F& f, const M& module, const Tensor& x) {
  { f(module, x) } -> std::convertible_to<Tensor>;
}
struct Adapted : M {
  Adapted(const M& module, const F& its_function) : M(module), f(its_function) {}
  Tensor operator()(const Tensor& x) const { return f(static_cast<const M&>(*this), x); }
  F f;
};
template <std::derived_from<Module> M, class F>
Adapted<M, F> adapt(const M& module, const F& f) {
  return {module, f};
}

}  // namespace nn
}  // namespace limpid
