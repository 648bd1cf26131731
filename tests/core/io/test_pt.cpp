// What PyTorch saves, and what of a file can be had.
#include <limpid/core/io/pt.hpp>
#include <test_paths.hpp>

#include <cstdint>
#include <fstream>
#include <map>
#include <string>

#include <limpid/tests/core/io/pt_tests.hpp>

namespace test_pt {

using namespace limpid;
using namespace pt_tests;

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
      {call("__builtin__", "xrange", five + five + five), ""},
      {global("__builtin__", "unicode"), ""},
      {global("__builtin__", "long"), ""},
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

TEST_CASE("truncated .pt files are refused", "[long]") { check_truncations(read_bytes(torch + "parameter.pt"), load); }

TEST_CASE("changed .pt files load or are refused", "[long]") {
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

}  // namespace test_pt
