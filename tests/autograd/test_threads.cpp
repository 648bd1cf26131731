// Independent tapes on threads of their own, with all that hangs on a tape.
#include <limpid/limpid.hpp>

#include <thread>
#include <vector>

#include "../catch.hpp"

namespace test_threads {

using namespace limpid;

// Every second model uses what the tape offers besides: hooks, checkpoints, profiler, source lines, anomaly mode.
Tensors train(int which) {
  manual_seed(static_cast<uint64_t>(which));
  nn::Sequential net(nn::Linear(2, 8), nn::Tanh(), nn::Linear(8, 8), nn::Tanh(), nn::Linear(8, 1));
  optim::Adam optimizer(net.parameters(), {.lr = 1e-2});
  const Tensor x = randn({16, 2}), target = randn({16, 1});
  double seen = 0;
  for (int step = 0; step < 12; ++step) {
    optimizer.zero_grad();
    if (which % 2 == 0) {
      mse_loss(net(x), target).backward();
    } else {
      const DetectAnomaly anomalies;
      const RecordSources sources;
      const Profiler profiler;
      const Tensor y = checkpoint([&](const Tensor& t) { return net(t); }, x);
      retain_grad(y);
      HookHandle hook = register_hook(y, [&](const Tensor& dy) { seen += static_cast<double>(dy.numel()); });
      const Tensor loss = mse_loss(y, target);
      if (to_dot(loss).empty()) throw Error("no graph");
      loss.backward();
      hook.remove();
      if (!y.grad().defined()) throw Error("no gradient");
    }
    optimizer.step();
  }
  if (seen != (which % 2 == 0 ? 0 : 12 * 16)) throw Error("hooks not called");  // CHECK is not for threads
  Tensors parameters;
  for (const Tensor& parameter : net.parameters()) parameters.push_back(parameter.detach());
  return parameters;
}

TEST_CASE("eight threads train eight models as one thread does, one after another") {
  constexpr int models = 8;
  std::vector<Tensors> together(models), alone;
  std::vector<std::thread> threads;
  for (int i = 0; i < models; ++i) threads.emplace_back([&, i] { together[static_cast<std::size_t>(i)] = train(i); });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < models; ++i) alone.push_back(train(i));
  for (std::size_t i = 0; i < models; ++i)
    for (std::size_t k = 0; k < alone[i].size(); ++k) CHECK(equal(together[i][k], alone[i][k]));
}

}  // namespace test_threads
