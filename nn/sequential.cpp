#include <limpid/core/detail/message.hpp>
#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/state.hpp>
#include <limpid/nn/sequential.hpp>

#include <algorithm>
#include <memory>
#include <string>

namespace limpid::nn {

namespace {

// Stands for what is no module, in the tree and in the count of names.
struct Function : Module {
  Function() : Module("Function") {}
};

}  // namespace

// A class derived from Sequential may have children beside the layers.
const Module& Sequential::layer(std::size_t i) const {
  const std::string name = limpid::detail::message(i);
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
  state_->callables.push_back(std::move(owner));
}

Tensor Sequential::operator()(const Tensor& x) const {
  const State& state = *state_;
  Tensor y = x;
  std::size_t i = 0;
  try {
    if (limpid::detail::watching) [[unlikely]] {
      for (; i < state.callables.size(); ++i)
        y = detail::call_within(layer(i), [&] { return state.callables[i]->call(y); });
      return y;
    }
    for (; i < state.callables.size(); ++i) y = state.callables[i]->call(y);
  } catch (Error& error) {
    detail::say_where(error, layer(i));
    throw;
  }
  return y;
}

}  // namespace limpid::nn
