// https://www.w3.org/TR/2003/REC-PNG-20031110/
#include <limpid/core/io/image.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/io/detail/file.hpp>
#include <limpid/core/io/detail/inflate.hpp>

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace limpid::detail {
namespace {

// Not every want of memory is among the reasons that stb gives for a failure.
thread_local bool out_of_memory = false;

void* realloc_for_stb(void* memory, std::size_t bytes) noexcept {
  void* moved = std::realloc(memory, bytes);
  if (!moved) out_of_memory = true;
  return moved;
}
void* malloc_for_stb(std::size_t bytes) noexcept { return realloc_for_stb(nullptr, bytes); }

// zlib packs better than stb's own deflate.
unsigned char* deflate_for_stb(unsigned char* data, int bytes, int* packed_bytes, int level) noexcept {
  uLongf size = compressBound(static_cast<uLong>(bytes));
  auto* packed = static_cast<unsigned char*>(std::malloc(size));
  if (!packed || compress2(packed, &size, data, static_cast<uLong>(bytes), level) != Z_OK || size > INT_MAX / 2) {
    std::free(packed);
    return nullptr;
  }
  *packed_bytes = static_cast<int>(size);
  return packed;
}

}  // namespace
}  // namespace limpid::detail

// stb's functions, static in this file. A system header to the build, so that its warnings are not ours.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_MALLOC(bytes) limpid::detail::malloc_for_stb(bytes)
#define STBI_REALLOC(memory, bytes) limpid::detail::realloc_for_stb(memory, bytes)
#define STBI_FREE(memory) std::free(memory)
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS limpid::detail::deflate_for_stb
#include <stb_image_write.h>

namespace limpid {

using namespace detail;

namespace {

constexpr std::string_view signature = "\x89PNG\r\n\x1a\n";
constexpr int64_t most_bytes = int64_t{1} << 30;  // of an unpacked image: stb counts in int
constexpr int64_t longest_side = STBI_MAX_DIMENSIONS;

struct Chunk {
  std::string type;
  std::string data;
};

uint32_t big_endian(const char* bytes) noexcept {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return __builtin_bswap32(value);
}

std::string big_endian(uint32_t value) {
  value = __builtin_bswap32(value);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

Chunk read_chunk(Source& file) {
  const uint64_t start = file.offset();
  const std::string head = file.read_string(8, "a chunk's length and type");
  const uint32_t length = big_endian(head.data());
  Chunk chunk{head.substr(4), file.read_string(length, "a chunk")};
  uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(head.data() + 4), 4);
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(chunk.data.data()), chunk.data.size());
  if (file.read_string(4, "a chunk's CRC") != big_endian(static_cast<uint32_t>(crc)))
    file.fail_at(start, "expected a chunk ", in_quotes(chunk.type), " with a right CRC, got a wrong one");
  return chunk;
}

// What the header says of the pixels.
struct PngHeader {
  uint32_t width, height;
  int depth, colour;  ///< bits of a sample; 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  bool interlaced;

  // Table 11.1 of the standard.
  bool is_standard() const noexcept {
    if (depth == 8) return colour == 0 || colour == 2 || colour == 3 || colour == 4 || colour == 6;
    if (depth == 16) return colour == 0 || colour == 2 || colour == 4 || colour == 6;
    return (depth == 1 || depth == 2 || depth == 4) && (colour == 0 || colour == 3);
  }
  int samples() const noexcept { return colour == 2 ? 3 : colour == 4 ? 2 : colour == 6 ? 4 : 1; }
  // What the pixels unpack to: rows, each with a byte of its own in front; interlaced, those of seven images
  // (figure 8.2).
  uint64_t unpacked_bytes() const noexcept {
    const auto image = [&](uint64_t w, uint64_t h) {
      return w == 0 || h == 0 ? 0 : h * (1 + (w * static_cast<uint64_t>(samples() * depth) + 7) / 8);
    };
    if (!interlaced) return image(width, height);
    constexpr uint64_t passes[7][4] = {{0, 8, 0, 8}, {4, 8, 0, 8}, {0, 4, 4, 8}, {2, 4, 0, 4},
                                       {0, 2, 2, 4}, {1, 2, 0, 2}, {0, 1, 1, 2}};
    uint64_t bytes = 0;
    for (const auto& [x, dx, y, dy] : passes) bytes += image((width + dx - 1 - x) / dx, (height + dy - 1 - y) / dy);
    return bytes;
  }
};

PngHeader read_png_header(const Source& file, const Chunk& chunk, uint64_t at) {
  if (chunk.type != "IHDR" || chunk.data.size() != 13)
    file.fail_at(at, "expected a chunk 'IHDR' of 13 bytes first, got ", in_quotes(chunk.type), " of ",
                 chunk.data.size());
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(chunk.data[i]); };
  const PngHeader header{big_endian(chunk.data.data()), big_endian(chunk.data.data() + 4), byte(8), byte(9),
                         byte(12) == 1};
  if (!header.is_standard())
    file.fail_at(at + 16, "expected a depth and a colour type that go together, got ", header.depth, " bits and type ",
                 header.colour);
  if (byte(10) != 0 || byte(11) != 0 || byte(12) > 1)
    file.fail_at(at + 18, "expected compression 0, filter 0 and interlace 0 or 1, got ", int{byte(10)}, ", ",
                 int{byte(11)}, " and ", int{byte(12)});
  const int64_t bytes_per_pixel = header.colour == 3 ? 4 : header.samples() * (header.depth == 16 ? 2 : 1);
  int64_t bytes;
  if (header.width == 0 || header.height == 0 || header.width > longest_side || header.height > longest_side ||
      __builtin_mul_overflow(int64_t{header.width} * bytes_per_pixel, int64_t{header.height}, &bytes) ||
      bytes > most_bytes)
    file.fail_at(at + 8, "expected sizes from 1 to 2^24, and at most 2^30 bytes, got ", header.width, " x ",
                 header.height, " pixels");
  if (header.unpacked_bytes() / max_inflation > file.size())
    file.fail_at(at + 8, "expected a size that ", file.size(), " bytes can hold, got ", header.width, " x ",
                 header.height, " pixels");
  return header;
}

// What the pixels unpack to, of so many bytes exactly, with the right checksum and nothing behind.
std::string unpacked(const Source& file, const std::string& packed, uint64_t bytes) {
  std::string rows(bytes + 1, '\0');
  uLongf size = rows.size();
  uLong used = packed.size();
  const int result =
      uncompress2(reinterpret_cast<Bytef*>(rows.data()), &size, reinterpret_cast<const Bytef*>(packed.data()), &used);
  if (result == Z_MEM_ERROR) throw std::bad_alloc();
  if (size > bytes) file.fail_at(0, "expected no more pixels than the header says, got more");
  if (result != Z_OK) file.fail_at(0, "expected pixels that zlib packed, with their checksum, got others, or fewer");
  if (size != bytes) file.fail_at(0, "expected ", bytes, " bytes of pixels, got ", size);
  if (used != packed.size())
    file.fail_at(0, "expected the end of the pixels, got ", packed.size() - used, " bytes more");
  rows.resize(bytes);
  return rows;
}

// A zlib stream that holds bytes as they are.
std::string stored(const std::string& bytes) {
  constexpr std::size_t longest = 0xffff;
  std::string stream = "\x78\x01";
  stream.reserve(bytes.size() + bytes.size() / longest * 5 + 16);
  for (std::size_t at = 0; at == 0 || at < bytes.size();) {
    const auto length = static_cast<uint16_t>(std::min(longest, bytes.size() - at));
    const auto inverse = static_cast<uint16_t>(~length);
    stream += at + length == bytes.size() ? '\1' : '\0';
    stream.append(reinterpret_cast<const char*>(&length), 2).append(reinterpret_cast<const char*>(&inverse), 2);
    stream.append(bytes, at, length);
    at += length;
  }
  return stream + std::string(4, '\0');  // stb asks for no checksum
}

// The file as stb is to see it: what it needs and no more, all of it checked, in a form in which it takes no byte that
// was not there.
struct Png {
  PngHeader header;
  std::string bytes;
};

Png read_png(Source& file) {
  const std::string start = file.read_string(std::min<uint64_t>(signature.size(), file.size()), "the signature");
  if (start != signature)
    file.fail_at(0, "expected the signature '\\x89PNG' of a PNG file, got ", in_quotes(start.substr(0, 4)));
  const Chunk first = read_chunk(file);
  Png png{read_png_header(file, first, signature.size()), std::string(signature)};
  const auto add = [&](const std::string& type, const std::string& data) {
    png.bytes += big_endian(static_cast<uint32_t>(data.size())) + type + data + std::string(4, '\0');
  };
  add(first.type, first.data);
  std::string palette, pixels;
  for (bool ended = false; !ended;) {
    const uint64_t at = file.offset();
    const Chunk chunk = read_chunk(file);
    if (chunk.type == "PLTE") {
      if (chunk.data.empty() || chunk.data.size() % 3 || chunk.data.size() > 768 || !palette.empty() || !pixels.empty())
        file.fail_at(at, "expected one palette of 1 to 256 colours before the pixels, got ", chunk.data.size(),
                     " bytes");
      palette = chunk.data;
      palette.resize(768);  // an index beyond the palette is black, not what memory holds
      add(chunk.type, palette);
    } else if (chunk.type == "tRNS") {
      if (!pixels.empty()) file.fail_at(at, "expected transparency before the pixels, got it behind them");
      add(chunk.type, chunk.data);
    } else if (chunk.type == "IDAT") {
      pixels += chunk.data;
    } else if (chunk.type == "IEND") {
      if (pixels.empty()) file.fail_at(at, "expected pixels before the end, got none");
      ended = true;
    } else if (!(chunk.type[0] & 0x20)) {
      file.fail_at(at, "expected only critical chunks that the standard has, got ", in_quotes(chunk.type));
    }
  }
  if (file.remaining()) file.fail("expected the end of the file after 'IEND', got ", file.remaining(), " bytes more");
  add("IDAT", stored(unpacked(file, pixels, png.header.unpacked_bytes())));
  add("IEND", "");
  return png;
}

// (H, W, C) to (C, H, W), each value through convert.
template <class T, class Convert>
Tensor planes(const T* pixels, int64_t height, int64_t width, int64_t channels, Convert convert) {
  Tensor image = empty({channels, height, width}, uint8);
  auto* to = image.data<uint8_t>();
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < height * width; ++i) *to++ = convert(pixels[i * channels + c]);
  return image;
}

bool ends_in_png(const std::string& path) {
  constexpr std::string_view suffix = ".png";
  if (path.size() < suffix.size()) return false;
  return std::equal(suffix.begin(), suffix.end(), path.end() - static_cast<std::ptrdiff_t>(suffix.size()),
                    [](char want, char got) { return want == (got >= 'A' && got <= 'Z' ? got + 32 : got); });
}

template <class T>
uint8_t to_byte(T value) noexcept {
  if (!(value > 0)) return 0;
  return value < 1 ? static_cast<uint8_t>(static_cast<double>(value) * 255 + 0.5) : 255;
}

// (C, H, W) to bytes (H, W, C).
template <class T, class Convert>
std::vector<unsigned char> interleaved(const Tensor& image, int64_t channels, Convert convert) {
  const int64_t pixels = image.numel() / channels;
  const T* from = image.data<T>();
  std::vector<unsigned char> bytes(static_cast<std::size_t>(image.numel()));
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < pixels; ++i)
      bytes[static_cast<std::size_t>(i * channels + c)] = convert(from[c * pixels + i]);
  return bytes;
}

}  // namespace

Tensor load_image(const std::string& path) {
  FileSource file("load_image", path);
  if (file.size() > static_cast<uint64_t>(most_bytes))
    file.fail("expected a file of at most 2^30 bytes, got ", file.size());
  const auto [header, png] = read_png(file);

  out_of_memory = false;
  int width = 0, height = 0, channels = 0;
  const auto* bytes = reinterpret_cast<const stbi_uc*>(png.data());
  const auto size = static_cast<int>(png.size());
  const bool deep = header.depth == 16;
  const std::unique_ptr<void, void (*)(void*)> pixels(
      deep ? static_cast<void*>(stbi_load_16_from_memory(bytes, size, &width, &height, &channels, 0))
           : stbi_load_from_memory(bytes, size, &width, &height, &channels, 0),
      [](void* memory) { stbi_image_free(memory); });
  if (!pixels && out_of_memory) throw std::bad_alloc();
  if (!pixels) file.fail_at(0, "expected a sound PNG image, got one that stb refuses: ", stbi_failure_reason());
  if (deep)
    return planes(static_cast<const uint16_t*>(pixels.get()), height, width, channels,
                  [](uint16_t v) { return static_cast<uint8_t>((v + 128) / 257); });
  return planes(static_cast<const uint8_t*>(pixels.get()), height, width, channels, [](uint8_t v) { return v; });
}

void save_image(const std::string& path, const Tensor& image) {
  const std::string name = "save_image: " + printable(path, 4096);
  if (!image.defined()) throw_error<ValueError>(name, ": expected a defined tensor, got an undefined one");
  if (image.dim() != 2 && image.dim() != 3)
    throw_error<ShapeError>(name, ": expected an image of shape (C, H, W) or (H, W), got shape ", image.shape());
  const int64_t channels = image.dim() == 2 ? 1 : image.size(0), height = image.size(-2), width = image.size(-1);
  if (channels < 1 || channels > 4 || height < 1 || width < 1)
    throw_error<ShapeError>(name, ": expected 1 to 4 channels of at least one pixel, got shape ", image.shape());
  // Each row begins with a byte of its own.
  if (width > longest_side || height > longest_side || (width * channels + 1) > most_bytes / height)
    throw_error<ShapeError>(name, ": expected sides of at most 2^24 and at most 2^30 bytes, got shape ", image.shape());
  if (image.dtype() != uint8 && !is_floating_point(image.dtype()))
    throw_error<DTypeError>(name, ": expected uint8 or a floating-point dtype, got ", image.dtype());
  if (!ends_in_png(path)) throw_error<ValueError>(name, ": expected a path that ends in .png, got another");

  const Tensor x = as_contiguous(image);
  std::vector<unsigned char> pixels;
  if (x.dtype() == uint8)
    pixels = interleaved<uint8_t>(x, channels, [](uint8_t v) { return v; });
  else
    pixels = x.dtype() == float64 ? interleaved<double>(x, channels, to_byte<double>)
                                  : interleaved<float>(as_dtype(x, float32), channels, to_byte<float>);
  int size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> png(
      stbi_write_png_to_mem(pixels.data(), 0, static_cast<int>(width), static_cast<int>(height),
                            static_cast<int>(channels), &size),
      &std::free);
  if (!png) throw_error<IOError>(name, ": expected memory for the packed image, got none");
  FileWriter file("save_image", path);
  file.write(std::as_bytes(std::span(png.get(), static_cast<std::size_t>(size))));
  file.commit();
}

}  // namespace limpid
