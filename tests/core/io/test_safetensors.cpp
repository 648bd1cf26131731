#include <limpid/tests/core/io/file_tests.hpp>

namespace test_safetensors {

using namespace limpid;

using Metadata = std::map<std::string, std::string>;

std::string file_of(const std::string& header, const std::string& data = {}) {
  return raw(uint64_t{header.size()}) + header + data;
}

// A file of one U8 tensor "x" of these fields.
std::string one(const std::string& fields, const std::string& data = {}) {
  return file_of("{\"x\":{" + fields + "}}", data);
}

std::string shaped(const std::string& shape, const std::string& offsets, const std::string& data = {}) {
  return one(R"("dtype":"U8","shape":)" + shape + R"(,"data_offsets":)" + offsets, data);
}

std::string repeated(const char* text, int count) {
  std::string result;
  while (count-- > 0) result += text;
  return result;
}

const std::string u8 = R"("dtype":"U8","shape":[1],"data_offsets":)";

void load(const std::string& path) {
  load_strictly([](auto&&... arguments) { load_safetensors(arguments...); }, path);
}

TEST_CASE("safetensors are written as the format says") {
  const Folder folder;
  save_safetensors(folder / "x", {{"a", counting({3}, uint8)}, {"b \"c\"", counting({1, 2}, int32)}},
                   {{"format", "pt"}});
  const std::string bytes = read_bytes(folder / "x");
  std::string header = R"({"__metadata__":{"format":"pt"},)"
                       R"("b \"c\"":{"data_offsets":[0,8],"dtype":"I32","shape":[1,2]},)"
                       R"("a":{"data_offsets":[8,11],"dtype":"U8","shape":[3]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  CHECK(bytes == file_of(header, raw(int32_t{0}) + raw(int32_t{1}) + std::string("\x00\x01\x02", 3)));
}

TEST_CASE("safetensors files hold many tensors of any dtype, and metadata") {
  const Folder folder;
  TensorMap tensors;
  for (const DType dtype : all_dtypes) {
    const std::string name(to_string(dtype));
    tensors[name] = counting({3, 5}, dtype);
    tensors["empty " + name] = counting({0, 2}, dtype);
  }
  tensors["größe/π"] = counting({});
  tensors[""] = counting({1});
  const Metadata metadata = {{"format", "pt"}, {"note", "two\nlines, \"quoted\", größe"}, {"", ""}};
  save_safetensors(folder / "x", tensors, metadata);
  const TensorMap loaded = load_safetensors(folder / "x");
  REQUIRE(loaded.size() == tensors.size());
  for (const auto& [name, x] : tensors) {
    INFO(name);
    CHECK(same_bits(loaded.at(name), x));
  }
  CHECK(load_safetensors_metadata(folder / "x") == metadata);
}

TEST_CASE("safetensors of other dtypes are widened or left out by name") {
  const Folder folder;
  const std::string header = R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},)"
                             R"("b":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[2,5]},)"
                             R"("c":{"dtype":"U16","shape":[1],"data_offsets":[5,7]},)"
                             R"("d":{"dtype":"F4","shape":[2,3],"data_offsets":[7,10]},)"
                             R"("e":{"dtype":"U32","shape":[1],"data_offsets":[10,14]},)"
                             R"("f":{"dtype":"U64","shape":[2],"data_offsets":[14,30]},)"
                             R"("g":{"dtype":"U64","shape":[1],"data_offsets":[30,38]},)"
                             R"("h":{"dtype":"F32","shape":[1],"data_offsets":[38,42]}})";
  write_bytes(folder / "x", file_of(header, "\x80\x7f" + std::string("123") + raw(uint16_t{65535}) + "456" +
                                                raw(uint32_t{0xffffffff}) + raw(uint64_t{5}) +
                                                raw(uint64_t{INT64_MAX}) + raw(uint64_t{1} << 63) + raw(2.5f)));
  LeftOut left_out;
  const TensorMap tensors = load_safetensors(folder / "x", left_out);
  const std::map<std::string, std::vector<int64_t>> whole = {
      {"a", {-128, 127}}, {"c", {65535}}, {"e", {0xffffffff}}, {"f", {5, INT64_MAX}}};
  REQUIRE(tensors.size() == whole.size() + 1);
  for (const auto& [name, values] : whole) {
    INFO(name);
    CHECK(tensors.at(name).dtype() == (name < "e" ? int32 : int64));
    const Tensor x = detail::as_dtype(tensors.at(name), int64);
    CHECK(std::vector<int64_t>(x.data<int64_t>(), x.data<int64_t>() + x.numel()) == values);
  }
  CHECK(tensors.at("h").item<float>() == 2.5f);
  REQUIRE(left_out.size() == 3);
  CHECK_THAT(left_out.at("b"),
             ContainsSubstring("tensor 'b': expected a dtype that limpid has, got 'F8_E4M3': in Python,"));
  CHECK_THAT(left_out.at("d"), ContainsSubstring("got 'F4'"));
  CHECK_THAT(left_out.at("g"),
             ContainsSubstring("expected numbers that int64 has, got the uint64 9223372036854775808"));
  CHECK(refusal([&] { load_safetensors(folder / "x", "b"); }) == left_out.at("b"));
  CHECK(load_safetensors(folder / "x", "h").item<float>() == 2.5f);
  CHECK_THAT(refusal([&] { load_safetensors(folder / "x", "i"); }),
             ContainsSubstring("expected the name of a tensor that it holds ('a', 'b', "));
}

TEST_CASE("what is wrong with one tensor of a safetensors file leaves the others") {
  const struct {
    const char* fields;
    const char* reason;
    bool is_malformed;
  } table[] = {
      {R"("dtype":"F8 E4","shape":[2])", "tensor 'b': expected a dtype that limpid has, got 'F8 E4'", false},
      {R"("dtype":"f32","shape":[1])", "tensor 'b': expected a dtype that limpid has, got 'f32'", false},
      {R"("dtype":"two\nlines","shape":[1])", "got 'two\\x0alines'", false},
      {R"("dtype":"","shape":[1])", "got ''", false},
      {R"("dtype":"U8","shape":[4,%])", "tensor 'b': expected at most 64 axes, got more", false},
      {R"("shape":[-1,1.5,%],"dtype":"U8")", "tensor 'b': expected sizes of at least 0, got -1", true},
      {R"("dtype":"U8","shape":[1.5])", "tensor 'b': expected sizes that are whole", true},
      {R"("dtype":"U8","shape":[9223372036854775808])", "tensor 'b': expected sizes below 2^63", true},
      {R"("dtype":"U8","shape":[4294967296,4294967296])", "at most 2^56 elements", true},
      {R"("dtype":"U8","shape":[0,4611686018427387904,8])", "at most 2^56 elements", false},
      {R"("dtype":"U8","shape":[0,-1])", "tensor 'b': expected sizes of at least 0, got -1", true},
      {R"("dtype":"F32","shape":[2])",
       "tensor 'b': expected 8 bytes for shape (2,) and dtype F32, got data_offsets [1, 5]", true},
  };
  const Folder folder;
  const std::string path = folder / "x";
  for (const auto& row : table) {
    INFO(row.fields);
    std::string fields = row.fields;
    if (const std::size_t at = fields.find('%'); at != fields.npos) fields.replace(at, 1, repeated("1,", 64) + "1");
    write_bytes(path, file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{)" + fields +
                                  R"(,"data_offsets":[1,5]},"z":{"dtype":"BOOL","shape":[3],"data_offsets":[5,8]}})",
                              std::string("\x07"
                                          "1234"
                                          "\x02\x00\x01",
                                          8)));
    LeftOut left_out;
    const TensorMap tensors = load_safetensors(path, left_out);
    REQUIRE(tensors.size() == 2);
    CHECK(same_bits(tensors.at("a"), from_vector<uint8_t>({7}, {1})));
    // Any byte of a bool but 0 is true.
    const Tensor z = detail::as_dtype(from_vector<uint8_t>({1, 0, 1}, {3}), bool_);
    CHECK(same_bits(tensors.at("z"), z));
    REQUIRE(left_out.size() == 1);
    CHECK_THAT(left_out.at("b"),
               ContainsSubstring("load_safetensors: " + path + ": offset ") && ContainsSubstring(row.reason));
    CHECK(refusal([&] { load_safetensors(path, "b"); }) == left_out.at("b"));
    CHECK(same_bits(load_safetensors(path, "z"), z));
    CHECK(load_safetensors_metadata(path).empty());
    if (row.is_malformed)
      CHECK(refusal([&] { load_safetensors(path); }) == left_out.at("b"));
    else
      CHECK(load_safetensors(path).size() == 2);
  }
}

TEST_CASE("a safetensors file may hold nothing") {
  const Folder folder;
  save_safetensors(folder / "x", {});
  CHECK(load_safetensors(folder / "x").empty());
  CHECK(load_safetensors_metadata(folder / "x").empty());
}

TEST_CASE("safetensors headers are any JSON spelling, in any order") {
  const Folder folder;
  const std::string headers[] = {
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"b":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
      "{ \"b\" : {\n\"shape\" : [ ] , \"data_offsets\" : [ 0 , 1 ], \"dtype\" : \"U8\" },\t"
      R"("\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"__metadata__":{}}    )",
  };
  for (const std::string& header : headers) {
    write_bytes(folder / "x", file_of(header, "\x07\x09"));
    const TensorMap loaded = load_safetensors(folder / "x");
    CHECK(same_bits(loaded.at("a"), from_vector<uint8_t>({9}, {1})));
    CHECK(same_bits(loaded.at("b"), from_vector<uint8_t>({7}, {})));
  }
}

TEST_CASE("safetensors files that lie are refused") {
  const auto two = [](const std::string& a, const std::string& b) {
    return file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + a +
                       R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}",
                   "0123");
  };
  check_malformed(
      {
          {"short length", "1234", "offset 0: expected 8 bytes of header length, got 4 to the end"},
          {"damaged length", raw(uint64_t{1} << 40) + "{}",
           "though these are the first bytes of a safetensors file: it is cut short or damaged"},
          {"text", "not a safetensors file", "expected a safetensors file, whose header has at most 100000000 bytes"},
          {"a pointer of git-lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
           "these are the first bytes of a pointer of git-lfs: git lfs pull fetches the file"},
          {"an HTML page", "<!DOCTYPE html><html>", "these are the first bytes of an HTML page: the download gave"},
          {"header beyond the file", raw(uint64_t{100}) + "{}", "offset 8: expected 100 bytes of header, got 2"},
          {"header too large", raw(uint64_t{100000001}) + "{}",
           "offset 0: expected a safetensors file, whose header has"},
          {"largest length", raw(~uint64_t{0}) + "{}", "got 18446744073709551615"},
          {"no header", file_of(""), "expected a header that begins with '{', got ''"},
          {"array", file_of("[]"), "begins with '{', got '[]'"},
          {"space first", file_of(" {}"), "begins with '{', got ' {}'"},
          {"byte order mark", file_of("\xef\xbb\xbf{}"), "begins with '{'"},
          {"no JSON", file_of("{x}"), "offset 10: expected JSON, got parse error"},
          {"not closed", file_of("{\"a\":"), "expected JSON, got parse error"},
          {"text behind", file_of("{} x"), "expected JSON, got parse error"},
          {"second object", file_of("{}{}"), "expected JSON, got parse error"},
          {"comment", file_of("{/* */}"), "expected JSON"},
          {"NUL padding", file_of(std::string("{}\0\0", 4)), "expected JSON"},
          {"no UTF-8", file_of("{\"\xff\":{}}"), "expected JSON, got parse error"},
          {"lone surrogate", file_of(R"({"\ud800":{}})"), "expected JSON"},
          {"newline in a name", file_of("{\"a\nb\":{}}"), "expected JSON"},
          {"long token", file_of(std::string("{\"") + std::string(100000, 'x')), "expected JSON"},
          {"nested arrays", file_of(std::string("{\"a\":") + std::string(100000, '[')),
           "tensor 'a': expected an object, got an array"},
          {"nested objects", file_of(std::string("{") + repeated("\"a\":{", 50000)),
           "tensor 'a': expected dtype, shape and data_offsets, got 'a'"},
          {"nested shape", shaped("[[1]]", "[0,1]", "0"), "tensor 'x': expected whole numbers, got an array"},
          {"name twice", file_of("{\"a\":{" + u8 + "[0,1]},\"a\":{" + u8 + "[0,1]}}", "0"), "got 'a' again"},
          {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})"), "got '__metadata__' again"},
          {"metadata key twice", file_of(R"({"__metadata__":{"a":"1","a":"2"}})"), "metadata: expected each key once"},
          {"metadata is no string", file_of(R"({"__metadata__":{"a":1}})"), "metadata 'a': expected a string"},
          {"metadata is nested", file_of(R"({"__metadata__":{"a":{}}})"), "metadata 'a': expected a string"},
          {"metadata is null", file_of(R"({"__metadata__":null})"), "tensor '__metadata__': expected an object"},
          {"tensor is a string", file_of(R"({"a":"b"})"), "tensor 'a': expected an object, got a string"},
          {"field twice", one(u8 + "[0,1],\"dtype\":\"U8\"", "0"), "expected each key once, got 'dtype' again"},
          {"unknown field", one(u8 + "[0,1],\"colour\":1", "0"), "got 'colour'"},
          {"no dtype", one(R"("shape":[1],"data_offsets":[0,1])", "0"), "expected a dtype, got none"},
          {"no shape", one(R"("dtype":"U8","data_offsets":[0,1])", "0"), "expected a shape, got none"},
          {"no offsets", one(R"("dtype":"U8","shape":[1])", "0"), "expected a data_offsets, got none"},
          {"dtype is a number", one(R"("dtype":8)"), "expected a string, got a number"},
          {"dtype is an array", one(R"("dtype":["U8"])"), "expected a string, got an array"},
          {"shape is a string", one(R"("shape":"1")"), "expected an array, got a string"},
          {"shape is null", one(R"("shape":null)"), "expected an array, got null"},
          {"no dtype of any", one(R"("dtype":"F8 E4","shape":[1],"data_offsets":[0,2])", "00"),
           "tensor 'x': expected a dtype that limpid has, got 'F8 E4'"},
          {"int16 of one byte", one(R"("dtype":"I16","shape":[1],"data_offsets":[0,1])", "0"),
           "expected 2 bytes for shape (1,) and dtype I16"},
          {"lower case", one(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])", "0123"), "got 'f32'"},
          {"negative offset", shaped("[1]", "[-1,0]", "0"), "expected offsets of at least 0, got -1"},
          {"fractional offset", shaped("[1]", "[0,1.0]", "0"), "expected offsets that are whole"},
          {"negative size", shaped("[-1]", "[0,1]", "0"), "of at least 0, got -1"},
          {"fraction", shaped("[1.0]", "[0,1]", "0"), "that are whole and have 64 bits"},
          {"beyond 64 bits", shaped("[99999999999999999999]", "[0,1]", "0"), "have 64 bits"},
          {"above 2^63", shaped("[9223372036854775808]", "[0,1]", "0"), "expected sizes below 2^63"},
          {"boolean size", shaped("[true]", "[0,1]", "0"), "expected whole numbers, got true"},
          {"product overflows", shaped("[4294967296,4294967296]", "[0,0]"),
           "tensor 'x': expected sizes of at least 0 and at most 2^56 elements"},
          {"uint64 beyond int64", one(R"("dtype":"U64","shape":[1],"data_offsets":[0,8])", raw(uint64_t{1} << 63)),
           "tensor 'x': expected numbers that int64 has, got the uint64 9223372036854775808"},
          {"product overflows beside 0", shaped("[0,4294967296,4294967296]", "[0,0]"), "at most 2^56 elements"},
          {"65 axes", shaped(std::string("[1") + repeated(",1", 64) + "]", "[0,1]", "0"), "expected at most 64 axes"},
          {"one offset", shaped("[1]", "[0]", "0"), "expected two data_offsets, got 1"},
          {"three offsets", shaped("[1]", "[0,1,2]", "0"), "expected two data_offsets, got more"},
          {"offsets fall", shaped("[1]", "[1,0]", "0"), "data_offsets that rise and end by 1, got [1, 0]"},
          {"beyond the file", shaped("[8]", "[0,8]", "0123"), "end by 4, got [0, 8]"},
          {"largest offsets", shaped("[1]", "[18446744073709551614,18446744073709551615]", "0"), "end by 1"},
          {"size disagrees", shaped("[3]", "[0,4]", "0123"), "expected 3 bytes for shape (3,) and dtype U8"},
          {"large shape", shaped("[1000000000000]", "[0,4]", "0123"), "expected 1000000000000 bytes for shape"},
          {"late start", shaped("[3]", "[1,4]", "0123"), "expected data that follow the 0 bytes before them"},
          {"hole", two("[0,2]", "[3,5]"), "tensor 'b': expected data_offsets that rise and end by 4"},
          {"hole in between",
           file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                   "012"),
           "tensor 'b': expected data that follow the 1 bytes before them"},
          {"overlap", two("[0,2]", "[1,3]"), "tensor 'b': expected data that follow the 2 bytes"},
          {"shared", two("[0,2]", "[0,2]"), "tensor 'b': expected data that follow the 2 bytes"},
          {"trailing bytes", shaped("[1]", "[0,1]", "0123"), "expected the end of the file, got 3 bytes more"},
          {"no tensors, but data", file_of("{}", "0"), "expected the end of the file, got 1 bytes more"},
          {"name of two lines", file_of(R"({"a\nb":{"dtype":"F8"}})"), "tensor 'a\\x0ab': expected a shape"},
      },
      load);
}

TEST_CASE("metadata are given only of a file that is whole") {
  const Folder folder;
  write_bytes(folder / "x", one(u8 + "[0,1]"));
  CHECK_THAT(refusal([&] { load_safetensors_metadata(folder / "x"); }),
             ContainsSubstring("load_safetensors_metadata: " + folder / "x: offset "));
}

TEST_CASE("safetensors files cut short or changed load or are refused", "[long]") {
  const Folder folder;
  save_safetensors(folder / "x", {{"a", counting({2, 3})}, {"b", counting({2}, bool_)}, {"c", counting({0}, int64)}},
                   {{"k", "v"}});
  check_truncations(read_bytes(folder / "x"), load);
  check_mutations(read_bytes(folder / "x"), load, 6000);
}

TEST_CASE("what safetensors cannot hold is not saved") {
  const Folder folder;
  const auto message = [&](const TensorMap& tensors, const Metadata& metadata) {
    return refusal<ValueError>([&] { save_safetensors(folder / "x", tensors, metadata); });
  };
  CHECK_THAT(
      message({{"a", counting({1})}, {"b", Tensor{}}}, {}),
      ContainsSubstring("save_safetensors: " + folder / "x: expected defined tensors, got an undefined one as 'b'"));
  CHECK_THAT(message({{"__metadata__", counting({1})}}, {}),
             ContainsSubstring("expected tensors not named __metadata__"));
  CHECK_THAT(message({{"\xff", counting({1})}}, {}), ContainsSubstring("in UTF-8, got '\\xff'"));
  CHECK_THAT(message({}, {{"a", "\xc0\x80"}}), ContainsSubstring("in UTF-8, got '\\xc0\\x80'"));
  CHECK(folder.empty());
}

}  // namespace test_safetensors
