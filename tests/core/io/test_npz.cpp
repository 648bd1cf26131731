#include <limpid/core/io/detail/npy.hpp>
#include <limpid/core/io/detail/zip.hpp>
#include <limpid/core/io/pt.hpp>
#include <test_paths.hpp>

#include <limpid/tests/core/io/zip_tests.hpp>

namespace test_npz {

using namespace limpid;

const std::string numpy = LIMPID_TEST_DATA "/numpy/";

void load(const std::string& path) {
  load_strictly([](auto&&... arguments) { load_npz(arguments...); }, path);
}

TEST_CASE("npz files that NumPy saved are read") {
  for (const char* file : {"stored", "deflated", "zip64"}) {
    DYNAMIC_SECTION(file) {
      const TensorMap tensors = load_npz(numpy + file + ".npz");
      REQUIRE(tensors.size() == 3);
      CHECK(same_bits(tensors.at("w"), counting({2, 3})));
      CHECK(same_bits(tensors.at("layer/b"), counting({500}, int64)));
      CHECK(same_bits(tensors.at("größe"), counting({}, bool_)));
    }
  }
}

TEST_CASE("npz files hold many tensors, or none") {
  const Folder folder;
  TensorMap tensors;
  save_npz(folder / "x", tensors);
  CHECK(load_npz(folder / "x").empty());
  for (int i = 0; i < 100; ++i)
    tensors["layer." + std::to_string(i) + ".weight"] = counting({i % 7, 3}, all_dtypes[i % 5]);
  tensors["größe/π"] = counting({});
  save_npz(folder / "x", tensors);
  const TensorMap loaded = load_npz(folder / "x");
  REQUIRE(loaded.size() == tensors.size());
  for (const auto& [name, x] : tensors) CHECK(same_bits(loaded.at(name), x));
}

TEST_CASE("equal tensors give equal npz files") {
  const Folder folder;
  save_npz(folder / "x", {{"a", counting({3})}, {"b", counting({2}, bool_)}});
  save_npz(folder / "y", {{"a", counting({3})}, {"b", counting({2}, bool_)}});
  CHECK(read_bytes(folder / "x") == read_bytes(folder / "y"));
}

TEST_CASE("npz sizes, places and counts above 32 bits are written as zip64") {
  const Folder folder;
  const std::string bytes = npy(counting({2, 3}));
  // As if 32 bits ended at these.
  for (const detail::ZipWriter::Limits limits : {detail::ZipWriter::Limits{1, 1}, {200, 1}, {100, 100}, {1000, 2}}) {
    INFO(limits.bytes << ", " << limits.members);
    detail::FileWriter file("test", folder / "x");
    detail::ZipWriter archive(file, limits);
    for (const char* name : {"a.npy", "b.npy", "c.npy"}) archive.add(name, detail::bytes_of(bytes), {});
    archive.finish();
    file.commit();
    const TensorMap tensors = load_npz(folder / "x");
    REQUIRE(tensors.size() == 3);
    CHECK(same_bits(tensors.at("c"), counting({2, 3})));
  }
}

TEST_CASE("npz archives of other make are read") {
  struct Row {
    const char* name;
    std::string bytes;
  };
  const Row table[] = {
      {"stored", zip({{}})},
      {"deflated", zip({deflated()})},
      {"with a comment", zip({{}}, {.comment = "hello PK\x05\x06 there, this comment looks like an end record"})},
      {"sizes behind the data", zip({changed(deflated(), [](Member& m) { m.flags = 8, m.sizes_behind = true; })})},
      {"other extra fields", zip({{.extra = raw(uint16_t{0x5455}) + raw(uint16_t{1}) + "t"}})},
      {"deflated without compressing", zip({changed({},
                                                    [](Member& m) {
                                                      const auto size = static_cast<uint16_t>(m.content.size());
                                                      m.method = 8;
                                                      m.packed = "\x01" + raw(size) +
                                                                 raw(static_cast<uint16_t>(~size)) + m.content;
                                                      m.packed_size = static_cast<uint32_t>(m.packed.size());
                                                    })})},
  };
  const Folder folder;
  for (const Row& row : table) {
    INFO(row.name);
    write_bytes(folder / "x", row.bytes);
    CHECK(same_bits(load_npz(folder / "x").at("x"), counting({3})));
  }
}

TEST_CASE("what in an npz file is no tensor is left out by name") {
  const auto named = [](const char* name, const std::string& content = {}) {
    return Member{.name = name, .content = content.empty() ? npy(counting({3})) : content};
  };
  const auto of_dtype = [](const char* descr) { return npy(counting({3}, uint8)).replace(21, 3, descr); };
  const Folder folder;
  write_bytes(folder / "x",
              zip({named("a.npy"), named("text.npy", of_dtype("<U0")), named("bytes.npy", of_dtype("|a5")),
                   named("odd.npy", of_dtype("<l8")), named("readme.txt", "read me"), named("folder/", "x"),
                   changed(named("secret.npy"), [](Member& m) { m.flags = 1; }),
                   changed(named("bzip2.npy"), [](Member& m) { m.method = 12, m.size += 1; }), named("z.npy")}));
  LeftOut left_out{{"stale", ""}};
  const TensorMap tensors = load_npz(folder / "x", left_out);
  REQUIRE(tensors.size() == 2);
  CHECK(same_bits(tensors.at("a"), counting({3})));
  CHECK(same_bits(tensors.at("z"), counting({3})));
  const std::map<std::string, std::string> reasons = {
      {"text", "x: member 'text.npy': offset 20: expected a dtype of numbers, got '<U0', text, which is no tensor"},
      {"bytes", "expected a dtype of numbers, got '|a5', bytes of text"},
      {"odd", "expected a dtype among b1, f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8, got '<l8'"},
      {"readme.txt", "expected an array, whose name ends in .npy, got another file"},
      {"folder/", "expected an array, whose name ends in .npy, got a folder"},
      {"secret", "expected a stored or deflated member, got an encrypted one"},
      {"bzip2", "expected a stored or deflated member, got compression method 12"}};
  REQUIRE(left_out.size() == reasons.size());
  for (const auto& [name, reason] : reasons) {
    CHECK_THAT(left_out.at(name), ContainsSubstring(reason));
    CHECK(refusal([&, &n = name] { load_npz(folder / "x", n); }) == left_out.at(name));
  }
  CHECK(same_bits(load_npz(folder / "x", "z"), counting({3})));
  CHECK(refusal([&] { load_npz(folder / "x", "none"); }) ==
        "load_npz: " + folder / "x" +
            ": expected the name of a tensor that it holds ('a', 'bytes', 'bzip2', 'folder/', 'odd', "
            "'readme.txt', 'secret', 'text', 'z'), got 'none'");
}

TEST_CASE("what is wrong with one member of an npz file leaves the others") {
  const auto holding = [](const std::string& content) { return Member{.name = "b.npy", .content = content}; };
  const auto with = [](auto change) { return changed(Member{.name = "b.npy"}, change); };
  const auto called = [](const std::string& name) { return Member{.name = name}; };
  const auto array = npy(counting({3}));
  std::string axes = "(";
  for (int i = 0; i < 65; ++i) axes += "1,";
  axes = "{'descr':'|u1','fortran_order':False,'shape':" + axes + ")}";
  axes = std::string("\x93NUMPY\x01\x00", 8) + raw(static_cast<uint16_t>(axes.size())) + axes + "x";
  const struct {
    Member member;
    std::string key;
    const char* reason;
    bool is_malformed;
  } table[] = {
      {{.name = "__MACOSX/._a.npy", .content = std::string("\x00\x05\x16\x07", 4)},
       "__MACOSX/._a",
       "expected the magic '\\x93NUMPY' of an .npy file, got '\\x00\\x05\\x16\\x07'",
       false},
      {holding(""), "b", "expected the magic '\\x93NUMPY' of an .npy file, got ''", false},
      {holding("not NumPy's"), "b", "expected the magic", false},
      {holding(axes), "b", "expected at most 64 axes, got more", false},
      {called("../b.npy"), "../b", "expected a plain UTF-8 name, got a name that climbs out with '..'", false},
      {called("/b.npy"), "/b", "got an absolute name", false},
      {called("\\b.npy"), "\\b", "got an absolute name", false},
      {called(std::string("b\0.npy", 6)), std::string("b\0", 2), "got a name with a NUL character", false},
      {called("\xff.npy"), "\xff", "got a name that is not UTF-8", false},
      {called("ß.npy"), "ß", "expected a name in ASCII or marked as UTF-8", false},
      {with([](Member& m) { m.flags = 64; }), "b", "expected only flags that NumPy sets, got flags 64", false},
      {holding("\x93NUMPY\x04"), "b", "expected 1 bytes of version", true},
      {holding(std::string(array).replace(21, 3, "<x4")), "b", "expected a dtype among", false},
      {holding(array.substr(0, 130)), "b", "expected 12 bytes of data, got 2", true},
      {holding(array + "x"), "b", "expected the end, got 1 bytes more", true},
      {with([](Member& m) { m.crc ^= 1; }), "b", "expected the CRC", true},
      {with([](Member& m) { m.size += 1; }), "b", "expected a size that 140 packed bytes can hold, got 141", true},
      {with([](Member& m) { m = deflated(m), m.size = 0xfffffffe; }), "b", "packed bytes can hold", true},
      {with([](Member& m) {
         m = deflated(m);
         m.packed[0] = '\xff';
       }),
       "b", "expected deflated data", true},
  };
  const Folder folder;
  const std::string path = folder / "x";
  for (const auto& row : table) {
    INFO(row.key << ": " << row.reason);
    write_bytes(path, zip({{.name = "a.npy"}, row.member, {.name = "z.npy"}}));
    LeftOut left_out;
    const TensorMap tensors = load_npz(path, left_out);
    REQUIRE(tensors.size() == 2);
    CHECK(same_bits(tensors.at("a"), counting({3})));
    CHECK(same_bits(tensors.at("z"), counting({3})));
    REQUIRE(left_out.size() == 1);
    CHECK(left_out.begin()->first == row.key);
    CHECK_THAT(left_out.begin()->second,
               ContainsSubstring("load_npz: " + path + ": member '") && ContainsSubstring(row.reason));
    CHECK(refusal([&] { load_npz(path, row.key); }) == left_out.begin()->second);
    CHECK(same_bits(load_npz(path, "z"), counting({3})));
    if (row.is_malformed)
      CHECK(refusal([&] { load_npz(path); }) == left_out.begin()->second);
    else
      CHECK(load_npz(path).size() == 2);
  }
  // A pickle beside arrays makes no file of PyTorch's.
  write_bytes(path, zip({{.name = "a.npy"}, {.name = "b/data.pkl"}}));
  CHECK(same_bits(load_npz(path).at("a"), counting({3})));
}

TEST_CASE("whole numbers of every width that NumPy has are read") {
  const Folder folder;
  const auto array = [](const char* code, const std::string& bytes, std::size_t width) {
    std::string file = npy(counting({static_cast<int64_t>(bytes.size() / width)}, uint8));
    file.resize(file.find('\n') + 1);
    return file.replace(21, 3, code) + bytes;
  };
  const auto big = [](uint32_t value) { return raw(__builtin_bswap32(value)); };
  const struct {
    const char* code;
    std::string bytes;
    std::size_t width;
    std::vector<int64_t> values;
  } table[] = {{"|i1", "\x80\xff\x7f", 1, {-128, -1, 127}},
               {"<i2", raw(int16_t{-32768}) + raw(int16_t{7}), 2, {-32768, 7}},
               {">i2", "\xff\xfe", 2, {-2}},
               {"<u2", raw(uint16_t{65535}) + raw(uint16_t{1}), 2, {65535, 1}},
               {"<u4", raw(uint32_t{0xffffffff}), 4, {0xffffffff}},
               {">u4", big(0x80000001) + big(2), 4, {0x80000001, 2}},
               {"<u8", raw(uint64_t{INT64_MAX}) + raw(uint64_t{3}), 8, {INT64_MAX, 3}}};
  for (const auto& row : table) {
    INFO(row.code);
    write_bytes(folder / "x", array(row.code, row.bytes, row.width));
    const Tensor x = load_npy(folder / "x");
    CHECK(x.dtype() == (row.width <= 2 ? int32 : int64));
    const Tensor wide = detail::as_dtype(x, int64);
    CHECK(std::vector<int64_t>(wide.data<int64_t>(), wide.data<int64_t>() + wide.numel()) == row.values);
  }
}

TEST_CASE("npz files that lie are refused") {
  const auto one = [](auto change) { return zip({changed({}, change)}); };
  const auto packed = [](auto change) { return zip({changed(deflated(), change)}); };
  const std::string wide = npy(counting({1000000}, uint8));
  check_malformed(
      {
          {"no archive", "not a zip archive, whatever its name says", "expected a zip archive's end record, got none"},
          {"trailing bytes", zip({{}}, {.behind = "x"}), "expected a zip archive's end record"},
          {"bytes before the end", zip({{}}, {.between = "x"}), "expected a directory that ends at byte"},
          {"directory too long", zip({{}}, {.size = 1}), "expected a directory that ends at byte"},
          {"directory elsewhere", zip({{}}, {.offset = -1}), "expected a directory that ends at byte"},
          {"directory beyond the file", zip({{}}, {.offset = 1000000}), "expected a directory that ends at byte"},
          {"too many members", zip({{}}, {.members = 1000}), "expected a directory of at least 46 bytes per member"},
          {"one member too few", zip({{}, {.name = "y.npy"}}, {.members = -1}), "expected the end of the directory"},
          {"several disks", zip({{}}, {.disk = 1}), "expected an archive in one piece"},
          {"other disk", one([](Member& m) { m.disk = 1; }), "member 'x.npy': expected an archive in one piece"},
          {"strongly encrypted", one([](Member& m) { m.flags = 64; }),
           "expected only flags that NumPy sets, got flags 64"},
          {"no sizes behind the data", one([](Member& m) { m.flags = 8; }),
           "expected the sizes and CRC that the directory has behind the data"},
          {"other sizes in front of the data", packed([](Member& m) { m.flags = 8, m.local_change = 1; }),
           "expected the sizes and CRC that the directory has, got others"},
          {"same name twice", zip({{}, {}}), "expected names that differ, got this one twice"},
          {"not npy", one([](Member& m) { m = {.content = "not NumPy's"}; }),
           "member 'x.npy': offset 0: expected the magic"},
          {"empty member", one([](Member& m) { m = {.content = ""}; }), "expected the magic"},
          {"names disagree", one([](Member& m) { m.local_name = "y.npy"; }),
           "expected the name that the directory has"},
          {"directory points elsewhere", one([](Member& m) { m.shift = 1; }), "expected a member's header"},
          {"directory points far off", one([](Member& m) { m.shift = 1 << 30; }),
           "before the directory, got the offset"},
          {"CRC", one([](Member& m) { m.crc ^= 1; }), "member 'x.npy': offset 140: expected the CRC"},
          {"CRC of deflated", packed([](Member& m) { m.crc ^= 1; }), "member 'x.npy': offset 140: expected the CRC"},
          {"stored sizes differ", one([](Member& m) { m.size += 1; }),
           "expected a size that 140 packed bytes can hold"},
          {"stored beyond the file", one([](Member& m) { m.size = m.packed_size = 100000; }),
           "expected 100000 bytes before"},
          {"size too small", packed([](Member& m) { m.size -= 1; }), "expected 12 bytes of data, got 11"},
          {"size too large", packed([](Member& m) { m.size += 1; }), "expected the end, got 1 bytes more"},
          {"more deflated than said", packed([](Member& m) {
             m.packed = deflate_raw(m.content + "x");
             m.packed_size = static_cast<uint32_t>(m.packed.size());
           }),
           "expected at most 140 bytes, got more in the deflated data"},
          {"less deflated than said", packed([](Member& m) {
             m.packed = deflate_raw(m.content.substr(0, 139));
             m.packed_size = static_cast<uint32_t>(m.packed.size());
           }),
           "got the end of the deflated data"},
          {"bytes behind the deflated", packed([](Member& m) {
             m.packed += "x";
             m.packed_size += 1;
           }),
           "got an earlier end"},
          {"deflated data cut", packed([](Member& m) {
             m.packed.pop_back();
             m.packed_size -= 1;
           }),
           "expected more deflated data, got its end"},
          {"no deflated data", packed([](Member& m) { m.packed[0] = '\xff'; }),
           "expected deflated data, got invalid block type"},
          {"bomb", packed([](Member& m) { m.size = 0xfffffffe; }), "packed bytes can hold, got 4294967294"},
          {"npy bomb", zip({deflated({.content = wide.substr(0, 128)})}), "expected 1000000 bytes of data, got 0"},
          {"shared data",
           [] {
             // The first member's data hold the second's header and data.
             const std::string inner = zip({{}});
             const std::string head = inner.substr(0, 35 + 140);
             Member outer{.name = "a.npy", .content = npy(counting({3})) + head};
             Member nested{};
             nested.shift = -(35 + 140);
             std::string bytes = zip({outer, nested});
             return bytes;
           }(),
           "expected members that do not overlap"},
          {"no zip64 size", one([](Member& m) { m.size = ~0u; }),
           "expected a size of 64 bits in the extra field, got none"},
          {"extra field cut short", one([](Member& m) { m.extra = "\x01"; }),
           "expected extra fields that fill their room"},
          {"huge zip64 size", one([](Member& m) {
             m.size = m.packed_size = ~0u;
             m.extra = raw(uint16_t{1}) + raw(uint16_t{16}) + raw(~uint64_t{0}) + raw(~uint64_t{0});
           }),
           "bytes before the directory"},
      },
      load);
}

TEST_CASE("npz files cut short are refused", "[long]") {
  for (const char* file : {"deflated", "zip64"}) check_truncations(read_bytes(numpy + file + ".npz"), load);
  check_truncations(zip({{}}), load);
  const Folder folder;
  write_bytes(folder / "x", zip({{}}).substr(0, 200));
  const std::string cut =
      ": offset 0: expected a zip archive's end record, got none, though these are the first bytes of "
      "a zip archive: it is cut short or damaged";
  CHECK(refusal([&] { load_npz(folder / "x"); }) == "load_npz: " + folder / "x" + cut);
  CHECK(refusal([&] { load_pt(folder / "x"); }) == "load_pt: " + folder / "x" + cut);
  CHECK_THAT(refusal([&] { load_npy(folder / "x"); }),
             ContainsSubstring("but these are the first bytes of a zip archive: load_npz reads NumPy's"));
}

TEST_CASE("changed npz files load or are refused", "[long]") {
  for (const char* file : {"deflated", "zip64"}) check_mutations(read_bytes(numpy + file + ".npz"), load);
  check_mutations(zip({{}, deflated({.name = "y.npy"})}), load);
}

TEST_CASE("what npz cannot hold is not saved") {
  const Folder folder;
  const Tensor x = counting({3});
  const auto message = [&](const std::string& name) {
    return refusal<ValueError>([&] { save_npz(folder / "x", {{name, x}}); });
  };
  CHECK_THAT(message("/x"),
             ContainsSubstring("expected names that a zip archive can have, got an absolute name: '/x'"));
  CHECK_THAT(message("../x"), ContainsSubstring("climbs out"));
  CHECK_THAT(message("\xff"), ContainsSubstring("not UTF-8"));
  CHECK_THAT(message(std::string(70000, 'x')), ContainsSubstring("more than 65535 bytes"));
  CHECK_THAT(refusal<DTypeError>([&] {
               save_npz(folder / "x", {{"a", x}, {"b", counting({2}, bfloat16)}});
             }),
             ContainsSubstring("save_npz: " + folder / "x: 'b': expected a dtype that NumPy has, got bfloat16"));
  CHECK(folder.empty());
}

}  // namespace test_npz
