#include <cxxabi.h>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/nn/module.hpp>

#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <set>

namespace limpid::nn {

using limpid::detail::throw_error;

struct Module::State final : RefCounted<State> {
  void dispose() noexcept { delete this; }

  struct Child {
    std::string name;
    Module module;
  };
  std::string type, arguments;
  bool training = true;
  std::vector<NamedTensor> parameters, buffers;
  std::vector<Child> children;
};

Module::Module() : state_(new State) {}
Module::Module(const Module& other) noexcept = default;
Module& Module::operator=(const Module& other) noexcept = default;
Module::~Module() = default;

Module::Module(std::string type, std::string arguments) : Module() {
  state_->type = std::move(type);
  state_->arguments = std::move(arguments);
}

// Registration.

void Module::check_name(const char* op, const std::string& name) const {
  const auto taken = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), [&](const auto& entry) { return entry.name == name; });
  };
  if (name.empty() || name.find('.') != std::string::npos)
    throw_error<ValueError>(op, ": expected a name without dots, got \"", name, '"');
  if (taken(state_->parameters) || taken(state_->buffers) || taken(state_->children))
    throw_error<ValueError>(op, ": expected a new name, got \"", name, "\" again");
}

Tensor Module::parameter(const std::string& name, Tensor tensor) {
  check_name("parameter", name);
  if (!tensor.defined()) return tensor;
  tensor.set_requires_grad();
  state_->parameters.push_back({name, tensor});
  return tensor;
}

Tensor Module::buffer(const std::string& name, Tensor tensor) {
  check_name("buffer", name);
  if (tensor.defined()) state_->buffers.push_back({name, tensor});
  return tensor;
}

bool Module::holds(const Module& other) const {
  return state_ == other.state_ || std::any_of(state_->children.begin(), state_->children.end(),
                                               [&](const State::Child& child) { return child.module.holds(other); });
}

void Module::adopt(const std::string& name, const Module& child, const std::type_info& type) {
  check_name("add", name);
  if (child.holds(*this))
    throw_error<ValueError>("add: expected a module that does not hold this one, got \"", name, '"');
  child.name_type(type);
  state_->children.push_back({name, child});
}

// Tensors by name.

// Calls f(name, tensor, is_parameter) for own parameters, own buffers, then the children's.
template <class F>
void Module::for_each_tensor(const std::string& prefix, const F& f) const {
  for (const auto& [name, tensor] : state_->parameters) f(prefix + name, tensor, true);
  for (const auto& [name, tensor] : state_->buffers) f(prefix + name, tensor, false);
  for (const auto& [name, module] : state_->children) module.for_each_tensor(prefix + name + '.', f);
}

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

TensorMap Module::state_dict() const {
  TensorMap state;
  for_each_tensor("", [&](const std::string& name, const Tensor& tensor, bool) { state[name] = tensor.detach(); });
  return state;
}

void Module::load_state_dict(const TensorMap& state, bool strict) {
  const TensorMap own = state_dict();
  std::string missing, unexpected, unfit;
  const auto list = [](std::string& names, const std::string& name) { names += names.empty() ? name : ", " + name; };
  for (const auto& [name, tensor] : own) {
    const auto entry = state.find(name);
    if (entry == state.end()) {
      if (strict) list(missing, name);
    } else if (!entry->second.defined()) {
      list(unfit, name + " (undefined)");
    } else if (const Tensor& x = entry->second; x.shape() != tensor.shape() || x.dtype() != tensor.dtype()) {
      list(unfit, limpid::detail::message(name, " (expected ", tensor.dtype(), ' ', tensor.shape(), ", got ", x.dtype(),
                                          ' ', x.shape(), ')'));
    }
  }
  if (strict)
    for (const auto& entry : state)
      if (!own.count(entry.first)) list(unexpected, entry.first);

  std::string faults;
  const auto report = [&](const char* kind, const std::string& names) {
    if (!names.empty()) faults += (faults.empty() ? "" : "; ") + std::string(kind) + ": " + names;
  };
  report("missing", missing);
  report("unexpected", unexpected);
  report("unfit", unfit);
  if (!faults.empty()) throw_error<ValueError>("load_state_dict: expected the module's own tensors, got ", faults);

  // Values that lie in the module's own memory, be it under another name, are set apart before any is written over.
  std::set<const Storage*> memory;
  for (const auto& entry : own) memory.insert(entry.second.impl().storage.get());
  std::vector<std::pair<Tensor, Tensor>> copies;
  for (const auto& [name, tensor] : own) {
    const auto entry = state.find(name);
    if (entry == state.end()) continue;
    Tensor source = entry->second;
    if (memory.count(source.impl().storage.get())) {
      source = empty_like(tensor);
      limpid::detail::copy_into(source, entry->second);
    }
    copies.emplace_back(tensor, source);
  }
  for (const auto& [tensor, source] : copies) {
    limpid::detail::copy_into(tensor, source);
    tensor.bump_version();
  }
}

// State of the whole tree.

void Module::train(bool on) {
  state_->training = on;
  for (auto& child : state_->children) child.module.train(on);
}

bool Module::is_training() const noexcept { return state_->training; }

void Module::zero_grad() {
  for_each_tensor("", [](const std::string&, const Tensor& tensor, bool is_parameter) {
    if (is_parameter && tensor.requires_grad()) tensor.set_grad({});
  });
}

namespace {

// Gives the tensor behind every handle on x the values of convert(x), which share no memory with it, and its gradient
// those of convert(gradient). A graph that saved x sees a version it does not know.
template <class F>
void convert_in_place(Tensor x, const F& convert) {
  const bool learned = x.requires_grad();
  const Tensor dx = learned ? x.grad() : Tensor(), converted_dx = dx.defined() ? convert(dx) : dx;
  const Tensor y = convert(x);
  while (y.version() <= x.version()) y.bump_version();
  x.set_requires_grad(false);  // the leaf knows the dtype it was made for
  x.impl().become(y.impl());
  x.set_requires_grad(learned);
  if (dx.defined()) x.set_grad(converted_dx);
}

}  // namespace

void Module::to(DType dtype) {
  if (!is_floating_point(dtype)) throw_error<DTypeError>("to: expected a floating-point dtype, got ", dtype);
  for_each_tensor("", [&](const std::string&, const Tensor& x, bool) {
    if (is_floating_point(x.dtype()) && x.dtype() != dtype)
      convert_in_place(x, [&](const Tensor& source) { return limpid::detail::as_dtype(source, dtype); });
  });
}

void Module::to(MemoryFormat format) {
  for_each_tensor("", [&](const std::string&, const Tensor& x, bool) {
    if (x.dim() < 3 || x.is_contiguous(format)) return;
    convert_in_place(x, [&](const Tensor& source) {
      Tensor y = empty(source.shape(), source.dtype(), format);
      limpid::detail::copy_into(y, source);
      return y;
    });
  });
}

void Module::visit(void (*f)(void*, Module&), void* context) {
  for (auto& child : state_->children) child.module.visit(f, context);
  f(context, *this);
}

// Printing.

const std::string& Module::type() const noexcept { return state_->type; }

void Module::name_type(const std::type_info& type) const {
  if (!state_->type.empty()) return;
  int status = 0;
  char* readable = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string name = readable ? readable : type.name();
  std::free(readable);
  const std::size_t scope = name.rfind("::");
  state_->type = scope == std::string::npos ? name : name.substr(scope + 2);
}

void Module::print(std::ostream& out, int depth) const {
  out << state_->type << '(' << state_->arguments;
  const std::string indent(static_cast<std::size_t>(2 * depth), ' ');
  for (const auto& [name, module] : state_->children) {
    out << '\n' << indent << "  (" << name << "): ";
    module.print(out, depth + 1);
  }
  if (!state_->children.empty()) out << '\n' << indent;
  out << ')';
}

void print_module(std::ostream& out, const Module& module, const std::type_info& type) {
  module.name_type(type);
  module.print(out, 0);
}

}  // namespace limpid::nn
