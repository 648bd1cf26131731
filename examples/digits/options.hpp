// The command line of the demonstration.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace digits {

struct Options {
  std::string data;                                ///< directory of MNIST's files; empty: digits are drawn
  std::string out = "digits-out";                  ///< where pictures and the model go
  int64_t train_count = 20000, test_count = 4000;  ///< of drawn digits
  int64_t epochs = 3, batch_size = 64;
  double lr = 2e-3;
  uint64_t seed = 0;
  int threads = 0;  ///< 0: as many as there are cores
  bool help = false;
};

extern const char* const usage;

/// A command line that cannot be understood; the message is one line.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

Options parse_options(int argc, char** argv);

}  // namespace digits
