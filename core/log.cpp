#include <limpid/core/detail/log.hpp>

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <memory>

namespace limpid {

spdlog::logger& logger() {
  // A user may have registered a logger of this name first; then it is his to configure.
  static const std::shared_ptr<spdlog::logger> instance = [] {
    if (auto existing = spdlog::get("limpid")) return existing;
    auto created = spdlog::stderr_color_mt("limpid");
    const char* level = std::getenv("LIMPID_LOG");
    created->set_level(level && *level ? spdlog::level::from_str(level) : spdlog::level::warn);
    return created;
  }();
  return *instance;
}

}  // namespace limpid
