// What holds for every format: whole files, own memory, one-line refusals.
#include <limpid/tests/core/io/file_tests.hpp>
#include <limpid/tests/settings.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <functional>

namespace test_files {

using namespace limpid;

struct Format {
  const char* name;
  std::function<Tensor(const std::string&)> load;
  std::function<void(const std::string&, const Tensor&)> save;
};

const std::vector<Format> formats = {
    {"npy", load_npy, save_npy},
    {"npz", [](const std::string& path) { return load_npz(path).at("x"); },
     [](const std::string& path, const Tensor& x) {
       save_npz(path, {{"x", x}});
     }},
    {"safetensors", [](const std::string& path) { return load_safetensors(path).at("x"); },
     [](const std::string& path, const Tensor& x) {
       save_safetensors(path, {{"x", x}});
     }},
};

// Tensors of every rank, and of every layout that views can have.
std::vector<Tensor> samples(DType dtype) {
  const Tensor x = counting({2, 3, 4, 5}, dtype);
  return {counting({}, dtype),
          counting({7}, dtype),
          counting({2, 3}, dtype),
          counting({2, 1, 3}, dtype),
          counting({1, 2, 3, 2}, dtype),
          counting({2, 1, 2, 1, 2}, dtype),
          counting({1, 2, 1, 2, 1, 3}, dtype),
          counting({0}, dtype),
          counting({2, 0, 3}, dtype),
          detail::make_view(x, {5, 4, 3, 2}, {1, 5, 20, 60}, 0),   // permuted
          detail::make_view(x, {2, 3, 2, 5}, {60, 20, 10, 1}, 5),  // every second row, from the second on
          detail::make_view(x, {4, 2, 3}, {0, 0, 1}, 7),           // expanded
          detail::make_view(x, {2, 3, 4, 5}, {60, 1, 15, 3}, 0)};  // channels-last
}

TEST_CASE("every format gives back what it was given") {
  const Folder folder;
  for (const Format& format : formats)
    for (const DType dtype : all_dtypes) {
      if (dtype == bfloat16 && std::string(format.name) != "safetensors") continue;
      for (const Tensor& x : samples(dtype)) {
        INFO(format.name << ", " << dtype << ", " << x.shape());
        format.save(folder / "x", x);
        const Tensor y = format.load(folder / "x");
        CHECK(same_bits(x, y));
        CHECK(y.is_contiguous());
        CHECK(reinterpret_cast<std::uintptr_t>(y.raw_data()) % 64 == 0);
        CHECK(y.is_unique());
      }
    }
}

TEST_CASE("special values keep their bits") {
  const Folder folder;
  Tensor x = empty({6}, float32);
  const uint32_t bits[] = {0x80000000, 0x00000001, 0x7f800000, 0xff800000, 0x7fc12345, 0x7f812345};
  std::memcpy(x.raw_data(), bits, sizeof bits);
  for (const Format& format : formats) {
    format.save(folder / "x", x);
    CHECK(same_bits(format.load(folder / "x"), x));
  }
}

TEST_CASE("a gradient is neither saved nor loaded") {
  const Folder folder;
  Tensor x = counting({3});
  x.set_requires_grad();
  for (const Format& format : formats) {
    format.save(folder / "x", x);
    CHECK(!format.load(folder / "x").requires_grad());
  }
  CHECK(x.requires_grad());
}

TEST_CASE("what is no file is refused by name") {
  const Folder folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  write_bytes(folder / "empty", "");
  for (const Format& format : formats) {
    INFO(format.name);
    const auto message = [&](const std::string& path) { return refusal([&] { format.load(path); }); };
    CHECK(message(folder / "none") ==
          "load_" + std::string(format.name) + ": " + folder / "none" + ": cannot open: No such file or directory");
    CHECK_THAT(message(folder.path()), ContainsSubstring("expected a regular file, got a directory"));
    CHECK_THAT(message("/dev/null"), ContainsSubstring("expected a regular file, got a device"));
    CHECK_THAT(message(folder / "pipe"), ContainsSubstring("expected a regular file, got a pipe"));
    CHECK_THAT(message(folder / "empty"), ContainsSubstring(folder / "empty: offset 0: expected"));
    CHECK_THAT(message(""), ContainsSubstring("cannot open"));
    CHECK_THAT(message(folder / "two\nlines"), ContainsSubstring("two\\x0alines: cannot open"));
    CHECK_THAT(message(folder / std::string("a\0b", 3)), ContainsSubstring("a\\x00b: expected a path without NUL"));
  }
}

TEST_CASE("a save that fails leaves the old file and nothing else") {
  const Folder folder;
  const Tensor old = counting({3}), x = counting({100, 100});
  const auto only_entry = [&] { return std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1; };
  for (const Format& format : formats) {
    INFO(format.name);
    format.save(folder / "x", old);
    CHECK_THAT(refusal<ValueError>([&] { format.save(folder / "x", Tensor{}); }),
               ContainsSubstring("got an undefined"));
    CHECK(only_entry());

    // As on a full disk, write() stops half-way.
    const std::string message = refusal([&] {
      const test::WithSmallFiles with(1000);
      format.save(folder / "x", x);
    });
    CHECK(message == "save_" + std::string(format.name) + ": " + folder / "x" + ": cannot write: File too large");
    CHECK(only_entry());
    CHECK(same_bits(format.load(folder / "x"), old));
  }
}

TEST_CASE("where no file can be, saving is refused") {
  const Folder folder;
  const Tensor x = counting({3});
  for (const Format& format : formats) {
    INFO(format.name);
    const auto message = [&](const std::string& path) { return refusal([&] { format.save(path, x); }); };
    CHECK_THAT(message(""), ContainsSubstring(": expected the path of a file, got \"\""));
    CHECK_THAT(message(folder / "none/x"), ContainsSubstring("none/x: cannot create: No such file or directory"));
    CHECK_THAT(message(folder.path()), ContainsSubstring("expected a regular file, got a directory"));
    CHECK_THAT(message("/dev/null"), ContainsSubstring("expected a regular file, got a device"));
    CHECK_THAT(message(folder / std::string(300, 'x')), ContainsSubstring("File name too long"));
    CHECK_THAT(message(folder / std::string("a\0b", 3)), ContainsSubstring("expected a path without NUL"));
    CHECK(folder.empty());
  }
}

TEST_CASE("saving over a file keeps its mode and the link that leads to it") {
  const Folder folder;
  const Tensor x = counting({3});
  write_bytes(folder / "target", "old");
  std::filesystem::permissions(folder / "target", std::filesystem::perms(0640));
  std::filesystem::create_symlink("target", folder / "link");
  save_npy(folder / "link", x);
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(same_bits(load_npy(folder / "target"), x));
  CHECK(std::filesystem::status(folder / "target").permissions() == std::filesystem::perms(0640));
}

TEST_CASE("names as long as a file system allows can be saved") {
  const Folder folder;
  const std::string name(255, 'x');
  save_npy(folder / name, counting({3}));
  CHECK(same_bits(load_npy(folder / name), counting({3})));
}

}  // namespace test_files
