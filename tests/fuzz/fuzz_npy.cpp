#include <limpid/core/io/npy.hpp>
#include <limpid/tests/fuzz/fuzz.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.mode & 1) {
    // A header up to the first newline, at its right length, and data.
    const std::size_t end = std::min(input.bytes.find('\n'), input.bytes.size());
    input.bytes = "\x93NUMPY\x01" + std::string(1, '\0') + fuzz::raw(static_cast<uint16_t>(end)) + input.bytes;
  }
  fuzz::read(input.bytes, [](const std::string& path) { return limpid::load_npy(path); });
  return 0;
}
