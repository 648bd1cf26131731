#include <sys/stat.h>

#include <fstream>
#include <functional>
#include "../catch.hpp"

#include "digits/idx.hpp"
#include "digits/random.hpp"
#include "digits/synth.hpp"
#include "folder.hpp"

using namespace digits;

namespace {

/// The message of the FileError that `act` throws; empty if it throws none.
std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const FileError& error) {
    return error.what();
  }
  return "";
}

/// Overwrites the big-endian word at `offset`.
std::function<void(Bytes&)> word(std::size_t offset, std::uint32_t value) {
  return [=](Bytes& bytes) {
    for (std::size_t i = 0; i < 4; ++i) bytes.at(offset + i) = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  };
}

std::function<void(Bytes&)> byte(std::size_t offset, std::uint8_t value) {
  return [=](Bytes& bytes) { bytes.at(offset) = value; };
}

std::function<void(Bytes&)> cut_to(std::size_t size) {
  return [=](Bytes& bytes) { bytes.resize(size); };
}

std::function<void(Bytes&)> longer_by(std::size_t size) {
  return [=](Bytes& bytes) { bytes.resize(bytes.size() + size); };
}

enum class Which { images, labels };

struct Case {
  const char* name;
  Which file;
  std::function<void(Bytes&)> spoil;
  std::string message;  ///< what follows the file's path
};

const std::size_t kCount = 20;

}  // namespace

TEST_CASE("idx files round-trip in every spelling, plain and gzipped") {
  const Dataset train = synthesize(300, 5), test = synthesize(50, 6);
  const std::string dot_or_dash = GENERATE(as<std::string>{}, "-", ".");
  const std::string gz = GENERATE(as<std::string>{}, "", ".gz");
  const Folder folder;
  write_idx(folder / ("train-images" + dot_or_dash + "idx3-ubyte" + gz),
            folder / ("train-labels" + dot_or_dash + "idx1-ubyte" + gz), train);
  write_idx(folder / ("t10k-images" + dot_or_dash + "idx3-ubyte" + gz),
            folder / ("t10k-labels" + dot_or_dash + "idx1-ubyte" + gz), test);
  const Mnist mnist = read_mnist(folder.path());
  CHECK(mnist.train.labels == train.labels);
  CHECK(mnist.train.images == train.images);
  CHECK(mnist.test.labels == test.labels);
  CHECK(mnist.test.images == test.images);
}

TEST_CASE("a gzip file is known by its content, not its name") {
  const Dataset set = synthesize(kCount, 5);
  const Folder folder;
  write_file(folder / "images", gzip(idx_images(set)));
  write_file(folder / "labels.gz", idx_labels(set));
  CHECK(read_idx(folder / "images", folder / "labels.gz").images == set.images);
}

TEST_CASE("malformed idx files are refused in one clear line") {
  const Which images = Which::images, labels = Which::labels;
  const Case cases[] = {
      {"empty images", images, cut_to(0), "offset 0: expected 4 bytes of images header, found 0"},
      {"empty labels", labels, cut_to(0), "offset 0: expected 4 bytes of labels header, found 0"},
      {"magic cut", images, cut_to(3), "offset 0: expected 4 bytes of images header, found 3"},
      {"magic of labels in images", images, word(0, 0x801),
       "offset 0: expected 0x00000803 (IDX images) or a gzip file, found 0x00000801"},
      {"magic of images in labels", labels, word(0, 0x803),
       "offset 0: expected 0x00000801 (IDX labels) or a gzip file, found 0x00000803"},
      {"magic in the wrong byte order", images, word(0, 0x03080000),
       "offset 0: expected 0x00000803 (IDX images) or a gzip file, found 0x03080000"},
      {"elements of another type", images, word(0, 0xd03),
       "offset 0: expected 0x00000803 (IDX images) or a gzip file, found 0x00000d03"},
      {"count cut", images, cut_to(6), "offset 4: expected 4 bytes of the number of images, found 2"},
      {"labels' count cut", labels, cut_to(7), "offset 4: expected 4 bytes of the number of labels, found 3"},
      {"no images", images, word(4, 0), "offset 4: expected at least one of images, found a count of 0"},
      {"no labels", labels, word(4, 0), "offset 4: expected at least one of labels, found a count of 0"},
      {"one image less than labels", images, word(4, kCount - 1),
       "offset 4: expected 20 images as in LABELS, found 19"},
      {"four thousand million images", images, word(4, 0xffffffff),
       "offset 4: expected 20 images as in LABELS, found 4294967295"},
      {"rows cut", images, cut_to(8), "offset 8: expected 4 bytes of the number of rows, found 0"},
      {"columns cut", images, cut_to(13), "offset 12: expected 4 bytes of the number of columns, found 1"},
      {"27 rows", images, word(8, 27), "offset 8: expected 28 rows, found 27"},
      {"0 rows", images, word(8, 0), "offset 8: expected 28 rows, found 0"},
      {"29 columns", images, word(12, 29), "offset 12: expected 28 columns, found 29"},
      {"4294967295 columns", images, word(12, 0xffffffff), "offset 12: expected 28 columns, found 4294967295"},
      {"no pixels", images, cut_to(16), "offset 16: expected 15680 bytes for 20 images, found 0"},
      {"last pixel missing", images, cut_to(16 + 20 * 784 - 1),
       "offset 16: expected 15680 bytes for 20 images, found 15679"},
      {"last label missing", labels, cut_to(8 + 19), "offset 8: expected 20 bytes for 20 labels, found 19"},
      {"first label 10", labels, byte(8, 10), "offset 8: expected a label from 0 to 9, found 10"},
      {"last label 255", labels, byte(8 + 19, 255), "offset 27: expected a label from 0 to 9, found 255"},
  };
  const bool zipped = GENERATE(false, true);
  const Dataset set = synthesize(kCount, 5);
  for (const Case& c : cases) {
    INFO(c.name << (zipped ? ", gzipped" : ""));
    const Folder folder;
    Bytes image_bytes = idx_images(set), label_bytes = idx_labels(set);
    c.spoil(c.file == images ? image_bytes : label_bytes);
    const std::string images_path = folder / "images", labels_path = folder / "labels";
    write_file(images_path, zipped ? gzip(image_bytes) : image_bytes);
    write_file(labels_path, zipped ? gzip(label_bytes) : label_bytes);

    std::string expected = (c.file == images ? images_path : labels_path) + ": " + c.message;
    if (const auto at = expected.find("LABELS"); at != std::string::npos) expected.replace(at, 6, labels_path);
    CHECK(message_of([&] { read_idx(images_path, labels_path); }) == expected);
  }
}

TEST_CASE("idx files whose end is not where the header says are refused") {
  struct Row {
    const char* name;
    Which file;
    bool zipped;
    std::function<void(Bytes&)> spoil;
    const char* message;
  };
  const Row rows[] = {
      {"a byte after the images", Which::images, false, longer_by(1),
       "offset 16: expected 15680 bytes for 20 images, found 15681"},
      {"a byte after the labels", Which::labels, false, longer_by(1),
       "offset 8: expected 20 bytes for 20 labels, found 21"},
      {"a byte after the images, gzipped", Which::images, true, longer_by(1),
       "offset 15696: expected the end of the data after 15680 bytes for 20 images, found more"},
      {"a megabyte after the labels, gzipped", Which::labels, true, longer_by(1 << 20),
       "offset 28: expected the end of the data after 20 bytes for 20 labels, found more"},
      {"4 thousand million labels promised, 20 there", Which::labels, false, word(4, 0xffffffff),
       "offset 4: expected 4294967295 images as in LABELS, found 20"},
  };
  const Dataset set = synthesize(kCount, 5);
  for (const Row& row : rows) {
    INFO(row.name);
    const Folder folder;
    Bytes image_bytes = idx_images(set), label_bytes = idx_labels(set);
    row.spoil(row.file == Which::images ? image_bytes : label_bytes);
    write_file(folder / "images", row.zipped ? gzip(image_bytes) : image_bytes);
    write_file(folder / "labels", row.zipped ? gzip(label_bytes) : label_bytes);
    std::string message = row.message;
    if (const auto at = message.find("LABELS"); at != std::string::npos) message.replace(at, 6, folder / "labels");
    CHECK_THAT(message_of([&] { read_idx(folder / "images", folder / "labels"); }), Catch::EndsWith(": " + message));
  }
}

TEST_CASE("headers that agree on a lie cost no memory") {
  const bool zipped = GENERATE(false, true);
  const Dataset set = synthesize(kCount, 5);
  const Folder folder;
  Bytes image_bytes = idx_images(set), label_bytes = idx_labels(set);
  word(4, 0xffffffff)(image_bytes);
  word(4, 0xffffffff)(label_bytes);
  write_file(folder / "images", zipped ? gzip(image_bytes) : image_bytes);
  write_file(folder / "labels", zipped ? gzip(label_bytes) : label_bytes);
  CHECK(message_of([&] { read_idx(folder / "images", folder / "labels"); }) ==
        (folder / "labels") + ": offset 8: expected 4294967295 bytes for 4294967295 labels, found 20");
}

TEST_CASE("corrupt gzip streams are refused in one clear line") {
  struct Row {
    const char* name;
    std::function<void(Bytes&)> spoil;
    const char* message;
  };
  const Row rows[] = {
      {"unknown method", byte(2, 9),
       "of the gzip file: expected a valid gzip stream, found unknown compression method"},
      {"header cut", cut_to(5), "offset 5 of the gzip file: expected more compressed data, found the end of the file"},
      {"stream cut", [](Bytes& b) { b.resize(b.size() / 2); },
       "expected more compressed data, found the end of the file"},
      {"checksum cut", [](Bytes& b) { b.resize(b.size() - 1); },
       "expected more compressed data, found the end of the file"},
      {"wrong checksum", [](Bytes& b) { b[b.size() - 8] ^= 1; },
       "expected a valid gzip stream, found incorrect data check"},
      {"wrong length", [](Bytes& b) { b[b.size() - 4] ^= 1; },
       "expected a valid gzip stream, found incorrect length check"},
      {"invalid block", byte(10, 0xff), "expected a valid gzip stream, found invalid"},
      {"bytes behind the stream", longer_by(3), "expected the end of the file after the gzip stream, found more bytes"},
  };
  const Dataset set = synthesize(kCount, 5);
  for (const Row& row : rows) {
    INFO(row.name);
    const Folder folder;
    Bytes bytes = gzip(idx_images(set));
    row.spoil(bytes);
    write_file(folder / "images.gz", bytes);
    write_file(folder / "labels", idx_labels(set));
    const std::string message = message_of([&] { read_idx(folder / "images.gz", folder / "labels"); });
    CHECK_THAT(message, Catch::StartsWith((folder / "images.gz") + ": offset ") && Catch::Contains(row.message));
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("no changed byte of a gzipped idx file is misread") {
  const Dataset set = synthesize(3, 5);
  const Folder folder;
  const Bytes good = gzip(idx_images(set));
  write_file(folder / "labels", idx_labels(set));
  Random random(7, 0);
  for (std::size_t trial = 0; trial < 300; ++trial) {
    Bytes bytes = good;
    const auto at = trial < 40 ? trial : static_cast<std::size_t>(random.below(static_cast<int>(bytes.size())));
    bytes[at] ^= static_cast<std::uint8_t>(1 + random.below(255));
    write_file(folder / "images", bytes);
    // A few bytes of the gzip header (time, system) mean nothing; any other change must be noticed, never misread.
    const std::string message = message_of([&] {
      if (read_idx(folder / "images", folder / "labels").images != set.images) FAIL("byte " << at << " went unnoticed");
    });
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("files that are missing or no files are refused") {
  const Folder folder;
  const Dataset set = synthesize(2, 5);
  CHECK(message_of([&] { read_mnist(folder.path()); }) ==
        folder.path() +
            ": expected train-images-idx3-ubyte (or train-images.idx3-ubyte, either perhaps with .gz), "
            "found none of them");
  write_idx(folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte", set);
  CHECK(message_of([&] { read_mnist(folder.path()); }) ==
        folder.path() +
            ": expected t10k-images-idx3-ubyte (or t10k-images.idx3-ubyte, either perhaps with .gz), "
            "found none of them");
  CHECK(message_of([&] { read_idx(folder / "nowhere", folder / "train-labels-idx1-ubyte"); }) ==
        (folder / "nowhere") + ": expected a file, found nothing there");
  CHECK(message_of([&] { read_idx(folder.path(), folder / "train-labels-idx1-ubyte"); }) ==
        folder.path() + ": expected a file, found a directory or device");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(message_of([&] { read_idx(folder / "pipe", folder / "train-labels-idx1-ubyte"); }) ==
        (folder / "pipe") + ": expected a file, found a directory or device");
}

TEST_CASE("files are written whole or not at all") {
  const Folder folder;
  const Bytes bytes{1, 2, 3};
  CHECK(message_of([&] { write_file(folder / "no/such/folder", bytes); }) ==
        (folder / "no/such/folder") + ": cannot create: No such file or directory");
  std::filesystem::create_directories(folder / "taken/inside");
  CHECK_THAT(message_of([&] { write_file(folder / "taken", bytes); }), Catch::Contains(": cannot rename into place: "));
  std::filesystem::remove_all(folder / "taken");
  CHECK(folder.empty());  // no temporary file stays behind
}
