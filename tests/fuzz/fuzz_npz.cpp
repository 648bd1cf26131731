#include <limpid/core/io/npy.hpp>
#include <limpid/tests/fuzz/fuzz.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.mode & 1) input.bytes = fuzz::zip({{"a.npy", input.bytes}, {"b", "text"}}, input.mode & 2);
  fuzz::read(input.bytes, [](const std::string& path) {
    return fuzz::all_of([](auto&&... arguments) { return limpid::load_npz(arguments...); }, path);
  });
  return 0;
}
