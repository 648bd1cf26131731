// How files come into their place: modes, owners and links as with NumPy, the old content or the new one at any
// failure, and nothing left beside it.
#include <limpid/core/io/detail/file.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <filesystem>
#include <functional>
#include <limits>
#include <thread>

#include <limpid/tests/core/io/file_tests.hpp>
#include <limpid/tests/memory.hpp>
#include <limpid/tests/settings.hpp>

namespace test_writer {

using namespace limpid;

// The call of the system that fails, counted from 1; 0 for none. It fails for want of room, or by a signal, which
// interrupts some calls alone.
int failing_call = 0;
std::atomic<int> calls = 0;
bool by_signal = false;
bool fails(bool can_be_interrupted = false) {
  if ((by_signal && !can_be_interrupted) || ++calls != failing_call) return false;
  errno = by_signal ? EINTR : ENOSPC;
  return true;
}

// Whether the file system can set room aside, and how long a file may be until the disk is full.
bool sets_room_aside = true;
off_t disk_end = std::numeric_limits<off_t>::max();

// The linker puts these in the place of the functions whose names they end in (tests/CMakeLists.txt).
extern "C" {
int __real_open(const char*, int, ...);
ssize_t __real_write(int, const void*, size_t);
ssize_t __real_pread(int, void*, size_t, off_t);
ssize_t __real_pwrite(int, const void*, size_t, off_t);
int __real_fsync(int);
int __real_fchmod(int, mode_t);
int __real_fchown(int, uid_t, gid_t);
int __real_fstat(int, struct stat*);
int __real_flock(int, int);
int __real_linkat(int, const char*, int, const char*, int);
int __real_rename(const char*, const char*);
int __real_ftruncate(int, off_t);
int __real_fallocate(int, int, off_t, off_t);

int __wrap_open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : mode_t{0};
  va_end(arguments);
  return fails(true) ? -1 : __real_open(path, flags, mode);
}
ssize_t __wrap_write(int file, const void* data, size_t size) {
  return fails(true) ? -1 : __real_write(file, data, size);
}
ssize_t __wrap_pread(int file, void* data, size_t size, off_t at) {
  return fails(true) ? -1 : __real_pread(file, data, size, at);
}
ssize_t __wrap_pwrite(int file, const void* data, size_t size, off_t at) {
  if (at >= disk_end) return errno = ENOSPC, -1;
  size = std::min(size, static_cast<size_t>(disk_end - at));
  return fails(true) ? -1 : __real_pwrite(file, data, size, at);
}
int __wrap_fsync(int file) { return fails(true) ? -1 : __real_fsync(file); }
int __wrap_fchmod(int file, mode_t mode) { return fails() ? -1 : __real_fchmod(file, mode); }
int __wrap_fchown(int file, uid_t user, gid_t group) { return fails() ? -1 : __real_fchown(file, user, group); }
int __wrap_fstat(int file, struct stat* status) { return fails() ? -1 : __real_fstat(file, status); }
int __wrap_flock(int file, int operation) { return fails() ? -1 : __real_flock(file, operation); }
int __wrap_linkat(int from, const char* a, int to, const char* b, int flags) {
  return fails() ? -1 : __real_linkat(from, a, to, b, flags);
}
int __wrap_rename(const char* from, const char* to) { return fails() ? -1 : __real_rename(from, to); }
int __wrap_ftruncate(int file, off_t size) { return fails(true) ? -1 : __real_ftruncate(file, size); }
int __wrap_fallocate(int file, int mode, off_t at, off_t size) {
  if (!sets_room_aside) return errno = EOPNOTSUPP, -1;
  return fails(true) ? -1 : __real_fallocate(file, mode, at, size);
}
}

/// From here on no call fails, however the test ends.
struct WithFailingCall {
  explicit WithFailingCall(int k, bool signal = false) { calls = 0, failing_call = k, by_signal = signal; }
  ~WithFailingCall() { failing_call = 0; }
};

/// Writes text to path, as the formats do.
void write(const std::string& path, const std::string& text, bool named = false) {
  detail::FileWriter file("test", path, named);
  file.write(detail::bytes_of(text));
  file.commit();
}

std::size_t entries(const Folder& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

struct stat status_of(const std::string& path) {
  struct stat status;
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status;
}

mode_t mode_of(const std::string& path) { return status_of(path).st_mode & 07777; }

/// Runs f as a user who may not do everything, where the process can become one; else as it is.
void unprivileged(const Folder& folder, const std::function<void()>& f) {
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  const bool root = geteuid() == 0;
  if (root) REQUIRE(seteuid(65534) == 0);
  struct Back {
    bool root;
    ~Back() {
      if (root && seteuid(0) != 0) std::abort();
    }
  } const back{root};
  f();
}

/// Runs f in a child that is killed with what f left open.
void in_killed_child(const std::function<void()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    f();
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

TEST_CASE("a new file has the mode that the umask leaves") {
  const Folder folder;
  for (const mode_t mask : {mode_t{022}, mode_t{077}, mode_t{0}}) {
    const mode_t before = umask(mask);
    write(folder / "x", "new");
    write(folder / "y", "new", true);
    umask(before);
    CHECK(mode_of(folder / "x") == (0666 & ~mask));
    CHECK(mode_of(folder / "y") == (0666 & ~mask));
    std::filesystem::remove(folder / "x");
    std::filesystem::remove(folder / "y");
  }
}

TEST_CASE("a file that is saved over keeps its mode") {
  const Folder folder;
  for (const bool named : {false, true})
    for (const mode_t mode : {mode_t{0600}, mode_t{0640}, mode_t{0666}, mode_t{0755}}) {
      write_bytes(folder / "x", "old");
      REQUIRE(chmod((folder / "x").c_str(), mode) == 0);
      write(folder / "x", "new", named);
      CHECK(mode_of(folder / "x") == mode);
      CHECK(read_bytes(folder / "x") == "new");
    }
  CHECK(entries(folder) == 1);
}

TEST_CASE("a file that may not be written to is refused") {
  const Folder folder;
  write_bytes(folder / "x", "old");
  if (geteuid() == 0) REQUIRE(chown((folder / "x").c_str(), 65534, 65534) == 0);
  for (const mode_t mode : {mode_t{0}, mode_t{0444}}) {
    REQUIRE(chmod((folder / "x").c_str(), mode) == 0);
    unprivileged(folder, [&] {
      CHECK_THAT(refusal([&] { write(folder / "x", "new"); }), ContainsSubstring("cannot write: Permission denied"));
    });
    CHECK(mode_of(folder / "x") == mode);
  }
  REQUIRE(chmod((folder / "x").c_str(), 0600) == 0);
  CHECK(read_bytes(folder / "x") == "old");
  CHECK(entries(folder) == 1);
}

TEST_CASE("a file that is saved over keeps its owner") {
  const Folder folder;
  write_bytes(folder / "x", "old");
  if (geteuid() != 0) return test::left_out("only root can give a file to another");
  REQUIRE(chown((folder / "x").c_str(), 12345, 54321) == 0);
  for (const bool named : {false, true}) {
    write(folder / "x", "new", named);
    CHECK(status_of(folder / "x").st_uid == 12345);
    CHECK(status_of(folder / "x").st_gid == 54321);
  }
  // Who may write to it but not give it away writes into it.
  REQUIRE(chmod((folder / "x").c_str(), 0666) == 0);
  const ino_t before = status_of(folder / "x").st_ino;
  unprivileged(folder, [&] { write(folder / "x", "newer"); });
  CHECK(read_bytes(folder / "x") == "newer");
  CHECK(status_of(folder / "x").st_uid == 12345);
  CHECK(status_of(folder / "x").st_ino == before);
  CHECK(entries(folder) == 1);
}

TEST_CASE("in a folder that takes no new file the old one is written to") {
  const Folder folder;
  std::filesystem::create_directory(folder / "closed");
  write_bytes(folder / "closed/x", "old and longer");
  REQUIRE(chmod((folder / "closed/x").c_str(), 0666) == 0);
  REQUIRE(chmod((folder / "closed").c_str(), 0555) == 0);
  unprivileged(folder, [&] {
    write(folder / "closed/x", "new");
    CHECK_THAT(refusal([&] { write(folder / "closed/y", "new"); }),
               ContainsSubstring("cannot create: Permission denied"));
  });
  CHECK(read_bytes(folder / "closed/x") == "new");
  REQUIRE(chmod((folder / "closed").c_str(), 0755) == 0);
}

TEST_CASE("links that lead to no file yet are followed") {
  const Folder folder;
  std::filesystem::create_directory(folder / "sub");
  std::filesystem::create_symlink("sub/a", folder / "link");
  std::filesystem::create_symlink("b", folder / "sub/a");
  std::filesystem::create_symlink(folder / "sub/c", folder / "sub/b");
  write(folder / "link", "new");
  for (const char* link : {"link", "sub/a", "sub/b"}) CHECK(std::filesystem::is_symlink(folder / link));
  CHECK(std::filesystem::is_regular_file(std::filesystem::symlink_status(folder / "sub/c")));
  CHECK(read_bytes(folder / "sub/c") == "new");
  write(folder / "link", "newer");
  CHECK(read_bytes(folder / "sub/c") == "newer");

  std::filesystem::create_symlink("none/x", folder / "lost");
  CHECK_THAT(refusal([&] { write(folder / "lost", "new"); }), ContainsSubstring("cannot create: No such file"));
  std::filesystem::create_symlink("round", folder / "round");
  CHECK_THAT(refusal([&] { write(folder / "round", "new"); }), ContainsSubstring("Too many levels of symbolic links"));
  CHECK(std::filesystem::is_symlink(folder / "lost"));
}

TEST_CASE("the names of a file stay names of one file") {
  const Folder folder;
  write_bytes(folder / "x", "old and longer");
  std::filesystem::create_hard_link(folder / "x", folder / "y");
  for (const bool named : {false, true}) {
    write(folder / "x", named ? "newer" : "new", named);
    CHECK(read_bytes(folder / "y") == (named ? "newer" : "new"));
    CHECK(status_of(folder / "x").st_nlink == 2);
    CHECK(entries(folder) == 2);
  }
}

TEST_CASE("an open file under /proc is written to") {
  const Folder folder;
  write_bytes(folder / "x", "old and longer");
  const int file = open((folder / "x").c_str(), O_RDWR);
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  write(path, "new");
  CHECK(read_bytes(folder / "x") == "new");
  std::filesystem::remove(folder / "x");
  write(path, "lost");
  char text[5] = {};
  CHECK(pread(file, text, 4, 0) == 4);
  CHECK(std::string(text) == "lost");
  close(file);
  CHECK(folder.empty());
}

TEST_CASE("a writer that is killed leaves the old file, and nothing that the next does not remove") {
  const Folder folder;
  write_bytes(folder / "x", "old");
  for (const bool named : {false, true}) {
    in_killed_child([&] {
      auto* file = new detail::FileWriter("test", folder / "x", named);
      file->write(detail::bytes_of("new"));
    });
    CHECK(read_bytes(folder / "x") == "old");
    if (named) CHECK(entries(folder) == 2);
  }
  write(folder / "y", "another");
  CHECK(entries(folder) == 3);  // a leftover belongs to one file
  write(folder / "x", "new");
  CHECK(entries(folder) == 2);
  CHECK(read_bytes(folder / "x") == "new");
}

TEST_CASE("leftovers under any of a file's temporary names are removed, but not what others write or own") {
  const Folder folder;
  const std::string path = folder / "x";
  write_bytes(path, "old");
  for (const int k : {0, 1, 7, 15}) write_bytes(detail::temporary_name(path, k), "left");
  const std::string busy = detail::temporary_name(path, 3);
  write_bytes(busy, "under way");
  const int file = open(busy.c_str(), O_RDONLY);
  REQUIRE(flock(file, LOCK_EX | LOCK_NB) == 0);
  std::filesystem::create_directory(detail::temporary_name(path, 4));
  write_bytes(folder / "victim", "mine");
  std::filesystem::create_symlink("victim", detail::temporary_name(path, 5));
  for (const bool named : {false, true}) {
    write(path, "new", named);
    CHECK(entries(folder) == 5);
    CHECK(read_bytes(busy) == "under way");
    CHECK(read_bytes(folder / "victim") == "mine");
  }
  close(file);
  write(path, "newer");
  CHECK(!std::filesystem::exists(busy));
}

TEST_CASE("writers of one file at a time do not meet") {
  const Folder folder;
  for (const bool named : {false, true}) {
    detail::FileWriter first("test", folder / "x", named), second("test", folder / "x", named);
    first.write(detail::bytes_of("first"));
    second.write(detail::bytes_of("second"));
    {
      detail::FileWriter third("test", folder / "x", named);
      third.write(detail::bytes_of("given up"));
    }
    second.commit();
    CHECK(read_bytes(folder / "x") == "second");
    first.commit();
    CHECK(read_bytes(folder / "x") == "first");
    CHECK(entries(folder) == 1);
  }
}

TEST_CASE("whichever call of the system fails, the old file or the new one is there and nothing else") {
  struct Row {
    const char* name;
    bool exists, named, linked;
  };
  for (const Row row :
       {Row{"a new file", false, false, false}, Row{"a new file, named", false, true, false},
        Row{"a file that is replaced", true, false, false}, Row{"a file that is replaced, named", true, true, false},
        Row{"a file of two names", true, false, true}}) {
    int succeeded = 0;
    for (int k = 1; succeeded < 20 && k < 200; ++k) {
      INFO(row.name << ", call " << k);
      const Folder folder;
      const std::string path = folder / "x";
      if (row.exists) write_bytes(path, "old");
      if (row.linked) std::filesystem::create_hard_link(path, folder / "y");
      bool failed = false;
      int made = 0;
      {
        const WithFailingCall with(k);
        try {
          write(path, "new", row.named);
        } catch (const IOError& error) {
          failed = true;
          INFO(error.what());
          CHECK(std::string(error.what()).find(path + ": cannot ") != std::string::npos);
        }
        made = calls;
      }
      // While a file of two names is copied into, a failing disk leaves a part.
      if (failed && !row.exists) CHECK(folder.empty());
      if (failed && row.exists && !row.linked) CHECK(read_bytes(path) == "old");
      if (!failed) CHECK(read_bytes(path) == "new");
      CHECK(entries(folder) == static_cast<std::size_t>((row.exists || !failed) + row.linked));
      if (made < k) break;
      if (k == 199) FAIL("expected fewer calls");
    }
  }
}

TEST_CASE("a file of two names that cannot grow takes no room from the disk", "[long]") {
  const std::string longer(3 << 19, 'n');
  int kept = 0;
  for (int k = 1; k < 200; ++k) {
    INFO("call " << k);
    const Folder folder;
    const std::string path = folder / "x";
    write_bytes(path, "old");
    std::filesystem::create_hard_link(path, folder / "y");
    const auto blocks = status_of(path).st_blocks;
    {
      const WithFailingCall with(k);
      try {
        write(path, longer);
      } catch (const IOError&) {}
      if (calls < k) break;
    }
    if (read_bytes(path) != "old") continue;
    ++kept;
    CHECK(status_of(path).st_blocks <= blocks + 8);  // 4 KiB: the last page of the old file
  }
  CHECK(kept > 5);
}

TEST_CASE("a full disk leaves a file of two names, also where no room can be set aside", "[long]") {
  struct Disk {
    explicit Disk(off_t end) { sets_room_aside = false, disk_end = end; }
    ~Disk() { sets_room_aside = true, disk_end = std::numeric_limits<off_t>::max(); }
  };
  const std::string old(5 << 19, 'o'), longer(9 << 19, 'n');
  const Folder folder;
  const std::string path = folder / "x";
  write_bytes(path, old);
  std::filesystem::create_hard_link(path, folder / "y");
  {
    const Disk full(7 << 19);
    CHECK_THAT(refusal([&] { write(path, longer); }), ContainsSubstring("cannot write: No space left on device"));
  }
  CHECK((read_bytes(path) == old));
  const Disk wide(std::numeric_limits<off_t>::max());
  for (const std::string& text : {longer, std::string("short"), old}) {
    write(path, text);
    CHECK((read_bytes(folder / "y") == text));
  }
}

TEST_CASE("a file beyond what the process may write is refused without a signal") {
  const Folder folder;
  write_bytes(folder / "x", "old");
  write_bytes(folder / "y", "old");
  std::filesystem::create_hard_link(folder / "y", folder / "z");
  // In a child, for what writes the report of the tests is under the same limit.
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{1 << 16, 1 << 16};
    int refused = 0;
    if (setrlimit(RLIMIT_FSIZE, &limit) == 0)
      for (const char* name : {"x", "y"}) try {
          write(folder / name, std::string(1 << 20, 'n'));
        } catch (const IOError& error) {
          refused += std::string(error.what()).ends_with("cannot write: File too large");
        }
    _exit(refused);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 2);
  CHECK(read_bytes(folder / "x") == "old");
  CHECK(read_bytes(folder / "z") == "old");
}

TEST_CASE("two writers of a file of two names take turns", "[long]") {
  const Folder folder;
  const std::string path = folder / "x", a(3 << 20, 'a'), b((3 << 20) + 5, 'b');
  write_bytes(path, "old");
  std::filesystem::create_hard_link(path, folder / "y");
  for (int round = 0; round < 20; ++round) {
    std::thread other([&] { write(path, a); });
    write(path, b);
    other.join();
    const std::string got = read_bytes(path);
    REQUIRE((got == a || got == b));
  }
}

TEST_CASE("whichever call of the system a signal interrupts, the new file is written", "[long]") {
  for (const bool linked : {false, true})
    for (const bool named : {false, true}) {
      // What is copied into a file of two names goes by pieces of a MiB.
      const std::string text(linked ? (1 << 20) + 1 : 3, 'x');
      int made = 0;
      for (int k = 1; k == 1 || made >= k - 1; ++k) {
        INFO("call " << k << (linked ? ", of two names" : "") << (named ? ", named" : ""));
        REQUIRE(k < 200);
        const Folder folder;
        write_bytes(folder / "x", "old");
        if (linked) std::filesystem::create_hard_link(folder / "x", folder / "y");
        {
          const WithFailingCall with(k, true);
          CHECK_NOTHROW(write(folder / "x", text, named));
          made = calls;
        }
        const bool written = read_bytes(folder / "x") == text && (!linked || read_bytes(folder / "y") == text);
        CHECK(written);
        CHECK(entries(folder) == 1u + linked);
      }
    }
}

TEST_CASE("every format leaves the old file where a call fails or memory ends") {
  const Tensor old = counting({3}), x = detail::make_view(counting({400, 500}), {500, 400}, {1, 500}, 0);
  const std::map<std::string, std::function<void(const std::string&, const Tensor&)>> formats = {
      {"npy", save_npy},
      {"npz",
       [](const std::string& path, const Tensor& y) {
         save_npz(path, {{"a", y}, {"b", y}});
       }},
      {"safetensors", [](const std::string& path, const Tensor& y) {
         save_safetensors(path, {{"a", y}, {"b", y}});
       }}};
  for (const auto& [name, save] : formats) {
    const Folder folder;
    const std::string path = folder / "x";
    save(path, old);
    const std::string before = read_bytes(path);
    for (int k = 1;; ++k) {
      INFO(name << ", call " << k);
      REQUIRE(k < 200);
      bool failed = false;
      int made = 0;
      {
        const WithFailingCall with(k);
        try {
          save(path, x);
        } catch (const IOError&) {
          failed = true;
        }
        made = calls;
      }
      if (failed) CHECK(read_bytes(path) == before);
      if (!failed) save(path, old);
      CHECK(entries(folder) == 1);
      if (made < k) break;
    }
    // Of the tensors' memory each piece in turn.
    int refused = 0;
    for (const int64_t room : {0, 400'000, 800'000, 1 << 23}) {
      INFO(name << ", " << room << " bytes");
      try {
        empty_cache();
        const test::WithLimit limit(memory_stats().in_use + room);
        save(path, x);
      } catch (const MemoryError&) {
        ++refused;
        CHECK(read_bytes(path) == before);
      }
      CHECK(entries(folder) == 1);
      save(path, old);
    }
    CHECK(refused > 0);
    CHECK(refused < 4);
  }
}

}  // namespace test_writer
