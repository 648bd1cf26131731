#include <limpid/nn/data/idx.hpp>
#include <limpid/tests/core/io/file_tests.hpp>

#include <sys/stat.h>
#include <zlib.h>

#include <functional>

namespace test_idx {

using namespace limpid;
using data::LabelledImages;
using data::load_idx;
using data::load_mnist;
using data::save_idx;

std::string words(std::initializer_list<uint32_t> values) {
  std::string bytes;
  for (const uint32_t value : values) bytes += raw(__builtin_bswap32(value));
  return bytes;
}

std::string gzip(const std::string& bytes) { return deflated(bytes, MAX_WBITS + 16); }

constexpr int64_t count = 20;

/// Bytes that look like 20 images and their labels.
std::string images_file() {
  std::string bytes = words({0x803, count, 28, 28});
  for (int64_t i = 0; i < count * 784; ++i) bytes += static_cast<char>(i * i % 251);
  return bytes;
}
std::string labels_file() {
  std::string bytes = words({0x801, count});
  for (int64_t i = 0; i < count; ++i) bytes += static_cast<char>(i % 10);
  return bytes;
}

using Change = std::function<void(std::string&)>;

/// A big-endian word at this offset.
Change word(std::size_t offset, uint32_t value) {
  return [=](std::string& bytes) { bytes.replace(offset, 4, words({value})); };
}
Change byte(std::size_t offset, int value) {
  return [=](std::string& bytes) { bytes.at(offset) = static_cast<char>(value); };
}
Change cut_to(std::size_t size) {
  return [=](std::string& bytes) { bytes.resize(size); };
}
Change longer_by(std::size_t size) {
  return [=](std::string& bytes) { bytes.resize(bytes.size() + size); };
}
std::string changed(std::string bytes, const Change& change) {
  change(bytes);
  return bytes;
}

void write_mnist(const Folder& folder, const std::string& images, const std::string& labels) {
  for (const char* part : {"train", "t10k"}) {
    write_bytes(folder / (std::string(part) + "-images-idx3-ubyte"), images);
    write_bytes(folder / (std::string(part) + "-labels-idx1-ubyte"), labels);
  }
}

void load(const std::string& path) { load_idx(path); }

TEST_CASE("tensors come back from idx files as they were saved") {
  const Folder folder;
  const DType dtype = GENERATE(uint8, int32, float32, float64);
  const std::string name = GENERATE(as<std::string>{}, "a.idx", "a.idx.gz");
  for (const Shape& shape : {Shape{1}, Shape{7}, Shape{3, 4}, Shape{2, 3, 5, 2}, Shape{0}, Shape{4, 0, 2}}) {
    save_idx(folder / name, counting(shape, dtype));
    CHECK(same_bits(load_idx(folder / name), counting(shape, dtype)));
  }
  // More than any buffer holds, packed as well as not.
  Tensor large = empty({100'000, 2}, dtype);
  std::mt19937 random(1);
  auto* bytes = static_cast<unsigned char*>(large.raw_data());
  for (int64_t i = 0; i < large.numel() * static_cast<int64_t>(large.itemsize()); ++i)
    bytes[i] = static_cast<unsigned char>(random());
  save_idx(folder / name, large);
  CHECK(same_bits(load_idx(folder / name), large));
  const bool packed = read_bytes(folder / name).substr(0, 2) == "\x1f\x8b";
  CHECK(packed == name.ends_with(".gz"));
}

TEST_CASE("idx files are big-endian") {
  const Folder folder;
  save_idx(folder / "a", tensor({1, 256, -2}, int32));
  CHECK(read_bytes(folder / "a") == words({0xc01, 3, 1, 256, 0xfffffffe}));
  save_idx(folder / "b", tensor({1, -2}, float32));
  CHECK(read_bytes(folder / "b") == words({0xd01, 2, 0x3f800000, 0xc0000000}));
  // A transposed view is written as it reads.
  save_idx(folder / "c", detail::make_view(tensor({0, 1, 2, 3, 4, 5}, uint8), {3, 2}, {1, 3}, 0));
  CHECK(read_bytes(folder / "c") == words({0x802, 3, 2}) + std::string("\0\3\1\4\2\5", 6));
}

TEST_CASE("idx files of int8 and int16 are widened") {
  const Folder folder;
  write_bytes(folder / "a", words({0x901, 3}) + std::string("\x01\xff\x80", 3));
  CHECK(same_bits(load_idx(folder / "a"), tensor({1, -1, -128}, int32)));
  write_bytes(folder / "b", words({0xb01, 2, 0x0102ff00}));
  CHECK(same_bits(load_idx(folder / "b"), tensor({258, -256}, int32)));
}

TEST_CASE("what has no place in an idx file is not saved") {
  const Folder folder;
  CHECK_THAT(refusal<ValueError>([&] { save_idx(folder / "a", Tensor{}); }), ContainsSubstring("got an undefined one"));
  for (const DType dtype : {int64, float16, bool_})
    CHECK_THAT(refusal<DTypeError>([&] { save_idx(folder / "a", zeros({2}, dtype)); }),
               ContainsSubstring("a: expected uint8, int32, float32 or float64, got "));
  CHECK_THAT(refusal<ShapeError>([&] { save_idx(folder / "a", zeros({}, uint8)); }),
             ContainsSubstring("expected a rank of at least 1 and sizes below 2^32, got shape ()"));
  const Tensor long_one = detail::make_view(zeros({1}, uint8), {int64_t{1} << 32, 0}, {0, 0}, 0);
  CHECK_THAT(refusal<ShapeError>([&] { save_idx(folder / "a", long_one); }), ContainsSubstring("sizes below 2^32"));
  CHECK(folder.empty());
  refusal([&] { save_idx(folder / "no/such/folder", zeros({2}, uint8)); });
}

TEST_CASE("malformed idx files are refused in one line") {
  const std::string good = images_file(), packed = gzip(good);
  const std::string bad_magic =
      "offset 0: expected an IDX file of uint8, int8, int16, int32, float32 or float64 (0x00000801 is a "
      "list of bytes), or a gzip file, got ";
  check_malformed(
      {
          {"empty", "", "offset 0: expected 4 bytes of magic, got 0 to the end"},
          {"magic cut", changed(good, cut_to(3)), "offset 0: expected 4 bytes of magic, got 3 to the end"},
          {"magic in the wrong byte order", changed(good, word(0, 0x03080000)), bad_magic + "0x03080000"},
          {"elements of no kind", changed(good, word(0, 0xa03)), bad_magic + "0x00000a03"},
          {"elements of no type", changed(good, word(0, 0x003)), bad_magic + "0x00000003"},
          {"rank 0", changed(good, word(0, 0x800)), bad_magic + "0x00000800"},
          {"another format", changed(good, word(0, 0x89504e47)), bad_magic + "0x89504e47"},
          {"rank 255", changed(good, word(0, 0x8ff)), "offset 3: expected at most 64 axes, got 255"},
          {"sizes cut", changed(good, cut_to(6)), "offset 4: expected 4 bytes of sizes, got 2 to the end"},
          {"last size cut", changed(good, cut_to(12)), "offset 12: expected 4 bytes of sizes, got 0 to the end"},
          {"more images than there are", changed(good, word(4, count + 1)),
           "offset 16: expected 16464 bytes of data, got 15680 to the end"},
          {"four thousand million images", changed(good, word(4, 0xffffffff)), "expected 3367254359280 bytes of data"},
          {"more than can be counted", words({0x804, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
           "offset 4: expected sizes of at least 0 and at most 2^56 elements"},
          {"a last axis of 0 hides the others", words({0x803, 0xffffffff, 0xffffffff, 0xffffffff}) + "....",
           "offset 4: expected sizes of at least 0"},
          {"data cut", changed(good, cut_to(good.size() - 1)), "expected 15680 bytes of data, got 15679 to the end"},
          {"fewer images than there are", changed(good, word(4, count - 1)),
           "offset 14912: expected the end of the file, got 784 bytes more"},
          {"a byte more", changed(good, longer_by(1)), "offset 15696: expected the end of the file, got 1 bytes more"},

          {"gzip: only its mark", "\x1f\x8b", "offset 0: expected more deflated data, got its end"},
          {"gzip: header cut", changed(packed, cut_to(5)), "expected more deflated data, got its end"},
          {"gzip: half of it", changed(packed, cut_to(packed.size() / 2)), "expected more deflated data, got its end"},
          {"gzip: checksum cut", changed(packed, cut_to(packed.size() - 1)),
           "expected more deflated data, got its end"},
          {"gzip: unknown method", changed(packed, byte(2, 9)), "got unknown compression method"},
          {"gzip: invalid block", changed(packed, byte(10, 0xff)), "expected deflated data, got invalid"},
          {"gzip: wrong checksum", changed(packed, byte(packed.size() - 8, 1)), "got incorrect data check"},
          {"gzip: wrong length", changed(packed, byte(packed.size() - 4, 1)), "got incorrect length check"},
          {"gzip: bytes behind", packed + "abc", "expected the end of the file, or more gzip data, got other bytes"},
          {"gzip: bytes behind zeros", packed + std::string(3, '\0') + "abc", "or more gzip data, got other bytes"},
          {"gzip: half a member behind", packed + packed.substr(0, 12), "expected more deflated data, got its end"},
          {"gzip: another behind", packed + packed, "offset 15696: expected the end of the data, got more"},
          {"gzip: not idx", gzip("not idx at all"), bad_magic + "0x6e6f7420"},
          {"gzip: sizes cut", gzip(changed(good, cut_to(7))), "offset 4: expected 4 more bytes, got 3"},
          {"gzip: data cut", gzip(changed(good, cut_to(100))), "expected 15680 more bytes, got 84"},
          {"gzip: a byte more", gzip(changed(good, longer_by(1))),
           "offset 15696: expected the end of the data, got more"},
          {"gzip: a megabyte more", gzip(changed(good, longer_by(1 << 20))), "expected the end of the data, got more"},
          {"gzip: more images than it can hold", gzip(changed(good, word(4, 0xffffffff))),
           "offset 16: expected 3367254359280 bytes of data, got "},
      },
      load);
}

TEST_CASE("idx files cut short are refused") {
  const std::string bytes = words({0x802, 5, 6}) + std::string(30, 'x');
  check_truncations(bytes, load);
  check_truncations(gzip(bytes), load);
}

TEST_CASE("no changed byte of an idx file crashes", "[long]") {
  // Elements may be anything; a type or sizes that would need other than what there is may not.
  const std::string bytes = words({0x802, 5, 6}) + std::string(30, 'x');
  const Folder folder;
  for (std::size_t at = 0; at < 12; ++at)
    for (int value = 0; value < 256; ++value) {
      std::string mutant = bytes;
      mutant[at] = static_cast<char>(value);
      const bool of_int8 = at == 2 && value == 9;  // as wide as uint8
      if (mutant != bytes && !of_int8) refusal([&] { load_bytes(folder, mutant, load); });
    }
  check_mutations(gzip(bytes), load);
}

TEST_CASE("no changed byte of a gzipped idx file is misread", "[long]") {
  const Folder folder;
  const std::string good = gzip(labels_file());
  save_idx(folder / "good", load_idx((write_bytes(folder / "a", good), folder / "a")));
  const Tensor want = load_idx(folder / "good");
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const int flip : {1, 0x40, 0xff}) {
      const std::string mutant = changed(good, byte(at, static_cast<unsigned char>(good[at]) ^ flip));
      // A few bytes of the gzip header (time, system) mean nothing.
      try {
        write_bytes(folder / "a", mutant);
        if (!equal(load_idx(folder / "a"), want)) FAIL("byte " << at << " went unnoticed");
      } catch (const IOError&) {}
    }
}

TEST_CASE("mnist's files are found in every spelling, plain and gzipped") {
  const std::string separator = GENERATE(as<std::string>{}, "-", ".");
  const bool packed = GENERATE(false, true);
  const Folder folder;
  for (const std::string part : {"train", "t10k"})
    for (const auto& [kind, bytes] : {std::pair("images", images_file()), std::pair("labels", labels_file())}) {
      const std::string type = kind == std::string("images") ? "idx3-ubyte" : "idx1-ubyte";
      write_bytes(folder / (part + '-' + kind + separator + type + (packed ? ".gz" : "")),
                  packed ? gzip(bytes) : bytes);
    }
  const data::Mnist mnist = load_mnist(folder.path());
  for (const LabelledImages& set : {mnist.train, mnist.test}) {
    REQUIRE(set.images.shape() == Shape{count, 1, 28, 28});
    REQUIRE(set.labels.shape() == Shape{count});
    for (int64_t i = 0; i < set.images.numel(); ++i)
      REQUIRE(set.images.data<float>()[i] == static_cast<float>(i * i % 251) / 255.0f);
    for (int64_t i = 0; i < count; ++i) REQUIRE(set.labels.data<int64_t>()[i] == i % 10);
  }
}

TEST_CASE("a gzip file of several members is unpacked as gzip does") {
  const Folder folder;
  const std::string good = images_file(), empty_member = gzip("");
  const Tensor expected = [&] {
    write_bytes(folder / "x", good);
    return load_idx(folder / "x");
  }();
  const std::vector<std::size_t> cuts = {0, 3, 16, 17, 5000, good.size()};
  for (const std::size_t cut : cuts)
    for (const std::string& behind :
         {std::string(), empty_member, std::string(100'000, '\0'), std::string(3, '\0') + empty_member}) {
      INFO(cut << ", " << behind.size());
      write_bytes(folder / "x", gzip(good.substr(0, cut)) + empty_member + gzip(good.substr(cut)) + behind);
      CHECK(equal(load_idx(folder / "x"), expected));
    }
  std::string bytes;
  for (const char c : good.substr(0, 16)) bytes += gzip(std::string(1, c));
  write_bytes(folder / "x", bytes + gzip(good.substr(16)));
  CHECK(equal(load_idx(folder / "x"), expected));
}

TEST_CASE("a gzip file is known by its content, not its name") {
  const Folder folder;
  write_bytes(folder / "a", gzip(labels_file()));
  write_bytes(folder / "b.gz", labels_file());
  CHECK(equal(load_idx(folder / "a"), load_idx(folder / "b.gz")));
}

TEST_CASE("mnist's files must be what they should be") {
  struct Row {
    const char* name;
    Change images, labels;
    const char* message;
  };
  const Change as_is = [](std::string&) {};
  const Row rows[] = {
      {"labels in place of images", [](std::string& b) { b = labels_file(); }, as_is,
       "idx3-ubyte: expected bytes of shape (20, 28, 28), as many as there are labels, got shape (20,) and dtype "
       "uint8"},
      {"images in place of labels", as_is, [](std::string& b) { b = images_file(); },
       "idx1-ubyte: expected at least one label in a list of bytes, got shape (20, 28, 28) and dtype uint8"},
      {"no labels", as_is,
       [](std::string& b) {
         b = words({0x801, 0});
       },
       "at least one label in a list of bytes"},
      {"labels of four bytes", as_is,
       [](std::string& b) {
         b = words({0xc01, 1, 3});
       },
       "got shape (1,) and dtype int32"},
      {"one image less", [](std::string& b) { word(4, count - 1)(b), b.resize(b.size() - 784); }, as_is,
       "got shape (19, 28, 28)"},
      {"27 rows", [](std::string& b) { word(8, 27)(b), b.resize(16 + count * 27 * 28); }, as_is,
       "got shape (20, 27, 28)"},
      {"29 columns", [](std::string& b) { word(12, 29)(b), b.resize(16 + count * 28 * 29); }, as_is,
       "got shape (20, 28, 29)"},
      {"first label 10", as_is, byte(8, 10), "expected labels from 0 to 9, got 10 at index 0"},
      {"last label 255", as_is, byte(8 + count - 1, 255), "expected labels from 0 to 9, got 255 at index 19"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const Folder folder;
    write_mnist(folder, changed(images_file(), row.images), changed(labels_file(), row.labels));
    const std::string text = refusal([&] { load_mnist(folder.path()); });
    CHECK_THAT(text, StartsWith("load_mnist: " + folder.path()) && ContainsSubstring(row.message));
  }
}

TEST_CASE("mnist's files that are missing or no files are refused") {
  CHECK(refusal([&] { load_mnist(""); }) == "load_mnist: expected a directory, got an empty path");
  const Folder folder;
  CHECK(
      refusal([&] { load_mnist(folder.path()); }) ==
      "load_mnist: " + folder.path() +
          ": expected train-images-idx3-ubyte (or train-images.idx3-ubyte, either perhaps with .gz), got none of them");
  write_bytes(folder / "train-images-idx3-ubyte", images_file());
  write_bytes(folder / "train-labels-idx1-ubyte", labels_file());
  CHECK_THAT(refusal([&] { load_mnist(folder.path()); }), ContainsSubstring("expected t10k-images-idx3-ubyte"));
  write_mnist(folder, images_file(), labels_file());
  std::filesystem::remove(folder / "t10k-labels-idx1-ubyte");
  REQUIRE(mkfifo((folder / "t10k-labels-idx1-ubyte").c_str(), 0600) == 0);  // reading would wait for ever
  CHECK_THAT(refusal([&] { load_mnist(folder.path()); }), ContainsSubstring("expected a regular file, got a pipe"));
}

}  // namespace test_idx
