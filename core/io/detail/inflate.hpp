// Deflated bytes within a file, unpacked front to back.
#pragma once
#include <limpid/core/io/detail/file.hpp>

#include <memory>

namespace limpid::detail {

/// Deflate gives no more bytes for one than this.
inline constexpr uint64_t max_inflation = 1032;

class Inflater {
 public:
  /// gzip: as the program of this name does, one member after another is unpacked, to the end of the file, where there
  /// may be zeros.
  enum class Wrapper { none, gzip };
  /// The packed bytes are size bytes of file from begin on.
  Inflater(const FileSource& file, uint64_t begin, uint64_t size, Wrapper wrapper);
  ~Inflater();

  /// Fills to as far as the data goes and returns how far that is: bytes, or fewer at the end. What is wrong with the
  /// data is said in the name of source.
  uint64_t read(const Source& source, std::byte* to, uint64_t bytes);
  /// The packed bytes that are not used yet; behind the end of the data there should be none.
  uint64_t unused() const noexcept;

 private:
  bool refill();
  bool next_member(const Source& source);

  struct State;
  const FileSource& file_;
  uint64_t at_, left_;  // what of the file is yet to be read
  std::unique_ptr<State> state_;
};

}  // namespace limpid::detail
