// A warm training step asks neither the system nor the C++ heap for memory; what asks can do without.
#include <limpid/limpid.hpp>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "../catch.hpp"

namespace test_allocations {

std::atomic<int64_t> news{0};
// Requests of this thread that succeed before all others fail; below 0: none fails.
thread_local int64_t left = -1;

void* counted(std::size_t bytes, std::size_t alignment) {
  news.fetch_add(1, std::memory_order_relaxed);
  if (left == 0) throw std::bad_alloc();
  if (left > 0) --left;
  // aligned_alloc() wants a multiple of the alignment.
  if (void* p = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment)) return p;
  throw std::bad_alloc();
}

}  // namespace test_allocations

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return test_allocations::counted(bytes, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return test_allocations::counted(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace test_allocations {

using namespace limpid;

// How often the third step asks for memory; the two before it fill the caches.
template <class F>
int64_t allocations(F&& step) {
  step();
  step();
  const int64_t before = news + memory_stats().system_allocations;
  step();
  return news + memory_stats().system_allocations - before;
}

TEST_CASE("operator new is counted") {
  CHECK(allocations([] { ::operator delete(::operator new(1)); }) == 1);
}

TEST_CASE("a warm training step takes no memory from the heap") {
  nn::Sequential net(nn::Linear(2, 16), nn::Tanh(), nn::Linear(16, 16), nn::Tanh(), nn::Linear(16, 1));
  optim::SGD optimizer(net.parameters(), {.lr = 0.1});
  const Tensor x = randn({16, 2}), target = randn({16, 1});
  CHECK(allocations([&] {
          optimizer.zero_grad();
          mse_loss(net(x), target).backward();
          optimizer.step();
        }) == 0);
}

TEST_CASE("a warm step of any optimiser and schedule takes no memory from the heap") {
  nn::Linear linear(16, 16);
  const Tensors xs = linear.parameters();
  for (const Tensor& x : xs) x.set_grad(randn(x.shape()));
  const auto check = [](optim::Optimizer optimizer) {
    optim::CosineLR schedule(optimizer, {.total_steps = 10});
    INFO(optimizer.name());
    CHECK(allocations([&] {
            optimizer.step();
            schedule.step();
          }) == 0);
  };
  check(optim::SGD(xs, {.momentum = 0.9}));
  check(optim::Adam(xs, {.amsgrad = true}));
  check(optim::AdamW(xs));
  check(
      optim::Optimizer(xs, {.name = "Own", .lr = 1e-3, .state = {"a", "b", "c", "d", "e", "f"}}, [](const auto& step) {
        for (int64_t i = 0; i < step.n; ++i) step.x[i] -= step.state[5][i] += step.dx[i];
      }));
}

TEST_CASE("a warm instance_norm takes no memory from the heap") {
  const Tensor x = randn({2, 3, 4, 4}).set_requires_grad(), dy = randn({2, 3, 4, 4});
  const Tensor weight = ones({3}).set_requires_grad(), bias = zeros({3}).set_requires_grad();
  CHECK(allocations([&] { instance_norm(x, {}, {}, weight, bias).backward(dy); }) == 0);
  CHECK(allocations([&] { grad({instance_norm(x, {}, {}, weight, bias)}, {x, weight, bias}, {dy}); }) == 0);
}

TEST_CASE("a warm chain of ops takes no memory from the heap") {
  const Tensor x = ones({4}).set_requires_grad();
  CHECK(allocations([&] {
          Tensor y = x;
          for (int i = 0; i < 100; ++i) y = y * x + y;
          sum(y).backward();
        }) == 0);
}

TEST_CASE("a report becomes JSON, or throws where there is no memory, at whichever request") {
  const GradcheckReport report =
      gradcheck([](const Tensor& x, const Tensor& y) { return x * y; }, {randn({2, 3}, float64), randn({3}, float64)});
  const std::string whole = to_json(report);
  for (int64_t k = 0;; ++k) {
    std::string text;
    left = k;
    try {
      text = to_json(report);
    } catch (const std::bad_alloc&) {}
    left = -1;
    if (text.empty()) continue;
    CHECK(text == whole);
    CHECK(k > 100);
    break;
  }
}

}  // namespace test_allocations
