// .pt files as tests want them: pickles by their opcodes, archives that hold them.
#pragma once
#include <limpid/core/io/detail/zip.hpp>
#include <limpid/core/io/pt.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <limpid/tests/core/io/zip_tests.hpp>

namespace pt_tests {

using namespace limpid;

inline const std::string torch = LIMPID_TEST_DATA "/torch/";

inline void load(const std::string& path) {
  load_strictly([](auto&&... arguments) { load_pt(arguments...); }, path);
}

inline std::string archive(const std::map<std::string, std::string>& members) {
  const Folder folder;
  detail::FileWriter file("test", folder / "x");
  detail::ZipWriter zip(file);
  for (const auto& [name, bytes] : members) zip.add(name, detail::bytes_of(bytes), {});
  zip.finish();
  file.commit();
  return read_bytes(folder / "x");
}

// A file whose one storage "0" holds the float32 numbers 0 to 3.
inline std::string file_of(const std::string& pickle) {
  return archive({{"x/data.pkl", pickle}, {"x/data/0", raw(0.0f) + raw(1.0f) + raw(2.0f) + raw(3.0f)}});
}

// Opcodes of pickles.
inline std::string text(const std::string& s) { return "X" + raw(static_cast<uint32_t>(s.size())) + s; }
inline std::string integer(int64_t n) { return "\x8a\x08" + raw(n); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::string& items) { return "(" + items + "t"; }
inline std::string integers(const std::vector<int64_t>& values) {
  std::string items;
  for (const int64_t value : values) items += integer(value);
  return tuple(items);
}
inline const std::string ordered_dict = global("collections", "OrderedDict") + ")R";

inline std::string storage(int64_t count, const std::string& type = "FloatStorage", const std::string& key = "0") {
  return tuple(text("storage") + global("torch", type) + text(key) + text("cpu") + integer(count)) + "Q";
}
inline std::string tensor(const std::string& arguments) {
  return global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments + "\x89" + ordered_dict) + "R";
}
inline std::string tensor(int64_t offset, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  return tensor(storage(4) + integer(offset) + integers(shape) + integers(strides));
}
inline std::string dict(const std::string& items) { return "}(" + items + "u"; }
inline std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }
inline std::string one(const std::string& value) { return pickle(dict(text("a") + value)); }
// A file of the one tensor "a".
inline Malformed bad(const char* name, const std::string& value, const char* message) {
  return {name, file_of(one(value)), message};
}

inline std::string repeated(const std::string& part, int count) {
  std::string result;
  while (count-- > 0) result += part;
  return result;
}

}  // namespace pt_tests
