#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace digits {

/// A file that cannot be read or written, or does not hold what it should. The message is one line and names the file.
class FileError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

using Bytes = std::vector<std::uint8_t>;

/// Writes all of `bytes` under a temporary name beside `path`, then renames it: whoever reads `path` finds the old file
/// or the new one, never half of one.
void write_file(const std::string& path, std::span<const std::uint8_t> bytes);

}  // namespace digits
