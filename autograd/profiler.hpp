// Where the time of a training step goes, op by op.
#pragma once
#include <limpid/core/export.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace LIMPID_API limpid {

/// Times the ops of the thread that makes it, from then on until stop() or its end: those computed, recorded or not,
/// and the backward of those replayed, but for what runs while a later profiler of the thread does. What an op calls in
/// turn is not counted as its own, but ops that compute a backward count as part of that. Views, which cost nothing,
/// are not timed forward. Costs about 100 ns per op while it runs.
class Profiler {
 public:
  Profiler();
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  void stop() noexcept;

  struct Row {
    std::string op;
    int64_t calls = 0, backward_calls = 0;
    double forward = 0, backward = 0;  ///< seconds
    int64_t bytes = 0;                 ///< of the tensors made, forward and backward
  };
  /// One row per op, the most expensive first.
  std::vector<Row> table() const;

  /// Every call as JSON for chrome://tracing and ui.perfetto.dev: complete events ("ph": "X") with microseconds since
  /// the profiler's start, category "forward" or "backward", and the bytes made.
  std::string chrome_trace() const;
  /// The same into a file, which appears whole or not at all. Throws IOError.
  void write_chrome_trace(const std::string& path) const;

  struct Recorder;

 private:
  Recorder* recorder_;
};

/// The table, with sums.
std::ostream& operator<<(std::ostream& out, const Profiler& profiler);

}  // namespace limpid
