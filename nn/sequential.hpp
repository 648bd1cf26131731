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
  Sequential() : Module("Sequential") {}
  template <Layer... Layers>
  requires(sizeof...(Layers) > 0) explicit Sequential(Layers... layers) : Sequential() {
    (append(std::move(layers)), ...);
  }

  template <Layer F>
  void append(F layer) {
    const std::string name = std::to_string(size());
    if constexpr (std::derived_from<F, Module>)
      add(name, layer);
    else
      add(name, Function());
    layers_->push_back(std::make_unique<Held<F>>(std::move(layer)));
  }
  std::size_t size() const noexcept { return layers_->size(); }

  Tensor operator()(const Tensor& x) const {
    Tensor y = x;
    for (const auto& layer : *layers_) y = layer->call(y);
    return y;
  }

 private:
  // Stands for what is no module, in the tree and in the count of names.
  struct Function : Module {
    Function() : Module("Function") {}
  };
  struct Callable {
    virtual ~Callable() = default;
    virtual Tensor call(const Tensor& x) const = 0;
  };
  template <class F>
  struct Held final : Callable {
    explicit Held(F function) : f(std::move(function)) {}
    Tensor call(const Tensor& x) const override { return f(x); }
    F f;
  };

  // Shared by copies, as all of a module is.
  std::shared_ptr<std::vector<std::unique_ptr<const Callable>>> layers_ =
      std::make_shared<std::vector<std::unique_ptr<const Callable>>>();
};

}  // namespace limpid::nn
