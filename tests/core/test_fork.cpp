// A child process computes, whatever its parent's threads were doing.
#include <limpid/core/detail/log.hpp>
#include <limpid/limpid.hpp>
#include <limpid/tests/settings.hpp>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>
#include <limpid/tests/sanitized.hpp>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace test_fork {

using namespace limpid;

// Runs f in a child; true if it gave true within half a minute.
template <class F>
bool in_child(F f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    bool good = false;
    try {
      good = f();
    } catch (...) {}
    _exit(good ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// All that threads are used for: kernels, products, convolutions, forward and backward.
Tensors work() {
  Generator generator(1);
  const Tensor x = rand({4, 8, 40, 40}, float32, generator).set_requires_grad();
  const Tensor w = rand({8, 8, 3, 3}, float32, generator).set_requires_grad();
  const Tensor m = rand({300, 300}, float32, generator);
  const Tensor y = instance_norm(conv2d(x, w, {}, {.padding = 1}));
  const Tensor z = matmul(m, m);
  sum(square(y)).backward();
  return {y.detach(), x.grad(), z, exp(rand({100000}, float32, generator))};
}

bool same(const Tensors& a, const Tensors& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!equal(a[i], b[i])) return false;
  return true;
}

TEST_CASE("statics of a program compute in their destructors") {
  // A child, for they run at exit: behind the main thread's own objects, and behind what libraries have made meanwhile.
  CHECK(in_child([] {
    static const struct Last {
      ~Last() {
        const auto right = [this] {
          nn::Linear a(2, 3), b(2, 3);
          nn::Sequential net{a}, other{b};
          net = other;
          const Tensor m = ones({300, 300}, bfloat16), pool = ones({4, 16, 64, 64});
          const Tensors now = work();
          for (std::size_t i = 0; i < now.size(); ++i)
            if (!allclose(now[i], before[i], 1e-4, 1e-4)) return false;
          return equal(matmul(m, m).to(float32), full({300, 300}, 300)) &&
                 equal(avg_pool2d(pool, 2), ones({4, 16, 32, 32}));
        };
        _exit(right() ? 0 : 1);
      }
      mutable Tensors before;
    } last;
    last.before = work();
    avg_pool2d(ones({4, 16, 64, 64}), 2);
    struct Block : nn::Module {
      nn::Linear linear;
      Block() : linear(add("linear", nn::Linear(2, 2))) {}
    } x, y;
    x = y;
    std::exit(1);
    return false;
  }));
}

TEST_CASE("a child of a process with threads computes the same bits on one") {
  const test::WithThreads with(3);
  const Tensors before = work();
  CHECK(in_child([&] {
    if (get_num_threads() != 1 || !same(work(), before)) return false;
    set_num_threads(1);
    return message_of([] { set_num_threads(2); }) ==
           "set_num_threads: expected 1 in a process that was forked from one with several threads, got 2";
  }));
  CHECK(same(work(), before));
}

TEST_CASE("a child starts without the locks of its parent's threads", "[long]") {
  if (test::under_sanitizer())
    return test::left_out("a sanitizer's runtime has locks of its own, which a child may find held");
  std::atomic<bool> end{false};
  const Profiler profiler;  // of this thread, read by others; of so much that its lock is held most of the time
  for (int i = 0; i < 3000; ++i) exp(zeros({1}));
  // The libraries' locks too: each product takes one, and each convolution of a shape that is new.
  const auto busy = [&](int64_t first) {
    for (int64_t i = first; !end; i += 2) {
      const Tensor x = zeros({20000}).set_requires_grad(), y = exp(x);
      register_hook(y, [](const Tensor&) {}).remove();
      retain_grad(y);
      for (int k = 0; k < 10; ++k) profiler.table();
      const nn::Sequential net{nn::Linear(2, 2)};
      for (int k = 0; k < 100; ++k) net(zeros({1, 2}));
      conv2d(zeros({1, 1, 40, 5 + i % 1000}), zeros({1, 1, 3, 3}));
    }
  };
  // A leaf that threads share: each gathers its gradient under a lock of the leaf's own.
  const Tensor shared = ones({100000}).set_requires_grad();
  const auto gathering = [&] {
    while (!end) sum(shared * 2.0).backward();
  };
  std::thread one(busy, 0), two(busy, 1), three(gathering);
  int good = 0;
  const auto child = [&] {
    sum(shared * 2.0).backward();
    const Tensor x = zeros({20000}).set_requires_grad(), y = exp(x);
    register_hook(y, [](const Tensor&) {});
    retain_grad(y);
    sum(y).backward();
    nn::Sequential{nn::Linear(2, 2)}(zeros({1, 2}));
    profiler.table();
    conv2d(zeros({1, 1, 40, 1100}), zeros({1, 1, 3, 3}));
    return y.grad().defined();
  };
  // Two threads fork at once.
  bool is_other_good = true;
  std::thread four([&] {
    while (!end && is_other_good) is_other_good = in_child(child);
  });
  while (good < 30 && in_child(child)) ++good;
  end = true;
  for (std::thread* thread : {&one, &two, &three, &four}) thread->join();
  CHECK(good == 30);
  CHECK(is_other_good);
}

TEST_CASE("a child asks no thread of its parent's for memory") {
  // Threads of the child take over the memory of those that are not there, the lists of their blocks among it.
  std::atomic<int> ready{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i)
    others.emplace_back([&] {
      const Tensor own = ones({20});
      ++ready;
      while (!over) std::this_thread::yield();
    });
  while (ready < 4) std::this_thread::yield();
  CHECK(in_child([] {
    for (int round = 0; round < 3; ++round) {
      std::vector<std::thread> threads;
      for (int i = 0; i < 6; ++i)
        threads.emplace_back([] {
          std::vector<Tensor> held;
          for (int k = 0; k < 4000; ++k) held.push_back(ones({20}));
        });
      for (std::thread& thread : threads) thread.join();
    }
    return true;
  }));
  over = true;
  for (std::thread& other : others) other.join();
}

TEST_CASE("a child logs, whatever its parent's threads were logging") {
  if (test::under_sanitizer())
    return test::left_out("a sanitizer's runtime has locks of its own, which a child may find held");
  REQUIRE(logs(LogLevel::error));  // which makes the logger
  const std::shared_ptr<spdlog::logger> logger = spdlog::get("limpid");
  const auto level = logger->level();
  const int stderr_before = dup(2), nowhere = open("/dev/null", O_WRONLY);
  REQUIRE((stderr_before >= 0 && nowhere >= 0));
  dup2(nowhere, 2);
  logger->set_level(spdlog::level::debug);
  std::atomic<bool> end{false};
  const auto busy = [&] {
    while (!end) log_message(LogLevel::debug, "from a thread of ", "the parent");
  };
  std::thread one(busy), two(busy);
  int good = 0;
  const auto child = [] {
    log_message(LogLevel::debug, "from a ", "child");
    return true;
  };
  while (good < 30 && in_child(child)) ++good;
  end = true;
  one.join();
  two.join();
  logger->set_level(level);
  dup2(stderr_before, 2);
  close(stderr_before);
  close(nowhere);
  CHECK(good == 30);
}

TEST_CASE("more threads than the system starts are refused, before OpenMP would end the process") {
  CHECK(message_of([] { set_num_threads(0); }) == "set_num_threads: expected a number from 1 to 4096, got 0");
  CHECK(message_of([] { set_num_threads(1 << 30); }) ==
        "set_num_threads: expected a number from 1 to 4096, got 1073741824");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  if (pages == 0) return test::left_out("there is no /proc to tell the size of this process");
  const int threads = get_num_threads();
  const rlimit small{static_cast<rlim_t>(pages) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{100} << 20),
                     before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_AS, &small) == 0);
  const std::string message = message_of([] { set_num_threads(500); });
  setrlimit(RLIMIT_AS, &before);
  CHECK(message.starts_with("set_num_threads: expected a number of threads that the system can start, which are "));
  CHECK(get_num_threads() == threads);
}

#if defined(__x86_64__)
TEST_CASE("threads flush denormals, or do not, as the one that calls them") {
  const Tensor tiny = full({200000}, 1e-42);
  const auto product = [&](int threads) {
    const test::WithThreads with(threads);
    return tiny * 0.5;
  };
  const Tensor kept = product(3);  // the threads exist from now on
  CHECK(max(kept).item<float>() > 0);
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, denormals are zero
  const Tensor one = product(1), three = product(3);
  _mm_setcsr(before);
  CHECK(equal(one, zeros({200000})));
  CHECK(equal(three, one));
  CHECK(equal(product(3), kept));
}
#endif

TEST_CASE("memory that the system does not have is an error of ours") {
  if (test::under_sanitizer()) return test::left_out("a sanitizer ends the process where so much memory is asked for");
  CHECK(message_of([] { zeros({1000000, 1000000, 1000}); }).starts_with("allocate: expected "));
  CHECK(message_of([] { zeros({int64_t{1} << 56}, float64); }).starts_with("allocate: expected "));
}

TEST_CASE("a warning does not end a run whose standard error nobody reads") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  close(ends[0]);
  CHECK(in_child([&] {
    dup2(ends[1], 2);
    log_message(LogLevel::warning, "from a ", "child");
    return true;
  }));
  close(ends[1]);
}

}  // namespace test_fork
