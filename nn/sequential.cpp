#include <limpid/nn/sequential.hpp>

#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/state.hpp>

#include <algorithm>
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

Module Sequential::operator[](int64_t i) const {
  at(i);  // refuses what is beyond
  return layer(static_cast<std::size_t>(i < 0 ? i + static_cast<int64_t>(size()) : i));
}

Sequential Sequential::slice(int64_t start, int64_t stop) const {
  const auto count = static_cast<int64_t>(size());
  const auto place = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + count : i, 0, count); };
  Sequential part;
  for (int64_t i = place(start), end = place(stop); i < end; ++i) {
    Module shared = layer(static_cast<std::size_t>(i));
    const std::string name = part.next_name();
    part.keep(name, &shared, typeid(Module), held(static_cast<std::size_t>(i)).copy());
  }
  return part;
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
