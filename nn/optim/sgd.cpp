#include <limpid/nn/optim/detail/rules.hpp>
#include <limpid/nn/optim/sgd.hpp>

namespace limpid::optim {

using detail::decayed;
using detail::is_finite_at_least_0;
using detail::require;
using detail::with_constant;

namespace {

struct Descent {
  SGDOptions options;

  template <class T>
  void operator()(const Step<T>& step) const {
    const bool begun = step.number > 1;
    const T rate = static_cast<T>(step.lr), decay = static_cast<T>(options.weight_decay);
    const T momentum = static_cast<T>(options.momentum), keep = begun ? momentum : T{0};
    const T share = begun ? static_cast<T>(1 - options.dampening) : T{1};
    with_constant(decay != 0, [&](auto decays) {
      if (options.momentum == 0)
        return in_ranges(step.n, [=](int64_t begin, int64_t end) {
          T* __restrict x = step.x;
          const T* __restrict dx = step.dx;
          for (int64_t i = begin; i < end; ++i) x[i] -= rate * decayed<decays>(dx[i], decay, x[i]);
        });
      with_constant(options.nesterov, [&](auto nesterov) {
        in_ranges(step.n, [=, buffer = step.state[0]](int64_t begin, int64_t end) {
          T* __restrict x = step.x;
          T* __restrict b = buffer;
          const T* __restrict dx = step.dx;
          for (int64_t i = begin; i < end; ++i) {
            const T d = decayed<decays>(dx[i], decay, x[i]);
            b[i] = keep * b[i] + share * d;
            x[i] -= rate * (nesterov ? d + momentum * b[i] : b[i]);
          }
        });
      });
    });
  }
};

Descent checked(const SGDOptions& options) {
  require(is_finite_at_least_0(options.momentum), "SGD", "a finite momentum of at least 0", options.momentum);
  require(std::isfinite(options.dampening), "SGD", "a finite dampening", options.dampening);
  require(is_finite_at_least_0(options.weight_decay), "SGD", "a finite weight_decay of at least 0",
          options.weight_decay);
  require(!options.nesterov || options.momentum > 0, "SGD", "a momentum above 0 for nesterov", options.momentum);
  require(!options.nesterov || options.dampening == 0, "SGD", "no dampening for nesterov", options.dampening);
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
