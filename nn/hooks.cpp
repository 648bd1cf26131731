#include <limpid/nn/hooks.hpp>

#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/derivation.hpp>

#include <algorithm>
#include <mutex>
#include <optional>

namespace limpid::nn {

using limpid::detail::throw_error;

namespace {

// Of the hooks of all modules. Nothing of the user's runs under it.
limpid::detail::ForkMutex hooks_lock(0);

// What takes the place of xs, which may be nothing.
void replace(const char* op, const Module& module, Tensors& xs, Tensors made) {
  if (made.empty()) return;
  if (made.size() != xs.size())
    throw_error<ValueError>(op, ": expected a hook of ", module.type(), " that returns ", xs.size(),
                            xs.size() == 1 ? " tensor" : " tensors", ", or none, got ", made.size());
  xs = std::move(made);
}

// The hooks there are now: others may be registered while they run.
std::vector<Ref<ForwardHook>> hooks_of(detail::Access::State& state) {
  if (!(state.extras & detail::has_hooks)) return {};
  const std::lock_guard lock(hooks_lock);
  std::erase_if(state.hooks, [](const Ref<ForwardHook>& hook) { return !hook->function; });
  if (state.hooks.empty()) state.extras &= static_cast<uint8_t>(~detail::has_hooks);
  return state.hooks;
}

// None where it has been removed.
Ref<ForwardHook::Function> function_of(const ForwardHook& hook) {
  const std::lock_guard lock(hooks_lock);
  return hook.function;
}

}  // namespace

void ForwardHookHandle::remove() noexcept {
  if (!hook_) return;
  Ref<ForwardHook::Function> gone;  // let go of behind the lock
  const std::lock_guard lock(hooks_lock);
  std::swap(gone, hook_->function);
}

namespace detail {

Capturing::Capturing(const Module& module) noexcept : Copying(nullptr), module_(module), outer_(capturing) {
  capturing = this;
}
Capturing::~Capturing() { capturing = outer_; }

void Capturing::see(const Module& copy) noexcept {
  if (Access::holds(copy, module_)) found_ = true;
}

Ref<ForwardHook> Capturing::hang(const char* op, Ref<ForwardHook::Function> function, bool before) const {
  Access::State& state = Access::state(module_);
  if (found_)
    throw_error<ValueError>(op,
                            ": expected a function that holds no handle on the module it hangs on, nor on one above, "
                            "got one that does, so that neither would ever be freed; it is given the module, and may "
                            "refer to what outlives it");
  const Ref<ForwardHook> hook(new ForwardHook);
  hook->function = std::move(function);
  hook->before = before;
  const std::lock_guard lock(hooks_lock);
  state.hooks.push_back(hook);
  state.extras |= has_hooks;
  return hook;
}

void call_observed(const Module& layer, Tensors& inputs, Tensors& outputs,
                   void (*work)(void* context, const Tensors& inputs, Tensors& outputs), void* context) {
  Access::State& state = Access::state(layer);
  std::string path;
  std::optional<limpid::detail::LayerScope> scope;
  if (limpid::detail::watching & limpid::detail::watch_layers) {
    path = path_of(layer);
    scope.emplace(path.c_str());
  }
  try {
    // A Sequential's call of a layer has begun this one already.
    if (!state.extras || CallFrame::is_open(state)) return work(context, inputs, outputs);
    const std::vector<Ref<ForwardHook>> hooks = hooks_of(state);
    const auto run = [&](const char* op, bool before, Tensors& xs) {
      for (const Ref<ForwardHook>& hook : hooks)
        if (hook->before == before)
          if (const auto function = function_of(*hook)) replace(op, layer, xs, function->call(layer, inputs, outputs));
    };
    const CallFrame frame(state);
    run("register_forward_pre_hook", true, inputs);
    work(context, inputs, outputs);
    run("register_forward_hook", false, outputs);
  } catch (Error& error) {
    say_where(error, layer);
    throw;
  }
}

}  // namespace detail
}  // namespace limpid::nn
