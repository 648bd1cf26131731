// The logger "limpid". Level from LIMPID_LOG (trace, debug, info, warn, error, off); warnings and up by default.
// Internal: spdlog stays out of the public headers.
#pragma once
#include <spdlog/spdlog.h>

#include <utility>

namespace limpid {

spdlog::logger& logger();

template <class... Args>
void log_warning(spdlog::format_string_t<Args...> format, Args&&... args) noexcept {
  try {
    logger().warn(format, std::forward<Args>(args)...);
  } catch (...) {}  // no memory to say it with
}

template <class... Args>
void log_error(spdlog::format_string_t<Args...> format, Args&&... args) noexcept {
  try {
    logger().error(format, std::forward<Args>(args)...);
  } catch (...) {}
}

template <class... Args>
void log_debug(spdlog::format_string_t<Args...> format, Args&&... args) noexcept {
  try {
    logger().debug(format, std::forward<Args>(args)...);
  } catch (...) {}
}

}  // namespace limpid
