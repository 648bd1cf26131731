// A module with members of every kind, and whether a module's members are what it has registered.
#pragma once
#include <limpid/limpid.hpp>

namespace limpid::test {

struct Scaled : nn::Module {
  nn::Linear linear;
  nn::Parameter scale, shift;
  nn::Buffer count;
  explicit Scaled(bool shifted = true)
      : linear(add("linear", nn::Linear(3, 3))),
        scale(parameter("scale", ones({3}))),
        shift(parameter("shift", shifted ? zeros({3}) : Tensor())),
        count(buffer("count", zeros({}, int64))) {}
  Tensor operator()(const Tensor& x) const {
    count.add_(ones({}, int64));
    const Tensor y = scale * linear(x);
    return shift.defined() ? y + shift : y;
  }
};

// Members are what the module has registered.
inline bool agrees(const Scaled& s) {
  const TensorMap state = s.state_dict();
  return s.scale.is_same(s.parameters()[0]) && state.at("scale").shares_storage_with(s.scale) &&
         state.at("count").shares_storage_with(s.count) &&
         s.linear.weight.is_same(s.parameters()[s.shift.defined() + 1u]);
}

template <class M>
bool agrees_with_its_weight(const M& m) {
  return m.weight.is_same(m.parameters()[0]) && m.state_dict().at("weight").shares_storage_with(m.weight);
}

}  // namespace limpid::test
