#include <limpid/nn/containers.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/quote.hpp>
#include <limpid/nn/detail/state.hpp>

#include <memory>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::printable;
using limpid::detail::throw_error;

namespace {

// Stands for what is no module, in the tree and in the count of names.
struct Function : Module {
  Function() : Module("Function") {}
};

}  // namespace

std::size_t Container::size() const noexcept { return state_->kept.size(); }

void Container::require_registered(const detail::Copying& copying, const std::type_info& type) const {
  copying.require_registered(state_->type.c_str(), type);
}

void Container::keep(const std::string& name, Module* member, const std::type_info& type, Held* item) {
  std::unique_ptr<Held> owner(item);
  std::string own_name = name;
  state_->kept.reserve(size() + 1);
  if (member) {
    adopt(name, *member, type);
    member->is_member_ = true;
  } else {
    add(name, Function());
  }
  State::Child& child = state_->children.back();
  child.in_container = true;
  state_->kept.push_back(
      {std::move(own_name), std::move(owner), state_->children.size() - 1, child.module.state_.get()});
}

void Container::keep_parameter(const std::string& name, const Tensor& tensor) {
  if (!tensor.defined()) throw_error<ValueError>(state_->type, ": expected a defined tensor, got none");
  const Parameter none;
  auto item = std::make_unique<Item<Parameter>>(none);
  std::string own_name = name;
  state_->kept.reserve(size() + 1);
  item->value = parameter(name, tensor);
  state_->kept.push_back({std::move(own_name), std::move(item)});
}

std::string Container::next_name() const { return message(size()); }

Container::Held& Container::held(std::size_t i) const noexcept { return *state_->kept[i].item; }

Container::Held& Container::at(int64_t i) const {
  const auto count = static_cast<int64_t>(size());
  if (i < -count || i >= count) {
    if (count == 0) throw_error<ValueError>(state_->type, ": expected no index, for it is empty, got ", i);
    throw_error<ValueError>(state_->type, ": expected an index in [", -count, ", ", count, "), got ", i);
  }
  return held(static_cast<std::size_t>(i < 0 ? i + count : i));
}

const std::string& Container::name(std::size_t i) const noexcept { return state_->kept[i].name; }

std::vector<std::string> Container::names() const {
  std::vector<std::string> list;
  for (const State::Kept& kept : state_->kept) list.push_back(kept.name);
  return list;
}

std::size_t Container::index_of(const std::string& wanted) const noexcept {
  std::size_t i = 0;
  while (i < size() && name(i) != wanted) ++i;
  return i;
}

Container::Held& Container::at(const std::string& wanted) const {
  const std::size_t i = index_of(wanted);
  if (i < size()) return held(i);
  limpid::detail::Listing there;
  for (std::size_t k = 0; k < size(); ++k) there.add(printable(name(k)));
  throw_error<ValueError>(state_->type, ": expected ", there.empty() ? "no name, for it is empty" : "one of ",
                          there.text(), ", got \"", printable(wanted), '"');
}

}  // namespace limpid::nn
