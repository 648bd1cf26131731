#include <limpid/core/io/image.hpp>
#include <limpid/tests/core/io/file_tests.hpp>
#include <limpid/tests/message_of.hpp>

#include <zlib.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace test_image {

using namespace limpid;

std::string big_endian(uint32_t value) { return raw(__builtin_bswap32(value)); }

std::string zlib_packed(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string packed(size, '\0');
  REQUIRE(compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                   bytes.size()) == Z_OK);
  packed.resize(size);
  return packed;
}

std::string chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(static_cast<uint32_t>(crc));
}

const std::string png_start = "\x89PNG\r\n\x1a\n";

/// A PNG file made here, byte by byte; rows are as the filter byte 0 leaves them.
struct Png {
  uint32_t width = 1, height = 1;
  int depth = 8, colour = 0, interlace = 0;
  std::string rows = std::string(2, '\0');
  std::string between = {};  // chunks between header and pixels

  std::string header() const {
    std::string data = big_endian(width) + big_endian(height);
    for (const int byte : {depth, colour, 0, 0, interlace}) data += static_cast<char>(byte);
    return chunk("IHDR", data);
  }
  std::string bytes() const {
    return png_start + header() + between + chunk("IDAT", zlib_packed(rows)) + chunk("IEND", "");
  }
};

Tensor loaded(const Png& png) {
  const Folder folder;
  write_bytes(folder / "a.png", png.bytes());
  return load_image(folder / "a.png");
}

std::vector<int> values(const Tensor& image) { return {image.data<uint8_t>(), image.data<uint8_t>() + image.numel()}; }

Tensor random_image(const Shape& shape) {
  Tensor x = empty(shape, uint8);
  std::mt19937 random(static_cast<unsigned>(x.numel()));
  // Smooth here, noisy there, so that every filter of the writer's has its rows.
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<uint8_t>()[i] = static_cast<uint8_t>(i / 3 + (i / 64 % 3 == 0 ? random() % 256 : random() % 3));
  return x;
}

TEST_CASE("images come back as they were saved") {
  const Folder folder;
  const std::pair<int64_t, int64_t> size =
      GENERATE(std::pair<int64_t, int64_t>{1, 1}, std::pair<int64_t, int64_t>{2, 3},
               std::pair<int64_t, int64_t>{41, 97}, std::pair<int64_t, int64_t>{300, 1});
  const int64_t channels = GENERATE(1, 2, 3, 4);
  const Tensor image = random_image({channels, size.first, size.second});
  save_image(folder / "a.png", image);
  CHECK(equal(load_image(folder / "a.png"), image));
  CHECK(read_bytes(folder / "a.png").substr(0, 8) == png_start);
  if (channels == 1) {
    save_image(folder / "b.PNG", detail::make_view(image, {size.first, size.second}, {size.second, 1}, 0));
    CHECK(equal(load_image(folder / "b.PNG"), image));
  }
}

TEST_CASE("images of any strides are saved as they read") {
  const Folder folder;
  const Tensor image = random_image({3, 8, 6});
  // The same picture on its side: axes 1 and 2 exchanged.
  save_image(folder / "a.png", detail::make_view(image, {3, 6, 8}, {48, 1, 6}, 0));
  const Tensor turned = load_image(folder / "a.png");
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t y = 0; y < 8; ++y)
      for (int64_t x = 0; x < 6; ++x)
        REQUIRE(turned.data<uint8_t>()[c * 48 + x * 8 + y] == image.data<uint8_t>()[c * 48 + y * 6 + x]);
}

TEST_CASE("floating-point images are rounded to the nearest of 256 steps") {
  const Folder folder;
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const DType dtype = GENERATE(float32, float64, float16, bfloat16);
  const Tensor image = detail::as_dtype(
      tensor({0, 1, 0.5, 0.25, 0.9999, -0.001, 1.004, -infinity, infinity, nan, 1e-30, 128.0 / 255}, float64), dtype);
  save_image(folder / "a.png", detail::make_view(image, {1, 3, 4}, {12, 4, 1}, 0));
  const int last = dtype == float16 || dtype == float32 || dtype == float64 ? 128 : 127;  // bfloat16 has 8 bits
  const std::vector<int> want{0, 255, 128, 64, 255, 0, 255, 0, 255, 0, 0, last};
  std::vector<int> got = values(load_image(folder / "a.png"));
  if (dtype == bfloat16) got[11] = last;  // between the two
  CHECK(got == want);

  // Every byte survives the way to floats and back.
  Tensor bytes = empty({1, 16, 16}, uint8), floats = empty({1, 16, 16});
  std::iota(bytes.data<uint8_t>(), bytes.data<uint8_t>() + 256, uint8_t{0});
  for (int i = 0; i < 256; ++i) floats.data<float>()[i] = static_cast<float>(i) / 255.0f;
  save_image(folder / "b.png", floats);
  CHECK(equal(load_image(folder / "b.png"), bytes));
}

TEST_CASE("what cannot be an image is not saved") {
  const Folder folder;
  const std::string path = folder / "a.png";
  CHECK(refusal<ValueError>([&] { save_image(path, Tensor{}); }) ==
        "save_image: " + path + ": expected a defined tensor, got an undefined one");
  for (const Shape& shape : {Shape{}, Shape{4}, Shape{1, 3, 4, 4}})
    CHECK_THAT(refusal<ShapeError>([&] { save_image(path, zeros(shape)); }),
               ContainsSubstring(path + ": expected an image of shape (C, H, W) or (H, W), got shape ("));
  for (const Shape& shape : {Shape{0, 4, 4}, Shape{5, 4, 4}, Shape{3, 0, 4}, Shape{3, 4, 0}, Shape{0, 4}})
    CHECK_THAT(refusal<ShapeError>([&] { save_image(path, zeros(shape)); }),
               ContainsSubstring("expected 1 to 4 channels of at least one pixel, got shape ("));
  for (const DType dtype : {int32, int64, bool_})
    CHECK_THAT(refusal<DTypeError>([&] {
                 save_image(path, zeros({1, 2, 2}, dtype));
               }),
               ContainsSubstring("expected uint8 or a floating-point dtype, got "));
  for (const char* name : {"a.jpg", "a", "png", "a.png.bak", ".pn"})
    CHECK_THAT(refusal<ValueError>([&] {
                 save_image(folder / name, zeros({1, 2, 2}));
               }),
               EndsWith(": expected a path that ends in .png, got another"));
  // One byte, seen as many: there is no memory to be taken for these.
  const Tensor one = zeros({1}, uint8);
  for (const Shape& shape : {Shape{1, 1 << 15, 1 << 15}, Shape{1, 1, int64_t{1} << 40}, Shape{1, int64_t{1} << 40, 1},
                             Shape{1, 1, (1 << 24) + 1}, Shape{1, (1 << 24) + 1, 1}})
    CHECK_THAT(refusal<ShapeError>([&] {
                 save_image(path, detail::make_view(one, shape, {0, 0, 0}, 0));
               }),
               ContainsSubstring("expected sides of at most 2^24 and at most 2^30 bytes, got shape ("));
  CHECK(folder.empty());
  CHECK_THAT(refusal([&] {
               save_image(folder / "no/such/a.png", zeros({1, 2, 2}));
             }),
             ContainsSubstring("cannot create"));
  CHECK_THAT(refusal([&] { save_image("/dev/full/a.png", zeros({1, 2, 2})); }), ContainsSubstring("cannot create"));
}

TEST_CASE("a failed save leaves the image that was there") {
  const Folder folder;
  save_image(folder / "a.png", ones({1, 2, 2}));
  refusal<DTypeError>([&] { save_image(folder / "a.png", zeros({1, 2, 2}, int64)); });
  CHECK(values(load_image(folder / "a.png")) == std::vector<int>(4, 255));
}

TEST_CASE("every kind of png is read") {
  const std::string red_green_blue("\xff\0\0\0\xff\0\0\0\xff", 9);
  struct Row {
    const char* name;
    Png png;
    Shape shape;
    std::vector<int> pixels;
  };
  const Row rows[] = {
      {"grey, 1 bit", {3, 1, 1, 0, 0, std::string("\0\xa0", 2)}, {1, 1, 3}, {255, 0, 255}},
      {"grey, 2 bits", {4, 1, 2, 0, 0, std::string("\0\x1b", 2)}, {1, 1, 4}, {0, 85, 170, 255}},
      {"grey, 4 bits", {2, 1, 4, 0, 0, std::string("\0\x3f", 2)}, {1, 1, 2}, {51, 255}},
      {"grey", {2, 2, 8, 0, 0, std::string("\0\1\2\0\3\4", 6)}, {1, 2, 2}, {1, 2, 3, 4}},
      {"grey, 16 bits, rounded",
       {5, 1, 16, 0, 0, std::string("\0\0\x80\0\x81\0\xff\xff\x7e\xff\xff", 11)},
       {1, 1, 5},
       {0, 1, 1, 254, 255}},
      {"grey, one value transparent",
       {2, 1, 8, 0, 0, std::string("\0\7\x8", 3), chunk("tRNS", std::string("\0\7", 2))},
       {2, 1, 2},
       {7, 8, 0, 255}},
      {"grey and alpha", {2, 1, 8, 4, 0, std::string("\0\1\2\3\4", 5)}, {2, 1, 2}, {1, 3, 2, 4}},
      {"rgb", {2, 1, 8, 2, 0, std::string("\0\1\2\3\4\5\6", 7)}, {3, 1, 2}, {1, 4, 2, 5, 3, 6}},
      {"rgb, 16 bits", {1, 1, 16, 2, 0, std::string("\0\1\1\2\2\xff\xff", 7)}, {3, 1, 1}, {1, 2, 255}},
      {"rgba", {1, 1, 8, 6, 0, std::string("\0\1\2\3\4", 5)}, {4, 1, 1}, {1, 2, 3, 4}},
      {"palette",
       {4, 1, 8, 3, 0, std::string("\0\2\1\0\3", 5), chunk("PLTE", red_green_blue)},
       {3, 1, 4},
       {0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0}},  // the index 3 has no colour: black
      {"palette, 2 bits, transparent",
       {2, 1, 2, 3, 0, std::string("\0\x40", 2), chunk("PLTE", red_green_blue) + chunk("tRNS", "\x40")},
       {4, 1, 2},
       {0, 255, 255, 0, 0, 0, 255, 64}},
      {"with notes",
       {1, 1, 8, 0, 0, std::string("\0\5", 2), chunk("tEXt", "by\0me") + chunk("gAMA", "abcd")},
       {1, 1, 1},
       {5}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    // A palette of 256 colours first: they must not shine through where the next one has fewer.
    loaded({1, 1, 8, 3, 0, std::string("\0\7", 2), chunk("PLTE", std::string(768, 'c'))});
    const Tensor image = loaded(row.png);
    CHECK(image.shape() == row.shape);
    CHECK(values(image) == row.pixels);
  }
}

TEST_CASE("interlaced pngs are read") {
  // Adam7: the pixels of an 11 x 9 picture in seven passes.
  const int x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1}, dx[] = {8, 8, 4, 4, 2, 2, 1},
            dy[] = {8, 8, 8, 4, 4, 2, 2};
  Png png{11, 9, 8, 0, 1, ""};
  for (int pass = 0; pass < 7; ++pass)
    for (int y = y0[pass]; y < 9; y += dy[pass]) {
      png.rows += '\0';
      for (int x = x0[pass]; x < 11; x += dx[pass]) png.rows += static_cast<char>(11 * y + x);
    }
  std::vector<int> want(99);
  std::iota(want.begin(), want.end(), 0);
  CHECK(values(loaded(png)) == want);
}

TEST_CASE("pixels in many chunks are one picture") {
  const std::string packed = zlib_packed(std::string("\0\1\2\0\3\4", 6));
  std::string bytes = png_start + Png{2, 2}.header();
  for (const char c : packed) bytes += chunk("IDAT", std::string(1, c)) + chunk("IDAT", "");
  const Folder folder;
  write_bytes(folder / "a.png", bytes + chunk("IEND", ""));
  CHECK(values(load_image(folder / "a.png")) == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("malformed pngs are refused in one line") {
  const Png good{2, 2, 8, 0, 0, std::string("\0\1\2\0\3\4", 6)};
  const auto with_header = [&](auto change) {
    Png png = good;
    change(png);
    return png.bytes();
  };
  const auto with_chunks = [&](const std::string& chunks) { return png_start + good.header() + chunks; };
  const std::string pixels = chunk("IDAT", zlib_packed(good.rows)), end = chunk("IEND", "");
  const std::string palette = chunk("PLTE", "rgb");
  std::string wrong_crc = good.bytes(), long_chunk = good.bytes(), wrong_sum = zlib_packed(good.rows);
  wrong_sum.back() = static_cast<char>(wrong_sum.back() ^ 1);
  wrong_crc[41] = static_cast<char>(wrong_crc[41] ^ 1);
  long_chunk.replace(33, 4, "\x7f\xff\xff\xff");
  check_malformed(
      {
          {"empty", "", "offset 0: expected the signature '\\x89PNG' of a PNG file, got ''"},
          {"a jpeg", "\xff\xd8\xff\xe0 and so on", "expected the signature '\\x89PNG' of a PNG file, got '\\xff\\xd8"},
          {"text", "P5 1 1 255 .", "expected the signature '\\x89PNG' of a PNG file, got 'P5 1'"},
          {"signature through a text transfer", "\x89PNG\n\x1a\n" + good.bytes().substr(8), "expected the signature"},
          {"no header", png_start + pixels + end, "offset 8: expected a chunk 'IHDR' of 13 bytes first, got 'IDAT'"},
          {"a short header", png_start + chunk("IHDR", "123") + pixels + end, "got 'IHDR' of 3"},
          {"an iphone's", png_start + chunk("CgBI", "1234") + good.bytes().substr(8), "got 'CgBI' of 4"},
          {"two headers", with_chunks(good.header() + pixels + end), "that the standard has, got 'IHDR'"},
          {"unknown critical chunk", with_chunks(chunk("ABCD", "") + pixels + end), "got 'ABCD'"},
          {"wrong CRC", wrong_crc, "offset 33: expected a chunk 'IDAT' with a right CRC, got a wrong one"},
          {"a chunk beyond the end", long_chunk, "expected 2147483647 bytes of a chunk, got "},
          {"no width", with_header([](Png& p) { p.width = 0; }), "got 0 x 2 pixels"},
          {"no height", with_header([](Png& p) { p.height = 0; }), "got 2 x 0 pixels"},
          {"as wide as can be", with_header([](Png& p) { p.width = 0xffffffff; }),
           "offset 16: expected sizes from 1 to 2^24, and at most 2^30 bytes, got 4294967295 x 2 pixels"},
          {"as large as can be", with_header([](Png& p) { p.width = p.height = 0xffffffff; }),
           "got 4294967295 x 4294967295 pixels"},
          {"rgba of 2^30 pixels", with_header([](Png& p) { p.width = p.height = 1 << 15, p.colour = 6; }),
           "at most 2^30 bytes, got 32768 x 32768"},
          {"more than the file can hold", with_header([](Png& p) { p.width = p.height = 4096; }),
           "expected a size that 71 bytes can hold, got 4096 x 4096 pixels"},
          {"larger than its pixels", with_header([](Png& p) { p.height = 3; }), "expected 9 bytes of pixels, got 6"},
          {"smaller than its pixels", with_header([](Png& p) { p.height = 1; }),
           "expected no more pixels than the header"},
          {"a byte of pixels more", with_header([](Png& p) { p.rows += '\0'; }),
           "expected no more pixels than the header"},
          {"wrong checksum of the pixels", with_chunks(chunk("IDAT", wrong_sum) + end),
           "with their checksum, got others"},
          {"bytes behind the pixels", with_chunks(chunk("IDAT", zlib_packed(good.rows) + "ab") + end),
           "offset 0: expected the end of the pixels, got 2 bytes more"},
          {"compression 1", png_start + chunk("IHDR", std::string("\0\0\0\2\0\0\0\2\x8\0\1\0\0", 13)) + pixels + end,
           "expected compression 0, filter 0 and interlace 0 or 1, got 1, 0 and 0"},
          {"depth 3", with_header([](Png& p) { p.depth = 3; }), "offset 24: expected a depth and a colour type"},
          {"colour 5", with_header([](Png& p) { p.colour = 5; }), "that go together, got 8 bits and type 5"},
          {"colour 255", with_header([](Png& p) { p.colour = 255; }), "that go together, got 8 bits and type 255"},
          {"interlace 2", with_header([](Png& p) { p.interlace = 2; }), "offset 26: expected compression 0"},
          {"filter 5", with_header([](Png& p) { p.rows[0] = 5; }), "expected a sound PNG image"},
          {"no palette", with_header([](Png& p) { p.colour = 3; }), "expected a sound PNG image"},
          {"palette of 4 bytes", with_chunks(chunk("PLTE", "rgbr") + pixels + end), "of 1 to 256 colours before"},
          {"palette of 257", with_chunks(chunk("PLTE", std::string(771, 'r')) + pixels + end), "got 771 bytes"},
          {"two palettes", with_chunks(palette + palette + pixels + end), "expected one palette"},
          {"palette after pixels", with_chunks(pixels + palette + end), "expected one palette"},
          {"transparency of 1 byte", with_chunks(chunk("tRNS", "a") + pixels + end), "expected a sound PNG image"},
          {"transparency after pixels", with_chunks(pixels + chunk("tRNS", "ab") + end),
           "expected transparency before the pixels, got it behind them"},
          {"no pixels", with_chunks(end), "offset 33: expected pixels before the end, got none"},
          {"empty pixels", with_chunks(chunk("IDAT", "") + end), "offset 45: expected pixels before the end, got none"},
          {"pixels that are no zlib stream", with_chunks(chunk("IDAT", "no zlib") + end), "pixels that zlib packed"},
          {"zlib stream cut", with_chunks(chunk("IDAT", zlib_packed(good.rows).substr(0, 6)) + end),
           "pixels that zlib packed"},
          {"no end", with_chunks(pixels), "expected 8 bytes of a chunk's length and type, got 0 to the end"},
          {"bytes behind the end", good.bytes() + "more",
           "expected the end of the file after 'IEND', got 4 bytes more"},
      },
      [](const std::string& path) { load_image(path); });
}

TEST_CASE("depths and colour types that do not go together are refused") {
  for (int colour = 0; colour < 8; ++colour)
    for (int depth = 0; depth <= 17; ++depth) {
      const bool whole = depth == 8 || depth == 16, part = depth == 1 || depth == 2 || depth == 4;
      const bool standard = colour == 0   ? whole || part
                            : colour == 3 ? depth == 8 || part
                                          : (colour == 2 || colour == 4 || colour == 6) && whole;
      const Png png{1, 1, depth, colour, 0, std::string(9, '\0'), chunk("PLTE", "abc")};
      INFO(depth << " bits of type " << colour);
      const std::string message = message_of([&] { loaded(png); });
      CHECK((message.find("that go together") == std::string::npos) == standard);
    }
}

TEST_CASE("what a png's pixels inflate to is bounded by its header") {
  // One pixel, and 16 MiB of zeros in 16 KiB.
  std::string packed;
  z_stream stream{};
  REQUIRE(deflateInit(&stream, 9) == Z_OK);
  std::string zeros_piece(1 << 20, '\0'), out(1 << 20, '\0');
  for (int i = 0; i < 16; ++i) {
    stream.next_in = reinterpret_cast<Bytef*>(zeros_piece.data());
    stream.avail_in = static_cast<uInt>(zeros_piece.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, i == 15 ? Z_FINISH : Z_NO_FLUSH);
    packed.append(out, 0, out.size() - stream.avail_out);
  }
  deflateEnd(&stream);
  const Folder folder;
  write_bytes(folder / "a.png", png_start + Png{}.header() + chunk("IDAT", packed) + chunk("IEND", ""));
  CHECK_THAT(refusal([&] { load_image(folder / "a.png"); }),
             EndsWith("expected no more pixels than the header says, got more"));
  CHECK(values(loaded(Png{})) == std::vector<int>{0});  // the bound ends with its picture
}

TEST_CASE("pngs cut short are refused") {
  check_truncations(Png{2, 2, 8, 3, 0, std::string("\0\1\2\0\0\1", 6), chunk("PLTE", "abcdefghi")}.bytes(),
                    [](const std::string& path) { load_image(path); });
}

TEST_CASE("no changed byte of a png crashes or goes unnoticed", "[long]") {
  const Png png{5, 4, 8, 3, 0, std::string(24, '\0'), chunk("PLTE", "abcdefghi") + chunk("tRNS", "\x40")};
  check_mutations(
      png.bytes(), [](const std::string& path) { load_image(path); }, 2000);
}

TEST_CASE("changed chunks with right checksums do not crash", "[long]") {
  const Folder folder;
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  int refused = 0;
  constexpr int rounds = 3000;
  for (int round = 0; round < rounds; ++round) {
    Png png{static_cast<uint32_t>(1 + below(9)), static_cast<uint32_t>(1 + below(9))};
    png.depth = 1 << below(5), png.colour = static_cast<int>(below(7)), png.interlace = static_cast<int>(below(2));
    std::string rows(1 + below(700), '\0'), palette(3 * (1 + below(256)), 'p'), transparency(below(8), 't');
    // Every other picture has the rows that its header promises, or it would be refused for that alone.
    const bool whole = below(2) != 0;
    if (whole) {
      constexpr std::size_t channels[] = {1, 1, 3, 1, 2, 1, 4};
      png.interlace = 0;
      const std::size_t bits = png.width * channels[png.colour] * static_cast<std::size_t>(png.depth);
      rows.resize(png.height * (1 + (bits + 7) / 8));
    }
    for (char& c : rows) c = static_cast<char>(below(8) ? below(5) : below(256));
    if (whole)
      for (std::size_t row = 0; row < png.height; ++row)
        rows[row * (rows.size() / png.height)] = static_cast<char>(below(5));
    std::string data = zlib_packed(rows);
    for (std::size_t flips = whole ? 0 : below(3); flips > 0; --flips)
      data[below(data.size())] = static_cast<char>(below(256));
    std::string bytes = png_start + png.header();
    if (below(2)) bytes += chunk("PLTE", palette);
    if (below(3) == 0) bytes += chunk("tRNS", transparency);
    write_bytes(folder / "a.png", bytes + chunk("IDAT", data) + chunk("IEND", ""));
    try {
      const Tensor image = load_image(folder / "a.png");
      CHECK(image.numel() > 0);
    } catch (const IOError& error) {
      ++refused;
      if (std::strchr(error.what(), '\n')) FAIL("more than one line: " << error.what());
    }
  }
  CHECK(refused > rounds / 4);
  CHECK(refused < rounds);
}

TEST_CASE("what is no file is no image") {
  const Folder folder;
  CHECK_THAT(refusal([&] { load_image(folder / "none.png"); }), ContainsSubstring("cannot open: No such file"));
  CHECK_THAT(refusal([&] { load_image(folder.path()); }),
             ContainsSubstring("expected a regular file, got a directory"));
}

}  // namespace test_image
