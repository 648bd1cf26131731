// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#include <limpid/core/io/npy.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/io/detail/npy.hpp>

#include <algorithm>
#include <cstring>

namespace limpid {
namespace detail {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr uint64_t max_npy_header_bytes = 1 << 20;  // 64 axes need less than 2 KiB

struct Code {
  FileType type;
  std::string_view code;
};
using Stored = FileType::Stored;
constexpr Code codes[] = {{float32, "f4"},       {float64, "f8"},        {float16, "f2"},        {int32, "i4"},
                          {int64, "i8"},         {uint8, "u1"},          {bool_, "b1"},          {Stored::int8, "i1"},
                          {Stored::int16, "i2"}, {Stored::uint16, "u2"}, {Stored::uint32, "u4"}, {Stored::uint64, "u8"},
                          {bool_, "?"},          {float16, "e"}};

// What NumPy has and limpid lacks, by the letter of its code, and how to save it instead.
struct Other {
  char letter;
  const char* what;
};
constexpr Other others[] = {{'U', "text, which is no tensor"},
                            {'S', "bytes of text, which are no tensor"},
                            {'a', "bytes of text, which are no tensor"},
                            {'O', "Python objects, which only Python can read"},
                            {'c', "complex numbers: save the array's .real and .imag"},
                            {'f', "numbers of a width that limpid lacks: save the array's .astype('f8')"},
                            {'M', "dates: save the array's .astype('i8')"},
                            {'m', "times: save the array's .astype('i8')"},
                            {'V', "raw bytes: save the array as one of numbers, bfloat16 by .astype('f4')"}};

struct NpyHeader {
  FileType type = float32;
  bool swap_bytes, fortran_order;
  Shape shape;
};

// A Python dict literal with the keys descr, fortran_order and shape, each once, in any order.
class HeaderParser {
 public:
  HeaderParser(const Source& source, std::string_view text, uint64_t offset)
      : source_(source),
        text_(text),
        offset_(offset) {}

  NpyHeader parse() {
    expect('{', "a Python dict");
    bool has_descr = false, has_order = false, has_shape = false;
    while (!accept('}')) {
      const std::string_view key = string("a key in quotes");
      const std::size_t end = at_;
      expect(':', "a colon");
      if (key == "descr" && !std::exchange(has_descr, true))
        descr();
      else if (key == "fortran_order" && !std::exchange(has_order, true))
        fortran_order();
      else if (key == "shape" && !std::exchange(has_shape, true))
        shape();
      else
        fail_at(end, "expected the keys 'descr', 'fortran_order' and 'shape', each once, got ", in_quotes(key));
      if (!accept(',')) {
        expect('}', "a comma or the end of the dict");
        break;
      }
    }
    if (!has_descr || !has_order || !has_shape)
      fail_at(at_, "expected a key ",
              !has_descr   ? "'descr'"
              : !has_order ? "'fortran_order'"
                           : "'shape'",
              ", got none");
    skip_space();
    if (at_ != text_.size()) fail("the end of the header");
    return header_;
  }

 private:
  void descr() {
    skip_space();
    if (next() == '[' || next() == '(')
      source_.fail_at<NotOurs>(offset_ + at_,
                               "expected a plain dtype, got a structured one: save its fields as arrays");
    const std::size_t start = at_;
    const std::string_view text = string("a dtype in quotes");
    // Without an order, or with '=' or '|', the numbers lie as this machine has them.
    const bool has_order = !text.empty() && std::string_view("<>=|").find(text[0]) != std::string_view::npos;
    const std::string_view code = text.substr(has_order);
    const auto* found = std::find_if(std::begin(codes), std::end(codes), [&](const Code& c) { return c.code == code; });
    if (found == std::end(codes)) {
      const auto* other = std::find_if(std::begin(others), std::end(others),
                                       [&](const Other& o) { return code.starts_with(o.letter); });
      const bool known = other != std::end(others);
      source_.fail_at<NotOurs>(offset_ + start, "expected a dtype ",
                               known ? "of numbers" : "among b1, f2, f4, f8, i1, i2, i4, i8, u1, u2, u4, u8", ", got ",
                               in_quotes(text), known ? ", " : "", known ? other->what : "");
    }
    header_.type = found->type;
    header_.swap_bytes = text[0] == '>';
  }

  void fortran_order() {
    skip_space();
    const std::string_view rest = text_.substr(at_);
    const bool is_true = rest.starts_with("True");
    if (!is_true && !rest.starts_with("False")) fail("True or False");
    header_.fortran_order = is_true;
    at_ += is_true ? 4 : 5;
  }

  // (), (3,), (3, 4), (3, 4,); in Python (3) is no tuple.
  void shape() {
    expect('(', "a tuple");
    while (!accept(')')) {
      if (header_.shape.size() == max_rank)
        source_.fail_at<NotOurs>(offset_ + at_, "expected at most ", max_rank, " axes, got more");
      header_.shape.push_back(size());
      if (accept(',')) continue;
      if (header_.shape.size() == 1) fail("a comma");
      expect(')', "a comma or the end of the tuple");
      break;
    }
  }

  int64_t size() {
    skip_space();
    const std::size_t start = at_;
    int64_t value = 0;
    for (; next() >= '0' && next() <= '9'; ++at_)
      if (__builtin_mul_overflow(value, int64_t{10}, &value) || __builtin_add_overflow(value, next() - '0', &value))
        fail_at(start, "expected sizes below 2^63, got ", in_quotes(text_.substr(start, 40)));
    if (at_ == start) fail("a size of at least 0");
    if (text_[start] == '0' && at_ > start + 1) fail_at(start, "expected a size without leading zeros, got one");
    if (next() == 'L') ++at_;  // Python 2's long integers
    return value;
  }

  // Between single or double quotes; no name or dtype of ours needs an escape.
  std::string_view string(const char* what) {
    skip_space();
    const char quote = next();
    if (quote != '\'' && quote != '"') fail(what);
    const std::size_t start = at_ + 1, end = text_.find_first_of("'\"\\\n", start);
    if (end == std::string_view::npos || text_[end] != quote)
      fail_at(at_, "expected ", what, ", got a string that does not end");
    at_ = end + 1;
    return text_.substr(start, end - start);
  }

  char next() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() noexcept { at_ = std::min(text_.find_first_not_of(" \t\r\n\f", at_), text_.size()); }
  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c, const char* what) {
    if (!accept(c)) fail(what);
  }

  [[noreturn]] void fail(const char* what, const char* remark = "") const {
    if (at_ == text_.size()) fail_at(at_, "expected ", what, ", got the end of the header", remark);
    fail_at(at_, "expected ", what, ", got ", in_quotes(text_.substr(at_, 12)), remark);
  }
  template <class... Parts>
  [[noreturn]] void fail_at(std::size_t at, const Parts&... parts) const {
    source_.fail_at(offset_ + at, parts...);
  }

  const Source& source_;
  std::string_view text_;
  uint64_t offset_;  // of text_ in the source
  std::size_t at_ = 0;
  NpyHeader header_{};
};

NpyHeader read_npy_header(Source& source) {
  // In an archive another file may have the name of an array, as macOS adds one beside each.
  const std::string start = source.read_string(std::min<uint64_t>(source.size(), magic.size()), "magic");
  if (start != magic) {
    const auto* file = dynamic_cast<const FileSource*>(&source);
    source.fail_at<NotOurs>(0, "expected the magic '\\x93NUMPY' of an .npy file, got ", in_quotes(start),
                            file ? first_bytes(*file) : "");
  }
  const auto major = source.read_value<uint8_t>("version"), minor = source.read_value<uint8_t>("version");
  if (major < 1 || major > 3 || minor != 0)
    source.fail_at(magic.size(), "expected version 1.0, 2.0 or 3.0, got ", int{major}, ".", int{minor});
  const uint64_t at = source.offset();
  const uint64_t length =
      major == 1 ? source.read_value<uint16_t>("header length") : source.read_value<uint32_t>("header length");
  if (length > max_npy_header_bytes)
    source.fail_at(at, "expected a header of at most ", max_npy_header_bytes, " bytes, got ", length);
  const uint64_t offset = source.offset();
  const std::string text = source.read_string(length, "header");
  return HeaderParser(source, text, offset).parse();
}

}  // namespace

Tensor read_npy(Source& source) {
  const NpyHeader header = read_npy_header(source);
  const uint64_t bytes = tensor_bytes(source, magic.size() + 2, header.shape, header.type);
  source.require(bytes, "data");
  if (bytes != source.remaining())
    source.fail_at(source.offset() + bytes, "expected the end, got ", source.remaining() - bytes, " bytes more");
  if (!header.fortran_order || header.shape.size() < 2)
    return read_tensor(source, header.shape, header.type, header.swap_bytes);

  // Column-major is row-major with the axes in reverse.
  Shape reversed = header.shape;
  std::reverse(reversed.begin(), reversed.end());
  const Tensor columns = read_tensor(source, reversed, header.type, header.swap_bytes);
  Strides strides = columns.strides();
  std::reverse(strides.begin(), strides.end());
  Tensor x = empty(header.shape, header.type.dtype);
  copy_into(x, make_view(columns, header.shape, strides, 0));
  return x;
}

std::string npy_header(const std::string& who, const Tensor& x) {
  const auto* code =
      std::find_if(std::begin(codes), std::end(codes), [&](const Code& c) { return c.type.dtype == x.dtype(); });
  if (code == std::end(codes))
    throw_error<DTypeError>(who, ": expected a dtype that NumPy has, got ", x.dtype(),
                            " (convert it, or save it as safetensors)");
  std::string text = message("{'descr': '", x.itemsize() == 1 ? '|' : '<', code->code,
                             "', 'fortran_order': False, 'shape': ", x.shape(), ", }");
  // NumPy leaves room for the first axis to grow to 21 digits in place.
  if (x.dim() > 0) text.append(21 - message(x.shape()[0]).size(), ' ');
  constexpr std::size_t alignment = 64;
  const std::size_t prefix = magic.size() + 4;
  text.append(alignment - (prefix + text.size() + 1) % alignment, ' ');
  text += '\n';
  std::string header(magic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace detail

Tensor load_npy(const std::string& path) {
  detail::FileSource file("load_npy", path);
  return detail::read_npy(file);
}

void save_npy(const std::string& path, const Tensor& x) {
  const Tensor data = detail::tensor_to_write("save_npy", path, x);
  const std::string header = detail::npy_header(detail::message_name("save_npy", path), data);
  detail::FileWriter file("save_npy", path);
  file.write(detail::bytes_of(header));
  file.write(detail::bytes_of(data));
  file.commit();
}

}  // namespace limpid
