#include <limpid/core/detail/log.hpp>

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <memory>
#include <string_view>

namespace limpid {

spdlog::logger& logger() {
  // A user may have registered a logger of this name first; then it is his to configure.
  static const std::shared_ptr<spdlog::logger> instance = [] {
    if (auto existing = spdlog::get("limpid")) return existing;
    auto created = spdlog::stderr_color_mt("limpid");
    created->set_level(spdlog::level::warn);
    const char* wish = std::getenv("LIMPID_LOG");
    if (!wish || !*wish) return created;
    // spdlog takes any word that it does not know for "off", which would hide what is wrong.
    for (const char* level : {"trace", "debug", "info", "warn", "error", "off"})
      if (std::string_view(wish) == level) {
        created->set_level(spdlog::level::from_str(level));
        return created;
      }
    created->warn("LIMPID_LOG: expected trace, debug, info, warn, error or off, got '{}'; using warn", wish);
    return created;
  }();
  return *instance;
}

}  // namespace limpid
