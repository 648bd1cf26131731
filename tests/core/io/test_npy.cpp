#include <limpid/core/io/detail/file.hpp>
#include <test_paths.hpp>

#include <limpid/tests/core/io/file_tests.hpp>

namespace test_npy {

using namespace limpid;

const std::string numpy = LIMPID_TEST_DATA "/numpy/";

// A file of version 1.0 with this header, not padded.
std::string npy(const std::string& header, const std::string& data = {}) {
  return "\x93NUMPY\x01" + std::string(1, '\0') + raw(static_cast<uint16_t>(header.size())) + header + data;
}

std::string with_shape(const std::string& shape, const std::string& data = {}) {
  return npy("{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + "}", data);
}

std::string with_descr(const std::string& descr, const std::string& data = {}) {
  return npy("{'descr': " + descr + ", 'fortran_order': False, 'shape': ()}", data);
}

TEST_CASE("npy files that NumPy saved are read, and written byte for byte") {
  struct Row {
    const char* file;
    Shape shape;
    DType dtype;
  };
  const Row table[] = {
      {"float16", {2, 3, 4}, float16},
      {"float32", {2, 3, 4}, float32},
      {"float64", {2, 3, 4}, float64},
      {"int32", {2, 3, 4}, int32},
      {"int64", {2, 3, 4}, int64},
      {"uint8", {2, 3, 4}, uint8},
      {"bool", {2, 3, 4}, bool_},
      {"rank0", {}, float32},
      {"rank1", {7}, float32},
      {"rank2", {2, 3}, float32},
      {"rank3", {2, 1, 3}, float32},
      {"rank4", {1, 2, 3, 2}, float32},
      {"rank5", {2, 1, 2, 1, 2}, float32},
      {"rank6", {1, 2, 1, 2, 1, 3}, float32},
      {"empty", {2, 0, 3}, int64},
  };
  const Folder folder;
  for (const Row& row : table) {
    DYNAMIC_SECTION(row.file) {
      const std::string path = numpy + row.file + ".npy";
      const Tensor x = counting(row.shape, row.dtype);
      CHECK(same_bits(load_npy(path), x));
      save_npy(folder / "x.npy", x);
      CHECK(read_bytes(folder / "x.npy") == read_bytes(path));
    }
  }
}

TEST_CASE("npy files in other orders and versions are read") {
  struct Row {
    const char* file;
    Shape shape;
    DType dtype;
  };
  const Row table[] = {
      {"big_endian_float16", {2, 3}, float16}, {"big_endian_float32", {2, 3}, float32},
      {"big_endian_float64", {2, 3}, float64}, {"big_endian_int32", {2, 3}, int32},
      {"big_endian_int64", {2, 3}, int64},     {"fortran", {2, 3, 4}, float32},
      {"fortran_big_endian", {3, 2}, int32},   {"version2", {2, 3}, float32},
      {"version3", {2, 3}, float32},
  };
  for (const Row& row : table) {
    DYNAMIC_SECTION(row.file) {
      const Tensor x = load_npy(numpy + row.file + ".npy");
      CHECK(same_bits(x, counting(row.shape, row.dtype)));
      CHECK(x.is_contiguous());
    }
  }
}

TEST_CASE("an npy header is any Python spelling of its dict") {
  const char* headers[] = {
      "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 1), }",
      "{'shape': (2, 1), 'fortran_order': False, 'descr': '<i4'}",
      R"({"descr":"<i4","fortran_order":False,"shape":(2,1)})",
      "{ 'descr' : '<i4' ,\t'fortran_order' : False , 'shape' : ( 2 , 1 , ) , }   \n",
      "  {'descr': '<i4',\n 'fortran_order': False,\n 'shape': (2, 1)}\n\n",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (2L, 1L)}",
      "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 1), }",
  };
  const Folder folder;
  for (const char* header : headers) {
    INFO(header);
    write_bytes(folder / "x", npy(header, raw(int32_t{0}) + raw(int32_t{1})));
    CHECK(same_bits(load_npy(folder / "x"), counting({2, 1}, int32)));
  }
}

TEST_CASE("npy files whose numbers have no order, or this machine's, are read as by NumPy") {
  const Folder folder;
  const std::string one = raw(1.5f);
  for (const char* descr : {"'f4'", "'=f4'", "'|f4'", "'<f4'"}) {
    INFO(descr);
    write_bytes(folder / "x", with_descr(descr, one));
    CHECK(same_bits(load_npy(folder / "x"), full({}, 1.5)));
  }
  write_bytes(folder / "x", with_descr("'<e'", raw(uint16_t{0x3c00})));
  CHECK(same_bits(load_npy(folder / "x"), full({}, 1, float16)));
  write_bytes(folder / "x", with_descr("'?'", "\2"));
  CHECK(same_bits(load_npy(folder / "x"), full({}, 1, bool_)));
  write_bytes(folder / "x", with_descr("'>f4'", {one.rbegin(), one.rend()}));
  CHECK(same_bits(load_npy(folder / "x"), full({}, 1.5)));
  for (const char* descr : {"'b1'", "'=b1'", "'<b1'", "'>b1'", "'|b1'"}) {
    INFO(descr);
    write_bytes(folder / "x", with_descr(descr, "\x01"));
    CHECK(same_bits(load_npy(folder / "x"), full({}, true, bool_)));
  }
}

TEST_CASE("any byte of a bool but 0 is true, as in NumPy") {
  const Folder folder;
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  write_bytes(folder / "x", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (256,)}", bytes));
  const Tensor x = load_npy(folder / "x");
  for (int i = 0; i < 256; ++i) CHECK(static_cast<const uint8_t*>(x.raw_data())[i] == (i != 0));
}

TEST_CASE("npy files that lie are refused") {
  const std::string v2 = std::string("\x93NUMPY\x02\x00", 8);
  const auto shape_of_ones = [](int count) {
    std::string text = "(";
    for (int i = 0; i < count; ++i) text += "1,";
    return text + ")";
  };
  check_malformed(
      {
          {"other magic", "PK\x03\x04 something else", "offset 0: expected the magic '\\x93NUMPY' of an .npy file"},
          {"version 4", std::string("\x93NUMPY\x04\x00\x00\x00\x00\x00", 12), "offset 6: expected version 1.0, 2.0"},
          {"version 1.1", std::string("\x93NUMPY\x01\x01\x00\x00", 10), "got 1.1"},
          {"header beyond the file", v2 + raw(uint32_t{1000}) + "{", "expected 1000 bytes of header, got 1 to the end"},
          {"huge header", v2 + raw(~uint32_t{0}), "expected a header of at most 1048576 bytes, got 4294967295"},
          {"no header", npy(""), "offset 10: expected a Python dict, got the end of the header"},
          {"no dict", npy("[1, 2]"), "expected a Python dict, got '[1, 2]'"},
          {"not closed", npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()"), "a comma or the end of the dict"},
          {"text behind", npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()} x", "0"), "the end of the header"},
          {"empty dict", npy("{}"), "expected a key 'descr', got none"},
          {"no shape", npy("{'descr': '|u1', 'fortran_order': False}", "0"), "expected a key 'shape', got none"},
          {"twice", npy("{'descr': '|u1', 'descr': '|u1', 'shape': ()}"), "each once, got 'descr'"},
          {"unknown key", npy("{'descr': '|u1', 'colour': 3}"), "got 'colour'"},
          {"key with escape", npy("{'desc\\x72': '|u1'}"), "expected a key in quotes, got a string that does not end"},
          {"key without quotes", npy("{descr: '|u1'}"), "expected a key in quotes"},
          {"quotes that differ", npy("{'descr\": '|u1'}"), "a string that does not end"},
          {"no colon", npy("{'descr' '|u1'}"), "expected a colon"},
          {"two commas", npy("{'descr': '|u1',, 'shape': ()}"), "expected a key in quotes"},
          {"nested", npy(std::string(50000, '{')), "expected a key in quotes"},
          {"nested shape", with_shape(std::string(50000, '(')), "expected a size of at least 0"},
          {"structured", with_descr("[('a', '<f4')]"),
           "expected a plain dtype, got a structured one: save its fields as arrays"},
          {"arrays in arrays", with_descr("('<f4', (2,))"), "expected a plain dtype, got a structured one"},
          {"dtype as a number", with_descr("4"), "expected a dtype in quotes"},
          {"empty dtype", with_descr("''"), "expected a dtype among"},
          {"complex", with_descr("'<c8'", "00000000"), "got '<c8', complex numbers: save the array's .real and .imag"},
          {"objects", with_descr("'|O'"), "got '|O', Python objects, which only Python can read"},
          {"text", with_descr("'<U3'"), "got '<U3', text, which is no tensor"},
          {"bytes of text", with_descr("'|S3'"), "got '|S3', bytes of text"},
          {"dates", with_descr("'<M8[ns]'"), "got '<M8[ns]', dates: save the array's .astype('i8')"},
          {"times", with_descr("'<m8[s]'"), "got '<m8[s]', times"},
          {"long double", with_descr("'<f16'"), "numbers of a width that limpid lacks: save the array's .astype('f8')"},
          {"raw bytes", with_descr("'|V2'"), "got '|V2', raw bytes"},
          {"no dtype of any", with_descr("'<x4'", "0000"), "expected a dtype among b1, f2, f4, f8, i1"},
          {"a zero for an order", with_descr(std::string("'\0f4'", 5), "0000"),
           "expected a dtype among b1, f2, f4, f8, i1"},
          {"an order alone", with_descr("'<'", "0"), "got '<'"},
          {"two orders", with_descr("'<<f4'", "0000"), "got '<<f4'"},
          {"uint64 beyond int64", with_descr("'<u8'", raw(uint64_t{1} << 63)),
           "expected numbers that int64 has, got the uint64 9223372036854775808"},
          {"control characters", with_descr("'\x01\x7f\xff'"), "got '\\x01\\x7f\\xff'"},
          {"order as a number", npy("{'descr': '|u1', 'fortran_order': 0, 'shape': ()}"), "expected True or False"},
          {"order misspelt", npy("{'descr': '|u1', 'fortran_order': Falsey, 'shape': ()}"), "a comma or the end"},
          {"shape is a list", with_shape("[1]", "0"), "expected a tuple"},
          {"shape is a number", with_shape("1", "0"), "expected a tuple"},
          {"shape is no tuple", with_shape("(1)", "0"), "expected a comma"},
          {"only a comma", with_shape("(,)", "0"), "expected a size of at least 0"},
          {"negative", with_shape("(-1,)"), "expected a size of at least 0, got '-1,"},
          {"leading zero", with_shape("(01,)", "0"), "without leading zeros"},
          {"fraction", with_shape("(1.0,)", "0"), "expected a comma"},
          {"beyond 64 bits", with_shape("(99999999999999999999,)"), "expected sizes below 2^63"},
          {"product overflows", with_shape("(4294967296, 4294967296)"), "at most 2^56 elements"},
          {"product overflows beside 0", with_shape("(0, 4294967296, 4294967296)"), "at most 2^56 elements"},
          {"product wraps to 0", with_shape("(4294967296, 4294967296, 4294967296, 4294967296)"), "at most 2^56"},
          {"65 axes", with_shape(shape_of_ones(65), "0"), "expected at most 64 axes, got more"},
          {"large", with_shape("(1000000000000,)", "0"), "expected 1000000000000 bytes of data, got 1 to the end"},
          {"short", with_shape("(3,)", "00"), "expected 3 bytes of data, got 2 to the end"},
          {"long", with_shape("(3,)", "0000"), "expected the end, got 1 bytes more"},
      },
      load_npy);
}

TEST_CASE("npy files cut short are refused") {
  for (const char* file : {"rank0", "float32", "empty", "version2", "fortran"})
    check_truncations(read_bytes(numpy + file + ".npy"), load_npy);
}

TEST_CASE("changed npy files load or are refused", "[long]") {
  for (const char* file : {"float32", "version3", "fortran_big_endian"})
    check_mutations(read_bytes(numpy + file + ".npy"), load_npy);
}

TEST_CASE("npy has no bfloat16") {
  const Folder folder;
  CHECK(refusal<DTypeError>([&] { save_npy(folder / "x", counting({2}, bfloat16)); }) ==
        "save_npy: " +
            folder / "x: expected a dtype that NumPy has, got bfloat16 (convert it, or save it as safetensors)");
  CHECK(folder.empty());
}

}  // namespace test_npy
