#include <limpid/core/io/pt.hpp>
#include <limpid/tests/fuzz/fuzz.hpp>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  // A pickle, with storages to refer to.
  if (input.mode & 1)
    input.bytes = fuzz::zip({{"x/data.pkl", input.bytes},
                             {"x/data/0", std::string(72, '\0')},
                             {"x/data/1", std::string(8, '\1')},
                             {"x/byteorder", "little"}},
                            input.mode & 2);
  fuzz::read(input.bytes, [](const std::string& path) {
    return fuzz::all_of([](auto&&... arguments) { return limpid::load_pt(arguments...); }, path);
  });
  return 0;
}
