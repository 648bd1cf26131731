// Pickles that nobody saved by torch.save: they would run something, lie, or grow.
#include <limpid/core/io/pt.hpp>
#include <test_paths.hpp>

#include <cstdint>
#include <map>
#include <string>

#include <limpid/tests/core/io/pt_tests.hpp>

namespace test_pickles {

using namespace limpid;
using namespace pt_tests;

TEST_CASE("pickles that would run something are refused") {
  check_malformed(
      {
          bad("os.system", global("os", "system") + tuple(text("true")) + "R", "expected plain data, got 'os.system'"),
          bad("builtins.eval", text("builtins") + text("eval") + "\x93", "expected plain data, got 'builtins.eval'"),
          bad("a method of a class that is allowed", global("collections", "OrderedDict.fromkeys"),
              "got 'collections.OrderedDict.fromkeys'"),
          bad("load from bytes", global("torch.storage", "_load_from_bytes"), "got 'torch.storage._load_from_bytes'"),
          bad("NEWOBJ", global("collections", "OrderedDict") + ")\x81", "got 0x81"),
          bad("INST", "(icollections\nOrderedDict\n", "got 0x69 ('i')"),
          bad("EXT1", "\x82\x01", "got 0x82"),
          bad("PERSID", "P0\n", "got 0x50 ('P')"),
          bad("a call of text", text("f") + ")R", "expected a function and a tuple"),
          bad("OrderedDict of something", global("collections", "OrderedDict") + tuple("]") + "R", "begins empty"),
          bad("BUILD of a dict", "}}b", "expected attributes of an OrderedDict alone"),
          bad("BUILD of a tensor", tensor(0, {4}, {1}) + "}b", "expected attributes of an OrderedDict alone"),
          bad("BUILD with another state", ordered_dict + text("x") + "b",
              "expected attributes of an OrderedDict alone"),
      },
      load);
}

TEST_CASE("pickles that lie are refused") {
  const std::string huge = raw(uint32_t{0xfffffff0});
  check_malformed(
      {
          {"empty", file_of(""), "expected a pickle of protocol 2 to 5"},
          {"protocol 6", file_of("\x80\x06}."), "expected a pickle of protocol 2 to 5, got protocol 6"},
          {"protocol twice", file_of("\x80\x02\x80\x02}."), "got 0x80"},
          {"no end", file_of("\x80\x02}"), "expected 1 more bytes, got 0"},
          {"two values", file_of("\x80\x02}}."), "expected one value at the end, got 2"},
          {"an open mark", file_of("\x80\x02}(."), "expected one value at the end"},
          {"more behind", file_of("\x80\x02}.}"), "expected the end after the value, got 1 bytes more"},
          bad("text beyond the end", "X" + huge + "a", "more bytes, got"),
          bad("long text beyond the end", "\x8d" + raw(uint64_t{UINT64_MAX}) + "a", "more bytes, got"),
          bad("a frame beyond the end", "\x95" + raw(uint64_t{1} << 40), "expected a frame of at most"),
          bad("an unknown opcode", "\xff", "expected an opcode for plain data, got 0xff"),
          bad("a name without its end", "ctorch", "expected a name that ends with its line"),
          bad("nothing to remember", "0", "got 0x30 ('0')"),
          {"a memo without a value", file_of(pickle("h\x05")), "expected a value in the memo, got none as 5"},
          {"an empty stack to remember", file_of("\x80\x02q\x01."), "expected a value to remember"},
          bad("a memo of 2^32", "Nr" + huge, "expected a memo of at most"),
          {"no mark", file_of(pickle("t")), "expected a mark on the stack"},
          {"items below the mark", file_of(pickle("N(\x85")), "expected 1 values on the stack, got 0"},
          {"a list that is none", file_of(pickle("NNa")), "expected a list on the stack"},
          {"half a pair", file_of(pickle("}(Nu")), "expected keys and values in pairs, got 1"},
          {"a key that is a list", file_of(pickle("}]Ns")), "expected keys that Python can have, got a list"},
          {"a name not in UTF-8", file_of(pickle(dict(text("\xff") + tensor(0, {4}, {1})))), "expected names in UTF-8"},
      },
      [](const std::string& path) {
        try {
          load(path);
        } catch (const IOError& error) {
          // What is wrong with names has no offset.
          std::string message = error.what();
          if (message.find("offset ") == std::string::npos) message += " (offset unknown)";
          throw IOError(message);
        }
      });
}

TEST_CASE("tensors beyond their storage are refused as PyTorch does") {
  const auto message = [](const std::string& value) {
    const Folder folder;
    write_bytes(folder / "x", file_of(one(value)));
    return refusal([&] { load(folder / "x"); });
  };
  constexpr int64_t huge = INT64_MAX;
  const struct {
    int64_t offset;
    std::vector<int64_t> shape, strides;
  } table[] = {{-1, {4}, {1}},   {0, {5}, {1}},       {1, {4}, {1}},
               {4, {}, {}},      {0, {2}, {1000}},    {0, {2}, {-1}},
               {3, {2}, {-1}},   {0, {2, 2}, {2, 2}}, {0, {2, 3}, {huge, huge}},
               {huge, {2}, {1}}, {0, {3}, {huge}},    {-huge, {2}, {huge}},
               {0, {0}, {-1}},   {-1, {0}, {1}}};
  for (const auto& row : table) {
    INFO(row.offset << ' ' << Shape(row.shape.begin(), row.shape.end()));
    CHECK_THAT(
        message(tensor(row.offset, row.shape, row.strides)),
        ContainsSubstring("x: tensor 'a': expected sizes and strides within a storage of 4 elements, got shape ("));
  }
  CHECK_THAT(message(tensor(0, {-1}, {1})), ContainsSubstring("tensor 'a': expected sizes of at least 0"));
  CHECK_THAT(message(tensor(0, {huge, huge}, {0, 0})), ContainsSubstring("at most 2^56 elements"));
  CHECK_THAT(message(tensor(0, {4}, {})), ContainsSubstring("as many strides as sizes, got 0 for 1"));
  CHECK_THAT(message(tensor(0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1))),
             ContainsSubstring("at most 64 axes, got 65"));
  CHECK_THAT(message(tensor(storage(5) + integer(0) + integers({4}) + integers({1}))),
             ContainsSubstring("expected 20 bytes for 5 elements, got 16"));
  CHECK_THAT(message(tensor(storage(huge) + integer(0) + integers({4}) + integers({1}))),
             ContainsSubstring("tensor 'a': expected sizes of at least 0 and at most 2^56"));
  CHECK_THAT(message(tensor(storage(-1) + integer(0) + integers({0}) + integers({1}))),
             ContainsSubstring("sizes of at least 0"));
  CHECK_THAT(message(tensor(storage(4, "FloatStorage", "1") + integer(0) + integers({4}) + integers({1}))),
             ContainsSubstring("a storage that the file holds, got the key '1'"));
  CHECK_THAT(message(tensor(storage(4, "FloatStorage", "../data.pkl") + integer(0) + integers({4}) + integers({1}))),
             ContainsSubstring("a storage that the file holds"));
  CHECK_THAT(message(tensor("N" + integer(0) + integers({4}) + integers({1}))),
             ContainsSubstring("a storage, got None"));
  CHECK_THAT(message(tensor(storage(4) + "N" + integers({4}) + integers({1}))),
             ContainsSubstring("an offset, got None"));
  CHECK_THAT(message(tensor(storage(4) + integer(0) + tuple("N") + integers({1}))),
             ContainsSubstring("a tuple of whole numbers, got None"));
  CHECK_THAT(message(tensor(storage(4))), ContainsSubstring("a tensor's 6 or 7 values, got 3"));
  CHECK_THAT(message(tensor(0, {4}, {1}) + text("b") +
                     tensor(storage(2, "DoubleStorage") + integer(0) + integers({2}) + integers({1}))),
             ContainsSubstring("one class and size of the storage '0', got two"));
}

TEST_CASE("a damaged storage is read once, however many tensors name it") {
  const int64_t count = 1 << 14;
  const std::string step = integers({1}), elements(4 << 14, 'e');
  std::string values;
  for (int i = 0; i < 1000; ++i)
    values += text("t" + std::to_string(i)) + tensor(storage(count) + integer(0) + integers({count}) + step);
  std::string bytes = archive({{"x/data.pkl", pickle(dict(values))}, {"x/data/0", elements}});
  bytes[bytes.find(elements)] = 'x';
  const Folder folder;
  const std::string path = folder / "x";
  write_bytes(path, bytes);
  // What this process has read by all calls of the system, where that can be told.
  const auto bytes_read = [] {
    std::ifstream file("/proc/self/io");
    std::string word;
    int64_t total = 0;
    file >> word >> total;
    return total;
  };
  const int64_t before = bytes_read();
  LeftOut left_out;
  CHECK(load_pt(path, left_out).empty());
  CHECK(left_out.size() == 1000);
  CHECK_THAT(left_out.at("t999"), ContainsSubstring("expected the CRC"));
  CHECK(bytes_read() - before < int64_t{10} * static_cast<int64_t>(bytes.size()));
}

TEST_CASE("pickles that stay small and grow are stopped") {
  const auto message = [](const std::string& bytes) {
    const Folder folder;
    write_bytes(folder / "x", file_of(bytes));
    return refusal([&] { load(folder / "x"); });
  };
  // Empty dicts are a byte each.
  CHECK_THAT(message(pickle("](" + std::string(1 << 20, '}') + "e")),
             ContainsSubstring("expected a pickle of no more objects than its file has room for"));
  // Each dict holds the one before twice: 2^40 names.
  std::string doubled = dict(text("a") + tensor(0, {4}, {1})) + "q" + std::string(1, '\0');
  for (char i = 1; i <= 40; ++i) {
    const std::string last{'h', static_cast<char>(i - 1)};
    doubled += dict(text("a") + last + text("b") + last) + "q" + i;
  }
  CHECK_THAT(message(pickle("(" + doubled + "t" + "}" + text("x") + "h\x28s\x86")),
             ContainsSubstring("expected a dict of tensors"));
  CHECK_THAT(message(pickle("}" + text("x") + "(" + doubled + "ts")), ContainsSubstring("expected no more names than"));
  // Depth costs no stack, in reading or in freeing.
  CHECK_THAT(message(pickle("}" + repeated(text("a") + "}", 10000) + text("a") + tensor(0, {4}, {1}) +
                            std::string(10001, 's'))),
             ContainsSubstring("at most 64 deep"));
  CHECK_THAT(message(pickle(std::string(1000, '(') + repeated("t", 1000))),
             ContainsSubstring("expected a dict of tensors"));
  CHECK_THAT(message(pickle("}q\x01" + text("t") + tensor(0, {4}, {1}) + "s" + text("a") + "h\x01s")),
             ContainsSubstring("'a': expected a tensor, got a dict that holds itself"));
  // One tuple as the arguments of many calls is one tuple.
  std::string many = "(" + std::string(50000, 'N') + "tq\x01" + "0";
  many = global("torch", "device") + "q\x02(" + std::string(50000, 'N') + "tq\x01R";
  many = pickle("](" + many + repeated("h\x02h\x01R", 20000) + "e");
  CHECK_THAT(message(many), ContainsSubstring("expected a dict of tensors, got a list"));
}

TEST_CASE("reading a .pt file takes time and memory of its own size, whatever it unpacks to") {
  const std::string t = tensor(0, {4}, {1});
  const auto packed = [](const std::string& bytes) {
    return zip(
        {deflated({.name = "x/data.pkl", .content = bytes}), {.name = "x/data/0", .content = std::string(16, 'a')}});
  };
  const Folder folder;
  const auto message = [&](const std::string& bytes) {
    write_bytes(folder / "x", bytes);
    return refusal([&] { load(folder / "x"); });
  };
  const std::string nones(1 << 20, 'N');
  CHECK_THAT(message(packed(pickle(nones + nones))), ContainsSubstring("expected a pickle of at most "));
  CHECK_THAT(message(packed(pickle(nones.substr(100)))),
             ContainsSubstring("expected a pickle of no more values than its file has room for"));
  CHECK_THAT(message(packed(pickle(std::string(1 << 19, '(')))), ContainsSubstring("of no more values than its file"));
  CHECK_THAT(message(packed(pickle(dict(text("a") + "X" + raw(uint32_t{1 << 19}) + std::string(1 << 19, 'x') + "r" +
                                        raw(uint32_t{1 << 19}))))),
             ContainsSubstring("expected a memo of at most "));
  // A dict that many hold: of plain data it is no entry, of tensors it has more names than there is room for.
  std::string numbers, tensors;
  for (int i = 0; i < 1000; ++i) {
    numbers += integer(i) + "N";
    tensors += integer(i) + (i ? "h\x01" : t + "q\x01");
  }
  const auto shared = [&](const std::string& items) {
    return packed(
        pickle(dict(text("w") + t + text("l") + "](" + dict(items) + "q\x02" + repeated("h\x02", 4000) + "e")));
  };
  LeftOut left_out;
  write_bytes(folder / "x", shared(numbers));
  CHECK(load_pt(folder / "x", left_out).size() == 1);
  CHECK(left_out.empty());
  CHECK_THAT(message(shared(tensors)), ContainsSubstring("expected no more names than a file of "));
  CHECK_THAT(message(shared(text("t") + t + numbers)), ContainsSubstring("expected no more names than a file of "));
  // An honest history beside a tensor.
  write_bytes(folder / "x", file_of(pickle(dict(text("w") + t + text("history") + "](" +
                                                repeated("G" + std::string(8, '\0'), 100000) + "e"))));
  CHECK(load_pt(folder / "x", left_out).size() == 1);
  CHECK(left_out.empty());
}

}  // namespace test_pickles
