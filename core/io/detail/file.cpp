#include <limpid/core/io/detail/file.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/signals.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <new>
#include <utility>
#include <vector>

namespace limpid::detail {

std::string message_name(const char* op, const std::string& path) {
  return std::string(op) + ": " + printable(path, PATH_MAX);
}

namespace {

// What call() gives, called anew as long as signals interrupt it.
template <class F>
auto uninterrupted(F&& call) {
  for (;;)
    if (const auto result = call(); result >= 0 || errno != EINTR) return result;
}

int open_file(const std::string& path, int flags, mode_t mode = 0) {
  return uninterrupted([&] { return open(path.c_str(), flags | O_CLOEXEC, mode); });
}

// In English, whatever the locale.
std::string reason(int error) {
  const char* text = strerrordesc_np(error);
  return text ? text : message("error ", error);
}

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
    descriptor = open_file(path, O_RDONLY | O_NONBLOCK);
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
    const ssize_t count = uninterrupted([&] { return pread(descriptor_, at, chunk, static_cast<off_t>(offset)); });
    if (count < 0) fail_at<IOError>(offset, "cannot read: ", reason(errno));
    if (count == 0) fail_at<IOError>(offset, "expected ", bytes, " more bytes, got the end of a file that has shrunk");
    at += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
}

std::string first_bytes(const FileSource& file) {
  std::string start(std::min<uint64_t>(file.size(), 512), '\0');
  file.read_at(0, start.data(), start.size());
  const auto begins = [&](std::string_view with, std::size_t at = 0) {
    return start.size() > at && std::string_view(start).substr(at).starts_with(with);
  };
  constexpr std::string_view old_magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
                             old_digits = "119547037146038801333356";
  const std::string_view head = std::string_view(start).substr(0, 40);
  // readers: how the functions that read the kind begin; of kinds that none reads, nothing.
  const auto are = [&](const char* kind, const char* what_to_do, std::initializer_list<const char*> readers = {}) {
    for (const char* reader : readers)
      if (file.name().starts_with(reader))
        return message(", though these are the first bytes of ", kind, ": it is cut short or damaged");
    return message(", but these are the first bytes of ", kind, ": ", what_to_do);
  };
  if (begins("\x93NUMPY")) return are("an .npy file", "load_npy reads it", {"load_npy"});
  if (begins("PK\x03\x04") || begins("PK\x05\x06"))
    return are("a zip archive", "load_npz reads NumPy's, load_pt PyTorch's", {"load_npz", "load_pt"});
  if (head.find(old_magic) != head.npos || head.find(old_digits) != head.npos)
    return are("a file of PyTorch's before 1.6",
               "in Python, torch.save(torch.load(old), new) makes one that load_pt reads");
  if (begins("ustar", 257))
    return are("a tar archive, PyTorch's before 0.1.10 if any",
               "in Python, torch.save(torch.load(old), new) makes one that load_pt reads");
  if (begins("\x80") && start.size() > 1 && start[1] >= 2 && start[1] <= 5)
    return are("a pickle", "in Python, torch.save(pickle.load(file), new) makes a file that load_pt reads");
  if (begins("\x89PNG")) return are("a PNG image", "load_image reads it", {"load_image"});
  if (begins("\x89HDF\r\n")) return are("an HDF5 file", "in Python, numpy.savez makes one that load_npz reads");
  if (begins("version https://git-lfs")) return are("a pointer of git-lfs", "git lfs pull fetches the file");
  if (begins("<!DOCTYPE") || begins("<!doctype") || begins("<html"))
    return are("an HTML page", "the download gave a page instead of the file");
  if (begins("\x1f\x8b")) return are("a gzip file", "gunzip unpacks it");
  if (begins("{", 8)) return are("a safetensors file", "load_safetensors reads it", {"load_safetensors"});
  return "";
}

std::size_t FileType::bytes() const noexcept {
  switch (stored) {
    case Stored::int8: return 1;
    case Stored::int16:
    case Stored::uint16: return 2;
    case Stored::uint32: return 4;
    case Stored::uint64: return 8;
    case Stored::as_it_is: break;
  }
  return itemsize(dtype);
}

uint64_t tensor_bytes(const Source& source, uint64_t offset, const Shape& shape, FileType type,
                      const std::string& who) {
  if (shape.size() > max_rank)
    source.fail_at<NotOurs>(offset, who, "expected at most ", max_rank, " axes, got ", shape.size());
  try {
    return static_cast<uint64_t>(shape.numel()) * type.bytes();  // at most 2^59
  } catch (const ShapeError&) {
    constexpr const char* expected = "expected sizes of at least 0 and at most 2^56 elements, got shape ";
    // Without elements it is sound, but no shape of ours: strides are made of the sizes beside a 0, too.
    if (std::ranges::min(shape) == 0) source.fail_at<NotOurs>(offset, who, expected, shape);
    source.fail_at(offset, who, expected, shape);
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

void swap_all(std::byte* data, std::size_t bytes, std::size_t element) {
  switch (element) {
    case 2: return swap_all<uint16_t>(data, bytes);
    case 4: return swap_all<uint32_t>(data, bytes);
    case 8: return swap_all<uint64_t>(data, bytes);
    default: return;
  }
}

// Each of n elements From, which lie at from, as a To. The places may overlap as long as none is written before it is
// read: so it is where the elements read are the last of the room.
template <class From, class To>
void widen(const std::byte* from, std::byte* to, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    From narrow;
    std::memcpy(&narrow, from + i * sizeof(From), sizeof(From));
    const To wide = static_cast<To>(narrow);
    std::memcpy(to + i * sizeof(To), &wide, sizeof(To));
  }
}

}  // namespace

Tensor read_tensor(Source& source, const Shape& shape, FileType type, bool swap_bytes, const std::string& who) {
  const uint64_t start = source.offset();
  const Tensor x = empty(shape, type.dtype);
  const auto n = static_cast<std::size_t>(x.numel());
  const std::size_t bytes = n * type.bytes();
  auto* const room = static_cast<std::byte*>(x.raw_data());
  auto* const data = room + (bytes_of(x).size() - bytes);
  source.read(data, bytes, "data");
  // Any byte but 0 and 1 in a bool is undefined behaviour for whoever reads it.
  if (type.dtype == bool_)
    std::transform(data, data + bytes, data, [](std::byte b) { return std::byte{b != std::byte{0}}; });
  if (swap_bytes) swap_all(data, bytes, type.bytes());
  using Stored = FileType::Stored;
  switch (type.stored) {
    case Stored::as_it_is: break;
    case Stored::int8: widen<int8_t, int32_t>(data, room, n); break;
    case Stored::int16: widen<int16_t, int32_t>(data, room, n); break;
    case Stored::uint16: widen<uint16_t, int32_t>(data, room, n); break;
    case Stored::uint32: widen<uint32_t, int64_t>(data, room, n); break;
    case Stored::uint64: {
      const auto* values = x.data<int64_t>();
      const auto* beyond = std::find_if(values, values + n, [](int64_t v) { return v < 0; });
      if (beyond != values + n)
        source.fail_at<NotOurs>(start + static_cast<uint64_t>(beyond - values) * 8, who,
                                "expected numbers that int64 has, got the uint64 ", static_cast<uint64_t>(*beyond));
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

// Follows the symbolic links that path ends in, as opening it would: the last may lead to a file that is yet to be
// made. What links of /proc tell is not always a path.
std::string followed(const std::string& name, std::string path, bool& through_proc) {
  for (int links = 0; links < 40; ++links) {
    std::string target(PATH_MAX, '\0');
    const ssize_t length = readlink(path.c_str(), target.data(), target.size());
    if (length < 0) return path;  // no link, or nothing at all
    through_proc |= path.starts_with("/proc/");
    target.resize(static_cast<std::size_t>(length));
    const std::size_t slash = path.rfind('/');
    path = target.starts_with('/') || slash == std::string::npos ? target : path.substr(0, slash + 1) + target;
  }
  throw_error<IOError>(name, ": cannot open: ", reason(ELOOP));
}

// Temporary names that are looked at for leftovers.
constexpr int most_leftovers = 16;

std::string path_of(int descriptor) { return message("/proc/self/fd/", descriptor); }

}  // namespace

// Of one length, whatever the file's: a name may be as long as the file system allows.
std::string temporary_name(const std::string& path, int k) {
  const std::size_t slash = path.rfind('/'), start = slash == std::string::npos ? 0 : slash + 1;
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : std::string_view(path).substr(start))
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  TextStream name;
  name << path.substr(0, start) << ".limpid-" << std::hex << std::setw(16) << std::setfill('0') << hash << std::dec
       << '-' << k << ".part";
  return std::move(name).str();
}

void FileWriter::Descriptor::reset(int other) noexcept {
  if (value >= 0) close(value);
  value = other;
}

FileWriter::FileWriter(const char* op, const std::string& path, bool named) : name_(message_name(op, path)) {
  require_no_nul(name_, path);
  if (path.empty()) throw_error<IOError>(op, ": expected the path of a file, got \"\"");
  struct stat status;
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode))
    throw_error<IOError>(name_, ": expected a regular file, got ", kind_of(status.st_mode));
  bool through_proc = false;
  target_ = followed(name_, path, through_proc);
  const std::size_t slash = target_.rfind('/');
  folder_ = slash == std::string::npos ? "./" : target_.substr(0, slash + 1);
  if (exists) {
    old_.reset(open_file(path, O_WRONLY | O_NONBLOCK));
    if (old_.value < 0 || fstat(old_.value, &status) != 0) fail("write");
    mode_ = status.st_mode & 07777;
    struct stat found;
    in_place_ = through_proc || status.st_nlink > 1 || stat(target_.c_str(), &found) != 0 ||
                found.st_dev != status.st_dev || found.st_ino != status.st_ino;
  }
  collect_leftovers();
  if (create_beside(exists, named)) {
    struct stat made;
    in_place_ |=
        exists && (fstat(new_.value, &made) != 0 || ((made.st_uid != status.st_uid || made.st_gid != status.st_gid) &&
                                                     fchown(new_.value, status.st_uid, status.st_gid) != 0));
    return;
  }
  // The folder takes no new file, but the old one may still be written to.
  const int error = errno;
  if (exists) new_.reset(open_file(P_tmpdir, O_TMPFILE | O_RDWR, 0600));
  errno = error;
  if (new_.value < 0) fail("create");
  in_place_ = true;
}

FileWriter::~FileWriter() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

// The new file, locked, if with a name then as temporary_. Until it is in place it is the writer's alone where it is to
// replace a file, which may be secret. False, and errno, where there can be none.
bool FileWriter::create_beside(bool replaces, bool named) {
  const mode_t mode = replaces ? 0600 : 0666;
  if (!named) new_.reset(open_file(folder_, O_TMPFILE | O_RDWR, mode));
  if (new_.value >= 0 && access(path_of(new_.value).c_str(), F_OK) == 0) {
    (void)flock(new_.value, LOCK_EX | LOCK_NB);
    return true;
  }
  for (int k = 0;; ++k) {
    std::string name = temporary_name(target_, k);
    new_.reset(open_file(name, O_RDWR | O_CREAT | O_EXCL, mode));
    if (new_.value < 0 && errno == EEXIST) continue;
    if (new_.value < 0) return false;
    temporary_ = std::move(name);
    // Another writer may have taken it for a leftover before it was locked.
    struct stat status;
    const bool locked = flock(new_.value, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (locked && (fstat(new_.value, &status) != 0 || status.st_nlink > 0)) return true;
    temporary_.clear();
  }
}

// A process that was killed holds no locks.
void FileWriter::collect_leftovers() const {
  for (int k = 0; k < most_leftovers; ++k) {
    const std::string name = temporary_name(target_, k);
    Descriptor file;
    file.reset(open_file(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    struct stat opened, named;
    if (file.value >= 0 && flock(file.value, LOCK_EX | LOCK_NB) == 0 && fstat(file.value, &opened) == 0 &&
        lstat(name.c_str(), &named) == 0 && S_ISREG(named.st_mode) && opened.st_ino == named.st_ino &&
        opened.st_dev == named.st_dev)
      unlink(name.c_str());
  }
}

void FileWriter::write(std::span<const std::byte> bytes) {
  const WithoutWriteSignals guard;
  while (!bytes.empty()) {
    const auto chunk = std::min<std::size_t>(bytes.size(), 1u << 30);
    const ssize_t count = uninterrupted([&] { return ::write(new_.value, bytes.data(), chunk); });
    if (count < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset_ += static_cast<uint64_t>(count);
  }
}

void FileWriter::commit() {
  if (in_place_ || !move_into_place()) return copy_into_place();
  // The file is whole and in place; that its new name survives a power failure is the directory's to remember.
  Descriptor directory;
  directory.reset(open_file(folder_, O_RDONLY | O_DIRECTORY));
  if (directory.value >= 0) (void)uninterrupted([&] { return fsync(directory.value); });
}

// False where the file in place is a mount, which can be written to but not replaced.
bool FileWriter::move_into_place() {
  if (old_.value >= 0) (void)fchmod(new_.value, mode_);  // where the file system has modes
  if (uninterrupted([&] { return fsync(new_.value); }) != 0) fail("write");
  if (temporary_.empty()) {
    const std::string from = path_of(new_.value);
    for (int k = 0; temporary_.empty(); ++k) {
      std::string name = temporary_name(target_, k);
      if (linkat(AT_FDCWD, from.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0)
        temporary_ = std::move(name);
      else if (errno != EEXIST)
        fail("move the new file into place");
    }
  }
  if (rename(temporary_.c_str(), target_.c_str()) != 0) {
    if (errno == EBUSY && old_.value >= 0) return false;
    fail("move the new file into place");
  }
  temporary_.clear();
  return true;
}

// Room for all of it is taken first, so that a full disk leaves the old file as it is; in pieces, for a file system
// that begins anew after a signal would never end among many. Two writers of one file take turns.
void FileWriter::copy_into_place() {
  const WithoutWriteSignals guard;
  const struct Lock {
    int descriptor;
    explicit Lock(int file) : descriptor(file) {
      (void)uninterrupted([&] { return flock(descriptor, LOCK_EX); });  // where the file system has locks
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() { (void)flock(descriptor, LOCK_UN); }
  } lock(old_.value);
  struct stat status;
  if (fstat(old_.value, &status) != 0) fail("write");
  std::vector<std::byte> piece(1 << 20);
  const auto size = static_cast<off_t>(offset_), step = static_cast<off_t>(piece.size()), old_size = status.st_size;
  off_t copied = 0;
  const auto give_up = [&](const char* deed) {
    const int error = errno;
    (void)uninterrupted([&] { return ftruncate(old_.value, std::max(old_size, copied)); });  // the room behind its end
    errno = error;
    fail(deed);
  };
  const auto write_piece = [&](off_t at, off_t end) {
    while (at < end) {
      const auto left = static_cast<std::size_t>(end - at);
      const ssize_t count = uninterrupted([&] { return pwrite(old_.value, piece.data() + at % step, left, at); });
      if (count < 0) give_up("write");
      at += count;
    }
  };
  // Where the file system cannot set room aside, zeros behind the old end take it.
  bool by_zeros = false;
  for (off_t at = 0; at < size; at += step) {
    const off_t end = std::min(at + step, size);
    if (!by_zeros && uninterrupted([&] { return fallocate(old_.value, FALLOC_FL_KEEP_SIZE, at, end - at); }) != 0) {
      if (errno != EOPNOTSUPP && errno != ENOSYS) give_up("write");
      by_zeros = true;
    }
    if (by_zeros) write_piece(std::max(at, old_size), end);
  }
  if (by_zeros && uninterrupted([&] { return fsync(old_.value); }) != 0) give_up("write");
  while (copied < size) {
    const auto most = static_cast<std::size_t>(step - copied % step);
    const ssize_t count = uninterrupted([&] { return pread(new_.value, piece.data() + copied % step, most, copied); });
    if (count <= 0) give_up("read back the new content");
    write_piece(copied, copied + count);
    copied += count;
  }
  if (uninterrupted([&] { return ftruncate(old_.value, size); }) != 0 ||
      uninterrupted([&] { return fsync(old_.value); }) != 0)
    give_up("write");
}

void FileWriter::fail(const char* deed) const { throw_error<IOError>(name_, ": cannot ", deed, ": ", reason(errno)); }

}  // namespace limpid::detail
