// Whether ops are recorded.
#pragma once
#include <limpid/core/export.hpp>

namespace LIMPID_API limpid {

/// Per thread; on at first.
bool is_grad_enabled() noexcept;
void set_grad_enabled(bool enabled) noexcept;

/// While it lives, this thread records (or does not).
class GradGuard {
 public:
  explicit GradGuard(bool enabled) noexcept : before_(is_grad_enabled()) { set_grad_enabled(enabled); }
  ~GradGuard() { set_grad_enabled(before_); }
  GradGuard(const GradGuard&) = delete;
  GradGuard& operator=(const GradGuard&) = delete;

 private:
  bool before_;
};

struct NoGradGuard : GradGuard {
  NoGradGuard() noexcept : GradGuard(false) {}
};
struct EnableGradGuard : GradGuard {
  EnableGradGuard() noexcept : GradGuard(true) {}
};

/// While it lives, this thread neither records nor makes anything that could ever be part of a graph: a tensor computed
/// here is refused, by name, where an op would save it, where a gradient is asked of it, and where it is written to in
/// place while recording. A clone() made outside is an ordinary tensor. An EnableGradGuard changes nothing here;
/// InferenceMode(false) does.
class InferenceMode {
 public:
  explicit InferenceMode(bool enabled = true) noexcept;
  ~InferenceMode();
  InferenceMode(const InferenceMode&) = delete;
  InferenceMode& operator=(const InferenceMode&) = delete;

 private:
  bool before_, grad_before_;
};
bool is_inference_mode() noexcept;

}  // namespace limpid
