// Settings of the process that a test changes, and what a test says where it leaves something out.
#pragma once
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/parallel.hpp>
#include <limpid/tests/catch.hpp>

#include <sys/resource.h>

#include <csignal>
#include <string>

namespace limpid::test {

/// Sets the number of threads, and restores it on the way out.
class WithThreads {
 public:
  explicit WithThreads(int threads) { set_num_threads(threads); }
  ~WithThreads() { set_num_threads(before_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  const int before_ = get_num_threads();
};

/// Sets the instruction set, and restores it on the way out.
class WithIsa {
 public:
  explicit WithIsa(Isa level) { set_isa(level); }
  ~WithIsa() { set_isa(before_); }
  WithIsa(const WithIsa&) = delete;
  WithIsa& operator=(const WithIsa&) = delete;

 private:
  const Isa before_ = isa();
};

/// Refuses to let a file grow beyond so many bytes, as a full disk would, until the way out.
class WithSmallFiles {
 public:
  explicit WithSmallFiles(rlim_t bytes) {
    const rlimit small{bytes, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  }
  ~WithSmallFiles() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  WithSmallFiles(const WithSmallFiles&) = delete;
  WithSmallFiles& operator=(const WithSmallFiles&) = delete;

 private:
  static rlimit limit() {
    rlimit current;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &current) == 0);
    return current;
  }

  const rlimit before_ = limit();
  void (*const handler_)(int) = std::signal(SIGXFSZ, SIG_IGN);  // which would end the process
};

/// Says that the test, or a part of it, is left out: Catch2 2 knows no skipped tests, and one that returns has passed.
inline void left_out(const std::string& reason) { WARN("not tested here: " << reason); }

/// Whether this machine lacks AVX-512; if so, says that it is left out.
inline bool lacks_avx512() {
  if (best_isa() == Isa::avx512) return false;
  left_out("this machine has no AVX-512");
  return true;
}

}  // namespace limpid::test
