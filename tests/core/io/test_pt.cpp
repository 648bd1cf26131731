#include <limpid/core/io/detail/zip.hpp>
#include <limpid/core/io/pt.hpp>
#include <test_paths.hpp>

#include <cstdint>
#include <fstream>
#include <map>
#include <string>

#include <limpid/tests/core/io/zip_tests.hpp>

using namespace limpid;

namespace {

const std::string torch = LIMPID_TEST_DATA "/torch/";

void load(const std::string& path) {
  load_strictly([](auto&&... arguments) { load_pt(arguments...); }, path);
}

std::string archive(const std::map<std::string, std::string>& members) {
  const Folder folder;
  detail::FileWriter file("test", folder / "x");
  detail::ZipWriter zip(file);
  for (const auto& [name, bytes] : members) zip.add(name, detail::bytes_of(bytes), {});
  zip.finish();
  file.commit();
  return read_bytes(folder / "x");
}

// A file whose one storage "0" holds the float32 numbers 0 to 3.
std::string file_of(const std::string& pickle) {
  return archive({{"x/data.pkl", pickle}, {"x/data/0", raw(0.0f) + raw(1.0f) + raw(2.0f) + raw(3.0f)}});
}

// Opcodes of pickles.
std::string text(const std::string& s) { return "X" + raw(static_cast<uint32_t>(s.size())) + s; }
std::string integer(int64_t n) { return "\x8a\x08" + raw(n); }
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
std::string tuple(const std::string& items) { return "(" + items + "t"; }
std::string integers(const std::vector<int64_t>& values) {
  std::string items;
  for (const int64_t value : values) items += integer(value);
  return tuple(items);
}
const std::string ordered_dict = global("collections", "OrderedDict") + ")R";

std::string storage(int64_t count, const std::string& type = "FloatStorage", const std::string& key = "0") {
  return tuple(text("storage") + global("torch", type) + text(key) + text("cpu") + integer(count)) + "Q";
}
std::string tensor(const std::string& arguments) {
  return global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments + "\x89" + ordered_dict) + "R";
}
std::string tensor(int64_t offset, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  return tensor(storage(4) + integer(offset) + integers(shape) + integers(strides));
}
std::string dict(const std::string& items) { return "}(" + items + "u"; }
std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }
std::string one(const std::string& value) { return pickle(dict(text("a") + value)); }
// A file of the one tensor "a".
Malformed bad(const char* name, const std::string& value, const char* message) {
  return {name, file_of(one(value)), message};
}

std::string repeated(const std::string& part, int count) {
  std::string result;
  while (count-- > 0) result += part;
  return result;
}

}  // namespace

TEST_CASE("state_dicts that PyTorch saved are read, with pickles of protocols 2 to 5") {
  for (const char* protocol : {"2", "3", "4", "5"}) {
    INFO(protocol);
    LeftOut left_out;
    const TensorMap tensors = load_pt(torch + "protocol" + protocol + ".pt", left_out);
    CHECK(left_out.empty());
    REQUIRE(tensors.size() == 7);
    CHECK(same_bits(tensors.at("0.weight"), counting({2, 1, 3, 3})));
    CHECK(same_bits(tensors.at("0.bias"), counting({2})));
    CHECK(same_bits(tensors.at("1.weight"), counting({2})));
    CHECK(same_bits(tensors.at("1.running_var"), counting({2})));
    CHECK(same_bits(tensors.at("1.num_batches_tracked"), counting({}, int64)));
  }
}

TEST_CASE("the sizes, strides and offsets of PyTorch's tensors are obeyed") {
  const TensorMap tensors = load_pt(torch + "layouts.pt");
  const Tensor x = counting({2, 3, 4, 5}), row = counting({6});
  const std::map<std::string, Tensor> expected = {{"contiguous", x},
                                                  {"channels_last", x},
                                                  {"transposed", detail::make_view(x, {5, 4, 3, 2}, {1, 5, 20, 60}, 0)},
                                                  {"sliced", detail::make_view(x, {2, 2, 2, 5}, {60, 20, 10, 1}, 20)},
                                                  {"expanded", detail::make_view(row, {1000, 1000}, {0, 0}, 2)},
                                                  {"scalar", full({}, 7.0)},
                                                  {"last", full({}, 5.0)},
                                                  {"empty", empty({2, 0, 3})},
                                                  {"tail", detail::make_view(row, {2}, {1}, 4)}};
  REQUIRE(tensors.size() == expected.size());
  for (const auto& [name, y] : expected) {
    INFO(name);
    CHECK(same_bits(tensors.at(name), y));
  }
  CHECK(tensors.at("channels_last").is_contiguous(MemoryFormat::channels_last));
  CHECK(tensors.at("expanded").strides() == Strides{0, 0});
  // What shared memory does so again.
  CHECK(tensors.at("last").data<float>() == tensors.at("tail").data<float>() + 1);
}

TEST_CASE("of PyTorch's dtypes those that limpid has or can widen are read and the others named") {
  LeftOut left_out;
  const TensorMap tensors = load_pt(torch + "dtypes.pt", left_out);
  const std::map<std::string, DType> expected = {
      {"float64", float64}, {"float32", float32}, {"float16", float16}, {"bfloat16", bfloat16}, {"int64", int64},
      {"int32", int32},     {"int16", int32},     {"int8", int32},      {"uint8", uint8},       {"bool", bool_}};
  CHECK(tensors.size() == expected.size() + 1);
  for (const auto& [name, dtype] : expected) {
    INFO(name);
    CHECK(same_bits(tensors.at(name), counting({2, 3}, dtype)));
  }
  CHECK(tensors.at("negative int8").data<int32_t>()[0] == -128);
  CHECK(tensors.at("negative int8").data<int32_t>()[1] == 127);
  REQUIRE(left_out.size() == 3);
  CHECK_THAT(left_out.at("complex"), ContainsSubstring("'complex': expected a tensor of a dtype that limpid has, got "
                                                       "torch.ComplexFloatStorage: in Python,"));
  CHECK_THAT(left_out.at("sparse"), ContainsSubstring("got torch._utils._rebuild_sparse_tensor(...): in Python,"));
  CHECK_THAT(left_out.at("quantized"), ContainsSubstring("got torch._utils._rebuild_qtensor(...)"));
  const auto by_name = [&](const char* name) { return refusal([&] { load_pt(torch + "dtypes.pt", name); }); };
  CHECK(by_name("complex") == left_out.at("complex"));
  CHECK_THAT(by_name("int9"),
             ContainsSubstring("dtypes.pt: expected the name of a tensor that it holds ('bfloat16', "));
  CHECK(same_bits(load_pt(torch + "dtypes.pt", "int64"), counting({2, 3}, int64)));
}

TEST_CASE("PyTorch's nested dicts are read under names with dots, and plain data are no entries") {
  LeftOut left_out;
  const TensorMap tensors = load_pt(torch + "checkpoint.pt", left_out);
  CHECK(same_bits(tensors.at("model.0.weight"), counting({2, 1, 3, 3})));
  CHECK(same_bits(tensors.at("optimizer.state.3.step"), full({}, 1.0)));
  CHECK(tensors.at("optimizer.state.0.exp_avg").shape() == Shape{2, 1, 3, 3});
  CHECK(same_bits(tensors.at("list.0"), counting({6})));
  CHECK(same_bits(tensors.at("list.1.0"), counting({6})));
  CHECK(left_out.empty());
  CHECK_THAT(refusal([&] { load_pt(torch + "checkpoint.pt", "epoch"); }),
             ContainsSubstring("expected the name of a tensor that it holds ("));
}

TEST_CASE("PyTorch's parameters are read as the tensors in them") {
  const TensorMap tensors = load_pt(torch + "parameter.pt");
  REQUIRE(tensors.size() == 2);
  CHECK(same_bits(tensors.at("p"), counting({2, 3})));
  CHECK(same_bits(tensors.at("q"), counting({6})));
  CHECK(!tensors.at("p").requires_grad());
}

TEST_CASE("tensors with a dtype of their own are read from untyped storages") {
  const auto typed = [](const std::string& dtype, const std::string& strides) {
    return global("torch._utils", "_rebuild_tensor_v3") +
           tuple(tuple(text("storage") + global("torch.storage", "UntypedStorage") + text("0") + text("cpu") +
                       integer(4)) +
                 "Q" + integer(0) + integers({2}) + strides + "\x89" + ordered_dict + global("torch", dtype)) +
           "R";
  };
  const Folder folder;
  write_bytes(folder / "x", archive({{"x/data.pkl", pickle(dict(text("a") + typed("uint16", integers({1})) + text("b") +
                                                                typed("float8_e5m2", integers({1}))))},
                                     {"x/data/0", raw(uint16_t{7}) + raw(uint16_t{65535})}}));
  LeftOut left_out;
  const TensorMap tensors = load_pt(folder / "x", left_out);
  REQUIRE(tensors.size() == 1);
  CHECK(tensors.at("a").dtype() == int32);
  CHECK(tensors.at("a").data<int32_t>()[1] == 65535);
  CHECK_THAT(left_out.at("b"), ContainsSubstring("got one of torch.float8_e5m2"));
}

TEST_CASE("a tensor that is negated when it is read is left out") {
  const auto flagged = [](const std::string& flag) {
    return global("torch._utils", "_rebuild_tensor_v2") +
           tuple(storage(4) + integer(0) + integers({4}) + integers({1}) + "\x89" + ordered_dict +
                 dict(text("neg") + flag)) +
           "R";
  };
  const Folder folder;
  write_bytes(folder / "x", file_of(pickle(dict(text("a") + flagged("\x88") + text("b") + flagged("\x89")))));
  LeftOut left_out;
  CHECK(same_bits(load_pt(folder / "x", left_out).at("b"), counting({4})));
  CHECK_THAT(left_out.at("a"), ContainsSubstring("got one that is negated or conjugated when it is read"));
}

TEST_CASE("what is no state_dict of PyTorch's is refused by name, with the way to convert it") {
  const std::map<std::string, std::string> expected = {
      {"protocol0", "data.pkl': offset 0: expected a pickle of protocol 2 to 5, got protocol 0 or 1"},
      {"protocol1", "in Python, torch.save(..., pickle_protocol=2)"},
      {"legacy0", "a file of PyTorch's before 1.6: in Python, torch.save(torch.load(old), new)"},
      {"legacy1", "a file of PyTorch's before 1.6: in Python, torch.save(torch.load(old), new)"},
      {"legacy2", "a file of PyTorch's before 1.6: in Python, torch.save(torch.load(old), new)"},
      {"legacy4", "a file of PyTorch's before 1.6: in Python, torch.save(torch.load(old), new)"},
      {"pickle", "a pickle: in Python, torch.save(pickle.load(file), new)"},
      {"torchscript", "a program of TorchScript's: in Python, torch.save(torch.jit.load(old).state_dict(), new)"},
      {"module", "expected plain data, got 'torch.nn.modules.container.Sequential': load_pt runs nothing"},
      {"own", "expected plain data, got '__main__.Own'"},
      {"tensor", "expected a dict of tensors, got torch._utils._rebuild_tensor_v2(...): in Python, torch.save({'name'"},
      {"list", "expected a dict of tensors, got a list"}};
  for (const auto& [name, message] : expected) {
    INFO(name);
    CHECK_THAT(refusal([&, &n = name] { load(torch + n + ".pt"); }), ContainsSubstring(message));
  }
  const Folder folder;
  const auto message = [&](const std::string& bytes) {
    write_bytes(folder / "x", bytes);
    return refusal([&] { load(folder / "x"); });
  };
  CHECK_THAT(message(std::string(257, '\0') + "ustar" + std::string(300, '\0')), ContainsSubstring("a tar archive"));
  save_safetensors(folder / "x", {{"a", counting({3})}});
  CHECK_THAT(refusal([&] { load(folder / "x"); }), ContainsSubstring("a safetensors file: load_safetensors reads it"));
  save_npy(folder / "x", counting({3}));
  CHECK_THAT(refusal([&] { load(folder / "x"); }), ContainsSubstring("an .npy file: load_npy reads it"));
  save_npz(folder / "x", {{"a", counting({3})}});
  CHECK_THAT(refusal([&] { load(folder / "x"); }), ContainsSubstring("NumPy's .npz: load_npz reads it"));
  CHECK_THAT(message(archive({{"a", "b"}})), ContainsSubstring("got another zip archive"));
}

TEST_CASE("other readers say that a file is PyTorch's, and which function reads it") {
  const std::string zip = torch + "protocol2.pt", legacy = torch + "legacy2.pt";
  CHECK_THAT(refusal([&] { load_npz(zip); }), ContainsSubstring("got a file of PyTorch's: load_pt reads it"));
  CHECK_THAT(refusal([&] { load_npz(legacy); }), ContainsSubstring("one that load_pt reads"));
  for (const std::string& path : {zip, legacy}) {
    CHECK_THAT(refusal([&] { load_safetensors(path); }), ContainsSubstring("load_pt"));
    CHECK_THAT(refusal([&] { load_npy(path); }), ContainsSubstring("load_pt"));
  }
}

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

TEST_CASE("what is wrong with one tensor of a .pt file leaves the others") {
  const std::string sizes = integers({4}), steps = integers({1});
  const std::vector<int64_t> many(65, 1);
  const struct {
    std::string value;
    const char* reason;
    bool is_malformed;
  } table[] = {
      {tensor(0, many, many), "tensor 'b': expected at most 64 axes, got 65", false},
      {tensor(storage(4, "QInt8Storage") + integer(0) + sizes + steps), "'b': expected a tensor of a dtype", false},
      {tensor(0, {5}, {1}), "tensor 'b': expected sizes and strides within a storage of 4", true},
      {tensor(0, {-1}, {1}), "expected sizes of at least 0", true},
      {tensor(0, {4}, {}), "tensor 'b': expected as many strides as sizes", true},
      {tensor(storage(5) + integer(0) + sizes + steps), "expected 20 bytes for 5 elements, got 16", true},
      {tensor(storage(4, "FloatStorage", "9") + integer(0) + sizes + steps), "expected a storage that the file holds",
       true},
      {tensor(storage(4, "FloatStorage", "../x") + integer(0) + sizes + steps), "a name that climbs out", false},
      {tensor(storage(4)), "tensor 'b': expected a tensor's 6 or 7 values, got 3", true},
  };
  const auto tensor_of = [&](const char* type, const char* key, int64_t count) {
    return tensor(storage(count, type, key) + integer(0) + integers({count}) + steps);
  };
  const Folder folder;
  const std::string path = folder / "x";
  for (const auto& row : table) {
    INFO(row.reason);
    write_bytes(path, archive({{"x/data.pkl", pickle(dict(text("a") + tensor_of("FloatStorage", "1", 1) + text("b") +
                                                          row.value + text("z") + tensor_of("BoolStorage", "2", 3)))},
                               {"x/data/0", std::string(16, '\0')},
                               {"x/data/1", raw(2.5f)},
                               {"x/data/2", std::string("\x02\x00\x01", 3)},
                               {"x/data/../x", "0123"},
                               {"__MACOSX/x/._data.pkl", "another program's"}}));
    LeftOut left_out;
    const TensorMap tensors = load_pt(path, left_out);
    REQUIRE(tensors.size() == 2);
    CHECK(same_bits(tensors.at("a"), full({1}, 2.5)));
    // Any byte of a bool but 0 is true.
    const Tensor z = detail::as_dtype(from_vector<uint8_t>({1, 0, 1}, {3}), bool_);
    CHECK(same_bits(tensors.at("z"), z));
    REQUIRE(left_out.size() == 1);
    CHECK_THAT(left_out.at("b"), ContainsSubstring("load_pt: " + path + ": ") && ContainsSubstring(row.reason));
    CHECK(refusal([&] { load_pt(path, "b"); }) == left_out.at("b"));
    CHECK(same_bits(load_pt(path, "z"), z));
    if (row.is_malformed)
      CHECK(refusal([&] { load_pt(path); }) == left_out.at("b"));
    else
      CHECK(load_pt(path).size() == 2);
  }
  // A name that is no text, among others.
  write_bytes(path, file_of(pickle(dict(text("\xff") + tensor(0, {4}, {1}) + text("b") + tensor(0, {4}, {1})))));
  LeftOut left_out;
  CHECK(load_pt(path, left_out).size() == 1);
  CHECK_THAT(left_out.at("\xff"), ContainsSubstring("expected names in UTF-8, got '\\xff'"));
}

TEST_CASE("one odd value of a .pt file leaves the tensors") {
  const std::string t = tensor(0, {4}, {1}), five = "K\x05", empty_tuple = ")";
  const auto call = [](const std::string& module, const std::string& name, const std::string& items) {
    return global(module, name) + tuple(items) + "R";
  };
  const auto typed = [&](const std::string& dtype) {
    return call(
        "torch._utils", "_rebuild_tensor_v3",
        tuple(text("storage") + global("torch.storage", "UntypedStorage") + text("0") + text("cpu") + integer(16)) +
            "Q" + integer(0) + integers({4}) + integers({1}) + "\x89" + ordered_dict + global("torch", dtype));
  };
  const auto of_class = [&](const std::string& type) {
    return tensor(storage(4, type) + integer(0) + integers({4}) + integers({1}));
  };
  const std::string items = storage(4) + integer(0) + integers({4}) + integers({1}) + "\x89" + ordered_dict;
  // reason: why the value "b" is left out; empty where it is plain data, which is no entry, or a tensor.
  const struct {
    std::string value, reason;
    bool is_tensor = false;
  } table[] = {
      {typed("float8_e8m0fnu"), "got one of torch.float8_e8m0fnu"},
      {typed("a_dtype_to_come"), "got one of torch.a_dtype_to_come"},
      {of_class("ComplexHalfStorage"), "got torch.ComplexHalfStorage"},
      {of_class("ToComeStorage"), "got torch.ToComeStorage"},
      {call("torch._utils", "_rebuild_sparse_csr_tensor", t + t), "got torch._utils._rebuild_sparse_csr_tensor(...)"},
      {call("torch._utils", "_rebuild_device_tensor_from_numpy", five), "_rebuild_device_tensor_from_numpy(...)"},
      {call("torch._utils", "_rebuild_qtensor", storage(4) + global("torch", "per_tensor_symmetric")),
       "_rebuild_qtensor(...): in Python, save tensor.to_dense() or tensor.dequantize()"},
      {storage(4), "expected a tensor, got a storage"},
      {call("torch", "FloatStorage", five), "expected a tensor, got torch.FloatStorage(...)"},
      {call("torch", "float32", ""), "expected a tensor, got torch.float32(...)"},
      {call("torch._utils", "_rebuild_parameter_with_state", t + "\x88" + ordered_dict + dict(text("x") + five)), "",
       true},
      {call("torch._tensor", "_rebuild_from_type_v2",
            global("torch._utils", "_rebuild_tensor_v2") + global("torch", "Tensor") + tuple(items) + "}"),
       "", true},
      {global("torch", "channels_last"), ""},
      {call("collections", "Counter", dict(five + five)), ""},
      {global("collections", "defaultdict") + tuple(global("__builtin__", "list")) + "R(" + text("k") + "]u", ""},
      {call("__builtin__", "set",
            "](K\x05"
            "e"),
       ""},
      {call("builtins", "complex", five + five), ""},
      {"\x8f(K\x01\x90", ""},
      {"(K\x01\x91", ""},
      {"\x96" + raw(uint64_t{3}) + "abc", ""},
      {"\x8f(" + t + "\x90", "expected a tensor, got a set"},
      {dict(empty_tuple + five + "N" + five + "\x88" + five), ""},
  };
  const Folder folder;
  const auto loaded = [&](const std::string& entries, LeftOut& left_out) {
    write_bytes(folder / "x", file_of(pickle(dict(text("a") + t + entries + text("z") + t))));
    return load_pt(folder / "x", left_out);
  };
  for (const auto& row : table) {
    INFO(row.value);
    LeftOut left_out;
    const TensorMap tensors = loaded(text("b") + row.value, left_out);
    CHECK(tensors.size() == (row.is_tensor ? 3 : 2));
    if (row.is_tensor) CHECK(same_bits(tensors.at("b"), counting({4})));
    CHECK(left_out.size() == !row.reason.empty());
    if (!row.reason.empty()) CHECK_THAT(left_out["b"], ContainsSubstring("x: 'b': ") && ContainsSubstring(row.reason));
  }
  // Names that are none, and names that are taken.
  const struct {
    std::string entries, name, reason;
  } names[] = {
      {tuple(five) + t, "<a tuple>", "expected keys of text or whole numbers, got a tuple"},
      {text("m") + dict("G" + std::string(8, '\0') + t), "m.<the number 0>", "expected keys of text or whole numbers"},
      {"\x88" + t, "<True>", "expected keys of text or whole numbers, got True"},
      {text("m.n") + t + text("m") + dict(text("n") + t), "m.n", "expected names that differ, got this one twice"},
      {integer(1) + t + text("1") + t, "1", "expected names that differ, got this one twice"},
  };
  for (const auto& row : names) {
    INFO(row.name);
    LeftOut left_out;
    const TensorMap tensors = loaded(row.entries, left_out);
    CHECK(tensors.size() == 2 + tensors.count(row.name));
    REQUIRE(left_out.size() == 1);
    CHECK_THAT(left_out[row.name], ContainsSubstring("x: '" + row.name + "': ") && ContainsSubstring(row.reason));
  }
  LeftOut left_out;
  CHECK(loaded(text("") + dict(text("a") + t) + text("b") + dict(text("") + t), left_out).count(".a"));
  CHECK(load_pt(folder / "x", "b.").numel() == 4);
  // A dict may hold itself; what it holds beside is read.
  const TensorMap tensors = loaded(text("d") + "}q\x01(" + text("t") + t + text("d") + "h\x01" + "u", left_out);
  CHECK(tensors.count("d.t"));
  CHECK_THAT(left_out["d.d"], ContainsSubstring("'d.d': expected a tensor, got a dict that holds itself"));
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

TEST_CASE("a wrong byte order and other members are refused") {
  const std::string pickle_of_none = one("N");
  const auto message = [](const std::map<std::string, std::string>& members) {
    const Folder folder;
    write_bytes(folder / "x", archive(members));
    return refusal([&] { load(folder / "x"); });
  };
  CHECK_THAT(message({{"x/data.pkl", pickle_of_none}, {"x/byteorder", "big"}}),
             ContainsSubstring("expected little-endian numbers, got 'big'-endian ones"));
  CHECK_THAT(message({{"x/data.pkl", pickle_of_none}, {"y/data.pkl", pickle_of_none}}),
             ContainsSubstring("expected one pickle, 'x/data.pkl', got 'y/data.pkl'"));
  CHECK_THAT(message({{"x/data.pkl", pickle_of_none}, {"x/code/a.py", ""}}),
             ContainsSubstring("a program of TorchScript's"));
  const Folder folder;
  write_bytes(folder / "x",
              archive({{"x/data.pkl", pickle_of_none}, {"x/byteorder", "little"}, {"x/.data/serialization_id", "1"}}));
  LeftOut left_out;
  CHECK(load_pt(folder / "x", left_out).empty());
  CHECK(left_out.empty());
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

TEST_CASE("truncated .pt files are refused") { check_truncations(read_bytes(torch + "parameter.pt"), load); }

TEST_CASE("changed .pt files load or are refused") {
  check_mutations(read_bytes(torch + "layouts.pt"), load);
  // Behind a right CRC.
  const std::string inner = one(tensor(0, {2, 2}, {2, 1}));
  int rounds = 0;
  check_mutations(
      inner,
      [&](const std::string& path) {
        ++rounds;
        write_bytes(path, file_of(read_bytes(path)));
        load(path);
      },
      300);
}
