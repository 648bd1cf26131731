// Modules and parameters in lists, known to the module that they are in.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace LIMPID_API limpid {
namespace nn {

/// What Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict share: what they hold is held by all
/// handles alike. It is registered as a child or parameter where it is appended, and can be neither taken out nor
/// replaced.
class Container : public Module {
 public:
  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }

 protected:
  explicit Container(const char* type) : Module(type) {}

  // An item of any type. Type erasure, with all that need not know the type out of line: it keeps programs quick to
  // compile.
  struct Held {
    virtual ~Held() = default;
    virtual Held* copy() const = 0;
  };
  template <class T>
  struct Item final : Held {
    explicit Item(const T& its_value) : value(its_value) {}
    Held* copy() const override { return new Item(value); }
    T value;
  };

  /// Takes item, which holds a module's handle, member, or a function where there is none.
  void keep(const std::string& name, Module* member, const std::type_info& type, Held* item);
  void require_registered(const detail::Copying& copying, const std::type_info& type) const;
  template <class M, std::derived_from<Module> F>
  M& keep(const std::string& name, const F& module) {
    {
      const detail::Copying copying(&module);
      const F copy(module);
      require_registered(copying, typeid(F));
    }
    auto* item = new Item<M>(module);
    keep(name, &item->value, typeid(F), item);
    return item->value;
  }
  void keep_parameter(const std::string& name, const Tensor& tensor);
  std::string next_name() const;

  template <class T>
  static T& value_of(Held& item) noexcept {
    return static_cast<Item<T>&>(item).value;
  }
  Held& held(std::size_t i) const noexcept;
  /// From -size() on; throws ValueError beyond.
  Held& at(int64_t i) const;
  Held& at(const std::string& name) const;
  /// Where name is; size() where it is nowhere.
  std::size_t index_of(const std::string& name) const noexcept;
  const std::string& name(std::size_t i) const noexcept;
  bool contains(const std::string& wanted) const noexcept { return index_of(wanted) < size(); }
  std::vector<std::string> names() const;

  template <class C>
  class Iterator {
   public:
    // What algorithms and views of the standard library ask for.
    using iterator_category = std::input_iterator_tag;  // from <vector>: <iterator> would bring streams with it
    using difference_type = std::ptrdiff_t;
    using reference = decltype(std::declval<C&>().nth(0));
    using value_type = std::remove_cvref_t<reference>;
    using pointer = void;

    Iterator() noexcept = default;
    Iterator(C& container, std::size_t i) noexcept : container_(&container), i_(i) {}
    reference operator*() const { return container_->nth(i_); }
    Iterator& operator++() noexcept {
      ++i_;
      return *this;
    }
    Iterator operator++(int) noexcept { return {*container_, i_++}; }
    bool operator==(const Iterator& other) const noexcept { return i_ == other.i_; }

   private:
    C* container_ = nullptr;
    std::size_t i_ = 0;
  };

 private:
  friend class Module;
  friend class detail::Cloning;
};

/// Modules of one class, as children "0", "1", ..., to be called one by one:
///
///     struct Net : nn::Module {
///       nn::ModuleList<Block> blocks;
///       Net() : blocks(add("blocks", nn::ModuleList<Block>())) {
///         for (int i = 0; i < 3; ++i) blocks.append(Block(4));
///       }
///       Tensor operator()(Tensor x) const {
///         for (const Block& block : blocks) x = block(x);
///         return x;
///       }
///     };
///
/// Copies share it, as those of any module do. One of modules of several classes, ModuleList<nn::Module>, has them
/// trained and saved, and gives back handles that cannot be called.
template <std::derived_from<Module> M = Module>
class ModuleList : public Container {
 public:
  ModuleList() : Container("ModuleList") {}
  ModuleList(std::initializer_list<M> modules) : ModuleList() { extend(modules); }
  explicit ModuleList(const std::vector<M>& modules) : ModuleList() { extend(modules); }

  /// Throws ValueError where module holds this list, or has a member that is not registered.
  template <std::derived_from<M> F = M>
  M& append(const F& module) {
    return keep<M>(next_name(), module);
  }
  template <class Modules>
  void extend(const Modules& modules) {
    for (const M& module : modules) append(module);
  }

  /// From -size() to size() - 1; ValueError beyond. It cannot be assigned: the list would not see it.
  template <std::integral Index>
  M& operator[](Index i) {
    return value_of<M>(at(static_cast<int64_t>(i)));
  }
  template <std::integral Index>
  const M& operator[](Index i) const {
    return value_of<M>(at(static_cast<int64_t>(i)));
  }

  auto begin() noexcept { return Iterator<ModuleList>(*this, 0); }
  auto end() noexcept { return Iterator<ModuleList>(*this, size()); }
  auto begin() const noexcept { return Iterator<const ModuleList>(*this, 0); }
  auto end() const noexcept { return Iterator<const ModuleList>(*this, size()); }

 private:
  template <class>
  friend class Container::Iterator;
  M& nth(std::size_t i) noexcept { return value_of<M>(held(i)); }
  const M& nth(std::size_t i) const noexcept { return value_of<M>(held(i)); }
};

/// Modules of one class by names, in the order in which they came:
///
///     nn::ModuleDict<nn::Linear> heads{{"age", nn::Linear(8, 1)}, {"kind", nn::Linear(8, 5)}};
///     Tensor y = heads["kind"](x);
///     for (const auto& [name, head] : heads) y = head(x);
template <std::derived_from<Module> M = Module>
class ModuleDict : public Container {
 public:
  ModuleDict() : Container("ModuleDict") {}
  ModuleDict(std::initializer_list<std::pair<std::string, M>> modules) : ModuleDict() {
    for (const auto& [name, module] : modules) add(name, module);
  }

  /// Throws ValueError where name is not new, is empty or has a dot, and as ModuleList's append().
  template <std::derived_from<M> F = M>
  M& add(const std::string& name, const F& module) {
    return keep<M>(name, module);
  }
  /// Throws ValueError on a name that is not there; contains() tells. It cannot be assigned.
  M& operator[](const std::string& name) { return value_of<M>(at(name)); }
  const M& operator[](const std::string& name) const { return value_of<M>(at(name)); }
  using Container::contains;
  using Container::names;

  template <class Value>
  struct Entry {
    std::string name;
    Value& module;
  };
  auto begin() noexcept { return Iterator<ModuleDict>(*this, 0); }
  auto end() noexcept { return Iterator<ModuleDict>(*this, size()); }
  auto begin() const noexcept { return Iterator<const ModuleDict>(*this, 0); }
  auto end() const noexcept { return Iterator<const ModuleDict>(*this, size()); }

 private:
  template <class>
  friend class Container::Iterator;
  Entry<M> nth(std::size_t i) noexcept { return {name(i), value_of<M>(held(i))}; }
  Entry<const M> nth(std::size_t i) const noexcept { return {name(i), value_of<M>(held(i))}; }
};

/// Parameters "0", "1", ...
class ParameterList : public Container {
 public:
  ParameterList() : Container("ParameterList") {}
  ParameterList(std::initializer_list<Tensor> tensors) : ParameterList() { extend(tensors); }
  explicit ParameterList(const Tensors& tensors) : ParameterList() { extend(tensors); }

  /// Makes tensor a leaf that requires a gradient. Throws ValueError where it is undefined, or in memory of another.
  const Parameter& append(const Tensor& tensor) {
    keep_parameter(next_name(), tensor);
    return nth(size() - 1);
  }
  template <class List>
  void extend(const List& tensors) {
    for (const Tensor& tensor : tensors) append(tensor);
  }
  /// From -size() to size() - 1; ValueError beyond.
  const Parameter& operator[](int64_t i) const { return value_of<Parameter>(at(i)); }

  auto begin() const noexcept { return Iterator<const ParameterList>(*this, 0); }
  auto end() const noexcept { return Iterator<const ParameterList>(*this, size()); }

 private:
  template <class>
  friend class Container::Iterator;
  const Parameter& nth(std::size_t i) const noexcept { return value_of<Parameter>(held(i)); }
};

/// Parameters by names, in the order in which they came:
///
///     nn::ParameterDict scales{{"red", ones({3})}, {"blue", ones({3})}};
///     for (const auto& [name, scale] : scales) x = x * scale;
class ParameterDict : public Container {
 public:
  ParameterDict() : Container("ParameterDict") {}
  ParameterDict(std::initializer_list<std::pair<std::string, Tensor>> tensors) : ParameterDict() {
    for (const auto& [name, tensor] : tensors) add(name, tensor);
  }

  /// Throws ValueError where name is not new, is empty or has a dot, and as ParameterList's append().
  const Parameter& add(const std::string& name, const Tensor& tensor) {
    keep_parameter(name, tensor);
    return value_of<Parameter>(held(size() - 1));
  }
  /// Throws ValueError on a name that is not there; contains() tells.
  const Parameter& operator[](const std::string& name) const { return value_of<Parameter>(at(name)); }
  using Container::contains;
  using Container::names;

  struct Entry {
    std::string name;
    const Parameter& parameter;
  };
  auto begin() const noexcept { return Iterator<const ParameterDict>(*this, 0); }
  auto end() const noexcept { return Iterator<const ParameterDict>(*this, size()); }

 private:
  template <class>
  friend class Container::Iterator;
  Entry nth(std::size_t i) const noexcept { return {name(i), value_of<Parameter>(held(i))}; }
};

}  // namespace nn
}  // namespace limpid
