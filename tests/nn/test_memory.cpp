// Memory and threads of whole training steps: warm ones ask the system for nothing, a limit stops one without harm,
// tiny ones never start a thread.
#include <sys/resource.h>
#include <limpid/limpid.hpp>

#include <algorithm>
#include <filesystem>

#include "../catch.hpp"
#include "../memory.hpp"

namespace test_memory {

using namespace limpid;
using namespace limpid::test;

int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

int64_t threads_of_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// Tensors of up to 1 MiB, so that most of the memory is large blocks.
struct ImageNet {
  nn::Sequential net{nn::Conv2d(3, 16, 3, {.padding = 1}),
                     nn::InstanceNorm2d(16, {.affine = true, .track_running_stats = true}),
                     nn::ReLU(),
                     nn::MaxPool2d(2),
                     nn::Conv2d(16, 16, 3, {.padding = 1}),
                     nn::GroupNorm(4, 16),
                     nn::ReLU(),
                     nn::Flatten(),
                     nn::Linear(16 * 16 * 16, 4)};
  Tensor x = randn({16, 3, 32, 32}), t = arange(16) - arange(16) + 1;

  /// Gradients of all parameters, which backward() gathers anew.
  Tensors step() const {
    for (const Tensor& p : net.parameters()) p.set_grad({});
    nn::cross_entropy(net(x), t).backward();
    Tensors gradients;
    for (const Tensor& p : net.parameters()) gradients.push_back(p.grad());
    return gradients;
  }
};

void tiny_training() {
  nn::Sequential net(nn::Linear(2, 16), nn::Tanh(), nn::Linear(16, 16), nn::Tanh(), nn::Linear(16, 1));
  nn::Sequential norms(nn::Conv2d(1, 4, 3), nn::InstanceNorm2d(4, {.affine = true, .track_running_stats = true}),
                       nn::GroupNorm(2, 4), nn::BatchNorm2d(4), nn::MaxPool2d(2), nn::AvgPool2d(1), nn::Flatten());
  optim::Adam optimizer(net.parameters(), {.lr = 0.1});
  for (int i = 0; i < 3; ++i) {
    optimizer.zero_grad();
    mse_loss(net(randn({16, 2})), randn({16, 1})).backward();
    optimizer.step();
    Tensor x = randn({2, 1, 8, 8});
    x.set_requires_grad();
    const Tensor y = norms(x);
    (sum(softmax(y, 1) * randn(y.shape())) + moments(x, {2, 3}).variance.to(float32)).backward(randn({2, 1}));
  }
}

TEST_CASE("a warm training step takes no page fault, and no memory from the system") {
  if (lacks_recycling()) return;
  manual_seed(1);
  const ImageNet model;
  optim::Adam optimizer(model.net.parameters());
  const auto step = [&] {
    optimizer.zero_grad();
    nn::cross_entropy(model.net(model.x), model.t).backward();
    optimizer.step();
  };
  for (int i = 0; i < 5; ++i) step();
  // The kernel moves pages about now and then, and threads that give blocks back in another order may lead to one more
  // block; steps that need new ones would do so every time.
  int64_t fewest = INT64_MAX;
  for (int i = 0; i < 8 && fewest > 0; ++i) {
    const int64_t before = page_faults();
    const MemoryStats stats = memory_stats();
    for (int k = 0; k < 3; ++k) step();
    const int64_t blocks = memory_stats().system_allocations - stats.system_allocations;
    fewest = std::min(fewest, std::max(page_faults() - before, blocks));
    CHECK(memory_stats().in_use == stats.in_use);
  }
  CHECK(fewest == 0);
}

TEST_CASE("a warm instance_norm beyond the caches takes no page fault") {
  if (lacks_recycling()) return;
  const Tensor x = randn({4, 64, 128, 128}).set_requires_grad(), dy = randn({4, 64, 128, 128});
  const Tensor w = ones({64}).set_requires_grad(), b = zeros({64}).set_requires_grad();
  const auto step = [&] { grad({instance_norm(x, {}, {}, w, b)}, {x, w, b}, {dy}); };
  for (int i = 0; i < 2; ++i) step();
  int64_t fewest = INT64_MAX;
  for (int i = 0; i < 5 && fewest > 0; ++i) {
    const int64_t before = page_faults();
    step();
    fewest = std::min(fewest, page_faults() - before);
  }
  CHECK(fewest == 0);
}

TEST_CASE("a training step under any memory limit either throws MemoryError or gives the same bits") {
  manual_seed(2);
  const ImageNet model;
  const Tensors expected = model.step();
  model.step();
  empty_cache();
  reset_peak_memory_stats();
  const int64_t idle = memory_stats().in_use;
  model.step();
  const int64_t need = memory_stats().peak_in_use - idle;
  int thrown = 0;
  for (int64_t part = 0; part <= 24; ++part) {
    empty_cache();
    CAPTURE(part);
    try {
      const WithLimit limit(idle + need * part / 24);
      const Tensors gradients = model.step();
      for (std::size_t i = 0; i < gradients.size(); ++i) CHECK(equal(gradients[i], expected[i]));
    } catch (const MemoryError&) {
      ++thrown;
    }
    for (const Tensor& p : model.net.parameters()) CHECK(all(isfinite(p)).item<bool>());
    CHECK(memory_stats().in_use <= idle + 65536);  // no tensor is left behind
  }
  CHECK(thrown >= 12);
  const Tensors again = model.step();
  for (std::size_t i = 0; i < again.size(); ++i) CHECK(equal(again[i], expected[i]));
}

// ctest runs each test in a process of its own, so that no other test has started threads before.
TEST_CASE("tiny tensors start no thread") {
  const int64_t before = threads_of_process();
  const WithThreads with(4);
  tiny_training();
  CHECK(threads_of_process() == before);
  instance_norm(randn({8, 64, 64, 64}));
  CHECK(threads_of_process() >= 4);  // the count sees threads where there are some
}

}  // namespace test_memory
