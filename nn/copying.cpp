#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/nn/detail/derivation.hpp>
#include <limpid/nn/detail/state.hpp>

#include <map>

namespace limpid::nn::detail {

using limpid::detail::throw_error;

LIMPID_FAST_TLS thread_local constinit Copying* copying = nullptr;
LIMPID_FAST_TLS thread_local constinit Capturing* capturing = nullptr;

// What stands for the states and slots of a module in its clone.
struct Copying::Clones final : RefCounted<Clones> {
  void dispose() noexcept { delete this; }

  Module of(const Module& module);
  Ref<Parameter::Slot> of(const Parameter::Slot& slot);
  Tensor of(const Tensor& x);

  std::map<const Module::State*, Module> modules;
  std::map<const Parameter::Slot*, Ref<Parameter::Slot>> slots;
  std::map<const TensorImpl*, Tensor> tensors;
};

Tensor Copying::Clones::of(const Tensor& x) {
  if (!x.defined()) return x;
  Tensor& y = tensors[&x.impl()];
  if (!y.defined()) {
    Tensor made = empty_like(x);
    limpid::detail::copy_into(made, x);
    y = made.set_requires_grad(x.requires_grad());
  }
  return y;
}

Ref<Parameter::Slot> Copying::Clones::of(const Parameter::Slot& slot) {
  Ref<Parameter::Slot>& clone = slots[&slot];
  if (!clone) {
    const Ref<Parameter::Slot> made(new Parameter::Slot);
    made->tensor = of(slot.tensor);
    made->learned = slot.learned;
    if (const Derivation* derivation = slot.derivation.get()) {
      made->derivation = Ref<Derivation>(new Derivation(derivation->rule));
      made->derivation->moves = derivation->moves.load();
      for (const Ref<Parameter::Slot>& source : derivation->sources) made->derivation->sources.push_back(of(*source));
    }
    slots[&slot] = made;
    return made;
  }
  return clone;
}

Module Copying::Clones::of(const Module& module) {
  const Module::State& state = *module.state_;
  if (const auto known = modules.find(&state); known != modules.end()) return known->second;
  Module clone(state.type, state.arguments);
  Module::State& its = *clone.state_;
  its.training = state.training;
  its.uses_training = state.uses_training;
  its.frozen = state.frozen;
  its.work = state.work;
  its.extras = state.extras & has_derived;
  const auto enter = [&](const auto& entries, auto& to) {
    for (const auto& [name, slot] : entries) to.push_back({name, of(*slot)});
  };
  enter(state.parameters, its.parameters);
  enter(state.buffers, its.buffers);
  enter(state.vacant, its.vacant);
  enter(state.derived, its.derived);
  for (const Module::State::Child& child : state.children) {
    const Module twin = of(child.module);
    clone.adopt(child.name, twin, typeid(Module));
    its.children.back().in_container = child.in_container;
  }
  modules.emplace(&state, clone);
  return clone;
}

Copying::Copying(const Module* whole) noexcept : whole_(whole), outer_(copying) { copying = this; }
Copying::~Copying() { copying = outer_; }

void Copying::note(Module& copy) noexcept {
  if (capturing) [[unlikely]]
    return capturing->see(copy);
  Ref<Module::State>& state = copy.state_;
  if (clones_) {
    const auto clone = clones_->modules.find(state.get());
    if (clone != clones_->modules.end()) {
      state = clone->second.state_;
      return;
    }
  }
  if ((whole_ && whole_->holds(copy)) || state->has_parents() || !state->matters()) return;
  if (!first_stray_) first_stray_ = state;
  ++strays_;
}

Ref<Parameter::Slot> Copying::slot_for(const Parameter& x) noexcept {
  if (copying && copying->clones_) {
    const auto clone = copying->clones_->slots.find(x.slot_.get());
    if (clone != copying->clones_->slots.end()) return clone->second;
  }
  return x.slot_;
}

void Copying::require_registered(const char* op, const std::type_info& holder) const {
  if (!first_stray_) return;
  const std::string which = limpid::detail::message(
      first_stray_->type.empty() ? "a module" : first_stray_->type + '(' + first_stray_->arguments + ')',
      strays_ == 1 ? "" : limpid::detail::message(" and ", strays_ - 1, " more"));
  if (!whole_)
    throw_error<ValueError>(op,
                            ": expected a function, or a class derived from nn::Module that registers its modules, ",
                            "got one that holds ", which, ", which would be neither trained nor saved");
  throw_error<ValueError>(op, ": expected every module in ", Module::name_of(holder),
                          " to be registered by add(), got ", which,
                          " that is not, and would be neither trained nor saved");
}

Cloning::Cloning(const Module& module) : Copying(&module), own_(new Clones) {
  const InferenceMode off(false);  // a clone can be trained wherever it was made
  // These copies are no members of a class.
  copying = nullptr;
  own_->of(module);
  copying = this;
  clones_ = own_.get();
  for (const auto& entry : own_->modules)
    for (const Module::State::Kept& kept : entry.first->kept) {
      Module::State& its = *entry.second.state_;
      its.kept.reserve(entry.first->kept.size());  // no copy is lost where the list cannot grow
      its.kept.push_back({kept.name, std::unique_ptr<Container::Held>(kept.item->copy()), kept.child,
                          kept.state ? its.children[kept.child].module.state_.get() : nullptr});
    }
}
Cloning::~Cloning() = default;

}  // namespace limpid::nn::detail
