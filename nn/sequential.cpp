#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/state.hpp>
#include <limpid/nn/sequential.hpp>

#include <memory>
#include <string>
#include <tuple>

namespace limpid::nn {

using detail::Access;

// A class derived from Sequential may have children beside the layers.
const Module& Sequential::layer(std::size_t i) const {
  const Access::State& state = Access::state(*this);
  return state.children[state.kept[i].child].module;
}

void Sequential::append(const detail::Copying& copying, Module* member, const std::type_info& type, Callable* layer) {
  std::unique_ptr<Held> owner(layer);
  require_registered(copying, type);
  const std::string name = next_name();
  keep(name, member, type, owner.release());
}

Tensor Sequential::operator()(const Tensor& x) const {
  if (Access::state(*this).extras.load(std::memory_order_relaxed)) [[unlikely]]
    return detail::call_slowly(*this, std::tie(x), [&](const Tensor& z) { return run(z); });
  return run(x);
}

Tensor Sequential::run(const Tensor& x) const {
  const auto& layers = Access::state(*this).kept;
  if (layers.empty()) return x;
  std::size_t i = 0;
  const auto call = [&](const Tensor& given) {
    const auto& item = static_cast<const Callable&>(*layers[i].item);
    if (detail::is_observed(*layers[i].state)) [[unlikely]]
      return detail::call_slowly(layer(i), std::tie(given), [&](const Tensor& z) { return item.call(z); });
    return item.call(given);
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
