// Modules: functions with named parameters.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/core/tensor_map.hpp>

#include <concepts>
#include <iosfwd>
#include <string>
#include <typeinfo>
#include <vector>

namespace LIMPID_API limpid {
namespace nn {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// Base of all modules: a cheap handle on parameters, buffers and children by name, and on a training flag. Copies
/// share all of it. A module of one's own derives from it, registers what it holds, and has a call operator:
///
///     struct Block : nn::Module {
///       nn::Linear linear;
///       Block() : linear(add("linear", nn::Linear(4, 4))) {}
///       Tensor operator()(const Tensor& x) const { return x + relu(linear(x)); }
///     };
///
/// Names are PyTorch's: "linear.weight" is the parameter "weight" of the child "linear".
class Module {
 public:
  Module();
  // Copied rather than moved from: no module is ever without state.
  Module(const Module& other) noexcept;
  Module& operator=(const Module& other) noexcept;
  ~Module();

  /// Those of this module and its descendants, in order of registration, own before children's; a shared one once.
  Tensors parameters() const;
  std::vector<NamedTensor> named_parameters() const;
  std::vector<NamedTensor> named_buffers() const;

  /// Parameters and buffers by name, cut off from the graph; they share the module's memory.
  TensorMap state_dict() const;
  /// Copies values in place. Throws ValueError, before anything is written, with one message that lists every missing
  /// or unexpected name (where strict) and every tensor whose shape or dtype does not fit.
  void load_state_dict(const TensorMap& state, bool strict = true);

  /// Sets the training flag here and below; it is on at first.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const noexcept;

  /// Clears the gradient of every parameter.
  void zero_grad();
  /// Converts floating-point parameters, their gradients and buffers, in every handle on them. Optimisers follow at
  /// their next step. Throws DTypeError where dtype is not floating point.
  void to(DType dtype);
  /// Lays out parameters, their gradients and buffers of rank 3 and up in format, in every handle on them: convolutions
  /// and their optimisers then meet the layout that channels-last input gives.
  void to(MemoryFormat format);
  /// Calls f(Module&) for every descendant, children before parents, and at last for this.
  template <class F>
  void apply(F&& f) {
    visit([](void* context, Module& module) { (*static_cast<std::remove_reference_t<F>*>(context))(module); },
          const_cast<void*>(static_cast<const void*>(&f)));
  }

  /// "Linear": the class, as far as this module was told by its constructor or by add().
  const std::string& type() const noexcept;

 protected:
  /// For printing: the class's name and its arguments.
  explicit Module(std::string type, std::string arguments = {});

  // Registration. Names must be new here, not empty and without a dot: else ValueError.
  /// Makes tensor a leaf that requires a gradient. An undefined one is passed through, unregistered.
  Tensor parameter(const std::string& name, Tensor tensor);
  /// State that is saved but not learned. An undefined one is passed through, unregistered.
  Tensor buffer(const std::string& name, Tensor tensor);
  /// Throws ValueError where module holds this one.
  template <std::derived_from<Module> M>
  M add(const std::string& name, M module) {
    adopt(name, module, typeid(M));
    return module;
  }
  /// The same for a module whose class only the caller knows.
  void adopt(const std::string& name, const Module& child, const std::type_info& type);

 private:
  struct State;

  void check_name(const char* op, const std::string& name) const;
  bool holds(const Module& other) const;
  void visit(void (*f)(void*, Module&), void* context);
  template <class F>
  void for_each_tensor(const std::string& prefix, const F& f) const;
  void name_type(const std::type_info& type) const;
  void print(std::ostream& out, int depth) const;
  friend void print_module(std::ostream& out, const Module& module, const std::type_info& type);

  Ref<State> state_;
};

void print_module(std::ostream& out, const Module& module, const std::type_info& type);

/// The tree of modules, a line each.
template <std::derived_from<Module> M>
std::ostream& operator<<(std::ostream& out, const M& module) {
  print_module(out, module, typeid(M));
  return out;
}

}  // namespace nn
}  // namespace limpid
