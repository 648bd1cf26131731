// What the handles of a module share.
#pragma once
#include <limpid/core/detail/pool.hpp>
#include <limpid/nn/containers.hpp>
#include <limpid/nn/hooks.hpp>
#include <limpid/nn/module.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace limpid::nn {

namespace detail {

/// What a call of a module has to mind beside its work, a bit each.
inline constexpr uint8_t has_hooks = 1, has_derived = 2;

/// How many multiply-adds a call takes: so many for each element of the result or of the input, and so on.
enum class Work : uint8_t { none, per_output, per_input, per_step, attention, attention_batch_first };

}  // namespace detail

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
    bool in_container = false;  // which holds no member for it
  };
  // What a container holds, and of which child.
  struct Kept {
    std::string name;
    std::unique_ptr<Container::Held> item;
    std::size_t child = 0;         // among children; none for a parameter
    const State* state = nullptr;  // its
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
  /// Tells what is computed from others whether it may move what it keeps.
  void settle() noexcept;

  std::string type, arguments;
  bool training = true, uses_training = false, frozen = false;
  detail::Work work = detail::Work::none;
  std::atomic<uint8_t> extras = 0;
  std::vector<Entry> parameters, buffers;
  std::vector<Entry> vacant;   // of members that hold none
  std::vector<Entry> derived;  // those that are computed from others, which are not listed with them
  std::vector<Child> children;
  std::vector<Parent> parents;          // read and written under a lock
  std::vector<Kept> kept;               // of a container
  std::vector<Ref<ForwardHook>> hooks;  // read and written under a lock

 private:
  bool has_any(bool (*test)(const State& state)) const noexcept;
};

namespace detail {

LIMPID_FAST_TLS extern thread_local constinit Copying* copying;
LIMPID_FAST_TLS extern thread_local constinit Capturing* capturing;

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
  using Slot = Parameter::Slot;
  static State& state(const Module& module) noexcept { return *module.state_; }
  static void check_name(const Module& module, const char* op, const std::string& name) { module.check_name(op, name); }
  static bool holds(const Module& module, const Module& other) noexcept { return module.holds(other); }
  static void name_type(const Module& module, const std::type_info& type) { module.name_type(type); }
};

/// Says how many multiply-adds a layer takes, for summary().
inline void set_work(const Module& layer, Work work) noexcept { Access::state(layer).work = work; }

}  // namespace detail
}  // namespace limpid::nn
