// The logger "limpid". Level from LIMPID_LOG (trace, debug, info, warn, error, off); warnings and up by default.
// Internal: spdlog stays out of the public headers, and out of all sources but log.cpp, for its headers cost each that
// sees them seconds.
#pragma once
#include <limpid/core/detail/message.hpp>

#include <string>

namespace limpid {

enum class LogLevel { debug, info, warning, error };

/// Whether anything of this level is written.
bool logs(LogLevel level);
void log_text(LogLevel level, const std::string& text);

/// The parts as message() puts them together. Nothing where there is no memory to say it with.
template <class... Parts>
void log_message(LogLevel level, const Parts&... parts) noexcept {
  try {
    if (logs(level)) log_text(level, detail::message(parts...));
  } catch (...) {}
}

}  // namespace limpid
