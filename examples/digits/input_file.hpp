#pragma once

#include <array>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "file.hpp"

namespace digits {

/// Reads a file from front to back, plain or gzipped (told apart by the first two bytes), a buffer at a time.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();

  /// Fills `out` as far as the file goes and returns how many bytes that was. Throws FileError if the gzip stream is
  /// corrupt, ends early or has something else behind it.
  std::size_t read(std::span<std::uint8_t> out);

  /// Bytes handed out so far.
  std::uint64_t offset() const { return offset_; }

  bool gzipped() const { return inflater_ != nullptr; }

  /// Size of the file as stored.
  std::uint64_t stored_size() const { return stored_size_; }

  const std::string& path() const { return path_; }

 private:
  struct Inflater;

  std::size_t inflate(std::span<std::uint8_t> out);
  void refill();

  std::string path_;
  std::uint64_t stored_size_, offset_ = 0, stored_offset_ = 0;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::array<std::uint8_t, 1 << 15> buffer_;
  std::span<const std::uint8_t> pending_;  // stored bytes read and not yet used
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace digits
