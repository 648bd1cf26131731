#include <limpid/nn/optim/adam.hpp>

#include <limpid/nn/optim/detail/rules.hpp>

#include <cmath>

namespace limpid::optim {

using nn::detail::at_least_0;
using nn::detail::expect;
using nn::detail::fraction_below_1;

namespace {

struct Moments {
  AdamOptions options;
  bool decoupled;
  // Most parameters are at the same step and rate: what these alone decide is computed once.
  int64_t number = 0;
  double lr = 0, rate = 0, eps = 0;

  template <class T>
  void operator()(const Step<T>& step) {
    if (step.number != number || step.lr != lr) {
      number = step.number;
      lr = step.lr;
      const double count = static_cast<double>(number);
      // m / (sqrt(v) / correction + eps) with one division.
      const double correction = std::sqrt(1 - std::pow(options.beta2, count));
      rate = lr / (1 - std::pow(options.beta1, count)) * correction;
      eps = options.eps * correction;
    }
    const kernels::AdamFactors<T> factors{.rate = static_cast<T>(rate),
                                          .beta1 = static_cast<T>(options.beta1),
                                          .share1 = static_cast<T>(1 - options.beta1),
                                          .beta2 = static_cast<T>(options.beta2),
                                          .share2 = static_cast<T>(1 - options.beta2),
                                          .eps = static_cast<T>(eps),
                                          .shrink = static_cast<T>(decoupled ? 1 - lr * options.weight_decay : 1),
                                          .decay = static_cast<T>(decoupled ? 0 : options.weight_decay)};
    const auto adam = detail::optimizer_kernels<T>().adam;
    in_ranges(step.n, [&](int64_t begin, int64_t end) {
      adam(end - begin,
           {.x = step.x + begin,
            .dx = step.dx + begin,
            .m = step.state[0] + begin,
            .v = step.state[1] + begin,
            .largest = options.amsgrad ? step.state[2] + begin : nullptr},
           factors);
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
