// The multilayer perceptrons whose steps are compared.
#pragma once
#include <type_traits>

namespace limpid {

/// A size that a peer's compiler is to know.
template <int n>
using Size = std::integral_constant<int, n>;

/// f(name, batch, in, hidden, out) for each: in - hidden - hidden - out, with tanh between, by Adam on a mean square.
template <class F>
void for_mlps(const F& f) {
  f("mlp 2-16-16-1 of 16", Size<16>{}, Size<2>{}, Size<16>{}, Size<1>{});
  f("mlp 4-64-64-2 of 32", Size<32>{}, Size<4>{}, Size<64>{}, Size<2>{});
  f("mlp 17-256-256-6 of 256", Size<256>{}, Size<17>{}, Size<256>{}, Size<6>{});
  f("mlp 4-64-64-2 of 1", Size<1>{}, Size<4>{}, Size<64>{}, Size<2>{});
}

}  // namespace limpid
