// Modules: functions with named parameters.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/core/tensor_map.hpp>
#include <limpid/nn/parameter.hpp>

#include <concepts>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

namespace LIMPID_API limpid {
namespace nn {

namespace detail {
class Copying;
class Cloning;
struct Access;
}  // namespace detail

struct NamedTensor {
  std::string name;
  Tensor tensor;
};
struct NamedModule;

/// Base of all modules: a cheap handle on parameters, buffers and children by name, and on a training flag. Copies
/// share all of it (clone() does not). A module of one's own derives from it, registers what it holds, and has a call
/// operator:
///
///     struct Block : nn::Module {
///       nn::Linear linear;
///       nn::Parameter scale;
///       Block() : linear(add("linear", nn::Linear(4, 4))), scale(parameter("scale", ones({4}))) {}
///       Tensor operator()(const Tensor& x) const { return x + scale * relu(linear(x)); }
///     };
///
/// A member of its class that has parameters or buffers and is not registered is found where the class is given to
/// add(), Sequential or clone(), and refused: it would be neither trained nor saved. Not found are members behind a
/// pointer, plain Tensors, and those of a class that is given to none of the three. What is meant to stay outside is
/// held by a std::shared_ptr, or has all its parameters frozen, or is registered elsewhere.
///
/// A model is assigned as a whole. Assigning one member that add() has made, `net.fc = nn::Linear(2, 5)`, is a
/// ValueError, for net would go on to train and save the layer that it has registered; so it is for a copy of such a
/// member. A std::vector of members that takes over the memory of another is found out as members that are not
/// registered are. An operator= of one's own assigns its base first.
///
/// Names are PyTorch's: "linear.weight" is the parameter "weight" of the child "linear". Lists of members are
/// ModuleList, ModuleDict, ParameterList and ParameterDict.
class Module {
 public:
  Module();
  // Copied rather than moved from: no module is ever without state.
  Module(const Module& other) noexcept;
  ~Module();

  /// Those of this module and its descendants, in order of registration, own before children's; a shared one once.
  Tensors parameters() const;
  std::vector<NamedTensor> named_parameters() const;
  std::vector<NamedTensor> named_buffers() const;

  /// Handles on this module, called "", and on its descendants, parents before children, each once.
  std::vector<NamedModule> named_modules() const;
  std::vector<NamedModule> named_children() const;
  std::vector<Module> children() const;
  /// A handle on a descendant by its path, such as "features.0.conv"; "" is this module. Throws ValueError where a name
  /// is none of those there are.
  Module get_submodule(const std::string& path) const;

  /// Parameters and buffers by name, cut off from the graph; they share the module's memory.
  TensorMap state_dict() const;
  /// Copies values in place, converting floats to floats of another size. Throws ValueError, before anything is
  /// written, with one message that lists every missing or unexpected name (where strict, or where the state has names
  /// and none of them is the module's), every tensor whose shape or dtype does not fit or whose values overflow, and
  /// two names of one tensor that have different values.
  void load_state_dict(const TensorMap& state, bool strict = true);

  /// Sets the training flag here and below; it is on at first.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const noexcept;

  /// Freezes what is here and below: no parameter asks for a gradient any more, and gradients and hooks that they have
  /// are dropped; statistics stay as they are and are what norms that keep some normalise by, whatever train() says.
  /// The training flag is another thing: dropout goes on to follow it. Modules that are added later are not frozen; a
  /// clone is. AutogradError where a parameter is a recorded result.
  void freeze();
  /// Undoes it, here and below: every parameter asks for a gradient, one that never did as well, and statistics move
  /// where is_training().
  void unfreeze();
  bool is_frozen() const noexcept;

  /// Clears the gradient of every parameter.
  void zero_grad();
  /// Converts floating-point parameters, their gradients and buffers, in every handle on them; hooks stay. Optimisers
  /// follow at their next step. Views, detach()ed handles and an earlier state_dict() keep the memory that was;
  /// backward through a graph that was recorded before throws AutogradError. Throws DTypeError where dtype is not
  /// floating point, AutogradError where a buffer is a recorded result.
  void to(DType dtype);
  /// Lays out parameters, their gradients and buffers of rank 3 and up in format, in every handle on them: convolutions
  /// and their optimisers then meet the layout that channels-last input gives. The rest is as above, but that a graph
  /// recorded before still gives its gradients where it saved no tensor that was laid out anew.
  void to(MemoryFormat format);
  /// Calls f(Module&) once for every descendant, children before parents, and at last for this.
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
  // For classes alone, with all their members: a class assigned through a Module& would keep its own.
  Module& operator=(const Module& other);

  // Registration. Names must be new here, not empty and without a dot; a tensor must not lie in memory of one that is
  // registered here or below, but for one tensor under two names, twice a parameter or twice a buffer: else ValueError.
  /// Makes tensor a leaf that requires a gradient, also one from inference mode. An undefined one is passed through,
  /// unregistered.
  NewParameter parameter(const std::string& name, Tensor tensor);
  /// State that is saved but not learned. An undefined one is passed through, unregistered.
  NewParameter buffer(const std::string& name, Tensor tensor);
  /// Throws ValueError where module holds this one, or has a member that is not registered.
  template <std::derived_from<Module> M>
  M add(const std::string& name, M module);
  /// The same for a module whose class only the caller knows, and whose members cannot be searched.
  void adopt(const std::string& name, const Module& child, const std::type_info& type);
  /// To be called by the constructor of a module without tensors whose results depend on is_training(): it is to be
  /// registered as well.
  void uses_training() noexcept;

 private:
  friend class Container;
  friend class detail::Copying;
  friend class detail::Cloning;
  friend struct detail::Access;

  void check_name(const char* op, const std::string& name) const;
  NewParameter enter(const char* op, const std::string& name, Tensor tensor, bool learned);
  bool holds(const Module& other) const noexcept;
  void visit(void (*f)(void*, Module&), void* context);
  template <class F>
  void for_each_tensor(const std::string& prefix, const F& f) const;
  Tensors tensors() const;
  void set_frozen(bool on);
  void list_modules(const std::string& path, std::vector<NamedModule>& list) const;
  void name_type(const std::type_info& type) const;
  static std::string name_of(const std::type_info& type);
  void print(std::ostream& out, int depth) const;
  friend void print_module(std::ostream& out, const Module& module, const std::type_info& type);

  struct State;
  Ref<State> state_;
  bool is_member_ = false;  // made by add(), or a copy of one that was
};

struct NamedModule {
  std::string name;
  Module module;
};

namespace detail {

/// Notes which modules this thread copies while it lives: copying a class is what tells which modules its members are.
class Copying {
 public:
  /// whole: what they are to be registered in; none: nowhere.
  explicit Copying(const Module* whole) noexcept;
  ~Copying();
  Copying(const Copying&) = delete;
  Copying& operator=(const Copying&) = delete;
  /// Throws ValueError where one had tensors to train or to save and was not registered. holder: the class copied.
  void require_registered(const char* op, const std::type_info& holder) const;

 private:
  friend class nn::Module;
  friend class limpid::Parameter;
  void note(Module& copy) noexcept;
  static Ref<limpid::Parameter::Slot> slot_for(const limpid::Parameter& x) noexcept;

  const Module* whole_;
  int64_t strays_ = 0;
  Ref<Module::State> first_stray_;
  Copying* outer_;

 protected:
  struct Clones;
  const Clones* clones_ = nullptr;
};

/// While it lives, this thread's copies of what the module holds are new, and share no tensor with it.
class Cloning : public Copying {
 public:
  explicit Cloning(const Module& module);
  ~Cloning();

 private:
  Ref<Clones> own_;
};

/// A copy of a module for its members' sake: one that cannot be copied is moved.
template <class M>
M copied(M& module) {
  if constexpr (std::is_copy_constructible_v<M>)
    return M(static_cast<const M&>(module));
  else
    return M(static_cast<M&&>(module));
}

}  // namespace detail

template <std::derived_from<Module> M>
M Module::add(const std::string& name, M module) {
  const detail::Copying copying(&module);
  M copy = detail::copied(module);
  copying.require_registered("add", typeid(M));
  adopt(name, copy, typeid(M));
  static_cast<Module&>(copy).is_member_ = true;
  return copy;
}

/// A module of the same class with parameters and buffers of its own that have the values of module's, in the same
/// structure: what is one tensor there is one here, what is frozen stays frozen, the training flags are the same.
/// Memory that tensors of two modules share otherwise is set apart. Gradients and hooks stay behind. What the class
/// holds besides is copied as its copy constructor does it; plain Tensors and what a pointer points at are shared.
/// Throws ValueError where a member is not registered (see Module).
///
///     nn::Sequential best = nn::clone(net);
template <std::derived_from<Module> M>
M clone(const M& module) {
  const detail::Cloning cloning(module);
  M copy(module);
  cloning.require_registered("clone", typeid(M));
  return copy;
}

void print_module(std::ostream& out, const Module& module, const std::type_info& type);

/// The tree of modules, a line each.
template <std::derived_from<Module> M>
std::ostream& operator<<(std::ostream& out, const M& module) {
  print_module(out, module, typeid(M));
  return out;
}

}  // namespace nn
}  // namespace limpid
