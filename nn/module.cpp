#include <limpid/nn/module.hpp>

#include <limpid/autograd/detail/checkpoint_run.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/demangle.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/overlap.hpp>
#include <limpid/core/detail/quote.hpp>
#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/derivation.hpp>
#include <limpid/nn/detail/loading.hpp>
#include <limpid/nn/detail/state.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <mutex>
#include <ostream>
#include <utility>
#include <vector>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::printable;
using limpid::detail::throw_error;

namespace {

// Of all that is known of parents.
limpid::detail::ForkMutex parents_lock(0);

}  // namespace

Module::State::~State() {
  if (children.empty()) return;
  const std::lock_guard lock(parents_lock);
  for (const Child& child : children)
    std::erase_if(child.module.state_->parents, [&](const Parent& parent) { return parent.state == this; });
}

bool Module::State::has_any(bool (*test)(const State& state)) const noexcept {
  return test(*this) || std::any_of(children.begin(), children.end(),
                                    [&](const Child& child) { return child.module.state_->has_any(test); });
}

bool Module::State::matters() const noexcept {
  if (has_any([](const State& s) {
        return std::any_of(s.parameters.begin(), s.parameters.end(),
                           [](const Entry& entry) { return entry.slot->tensor.requires_grad(); });
      }))
    return true;
  return !has_any([](const State& s) { return !s.parameters.empty(); }) &&
         has_any([](const State& s) { return s.uses_training || !s.buffers.empty(); });
}

void Module::State::settle() noexcept {
  for (const Entry& entry : derived) entry.slot->derivation->moves = training && !frozen;
}

bool Module::State::has_parents() const noexcept {
  const std::lock_guard lock(parents_lock);
  return !parents.empty();
}

std::string Module::State::path(const State*& whole) const {
  const std::lock_guard lock(parents_lock);
  std::string path;
  for (whole = this; !whole->parents.empty(); whole = whole->parents[0].state) {
    // All names that this one has: a layer may stand in two places.
    std::vector<std::string> names;
    for (const Parent& parent : whole->parents)
      if (std::find(names.begin(), names.end(), parent.name) == names.end()) names.push_back(parent.name);
    std::string name;
    for (const std::string& its : names) name += (name.empty() ? "" : " or ") + its;
    path = path.empty() ? name : name + '.' + path;
  }
  return path;
}

std::string detail::path_of(const Module& module) {
  const Access::State* whole = nullptr;
  return Access::state(module).path(whole);
}

bool detail::trains(const Module& layer) {
  return limpid::detail::CheckpointRun::same(&Access::state(layer), layer.is_training());
}

void detail::say_where(Error& error, const Module& module) noexcept {
  try {
    const Access::State* whole = nullptr;
    const std::string path = Access::state(module).path(whole);
    if (!path.empty()) error.say_where(path, whole);
  } catch (const std::exception&) {}
}

Module::Module() : state_(new State) {}
Module::Module(const Module& other) noexcept : state_(other.state_), is_member_(other.is_member_) {
  if (detail::copying) [[unlikely]]
    detail::copying->note(*this);
}
// The members of the class are assigned after this.
Module& Module::operator=(const Module& other) {
  if (state_ == other.state_) return *this;
  if (!detail::Assignments::take(state_.get(), other.state_.get()) && is_member_ && state_->has_parents())
    throw_error<ValueError>("nn::Module: expected an assigned model, got an assigned layer of one, \"",
                            detail::path_of(*this), "\", which the model would not see; make the model anew, or copy ",
                            "values by load_state_dict");
  detail::Assignments::add(*this, other);
  state_ = other.state_;
  return *this;
}
Module::~Module() = default;

Module::Module(std::string type, std::string arguments) : Module() {
  state_->type = std::move(type);
  state_->arguments = std::move(arguments);
}

namespace {

// This thread's, where there are any. Once the thread's objects are gone it is made anew: a program's statics are
// destroyed behind those of the main thread, and may assign modules.
using AssignmentList = std::vector<std::pair<const void*, const void*>>;
thread_local constinit AssignmentList* assignment_list = nullptr;
struct AssignmentListEnd {
  ~AssignmentListEnd() { delete std::exchange(assignment_list, nullptr); }
};
AssignmentList& make_assignment_list() {
  thread_local const AssignmentListEnd end;
  static_cast<void>(end);
  return *(assignment_list = new AssignmentList);
}

// Bounded, for a class need not hold members for all that it has registered.
constexpr std::size_t most_assignments = 1 << 16;

}  // namespace

void detail::Assignments::add(const Module& before, const Module& after) {
  using State = Access::State;
  const State &a = Access::state(before), &b = Access::state(after);
  AssignmentList& assignments = assignment_list ? *assignment_list : make_assignment_list();
  if (assignments.size() > most_assignments)
    assignments.erase(assignments.begin(), assignments.begin() + most_assignments / 2);
  const auto slot_of = [](const State& state, const std::string& name) -> const void* {
    for (const auto* list : {&state.parameters, &state.buffers, &state.vacant, &state.derived})
      for (const State::Entry& entry : *list)
        if (entry.name == name) return entry.slot.get();
    return nullptr;
  };
  for (const auto* list : {&a.parameters, &a.buffers, &a.vacant, &a.derived})
    for (const State::Entry& entry : *list) assignments.emplace_back(entry.slot.get(), slot_of(b, entry.name));
  for (const auto* list : {&b.parameters, &b.buffers, &b.vacant, &b.derived})
    for (const State::Entry& entry : *list)
      if (!slot_of(a, entry.name)) assignments.emplace_back(nullptr, entry.slot.get());
  for (const State::Child& child : a.children)
    for (const State::Child& other : b.children)
      if (child.name == other.name && !child.in_container)
        assignments.emplace_back(&Access::state(child.module), &Access::state(other.module));
}

bool detail::Assignments::take(const void* before, const void* after) noexcept {
  if (!assignment_list) return false;
  AssignmentList& assignments = *assignment_list;
  // The latest first: it is what is under way.
  const auto found = std::find(assignments.rbegin(), assignments.rend(), std::pair(before, after));
  if (found == assignments.rend()) return false;
  assignments.erase(std::next(found).base());
  return true;
}

// Registration.

void Module::check_name(const char* op, const std::string& name) const {
  const auto taken = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), [&](const auto& entry) { return entry.name == name; });
  };
  if (name.empty() || name.find('.') != std::string::npos)
    throw_error<ValueError>(op, ": expected a name without dots, got \"", printable(name), '"');
  if (taken(state_->parameters) || taken(state_->buffers) || taken(state_->derived) || taken(state_->children))
    throw_error<ValueError>(op, ": expected a new name, got \"", printable(name), "\" again");
}

// Calls f(name, tensor, is_parameter) for own parameters, own buffers, then the children's.
template <class F>
void Module::for_each_tensor(const std::string& prefix, const F& f) const {
  for (const auto& [name, slot] : state_->parameters) f(prefix + name, slot->tensor, true);
  for (const auto& [name, slot] : state_->buffers) f(prefix + name, slot->tensor, false);
  for (const auto& [name, module, in_container] : state_->children) module.for_each_tensor(prefix + name + '.', f);
}

// A member that holds none is assigned with its module as the others are, so that it has a slot too.
NewParameter Module::enter(const char* op, const std::string& name, Tensor tensor, bool learned) {
  check_name(op, name);
  if (tensor.defined()) limpid::detail::require_writable(op, tensor);
  // Two tensors in one memory cannot be trained or loaded apart, and would lie apart in a clone.
  if (tensor.defined())
    for_each_tensor("", [&](const std::string& other, const Tensor& x, bool other_learned) {
      if (!(x.is_same(tensor) && other_learned == learned) && limpid::detail::overlaps(x, tensor))
        throw_error<ValueError>(op, ": expected memory of its own for \"", printable(name), "\", got some that \"",
                                printable(other), "\" has as well");
    });
  const Ref<Parameter::Slot> slot(new Parameter::Slot);
  slot->learned = learned;
  if (!tensor.defined()) {
    state_->vacant.push_back({name, slot});
    return NewParameter(slot);
  }
  auto& entries = learned ? state_->parameters : state_->buffers;
  State::Entry entry{name, slot};
  entries.reserve(entries.size() + 1);
  tensor.impl().storage->leave_inference();
  if (learned) tensor.set_requires_grad();
  slot->tensor = std::move(tensor);
  entries.push_back(std::move(entry));
  return NewParameter(slot);
}

NewParameter Module::parameter(const std::string& name, Tensor tensor) {
  return enter("parameter", name, std::move(tensor), true);
}
NewParameter Module::buffer(const std::string& name, Tensor tensor) {
  return enter("buffer", name, std::move(tensor), false);
}

void Module::uses_training() noexcept { state_->uses_training = true; }

bool Module::holds(const Module& other) const noexcept {
  return state_ == other.state_ || std::any_of(state_->children.begin(), state_->children.end(),
                                               [&](const State::Child& child) { return child.module.holds(other); });
}

void Module::adopt(const std::string& name, const Module& child, const std::type_info& type) {
  check_name("add", name);
  if (child.holds(*this))
    throw_error<ValueError>("add: expected a module that does not hold this one, got \"", printable(name), '"');
  State::Parent parent{state_.get(), name};
  state_->children.push_back({name, child, false});
  try {
    child.name_type(type);
    const std::lock_guard lock(parents_lock);
    child.state_->parents.push_back(std::move(parent));
  } catch (...) {
    state_->children.pop_back();
    throw;
  }
}

// Tensors by name.

namespace {

void add_once(std::vector<NamedTensor>& list, const std::string& name, const Tensor& tensor) {
  const auto same = [&](const NamedTensor& entry) { return entry.tensor.is_same(tensor); };
  if (std::none_of(list.begin(), list.end(), same)) list.push_back({name, tensor});
}

}  // namespace

std::vector<NamedTensor> Module::named_parameters() const {
  std::vector<NamedTensor> list;
  for_each_tensor("", [&](const std::string& name, const Tensor& tensor, bool is_parameter) {
    if (is_parameter) add_once(list, name, tensor);
  });
  return list;
}

std::vector<NamedTensor> Module::named_buffers() const {
  std::vector<NamedTensor> list;
  for_each_tensor("", [&](const std::string& name, const Tensor& tensor, bool is_parameter) {
    if (!is_parameter) add_once(list, name, tensor);
  });
  return list;
}

Tensors Module::parameters() const {
  Tensors list;
  for (const NamedTensor& entry : named_parameters()) list.push_back(entry.tensor);
  return list;
}

Tensors Module::tensors() const {
  Tensors list;
  for_each_tensor("", [&](const std::string&, const Tensor& tensor, bool) { list.push_back(tensor); });
  return list;
}

TensorMap Module::state_dict() const {
  TensorMap state;
  for_each_tensor("", [&](const std::string& name, const Tensor& tensor, bool) { state[name] = tensor.detach(); });
  return state;
}

void Module::load_state_dict(const TensorMap& state, bool strict) {
  TensorMap own;
  for_each_tensor("", [&](const std::string& name, const Tensor& tensor, bool) { own[name] = tensor; });
  // A map of nothing but others is no part of a state: all of it is named.
  const auto is_known = [&](const auto& entry) { return own.count(entry.first) > 0; };
  if (!own.empty() && !state.empty() && std::none_of(state.begin(), state.end(), is_known)) strict = true;

  struct Source {
    Tensor tensor, values;
    std::string name;
  };
  std::vector<Source> sources;
  limpid::detail::Listing missing, unexpected, unfit;
  for (const auto& mine : own) {
    const std::string& name = mine.first;  // no structured binding, for lambdas below capture these
    const Tensor& tensor = mine.second;
    const auto entry = state.find(name);
    if (entry == state.end()) {
      if (strict) missing.add(printable(name));
      continue;
    }
    const Tensor& x = entry->second;
    if (!x.defined()) {
      unfit.add(printable(name), " (undefined)");
      continue;
    }
    if (x.shape() != tensor.shape() || !detail::is_loadable(x.dtype(), tensor.dtype())) {
      unfit.add(printable(name), " (expected ", tensor.dtype(), ' ', tensor.shape(), ", got ", x.dtype(), ' ',
                x.shape(), ')');
      continue;
    }
    const bool alike = x.dtype() == tensor.dtype();
    // Values that lie in the module's own memory, be it under another name, are copied before any is written over.
    const bool apart = std::none_of(own.begin(), own.end(),
                                    [&](const auto& other) { return limpid::detail::overlaps(x, other.second); });
    const bool dense = x.is_contiguous(tensor.memory_format());
    const Tensor values = apart && alike && dense ? x : detail::laid_out_like(tensor, x);
    if (detail::has_overflowed(values, x))
      unfit.add(printable(name), " (expected values that ", tensor.dtype(), " holds, got others)");
    const auto twin = std::find_if(sources.begin(), sources.end(),
                                   [&](const Source& source) { return source.tensor.is_same(tensor); });
    const auto shared = std::find_if(sources.begin(), sources.end(), [&](const Source& source) {
      return !source.tensor.is_same(tensor) && limpid::detail::overlaps(source.tensor, tensor);
    });
    if (shared != sources.end())
      unfit.add(printable(name), " (expected memory of its own, got some that ", printable(shared->name),
                " has as well)");
    else if (twin == sources.end())
      sources.push_back({tensor, values, name});
    else if (!allclose(twin->values, values, 0, 0, true))
      unfit.add(printable(name), " (expected the values of ", printable(twin->name),
                ", which is the same tensor, got others)");
  }
  if (strict)
    for (const auto& entry : state)
      if (!is_known(entry)) unexpected.add(printable(entry.first));

  limpid::detail::Listing faults("; ");
  const auto report = [&](const char* kind, const limpid::detail::Listing& names) {
    if (!names.empty()) faults.add(kind, ": ", names.text());
  };
  report("missing", missing);
  report("unexpected", unexpected);
  report("unfit", unfit);
  if (!faults.empty())
    throw_error<ValueError>("load_state_dict: expected the module's own tensors, got ", faults.text());

  for (const Source& source : sources) {
    limpid::detail::copy_into(source.tensor, source.values);
    source.tensor.bump_version();
  }
}

// The tree.

namespace {

template <class Same>
bool is_listed(const std::vector<NamedModule>& list, const Same& same) {
  return std::any_of(list.begin(), list.end(), [&](const NamedModule& entry) { return same(entry.module); });
}

}  // namespace

std::vector<NamedModule> Module::named_children() const {
  std::vector<NamedModule> list;
  for (const State::Child& child : state_->children)
    if (!is_listed(list, [&](const Module& other) { return other.state_ == child.module.state_; }))
      list.push_back({child.name, child.module});
  return list;
}

std::vector<Module> Module::children() const {
  std::vector<Module> list;
  for (const NamedModule& child : named_children()) list.push_back(child.module);
  return list;
}

std::vector<NamedModule> Module::named_modules() const {
  std::vector<NamedModule> list;
  list_modules("", list);
  return list;
}

void Module::list_modules(const std::string& path, std::vector<NamedModule>& list) const {
  if (is_listed(list, [&](const Module& other) { return other.state_ == state_; })) return;
  list.push_back({path, *this});
  for (const State::Child& child : state_->children)
    child.module.list_modules(path.empty() ? child.name : path + '.' + child.name, list);
}

Module Module::get_submodule(const std::string& path) const {
  const State* state = state_.get();
  const Module* module = this;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    const auto child = std::find_if(state->children.begin(), state->children.end(),
                                    [&](const State::Child& c) { return c.name == name; });
    if (child == state->children.end() || end + 1 == path.size()) {
      limpid::detail::Listing there;
      for (const State::Child& c : state->children) there.add(printable(c.name));
      throw_error<ValueError>("get_submodule: expected ", there.empty() ? "no name" : "one of ", there.text(),
                              begin == 0 ? "" : message(" in \"", printable(path.substr(0, begin - 1)), '"'),
                              ", got \"", printable(child == state->children.end() ? name : path), '"');
    }
    module = &child->module;
    state = module->state_.get();
    begin = end + 1;
  }
  return *module;
}

// State of the whole tree.

void Module::train(bool on) {
  state_->training = on;
  state_->settle();
  for (auto& child : state_->children) child.module.train(on);
}

bool Module::is_training() const noexcept { return state_->training; }

// Parameters first, which may fail: then nothing is frozen, nor thawed.
void Module::freeze() {
  const Tensors all = parameters();
  for (const Tensor& x : all)
    if (!x.is_leaf())
      throw_error<AutogradError>("freeze: expected parameters that are leaves, got a result of ", grad_node(x)->name(),
                                 " of shape ", x.shape());
  for (Tensor x : all) x.set_requires_grad(false);
  set_frozen(true);
}

void Module::unfreeze() {
  Tensors thawed = parameters();
  std::size_t i = 0;
  try {
    for (; i < thawed.size(); ++i)
      if (thawed[i].requires_grad())
        thawed[i] = Tensor();  // as it was
      else
        thawed[i].set_requires_grad();
  } catch (...) {
    while (i-- > 0)
      if (thawed[i].defined()) thawed[i].set_requires_grad(false);
    throw;
  }
  set_frozen(false);
}

void Module::set_frozen(bool on) {
  state_->frozen = on;
  state_->settle();
  for (auto& child : state_->children) child.module.set_frozen(on);
}

bool Module::is_frozen() const noexcept { return state_->frozen; }

void Module::zero_grad() {
  for_each_tensor("", [](const std::string&, const Tensor& tensor, bool is_parameter) {
    if (is_parameter && tensor.requires_grad()) tensor.set_grad({});
  });
}

namespace {

// Gives the tensors behind all handles the values that convert() makes of them, in memory of their own, and their
// gradients likewise; an undefined result leaves a tensor as it is. Leaves stay the nodes that they are, so that hooks
// stay too, and graphs that were recorded before lead to them still; one that saved a tensor sees a version it does not
// know. All memory is had before any is changed.
template <class F>
void convert_in_place(const Tensors& xs, const F& convert) {
  const InferenceMode off(false);  // they can be trained wherever they are converted
  struct Change {
    Tensor x, values, gradient;
  };
  std::vector<Change> changes;
  for (const Tensor& x : xs) {
    const Tensor y = convert(x);
    if (!y.defined() || std::any_of(changes.begin(), changes.end(), [&](const Change& c) { return c.x.is_same(x); }))
      continue;
    if (!x.is_leaf())
      throw_error<AutogradError>("to: expected parameters and buffers that are leaves, got a result of ",
                                 grad_node(x)->name(), " of shape ", x.shape());
    const Tensor dx = x.requires_grad() ? x.grad() : Tensor();
    changes.push_back({x, y, dx.defined() ? convert(dx) : dx});
  }
  for (const auto& [x, y, dx] : changes) {
    while (y.version() <= x.version()) y.bump_version();
    x.impl().become(y.impl());
    if (!x.requires_grad()) continue;
    Leaf& leaf = static_cast<Leaf&>(*grad_node(x));
    leaf.follow(x);
    if (dx.defined()) leaf.set_grad(dx);
  }
}

}  // namespace

void Module::to(DType dtype) {
  if (!is_floating_point(dtype)) throw_error<DTypeError>("to: expected a floating-point dtype, got ", dtype);
  convert_in_place(tensors(), [&](const Tensor& x) {
    return is_floating_point(x.dtype()) && x.dtype() != dtype ? limpid::detail::as_dtype(x, dtype) : Tensor();
  });
}

void Module::to(MemoryFormat format) {
  limpid::detail::require_format("to", format);
  convert_in_place(tensors(), [&](const Tensor& x) {
    if (x.dim() < 3 || x.is_contiguous(format)) return Tensor();
    Tensor y = empty(x.shape(), x.dtype(), format);
    limpid::detail::copy_into(y, x);
    return y;
  });
}

void Module::visit(void (*f)(void*, Module&), void* context) {
  std::vector<Module> order;  // listed first: f may add others
  const auto list = [&](const auto& self, const Module& module) -> void {
    const auto same = [&](const Module& other) { return other.state_ == module.state_; };
    if (std::any_of(order.begin(), order.end(), same)) return;
    for (const State::Child& child : module.state_->children) self(self, child.module);
    order.push_back(module);
  };
  list(list, *this);
  for (Module& module : order) f(context, module);
}

// Printing.

const std::string& Module::type() const noexcept { return state_->type; }

void Module::name_type(const std::type_info& type) const {
  if (state_->type.empty()) state_->type = name_of(type);
}

std::string Module::name_of(const std::type_info& type) {
  const std::string name = limpid::detail::demangled(type.name());
  // adapt() makes a class of its own, which goes by its first template argument.
  const std::string adapted = "limpid::nn::Adapted<";
  std::size_t begin = 0, end = name.size();
  while (name.compare(begin, adapted.size(), adapted) == 0) begin += adapted.size();
  // Without the namespaces, but for those of template arguments.
  int depth = 0;
  for (std::size_t i = begin; i < end; ++i) {
    depth += (name[i] == '<' || name[i] == '(') - (name[i] == '>' || name[i] == ')');
    if (depth == 0 && name[i] == ':') begin = i + 1;
    if (depth == 0 && name[i] == ',') end = i;
  }
  return name.substr(begin, end - begin);
}

void Module::print(std::ostream& out, int depth) const {
  out << state_->type << '(' << state_->arguments;
  const std::string indent(static_cast<std::size_t>(2 * depth), ' ');
  const bool lists_parameters = !state_->kept.empty() && !state_->kept[0].state;  // of parameters
  if (lists_parameters)
    for (const auto& [name, slot] : state_->parameters)
      out << '\n' << indent << "  (" << name << "): Parameter" << slot->tensor.shape();
  for (const auto& [name, module, in_container] : state_->children) {
    out << '\n' << indent << "  (" << name << "): ";
    module.print(out, depth + 1);
  }
  if (lists_parameters || !state_->children.empty()) out << '\n' << indent;
  out << ')';
}

void print_module(std::ostream& out, const Module& module, const std::type_info& type) {
  module.name_type(type);
  module.print(out, 0);
}

}  // namespace limpid::nn
