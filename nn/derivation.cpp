#include <limpid/nn/detail/derivation.hpp>

#include <limpid/autograd/detail/checkpoint_run.hpp>
#include <limpid/autograd/detail/extras.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/quote.hpp>

#include <algorithm>
#include <mutex>
#include <string_view>

namespace limpid {

using detail::CheckpointRun;
using detail::throw_error;
using nn::detail::CallFrame;

Parameter::Slot::Slot() noexcept = default;
Parameter::Slot::~Slot() = default;
void Parameter::Slot::dispose() noexcept { delete this; }

const Tensor& Parameter::derived(const Slot& slot) {
  const Tensor* value = CallFrame::value_of(slot);
  return value ? *value : slot.derivation->read();
}

Tensor Parameter::refuse_change() const {
  throw_error<ValueError>("nn::Parameter: expected one of its own values to be changed, got one that ",
                          slot_->derivation->rule->name,
                          " computes from others; change those, see Module::named_parameters()");
}

namespace nn::detail {

namespace {

// Of which thread has a value where.
limpid::detail::ForkMutex values_lock(0);

LIMPID_FAST_TLS thread_local constinit CallFrame* frames = nullptr;

}  // namespace

Tensor Derivation::value(bool may_move) const {
  Tensors given;
  for (const Ref<Slot>& source : sources)
    given.push_back(source->derivation ? Parameter(source).tensor() : source->tensor);
  Tensor y = rule->value(given, may_move);
  y.impl().storage->make_read_only();
  return y;
}

const Tensor& Derivation::read() {
  const Tensor now = value(moves && is_grad_enabled());
  const void* thread = &frames;
  Tensor* mine = nullptr;
  {
    const std::lock_guard lock(values_lock);
    const auto known =
        std::find_if(values_.begin(), values_.end(), [&](const OfThread& entry) { return entry.thread == thread; });
    mine = known != values_.end() ? &known->value : &values_.emplace_back(OfThread{thread, {}}).value;
  }
  return *mine = now;
}

void Derivation::forget() {
  const std::lock_guard lock(values_lock);
  values_.clear();
}

CallFrame::CallFrame(const Access::State& state) : state_(&state), outer_(frames), run_(CheckpointRun::innermost()) {
  values_.reserve(state.derived.size());  // where they are read from stays
  for (const auto& [name, slot] : state.derived)
    values_.emplace_back(slot.get(), slot->derivation->value(slot->derivation->moves));
  frames = this;
}
CallFrame::~CallFrame() { frames = outer_; }

bool CallFrame::is_open(const Access::State& state) noexcept {
  for (const CallFrame* frame = frames; frame; frame = frame->outer_)
    if (frame->state_ == &state) return true;
  return false;
}

const Tensor* CallFrame::value_of(const Access::Slot& slot) {
  const CallFrame* frame = frames;
  // Outwards through checkpoints. Calls that one of them began in are over where it runs again.
  for (CheckpointRun* run = CheckpointRun::innermost();; run = run->outer()) {
    const Tensor* value = nullptr;
    for (; frame && frame->run_ == run; frame = frame->outer_)
      for (const auto& [known, computed] : frame->values_)
        if (known == &slot && !value) value = &computed;
    const bool is_again = run && !run->is_first();
    if (!value && is_again) value = run->next(&slot);
    if (value) CheckpointRun::note(&slot, *value, run);
    if (value || is_again || !run) return value;
  }
}

const char* held_elsewhere(const Tensor& x) {
  const Ref<GradHandle>& leaf = x.impl().grad;  // a graph holds on to that
  if (x.impl().use_count() > 1 || (leaf && leaf->use_count() > 1))
    return "that an optimiser, a graph or a Tensor holds as well";
  if (x.requires_grad() && limpid::detail::has_hooks(x)) return "with a hook";
  if (x.requires_grad() && x.is_leaf() && x.grad().defined()) return "with a gradient";
  return nullptr;
}

namespace {

auto find(auto& entries, const std::string& name) {
  return std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.name == name; });
}

}  // namespace

const Tensor& plain_parameter(const char* op, const Module& module, const std::string& name) {
  using limpid::detail::printable;
  const Access::State& state = Access::state(module);
  const auto found = find(state.parameters, name);
  if (found == state.parameters.end()) {
    if (const auto known = find(state.derived, name); known != state.derived.end())
      throw_error<ValueError>(op, ": expected a parameter of its own values, got \"", printable(name), "\", which ",
                              known->slot->derivation->rule->name, " computes from others");
    limpid::detail::Listing there;
    for (const auto& entry : state.parameters) there.add(printable(entry.name));
    throw_error<ValueError>(op, ": expected ", there.empty() ? "a module with parameters" : "one of ", there.text(),
                            ", got \"", printable(name), '"');
  }
  if (const char* got = held_elsewhere(found->slot->tensor))
    throw_error<ValueError>(op, ": expected a parameter that only its module holds, got one ", got,
                            "; do so before that");
  return found->slot->tensor;
}

void derive(const Module& module, const std::string& name, std::shared_ptr<const Rule> rule,
            const std::vector<Source>& sources) {
  Access::State& state = Access::state(module);
  const Ref<Derivation> derivation(new Derivation(std::move(rule)));
  derivation->moves = state.training && !state.frozen;
  std::vector<Access::State::Entry> parameters, buffers;
  for (const Source& source : sources) {
    const std::string its_name = name + source.end;
    Access::check_name(module, derivation->rule->name, its_name);
    const Ref<Access::Slot> slot(new Access::Slot);
    slot->tensor = source.tensor;
    slot->learned = source.learned;
    derivation->sources.push_back(slot);
    (source.learned ? parameters : buffers).push_back({its_name, slot});
  }
  state.parameters.reserve(state.parameters.size() + parameters.size());
  state.buffers.reserve(state.buffers.size() + buffers.size());
  state.derived.reserve(state.derived.size() + 1);
  // Nothing fails from here on.
  const auto found = find(state.parameters, name);
  state.derived.push_back(std::move(*found));
  state.parameters.erase(found);
  for (auto& entry : parameters) state.parameters.push_back(std::move(entry));
  for (auto& entry : buffers) state.buffers.push_back(std::move(entry));
  Access::Slot& slot = *state.derived.back().slot;
  slot.tensor = Tensor();
  slot.derivation = derivation;
  state.extras |= has_derived;
}

void underive(const char* op, const char* rule, const Module& module, const std::string& name) {
  using limpid::detail::printable;
  Access::State& state = Access::state(module);
  const auto is_of_rule = [&](const auto& entry) {
    return std::string_view(entry.slot->derivation->rule->name) == rule;
  };
  const auto found = find(state.derived, name);
  if (found == state.derived.end() || !is_of_rule(*found)) {
    limpid::detail::Listing there;
    for (const auto& entry : state.derived)
      if (is_of_rule(entry)) there.add(printable(entry.name));
    throw_error<ValueError>(op, ": expected ", there.empty() ? "a parameter that " : "one of ",
                            there.empty() ? limpid::detail::message(rule, " computes") : there.text(), ", got \"",
                            printable(name), '"');
  }
  Access::Slot& slot = *found->slot;
  Derivation& derivation = *slot.derivation;
  for (const Ref<Access::Slot>& source : derivation.sources)
    if (source->derivation)
      throw_error<ValueError>(op, ": expected a parameter computed from tensors, got \"", printable(name),
                              "\", computed from one that ", source->derivation->rule->name,
                              " computes; remove that first");
  derivation.forget();  // they are graphs
  bool learned = false;
  for (const Ref<Access::Slot>& source : derivation.sources) {
    const TensorImpl& x = source->tensor.impl();
    if (x.use_count() > 1 || (x.grad && x.grad->use_count() > 1))
      throw_error<ValueError>(op, ": expected \"", printable(name),
                              "\" to be computed from what only its module holds, got a tensor that an optimiser, a "
                              "graph or a Tensor holds as well; do so when that is gone, or to a clone of the module");
    learned = learned || source->tensor.requires_grad();
  }
  Tensor own;
  {
    const InferenceMode off(false);  // it can be trained wherever it was made
    const NoGradGuard no_grad;
    own = derivation.value(false).clone();
  }
  own.set_requires_grad(learned);
  state.parameters.reserve(state.parameters.size() + 1);
  // Nothing fails from here on.
  const auto is_source = [&](const Access::State::Entry& entry) {
    return std::find(derivation.sources.begin(), derivation.sources.end(), entry.slot) != derivation.sources.end();
  };
  std::erase_if(state.parameters, is_source);
  std::erase_if(state.buffers, is_source);
  state.parameters.push_back(std::move(*found));
  state.derived.erase(found);
  slot.tensor = std::move(own);
  slot.derivation = nullptr;
  if (state.derived.empty()) state.extras &= static_cast<uint8_t>(~has_derived);
}

}  // namespace nn::detail
}  // namespace limpid
