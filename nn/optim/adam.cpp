#include <limpid/nn/optim/adam.hpp>
#include <limpid/nn/optim/detail/rules.hpp>

namespace limpid::optim {

using detail::decayed;
using detail::with_constant;
using nn::detail::at_least_0;
using nn::detail::expect;
using nn::detail::fraction_below_1;

namespace {

template <class T>
struct Factors {
  T rate, root, beta1, share1, beta2, share2, eps, shrink, decay;
};

// A function of its own: only as parameters of one does GCC heed __restrict, and make vectors of the loop.
template <bool decays, bool amsgrad, class T>
[[gnu::noinline]] void descend(int64_t n, T* __restrict x, const T* __restrict dx, T* __restrict m, T* __restrict v,
                               [[maybe_unused]] T* __restrict most, const Factors<T> f) {
  for (int64_t i = 0; i < n; ++i) {
    const T y = f.shrink * x[i], d = decayed<decays>(dx[i], f.decay, y);
    m[i] = f.beta1 * m[i] + f.share1 * d;
    v[i] = f.beta2 * v[i] + f.share2 * d * d;
    T spread = v[i];
    if constexpr (amsgrad) spread = most[i] = most[i] < spread || spread != spread ? spread : most[i];
    x[i] = y - f.rate * m[i] / (std::sqrt(spread) / f.root + f.eps);
  }
}

struct Moments {
  AdamOptions options;
  bool decoupled;
  // Most parameters are at the same step and rate: what these alone decide is computed once.
  int64_t number = 0;
  double lr = 0, rate = 0, correction = 0;

  template <class T>
  void operator()(const Step<T>& step) {
    if (step.number != number || step.lr != lr) {
      number = step.number;
      lr = step.lr;
      const double count = static_cast<double>(number);
      rate = lr / (1 - std::pow(options.beta1, count));
      correction = std::sqrt(1 - std::pow(options.beta2, count));
    }
    const Factors<T> factors{.rate = static_cast<T>(rate),
                             .root = static_cast<T>(correction),
                             .beta1 = static_cast<T>(options.beta1),
                             .share1 = static_cast<T>(1 - options.beta1),
                             .beta2 = static_cast<T>(options.beta2),
                             .share2 = static_cast<T>(1 - options.beta2),
                             .eps = static_cast<T>(options.eps),
                             .shrink = static_cast<T>(decoupled ? 1 - lr * options.weight_decay : 1),
                             .decay = static_cast<T>(decoupled ? 0 : options.weight_decay)};
    with_constant(factors.decay != 0, [&](auto decays) {
      with_constant(options.amsgrad, [&](auto amsgrad) {
        in_ranges(step.n, [&](int64_t begin, int64_t end) {
          descend<decays, amsgrad>(end - begin, step.x + begin, step.dx + begin, step.state[0] + begin,
                                   step.state[1] + begin, amsgrad ? step.state[2] + begin : nullptr, factors);
        });
      });
    });
  }
};

Moments checked(const char* name, const AdamOptions& options, bool decoupled) {
  const auto& [lr, beta1, beta2, eps, weight_decay, amsgrad] = options;
  expect(name, {{"lr", lr, at_least_0},
                {"beta1", beta1, fraction_below_1},
                {"beta2", beta2, fraction_below_1},
                {"eps", eps, at_least_0},
                {"weight_decay", weight_decay, at_least_0}});
  return {options, decoupled};
}

OptimizerOptions options_of(const char* name, double lr, bool amsgrad) {
  if (amsgrad) return {name, lr, {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}, {"exp_avg_sq", "max_exp_avg_sq"}};
  return {name, lr, {"exp_avg", "exp_avg_sq"}, {"exp_avg_sq"}};
}

}  // namespace

Adam::Adam(const Tensors& parameters, const AdamOptions& options)
    : Optimizer(parameters, options_of("Adam", options.lr, options.amsgrad), checked("Adam", options, false)) {}

AdamW::AdamW(const Tensors& parameters, const AdamWOptions& o)
    : Optimizer(parameters, options_of("AdamW", o.lr, o.amsgrad),
                checked("AdamW", {o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad}, true)) {}

}  // namespace limpid::optim
