#include <limpid/nn/data/idx.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/io/detail/inflate.hpp>

#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <new>
#include <vector>

namespace limpid::data {
namespace {

using namespace limpid::detail;

struct Code {
  FileType type;
  int code;
};
using Stored = FileType::Stored;
constexpr Code codes[] = {{uint8, 0x08},   {int32, 0x0c},        {float32, 0x0d},
                          {float64, 0x0e}, {Stored::int8, 0x09}, {Stored::int16, 0x0b}};

uint32_t read_word(Source& source, const char* what) { return __builtin_bswap32(source.read_value<uint32_t>(what)); }

Tensor read_idx(Source& source) {
  const uint32_t magic = read_word(source, "magic");
  const auto* found = std::find_if(std::begin(codes), std::end(codes),
                                   [&](const Code& c) { return static_cast<uint32_t>(c.code) == magic >> 8; });
  if (found == std::end(codes) || (magic & 0xff) == 0)
    source.fail_at(
        0,
        "expected an IDX file of uint8, int8, int16, int32, float32 or float64 (0x00000801 is a list of bytes), or a "
        "gzip file, got ",
        hex(magic));
  if ((magic & 0xff) > max_rank) source.fail_at(3, "expected at most ", max_rank, " axes, got ", magic & 0xff);
  Shape shape;
  for (uint32_t axis = 0; axis < (magic & 0xff); ++axis) shape.push_back(read_word(source, "sizes"));
  source.require(tensor_bytes(source, 4, shape, found->type), "data");
  return read_tensor(source, shape, found->type, true);
}

/// What a gzipped file unpacks to. Its size is the most there can be, for what it is shows only at its end.
class GzipSource final : public Source {
 public:
  explicit GzipSource(const FileSource& file)
      : Source(file.name(), file.size() * max_inflation),
        inflater_(file, 0, file.size(), Inflater::Wrapper::gzip) {}

  void finish() {
    std::byte extra;
    if (inflater_.read(*this, &extra, 1)) fail("expected the end of the data, got more");
  }

 private:
  void fill(std::byte* to, uint64_t bytes) override {
    const uint64_t done = inflater_.read(*this, to, bytes);
    if (done < bytes) fail("expected ", bytes, " more bytes, got ", done);
  }

  Inflater inflater_;
};

Tensor load(const char* op, const std::string& path) {
  FileSource file(op, path);
  unsigned char start[2] = {};
  file.read_at(0, start, std::min<uint64_t>(file.size(), sizeof start));
  if (start[0] == 0x1f && start[1] == 0x8b) {
    GzipSource unpacked(file);
    Tensor x = read_idx(unpacked);
    unpacked.finish();
    return x;
  }
  Tensor x = read_idx(file);
  if (file.remaining()) file.fail("expected the end of the file, got ", file.remaining(), " bytes more");
  return x;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, &deflateEnd);
  std::string packed;
  std::vector<Bytef> piece(1 << 16);
  std::size_t used = 0;
  for (int result = Z_OK; result != Z_STREAM_END;) {
    const std::size_t n = std::min<std::size_t>(bytes.size() - used, 1u << 30);         // zlib counts in 32 bits
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + used));  // and reads only
    stream.avail_in = static_cast<uInt>(n);
    stream.next_out = piece.data();
    stream.avail_out = static_cast<uInt>(piece.size());
    result = deflate(&stream, used + n == bytes.size() ? Z_FINISH : Z_NO_FLUSH);
    used += n - stream.avail_in;
    packed.append(reinterpret_cast<const char*>(piece.data()), piece.size() - stream.avail_out);
  }
  return packed;
}

void append_word(std::string& bytes, uint32_t word) {
  word = __builtin_bswap32(word);
  bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
}

std::string locate(const std::string& directory, const std::string& stem, const std::string& type) {
  const std::string dash = stem + '-' + type, dot = stem + '.' + type;
  for (const std::string& name : {dash, dot, dash + ".gz", dot + ".gz"}) {
    const std::filesystem::path path = std::filesystem::path(directory) / name;
    std::error_code error;
    if (std::filesystem::exists(path, error)) return path.string();
  }
  throw_error<IOError>("load_mnist: ", printable(directory, 4096), ": expected ", dash, " (or ", dot,
                       ", either perhaps with .gz), got none of them");
}

LabelledImages load_pair(const std::string& directory, const std::string& part) {
  constexpr const char* op = "load_mnist";
  constexpr int64_t side = 28;
  constexpr int classes = 10;
  const std::string images_path = locate(directory, part + "-images", "idx3-ubyte");
  const std::string labels_path = locate(directory, part + "-labels", "idx1-ubyte");
  const auto expect = [&](bool good, const std::string& path, const auto&... parts) {
    if (!good) throw_error<IOError>(op, ": ", printable(path, 4096), ": expected ", parts...);
  };
  const Tensor labels = load(op, labels_path);
  expect(labels.dtype() == uint8 && labels.dim() == 1 && labels.numel() > 0, labels_path,
         "at least one label in a list of bytes, got shape ", labels.shape(), " and dtype ", labels.dtype());
  const auto* label = labels.data<uint8_t>();
  const auto* wrong = std::find_if(label, label + labels.numel(), [](uint8_t v) { return v >= classes; });
  if (wrong != label + labels.numel())
    expect(false, labels_path, "labels from 0 to 9, got ", int{*wrong}, " at index ", wrong - label);
  const Tensor images = load(op, images_path);
  expect(images.dtype() == uint8 && images.shape() == Shape{labels.numel(), side, side}, images_path, "bytes of shape ",
         Shape{labels.numel(), side, side}, ", as many as there are labels, got shape ", images.shape(), " and dtype ",
         images.dtype());

  LabelledImages set{empty({labels.numel(), 1, side, side}), as_dtype(labels, int64)};
  const auto* from = images.data<uint8_t>();
  std::transform(from, from + images.numel(), set.images.data<float>(),
                 [](uint8_t v) { return static_cast<float>(v) / 255.0f; });
  return set;
}

}  // namespace

Tensor load_idx(const std::string& path) { return load("load_idx", path); }

void save_idx(const std::string& path, const Tensor& x) {
  const Tensor data = tensor_to_write("save_idx", path, x);
  const std::string name = "save_idx: " + printable(path, 4096);
  const auto fits = [](int64_t size) { return size <= UINT32_MAX; };
  if (x.dim() < 1 || x.dim() > 255 || !std::all_of(x.shape().begin(), x.shape().end(), fits))
    throw_error<ShapeError>(name, ": expected a rank of at least 1 and sizes below 2^32, got shape ", x.shape());
  const auto* found =
      std::find_if(std::begin(codes), std::end(codes), [&](const Code& c) { return c.type.dtype == x.dtype(); });
  if (found == std::end(codes))
    throw_error<DTypeError>(name, ": expected uint8, int32, float32 or float64, got ", x.dtype());

  std::string bytes;
  append_word(bytes, static_cast<uint32_t>(found->code << 8 | static_cast<int>(x.dim())));
  for (const int64_t size : x.shape()) append_word(bytes, static_cast<uint32_t>(size));
  const std::size_t start = bytes.size(), item = x.itemsize();
  bytes.append(static_cast<const char*>(data.raw_data()), static_cast<std::size_t>(data.numel()) * item);
  for (std::size_t i = start; i < bytes.size(); i += item)
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i), bytes.begin() + static_cast<std::ptrdiff_t>(i + item));
  if (path.ends_with(".gz")) bytes = gzip(bytes);
  FileWriter file("save_idx", path);
  file.write(bytes_of(bytes));
  file.commit();
}

Mnist load_mnist(const std::string& directory) {
  if (directory.empty()) throw_error<IOError>("load_mnist: expected a directory, got an empty path");
  Mnist mnist{load_pair(directory, "train"), load_pair(directory, "t10k")};
  return mnist;
}

}  // namespace limpid::data
