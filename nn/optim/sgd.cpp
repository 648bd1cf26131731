#include <limpid/nn/optim/detail/rules.hpp>
#include <limpid/nn/optim/sgd.hpp>

namespace limpid::optim {

using detail::decayed;
using detail::with_constant;
using nn::detail::above_0;
using nn::detail::at_least_0;
using nn::detail::expect;
using nn::detail::within_float;

namespace {

// The loops are functions of their own: only as parameters of one does GCC heed __restrict, and make vectors of them.

template <class T>
struct Factors {
  T rate, decay, momentum, keep, share;
};

template <bool decays, class T>
[[gnu::noinline]] void descend(int64_t n, T* __restrict x, const T* __restrict dx, const Factors<T> f) {
  for (int64_t i = 0; i < n; ++i) x[i] -= f.rate * decayed<decays>(dx[i], f.decay, x[i]);
}

template <bool decays, bool nesterov, class T>
[[gnu::noinline]] void roll(int64_t n, T* __restrict x, const T* __restrict dx, T* __restrict b, const Factors<T> f) {
  for (int64_t i = 0; i < n; ++i) {
    const T d = decayed<decays>(dx[i], f.decay, x[i]);
    b[i] = f.keep * b[i] + f.share * d;
    x[i] -= f.rate * (nesterov ? d + f.momentum * b[i] : b[i]);
  }
}

struct Descent {
  SGDOptions options;

  template <class T>
  void operator()(const Step<T>& step) const {
    const bool begun = step.number > 1;
    const T momentum = static_cast<T>(options.momentum);
    const Factors<T> factors{.rate = static_cast<T>(step.lr),
                             .decay = static_cast<T>(options.weight_decay),
                             .momentum = momentum,
                             .keep = begun ? momentum : T{0},
                             .share = begun ? static_cast<T>(1 - options.dampening) : T{1}};
    with_constant(factors.decay != 0, [&](auto decays) {
      if (options.momentum == 0)
        return in_ranges(step.n, [&](int64_t begin, int64_t end) {
          descend<decays>(end - begin, step.x + begin, step.dx + begin, factors);
        });
      with_constant(options.nesterov, [&](auto nesterov) {
        in_ranges(step.n, [&](int64_t begin, int64_t end) {
          roll<decays, nesterov>(end - begin, step.x + begin, step.dx + begin, step.state[0] + begin, factors);
        });
      });
    });
  }
};

Descent checked(const SGDOptions& options) {
  const auto& [lr, momentum, dampening, weight_decay, nesterov] = options;
  expect("SGD", {{"lr", lr, at_least_0},
                 {"momentum", momentum, at_least_0},
                 {"dampening", dampening, within_float},
                 {"weight_decay", weight_decay, at_least_0}});
  if (nesterov)
    expect("SGD", {{"momentum for nesterov", momentum, above_0}, {"dampening for nesterov", dampening, {0, 0}}});
  return {options};
}

std::vector<std::string> kept(const SGDOptions& options) {
  if (options.momentum == 0) return {};
  return {"momentum_buffer"};
}

}  // namespace

SGD::SGD(const Tensors& parameters, const SGDOptions& options)
    : Optimizer(parameters, {.name = "SGD", .lr = options.lr, .state = kept(options)}, checked(options)) {}

}  // namespace limpid::optim
