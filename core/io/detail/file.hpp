// What the file formats share: bytes that come from a file of known size, and files that appear whole or not at all.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/quote.hpp>
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

/// op and path, as messages begin.
std::string message_name(const char* op, const std::string& path);

/// Bytes that are not what they should be. Of one entry of a file of many it is no more than that entry's own fault.
class Malformed : public IOError {
 public:
  using IOError::IOError;
};

/// What is sound and yet no tensor of ours, as an array of text: a file of many is read without it.
class NotOurs : public IOError {
 public:
  using IOError::IOError;
};

/// Bytes of a known number, read front to back. Every failure is an IOError that begins with op, file and offset, as
/// in "load_npy: x.npy: offset 8: expected ..., got ...": Malformed, unless the system failed or it says otherwise.
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

  template <class E = Malformed, class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_at<E>(offset_, parts...);
  }
  template <class E = Malformed, class... Parts>
  [[noreturn]] void fail_at(uint64_t offset, const Parts&... parts) const {
    throw_error<E>(name_, ": offset ", offset, ": ", parts...);
  }

 protected:
  void advance(uint64_t bytes) noexcept { offset_ += bytes; }

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
  void skip(uint64_t bytes, const char* what) {
    require(bytes, what);
    advance(bytes);
  }

 private:
  struct Opened;
  FileSource(const char* op, const std::string& path, Opened opened);
  void fill(std::byte* to, uint64_t bytes) override { read_at(offset(), to, bytes); }

  int descriptor_;
};

/// What its first bytes tell of a file that is refused: ", but these are the first bytes of ...: load_... reads it",
/// or, where that is the very reader that refuses it, that the file is cut short or damaged. Else nothing.
std::string first_bytes(const FileSource& file);

/// Elements as a file has them: a dtype of ours, or whole numbers of other widths, which a wider dtype of ours holds.
struct FileType {
  enum class Stored : uint8_t { as_it_is, int8, int16, uint16, uint32, uint64 };

  DType dtype;
  Stored stored = Stored::as_it_is;

  constexpr FileType(DType dtype_) : dtype(dtype_) {}
  constexpr FileType(Stored stored_)
      : dtype(stored_ >= Stored::uint32 ? limpid::int64 : limpid::int32),
        stored(stored_) {}
  std::size_t bytes() const noexcept;  ///< of an element in the file
};

/// The bytes of so many elements in the file; fails at offset where that overflows, and as not ours where the rank is
/// too high. who: whose elements, as messages begin that the source's name does not: "tensor 'a': ".
uint64_t tensor_bytes(const Source& source, uint64_t offset, const Shape& shape, FileType type,
                      const std::string& who = "");

/// A row-major tensor of its own memory, filled from source; the caller has checked that source holds that much.
/// swap_bytes: the elements' bytes come in reverse order. A bool is true where its byte is not 0, as in NumPy and
/// PyTorch. Refuses as not ours numbers from 2^63 on.
Tensor read_tensor(Source& source, const Shape& shape, FileType type, bool swap_bytes = false,
                   const std::string& who = "");

/// x as it is written: detached, row-major. Throws ValueError where x is undefined.
Tensor tensor_to_write(const char* op, const std::string& path, const Tensor& x);

inline std::span<const std::byte> bytes_of(const Tensor& contiguous) {
  return {static_cast<const std::byte*>(contiguous.raw_data()),
          static_cast<std::size_t>(contiguous.numel()) * contiguous.itemsize()};
}
inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// The K-th name of a new file that is to replace the file of this path.
std::string temporary_name(const std::string& path, int k);

/// A file written beside its place. commit() moves it there; without it nothing has happened. Throws IOError.
///
/// As open(path, "w") in Python would have it, symbolic links are followed, those that lead to no file yet as well, and
/// a file that is replaced keeps its mode and its owner. Where the move would part what belongs together (a file of
/// several names, one whose owner or folder is out of reach, a mount, an open file under /proc), commit() copies the
/// whole new content into the old file instead: that alone is not at one stroke.
///
/// Where the file system can, the new file has no name before commit(), and vanishes with a process that is killed.
/// Elsewhere it is called .limpid-HASH-K.part, HASH telling the name of the file in place, and is locked: the next
/// writer of the same file removes those that nobody has locked.
class FileWriter {
 public:
  /// named: the new file has a name from the start, as where the file system can do no other.
  FileWriter(const char* op, const std::string& path, bool named = false);
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  ~FileWriter();

  void write(std::span<const std::byte> bytes);
  uint64_t offset() const noexcept { return offset_; }
  void commit();

 private:
  struct Descriptor {
    int value = -1;
    Descriptor() = default;
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() { reset(); }
    void reset(int other = -1) noexcept;
  };

  [[noreturn]] void fail(const char* deed) const;
  bool create_beside(bool replaces, bool named);
  void collect_leftovers() const;
  bool move_into_place();
  void copy_into_place();

  std::string name_, target_, folder_;
  std::string temporary_;  // the new file's name, where it has one
  Descriptor old_, new_;   // the file in place, if any, and the new one
  bool in_place_ = false;  // whether commit() copies
  unsigned mode_ = 0;      // of the file in place
  uint64_t offset_ = 0;
};

}  // namespace limpid::detail
