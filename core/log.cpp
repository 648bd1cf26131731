#include <limpid/core/detail/log.hpp>

#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/quote.hpp>
#include <limpid/core/detail/signals.hpp>

#include <spdlog/sinks/ansicolor_sink-inl.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace limpid {
namespace {

detail::ForkMutex making(1), console(2);

// For a sink of spdlog: what it locks while it makes text and writes it. spdlog's library has no sink of this, so that
// its templates are included whole.
struct Console {
  using mutex_t = detail::ForkMutex;
  static mutex_t& mutex() { return console; }
};

// A standard error that is a pipe without a reader, or a file that is full, must not end the run.
class Sink final : public spdlog::sinks::ansicolor_stderr_sink<Console> {
 public:
  Sink() : ansicolor_stderr_sink(spdlog::color_mode::automatic) {}

 private:
  void log(const spdlog::details::log_msg& message) override {
    const detail::WithoutWriteSignals guard;
    ansicolor_stderr_sink::log(message);
  }
};

std::shared_ptr<spdlog::logger> make_logger() {
  // A user may have registered a logger of this name first; then it is his to configure.
  if (auto existing = spdlog::get("limpid")) return existing;
  auto created = std::make_shared<spdlog::logger>("limpid", std::make_shared<Sink>());
  spdlog::initialize_logger(created);
  created->set_level(spdlog::level::warn);
  const char* wish = std::getenv("LIMPID_LOG");
  if (!wish || !*wish) return created;
  // spdlog takes any word that it does not know for "off", which would hide what is wrong.
  for (const char* level : {"trace", "debug", "info", "warn", "error", "off"})
    if (std::string_view(wish) == level) {
      created->set_level(spdlog::level::from_str(level));
      return created;
    }
  created->warn("LIMPID_LOG: expected trace, debug, info, warn, error or off, got '{}'; using warn",
                detail::printable(wish));
  return created;
}

spdlog::logger& logger() {
  static std::atomic<spdlog::logger*> made = nullptr;
  if (spdlog::logger* known = made.load(std::memory_order_acquire)) return *known;
  const std::lock_guard lock(making);
  static const std::shared_ptr<spdlog::logger> instance = make_logger();
  made.store(instance.get(), std::memory_order_release);
  return *instance;
}

constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                spdlog::level::err};

}  // namespace

bool logs(LogLevel level) { return logger().should_log(levels[static_cast<int>(level)]); }

void log_text(LogLevel level, const std::string& text) {
  logger().log(levels[static_cast<int>(level)], spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace limpid
