// Modules and functions one after another.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>

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
  else
    static_assert(
        Layer<F>,
        "Sequential: expected a layer that is called as y = layer(x): Tensor operator()(const Tensor& x) const");
}

}  // namespace detail

/// Feeds each layer with the result of the one before. Layers are children "0", "1", ...; functions, which have
/// nothing to save, count as well. Given one Sequential alone it is a copy, as C++ has it.
class Sequential : public Module {
 public:
  Sequential() : Module("Sequential") {}
  template <class... Fs>
  requires(sizeof...(Fs) > 0) explicit Sequential(const Fs&... layers) : Sequential() { (append(layers), ...); }

  template <class F>
  void append(const F& layer) {
    detail::require_layer<F>();
    if constexpr (Layer<F>) {
      const Module* module = nullptr;
      if constexpr (std::derived_from<F, Module>) module = &layer;
      const detail::Copying copying(module);
      append(module, typeid(F), new Held<std::decay_t<F>>(layer), copying);
    }
  }
  std::size_t size() const noexcept;

  Tensor operator()(const Tensor& x) const;

 private:
  template <class F>
  struct Held final : Callable {
    explicit Held(const F& function) : f(function) {}
    Tensor call(const Tensor& x) const override { return f(x); }
    Callable* copy() const override { return new Held(f); }
    F f;
  };
  void append(const Module* module, const std::type_info& type, Callable* layer, const detail::Copying& copying);
  const Module& layer(std::size_t i) const;
};

}  // namespace nn
}  // namespace limpid
