// What the handles of a module share.
#pragma once
#include <limpid/core/detail/pool.hpp>
#include <limpid/nn/module.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace limpid::nn {

struct Module::State final : RefCounted<State> {
  ~State();
  void dispose() noexcept { delete this; }

  using Owner = Parameter::Owner;
  using Slot = Parameter::Slot;
  struct Entry {
    std::string name;
    Ref<Slot> slot;
  };
  struct Child {
    std::string name;
    Module module;
  };
  // A module that this one is a child of. It is no owner, and strikes itself out when it goes.
  struct Parent {
    State* state;
    std::string name;
  };

  /// Whether something is lost where this is not registered: what is trained or saved, or told to evaluate. That all
  /// parameters are frozen is taken for intent.
  bool matters() const noexcept;
  /// Names of this from the outermost module on, such as "2.conv", and that module. Empty for one without parents.
  std::string path(const State*& whole) const;
  bool has_parents() const noexcept;
  /// Whether a handle on this may be assigned one on other: where this is a child, as part of its parent only.
  bool may_become(const State& other) const noexcept;

  const Ref<Owner> owner{new Owner};
  std::string type, arguments;
  bool training = true, uses_training = false;
  std::vector<Entry> parameters, buffers;
  std::vector<Ref<Slot>> vacant;  // of members that hold none
  std::vector<Child> children;
  std::vector<Parent> parents;                             // read and written under a lock
  std::vector<std::unique_ptr<const Callable>> callables;  // of a Sequential

 private:
  bool has_any(bool (*test)(const State& state)) const noexcept;
};

namespace detail {

LIMPID_FAST_TLS extern thread_local constinit Copying* copying;

/// What the files of nn/ may do with a module's state.
struct Access {
  using State = Module::State;
  static State& state(const Module& module) noexcept { return *module.state_; }
};

}  // namespace detail
}  // namespace limpid::nn
