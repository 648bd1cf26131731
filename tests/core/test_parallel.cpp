#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/error.hpp>
#include <limpid/tests/settings.hpp>

#include <atomic>
#include <new>
#include <thread>
#include <vector>

namespace test_parallel {

using namespace limpid;

TEST_CASE("every index is visited once, for any count, grain and number of threads") {
  for (int threads : {1, 2, 3, 7})
    for (int64_t n : {0, 1, 5, 64, 1000})
      for (int64_t grain : {0, 1, 3, 64, 5000}) {
        const test::WithThreads with(threads);
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
        parallel_for(n, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        for (const auto& v : visits) CHECK(v == 1);
      }
}

TEST_CASE("work below the grain stays on the calling thread") {
  const auto caller = std::this_thread::get_id();
  parallel_for(100, 100, [&](int64_t begin, int64_t end) {
    CHECK(std::this_thread::get_id() == caller);
    CHECK(begin == 0);
    CHECK(end == 100);
  });
}

TEST_CASE("a loop inside a loop runs where it is") {
  const test::WithThreads with(2);
  std::atomic<int> total{0};
  parallel_for(2, 1, [&](int64_t, int64_t) {
    const auto outer = std::this_thread::get_id();
    parallel_for(10, 1, [&](int64_t begin, int64_t end) {
      if (std::this_thread::get_id() == outer) total += static_cast<int>(end - begin);
    });
  });
  CHECK(total == 20);
}

TEST_CASE("an exception leaves a loop when all of it is done") {
  for (int threads : {1, 3}) {
    const test::WithThreads with(threads);
    std::atomic<int> ranges{0};
    CHECK_THROWS_AS(parallel_for_throwing(30, 1,
                                          [&](int64_t, int64_t) {
                                            ++ranges;
                                            throw std::bad_alloc();
                                          }),
                    std::bad_alloc);
    CHECK(ranges == threads);
  }
}

TEST_CASE("fewer than one thread is refused") {
  CHECK_THROWS_WITH(set_num_threads(0), "set_num_threads: expected a number from 1 to 4096, got 0");
}

}  // namespace test_parallel
