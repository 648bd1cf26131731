// What the rules of limpid's optimisers share.
#pragma once
#include <limpid/nn/detail/ranges.hpp>

#include <cmath>
#include <type_traits>

namespace limpid::optim::detail {

/// Calls f with the flag as a constant, so that the loop inside has no branch and runs in vectors.
template <class F>
void with_constant(bool flag, const F& f) {
  flag ? f(std::true_type()) : f(std::false_type());
}

/// g + decay x, and g itself where nothing decays, be x infinite.
template <bool decays, class T>
T decayed(T g, T decay, T x) {
  if constexpr (decays) return g + decay * x;
  return g;
}

}  // namespace limpid::optim::detail
