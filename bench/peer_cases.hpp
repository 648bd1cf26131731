// What programs of cases and their peers share: the command line, and how a case is timed and told.
#pragma once
#include <limpid/bench/timing.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

namespace limpid {

/// `PROGRAM --list` names the cases, one a line; `PROGRAM CASE THREADS SECONDS` measures one and prints microseconds of
/// forward, and of all: with gradients, or a whole training step. Medians.
class PeerBench {
 public:
  PeerBench(int argc, char** argv) {
    lists_ = argc == 2 && !std::strcmp(argv[1], "--list");
    if (!lists_ && argc != 4) {
      std::fprintf(stderr, "%s: expected --list, or CASE THREADS SECONDS\n", argv[0]);
      std::exit(2);
    }
    if (lists_) return;
    wanted_ = argv[1];
    threads_ = std::atoi(argv[2]);
    seconds_ = std::atof(argv[3]);
  }

  int threads() const { return threads_; }

  /// make() gives a pair of functions without arguments: forward without a tape, and all. It is
  /// called for the case that is wanted alone.
  template <class Make>
  void add(const std::string& name, const Make& make) {
    if (lists_) std::puts(name.c_str());
    if (name != wanted_) return;
    const auto [forward, both] = make();
    const auto us = median_us({forward, both}, seconds_);
    std::printf("%.2f %.2f\n", us[0], us[1]);
    found_ = true;
  }

  /// What main() returns.
  int result() const {
    if (!lists_ && !found_) std::fprintf(stderr, "expected a case that --list names, got %s\n", wanted_.c_str());
    return lists_ || found_ ? 0 : 2;
  }

 private:
  bool lists_, found_ = false;
  std::string wanted_;
  int threads_ = 1;
  double seconds_ = 0.3;
};

}  // namespace limpid
