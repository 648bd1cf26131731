#include "idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <new>

#include "input_file.hpp"

namespace digits {
namespace {

constexpr std::uint32_t kImagesMagic = 0x00000803, kLabelsMagic = 0x00000801;  // bytes, in three and in one dimension

std::string hex(std::uint32_t v) {
  std::string text = "0x00000000";
  for (std::size_t i = 9; v != 0; v >>= 4, --i) text[i] = "0123456789abcdef"[v & 15];
  return text;
}

[[noreturn]] void fail(const InputFile& file, std::uint64_t offset, const std::string& expected,
                       const std::string& found) {
  throw FileError(file.path() + ": offset " + std::to_string(offset) + ": expected " + expected + ", found " + found);
}

/// One IDX file, its header read and checked, its items yet to come.
class IdxFile {
 public:
  IdxFile(const std::string& path, std::uint32_t magic, const char* kind) : file_(path) {
    const std::uint32_t found = word(std::string(kind) + " header");
    if (found != magic) fail(file_, 0, hex(magic) + " (IDX " + kind + ") or a gzip file", hex(found));
    count_ = word("the number of " + std::string(kind));
    if (count_ == 0) fail(file_, 4, "at least one of " + std::string(kind), "a count of 0");
    kind_ = kind;
  }

  std::uint32_t count() const { return count_; }

  void expect_count(std::uint32_t count, const std::string& reason) const {
    if (count_ != count) fail(file_, 4, std::to_string(count) + " " + kind_ + reason, std::to_string(count_));
  }

  void expect_side(const char* axis) {
    const std::uint64_t offset = file_.offset();
    const std::uint32_t side = word(std::string("the number of ") + axis);
    if (side != kSide) fail(file_, offset, std::to_string(kSide) + " " + axis, std::to_string(side));
  }

  /// Hands out the whole body, `item` bytes per item, in pieces: use(bytes, offset of the first). The body must end
  /// exactly where the header says.
  template <class Use>
  void body(std::uint64_t item, Use use) {
    const std::uint64_t start = file_.offset(), size = count_ * item, end = start + size;
    const std::string expected = std::to_string(size) + " bytes for " + std::to_string(count_) + " " + kind_;
    if (!file_.gzipped() && file_.stored_size() != end)
      fail(file_, start, expected, std::to_string(file_.stored_size() - start));

    Bytes piece(1 << 15);
    while (file_.offset() < end) {
      const std::uint64_t offset = file_.offset();
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), end - offset));
      const std::size_t got = file_.read(std::span(piece).first(wanted));
      use(std::span<const std::uint8_t>(piece).first(got), offset);
      if (got < wanted) fail(file_, start, expected, std::to_string(file_.offset() - start));
    }
    if (file_.read(std::span(piece).first(1)) != 0) fail(file_, end, "the end of the data after " + expected, "more");
  }

  const InputFile& file() const { return file_; }

 private:
  std::uint32_t word(const std::string& what) {
    std::array<std::uint8_t, 4> b;
    const std::uint64_t offset = file_.offset();
    if (const std::size_t got = file_.read(b); got < 4) fail(file_, offset, "4 bytes of " + what, std::to_string(got));
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | std::uint32_t{b[3]};
  }

  InputFile file_;
  std::uint32_t count_ = 0;
  const char* kind_ = "";
};

std::string locate(const std::string& directory, const std::string& stem, const std::string& type) {
  const std::string dash = stem + "-" + type, dot = stem + "." + type;
  for (const std::string& name : {dash, dot, dash + ".gz", dot + ".gz"}) {
    const auto path = std::filesystem::path(directory) / name;
    std::error_code error;
    if (std::filesystem::exists(path, error)) return path.string();
  }
  throw FileError(directory + ": expected " + dash + " (or " + dot + ", either perhaps with .gz), found none of them");
}

void append(Bytes& bytes, std::uint32_t word) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(word >> shift));
}

}  // namespace

Dataset read_idx(const std::string& images_path, const std::string& labels_path) {
  IdxFile labels(labels_path, kLabelsMagic, "labels");
  IdxFile images(images_path, kImagesMagic, "images");
  images.expect_count(labels.count(), " as in " + labels_path);
  images.expect_side("rows");
  images.expect_side("columns");

  Dataset set;
  labels.body(1, [&](std::span<const std::uint8_t> bytes, std::uint64_t offset) {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      if (bytes[i] >= kClasses) fail(labels.file(), offset + i, "a label from 0 to 9", std::to_string(bytes[i]));
    set.labels.insert(set.labels.end(), bytes.begin(), bytes.end());
  });
  images.body(kPixels, [&](std::span<const std::uint8_t> bytes, std::uint64_t) {
    for (const std::uint8_t b : bytes) set.images.push_back(static_cast<float>(b) / 255.0f);
  });
  return set;
}

Mnist read_mnist(const std::string& directory) {
  const auto read = [&](const std::string& part) {
    const std::string images = locate(directory, part + "-images", "idx3-ubyte");
    return read_idx(images, locate(directory, part + "-labels", "idx1-ubyte"));
  };
  Mnist mnist;
  mnist.train = read("train");
  mnist.test = read("t10k");
  return mnist;
}

Bytes idx_images(const Dataset& set) {
  Bytes bytes;
  bytes.reserve(16 + set.images.size());
  for (const std::uint32_t word :
       {kImagesMagic, static_cast<std::uint32_t>(set.size()), std::uint32_t{kSide}, std::uint32_t{kSide}})
    append(bytes, word);
  for (const float v : set.images)
    bytes.push_back(static_cast<std::uint8_t>(std::lround(std::clamp(v, 0.0f, 1.0f) * 255.0f)));
  return bytes;
}

Bytes idx_labels(const Dataset& set) {
  Bytes bytes;
  bytes.reserve(8 + set.size());
  append(bytes, kLabelsMagic);
  append(bytes, static_cast<std::uint32_t>(set.size()));
  for (const std::int64_t label : set.labels) bytes.push_back(static_cast<std::uint8_t>(label));
  return bytes;
}

Bytes gzip(std::span<const std::uint8_t> bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  Bytes packed;
  Bytes piece(1 << 15);
  std::size_t used = 0;
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    const std::size_t n = std::min<std::size_t>(bytes.size() - used, 1u << 30);  // zlib counts in 32 bits
    stream.next_in = const_cast<Bytef*>(bytes.data() + used);                    // and reads only
    stream.avail_in = static_cast<uInt>(n);
    stream.next_out = piece.data();
    stream.avail_out = static_cast<uInt>(piece.size());
    result = deflate(&stream, used + n == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    used += n - stream.avail_in;
    packed.insert(packed.end(), piece.begin(), piece.end() - static_cast<std::ptrdiff_t>(stream.avail_out));
  }
  deflateEnd(&stream);
  return packed;
}

void write_idx(const std::string& images_path, const std::string& labels_path, const Dataset& set) {
  const auto write = [](const std::string& path, const Bytes& bytes) {
    write_file(path, path.ends_with(".gz") ? gzip(bytes) : bytes);
  };
  write(images_path, idx_images(set));
  write(labels_path, idx_labels(set));
}

}  // namespace digits
