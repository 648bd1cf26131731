#pragma once

#include <string>

#include "file.hpp"

namespace digits {

/// Eight-bit pixels row by row: grey for one channel, red-green-blue for three.
struct Picture {
  int width = 0, height = 0, channels = 1;
  Bytes pixels;
};

/// Writes a PNG, whole or not at all; FileError if that fails or the picture's sizes contradict each other.
void write_png(const std::string& path, const Picture& picture);

}  // namespace digits
