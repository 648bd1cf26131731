#include <limpid/core/io/safetensors.hpp>
#include <limpid/tests/fuzz/fuzz.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.mode & 1) {
    // A header up to the first NUL, at its right length, and data.
    const std::size_t end = std::min(input.bytes.find('\0'), input.bytes.size());
    input.bytes = fuzz::raw(uint64_t{end}) + input.bytes.substr(0, end) +
                  input.bytes.substr(std::min(end + 1, input.bytes.size()));
  }
  fuzz::read(input.bytes, [](const std::string& path) {
    return fuzz::all_of([](auto&&... arguments) { return limpid::load_safetensors(arguments...); }, path);
  });
  return 0;
}
