#include <limpid/core/detail/message.hpp>
#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/state.hpp>
#include <limpid/nn/sequential.hpp>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

namespace limpid::nn {

namespace {

// Stands for what is no module, in the tree and in the count of names.
struct Function : Module {
  Function() : Module("Function") {}
};

}  // namespace

// A class derived from Sequential may have children beside the layers.
const Module& Sequential::layer(std::size_t i) const {
  char digits[20];  // what tells of an error is to ask for no memory
  const std::string_view name(digits, std::to_chars(std::begin(digits), std::end(digits), i).ptr);
  return std::find_if(state_->children.begin(), state_->children.end(),
                      [&](const State::Child& child) { return child.name == name; })
      ->module;
}

std::size_t Sequential::size() const noexcept { return state_->callables.size(); }

void Sequential::append(const Module* module, const std::type_info& type, Callable* layer,
                        const detail::Copying& copying) {
  std::unique_ptr<const Callable> owner(layer);
  copying.require_registered("Sequential", type);
  const std::string name = limpid::detail::message(size());
  state_->callables.reserve(size() + 1);
  if (module)
    adopt(name, *module, type);
  else
    add(name, Function());
  state_->children.back().in_sequence = true;
  state_->callables.push_back(std::move(owner));
}

Tensor Sequential::operator()(const Tensor& x) const {
  const auto& layers = state_->callables;
  if (layers.empty()) return x;
  std::size_t i = 0;
  const auto call = [&](const Tensor& given) {
    if (limpid::detail::watching & limpid::detail::watch_layers) [[unlikely]]
      return detail::call_watched(layer(i), [&] { return layers[i]->call(given); });
    return layers[i]->call(given);
  };
  try {
    Tensor y = call(x);
    while (++i < layers.size()) y = call(y);
    return y;
  } catch (Error& error) {
    detail::say_where(error, layer(i));
    throw;
  }
}

}  // namespace limpid::nn
