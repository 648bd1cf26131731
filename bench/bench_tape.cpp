// What the tape costs: chains of tiny ops, where nothing but the recording and the replay counts, and a tiny training
// step. The counters are nanoseconds of the thread per recorded op; run with one thread:
//     OMP_NUM_THREADS=1 limpid_bench_tape
#include <benchmark/benchmark.h>
#include <limpid/core/allocator.hpp>
#include <limpid/limpid.hpp>

namespace {

using namespace limpid;

// Medians of many short repetitions: on a machine with other work a mean tells of that work.
void timed(benchmark::internal::Benchmark* bench) { bench->Repetitions(21)->ReportAggregatesOnly()->MinTime(0.02); }

// Seconds per op of `ops` ops a pass, printed with its unit; and how often a pass went to the system for memory.
class PerOp {
 public:
  PerOp(benchmark::State& state, int64_t ops) : state_(state), ops_(ops) {}
  ~PerOp() {
    using benchmark::Counter;
    const auto passes = static_cast<double>(state_.iterations());
    state_.counters["per_op"] = Counter(passes * static_cast<double>(ops_), Counter::kIsRate | Counter::kInvert);
    const auto asked = static_cast<double>(memory_stats().system_allocations - before_);
    state_.counters["system_allocations"] = Counter(asked, Counter::kAvgIterations);
  }

 private:
  benchmark::State& state_;
  int64_t ops_, before_ = memory_stats().system_allocations;
};

Tensor chain(const Tensor& x, int64_t ops) {
  Tensor y = x;
  for (int64_t i = 0; i < ops; ++i) y = y * x;
  return y;
}

void forward(benchmark::State& state) {
  const Tensor x = ones({4});
  const PerOp report(state, state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(chain(x, state.range(0)));
}
BENCHMARK(forward)->Arg(1000)->Apply(timed);

void forward_recorded(benchmark::State& state) {
  const Tensor x = ones({4}).set_requires_grad();
  const PerOp report(state, state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(chain(x, state.range(0)));
}
BENCHMARK(forward_recorded)->Arg(1000)->Apply(timed);

// The contract's figure: x requires a gradient, so that each op has two products and a sum in its backward.
void forward_backward(benchmark::State& state) {
  Tensor x = ones({4}).set_requires_grad();
  const PerOp report(state, state.range(0));
  for (auto _ : state) {
    sum(chain(x, state.range(0))).backward();
    x.set_grad({});
  }
}
BENCHMARK(forward_backward)->Arg(1000)->Apply(timed);
BENCHMARK(forward_backward)->Arg(1'000'000)->Iterations(1)->Repetitions(5)->ReportAggregatesOnly();

// Each node is reached along two edges at once, 2^60 paths in all.
void doubling(benchmark::State& state) {
  Tensor x = ones({4}).set_requires_grad();
  const PerOp report(state, 60);
  for (auto _ : state) {
    Tensor y = x;
    for (int i = 0; i < 60; ++i) y = y + y;
    sum(y).backward();
    x.set_grad({});
  }
}
BENCHMARK(doubling)->Apply(timed);

void mlp_step(benchmark::State& state) {
  manual_seed(0);
  nn::Sequential net(nn::Linear(2, 16), nn::Tanh(), nn::Linear(16, 16), nn::Tanh(), nn::Linear(16, 1));
  optim::SGD optimizer(net.parameters(), {.lr = 0.1});
  const Tensor x = randn({16, 2}), target = randn({16, 1});
  const PerOp report(state, 1);
  for (auto _ : state) {
    optimizer.zero_grad();
    mse_loss(net(x), target).backward();
    optimizer.step();
  }
}
BENCHMARK(mlp_step)->Apply(timed);

}  // namespace

BENCHMARK_MAIN();
