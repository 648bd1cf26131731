// What a thread has switched on or off for a while: recording, inference mode, what watches.
#include <limpid/autograd/grad_mode.hpp>

#include <limpid/autograd/anomaly.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/pool.hpp>

#include <exception>

namespace limpid {
namespace {

// What holds outside of inference mode, which records nothing whatever this says.
LIMPID_FAST_TLS thread_local constinit bool grad_wanted = true;
LIMPID_FAST_TLS thread_local constinit bool records = true;  // the answer of both, which every op asks for
LIMPID_FAST_TLS thread_local constinit detail::ModeScope* innermost = nullptr;

// Each setting is a bit.
constexpr uint8_t watch_modes = detail::watch_anomalies | detail::watch_infinities | detail::watch_sources;
constexpr uint8_t grad_mode = 64, inference_mode = 128;
static_assert((watch_modes & (grad_mode | inference_mode)) == 0);

uint8_t modes() noexcept {
  return static_cast<uint8_t>((detail::watching & watch_modes) | (grad_wanted ? grad_mode : 0) |
                              (detail::thread_cache.inference ? inference_mode : 0));
}

uint8_t replaced(uint8_t value, uint8_t mask, uint8_t by) noexcept {
  return static_cast<uint8_t>((value & ~mask) | (by & mask));
}

void set_modes(uint8_t mask, uint8_t values) noexcept {
  detail::watching = replaced(detail::watching, mask & watch_modes, values);
  if (mask & grad_mode) grad_wanted = values & grad_mode;
  if (mask & inference_mode) detail::thread_cache.inference = values & inference_mode;
  records = grad_wanted && !detail::thread_cache.inference;
}

}  // namespace

bool is_grad_enabled() noexcept { return records; }
void set_grad_enabled(bool enabled) noexcept { set_modes(grad_mode, enabled ? grad_mode : 0); }

bool is_inference_mode() noexcept { return detail::thread_cache.inference; }

detail::ModeScope::ModeScope(uint8_t mask, uint8_t values) noexcept : mask_(mask), before_(modes()), outer_(innermost) {
  set_modes(mask, values);
  innermost = this;
}

detail::ModeScope::~ModeScope() {
  // A setting that a later scope has changed since is that one's to put back.
  uint8_t own = mask_;
  ModeScope** place = &innermost;
  for (; *place && *place != this; place = &(*place)->outer_) own &= static_cast<uint8_t>(~(*place)->mask_);
  if (!*place) {
    log_message(LogLevel::error, "a NoGradGuard or its like: expected to end on the thread that made it, got another");
    std::terminate();
  }
  *place = outer_;
  set_modes(own, before_);
  for (uint8_t left = mask_ & static_cast<uint8_t>(~own), bit = 1; left; bit = static_cast<uint8_t>(bit << 1)) {
    if (!(left & bit)) continue;
    left &= static_cast<uint8_t>(~bit);
    ModeScope* next = nullptr;  // the first that has changed it since
    for (ModeScope* scope = innermost; scope != outer_; scope = scope->outer_)
      if (scope->mask_ & bit) next = scope;
    next->before_ = replaced(next->before_, bit, before_);
  }
}

GradGuard::GradGuard(bool enabled) noexcept : ModeScope(grad_mode, enabled ? grad_mode : 0) {}
// It sets what is wanted as well, if to what it is: its end puts that back, whatever set_grad_enabled() has done since.
InferenceMode::InferenceMode(bool enabled) noexcept
    : ModeScope(grad_mode | inference_mode,
                static_cast<uint8_t>((enabled ? inference_mode : grad_mode) | (grad_wanted ? grad_mode : 0))) {}
DetectAnomaly::DetectAnomaly(bool infinities) noexcept
    : ModeScope(detail::watch_anomalies | detail::watch_infinities,
                detail::watch_anomalies | (infinities ? detail::watch_infinities : 0)) {}
RecordSources::RecordSources() noexcept : ModeScope(detail::watch_sources, detail::watch_sources) {}

}  // namespace limpid
