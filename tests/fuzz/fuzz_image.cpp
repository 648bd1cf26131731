#include <limpid/core/io/image.hpp>
#include <limpid/tests/fuzz/fuzz.hpp>

namespace {

std::string big_endian(uint32_t value) { return fuzz::raw(__builtin_bswap32(value)); }

std::string chunk(const std::string& type, const std::string& data) {
  return big_endian(static_cast<uint32_t>(data.size())) + type + data + big_endian(fuzz::crc_of(type + data));
}

// The same chunks with right checksums, as far as there are whole ones.
std::string with_checksums(std::string png) {
  for (std::size_t at = 8; png.size() - at >= 12 && at < png.size();) {
    uint32_t length;
    std::memcpy(&length, &png[at], sizeof length);
    length = __builtin_bswap32(length);
    if (length > png.size() - at - 12) break;
    png.replace(at + 8 + length, 4, big_endian(fuzz::crc_of(png.substr(at + 4, length + 4))));
    at += 12 + length;
  }
  return png;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  switch (input.mode & 3) {
    case 0: break;
    case 1: input.bytes = with_checksums(input.bytes); break;
    default: {  // 7 bytes of a header's values, then what its pixels unpack to
      input.bytes.resize(std::max<std::size_t>(input.bytes.size(), 7));
      const std::string &b = input.bytes, zero(3, '\0');
      input.bytes = "\x89PNG\r\n\x1a\n" +
                    chunk("IHDR", zero + b[0] + zero + b[1] + b[2] + b[3] + std::string(2, '\0') + b[4]) +
                    (input.mode & 4 ? chunk("PLTE", b.substr(0, 6)) : "") +
                    (input.mode & 8 ? chunk("tRNS", b.substr(0, 6)) : "") +
                    chunk("IDAT", fuzz::deflated(b.substr(7), fuzz::zlib)) + chunk("IEND", "");
    }
  }
  fuzz::read(input.bytes, [](const std::string& path) { return limpid::load_image(path); });
  return 0;
}
