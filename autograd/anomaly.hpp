// Finding the op that first made a NaN or an infinity, and the line of the program that it came from.
#pragma once
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/source_location.hpp>

namespace LIMPID_API limpid {

/// While it lives, what this thread records and replays is searched for NaN and infinities, and the first is an
/// AutogradError that names the op, the element, and where the program recorded the op: file and line where the program
/// has debug information (-g or -g1), else function and offset. Results of ops that are not recorded are not searched.
/// Slow: for debugging. For a graph in which infinities belong (masks of -infinity), pass false: NaN alone.
struct DetectAnomaly : detail::ModeScope {
  explicit DetectAnomaly(bool infinities = true) noexcept;
};

/// While it lives, this thread notes where each op is recorded, for to_dot().
struct RecordSources : detail::ModeScope {
  RecordSources() noexcept;
};

/// Names a part of the program in what the two above tell; needs no debug information. name must outlive the scope.
class TraceScope {
 public:
  explicit TraceScope(const char* name, SourceLocation where = SourceLocation::current()) noexcept;
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

  const char* name() const noexcept { return name_; }
  const SourceLocation& where() const noexcept { return where_; }
  const TraceScope* outer() const noexcept { return outer_; }

 private:
  const char* name_;
  SourceLocation where_;
  TraceScope* outer_;
};

}  // namespace limpid
