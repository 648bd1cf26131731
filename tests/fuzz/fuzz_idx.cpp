#include <limpid/nn/data/idx.hpp>
#include <limpid/tests/fuzz/fuzz.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.mode & 1) {
    const std::size_t half = input.mode & 2 ? input.bytes.size() / 2 : 0;
    const std::string first = half ? fuzz::deflated(input.bytes.substr(0, half), fuzz::gzip) : "";
    input.bytes = first + fuzz::deflated(input.bytes.substr(half), fuzz::gzip);
  }
  fuzz::read(input.bytes, [](const std::string& path) { return limpid::data::load_idx(path); });
  return 0;
}
