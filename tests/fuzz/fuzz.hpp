// What the fuzzers of readers share. The first byte of an input says how the rest becomes a file: as it is, or wrapped
// so that lengths and checksums are right and what lies behind them is reached.
#pragma once
#include <limpid/core/allocator.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/error.hpp>
#include <limpid/core/io/left_out.hpp>
#include <limpid/core/tensor_map.hpp>

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

namespace fuzz {

/// What one input may make of tensors: a legal file may ask for much more, and would end the run.
inline constexpr int64_t memory_budget = 64 << 20;

/// The bytes of a value as they lie in memory.
template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// A path that leads to these bytes.
inline const std::string& file_of(const std::string& bytes) {
  static const int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  if (pwrite(descriptor, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()) ||
      ftruncate(descriptor, static_cast<off_t>(bytes.size())) != 0)
    std::abort();
  return path;
}

/// Looks at what was read, so that a place outside the memory is noticed.
inline void touch(const limpid::Tensor& x) {
  if (x.numel() <= 1 << 16) {
    (void)limpid::detail::as_contiguous(x);
  } else {
    std::size_t last = 0;
    for (int64_t axis = 0; axis < x.dim(); ++axis)
      last += static_cast<std::size_t>((x.size(axis) - 1) * x.strides()[static_cast<std::size_t>(axis)]);
    static volatile unsigned char sink;
    sink = static_cast<const unsigned char*>(x.raw_data())[(last + 1) * x.itemsize() - 1];
  }
}
inline void touch(const limpid::TensorMap& tensors) {
  for (const auto& [name, x] : tensors) touch(x);
}

/// Reads a file of these bytes: what load() gives is sound, or it throws an error of one line.
template <class F>
void read(const std::string& bytes, F&& load) {
  static const bool limited = (limpid::set_memory_limit(memory_budget), true);
  (void)limited;
  try {
    touch(load(file_of(bytes)));
  } catch (const limpid::Error& error) {
    if (std::strchr(error.what(), '\n')) std::abort();
  } catch (const std::bad_alloc&) {
    // Beyond the budget.
  }
}

/// What a reader of many tensors gives; the reasons for the rest must be of one line as errors are.
template <class F>
limpid::TensorMap all_of(F&& load, const std::string& path) {
  limpid::LeftOut left_out;
  limpid::TensorMap tensors = load(path, left_out);
  for (const auto& [name, reason] : left_out)
    if (std::strchr(reason.c_str(), '\n')) std::abort();
  return tensors;
}

/// How zlib wraps a deflated stream: its windows, of the smallest size, coded as deflateInit2() takes them.
enum Wrapping { bare = -9, zlib = 9, gzip = 9 + 16 };

/// bytes as zlib packs them, in the least memory.
inline std::string deflated(const std::string& bytes, Wrapping wrapping) {
  z_stream stream{};
  if (deflateInit2(&stream, 1, Z_DEFLATED, wrapping, 1, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::string packed(deflateBound(&stream, bytes.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

inline uint32_t crc_of(const std::string& bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// A sound archive of these members.
inline std::string zip(std::initializer_list<std::pair<std::string, std::string>> members, bool deflate = false) {
  std::string bytes, directory;
  uint16_t count = 0;
  for (const auto& [name, content] : members) {
    const std::string packed = deflate ? deflated(content, bare) : content;
    const std::string fields = raw(uint16_t{20}) + raw(uint16_t{0}) + raw(static_cast<uint16_t>(deflate ? 8 : 0)) +
                               raw(uint32_t{0}) + raw(crc_of(content)) + raw(static_cast<uint32_t>(packed.size())) +
                               raw(static_cast<uint32_t>(content.size())) + raw(static_cast<uint16_t>(name.size())) +
                               raw(uint16_t{0});
    directory += raw(uint32_t{0x02014b50}) + raw(uint16_t{20}) + fields + std::string(10, '\0') +
                 raw(static_cast<uint32_t>(bytes.size())) + name;
    bytes += raw(uint32_t{0x04034b50}) + fields + name + packed;
    ++count;
  }
  return bytes + directory + raw(uint32_t{0x06054b50}) + raw(uint32_t{0}) + raw(count) + raw(count) +
         raw(static_cast<uint32_t>(directory.size())) + raw(static_cast<uint32_t>(bytes.size())) + raw(uint16_t{0});
}

/// An input apart: its first byte, and the rest.
struct Input {
  unsigned mode;
  std::string bytes;
  Input(const uint8_t* data, std::size_t size)
      : mode(size ? data[0] : 0u),
        bytes(size ? reinterpret_cast<const char*>(data) + 1 : "", size ? size - 1 : 0) {}
};

}  // namespace fuzz
