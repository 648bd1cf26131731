// What the file formats share: bytes that come from a file of known size, and files that appear whole or not at all.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace limpid::detail {

static_assert(std::endian::native == std::endian::little,
              "the file formats are read and written as they lie in memory");

/// The longest header that is read: what describes tensors is small beside them.
inline constexpr uint64_t max_header_bytes = 100'000'000;
/// The highest rank limpid has.
inline constexpr std::size_t max_rank = 64;

bool is_utf8(std::string_view text) noexcept;

/// text in one line of a message: control characters and stray bytes escaped, cut after limit bytes.
std::string printable(std::string_view text, std::size_t limit = 120);
/// The same, in quotes.
std::string in_quotes(std::string_view text);

/// Bytes of a known number, read front to back. Every failure is an IOError that begins with op, file and offset, as
/// in "load_npy: x.npy: offset 8: expected ..., got ...".
class Source {
 public:
  /// name: op and file, as messages begin.
  Source(std::string name, uint64_t size) : name_(std::move(name)), size_(size) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  const std::string& name() const noexcept { return name_; }
  uint64_t size() const noexcept { return size_; }
  uint64_t offset() const noexcept { return offset_; }
  uint64_t remaining() const noexcept { return size_ - offset_; }

  /// Throws where fewer bytes are left; callers do so before they make room for what a header promises.
  void require(uint64_t bytes, const char* what) const {
    if (bytes > remaining()) fail("expected ", bytes, " bytes of ", what, ", got ", remaining(), " to the end");
  }
  void read(void* to, uint64_t bytes, const char* what) {
    require(bytes, what);
    if (bytes) fill(static_cast<std::byte*>(to), bytes);
    offset_ += bytes;
  }
  template <class T>
  T read_value(const char* what) {
    T value;
    read(&value, sizeof value, what);
    return value;
  }
  std::string read_string(uint64_t bytes, const char* what);

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_at(offset_, parts...);
  }
  template <class... Parts>
  [[noreturn]] void fail_at(uint64_t offset, const Parts&... parts) const {
    throw_error<IOError>(name_, ": offset ", offset, ": ", parts...);
  }

 private:
  /// At most remaining() bytes, from offset().
  virtual void fill(std::byte* to, uint64_t bytes) = 0;

  std::string name_;
  uint64_t size_, offset_ = 0;
};

/// A regular file; the size is what it had when opened.
class FileSource final : public Source {
 public:
  FileSource(const char* op, const std::string& path);
  ~FileSource() override;

  /// bytes from anywhere in the file; offset() stays.
  void read_at(uint64_t offset, void* to, uint64_t bytes) const;

 private:
  struct Opened;
  FileSource(const char* op, const std::string& path, Opened opened);
  void fill(std::byte* to, uint64_t bytes) override { read_at(offset(), to, bytes); }

  int descriptor_;
};

/// The bytes of a tensor of this shape and dtype; fails at offset where that overflows or the rank is too high.
uint64_t tensor_bytes(const Source& source, uint64_t offset, const Shape& shape, DType dtype);

/// A row-major tensor of its own memory, filled from source; the caller has checked that source holds that much.
/// swap_bytes: the elements' bytes come in reverse order. Refuses bools other than 0 and 1.
Tensor read_tensor(Source& source, const Shape& shape, DType dtype, bool swap_bytes = false);

/// x as it is written: detached, row-major. Throws ValueError where x is undefined.
Tensor tensor_to_write(const char* op, const std::string& path, const Tensor& x);

inline std::span<const std::byte> bytes_of(const Tensor& contiguous) {
  return {static_cast<const std::byte*>(contiguous.raw_data()),
          static_cast<std::size_t>(contiguous.numel()) * contiguous.itemsize()};
}
inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// A file written beside its place. commit() moves it there; without it nothing has happened. Throws IOError.
class FileWriter {
 public:
  FileWriter(const char* op, const std::string& path);
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();

  void write(std::span<const std::byte> bytes);
  uint64_t offset() const noexcept { return offset_; }
  void commit();

 private:
  [[noreturn]] void fail(const char* deed) const;
  void close_and_remove() noexcept;

  std::string name_, target_, temporary_;
  int descriptor_ = -1;
  uint64_t offset_ = 0;
};

}  // namespace limpid::detail
