#include "png.hpp"

// A system header to the build, so its warnings are not ours.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>

namespace digits {

void write_png(const std::string& path, const Picture& picture) {
  const auto [width, height, channels, pixels] = picture;
  constexpr int kLargest = 1 << 14;  // stb counts bytes in int
  const bool sound = width > 0 && height > 0 && width <= kLargest && height <= kLargest &&
                     (channels == 1 || channels == 3) &&
                     pixels.size() == static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                                          static_cast<std::size_t>(channels);
  if (!sound)
    throw FileError(path + ": expected a grey or RGB picture of up to 16384 pixels a side, found " +
                    std::to_string(width) + " x " + std::to_string(height) + " x " + std::to_string(channels) +
                    " with " + std::to_string(pixels.size()) + " bytes");
  Bytes bytes;
  const auto append = [](void* context, void* data, int size) {
    const auto* from = static_cast<const std::uint8_t*>(data);
    static_cast<Bytes*>(context)->insert(static_cast<Bytes*>(context)->end(), from, from + size);
  };
  if (!stbi_write_png_to_func(append, &bytes, width, height, channels, pixels.data(), width * channels))
    throw FileError(path + ": cannot encode the picture: out of memory");
  write_file(path, bytes);
}

}  // namespace digits
