#include <limpid/core/detail/array.hpp>
#include <limpid/core/io/detail/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <new>
#include <system_error>

namespace limpid::detail {

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4) return false;
    uint32_t code = lead & (0x3fu >> more);
    for (int k = 0; k < more; ++k) {
      if (i == text.size() || (text[i] & 0xc0) != 0x80) return false;
      code = code << 6 | (static_cast<unsigned char>(text[i++]) & 0x3fu);
    }
    // Overlong forms, surrogates, and what lies beyond Unicode.
    if ((more == 2 && code < 0x800) || (more == 3 && code < 0x10000)) return false;
    if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return false;
  }
  return true;
}

std::string printable(std::string_view text, std::size_t limit) {
  const bool cut = text.size() > limit;
  const bool utf8 = is_utf8(text);
  if (cut) {
    while (utf8 && limit > 0 && (text[limit] & 0xc0) == 0x80) --limit;
    text = text.substr(0, limit);
  }
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
      constexpr char digits[] = "0123456789abcdef";
      result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    } else {
      result += c;
    }
  }
  if (cut) result += "...";
  return result;
}

std::string in_quotes(std::string_view text) { return message('\'', printable(text), '\''); }

namespace {

std::string message_name(const char* op, const std::string& path) {
  return std::string(op) + ": " + printable(path, PATH_MAX);
}

std::string reason(int error) { return std::generic_category().message(error); }

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// C strings end where a NUL is: such a path would name another file.
void require_no_nul(const std::string& name, const std::string& path) {
  if (path.find('\0') != std::string::npos) throw_error<IOError>(name, ": expected a path without NUL characters");
}

}  // namespace

std::string Source::read_string(uint64_t bytes, const char* what) {
  require(bytes, what);
  std::string text(bytes, '\0');
  read(text.data(), bytes, what);
  return text;
}

struct FileSource::Opened {
  int descriptor;
  uint64_t size;

  Opened(const std::string& name, const std::string& path) {
    require_no_nul(name, path);
    // Opening a pipe would otherwise wait for somebody to write to it.
    descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) throw_error<IOError>(name, ": cannot open: ", reason(errno));
    struct stat status;
    const int error = fstat(descriptor, &status) == 0 ? 0 : errno;
    if (error || !S_ISREG(status.st_mode)) {
      close(descriptor);
      if (error) throw_error<IOError>(name, ": cannot tell its size: ", reason(error));
      throw_error<IOError>(name, ": expected a regular file, got ", kind_of(status.st_mode));
    }
    size = static_cast<uint64_t>(status.st_size);
  }
};

FileSource::FileSource(const char* op, const std::string& path)
    : FileSource(op, path, Opened(message_name(op, path), path)) {}

FileSource::FileSource(const char* op, const std::string& path, Opened opened)
    : Source(message_name(op, path), opened.size),
      descriptor_(opened.descriptor) {}

FileSource::~FileSource() { close(descriptor_); }

void FileSource::read_at(uint64_t offset, void* to, uint64_t bytes) const {
  auto* at = static_cast<std::byte*>(to);
  while (bytes) {
    const auto chunk = static_cast<std::size_t>(std::min<uint64_t>(bytes, 1u << 30));
    const ssize_t count = pread(descriptor_, at, chunk, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_at(offset, "cannot read: ", reason(errno));
    if (count == 0) fail_at(offset, "expected ", bytes, " more bytes, got the end of a file that has shrunk");
    at += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
}

uint64_t tensor_bytes(const Source& source, uint64_t offset, const Shape& shape, DType dtype) {
  if (shape.size() > max_rank) source.fail_at(offset, "expected at most ", max_rank, " axes, got ", shape.size());
  try {
    return static_cast<uint64_t>(shape.numel()) * itemsize(dtype);  // at most 2^59
  } catch (const ShapeError&) {
    source.fail_at(offset, "expected sizes of at least 0 and at most 2^56 elements, got shape ", shape);
  }
}

namespace {

template <class T>
void swap_all(std::byte* data, std::size_t bytes) {
  T* values = reinterpret_cast<T*>(data);
  for (std::size_t i = 0; i < bytes / sizeof(T); ++i) {
    if constexpr (sizeof(T) == 2)
      values[i] = __builtin_bswap16(values[i]);
    else if constexpr (sizeof(T) == 4)
      values[i] = __builtin_bswap32(values[i]);
    else
      values[i] = __builtin_bswap64(values[i]);
  }
}

}  // namespace

Tensor read_tensor(Source& source, const Shape& shape, DType dtype, bool swap_bytes) {
  const uint64_t start = source.offset();
  Tensor x;
  try {
    x = empty(shape, dtype);
  } catch (const std::bad_alloc&) {
    source.fail("expected memory for a tensor of shape ", shape, " and dtype ", dtype, ", got none");
  }
  auto* data = static_cast<std::byte*>(x.raw_data());
  const std::size_t bytes = bytes_of(x).size();
  source.read(data, bytes, "data");
  if (dtype == bool_) {
    // Any other byte in a bool is undefined behaviour for whoever reads it.
    const auto* wrong = std::find_if(data, data + bytes, [](std::byte b) { return b > std::byte{1}; });
    if (wrong != data + bytes)
      source.fail_at(start + static_cast<uint64_t>(wrong - data), "expected 0 or 1 for a bool, got ",
                     std::to_integer<int>(*wrong));
  }
  if (swap_bytes) {
    switch (itemsize(dtype)) {
      case 2: swap_all<uint16_t>(data, bytes); break;
      case 4: swap_all<uint32_t>(data, bytes); break;
      case 8: swap_all<uint64_t>(data, bytes); break;
      default: break;
    }
  }
  return x;
}

Tensor tensor_to_write(const char* op, const std::string& path, const Tensor& x) {
  if (!x.defined())
    throw_error<ValueError>(message_name(op, path), ": expected a defined tensor, got an undefined one");
  return as_contiguous(x);
}

namespace {

// The file that a symbolic link leads to, so that saving replaces the file and keeps the link.
std::string resolved(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return path;
  char* target = realpath(path.c_str(), nullptr);
  if (!target) return path;
  std::string result = target;
  std::free(target);
  return result;
}

// Of one length, whatever the target's: a name may be as long as the file system allows.
std::string temporary_beside(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  const std::size_t slash = path.rfind('/');
  return message(slash == std::string::npos ? "" : path.substr(0, slash + 1), ".limpid-", getpid(), "-", counter++,
                 ".part");
}

}  // namespace

FileWriter::FileWriter(const char* op, const std::string& path) : name_(message_name(op, path)) {
  require_no_nul(name_, path);
  target_ = resolved(path);
  mode_t mode = 0;
  struct stat status;
  if (stat(target_.c_str(), &status) == 0) {
    // Renaming over a device would replace the device.
    if (!S_ISREG(status.st_mode))
      throw_error<IOError>(name_, ": expected a regular file, got ", kind_of(status.st_mode));
    if (access(target_.c_str(), W_OK) != 0) fail("write");
    mode = status.st_mode & 07777;
  }
  do {
    temporary_ = temporary_beside(target_);
    descriptor_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail("create");
  if (mode) (void)!fchmod(descriptor_, mode);  // a file replaced keeps its mode where the file system has modes
}

FileWriter::~FileWriter() { close_and_remove(); }

void FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 30));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset_ += static_cast<uint64_t>(count);
  }
}

void FileWriter::commit() {
  if (fsync(descriptor_) != 0) fail("write");
  const int descriptor = std::exchange(descriptor_, -1);
  if (close(descriptor) != 0 || rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int error = errno;
    unlink(temporary_.c_str());
    throw_error<IOError>(name_, ": cannot move the new file into place: ", reason(error));
  }
  // The file is whole and in place; that its new name survives a power failure is the directory's to remember.
  const std::size_t slash = target_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : target_.substr(0, slash + 1);
  const int directory = open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (directory < 0) return;
  (void)fsync(directory);
  close(directory);
}

void FileWriter::fail(const char* deed) const { throw_error<IOError>(name_, ": cannot ", deed, ": ", reason(errno)); }

void FileWriter::close_and_remove() noexcept {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
  descriptor_ = -1;
}

}  // namespace limpid::detail
