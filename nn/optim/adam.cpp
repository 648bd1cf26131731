#include <limpid/nn/optim/adam.hpp>
#include <limpid/nn/optim/detail/rules.hpp>

namespace limpid::optim {

using detail::decayed;
using detail::is_finite_at_least_0;
using detail::require;
using detail::with_constant;

namespace {

struct Moments {
  AdamOptions options;
  bool decoupled;
  // Most parameters are at the same step: the powers are taken once.
  int64_t powers_of = 0;
  double share = 0, correction = 0;

  template <class T>
  void operator()(const Step<T>& step) {
    if (step.number != powers_of) {
      const double count = static_cast<double>(powers_of = step.number);
      share = 1 - std::pow(options.beta1, count);
      correction = std::sqrt(1 - std::pow(options.beta2, count));
    }
    const T rate = static_cast<T>(step.lr / share), root = static_cast<T>(correction);
    const T beta1 = static_cast<T>(options.beta1), share1 = static_cast<T>(1 - options.beta1);
    const T beta2 = static_cast<T>(options.beta2), share2 = static_cast<T>(1 - options.beta2);
    const T eps = static_cast<T>(options.eps);
    const T shrink = static_cast<T>(decoupled ? 1 - step.lr * options.weight_decay : 1);
    const T decay = static_cast<T>(decoupled ? 0 : options.weight_decay);
    T* const largest = options.amsgrad ? step.state[2] : nullptr;
    with_constant(decay != 0, [&](auto decays) {
      with_constant(options.amsgrad, [&](auto amsgrad) {
        in_ranges(step.n, [=, first = step.state[0], second = step.state[1]](int64_t begin, int64_t end) {
          T* __restrict x = step.x;
          T* __restrict m = first;
          T* __restrict v = second;
          [[maybe_unused]] T* __restrict most = largest;
          const T* __restrict dx = step.dx;
          for (int64_t i = begin; i < end; ++i) {
            const T y = shrink * x[i], d = decayed<decays>(dx[i], decay, y);
            m[i] = beta1 * m[i] + share1 * d;
            v[i] = beta2 * v[i] + share2 * d * d;
            T spread = v[i];
            if constexpr (amsgrad) spread = most[i] = most[i] < spread || spread != spread ? spread : most[i];
            x[i] = y - rate * m[i] / (std::sqrt(spread) / root + eps);
          }
        });
      });
    });
  }
};

Moments checked(const char* name, const AdamOptions& options, bool decoupled) {
  require(options.beta1 >= 0 && options.beta1 < 1, name, "a beta1 from 0 to below 1", options.beta1);
  require(options.beta2 >= 0 && options.beta2 < 1, name, "a beta2 from 0 to below 1", options.beta2);
  require(is_finite_at_least_0(options.eps), name, "a finite eps of at least 0", options.eps);
  require(is_finite_at_least_0(options.weight_decay), name, "a finite weight_decay of at least 0",
          options.weight_decay);
  return {options, decoupled};
}

std::vector<std::string> kept(bool amsgrad) {
  if (amsgrad) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return {"exp_avg", "exp_avg_sq"};
}

}  // namespace

Adam::Adam(const Tensors& parameters, const AdamOptions& options)
    : Optimizer(parameters, {.name = "Adam", .lr = options.lr, .state = kept(options.amsgrad)},
                checked("Adam", options, false)) {}

AdamW::AdamW(const Tensors& parameters, const AdamWOptions& o)
    : Optimizer(parameters, {.name = "AdamW", .lr = o.lr, .state = kept(o.amsgrad)},
                checked("AdamW", {o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad}, true)) {}

}  // namespace limpid::optim
