// Independent tapes on threads of their own, with all that hangs on a tape.
#include <limpid/limpid.hpp>

#include <barrier>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/memory.hpp>

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

// With two kinds of takers: one that has made tensors of its own, and one that has not.
TEST_CASE("tensors that some threads make and others drop serve again") {
  constexpr std::size_t pairs = 2, rounds = 40, count = 400;
  std::vector<std::vector<Tensor>> made(pairs);
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<std::barrier<>>> turns;
  for (std::size_t i = 0; i < pairs; ++i) turns.push_back(std::make_unique<std::barrier<>>(2));
  for (std::size_t i = 0; i < pairs; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t round = 0; round < rounds; ++round) {
        for (std::size_t k = 0; k < count; ++k) made[i].push_back(full({64}, static_cast<double>(k)));
        turns[i]->arrive_and_wait();
        turns[i]->arrive_and_wait();
      }
    });
    threads.emplace_back([&, i] {
      const Tensor own = i == 0 ? ones({3}) : Tensor();
      for (std::size_t round = 0; round < rounds; ++round) {
        turns[i]->arrive_and_wait();
        for (std::size_t k = 0; k < count; ++k)
          if (made[i][k].data<float>()[63] != static_cast<float>(k)) std::abort();  // CHECK is not for threads
        made[i].clear();
        turns[i]->arrive_and_wait();
      }
    });
  }
  const int64_t before = memory_stats().in_use;
  for (std::thread& thread : threads) thread.join();
  if (!test::lacks_recycling()) CHECK(memory_stats().in_use - before < 4 << 20);  // of 24 MB that went over
}

}  // namespace test_threads
