// An optimiser and a schedule of one's own: they train, stop and resume as limpid's do.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <vector>

using namespace limpid;

struct LionOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.99, weight_decay = 0;
};

// Lion (Chen et al., 2023): a step of one size along the sign of a mean of gradients.
struct Lion : optim::Optimizer {
  explicit Lion(const Tensors& parameters, const LionOptions& options = {})
      : Optimizer(parameters, {.name = "Lion", .lr = options.lr, .state = {"exp_avg"}},
                  [options]<class T>(const optim::Step<T>& step) {
                    const T lr = T(step.lr), beta1 = T(options.beta1), beta2 = T(options.beta2);
                    const T decay = T(options.weight_decay);
                    optim::in_ranges(step.n, [&](int64_t begin, int64_t end) {
                      T* mean = step.state[0];
                      for (int64_t i = begin; i < end; ++i) {
                        const T way = beta1 * mean[i] + (1 - beta1) * step.dx[i];
                        mean[i] = beta2 * mean[i] + (1 - beta2) * step.dx[i];
                        step.x[i] -= lr * (T(way > 0) - T(way < 0) + decay * step.x[i]);
                      }
                    });
                  }) {}
};

// Rises for some steps, then falls as one over the root of their number.
struct InverseRoot : optim::Schedule {
  InverseRoot(const optim::Optimizer& optimizer, int64_t rising)
      : Schedule(optimizer, [rising](int64_t step, double base) {
          const double done = double(step + 1), all = double(rising);
          return base * std::min(done / all, std::sqrt(all / done));
        }) {}
};

struct Run {
  nn::Sequential net{nn::Linear(2, 16), nn::Tanh(), nn::Linear(16, 1)};
  Lion optimizer{net.parameters(), {.lr = 1e-2, .weight_decay = 1e-3}};
  InverseRoot schedule{optimizer, 20};

  double train(const Tensor& x, const Tensor& t, int steps) {
    double last = 0;
    for (int i = 0; i < steps; ++i) {
      optimizer.zero_grad();
      Tensor loss = mse_loss(net(x), t);
      loss.backward();
      optimizer.step();
      schedule.step();
      last = loss.item<double>();
    }
    return last;
  }
};

int main() {
  manual_seed(3);
  const Tensor x = randn({64, 2}), t = sum(x, 1, true);
  Run whole, first, second;
  first.net.load_state_dict(whole.net.state_dict());

  const double before = whole.train(x, t, 1), after = whole.train(x, t, 99);
  if (!(after < 0.1 * before)) return 1;

  first.train(x, t, 40);
  save_safetensors("net.safetensors", first.net.state_dict());
  save_safetensors("optimizer.safetensors", first.optimizer.state_dict());
  save_safetensors("schedule.safetensors", first.schedule.state_dict());
  second.net.load_state_dict(load_safetensors("net.safetensors"));
  second.optimizer.load_state_dict(load_safetensors("optimizer.safetensors"));
  second.schedule.load_state_dict(load_safetensors("schedule.safetensors"));
  second.train(x, t, 60);
  for (const auto& [name, tensor] : whole.net.state_dict())
    if (!equal(tensor, second.net.state_dict().at(name))) return 2;

  // Copies are handles: a vector may grow while a schedule refers to one of its members.
  std::vector<Lion> optimizers{second.optimizer};
  InverseRoot schedule(optimizers[0], 4);
  for (int i = 0; i < 10; ++i) optimizers.push_back(first.optimizer);
  const double rate = optimizers[0].lr();
  schedule.step();
  if (optimizers[0].lr() != 2 * rate || second.optimizer.lr() != 2 * rate) return 3;

  try {
    second.optimizer.load_state_dict(first.net.state_dict());
    return 4;
  } catch (const ValueError& error) {
    std::cout << error.what() << '\n';
  }
}
