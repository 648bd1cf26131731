#include "file.hpp"

#include <unistd.h>
#include <algorithm>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace digits {

void write_file(const std::string& path, std::span<const std::uint8_t> bytes) {
  const std::string temporary = path + ".part" + std::to_string(getpid());
  const auto fail = [&](const char* deed) {
    const std::string reason = std::strerror(errno);
    std::remove(temporary.c_str());
    throw FileError(path + ": cannot " + deed + ": " + reason);
  };

  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  if (!file) fail("create");
  const bool written = bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  const bool closed = std::fclose(file) == 0;  // a full disk may show only here
  if (!written || !closed) fail("write");
  if (std::rename(temporary.c_str(), path.c_str()) != 0) fail("rename into place");
}

}  // namespace digits
