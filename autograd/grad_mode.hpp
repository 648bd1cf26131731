// Whether ops are recorded.
#pragma once
#include <limpid/core/export.hpp>

#include <cstdint>

namespace LIMPID_API limpid {
namespace detail {

/// Settings of this thread that hold while it lives, and are what they were before when it has ended, in whatever order
/// it and others end. It ends on the thread that made it: on another it ends the program, for that thread's list would
/// go on to name what is gone.
class ModeScope {
 public:
  ModeScope(const ModeScope&) = delete;
  ModeScope& operator=(const ModeScope&) = delete;

 protected:
  /// Gives the settings in mask those values, each a bit.
  ModeScope(uint8_t mask, uint8_t values) noexcept;
  ~ModeScope();

 private:
  uint8_t mask_, before_;
  ModeScope* outer_;
};

}  // namespace detail

/// Per thread; on at first.
bool is_grad_enabled() noexcept;
void set_grad_enabled(bool enabled) noexcept;

/// While it lives, this thread records (or does not).
struct GradGuard : detail::ModeScope {
  explicit GradGuard(bool enabled) noexcept;
};

struct NoGradGuard : GradGuard {
  NoGradGuard() noexcept : GradGuard(false) {}
};
struct EnableGradGuard : GradGuard {
  EnableGradGuard() noexcept : GradGuard(true) {}
};

/// While it lives, this thread neither records nor makes anything that could ever be part of a graph: a tensor computed
/// here is refused, by name, where an op would save it, where a gradient is asked of it, and where it is written to in
/// place while recording. A clone() made outside is an ordinary tensor, and so is what a module registers. An
/// EnableGradGuard and set_grad_enabled() change nothing until it has ended; InferenceMode(false) does.
struct InferenceMode : detail::ModeScope {
  explicit InferenceMode(bool enabled = true) noexcept;
};
bool is_inference_mode() noexcept;

}  // namespace limpid
