// Modules and functions one after another.
#pragma once
#include <limpid/nn/module.hpp>

#include <type_traits>
#include <utility>

namespace limpid::nn {

/// Anything that makes a tensor of a tensor: a module, a function, a lambda.
template <class F>
concept Layer = requires(const F& f, const Tensor& x) {
  { f(x) } -> std::convertible_to<Tensor>;
};

/// Feeds each layer with the result of the one before. Layers are children "0", "1", ...; functions, which have
/// nothing to save, count as well. Given one Sequential alone it is a copy, as C++ has it.
class Sequential : public Module {
 public:
  Sequential();
  Sequential(const Sequential& other) noexcept;
  Sequential& operator=(const Sequential& other) noexcept;
  ~Sequential();
  template <Layer... Fs>
  requires(sizeof...(Fs) > 0) explicit Sequential(const Fs&... layers) : Sequential() { (append(layers), ...); }

  template <Layer F>
  void append(const F& layer) {
    const Module* module = nullptr;
    if constexpr (std::derived_from<F, Module>) module = &layer;
    append(module, typeid(F), new Held<std::decay_t<F>>(layer));
  }
  std::size_t size() const noexcept;

  Tensor operator()(const Tensor& x) const;

 private:
  // Type erasure, with all that need not know the type out of line: it keeps programs quick to compile.
  struct Callable {
    virtual ~Callable() = default;
    virtual Tensor call(const Tensor& x) const = 0;
  };
  template <class F>
  struct Held final : Callable {
    explicit Held(const F& function) : f(function) {}
    Tensor call(const Tensor& x) const override { return f(x); }
    F f;
  };
  void append(const Module* module, const std::type_info& type, Callable* layer);

  struct Layers;
  Ref<Layers> layers_;  // shared by copies, as all of a module is
};

}  // namespace limpid::nn
