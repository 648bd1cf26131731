#include <limpid/nn/optim/sgd.hpp>

#include <limpid/nn/optim/detail/rules.hpp>

namespace limpid::optim {

using nn::detail::above_0;
using nn::detail::at_least_0;
using nn::detail::expect;
using nn::detail::within_float;

namespace {

struct Descent {
  SGDOptions options;

  template <class T>
  void operator()(const Step<T>& step) const {
    const bool begun = step.number > 1;
    const T momentum = static_cast<T>(options.momentum);
    const kernels::SgdFactors<T> factors{.rate = static_cast<T>(step.lr),
                                         .decay = static_cast<T>(options.weight_decay),
                                         .momentum = momentum,
                                         .keep = begun ? momentum : T{0},
                                         .share = begun ? static_cast<T>(1 - options.dampening) : T{1},
                                         .nesterov = options.nesterov};
    const auto sgd = detail::optimizer_kernels<T>().sgd;
    in_ranges(step.n, [&](int64_t begin, int64_t end) {
      sgd(end - begin, step.x + begin, step.dx + begin, options.momentum == 0 ? nullptr : step.state[0] + begin,
          factors);
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
