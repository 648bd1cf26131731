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

  using Slot = Parameter::Slot;
  struct Entry {
    std::string name;
    Ref<Slot> slot;
  };
  struct Child {
    std::string name;
    Module module;
    bool in_sequence = false;  // of a Sequential, which holds no member for it
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

  std::string type, arguments;
  bool training = true, uses_training = false;
  std::vector<Entry> parameters, buffers;
  std::vector<Entry> vacant;  // of members that hold none
  std::vector<Child> children;
  std::vector<Parent> parents;                             // read and written under a lock
  std::vector<std::unique_ptr<const Callable>> callables;  // of a Sequential

 private:
  bool has_any(bool (*test)(const State& state)) const noexcept;
};

namespace detail {

LIMPID_FAST_TLS extern thread_local constinit Copying* copying;

/// What is yet to be assigned of this thread's assignments of modules, whose members follow them: pairs of what a
/// member holds and what it is to hold, modules' states and parameters' slots, null for none.
class Assignments {
 public:
  /// Adds the members of a handle that goes from one state to another.
  static void add(const Module& before, const Module& after);
  /// Whether a member may go from one to the other; it may do so once.
  static bool take(const void* before, const void* after) noexcept;
};

/// What the files of nn/ may do with a module's state.
struct Access {
  using State = Module::State;
  static State& state(const Module& module) noexcept { return *module.state_; }
};

}  // namespace detail
}  // namespace limpid::nn
