// Whether ops are recorded.
#pragma once

namespace limpid {

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

}  // namespace limpid
